"""Control of an elliptic equation, beside SciPy's trust-region method for constraints."""

import math
import time

import numpy as np
from scipy.sparse.linalg import lsqr

import refopt
from refopt import problems
from refopt._demos.row import TOL, Row, timed


def elliptic(backend=None, size=64):
    """A nonlinear equation as constraint; its derivatives are SciPy's sparse matrices."""
    problem = problems.elliptic_control(size)
    backend = None if backend == "cupy" else backend  # sparse matrices of the host
    result, seconds = timed(
        lambda: refopt.minimize_equality(**problem.arguments(), tol=0.1 * TOL, backend=backend)
    )
    error = certificate(problem, result.x)
    other, other_seconds = _trust_constr(problem)
    return Row(
        problem=f"control, {problem.n} variables",
        backend=result.backend,
        iterations=result.nit,
        error=error,
        gap=math.nan,
        seconds=seconds,
        other=(
            f"SciPy's trust-constr: {other.nit} iterations, {certificate(problem, other.x):.1e}, "
            f"{other_seconds:.2f} s"
        ),
        holds=bool(result.success and error <= TOL),
        runs={"refopt": result},
        draw=lambda ax: _temperature(ax, problem, result.x),
    )


def certificate(problem, x):
    """The KKT error at x with least-squares multipliers, in plain NumPy and SciPy."""
    g, G = problem.grad(x), problem.jac(x)
    l = lsqr(G.T, -g, atol=1e-14, btol=1e-14, iter_lim=10 * problem.m)[0]
    optimality = np.abs(g + G.T @ l).max() / max(1.0, np.abs(g).max())
    return float(max(optimality, np.abs(problem.cons(x)).max()))


def _trust_constr(problem):
    from scipy.optimize import minimize

    given = problem.arguments()
    began = time.perf_counter()
    found = minimize(method="trust-constr", options={"gtol": TOL, "maxiter": 300}, **given)
    return found, time.perf_counter() - began


def _temperature(ax, problem, x):
    ax.imshow(x[: problem.m].reshape(problem.N, problem.N).T, origin="lower")
    ax.set_xlabel("temperature")
    ax.set(xticks=(), yticks=())
