"""Newton's method with conjugate gradients for smooth logistic regression.

    F(w, b) = sum_i s_i log(1 + exp(-y_i (x_i'w + b))) + l2/2 ||w||^2

The parameters are one vector v = (w, b), without b where there is no
intercept; A = X or [X 1], z = A v.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt_backends import diagonal_of, euclidean_norm

_ARMIJO = 1e-4
_CURVATURE = 0.1  # the line search ends where the slope fell to this share
_SEARCHES = 40
_CENTRINGS = 60
_ROUNDING = 1e-15
_SLACK = 1e-15  # of F: what rounding may add to it
_IDLE = 4  # steps in which neither F nor the error improves
_LOOSE, _TIGHT = 0.3, 0.3  # of the linear systems: at first, and of the target at the end
_RIDGE = 1e-13  # of the largest diagonal entry
_LARGEST_MATRIX = 3000  # columns up to which a p x p matrix may be formed
_MATRIX_RATE = 10.0  # matrix products run at so many times the rate of passes over X


@dataclass
class Effort:
    """What a run has spent: gradients, evaluations, Hessian products and factorisations."""

    gradients: int = 0
    evaluations: int = 0
    products: int = 0
    factors: int = 0


@dataclass(frozen=True)
class Point:
    """Parameters v with z = A v, the loss's slope and curvature in z, F and its gradient."""

    v: Any
    z: Any
    fun: float
    slope: Any
    curvature: Any
    gradient: Any


def null_loss(masses, intercept):
    """The loss without coefficients: of equal odds, or of the classes' own with an intercept."""
    masses = [float(m) for m in masses]
    total = sum(masses)
    if not intercept:
        return math.log(len(masses)) * total
    return -sum(m * math.log(m / total) for m in masses if m > 0)


class LogisticProblem:
    """F, its derivatives and its duality gap.

    Attributes
    ----------
    at_zero : float
        F at zero coefficients, what gaps are relative to.
    penalty : array, shape (p,) or (p + 1,)
        l2 for every coefficient and 0 for the intercept.
    """

    def __init__(self, xp, kernels, design, y, s, l2, intercept):
        self.xp, self.kernels, self.design = xp, kernels, design
        self.y, self.s, self.l2, self.intercept = y, s, l2, intercept
        self.mass = float(xp.sum(s))
        masses = [xp.sum(s[y > 0]), xp.sum(s[y < 0])]
        self.at_zero = null_loss(masses, intercept)
        self.p = design.shape[1]
        self.penalty = xp.full((self.p,), float(l2))
        if intercept:
            self.penalty = xp.concat([self.penalty, xp.zeros(1)])
        self.effort = Effort()

    def over(self, design):
        """The same problem with another design."""
        return LogisticProblem(
            self.xp, self.kernels, design, self.y, self.s, self.l2, self.intercept
        )

    def product(self, v):
        """z = A v."""
        z = self.design.times(v[: self.p])
        return z + v[self.p] if self.intercept else z

    def terms(self, z):
        """The loss, its slope and its curvature."""
        self.effort.evaluations += 1
        return self.kernels.logistic_terms(z, self.y, self.s)

    def point(self, v, z=None, terms=None, centre=True):
        """Everything at v, with the best intercept for its coefficients."""
        xp = self.xp
        z = self.product(v) if z is None else z
        terms = terms or self.terms(z)
        if centre and self.intercept:
            v, z, terms = self._centred(v, z, terms)
        loss, slope, curvature = terms
        self.effort.gradients += 1
        gradient = self.kernels.transposed_product(self.design, slope) + self.l2 * v[: self.p]
        if self.intercept:
            gradient = xp.concat([gradient, xp.reshape(xp.sum(slope), (1,))])
        fun = loss + 0.5 * float(xp.sum(self.penalty * v * v))
        return Point(v, z, fun, slope, curvature, gradient)

    def _centred(self, v, z, terms):
        """Newton's method on the intercept alone, kept within what brackets its root."""
        xp = self.xp
        low, high, shift = -math.inf, math.inf, 0.0
        start = z
        for _ in range(_CENTRINGS):
            total, bend = float(xp.sum(terms[1])), float(xp.sum(terms[2]))
            if abs(total) <= _ROUNDING * self.mass:
                break
            low, high = (low, shift) if total > 0 else (shift, high)
            step = -total / bend if bend > 0 else math.copysign(math.inf, -total)
            new = shift + max(-4.0, min(4.0, step))
            if not low < new < high:
                new = 0.5 * (low + high)
            if new == shift or not math.isfinite(new):
                break
            shift = new
            terms = self.terms(start + shift)
        if shift:
            z = start + shift
            v = xp.concat([v[: self.p], v[self.p :] + shift])
        return v, z, terms

    def kkt(self, point):
        """The largest entry of the gradient."""
        return float(self.xp.max(self.xp.abs(point.gradient))) if point.v.shape[0] else 0.0

    def gap(self, point):
        """Relative F(v) - D, which for theta = -slope is ||grad_w F||^2 / (2 l2); None without l2.

        By Fenchel-Young the losses and their conjugates leave -theta'X w only.
        """
        if self.l2 == 0:
            return None
        g = point.gradient[: point.gradient.shape[0] - int(self.intercept)]
        return float(g @ g) / (2 * self.l2) / self.at_zero

    def bend(self, terms, along):
        """Second derivative of the loss along a direction."""
        return float(self.xp.sum(terms[2] * along * along))

    def systems(self):
        """What solves its linear systems."""
        return Systems(self)

    def separated(self, point):
        """Whether no sample lies on the wrong side and one on its own.

        Without l2 this proves that F falls for ever along v.
        """
        margins = (self.y * point.z)[self.s > 0]
        return bool(self.xp.all(margins >= 0) & self.xp.any(margins > 0))


