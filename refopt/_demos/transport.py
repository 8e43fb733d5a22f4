"""Entropic optimal transport: digits, point clouds, an assignment."""

import math
import time
from functools import partial

import numpy as np

import refopt
from refopt import problems
from refopt._demos.row import TOL, Row, arrays, on_host, pictures, timed

GAP = 1e-8  # largest duality gap, relative to the largest cost
_PLAIN_ITERATIONS, _PLAIN_SECONDS = 2000, 3.0  # what the plain method is given


def digits(backend=None, norm="l1", i=20, j=45):
    """Two handwritten digits as masses on a grid, beside plain Sinkhorn iterations."""
    problem = problems.digits(norm, i, j)
    C, a, b = arrays(backend, problem.C, problem.a, problem.b)
    ground = {"l1": "city-block", "l2": "squared Euclidean"}[norm]
    solved = _transport(C, a, b, problem.reg, 1.0, backend)
    other, runs = _beside_plain(C, a, b, problem.reg, backend, solved["runs"])
    return Row(
        problem=f"digits 28 x 28, {ground}",
        other=other,
        **solved | {"runs": runs},
        draw=lambda ax: pictures().interpolation(runs["refopt"], (28, 28), ax=ax),
    )


def point_cloud(backend=None, n=2000):
    """Two point clouds whose distances are never stored, beside plain Sinkhorn iterations."""
    problem = problems.cloud2(n, 1e-3, dense=False)
    X, Y, a, b = arrays(backend, problem.X, problem.Y, problem.a, problem.b)
    C = refopt.PointCloudCost(X, Y)
    solved = _transport(C, a, b, problem.reg, 1e3 * problem.reg, backend)
    other, runs = _beside_plain(C, a, b, problem.reg, backend, solved["runs"])
    return Row(
        problem=f"point clouds {n} x {n}, lazy",
        other=other,
        **solved | {"runs": runs},
        draw=lambda ax: pictures().plan(runs["refopt"], X, Y, ax=ax),
    )


def assignment(backend=None, n=800):
    """A random assignment, beside SciPy's exact one.

    With s = sum_ij P_ij log P_ij the optimal plan P minimises <P, C> + reg s, and
    -2 log n <= s <= -log n: its cost exceeds the least one by at most reg log n.
    """
    from scipy.optimize import linear_sum_assignment

    problem = problems.assign(n)
    C, a, b = arrays(backend, problem.C, problem.a, problem.b)
    solved = _transport(C, a, b, problem.reg, 1.0, backend)
    result = solved["runs"]["refopt"]
    began = time.perf_counter()
    rows, columns = linear_sum_assignment(problem.C)
    seconds = time.perf_counter() - began
    excess = result.cost - problem.C[rows, columns].mean()
    bound = problem.reg * math.log(n)
    solved["holds"] &= -TOL <= excess <= bound + TOL

    def draw(ax):
        plan = on_host(refopt.transport_plan(result))
        ax.plot(np.sort(n * plan[rows, columns])[::-1])
        ax.set_xlabel("rows, sorted")
        ax.set_ylabel("share sent to SciPy's partner")
        ax.set_ylim(0, 1)

    return Row(
        problem=f"random assignment {n} x {n}",
        other=f"SciPy's exact cost {excess:.1e} lower (bound {bound:.1e}), {seconds:.2f} s",
        **solved,
        draw=draw,
    )


def _transport(C, a, b, reg, top, backend):
    """Solve, time it, certify it: the fields of a Row."""
    solve = partial(refopt.sinkhorn_newton, C, a, b, reg=reg, tol=TOL, backend=backend)
    result, seconds = timed(solve)
    error = refopt.marginal_error(result.f, result.g, C, a, b, reg, backend="reference")
    gap = result.gap
    return {
        "backend": result.backend,
        "iterations": result.nit,
        "error": error,
        "gap": gap,
        "seconds": seconds,
        "holds": bool(result.success and error <= TOL and abs(gap) <= GAP * top),
        "runs": {"refopt": result},
    }


def _beside_plain(C, a, b, reg, backend, runs):
    """What Sinkhorn's iteration alone reaches in the time and iterations it is given."""
    limits = {"maxiter": _PLAIN_ITERATIONS, "time_limit": _PLAIN_SECONDS}
    began = time.perf_counter()
    plain = refopt.sinkhorn(C, a, b, reg=reg, tol=TOL, eps_scaling=None, backend=backend, **limits)
    seconds = time.perf_counter() - began
    text = f"plain Sinkhorn: error {plain.marginal_error:.1e}, {plain.nit} it., {seconds:.2f} s"
    return text, runs | {"plain Sinkhorn": plain}
