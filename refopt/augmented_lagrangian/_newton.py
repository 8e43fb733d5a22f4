"""The Newton method on the KKT system with the exact augmented Lagrangian as merit function."""

import math
from collections import deque
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt.augmented_lagrangian import _multipliers, _restoration
from refopt.augmented_lagrangian._acceptance import search
from refopt.augmented_lagrangian._merit import Direction
from refopt.augmented_lagrangian._penalties import adapt
from refopt.augmented_lagrangian._point import Point, evaluate
from refopt.augmented_lagrangian._shift import Regularisation

LARGE_MULTIPLIER = 1e3
UNBOUNDED = -1e20


class Newton:
    """State and options of one run."""

    def __init__(self, problem, solve, *, eta1, eta2, nu, beta, tol, theta=None, l0=None):
        self.problem, self.solve = problem, solve
        self.eta1, self.eta2, self.nu, self.beta, self.tol = eta1, eta2, nu, beta, tol
        self.theta, self.l0 = theta, l0
        self.state: dict[str, Any] = {}
        self.inner = 0

    def iterates(self):
        """The generator for the driver, whose iterates hold a `Point`."""
        problem = self.problem
        xp = problem.xp
        first = xp.zeros(problem.m) if self.l0 is None else self.l0
        point = evaluate(problem, problem.x0, first)
        if not point.finite:
            yield self._iterate(point, math.nan)
            return
        if self.l0 is None:
            point = self._estimated(point)
        yield self._iterate(point)
        regular = Regularisation(problem, self.solve, self.state)
        start = self.eta1, self.eta2
        recent = deque([point.kkt], maxlen=5)
        damping = lm = 0.0
        failures, nit = 0, 0
        while True:
            nit += 1
            H = problem.hessian(point.x, point.l)
            damping = lm * min(1.0, math.sqrt(point.cc)) if lm else 0.0
            tolerance = self._forcing(nit, point.kkt)
            d, system, info = regular.step(point, H, damping, tolerance)
            new = None
            if d is not None:
                d = Direction(point, H, d[: problem.n], d[problem.n :])
                self.eta1, self.eta2, slope = adapt(d, self.eta1, self.eta2, self.nu)
                progress = 0.9 * min(recent) if not system.shift else 0.0
                new, alpha = search(
                    problem, point, d, self.eta1, self.eta2, slope, self.beta, progress
                )
            if new is None:
                failures += 1
                if failures == 1:
                    self.eta1, self.eta2 = start
                if point.violation() <= self.tol:
                    return _status.LINE_SEARCH, ""
                feasible, point = yield from self._restored(point)
                if feasible is None:
                    return _status.INFEASIBLE, "A stationary point of |c| was reached."
                if not feasible:
                    return _status.LINE_SEARCH, ""
                point = self._estimated(point)
                recent = deque([point.kkt], maxlen=5)
                yield self._iterate(point, alpha=0.0)
                continue
            if problem.quasi_newton:
                problem.update(point, new, new.l)
            if alpha < 0.11 or nit % 10 == 0:
                new = self._improved(new)
            size = self._scale(point)
            if alpha < 0.11:
                lm = min(max(10.0 * lm, 1e-6 * size), 100.0 * size)
            elif alpha > 0.4:
                lm = 0.1 * lm if lm > 1e-11 else 0.0
            if new.f < UNBOUNDED and new.violation() < 1e-4:
                yield self._iterate(new)
                return _status.INFEASIBLE, "The objective is unbounded below."
            point = new
            recent.append(point.kkt)
            yield self._iterate(point, alpha=alpha, shift=system.shift, relres=info.relres)

    def _restored(self, point):
        """Restoration as iterates: whether it succeeded, and where it ended."""
        steps = _restoration.restore(self.problem, point, self.tol)
        while True:
            try:
                point = next(steps)
            except StopIteration as end:
                return end.value, point
            yield self._iterate(point)

    def _forcing(self, k, kkt):
        if self.theta is not None:
            return self.theta(k, kkt)
        return max(min(0.1, math.sqrt(kkt)), 1e-10)

    def _scale(self, point):
        G = point.G
        return max(1.0, float((G * G).sum()) / max(1, self.problem.m))

    def _estimated(self, point):
        """With least-squares multipliers, or zero where they are huge."""
        problem = self.problem
        l = _multipliers.least_squares(problem, point.g, point.G, self.solve, self.state)
        if problem.m and not float(abs(l).max()) <= LARGE_MULTIPLIER:
            l = problem.xp.zeros(problem.m)
        return point.with_multipliers(l)

    def _improved(self, point):
        """With least-squares multipliers where they halve the gradient of the Lagrangian."""
        problem = self.problem
        if not problem.m:
            return point
        l = _multipliers.least_squares(problem, point.g, point.G, self.solve, self.state)
        if not float(abs(l).max()) < 1e4:
            return point
        other = point.with_multipliers(l)
        return other if other.gg <= 0.25 * point.gg else point

    def _iterate(self, point: Point, error=None, *, alpha=1.0, shift=0.0, relres=0.0):
        optimality, violation = point.optimality(), point.violation()
        record = {
            "optimality": optimality,
            "constr_violation": violation,
            "kkt": point.kkt,
            "alpha": alpha,
            "eta1": self.eta1,
            "eta2": self.eta2,
            "shift": shift,
            "inner_relres": relres,
        }
        measure = max(optimality, violation) if error is None else error
        return Iterate(x=point, fun=point.f, error=measure, record=record)
