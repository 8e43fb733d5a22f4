"""What the solvers of this family return."""

import math

from scipy.optimize import OptimizeResult

from refopt import _driver, _status, _validate

MEASURE = "error"
_WORDS = "the larger of scaled dual residual and constraint violation"


def run(problem, iterates, *, tol, maxiter, callback, disp, time_limit, return_all=None):
    """`_driver.run` with the family's measure and view."""
    if time_limit is not None:
        time_limit = _validate.positive(time_limit, "time_limit")

    def view(iterate, nit):
        point = iterate.x
        return OptimizeResult(
            x=problem.full(point.x), fun=point.f, nit=nit, nfev=problem.nfev,
            njev=problem.njev, multipliers=point.l.copy(), optimality=point.optimality(),
            constr_violation=point.violation(),
        )  # fmt: skip

    return _driver.run(
        iterates, tol=tol, maxiter=maxiter, callback=callback, view=view,
        disp=_validate.display(disp), time_limit=time_limit, measure=MEASURE,
    )  # fmt: skip


def finish(problem, outcome, newton, *, tol, backend, dtype):
    """The result of a run, its measure that of the point that is returned."""
    point = outcome.best.x
    status = outcome.status
    broken = not point.finite
    error = math.nan if broken else point.error()
    if status == _status.CONVERGED and not error <= tol:
        status = _status.STALLED
    xp = problem.xp
    c = problem.split(point.c)
    v = problem.split(point.l)
    return OptimizeResult(
        x=xp.astype(problem.full(point.x), dtype, copy=False),
        fun=point.f,
        success=status == _status.CONVERGED,
        status=status,
        message=_status.message(
            status, measure=_WORDS, error=error, tol=tol, detail=outcome.detail
        ),
        nit=outcome.nit,
        nfev=problem.nfev,
        njev=problem.njev,
        nhev=problem.nhev,
        ncev=problem.ncev,
        ncjev=problem.ncjev,
        inner_nit=newton.inner_nit,
        lin_solver=newton.lin_solver,
        history=outcome.history,
        backend=backend,
        jac=point.g,
        v=v,
        multipliers=point.l,
        constr=c,
        constr_violation=point.violation(),
        optimality=point.optimality(),
        lagrangian_grad=point.gL,
        eta1=newton.eta1,
        eta2=newton.eta2,
    )
