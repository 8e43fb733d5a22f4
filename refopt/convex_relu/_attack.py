"""The worst case of a network's objective over perturbations of its rows."""

import itertools
import math

import numpy as np

from refopt import _rng, _validate
from refopt.convex_relu._network import network_arrays
from refopt.convex_relu._program import LOSSES

_MOST_CORNERS = 2**12
_STEPS = 60  # of projected gradient ascent
_STARTS = 8


def adversarial_loss(X, y, W1, w2, *, epsilon, p=math.inf, loss="squared", perturb_mask=None,
                     attack="pgd", rng=None):  # fmt: skip
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
    X, y, W1, w2 = (np.asarray(a) for a in network_arrays(X, y, W1, w2, loss, "numpy"))
    epsilon = _validate.nonnegative(epsilon, "epsilon")
    p = float(_validate.real_number(p, "p"))
    _validate.choice(p, "p", (1.0, 2.0, math.inf))
    _validate.choice(attack, "attack", ("pgd", "corners"))
    moved = _mask(X, perturb_mask)
    f = LOSSES[loss]()

    def losses(D):
        """Loss of each row, moved by D of shape (n, k) or (k,) in the perturbed columns."""
        Z = X.copy()
        Z[:, moved] += D
        z = np.maximum(Z @ W1, 0) @ w2
        return np.array([f.value(z[k : k + 1], y[k : k + 1]) for k in range(len(y))])

    worst = losses(np.zeros(len(moved)))
    if epsilon == 0 or not moved.size:
        return float(worst.sum())
    if attack == "corners":
        for corner in _corners(len(moved), epsilon, p):
            worst = np.maximum(worst, losses(corner))
        return float(worst.sum())

    def slopes(D):
        Z = X.copy()
        Z[:, moved] += D
        H = Z @ W1
        r = f.gradient(np.maximum(H, 0) @ w2, y)
        return ((H > 0) * (r[:, None] * w2)) @ W1[moved].T

    rng = _rng.generator(rng)
    for _ in range(_STARTS):
        D = _projected(rng.standard_normal((len(y), len(moved))) * epsilon, epsilon, p)
        for step in range(_STEPS):
            D = _projected(D + _ascent(slopes(D), epsilon, p) * 2 / (1 + step), epsilon, p)
            worst = np.maximum(worst, losses(D))
    return float(worst.sum())


def _mask(X, perturb_mask):
    """Indices of the columns that are perturbed."""
    if perturb_mask is None:
        return np.flatnonzero(~np.all(X == 1, axis=0))
    mask = np.asarray(perturb_mask)
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


def _ascent(G, epsilon, p):
    """The vertex of the ball of steepest ascent, row by row."""
    if p == math.inf:
        return epsilon * np.sign(G)
    if p == 1:
        first = np.argmax(np.abs(G), axis=1)[:, None]
        return epsilon * np.where(np.arange(G.shape[1]) == first, np.sign(G), 0.0)
    return epsilon * G / np.maximum(np.linalg.norm(G, axis=1, keepdims=True), 1e-300)


def _projected(D, epsilon, p):
    """Rows within the ball: the nearest for p = 2 and inf, for p = 1 scaled."""
    if p == math.inf:
        return np.clip(D, -epsilon, epsilon)
    norms = np.linalg.norm(D, ord=p, axis=1, keepdims=True)
    return D * np.minimum(1.0, epsilon / np.maximum(norms, 1e-300))
