"""What the solvers of this family return."""

import math

from scipy.optimize import OptimizeResult

from refopt import _driver, _status, _validate
from refopt.augmented_lagrangian._multipliers import eigenvalues, null_space
from refopt.augmented_lagrangian._operators import is_operator, is_sparse
from refopt.augmented_lagrangian._point import Point, evaluate

MEASURE = "error"
_WORDS = "the larger of scaled dual residual and constraint violation"
_AFFORDABLE = 200  # variables up to which an eigenvalue is computed for the user


def run(problem, iterates, *, tol, maxiter, callback, disp, time_limit):
    """`_driver.run` with the family's measure and view."""
    if time_limit is not None:
        time_limit = _validate.positive(time_limit, "time_limit")

    def view(iterate, nit):
        point = iterate.x
        return OptimizeResult(
            x=problem.full(point.x), fun=point.f, nit=nit, nfev=problem.nfev,
            njev=problem.njev, multipliers=problem.own_multipliers(point.l),
            optimality=point.optimality(), constr_violation=point.violation(),
        )  # fmt: skip

    return _driver.run(
        iterates, tol=tol, maxiter=maxiter, callback=callback, view=view,
        disp=_validate.display(disp), time_limit=time_limit, measure=MEASURE,
    )  # fmt: skip


def finish(
    problem, outcome, newton, *, tol, backend, detail="", measure=Point.error, words=_WORDS
):  # fmt: skip
    """The result of a run, its measure that of the point that is returned."""
    point, status = newton.state.get("stationary", outcome.best.x), outcome.status
    if problem.single and point.finite:
        point = evaluate(problem, problem.rounded(point.x), point.l)
    broken = not (point.finite and point.finite_jacobian)
    optimality, violation = (
        (math.nan, math.nan) if broken else (point.optimality(), point.violation())
    )
    error = math.nan if broken else measure(point)
    if status == _status.CONVERGED and not error <= tol:
        status = _status.STALLED
    elif status in (_status.MAXITER, _status.STALLED, _status.TIME_LIMIT) and error <= tol:
        status = _status.CONVERGED
    why = f"Not finite at x0: {point.broken_parts()}." if broken else ""
    texts = (outcome.detail, detail, why)
    message = _status.message(
        status, measure=words, error=error, tol=tol, detail=" ".join(t for t in texts if t)
    )
    if "stationary" in newton.state:
        message = outcome.detail
    multipliers = problem.own_multipliers(point.l)
    c = point.c if problem.units is None else problem.units * point.c
    return OptimizeResult(
        x=problem.returned(point.x),
        fun=point.f,
        success=status == _status.CONVERGED,
        status=status,
        message=message,
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
        jac=problem.padded(point.g),
        v=problem.split(multipliers),
        multipliers=multipliers,
        constr=problem.split(c),
        constr_violation=violation,
        optimality=optimality,
        lagrangian_grad=problem.padded(point.gL),
        eta1=newton.eta1,
        eta2=newton.eta2,
        reduced_hessian_min=None if broken else _reduced_hessian_min(problem, newton, point),
    )


def _reduced_hessian_min(problem, newton, point):
    """Least eigenvalue of Z'HZ, H the matrix that the last step was made with."""
    H, G = newton.state.get("H"), point.G
    if H is None or problem.n > _AFFORDABLE or problem.n == problem.m:
        return None
    if problem.quasi_newton:  # H is a guess, of any inertia beside the path
        return None
    if any(is_sparse(A) or is_operator(A) for A in (H, G)):
        return None
    Z = null_space(problem.xp, G)
    return float(eigenvalues(problem.xp, Z.T @ H @ Z)[0]) if Z.shape[1] else None
