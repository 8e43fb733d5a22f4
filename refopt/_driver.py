"""The one iteration driver: what every algorithm needs around its mathematics.

An algorithm is a generator. It yields an `Iterate` for its starting point and
one after every iteration, and may end itself by returning ``(status, detail)``.
It never writes into an array that it has yielded.
"""

import inspect
import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _status

_NOTHING: Mapping[str, float] = MappingProxyType({})


class Iterate(NamedTuple):
    """One point of an iteration.

    Attributes
    ----------
    x : Any
        The iterate, an array or whatever the family returns as its state.
    fun : float
        The objective.
    error : float
        The family's stopping measure.
    record : dict of str to float
        Further columns of the history, the same keys in every iterate.
    final : bool
        Whether `error` is that of the problem asked. False while a
        continuation parameter is on its way: such iterates neither converge
        nor compete for the best.
    """

    x: Any
    fun: float
    error: float
    record: Mapping[str, float] = _NOTHING
    final: bool = True


@dataclass(frozen=True)
class Outcome:
    """How an iteration ended.

    Attributes
    ----------
    best : Iterate
        The last iterate if it converged, else the finite one of least error.
    status : int
        See `_status`.
    detail : str
        What the algorithm had to say about its end.
    nit : int
        Number of iterations.
    history : dict of str to ndarray
        One entry per iterate, the starting point included.
    """

    best: Iterate
    status: int
    detail: str
    nit: int
    history: dict[str, np.ndarray]


def run(
    algorithm: Generator[Iterate, None, tuple[int, Any] | None],
    *,
    tol: float,
    maxiter: int,
    callback: Callable | None = None,
    view: Callable[[Iterate, int], OptimizeResult] | None = None,
    disp: bool | int = False,
    time_limit: float | None = None,
    measure: str = "error",
    check_every: int = 1,
) -> Outcome:
    """Drive an algorithm to its end.

    Parameters
    ----------
    algorithm : generator of Iterate
        See the module.
    tol : float
        Stop when ``iterate.error <= tol`` for a final iterate.
    maxiter : int
        Largest number of iterations; 0 evaluates the starting point only.
    callback : callable, optional
        As in SciPy: ``callback(intermediate_result)``, by keyword if the
        parameter is so named. StopIteration ends the run.
    view : callable, optional
        ``view(iterate, nit)`` makes what the callback sees, with arrays of its
        own. Needed with a callback.
    disp : bool or int
        Print every iteration, or every `disp`-th.
    time_limit : float, optional
        Seconds.
    measure : str
        Key of the error in the history.
    check_every : int
        Serve callback, display and clock every so many iterations.

    Returns
    -------
    Outcome
    """
    tell = listener(callback, view)
    began = time.perf_counter()
    rows: list[dict[str, float]] = []
    best: Any = None
    status: int | None = None
    detail, nit = "", -1
    while status is None:
        try:
            iterate = next(algorithm)
        except StopIteration as end:
            status, detail = end.value or (_status.STALLED, "")
            break
        nit += 1
        elapsed = time.perf_counter() - began
        rows.append({"time": elapsed, "fun": iterate.fun, measure: iterate.error, **iterate.record})
        served = nit % check_every == 0
        status = _verdict(iterate, nit, tol, maxiter, elapsed if served else 0.0, time_limit)
        if best is None or status == _status.CONVERGED or _better(iterate, best):
            best = iterate
        if disp and nit % (check_every if disp is True else int(disp)) == 0:
            print(_line(nit, iterate, measure))
        if tell is not None and nit and (served or status is not None) and _finite(iterate):
            try:
                tell(iterate, nit)
            except StopIteration:
                status = status if status == _status.CONVERGED else _status.CALLBACK_STOP
    algorithm.close()
    keys = rows[0] if rows else ()
    history = {key: np.array([row[key] for row in rows]) for key in keys}
    return Outcome(best, status, detail, max(nit, 0), history)


def _verdict(iterate, nit, tol, maxiter, elapsed, time_limit):
    """The status that this iterate ends the run with, or None."""
    if not _finite(iterate):
        return _status.BREAKDOWN
    if iterate.final and iterate.error <= tol:
        return _status.CONVERGED
    if nit >= maxiter:
        return _status.MAXITER
    if time_limit is not None and elapsed > time_limit:
        return _status.TIME_LIMIT
    return None


def _finite(iterate):
    return math.isfinite(iterate.error) and not math.isnan(iterate.fun)


def _better(new, old):
    """Finite first, then nearer to the problem, then less error; of equals the newer."""
    if not _finite(new):
        return False
    return new.final > old.final or (new.final == old.final and new.error <= old.error)


def _line(nit, iterate, measure):
    extra = "".join(f"  {key} {value:.3g}" for key, value in iterate.record.items())
    return f"{nit:6d}  fun {iterate.fun: .10e}  {measure} {iterate.error:.3e}{extra}"


def listener(callback, view):
    """The callback as a function of an iterate and its number, None if there is none."""
    if callback is None:
        return None
    tell = by_position(callback)
    return lambda iterate, nit: tell(view(iterate, nit))


def by_position(callback: Callable) -> Callable[[OptimizeResult], Any]:
    """The callback as a function that takes its result by position."""
    if not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__}")
    try:
        parameters = inspect.signature(callback).parameters
    except (TypeError, ValueError):  # some builtins have no signature
        parameters = ()
    if set(parameters) == {"intermediate_result"}:
        return lambda result: callback(intermediate_result=result)
    return callback
