"""What a demo returns, and what demos share."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from refopt_backends import resolve

TOL = 1e-9


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
        Duality gap; of a linear system, the relative residual.
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


def arrays(backend, *given):
    """The arrays where the backend wants them."""
    xp, _ = resolve(backend=backend)
    return [xp.asarray(x) for x in given]


def on_host(x):
    """A NumPy array: pictures and NumPy's own arithmetic are made on the host."""
    return x.get() if hasattr(x, "get") else x


def timed(solve):
    """The result of a call and the seconds of the better of two, after one that compiles.

    Rounding may lead a second call to a kernel that the first one did not meet.
    """
    solve()
    seconds = math.inf
    for _ in range(2):
        began = time.perf_counter()
        result = solve()
        seconds = min(seconds, time.perf_counter() - began)
    return result, seconds


def pictures():
    """The module of pictures, which a table does not need."""
    from refopt import plot

    return plot
