"""What is recomputed at the end of a run, and what the user gets."""

import inspect
import math
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _driver, _status, _validate

MEASURE = "residual"
OUTSIDE = (
    "A is singular and b lies outside its range; x solves the rest. Name the vectors that A maps "
    'to zero with nullspace=, or say "auto".'
)


def run(system, algorithm, *, unit, leave, maxiter, callback, disp, time_limit):
    """`_driver.run` on a system: the callback sees x and the result in the user's units."""

    def view(iterate, nit):
        x = leave(system.solution())
        if alone:
            return x
        return OptimizeResult(
            x=x, fun=iterate.fun * unit * unit, residual=iterate.error * unit, nit=nit,
            nfev=system.nfev,
        )  # fmt: skip

    alone = callback is not None and not _by_keyword(callback)  # as SciPy's cg
    return _driver.run(
        algorithm,
        tol=system.tau,
        maxiter=maxiter,
        callback=callback,
        view=view,
        disp=_validate.display(disp),
        time_limit=time_limit,
        measure=MEASURE,
    )


def _by_keyword(callback):
    if not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__}")
    try:
        return set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):  # some builtins have no signature
        return False


def finish(system, outcome, *, unit, leave, dtype, full_output):
    """The solution and SciPy's info, or the full result.

    Parameters
    ----------
    system : LinearSystem
    outcome : Outcome
    unit : float
        What right-hand sides and solutions were divided by.
    leave : callable
        From a solution to the user's, in float64 and his units.
    dtype : dtype
        Of the solution that is returned.
    full_output : bool

    Returns
    -------
    x : array
    info : int or OptimizeResult
    """
    xp = system.operator.xp
    residual, energy = system.known or system.verified()
    status, detail = _settled(outcome.status, residual, system.tau), outcome.detail
    if system.outside > system.tau:
        status, detail = _status.INFEASIBLE, OUTSIDE
    x = xp.astype(leave(system.solution()), dtype, copy=False)
    detail = _detail(system, detail, dtype, unit)
    if status == _status.INFEASIBLE:
        message = f"{detail} The residual is {residual * unit:.3g}."
    else:
        message = _status.message(
            status, measure="residual |b - A x|", error=residual * unit, tol=system.tau * unit,
            detail=detail,
        )  # fmt: skip
    info = {_status.CONVERGED: 0}.get(status, -status)
    if status in (_status.MAXITER, _status.CALLBACK_STOP, _status.TIME_LIMIT):
        info = max(outcome.nit, 1)
    if not full_output:
        return x, info
    history = dict(outcome.history)
    history[MEASURE] = history[MEASURE] * unit
    if unit != 1.0:  # as Python's numbers, which overflow in silence
        for key in ("fun", "energy_drop"):
            history[key] = np.array([v * unit * unit for v in history[key].tolist()])
    history["accepted"] = history["accepted"] > 0
    return x, OptimizeResult(
        x=x,
        fun=energy * unit * unit,
        success=status == _status.CONVERGED,
        status=status,
        message=message,
        nit=outcome.nit,
        nfev=system.nfev,
        n_model=system.n_model,
        n_fallback=system.n_fallback,
        n_restart=system.n_restart,
        residual=residual * unit,
        b_removed=system.removed * unit,
        backend=system.operator.kernels.name,
        history=history,
    )


def _settled(status: int, residual: float, tol: float) -> int:
    """The status by the recomputed residual."""
    if status == _status.CONVERGED and not residual <= tol:
        return _status.STALLED
    ended: tuple[Any, ...] = (_status.MAXITER, _status.STALLED, _status.TIME_LIMIT)
    return _status.CONVERGED if status in ended and residual <= tol else status


def _detail(system, detail, dtype, unit):
    """What is to be said beside the status."""
    said = [detail] if detail else []
    if system.removed > math.sqrt(np.finfo(np.float64).eps) * math.hypot(
        system.b_norm, system.removed
    ):
        said.append(
            f"A part of b of norm {system.removed * unit:.3g} lies in the null space of A and was "
            "taken out; the residual is that of the rest."
        )
    if system.n_fallback:
        said.append(f"{system.n_fallback} steps were not along the model's direction.")
    if dtype == np.float32:
        said.append("The solution was rounded to float32 afterwards, as b is float32.")
    return " ".join(said)
