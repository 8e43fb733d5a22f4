"""From a method's points to the driver's iterates: budgets, and a step that was too long."""

import math
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt.halpern._components import NotANumber
from refopt.halpern._inclusion import Point

# Residual over that of the start from which a step counts as too long. Residuals of
# anchored methods swing: to 30 times the best one so far where the step is right.
_WORSE = 100.0
_HALVINGS = 30
_PATIENCE = 60  # points without progress at rounding level
_EPS = {"float32": 1e-7, "float64": 2e-16}


class Guard:
    """What happened to a run: the step's halvings, the counts of the points that were kept."""

    def __init__(self, problem, step, maxfev):
        self.problem, self.step, self.maxfev = problem, step, maxfev
        self.halvings = 0
        self.base: tuple[int, int] = (0, 0)  # steps and restarts of runs before the last halving

    def iterates(self, method, u):
        """Generator for the driver.

        Where the residual of a point is a hundred times that of the start, or not
        finite, the step is halved and the method starts anew from the best point.
        """
        problem, step = self.problem, self.step
        best: Any = None
        point: Any = None
        idle = 0
        while True:
            self.base = (0, 0) if point is None else self._counts(point)
            limit: float | None = None
            try:
                for point in method(problem, u, step):
                    if limit is not None and not point.residual <= limit:
                        break
                    yield self._iterate(point)
                    if limit is None:
                        limit = max(_WORSE * point.residual, self._rounding(point))
                    better = best is None or point.residual < best.residual
                    idle = 0 if better else idle + 1
                    best = point if better else best
                    if problem.ncomp >= self.maxfev * problem.n:
                        return _status.MAXITER, (
                            f"The limit was maxfev, {self.maxfev:g} evaluations of the operator."
                        )
                    if idle >= _PATIENCE and best.residual <= self._rounding(best):
                        return _status.STALLED, "That is the rounding of the operator's values."
            except NotANumber as broken:
                if point is None:
                    yield self._iterate(Point(u, None, math.nan))
                return _status.BREAKDOWN, f"{broken}."
            self.halvings += 1
            if self.halvings > _HALVINGS:
                return _status.BREAKDOWN, f"The residual grows with every step tried, {step.eta:g}."
            step.eta, step.grows = 0.5 * step.eta, False
            u = best.u

    def detail(self):
        """A sentence on the halvings, for the message."""
        if not self.halvings:
            return ""
        return (
            f"The step was halved {self.halvings} times, to {self.step.eta:.3g}, because the "
            "residual grew."
        )

    def _rounding(self, point):
        xp = self.problem.xp
        eps = _EPS["float32" if point.u.dtype == xp.float32 else "float64"]
        size = float(xp.max(xp.abs(point.u))) if point.u.shape[0] else 0.0
        return 1e3 * eps * max(size / self.step.eta, 1.0)

    def _counts(self, point):
        return self.base[0] + point.nstep, self.base[1] + point.nrestart

    def _iterate(self, point):
        nstep, nrestart = self._counts(point)
        record = {
            "nfev": self.problem.ncomp / self.problem.n,
            "nstep": nstep,
            "restart": nrestart,
            "step": self.step.eta,
        }
        gap = None if point.g is None else self.problem.gap(point.u, point.g)
        if gap is not None:
            record["gap"] = gap
        return Iterate(point.u, point.residual, point.residual, record)
