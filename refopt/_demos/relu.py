"""A network that tells tumours apart, beside what a SciPy user would write: L-BFGS and luck."""

import time

import numpy as np

import refopt
from refopt._demos.row import TOL, Row, arrays, on_host, timed
from refopt.problems import breast_cancer

GAP = 1e-6  # largest gap to the bound of all networks, relative to the objective
_FEATURES = 20, 27  # largest radius, largest number of concave points
_STARTS = 5
_NEURONS = 60


def network(backend=None, rows=569, beta=0.5):
    """Two measures and a bias, logistic loss: few enough columns for a rigorous bound."""
    cells = breast_cancer()
    X = np.hstack([cells.X[:rows, _FEATURES], np.ones((rows, 1))])
    y = cells.y[:rows]
    given = arrays(backend, X, y)
    result, seconds = timed(
        lambda: refopt.fit_convex_relu(
            *given, beta=beta, loss="logistic", refine=10, tol=0.5 * GAP, rng=0, backend=backend
        )
    )
    W1, w2, r = (on_host(a) for a in (result.W1, result.w2, result.r))
    value, bound = objective(X, y, W1, w2, beta), lower_bound(X, y, r, beta)
    found, other_seconds = _from_several_starts(X, y, beta)
    above = [100 * (other / value - 1) for other in (min(found), max(found))]
    error, gap = abs(value - result.fun) / value, (value - bound) / value
    return Row(
        problem=f"ReLU network, {rows} tumours",
        backend=result.backend,
        iterations=result.nit,
        error=float(error),
        gap=float(gap),
        seconds=seconds,
        other=(
            f"SciPy's L-BFGS, {_STARTS} starts: {above[0]:.4f} to {above[1]:.4f} % higher, "
            f"no bound, {other_seconds:.2f} s"
        ),
        holds=bool(result.success and error <= TOL and abs(gap) <= GAP and above[0] >= 0),
        runs={"refopt": result},
        draw=lambda ax: _regions(ax, X, y, W1, w2),
    )


def objective(X, y, W1, w2, beta):
    """Of the network, in plain NumPy."""
    z = np.maximum(X @ W1, 0) @ w2
    decay = np.sum(W1**2) + np.sum(w2**2)
    return np.logaddexp(0, -y * z).sum() + 0.5 * beta * decay


def lower_bound(X, y, r, beta):
    """Of every network: the dual value at the multiple of r that no price exceeds beta at.

    Prices are searched in all cells by the reference.
    """
    psi = refopt.price_gates(X, r, kind="exact", n_starts=0, backend="numpy").values[0]
    t = np.clip(-y * r * min(1.0, beta / psi), 0.0, 1.0)
    return -sum(np.sum(q * np.log(np.where(q > 0, q, 1.0))) for q in (t, 1 - t))


def _from_several_starts(X, y, beta):
    """Objectives that L-BFGS ends with, and the seconds of all starts."""
    from scipy.optimize import minimize

    d = X.shape[1]
    split, found = d * _NEURONS, []

    def value_and_slopes(point):
        W1, w2 = point[:split].reshape(d, _NEURONS), point[split:]
        H = np.maximum(X @ W1, 0)
        margins = y * (H @ w2)
        r = -y * np.exp(-np.logaddexp(0, margins))
        slopes = np.concatenate([(X.T @ ((H > 0) * np.outer(r, w2))).ravel(), H.T @ r])
        value = np.logaddexp(0, -margins).sum() + 0.5 * beta * point @ point
        return value, slopes + beta * point

    began = time.perf_counter()
    for seed in range(_STARTS):
        start = np.random.default_rng(seed).standard_normal(split + _NEURONS) / d**0.5
        options = {"maxiter": 2000, "maxfun": 4000}
        found.append(
            minimize(value_and_slopes, start, jac=True, method="L-BFGS-B", options=options).fun
        )
    return found, time.perf_counter() - began


def _regions(ax, X, y, W1, w2):
    """The tumours, and where the network changes its mind."""
    low, high = X[:, :2].min(axis=0) - 0.2, X[:, :2].max(axis=0) + 0.2
    a, b = np.meshgrid(*(np.linspace(*ends, 200) for ends in zip(low, high, strict=True)))
    grid = np.stack([a.ravel(), b.ravel(), np.ones(a.size)], axis=1)
    z = (np.maximum(grid @ W1, 0) @ w2).reshape(a.shape)
    ax.contourf(a, b, z, levels=[-1e9, 0, 1e9], colors=["tab:blue", "tab:orange"], alpha=0.2)
    for sign, name in ((-1, "benign"), (1, "malignant")):
        ax.scatter(*X[y == sign, :2].T, s=6, label=name)
    ax.set_xlabel("largest radius, standardised")
    ax.set_ylabel("largest concave points")
    ax.legend(loc="lower right")
