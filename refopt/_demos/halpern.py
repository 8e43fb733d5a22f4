"""A matrix game, beside what a SciPy user would write: a linear program."""

import time

import numpy as np

import refopt
from refopt import problems
from refopt._demos.row import TOL, Row, arrays, on_host, timed

GAP = 1e-9  # largest duality gap, relative to the largest entry


def game(backend=None, m=300, n=400, seed=1):
    """A game of normal payments, beside `scipy.optimize.linprog`."""
    A = problems.gaussian_game(m, n, seed)
    (given,) = arrays(backend, A)
    result, seconds = timed(
        lambda: refopt.matrix_game(given, tol=0.0, rtol=0.1 * GAP, backend=backend)
    )
    x, y = on_host(result.x), on_host(result.y)
    gap = certificate(A, x, y)
    error = max(abs(x.sum() - 1.0), abs(y.sum() - 1.0), -x.min(), -y.min())
    other_x, other_y, other_seconds = _linear_program(A)
    other = f"SciPy's linprog: gap {certificate(A, other_x, other_y):.1e}, {other_seconds:.2f} s"
    return Row(
        problem=f"matrix game, {m} x {n} strategies",
        backend=result.backend,
        iterations=result.nit,
        error=error,
        gap=gap,
        seconds=seconds,
        other=other,
        holds=bool(result.success and error <= TOL and abs(gap) <= GAP),
        runs={"refopt": result},
        draw=lambda ax: _strategies(ax, x, y),
    )


def certificate(A, x, y):
    """The duality gap over the largest entry, in plain NumPy."""
    return float(((A @ x).max() - (A.T @ y).min()) / np.abs(A).max())


def _linear_program(A):
    """min t, A x <= t, x in the simplex; y are the multipliers of the rows."""
    from scipy.optimize import linprog

    m, n = A.shape
    cost, total = np.append(np.zeros(n), 1.0), np.append(np.ones(n), 0.0)
    rows = np.hstack([A, -np.ones((m, 1))])
    bounds = [(0, None)] * n + [(None, None)]
    began = time.perf_counter()
    found = linprog(cost, rows, np.zeros(m), total[None, :], [1.0], bounds)
    seconds = time.perf_counter() - began
    x, y = np.maximum(found.x[:n], 0.0), np.maximum(-found.ineqlin.marginals, 0.0)
    return x / x.sum(), y / y.sum(), seconds


def _strategies(ax, x, y):
    """Both strategies, the largest weights first."""
    for weights, name in ((x, "minimiser, columns"), (y, "maximiser, rows")):
        ax.plot(np.sort(weights)[::-1], drawstyle="steps-post", label=name)
    ax.set_xlabel("strategies, the most played first")
    ax.set_ylabel("weight")
    ax.legend()
