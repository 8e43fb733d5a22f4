"""What the solvers of this family return."""

from collections.abc import Callable
from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _driver, _status, _validate
from refopt.halpern._components import NotANumber
from refopt.halpern._safeguard import Guard

MEASURE = "residual"
_WORDS = {False: "residual |F(u)|", True: "natural residual |u - J(u - F(u))|"}


def run(problem, algorithm, *, tol, maxiter, callback, disp, time_limit):
    """`_driver.run` with the family's measure and view."""
    if time_limit is not None:
        time_limit = _validate.positive(time_limit, "time_limit")

    def view(iterate, nit):
        x = problem.xp.asarray(iterate.x, copy=True)
        return OptimizeResult(
            **problem.items(x), fun=iterate.fun, residual=iterate.error, nit=nit,
            nfev=iterate.record.get("nfev", nit + 1),
        )  # fmt: skip

    return _driver.run(
        algorithm,
        tol=tol,
        maxiter=maxiter,
        callback=callback,
        view=view,
        disp=_validate.display(disp),
        time_limit=time_limit,
        measure=MEASURE,
    )


def solve(
    problem, u, method, step, L, *, tol, rtol, maxiter, maxfev, time_limit, callback, disp,
    detail="",
):  # fmt: skip
    """Run a method with a safeguard and budgets, and make the result."""
    maxiter = _validate.count(maxiter, "maxiter")
    maxfev = _validate.positive(maxfev, "maxfev")
    tol = tolerance(tol, rtol, lambda: problem.residual(u, problem.F(u)))
    guard = Guard(problem, step, maxfev)
    outcome = run(
        problem, guard.iterates(method, u), tol=tol, maxiter=maxiter, callback=callback,
        disp=disp, time_limit=time_limit,
    )  # fmt: skip
    return finish(problem, outcome, guard, tol=tol, L=L, detail=detail)


def tolerance(tol: Any, rtol: Any, start: Callable[[], float]) -> float:
    """tol + rtol r(u_0), where start() is r(u_0); a run that begins with NaN tells it itself."""
    tol, rtol = _validate.nonnegative(tol, "tol"), _validate.nonnegative(rtol, "rtol")
    try:
        return tol + rtol * start() if rtol else tol
    except NotANumber:
        return tol


def finish(problem, outcome, guard, *, tol, L, detail=""):
    """The result of a run, the residual recomputed at the point that is returned.

    Parameters
    ----------
    problem : Inclusion
    outcome : Outcome
    guard : Guard
    tol : float
        What the residual was to fall to.
    L : float or None
        The constant that the step came from.
    detail : str
        A sentence for the message.

    Returns
    -------
    OptimizeResult
    """
    x = problem.xp.asarray(outcome.best.x, copy=True)
    last = {key: column[-1] for key, column in outcome.history.items() if column.size}
    ending = outcome.detail
    try:
        g = problem.F(x)
        residual, gap = problem.residual(x, g), problem.gap(x, g)
    except NotANumber as broken:
        residual, gap, ending = outcome.best.error, None, ending or f"{broken}."
    status = settled(outcome.status, residual, tol)
    text = " ".join(t for t in (ending, guard.detail(), detail) if t)
    whole = problem.n == 1
    return OptimizeResult(
        **problem.items(x),
        fun=float(residual),
        success=status == _status.CONVERGED,
        status=status,
        message=_status.message(
            status, measure=_WORDS[problem.constrained], error=residual, tol=tol, detail=text
        ),
        nit=outcome.nit,
        nfev=problem.ncomp if whole else problem.ncomp / problem.n,
        history=outcome.history,
        backend=problem.kernels.name,
        residual=float(residual),
        gap=gap,
        ncomp=problem.ncomp,
        nstep=int(last.get("nstep", 0)),
        nrestart=int(last.get("restart", 0)),
        step=guard.step.eta,
        L=L,
    )


def settled(status: int, residual: float, tol: float) -> int:
    """The status by the recomputed residual."""
    if status == _status.CONVERGED and not residual <= tol:
        return _status.STALLED
    ended: tuple[Any, ...] = (_status.MAXITER, _status.STALLED, _status.TIME_LIMIT)
    return _status.CONVERGED if status in ended and residual <= tol else status
