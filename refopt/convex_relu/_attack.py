"""The worst case of a network's objective over perturbations of its rows."""

import itertools
import math

import numpy as np

from refopt import _rng, _validate
from refopt.convex_relu._gates import on_host
from refopt.convex_relu._network import network_arrays, predictions
from refopt.convex_relu._program import LOSSES, row_norms
from refopt_backends import namespace_of

_MOST_CORNERS = 2**12
_STEPS = 60  # of projected gradient ascent
_STARTS = 8


def adversarial_loss(X, y, W1, w2, *, epsilon, p=math.inf, loss="squared", perturb_mask=None,
                     attack="pgd", rng=None, backend=None):  # fmt: skip
    r"""Attack every row of a two-layer ReLU network and sum the losses.

    A lower bound, by search, of

    .. math:: \sum_k \max_{\|\delta\|_p \le \epsilon}
        \ell\bigl(z(x_k + \delta), y_k\bigr),
        \quad \delta = 0 \text{ outside the mask},

    and equal to it for l_inf and ``"corners"`` where no gate changes within the ball: then z
    is linear in delta. The weight penalty is not included.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Rows.
    y : array_like, shape (n,)
        Targets; -1 and +1 for ``"logistic"`` and ``"hinge"``.
    W1 : array_like, shape (d, m)
        First layer.
    w2 : array_like, shape (m,)
        Second layer.
    epsilon : float
        Radius, nonnegative, in the units of X.
    p : {1, 2, inf}
        The norm.
    loss : {"squared", "logistic", "hinge"}
        As in `relu_network_objective`.
    perturb_mask : array_like of bool, shape (d,), optional
        Which columns are perturbed; by default all that are not constant one.
    attack : {"pgd", "corners"}
        ``"pgd"``: projected gradient ascent from 8 starts. ``"corners"``: all extreme
        points of the ball for p = 1 and p = inf, at most 4096; for p = 2, unit vectors of a
        circle of 2000 angles, for two perturbed columns only.
    rng : None, int or numpy.random.Generator
        For the starts of ``"pgd"``.
    backend : str, optional
        As everywhere.

    Returns
    -------
    float
        At least the loss without perturbation.

    Raises
    ------
    ValueError
        A negative `epsilon`, another `p`, a mask of wrong length, too many corners, and
        what `relu_network_objective` refuses.

    Notes
    -----
    Corners cost one evaluation of the network each, ``"pgd"`` about a thousand.

    References
    ----------
    .. [1] Y. Bai, T. Gautam, S. Sojoudi, "Efficient Global Optimization of Two-Layer ReLU
       Networks", SIAM Journal on Mathematics of Data Science, 2023, arXiv 2201.01965.

    Examples
    --------
    >>> from refopt import adversarial_loss
    >>> adversarial_loss([[1.0]], [2.0], [[1.0]], [1.0], epsilon=0.5, perturb_mask=[True])
    1.125
    """
    X, y, W1, w2 = network_arrays(X, y, W1, w2, loss, backend)
    xp = namespace_of(X)
    epsilon = _validate.nonnegative(epsilon, "epsilon")
    p = float(_validate.real_number(p, "p"))
    _validate.choice(p, "p", (1.0, 2.0, math.inf))
    _validate.choice(attack, "attack", ("pgd", "corners"))
    moved = _mask(X, perturb_mask)
    f, k = LOSSES[loss](), len(moved)
    columns = xp.asarray(np.eye(X.shape[1])[moved])  # D columns has D in those that are perturbed

    def worse(D, z):
        """The prediction of each row moved by D, or z, whichever has the larger loss."""
        new = predictions(X + D @ columns, W1, w2)
        if loss == "squared":
            return xp.where(xp.abs(new - y) > xp.abs(z - y), new, z)
        return xp.where(y * new < y * z, new, z)

    z = predictions(X, W1, w2)
    if epsilon == 0 or not k:
        return f.value(z, y)
    if attack == "corners":
        for corner in _corners(k, epsilon, p):
            z = worse(xp.asarray(corner[None, :]), z)
        return f.value(z, y)

    def slopes(D):
        H = (X + D @ columns) @ W1
        active = xp.astype(H > 0, xp.float64)
        r = f.gradient((active * H) @ w2, y)
        return (active * (r[:, None] * w2)) @ (columns @ W1).T

    rng = _rng.generator(rng)
    for _ in range(_STARTS):
        start = xp.asarray(rng.standard_normal((y.shape[0], k)) * epsilon)
        D = _projected(xp, start, epsilon, p)
        for step in range(_STEPS):
            ascent = _ascent(xp, slopes(D), epsilon, p)
            D = _projected(xp, D + ascent * 2 / (1 + step), epsilon, p)
            z = worse(D, z)
    return f.value(z, y)


def _mask(X, perturb_mask):
    """Indices of the columns that are perturbed."""
    if perturb_mask is None:
        return np.flatnonzero(~np.all(on_host(X) == 1, axis=0))
    mask = on_host(perturb_mask)
    if mask.dtype != bool or mask.shape != (X.shape[1],):
        raise ValueError(
            f"perturb_mask must be {X.shape[1]} booleans, one per column of X, "
            f"got {mask.dtype} of shape {mask.shape}"
        )
    return np.flatnonzero(mask)


def _corners(J, epsilon, p):
    if p == 2:
        if J != 2:
            raise ValueError(f"attack must be 'pgd' for p = 2 and {J} perturbed columns")
        angles = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
        return epsilon * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if p == 1:
        return epsilon * np.vstack([np.eye(J), -np.eye(J)])
    if 2.0**J > _MOST_CORNERS:
        raise ValueError(f"attack must be 'pgd' for 2^{J} corners, more than {_MOST_CORNERS}")
    return epsilon * np.array(list(itertools.product((-1.0, 1.0), repeat=J)))


def _ascent(xp, G, epsilon, p):
    """The vertex of the ball of steepest ascent, row by row."""
    if p == math.inf:
        return epsilon * xp.sign(G)
    if p == 1:
        first = xp.argmax(xp.abs(G), axis=1)[:, None]
        here = xp.arange(G.shape[1]) == first
        return epsilon * xp.where(here, xp.sign(G), xp.zeros_like(G))
    norms = row_norms(xp, G)[:, None]
    return epsilon * G / xp.where(norms > 0, norms, xp.ones_like(norms))


def _projected(xp, D, epsilon, p):
    """Rows within the ball: the nearest for p = 2 and inf, for p = 1 scaled."""
    if p == math.inf:
        return xp.clip(D, -epsilon, epsilon)
    norms = row_norms(xp, D) if p == 2 else xp.sum(xp.abs(D), axis=1)
    norms = xp.where(norms > epsilon, norms, xp.full_like(norms, epsilon))
    return D * (epsilon / norms)[:, None]
