"""Two-layer ReLU networks: their objective, and local training."""

from typing import Any

import numpy as np
from scipy.optimize import minimize

from refopt import _validate
from refopt.convex_relu import _intake
from refopt.convex_relu._gates import on_host
from refopt.convex_relu._intake import take_in
from refopt.convex_relu._program import LOSSES
from refopt_backends import namespace_of, resolve

_KEPT = 1e-4  # neurons smaller than the largest times this are dropped after training


def relu_network_objective(X, y, W1, w2, *, beta, loss="squared", backend=None):
    """Evaluate the training objective of a two-layer ReLU network, its weights balanced.

    For predictions ``z = sum_j (X u_j)_+ alpha_j`` it is::

        f(z) + beta sum_j ||u_j|| |alpha_j|,

    the least value of ``f(z) + beta/2 sum_j (||u_j||^2 + alpha_j^2)`` over all
    scalings of neurons that keep z. The loss f is a sum over rows, not a mean.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Rows; a column of ones if the network has biases, whose weights count in the penalty.
    y : array_like, shape (n,) or (n, C)
        Targets; -1 and +1 for ``"logistic"`` and ``"hinge"``.
    W1 : array_like, shape (d, m)
        First layer, a column u_j per neuron.
    w2 : array_like, shape (m,) or (m, C)
        Second layer; a row alpha_j per neuron, whose penalty is then
        ``||u_j|| ||alpha_j||_1``.
    beta : float
        Weight decay, nonnegative.
    loss : {"squared", "logistic", "hinge"}
        ``1/2 ||z - y||^2``, ``sum log(1 + exp(-y z))`` or ``sum (1 - y z)_+``.
    backend : str, optional
        As everywhere.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Wrong shapes, NaN, labels other than -1 and +1, a negative `beta`.
    TypeError
        Complex numbers, or arrays of several libraries.

    References
    ----------
    .. [1] M. Pilanci, T. Ergen, "Neural Networks are Convex Regularizers", ICML 2020,
       arXiv 2002.10553, equation 2.

    Examples
    --------
    >>> from refopt import relu_network_objective
    >>> relu_network_objective([[1.0], [-1.0]], [1.0, 0.0], [[1.0]], [0.5], beta=0.1)
    0.175
    """
    X, y, W1, w2 = network_arrays(X, y, W1, w2, loss, backend)
    beta = _validate.nonnegative(beta, "beta")
    return balanced_objective(X, y, W1, w2, beta, LOSSES[loss]())


def network_arrays(X, y, W1, w2, loss, backend):
    """Data and weights, checked, in double precision."""
    _validate.choice(loss, "loss", tuple(LOSSES))
    names = ("X", "y", "W1", "w2")
    arrays = [_validate.as_array(a, name) for a, name in zip((X, y, W1, w2), names, strict=True)]
    xp, _ = resolve(*arrays, backend=backend, small=True, names=names)
    outputs = 2 if getattr(arrays[1], "ndim", 1) == 2 and loss == "squared" else 1
    checked = []
    for a, name, ndim in zip(arrays, names, (2, outputs, 2, outputs), strict=True):
        a = _validate.real_array(xp, a, name, ndim)
        a = _intake.features(xp, a) if name == "X" else _validate.moderate(xp, a, name)
        checked.append(xp.astype(a, xp.float64, copy=False))
    X, y, W1, w2 = checked
    X, y = take_in(xp, X, y, loss, False, outputs)
    if W1.shape[0] != X.shape[1]:
        raise ValueError(f"W1 must have one row per column of X, {X.shape[1]}, got {W1.shape[0]}")
    if w2.shape != (W1.shape[1], *y.shape[1:]):
        raise ValueError(
            f"w2 must have shape {(W1.shape[1], *y.shape[1:])}, one entry per column of W1 "
            f"and output, got {tuple(w2.shape)}"
        )
    return X, y, W1, w2


def predictions(X: Any, W1: Any, w2: Any) -> Any:
    """z = (X W1)_+ w2."""
    xp = namespace_of(X)
    H = X @ W1
    return xp.maximum(H, xp.zeros_like(H)) @ w2


def balanced_objective(X: Any, y: Any, W1: Any, w2: Any, beta: float, loss: Any) -> float:
    """f(z) + beta sum_j ||u_j|| |alpha_j|."""
    xp = namespace_of(X)
    z = predictions(X, W1, w2)
    norms = xp.sqrt(xp.sum(W1 * W1, axis=0))
    sizes = xp.abs(w2) if w2.ndim == 1 else xp.sum(xp.abs(w2), axis=1)
    flat = (-1,)
    value = loss.value(xp.reshape(z, flat), xp.reshape(y, flat))
    return value + beta * float(xp.sum(norms * sizes))


def balanced(U: Any, signs: Any) -> tuple[Any, Any]:
    """Layers of the neurons (x'u)_+ times a sign, a row of U each, with ||u_j|| = |alpha_j|."""
    xp = namespace_of(U)
    norms = xp.sqrt(xp.sum(U * U, axis=1))
    kept = xp.nonzero(norms > 0)[0]
    roots = xp.sqrt(norms[kept])
    return (U[kept, :] / roots[:, None]).T, signs[kept] * roots


def train(X, y, beta, loss, W1, w2, *, maxiter, kept=_KEPT):
    """Local training by L-BFGS of ``f(z) + beta/2 (||W1||^2 + ||w2||^2)``.

    Parameters
    ----------
    X, y : array
    beta : float
    loss : object
        Of `LOSSES`.
    W1, w2 : array, shapes (d, m) and (m,)
        Where to begin.
    maxiter : int
    kept : float
        Drop neurons whose ``||u|| |alpha|`` is below this share of the largest.

    Returns
    -------
    W1, w2 : array
        Balanced.

    Notes
    -----
    Weights are a vector of the host, which SciPy moves; products with X are where X is.
    """
    xp = namespace_of(X)
    d, m = W1.shape
    split = d * m

    def value_and_slopes(weights):
        point = xp.asarray(weights)
        W, a = xp.reshape(point[:split], (d, m)), point[split:]
        H = X @ W
        on = H > 0
        H = H * on
        z = H @ a
        r = loss.gradient(z, y)
        outer = r @ H + beta * a
        inner = (X.T @ (on * r[:, None])) * a + beta * W
        slopes = xp.concat([xp.reshape(inner, (-1,)), outer])
        return loss.value(z, y) + 0.5 * beta * float(weights @ weights), on_host(slopes)

    start = xp.concat([xp.reshape(W1, (-1,)), w2])
    found = minimize(
        value_and_slopes, on_host(start), jac=True, method="L-BFGS-B",
        options={"maxiter": maxiter, "maxfun": 2 * maxiter, "maxcor": 20,
                 "ftol": 0.0, "gtol": 1e-9},
    )  # fmt: skip
    W1, w2 = found.x[:split].reshape(d, m), found.x[split:]
    sizes = np.linalg.norm(W1, axis=0) * np.abs(w2)
    live = sizes > kept * sizes.max(initial=0.0)
    U, signs = (W1[:, live] * np.abs(w2[live])).T, np.sign(w2[live])
    return balanced(xp.asarray(U), xp.asarray(signs))


def random_network(X, m, rng):
    """Normal weights with outputs of size about one."""
    xp = namespace_of(X)
    scale = float(xp.mean(xp.sum(X * X, axis=1))) ** 0.5 or 1.0
    w = rng.standard_normal(m)
    return (xp.asarray(W) for W in (rng.standard_normal((X.shape[1], m)) / scale, w / m**0.5))