def newton(problem, v, tol, measure):
    """Inexact Newton steps with an exact line search; `measure(point)` is the stopping error.

    Parameters
    ----------
    problem : LogisticProblem
    v : array
        Start.
    tol : float
        What the linear systems need not be solved beyond.
    measure : callable
    """
    systems = problem.systems()
    point = problem.point(v)
    yield _iterate(problem, point, measure, 0.0, 0)
    point = better_than_zero(problem, point)
    first = euclidean_norm(point.gradient)
    least, idle, settled = math.inf, 0, False
    while True:
        norm = euclidean_norm(point.gradient)
        error = measure(point)
        least, idle = (error, 0) if error < 0.5 * least else (least, idle + 1)
        if norm == 0.0 or (idle > _IDLE and settled):
            return _status.STALLED, ""
        power = 0.5 if problem.l2 > 0 else 1.0  # the gap is quadratic in the gradient
        wanted = _TIGHT * (tol / error) ** power if error > 0 else 0.0
        rtol = max(min(_LOOSE, math.sqrt(norm / first)), min(wanted, _LOOSE), 1e-12)
        step, along, inner = systems.solve(point, rtol)
        new, length = _line_search(problem, point, step, along)
        if new is None:
            return _status.STALLED, ""
        settled = new.fun >= point.fun - _SLACK * abs(point.fun)
        point = new
        yield _iterate(problem, point, measure, length, inner)


def better_than_zero(problem, point):
    """The point, or zero if that is better: far away the curvature vanishes."""
    if point.fun <= problem.at_zero or not problem.p:
        return point
    return problem.point(problem.xp.zeros_like(point.v))


def _iterate(problem, point, measure, length, inner):
    record = {"kkt": problem.kkt(point), "step": length, "ncg": inner}
    return Iterate(point.v, point.fun, measure(point), record)


class Systems:
    """H v = rhs by conjugate gradients, with the cheapest preconditioner that pays.

    The diagonal at first; the inverse of H itself, kept from step to step,
    once the products spent would have paid for it.
    """

    def __init__(self, problem):
        self.problem = problem
        self.product_cost = 2.0 * problem.design.entries + 8.0 * problem.design.shape[0]
        self.matrix_cost = matrix_cost(problem)
        self.inverse, self.spent = None, 0.0
        self.dense = hasattr(problem.design, "columns")

    def solve(self, point, rtol):
        problem = self.problem
        xp, kernels, design = problem.xp, problem.kernels, problem.design
        if self.spent >= self.matrix_cost:
            H = bordered_gram(problem, point.curvature)
            self.inverse, self.spent = kernels.positive_inverse(H), 0.0
            problem.effort.factors += 1
        preconditioner = self.inverse
        if preconditioner is None:
            diagonal = self._diagonal(point.curvature)
            preconditioner = 1 / xp.where(diagonal > 0, diagonal, xp.ones_like(diagonal))
        step, along, inner = kernels.hessian_cg(
            design, point.curvature, problem.penalty, -point.gradient, preconditioner,
            rtol, max(200, 2 * problem.p),
        )  # fmt: skip
        problem.effort.products += inner
        self.spent += inner * self.product_cost
        return step, along, inner

    @cached_property
    def _squares(self):
        return dense_squares(self.problem)

    def _diagonal(self, d):
        """Of H; of a dense X, where it costs as much as a product, for the mean curvature."""
        problem = self.problem
        if self.dense:
            mean = float(problem.xp.sum(d)) / problem.mass
            return mean * self._squares + problem.penalty
        return problem.kernels.hessian_diagonal(problem.design, d, problem.penalty)


