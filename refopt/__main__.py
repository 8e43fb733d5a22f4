"""``python -m refopt``: solve real problems here, certify them, compare.

Each demo is a function ``demo(backend) -> Row``; a family adds its own to
`DEMOS`. The figures in a row are computed from what the solver returned, by
the readable reference kernels, whatever backend solved the problem.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import refopt
from refopt import problems
from refopt_backends import resolve

TOL = 1e-9
_GAP = 1e-8  # largest duality gap, relative to the largest cost
_PLAIN_ITERATIONS, _PLAIN_SECONDS = 2000, 3.0  # what the plain method is given


@dataclass(frozen=True)
class Row:
    """One solved problem.

    Attributes
    ----------
    problem, backend : str
    iterations : int
    error : float
        Of the returned solution, recomputed outside the solver.
    gap : float
        Duality gap.
    seconds : float
        The better of two calls, after one that compiles.
    other : str
        The other method and its figures.
    holds : bool
        Whether every certificate holds.
    runs : dict of str to OptimizeResult
        Whose convergence is worth a curve.
    draw : callable
        ``draw(ax)`` makes a picture of the solution.
    """

    problem: str
    backend: str
    iterations: int
    error: float
    gap: float
    seconds: float
    other: str
    holds: bool
    runs: dict
    draw: Callable


def digits(backend=None, norm="l1", i=20, j=45):
    """Two handwritten digits as masses on a grid, beside plain Sinkhorn iterations."""
    problem = problems.digits(norm, i, j)
    C, a, b = _arrays(backend, problem.C, problem.a, problem.b)
    ground = {"l1": "city-block", "l2": "squared Euclidean"}[norm]
    solved = _transport(C, a, b, problem.reg, 1.0, backend)
    other, runs = _beside_plain(C, a, b, problem.reg, backend, solved["runs"])
    return Row(
        problem=f"digits 28 x 28, {ground}",
        other=other,
        **solved | {"runs": runs},
        draw=lambda ax: _plot().interpolation(runs["refopt"], (28, 28), ax=ax),
    )


def point_cloud(backend=None, n=2000):
    """Two point clouds whose distances are never stored, beside plain Sinkhorn iterations."""
    problem = problems.cloud2(n, 1e-3, dense=False)
    X, Y, a, b = _arrays(backend, problem.X, problem.Y, problem.a, problem.b)
    C = refopt.PointCloudCost(X, Y)
    solved = _transport(C, a, b, problem.reg, 1e3 * problem.reg, backend)
    other, runs = _beside_plain(C, a, b, problem.reg, backend, solved["runs"])
    return Row(
        problem=f"point clouds {n} x {n}, lazy",
        other=other,
        **solved | {"runs": runs},
        draw=lambda ax: _plot().plan(runs["refopt"], X, Y, ax=ax),
    )


def assignment(backend=None, n=800):
    """A random assignment, beside SciPy's exact one.

    With s = sum_ij P_ij log P_ij the optimal plan P minimises <P, C> + reg s, and
    -2 log n <= s <= -log n: its cost exceeds the least one by at most reg log n.
    """
    from scipy.optimize import linear_sum_assignment

    problem = problems.assign(n)
    C, a, b = _arrays(backend, problem.C, problem.a, problem.b)
    solved = _transport(C, a, b, problem.reg, 1.0, backend)
    result = solved["runs"]["refopt"]
    began = time.perf_counter()
    rows, columns = linear_sum_assignment(problem.C)
    seconds = time.perf_counter() - began
    excess = result.cost - problem.C[rows, columns].mean()
    bound = problem.reg * math.log(n)
    solved["holds"] &= -TOL <= excess <= bound + TOL

    def draw(ax):
        plan = refopt.transport_plan(result)
        plan = plan.get() if hasattr(plan, "get") else plan  # a picture is made on the host
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


DEMOS: tuple[Callable[..., Row], ...] = (
    partial(digits, norm="l1"),
    partial(digits, norm="l2"),
    point_cloud,
    assignment,
)


def _transport(C, a, b, reg, top, backend):
    """Solve, time it, certify it: the fields of a Row."""
    solve = partial(refopt.sinkhorn_newton, C, a, b, reg=reg, tol=TOL, backend=backend)
    solve()
    # Rounding may lead a second call to a kernel that the first one did not meet.
    seconds = math.inf
    for _ in range(2):
        began = time.perf_counter()
        result = solve()
        seconds = min(seconds, time.perf_counter() - began)
    error = refopt.marginal_error(result.f, result.g, C, a, b, reg, backend="reference")
    gap = result.gap
    return {
        "backend": result.backend,
        "iterations": result.nit,
        "error": error,
        "gap": gap,
        "seconds": seconds,
        "holds": bool(result.success and error <= TOL and abs(gap) <= _GAP * top),
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


def _arrays(backend, *arrays):
    """The arrays where the backend wants them."""
    xp, _ = resolve(backend=backend)
    return [xp.asarray(x) for x in arrays]


# The table, the picture, the command


_FORMAT = "{:<34} {:<8} {:>10} {:>9} {:>9} {:>7}   {}"
_TITLES = ("problem", "backend", "iterations", "error", "gap", "time/s", "beside it")


def _line(row):
    figures = f"{row.error:.1e}", f"{row.gap:.1e}", f"{row.seconds:.2f}"
    other = row.other if row.holds else f"{row.other}   CERTIFICATE FAILS"
    return _FORMAT.format(row.problem, row.backend, row.iterations, *figures, other)


def _plot():
    from refopt import plot  # not needed for the table

    return plot


def _picture(rows, file):
    """Convergence and solution of every row, in one image file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.1 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)  # a file needs no window
    axes = figure.subplots(len(rows), 2, squeeze=False, width_ratios=(1, 1.5))
    for (left, right), row in zip(axes, rows, strict=True):
        for name, run in row.runs.items():
            _plot().convergence(run, left, name)
        left.axhline(TOL, color="0.5", lw=0.8, ls=":")
        left.set_xscale("symlog", linthresh=10)
        left.set_xlim(left=0)
        left.legend()
        left.set_title(row.problem)
        row.draw(right)
    figure.savefig(file, dpi=110)


