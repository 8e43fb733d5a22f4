"""Multinomial logistic regression: the problem, its duality gap, its Newton systems.

    F(W, b) = sum_i s_i (log sum_k exp(z_ik) - z_i,c(i)) + l1 |W|_1 + l2/2 ||W||^2,
    z_i = W'x_i + b

The parameters are one matrix V = (W; b), features by classes, without its last
row where there is no intercept; A = X or [X 1], Z = A V.
"""

import math
from dataclasses import dataclass
from typing import Any

from refopt.block_coordinate._logistic_newton import (
    Effort,
    Point,
    bordered_gram,
    dense_squares,
    matrix_cost,
    null_loss,
)
from refopt.losses import entropy
from refopt_backends import euclidean_norm

_CENTRINGS = 60
_ROUNDING = 1e-15
_FURTHEST = 4.0  # that a step moves an intercept
_ARMIJO = 1e-4
_FLAT = 1e-250  # curvature along a unit vector that is taken for none


@dataclass(frozen=True)
class Centre:
    """The Newton matrix of the intercepts, and an inverse of it."""

    matrix: Any
    inverse: Any


class SoftmaxProblem:
    """F, its derivatives and its duality gap.

    Attributes
    ----------
    at_zero : float
        F at zero coefficients, what gaps are relative to.
    penalty : array, shape (p, 1) or (p + 1, 1)
        l2 for every feature and 0 for the intercepts.
    """

    def __init__(self, xp, kernels, design, codes, classes, s, l1, l2, intercept):
        self.xp, self.kernels, self.design = xp, kernels, design
        self.codes, self.classes, self.s = codes, classes, s
        self.l1, self.l2, self.intercept = l1, l2, intercept
        self.mass, self.p = float(xp.sum(s)), design.shape[1]
        masses = [xp.sum(s[codes == k]) for k in range(classes)]
        self.at_zero = null_loss(masses, intercept)
        self.penalty = xp.full((self.p, 1), float(l2))
        if intercept:
            self.penalty = xp.concat([self.penalty, xp.zeros((1, 1))], axis=0)
        self.effort = Effort()

    def over(self, design):
        """The same problem with another design."""
        return SoftmaxProblem(
            self.xp, self.kernels, design, self.codes, self.classes, self.s, self.l1, self.l2,
            self.intercept,
        )  # fmt: skip

    def product(self, V):
        """Z = A V."""
        Z = self.design.times(V[: self.p, :])
        return Z + V[self.p :, :] if self.intercept else Z

    def terms(self, Z):
        """The loss, its slope and the probabilities."""
        self.effort.evaluations += 1
        return self.kernels.softmax_terms(Z, self.codes, self.s)

    def point(self, V, Z=None, terms=None, centre=True):
        """Everything at V, with the best intercepts; the gradient is of the smooth part."""
        xp = self.xp
        Z = self.product(V) if Z is None else Z
        terms = terms or self.terms(Z)
        if centre and self.intercept:
            V, Z, terms = self._centred(V, Z, terms)
        loss, slope, P = terms
        self.effort.gradients += 1
        gradient = self.design.transposed_times(slope) + self.l2 * V[: self.p, :]
        if self.intercept:
            gradient = xp.concat([gradient, xp.sum(slope, axis=0, keepdims=True)], axis=0)
        return Point(V, Z, loss + self.penalties(V), slope, P, gradient)

    def penalties(self, V):
        """What coefficients cost."""
        xp = self.xp
        size = float(xp.sum(xp.abs(V[: self.p, :]))) if self.l1 else 0.0
        return self.l1 * size + 0.5 * float(xp.sum(self.penalty * V * V))

    def centre_matrix(self, P):
        """The Hessian in the intercepts, and an inverse of it up to equal shifts of all."""
        xp, K = self.xp, self.classes
        weighted = self.s[:, None] * P
        total = xp.sum(weighted, axis=0)
        H = total[:, None] * xp.eye(K) - weighted.T @ P
        scale = float(xp.max(total))
        shifted = H + scale * (xp.ones((K, K)) / K + 1e-14 * xp.eye(K))
        return Centre(H, xp.linalg.inv(shifted) - xp.ones((K, K)) / (K * scale))

    def _centred(self, V, Z, terms):
        """Damped Newton steps in the intercepts alone."""
        xp = self.xp
        shift, start, best = xp.zeros(self.classes), Z, math.inf
        for _ in range(_CENTRINGS):
            total = xp.sum(terms[1], axis=0)
            size = float(xp.max(xp.abs(total)))
            if size <= _ROUNDING * self.mass or not size < best:
                break
            step = -(self.centre_matrix(terms[2]).inverse @ total)
            step = step * min(1.0, _FURTHEST / max(float(xp.max(xp.abs(step))), 1e-300))
            slope, t = float(total @ step), 1.0
            while True:
                trial = self.terms(start + (shift + t * step))
                if trial[0] <= terms[0] + _ARMIJO * t * slope + 1e-15 * abs(terms[0]) or t < 1e-6:
                    break
                t *= 0.5
            if size <= 1e-8 * self.mass:  # at rounding level the sums must fall
                best = size
            if float(xp.max(xp.abs(xp.sum(trial[1], axis=0)))) >= best:
                break
            shift, terms = shift + t * step, trial
        shift = shift[None, :]
        return xp.concat([V[: self.p, :], V[self.p :, :] + shift], axis=0), start + shift, terms

    def _coefficients(self, M):
        """Without the intercepts; of a point in the row space, too, which has fewer rows."""
        return M[: M.shape[0] - int(self.intercept), :]

    def errors(self, point):
        """dist(-gradient, l1 d|w|) of every entry of W."""
        xp = self.xp
        g, W = self._coefficients(point.gradient), self._coefficients(point.v)
        if not self.l1:
            return xp.abs(g)
        at_zero = xp.maximum(xp.abs(g) - self.l1, xp.zeros_like(g))
        return xp.where(W != 0, xp.abs(g + self.l1 * xp.sign(W)), at_zero)

    def kkt(self, point):
        """The largest of these errors, and of the gradient in the intercepts."""
        xp = self.xp
        worst = float(xp.max(self.errors(point))) if self.p else 0.0
        if self.intercept:
            worst = max(worst, float(xp.max(xp.abs(point.gradient[-1, :]))))
        return worst

    def gap(self, point):
        """Relative F(V) - D; None without penalties.

        The dual point is the slope R = s (P - Y) of the loss, whose conjugate
        there is sum_i s_i sum_k p_ik log p_ik. With l2 it is feasible, and by
        Fenchel-Young the gap is a sum of nonnegative terms over W. With l1
        R / t with t = max(1, max|X'R| / l1) is: its probabilities
        Y + (P - Y)/t lie between Y and P. The smaller gap of the two counts.
        """
        xp = self.xp
        W, g = self._coefficients(point.v), self._coefficients(point.gradient)
        slopes, gap = self.l2 * W - g, math.inf  # -X'R
        if self.l2:
            excess = xp.maximum(xp.abs(slopes) - self.l1, xp.zeros_like(slopes))
            T = xp.sign(slopes) * excess
            gap = float(xp.sum((self.l2 * W - T) ** 2)) / (2 * self.l2)
            gap += float(xp.sum(self.l1 * xp.abs(W) - (slopes - T) * W))
        if self.l1:
            largest = float(xp.max(xp.abs(slopes))) if g.size else 0.0
            t = max(1.0, largest / self.l1)
            Y = self.codes[:, None] == xp.arange(self.classes)[None, :]
            P = point.curvature
            q = xp.where(Y, 1 - (1 - P) / t, P / t)
            gap = min(gap, point.fun + float(self.s @ xp.sum(entropy(q), axis=1)))
        if not (self.l1 or self.l2):
            return None
        return max(0.0, gap) / self.at_zero if self.at_zero > 0 else 0.0

    def bend(self, terms, along):
        """Second derivative of the loss along a direction."""
        xp, P = self.xp, terms[2]
        mean = xp.sum(P * along, axis=1)
        return float(self.s @ (xp.sum(P * along * along, axis=1) - mean * mean))

    def separated(self, point):
        """Whether no class is likelier than a sample's own, and one sample's own is the likeliest.

        Without penalties this proves that F falls for ever along V.
        """
        xp = self.xp
        own = self.codes[:, None] == xp.arange(self.classes)[None, :]
        best = xp.max(xp.where(own, -xp.inf, point.z), axis=1)
        margins = (xp.sum(xp.where(own, point.z, 0.0), axis=1) - best)[self.s > 0]
        return bool(xp.all(margins >= 0) & xp.any(margins > 0))

    def systems(self):
        """What solves its linear systems."""
        return SoftmaxSystems(self)


