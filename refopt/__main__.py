"""``python -m refopt``: solve real problems here, certify them, compare.

Each demo is a function ``demo(backend) -> Row``; a family adds its own to
`DEMOS`. The figures in a row are computed from what the solver returned, by
the readable reference kernels or by NumPy, whatever backend solved the problem.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import refopt
from refopt._demos import control, halpern, pressure, relu, sparse_regression, transport
from refopt._demos.row import TOL, Row, arrays, pictures

DEMOS: tuple[Callable[..., Row], ...] = (
    partial(transport.digits, norm="l1"),
    partial(transport.digits, norm="l2"),
    transport.point_cloud,
    transport.assignment,
    sparse_regression.digit_from_digits,
    sparse_regression.malignant,
    halpern.game,
    pressure.smoke,
    control.elliptic,
    relu.network,
)


# The table, the picture, the command


_FORMAT = "{:<34} {:<8} {:>10} {:>9} {:>9} {:>7}   {}"
_TITLES = ("problem", "backend", "iterations", "error", "gap", "time/s", "beside it")


def _line(row):
    figures = f"{row.error:.1e}", f"{row.gap:.1e}", f"{row.seconds:.3f}"
    other = row.other if row.holds else f"{row.other}   CERTIFICATE FAILS"
    return _FORMAT.format(row.problem, row.backend, row.iterations, *figures, other)


def _picture(rows, file):
    """Convergence and solution of every row, in one image file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.1 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)  # a file needs no window
    axes = figure.subplots(len(rows), 2, squeeze=False, width_ratios=(1, 1.5))
    for (left, right), row in zip(axes, rows, strict=True):
        for name, run in row.runs.items():
            pictures().convergence(run, left, name)
        left.axhline(TOL, color="0.5", lw=0.8, ls=":")
        if max(run.nit for run in row.runs.values()) > 10:
            left.set_xscale("symlog", linthresh=10)
        else:
            left.locator_params("x", integer=True)
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
        arrays(options.backend, 0.0)
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
    "error: recomputed from the returned solution: of the marginals, or of the optimality\n"
    "conditions relative to the penalty, or of strategies, or |b - A x|/|b|, or of a network's\n"
    f"objective; at most {TOL:g};\n"
    f"gap: from a feasible point to a dual value: of transport at most {transport.GAP:g} of the "
    f"largest\ncost, else {sparse_regression.GAP:g} of the objective at zero or a game's largest "
    f"entry;\nof a network at most {relu.GAP:g} of its objective, to a bound of all networks;\n"
    "time: the better of two calls, without compilation."
)


if __name__ == "__main__":
    sys.exit(main())
