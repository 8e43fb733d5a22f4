"""Sinkhorn's iteration in the log domain, one fused pass per iteration."""

from refopt import _status
from refopt._driver import Iterate
from refopt.transport._feasibility import blocked
from refopt.transport._stagnation import Stagnation

_STALL_WINDOW = 20


def sinkhorn_iteration(dual, g, stages, effort):
    """f from g in a pass that also yields c = P'1; then g += eps (log b - log c).

    Parameters
    ----------
    dual : SemiDual
    g : array, shape (m,)
    stages : list of (eps, target)
    effort : Effort

    Yields
    ------
    Iterate
        With ``x = Point``.
    """
    point = dual.at(g, *stages[0])
    yield _iterate(dual, point, stages)
    for eps, target in stages:
        final = eps == stages[-1][0]
        if point.eps != eps:
            point = dual.at(point.g, eps, target, f_guess=point.f)
        stagnation = Stagnation(_STALL_WINDOW)
        while final or point.err > target:
            point = dual.at(dual.sinkhorn_step(point), eps, target, f_guess=point.f)
            effort.sinkhorn += 1
            yield _iterate(dual, point, stages)
            if stagnation.reached(dual.xp, point, eps):
                return _status.STALLED, "Potentials this large allow no smaller error."
            if reason := blocked(dual, point, effort.sinkhorn):
                return _status.INFEASIBLE, reason
    return None


def _iterate(dual, point, stages):
    final = point.eps == stages[-1][0]
    return Iterate(point, dual.value(point), point.err, {"reg": point.eps}, final)