def without_row_means(xp, V):
    """V less what is equal in all classes, which no probability depends on."""
    return V - xp.mean(V, axis=1, keepdims=True)


class SoftmaxSystems:
    """H V = rhs by conjugate gradients, preconditioned class by class.

    Of a right-hand side whose rows sum to zero, and so of the solution: along
    equal shifts of all classes H has no curvature but l2.

    With the diagonal at first; with the inverses of the classes' own blocks
    X' diag(s p (1 - p)) X + l2 I, kept from step to step, once the products
    spent would have paid for them.
    """

    def __init__(self, problem):
        self.problem = problem
        n = problem.design.shape[0]
        self.product_cost = 2.0 * problem.design.entries + 8.0 * n  # of each class
        self.matrix_cost = matrix_cost(problem)
        self.inverse, self.spent = None, 0.0
        self.dense = hasattr(problem.design, "columns")
        self.squares: Any = dense_squares(problem) if self.dense else None

    def solve(self, point, rtol):
        problem = self.problem
        P, s = point.curvature, problem.s
        if self.spent >= self.matrix_cost:
            self.inverse, self.spent = self._inverses(s[:, None] * P * (1 - P)), 0.0
        if self.inverse is None:
            precondition = self._diagonal(s[:, None] * P * (1 - P))
        else:
            precondition = lambda R: (self.inverse @ R.T[:, :, None])[:, :, 0].T
        rhs = -without_row_means(problem.xp, point.gradient)
        step, along, inner = self._cg(P, rhs, precondition, rtol)
        problem.effort.products += inner
        self.spent += inner * self.product_cost
        return step, along, inner

    def _cg(self, P, R, precondition, rtol):
        problem, xp = self.problem, self.problem.xp
        V, Z, D = xp.zeros_like(R), xp.zeros_like(P), xp.zeros_like(R)
        rho, target = 0.0, rtol * euclidean_norm(R)
        limit = max(200, 2 * problem.p)
        for k in range(limit):
            if euclidean_norm(R) <= target:
                return V, Z, k
            U = without_row_means(xp, precondition(R))
            previous, rho = rho, float(xp.sum(R * U))
            D = U + (rho / previous if k else 0.0) * D
            image, along = problem.kernels.softmax_product(
                problem.design, P, problem.s, problem.penalty, D
            )
            curvature = float(xp.sum(D * image))
            if not (rho > 0 and curvature > _FLAT * float(xp.sum(D * D))):
                return V, Z, k
            alpha = rho / curvature
            V, Z, R = V + alpha * D, Z + alpha * along, R - alpha * image
        return V, Z, limit

    def _diagonal(self, weights):
        problem, xp = self.problem, self.problem.xp
        if self.dense:
            squares = self.squares[:, None] * (
                xp.sum(weights, axis=0, keepdims=True) / problem.mass
            )
        else:
            squares = problem.design.weighted_squares(weights)
            if problem.intercept:
                squares = xp.concat([squares, xp.sum(weights, axis=0, keepdims=True)], axis=0)
        diagonal = squares + problem.penalty
        scale = 1 / xp.where(diagonal > 0, diagonal, xp.ones_like(diagonal))
        return lambda R: scale * R

    def _inverses(self, weights):
        """One inverse per class; None if one of them fails."""
        problem, xp = self.problem, self.problem.xp
        found = []
        for k in range(problem.classes):
            H = bordered_gram(problem, weights[:, k])
            problem.effort.factors += 1
            found.append(problem.kernels.positive_inverse(H))
            if found[-1] is None:
                self.matrix_cost = math.inf
                return None
        return xp.stack(found)
