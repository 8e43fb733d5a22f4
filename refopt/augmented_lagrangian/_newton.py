"""The Newton method on the KKT system with the exact augmented Lagrangian as merit function."""

import math
from collections import deque
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt.augmented_lagrangian import _multipliers, _restoration
from refopt.augmented_lagrangian._acceleration import Tail
from refopt.augmented_lagrangian._acceptance import Search
from refopt.augmented_lagrangian._merit import Direction
from refopt.augmented_lagrangian._operators import squared_norm
from refopt.augmented_lagrangian._penalties import adapt
from refopt.augmented_lagrangian._point import Point, complete, evaluate
from refopt.augmented_lagrangian._shift import Regularisation, finite_products

UNBOUNDED = -1e20
ROUNDING = 1e-5  # a measure below it that stays as it is has met rounding
_HUGE = 1e3, 1e4  # multipliers that are not believed: at the start, later
WILD = 1e3  # a scaled |gL| beyond it tells of multipliers that are not believed either
_SHORT, _LONG = 0.11, 0.4  # steps after which the damping grows, shrinks
_JUMP = 0.1  # of the KKT residual, for an accelerated step to be taken
_PATIENCE = 5, 30  # steps without progress, of Newton and of quasi-Newton methods


class Newton:
    """State and options of one run.

    Parameters
    ----------
    problem : EqualityProblem
    solve : callable
        See `linear_solvers`.
    eta1, eta2, nu, beta, tol : float
        As of `minimize_equality`.
    theta : callable or None
        ``theta(k, |r|)`` bounds the relative residual of the Newton system.
    multipliers : array or None
        At the start; least squares by default.
    """

    def __init__(self, problem, solve, *, eta1, eta2, nu, beta, tol, theta=None, multipliers=None):
        self.problem, self._solve = problem, solve
        self.eta1, self.eta2, self._nu, self._beta = eta1, eta2, nu, beta
        self._tol, self._theta, self._multipliers = tol, theta, multipliers
        self._first_etas = eta1, eta2
        self.state: dict[str, Any] = {}
        self.inner_nit = 0
        self._before = 0.0  # KKT residual of the last step

    @property
    def lin_solver(self):
        """Name of the solver that the last Newton system went to, None if there was none."""
        return self.state.get("lin_solver")

    def iterates(self):
        """The generator for the driver, whose iterates hold a `Point`."""
        problem = self.problem
        point = yield from self._start()
        if point is None:
            return _status.BREAKDOWN, ""
        if _restoration.first(problem, point):
            feasible, point = yield from self._restored(point, 0.0)
            if feasible is None:
                return self._infeasible(point)
        problem.begin(point)
        search = Search(problem, point, self._beta)
        regular = Regularisation(problem, self._solve, self.state)
        recent = deque([point.kkt], maxlen=5)
        crawl, tail = _restoration.Crawl(), Tail()
        patience = _PATIENCE[problem.quasi_newton]
        least, idle, failures, stationary, k, damping = math.inf, 0, 0, 0, 0, 0.0
        while True:
            k += 1
            H = problem.hessian(point.x, point.l)
            self.state.update(point=point, H=H)
            held = damping * min(1.0, math.sqrt(point.cc)) if damping else 0.0
            d, system, info = regular.step(point, H, held, self._accuracy(k, point.kkt))
            self.inner_nit += info.iterations
            new = None
            if d is not None:
                dx, dl = d[: problem.n], d[problem.n :]
                product = info.product
                known = None if product is None else system.unregularised(product, d)
                d = Direction(point, H, dx, dl, known)
                self.eta1, self.eta2, slope = adapt(d, self.eta1, self.eta2, self._nu)
                progress = 0.0 if system.shift else 0.9 * min(recent)
                step = tail.ahead(dx)
                if step is not None:
                    new, alpha = self._jump(point, point.x + step, _JUMP * min(recent)), 1.0
                    tail.taken(new is not None)
                if new is None:
                    new, alpha = search.step(
                        point, d, info.again, self.eta1, self.eta2, slope, progress
                    )
            if d is None and not finite_products(H, point.x):
                return _status.BREAKDOWN, "The second derivatives are not finite."
            if new is None and problem.doubt():
                continue
            if new is None:
                failures += 1
                if failures == 1:
                    self.eta1, self.eta2 = self._first_etas
                if point.violation() <= self._tol:
                    if failures > 1:
                        return self._end(point)
                    continue
                search.restored(point)
                feasible, point = yield from self._restored(point, _restoration.FALL)
                if feasible is None:
                    return self._infeasible(point)
                if not feasible:
                    return self._end(point)
                recent = deque([point.kkt], maxlen=5)
                continue
            problem.update(point, new, new.l)
            if alpha < _SHORT or k % 10 == 0:
                new = self._estimated(new, _HUGE[1], 0.25)
            elif new.optimality() > WILD:
                new = self._estimated(new, max(_HUGE[1], float(abs(new.l).max())), 0.01)
            damping = self._damping(damping, alpha, point)
            point = new
            recent.append(point.kkt)
            error = point.error()
            yield self._iterate(point, alpha=alpha, shift=system.shift, relres=info.relres)
            if point.f < UNBOUNDED and point.violation() < 1e-4:
                return _status.INFEASIBLE, "The objective is unbounded below."
            if crawl.goes_on(point.violation(), max(self._tol, point.optimality())):
                search.restored(point)
                feasible, point = yield from self._restored(point, _restoration.FALL)
                stationary += feasible is None
                if stationary > 1:  # once, the main iteration is trusted to get away
                    return self._infeasible(point)
                recent = deque([point.kkt], maxlen=5)
                continue
            idle = 0 if error < least or alpha < 1.0 or system.shift else idle + 1
            least = min(least, error)
            if least <= ROUNDING and idle >= patience:
                return _status.STALLED, ""
            if error < ROUNDING:
                problem.sharpen()

    def _start(self):
        problem = self.problem
        l = problem.xp.zeros(problem.m) if self._multipliers is None else self._multipliers
        point = evaluate(problem, problem.x0, l)
        if not (point.finite and point.finite_jacobian):
            yield self._iterate(point, math.nan)
            return None
        if problem.differenced and point.error() < ROUNDING:
            problem.sharpen()
            point = evaluate(problem, point.x, point.l)
        if problem.measure_rows(point.G):
            units = problem.units
            G = point.G / units[:, None]
            point = Point(point.x, units * l, point.f, point.c / units, point.g, G, units)
        if self._multipliers is None:
            point = self._estimated(point, _HUGE[0])
        yield self._iterate(point)
        return point

    def _restored(self, point, fall):
        """Restoration as iterates: whether it succeeded, and where it ended."""
        steps = _restoration.restore(self.problem, point, self._tol, fall, self._solve, self.state)
        while True:
            try:
                point = self._estimated(next(steps), _HUGE[0])
            except StopIteration as end:
                return end.value, point
            yield self._iterate(point)

    def _infeasible(self, point):
        """A stationary point of ``|c|``, which is the answer whatever its error."""
        self.state["stationary"] = point
        return _status.INFEASIBLE, _restoration.STATIONARY

    def _end(self, point):
        """No step can be taken."""
        return (_status.STALLED if point.error() <= ROUNDING else _status.LINE_SEARCH), ""

    def _accuracy(self, k, kkt):
        if self._theta is not None:
            return self._theta(k, kkt)
        # as small as the part of second order will be, but not below what ends the run
        fall, self._before = kkt / self._before if self._before else 1.0, kkt
        enough = min(0.1, 0.1 * self._tol / kkt) if kkt else 0.1
        return max(min(0.1, math.sqrt(kkt), fall**1.8), enough, 1e-10)

    def _jump(self, point, x, residual):
        """A point near x, None if its KKT residual is above a bound.

        Long steps leave curved constraints, and are led back by the shortest way.
        """
        problem = self.problem
        f, c = problem.values(x)
        if problem.m and not math.sqrt(float(c @ c)) <= 0.1 * residual:
            x = x - _multipliers.least_norm(problem, point.G, c, self._solve, self.state)
            f, c = problem.values(x)
        if not (math.isfinite(f) and math.sqrt(float(c @ c)) <= residual):
            return None
        new = complete(problem, x, point.l, f, c)
        new = self._estimated(new, _HUGE[1])
        return new if new.finite and new.kkt <= residual else None

    def _damping(self, damping, alpha, point):
        """Levenberg's constant in the (2,2) block: more after short steps."""
        if alpha < _SHORT:
            size = max(1.0, squared_norm(point.G) / max(1, self.problem.m))
            return min(max(10.0 * damping, 1e-6 * size), 100.0 * size)
        if alpha > _LONG:
            return 0.1 * damping if damping > 1e-11 else 0.0
        return damping

    def _estimated(self, point: Point, huge: float, share: float = math.inf) -> Point:
        """With least-squares multipliers, if they bring ``|gL|^2`` to a share of what it is.

        Zero stands for huge ones at the start, where nothing else is known.
        """
        problem = self.problem
        if not problem.m:
            return point
        l = _multipliers.least_squares(problem, point.g, point.G, self._solve, self.state)
        if not float(abs(l).max()) <= huge:
            return point.with_multipliers(0.0 * l) if share == math.inf else point
        other = point.with_multipliers(l)
        return other if other.gg <= share * point.gg else point

    def _iterate(self, point: Point, error=None, *, alpha=1.0, shift=0.0, relres=0.0):
        optimality, violation = point.measure()
        record = {
            "optimality": optimality,
            "constr_violation": violation,
            "kkt": point.kkt,
            "alpha": alpha,
            "eta1": self.eta1,
            "eta2": self.eta2,
            "shift": shift,
            "inner_iters": self.inner_nit,
            "inner_relres": relres,
        }
        measure = max(optimality, violation) if error is None else error
        return Iterate(x=point, fun=point.f, error=measure, record=record)
