"""The Lasso and sparse logistic regression on real data, beside what a SciPy user would write."""

import time

import numpy as np

import refopt
from refopt import problems
from refopt._demos.row import TOL, Row, arrays, on_host, timed

GAP = 1e-9  # largest duality gap, relative to the objective at zero
_ASKED = 1e-12  # of the solver: the last digits cost no more than one Newton step
_SPLIT_SECONDS = 1.0  # what L-BFGS-B is given
_SHOWN = 12  # pictures of digits


def digit_from_digits(backend=None, index=7, ratio=0.01):
    """The Lasso of one handwritten digit in 999 others, beside L-BFGS-B."""
    problem = problems.digit_from_others(index)
    X, y = problem.X, problem.y
    lam = ratio * float(np.max(np.abs(X.T @ y)))
    given = arrays(backend, X, y)
    result, seconds = timed(lambda: refopt.lasso(*given, lam, tol=_ASKED, backend=backend))
    w = on_host(result.x)
    gap, error = lasso_certificate(X, y, lam, w)

    def value_and_slope(w):
        r = X @ w - y
        return 0.5 * r @ r, X.T @ r

    v, other_seconds = _split(value_and_slope, X.shape[1], lam)
    other_gap, _ = lasso_certificate(X, y, lam, v)
    return _row(
        f"Lasso, digit of {X.shape[1]} digits", result, seconds, error, gap,
        _beside(w, v, other_gap, other_seconds),
        lambda ax: _composition(ax, X, y, w),
    )  # fmt: skip


def malignant(backend=None, ratio=0.01):
    """Sparse logistic regression of tumours on products of features, beside L-BFGS-B."""
    problem = problems.breast_cancer(products=True)
    X, y = problem.X, problem.y
    lam = ratio * float(np.max(np.abs(X.T @ y))) / 2
    given = arrays(backend, X, y)
    result, seconds = timed(lambda: refopt.l1_logistic(*given, lam, tol=_ASKED, backend=backend))
    w = on_host(result.x)
    gap, error = logistic_certificate(X, y, lam, w)

    def value_and_slope(w):
        margins = y * (X @ w)
        return np.logaddexp(0.0, -margins).sum(), -(X.T @ (y * _expit(-margins)))

    v, other_seconds = _split(value_and_slope, X.shape[1], lam)
    other_gap, _ = logistic_certificate(X, y, lam, v)
    return _row(
        f"L1 logistic, tumours, {X.shape[1]} columns", result, seconds, error, gap,
        _beside(w, v, other_gap, other_seconds),
        lambda ax: _scores(ax, X @ w, y),
    )  # fmt: skip


def lasso_certificate(X, y, lam, w):
    """Duality gap over F(0), and the optimality error over lam, in plain NumPy."""
    r = y - X @ w
    slopes = X.T @ r
    most = lam / np.max(np.abs(slopes))
    s = np.clip(y @ r / (r @ r), -most, most)
    primal = 0.5 * r @ r + lam * np.abs(w).sum()
    dual = s * (y @ r) - 0.5 * s * s * (r @ r)
    return float((primal - dual) / (0.5 * y @ y)), _optimality(w, slopes, lam)


def logistic_certificate(X, y, lam, w):
    """The same for logistic loss."""
    margins = y * (X @ w)
    q = _expit(-margins)
    slopes = X.T @ (y * q)
    q = q / max(1.0, np.max(np.abs(slopes)) / lam)
    primal = np.logaddexp(0.0, -margins).sum() + lam * np.abs(w).sum()
    dual = -(_entropy(q) + _entropy(1.0 - q)).sum()
    return float((primal - dual) / (y.size * np.log(2.0))), _optimality(w, slopes, lam)


def _optimality(w, slopes, lam):
    error = np.where(w != 0, np.abs(slopes - lam * np.sign(w)), np.abs(slopes) - lam)
    return float(max(0.0, error.max()) / lam)


def _expit(t):
    return np.exp(-np.logaddexp(0.0, -t))


def _entropy(q):
    return q * np.log(np.where(q > 0, q, 1.0))


def _split(value_and_slope, p, lam):
    """SciPy's way: w = u - v with u, v >= 0 makes the penalty linear, and L-BFGS-B takes bounds."""
    from scipy.optimize import minimize

    def objective(uv):
        value, slope = value_and_slope(uv[:p] - uv[p:])
        return value + lam * uv.sum(), np.concatenate([slope, -slope]) + lam

    def stop_in_time(uv):
        if time.perf_counter() - began > _SPLIT_SECONDS:
            raise StopIteration

    options = {"maxiter": 10**6, "maxfun": 10**6, "ftol": 0.0, "gtol": 1e-10 * lam}
    began = time.perf_counter()
    found = minimize(
        objective, np.zeros(2 * p), jac=True, method="L-BFGS-B", bounds=[(0, None)] * (2 * p),
        callback=stop_in_time, options=options,
    )  # fmt: skip
    return found.x[:p] - found.x[p:], time.perf_counter() - began


def _beside(w, v, gap, seconds):
    counts = f"{np.count_nonzero(v)} nonzeros for {np.count_nonzero(w)}"
    return f"SciPy's L-BFGS-B: gap {gap:.1e}, {counts}, {seconds:.2f} s"


def _row(name, result, seconds, error, gap, other, draw):
    return Row(
        problem=name,
        backend=result.backend,
        iterations=result.nit,
        error=error,
        gap=gap,
        seconds=seconds,
        other=other,
        holds=bool(result.success and error <= TOL and abs(gap) <= GAP),
        runs={"refopt": result},
        draw=draw,
    )


def _composition(ax, X, y, w):
    """The digit, what the Lasso makes of it, and the digits it takes most of."""
    order = np.argsort(-np.abs(w))[:_SHOWN]
    images = [y, X @ w, *(X[:, j] for j in order)]
    titles = ["given", "Lasso", *(f"{w[j]:+.2f}" for j in order)]
    blank = np.zeros((10, 1))
    rows = [
        np.hstack([part for k in half for part in (_framed(images[k]), blank)])
        for half in (range(7), range(7, 14))
    ]
    ax.imshow(np.vstack([rows[0], np.zeros((3, rows[0].shape[1])), rows[1]]), cmap="Greys")
    for k, title in enumerate(titles):
        ax.text(11 * (k % 7) + 4.5, 13 * (k // 7) + 0.2, title, ha="center", fontsize=8)
    ax.set_axis_off()


def _framed(image):
    image = image.reshape(8, 8)
    return np.pad(np.clip(image / image.max(), 0, 1), 1)


def _scores(ax, z, y):
    """The scores of the two kinds of tumours, the furthest in the outer bars."""
    z = np.clip(z, -15, 15)
    cells = np.linspace(-15, 15, 61)
    ax.hist([z[y < 0], z[y > 0]], cells, stacked=True, label=["benign", "malignant"])
    ax.axvline(0, color="0.5", lw=0.8)
    ax.set_xlabel("score of the model (outer bars: beyond)")
    ax.set_ylabel("tumours")
    ax.legend()