def main(argv=None, demos=DEMOS):
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Its arguments; by default those of the process.
    demos : sequence of callable, optional
        ``demo(backend) -> Row``.

    Returns
    -------
    int
        0 if every certificate holds, else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m refopt", description=_DESCRIPTION)
    parser.add_argument("--backend", metavar="NAME", help="numpy, numba, cupy or a registered one")
    parser.add_argument("--plot", metavar="FILE", help="draw convergence and solutions (PNG)")
    options = parser.parse_args(argv)
    try:
        _arrays(options.backend, 0.0)
    except (ValueError, ImportError, RuntimeError) as error:
        parser.error(str(error))
    if options.plot and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib, which is not installed; pip install 'refopt[plot]'")
    if options.plot and not Path(options.plot).absolute().parent.is_dir():
        parser.error(f"--plot: there is no folder for {options.plot}")

    refopt.show_versions()
    print()
    sys.stdout.flush()
    print(
        "Solving; kernels that are new here are compiled first ...\n", file=sys.stderr, flush=True
    )
    print(_FORMAT.format(*_TITLES), flush=True)
    rows = []
    for demo in demos:
        rows.append(demo(options.backend))
        print(_line(rows[-1]), flush=True)
    if options.plot:
        _picture(rows, options.plot)
        print(f"\nPicture: {options.plot}")
    holding = sum(row.holds for row in rows)
    print(f"\n{_MEANING}\n{holding} of {len(rows)} certificates hold.")
    return 0 if holding == len(rows) else 1


_DESCRIPTION = "Solve real problems, certify the solutions, compare with another method."
_MEANING = (
    f"error: recomputed from the returned solution, at most {TOL:g};\n"
    f"gap: from a feasible plan to the dual value, at most {_GAP:g} of the largest cost;\n"
    "time: the better of two calls, without compilation."
)


if __name__ == "__main__":
    sys.exit(main())