def dense_squares(problem):
    """The diagonal of A' diag(s) A."""
    xp, s = problem.xp, problem.s
    least = float(xp.min(s))
    if least == float(xp.max(s)):  # no copy of X
        squares = least * problem.design.squared_norms()
    else:
        squares = problem.design.weighted_squares(s)
    return xp.concat([squares, xp.full((1,), problem.mass)]) if problem.intercept else squares


def bordered_gram(problem, d):
    """A' diag(d) A + penalty, shifted by what rounding may make of it."""
    xp, p = problem.xp, problem.p
    H = problem.kernels.weighted_gram(problem.design, d)
    if problem.intercept:
        border = xp.reshape(problem.design.transposed_times(d), (p, 1))
        corner = xp.reshape(xp.sum(d), (1, 1))
        H = xp.concat(
            [xp.concat([H, border], axis=1), xp.concat([border.T, corner], axis=1)], axis=0
        )
    penalty = xp.reshape(problem.penalty, (-1,))
    ridge = _RIDGE * float(xp.max(diagonal_of(H) + penalty)) + 1e-300
    return H + (penalty + ridge)[:, None] * xp.eye(H.shape[0])


def matrix_cost(problem):
    """Of one such matrix and its inverse, in entries of X read; infinite if it is too large."""
    n, p = problem.design.shape
    if not 0 < p <= _LARGEST_MATRIX:
        return math.inf
    inverse = p**3 / _MATRIX_RATE
    if not hasattr(problem.design, "by_rows"):
        return n * p * p / _MATRIX_RATE + inverse
    starts = problem.design.by_rows[2]
    lengths = problem.xp.astype(starts[1:] - starts[:-1], problem.xp.float64)
    return float(problem.xp.sum(lengths * lengths)) + inverse


def _line_search(problem, point, step, along):
    """The minimum of F along a direction, to a share of the slope; (None, 0) at rounding level.

    Newton's method in one variable from the full step, inside a bracket.
    """
    xp, penalty = problem.xp, problem.penalty
    start_slope = float(xp.sum(point.gradient * step))
    if not start_slope < 0:
        return None, 0.0
    linear, square = float(xp.sum(penalty * point.v * step)), float(xp.sum(penalty * step * step))
    ridge = 0.5 * float(xp.sum(penalty * point.v * point.v))
    slack = _SLACK * abs(point.fun)
    low, high, t, best = 0.0, math.inf, 1.0, None
    for _ in range(_SEARCHES):
        z = point.z + t * along
        terms = problem.terms(z)
        fun = terms[0] + ridge + t * linear + 0.5 * t * t * square
        slope = float(xp.sum(terms[1] * along)) + linear + t * square
        bend = problem.bend(terms, along) + square
        if math.isfinite(fun) and fun <= point.fun + _ARMIJO * t * start_slope + slack:
            best = (t, z, terms)
            if abs(slope) <= -_CURVATURE * start_slope:
                break
        if slope < 0 and math.isfinite(fun):
            low = t
        else:
            high = t
        new = t - slope / bend if bend > 0 and math.isfinite(slope) else math.inf
        new = min(new, 4 * t)
        if not low < new < high:
            new = 0.5 * (low + high) if high < math.inf else 2 * t
        if abs(new - t) <= 1e-3 * t and best is not None:
            break
        t = new
    if best is None:
        return None, 0.0
    t, z, terms = best
    return problem.point(point.v + t * step, z, terms), t
