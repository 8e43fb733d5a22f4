"""From the end of an iteration to what the user gets."""

import math

from scipy.optimize import OptimizeResult

from refopt import _driver, _status, _validate

MEASURE = "marginal_error"
_WORDS = "marginal error ||P1-a||_1 + ||P'1-b||_1"
_OF_MASS = " relative to the mass"


class TransportResult(OptimizeResult):
    """An `scipy.optimize.OptimizeResult` of entropic transport.

    Beside its items it has two properties that cost a pass over all pairs
    each time they are read.

    Attributes
    ----------
    primal : float
        ``<P, C> - reg H(P)`` of the plan after `round_to_polytope`, an upper
        bound of the optimal value.
    gap : float
        ``primal - fun``, a bound on the distance of both to the optimum.

    With forbidden pairs, what the rounding would put on them is left out, and
    the bounds hold up to that mass; above 1e-8 both are infinite.
    """

    @property
    def primal(self):
        """Value of the rounded plan."""
        from refopt.transport._plan import rounded_value

        return rounded_value(self)

    @property
    def gap(self):
        """Duality gap of the rounded plan."""
        return self.primal - self.fun


def certified(problem, f, g):
    """Result fields recomputed from the solved form's potentials.

    Returns
    -------
    dict
        f, g and x as the user gets them; cost, fun, marginal_error and the
        error relative to the mass, under "relative_error".
    """
    xp, mass = problem.xp, problem.mass
    r, c, cost = problem.kernels.plan_marginals(problem.cost.arguments, f, g, problem.reg)
    error = float(xp.sum(xp.abs(r - problem.a))) + float(xp.sum(xp.abs(c - problem.b)))
    dual = float(xp.sum(problem.a * f)) + float(xp.sum(problem.b * g))
    dual -= problem.reg * float(xp.sum(r))
    # With masses s = sum(a): P = s P1, and H(P) brings in log s.
    dual = mass * dual + problem.reg * mass * math.log(mass)
    f, g = problem.restore(f, g)
    return {
        "x": xp.concat([f, g]),
        "f": f,
        "g": g,
        "fun": dual,
        "cost": mass * cost,
        MEASURE: mass * error,
        "relative_error": error,
    }


def intermediate(problem):
    """What the callback sees, as a function of an iterate and its number."""

    def view(iterate, nit):
        point = iterate.x
        f, g = problem.restore(point.f, point.g, iterate.record["reg"])
        f, g = 1.0 * f, 1.0 * g  # the callback's own copies
        return OptimizeResult(
            x=problem.xp.concat([f, g]),
            f=f,
            g=g,
            fun=iterate.fun,
            marginal_error=problem.mass * iterate.error,
            reg=iterate.record["reg"],
            nit=nit,
        )

    return view


def finish(problem, outcome, effort, tol, npasses):
    """The result of a run.

    Parameters
    ----------
    problem : TransportProblem
    outcome : Outcome
    effort : Effort
    tol : float
        As the user gave it, relative to the mass.
    npasses : int
        Passes over all pairs so far.

    Returns
    -------
    TransportResult
    """
    f, g = outcome.best.x.f, outcome.best.x.g
    if not outcome.best.final:  # stopped at a larger reg: the row potential for this one
        f, _ = problem.kernels.semidual_pass(problem.cost.arguments, g, problem.a, problem.reg)
        npasses += 1
    fields = certified(problem, f, g)
    error = fields.pop("relative_error")
    status, detail = outcome.status, outcome.detail
    if status == _status.CONVERGED and not error <= tol:
        status = _status.STALLED
    elif status in (_status.MAXITER, _status.STALLED, _status.TIME_LIMIT) and error <= tol:
        status, detail = _status.CONVERGED, ""
    if status == _status.INFEASIBLE:
        detail = _blocked_text(problem, detail)
    if status == _status.MAXITER and problem.user_cost.allowed is not None:
        detail = "With forbidden pairs the potentials may have no finite limit."
    words = _WORDS if abs(problem.mass - 1.0) < 1e-9 else _WORDS + _OF_MASS
    n, m = problem.shape
    history = outcome.history | {MEASURE: problem.mass * outcome.history[MEASURE]}
    kept = [k for k in history.get("nnz", ()) if k]
    result = TransportResult(
        **fields,
        success=status == _status.CONVERGED,
        status=status,
        message=_status.message(status, measure=words, error=error, tol=tol, detail=detail),
        nit=outcome.nit,
        nfev=npasses + 1,
        history=history,
        backend=problem.kernels.name,
        reg=problem.reg,
        nnewton=effort.newton,
        nsinkhorn=effort.sinkhorn,
        ncg=effort.cg,
        nfactor=effort.factorisations,
        density=float(kept[-1]) / (n * m) if kept else 0.0,
    )
    object.__setattr__(result, "_problem", problem)
    return result


def _blocked_text(problem, blocked):
    """Which rows and columns prove that no plan exists."""
    columns, need, rows, supply = blocked
    words = ("rows", "columns") if problem.swapped else ("columns", "rows")
    needy = problem.original_indices(columns, words[0])
    givers = problem.original_indices(rows, words[1])
    return (
        f"The {words[0]} {_listed(needy)} need mass {need * problem.mass:.6g}, but only the "
        f"{words[1]} {_listed(givers)} reach them, with mass {supply * problem.mass:.6g}."
    )


def _listed(indices, most=8):
    indices = sorted(int(i) for i in indices)
    more = f", ... ({len(indices)} in all)" if len(indices) > most else ""
    return "[" + ", ".join(map(str, indices[:most])) + more + "]"


def run(problem, algorithm, *, tol, maxiter, callback, disp, time_limit=None, check_every=1):
    """`_driver.run` with the family's measure and view."""
    if time_limit is not None:
        time_limit = _validate.positive(time_limit, "time_limit")
    return _driver.run(
        algorithm,
        tol=tol,
        maxiter=maxiter,
        callback=callback,
        view=intermediate(problem),
        disp=_validate.display(disp),
        time_limit=time_limit,
        measure=MEASURE,
        check_every=check_every,
    )
