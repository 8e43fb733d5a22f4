"""Least squares with an L1 penalty: the objective, its dual, and the exact solution of a block.

min F(w) = 1/2 ||y - X w||^2 + sum_j penalty_j |w_j| + l2/2 ||w||^2, perhaps with w >= 0.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from refopt.block_coordinate._indices import spread

_RESIDUAL_MODE_FROM = 128  # nonzeros: below, a Gram matrix stays in cache
_COSTLY = 12  # factorisations in one solution, from which on the next shall be the last
_EPS = 2.0**-50
_FEW = 8  # a block that grows by less than this part takes sparse products one by one
LEFT = 1e-2  # a column cancels where the intercept leaves less of its square
_ROUNDING = 1e-12  # correlations of unpenalised columns that count as zero


class LeastSquaresL1:
    """The problem as the algorithm sees it.

    With an intercept, `level` is the unit vector along its column, and X and y
    stand for their parts orthogonal to it: P = I - level level'. As the
    residual is kept orthogonal to `level`, X'r needs no correction, X w needs
    one number, and a sparse X stays sparse.

    Attributes
    ----------
    xp, kernels, design
    y : array, shape (n,)
        P y.
    factors, penalty : array, shape (p,)
        Relative weights of the penalty; lam times these.
    l2 : float
    positive : bool
    level : array, shape (n,), or None
    slopes : array, shape (p,)
        X'y, minus the gradient at zero.
    at_zero : float
        F(0).
    """

    def __init__(self, xp, kernels, design, y, factors, l2, positive, level):
        self.xp, self.kernels, self.design = xp, kernels, design
        self.factors, self.l2, self.positive, self.level = factors, l2, positive, level
        self.along: Any = None
        self._constant: Any = None
        self._cancelled: Any = None  # what rounding may leave along `level`, for ||r|| = 1
        self._steep: Any = None  # sparse columns whose squares cancel
        self.y = y
        if level is not None:
            self._meet(level)
        self.gradients = 0
        self.slopes = self.all_slopes(self.y)
        self.at_zero = 0.5 * float(self.y @ self.y)
        self._given = y
        self.set_penalty(0.0)

    def _meet(self, level):
        """Take in the intercept."""
        xp, design = self.xp, self.design
        self.y = self.y - level * float(level @ self.y)
        self.along = along = design.transposed_times(level)
        self._cancelled = _EPS * xp.abs(along)
        constant = design.constant(level)
        self._constant = constant if bool(xp.any(constant)) else None
        if not hasattr(design, "columns"):
            squares = design.squared_norms()
            self._steep = squares - along * along < LEFT * squares

    @cached_property
    def noise(self) -> float:
        """What rounding makes of slopes that are zero."""
        size = math.sqrt(float(self.xp.max(self.design.squared_norms())))
        return _EPS * size * math.sqrt(float(self._given @ self._given))

    def set_penalty(self, lam: float) -> None:
        """penalty = lam * factors."""
        self.penalty = lam * self.factors
        self.lam = float(self.xp.max(self.penalty)) if self.penalty.shape[0] else 0.0
        self.unpenalised = self.xp.nonzero(self.penalty == 0)[0]

    def largest_penalty(self) -> float:
        """The lam from which on zero is a solution, as far as penalised columns go."""
        xp = self.xp
        size = self.slopes if self.positive else xp.abs(self.slopes)
        factors = xp.where(self.factors > 0, self.factors, xp.ones_like(self.factors))
        ratios = xp.where(self.factors > 0, size / factors, xp.zeros_like(size))
        return max(0.0, float(xp.max(ratios))) if ratios.shape[0] else 0.0

    @property
    def scale(self) -> float:
        """What violations are measured in: the penalty, or without one the slopes at zero."""
        xp = self.xp
        if self.lam > 0 or self.slopes.shape[0] == 0:
            return self.lam
        return float(xp.max(xp.abs(self.slopes)))

    @property
    def certified(self) -> bool:
        """Whether there is a dual bound: something is penalised."""
        return self.l2 > 0 or self.lam > 0 or self.slopes.shape[0] == 0

    def residual(self, index: Any, w: Any) -> Any:
        """r = P (y - X w)."""
        r = self.y - self.kernels.column_sum(self.design, index, w)
        if self.level is not None:
            r = r + self.level * float(self.xp.take(self.along, index) @ w)
            r = r - self.level * float(self.level @ r)  # rounding of the large parts
        return r

    def all_slopes(self, r: Any) -> Any:
        """X'r: one pass over the data."""
        self.gradients += 1
        slopes = self.kernels.transposed_product(self.design, r)
        if self._constant is None:
            return slopes
        return self.xp.where(self._constant, self.xp.zeros_like(slopes), slopes)

    def without_constant(self, w: Any) -> Any:
        """w with zeros for the columns that the intercept makes superfluous."""
        return w if self._constant is None else self.xp.where(self._constant, 0.0 * w, w)

    def gram(self, index: Any, old: int) -> Any:
        """Rows old.. of X_B'X_B + l2 I."""
        xp, k = self.xp, index.shape[0]
        if hasattr(self.design, "columns"):
            block = xp.take(self.design.columns, index, axis=0)
            rows = block[old:, :] @ block.T
        elif (k - old) * _FEW < k:
            new = self.design.take(index[old:]).matrix.toarray()
            rows = xp.stack(
                [self.kernels.column_dots(self.design, index, new[:, a]) for a in range(k - old)]
            )
        else:
            ones = xp.ones(self.design.shape[0])
            rows = self.kernels.weighted_gram(self.design.take(index), ones)[old:, :]
        if self.level is not None:
            along = xp.take(self.along, index)
            rows = rows - along[old:, None] * along[None, :]
        if self._steep is not None:  # differences that cancel: these columns are centred instead
            for a in xp.nonzero(xp.take(self._steep, index))[0]:
                column = self.design.take(index[a : a + 1]).times(xp.ones(1))
                for _ in range(2):  # the second time without the rounding of the first
                    column = column - float(self.level @ column) * self.level
                dots = self.kernels.column_dots(self.design, index, column)
                rows[:, a] = dots[old:]
                if a >= old:
                    rows[a - old, :] = dots
        return rows + self.l2 * xp.eye(k - old, k, k=old) if self.l2 else rows

    def value(self, index: Any, w: Any, r: Any) -> float:
        """F(w)."""
        xp = self.xp
        penalty = float(xp.take(self.penalty, index) @ xp.abs(w))
        return 0.5 * float(r @ r) + penalty + 0.5 * float((self.l2 * w) @ w)

    def dual(self, r: Any, slopes: Any) -> float:
        """A lower bound of min F, from a multiple of the residual.

        theta = s r with |x_j'theta| <= penalty_j, and D = y'theta - ||theta||^2 / 2
        is largest at s = y'r / ||r||^2 within the bounds. With l2 every theta = r
        is feasible too, at D - sum_j max(0, |x_j'r| - penalty_j)^2 / (2 l2).
        """
        xp, bound = self.xp, -math.inf
        square, along = float(r @ r), float(self.y @ r)
        size = slopes if self.positive else xp.abs(slopes)
        if self._cancelled is not None:  # what makes the bound true of inexact slopes
            size = size + self._cancelled * math.sqrt(square)
        if self.l2 > 0:
            excess = xp.maximum(size - self.penalty, xp.zeros_like(size))
            bound = along - 0.5 * square - half_square(xp, excess, self.l2)
        if square == 0:
            return 0.0
        if self.unpenalised.shape[0]:
            free = float(xp.max(xp.take(size, self.unpenalised)))
            if free > _ROUNDING * float(xp.max(xp.abs(self.slopes))) + self.noise:
                return bound
        # Only the ratios of penalised columns bound s.
        one = xp.ones_like(size)
        worst = xp.where(self.penalty > 0, size / xp.where(self.penalty > 0, self.penalty, one), 0)
        ratio = float(xp.max(worst)) if size.shape[0] else 0.0
        most = 1 / ratio if ratio > 0 else math.inf
        least = 0.0 if self.positive else -most
        s = min(max(along / square, least), most)
        return max(bound, s * along - 0.5 * s * s * square)

    def gap(self, index: Any, w: Any, r: Any, bound: float) -> float:
        """(F(w) - bound) / F(0), where F is as large as rounding allows."""
        if not self.at_zero > 0:
            return 0.0
        fun = self.value(index, w, r)
        if self._cancelled is not None:
            doubt = float(self.xp.take(self._cancelled, index) @ self.xp.abs(w))
            fun += doubt * math.sqrt(float(r @ r))
        return max(0.0, fun - bound) / self.at_zero

    def optimality(self, index: Any, w: Any, slopes: Any) -> float:
        """max_j dist(x_j'r - l2 w_j, penalty_j d|w_j|)."""
        xp = self.xp
        if slopes.shape[0] == 0:
            return 0.0
        w = spread(xp, index, w, slopes.shape[0])
        h = slopes - self.l2 * w
        at_zero = (h if self.positive else xp.abs(h)) - self.penalty
        error = xp.where(w != 0, xp.abs(h - self.penalty * xp.sign(w)), at_zero)
        return max(0.0, float(xp.max(error)))


def half_square(xp: Any, v: Any, l2: float) -> float:
    """||v||^2 / (2 l2), for entries of any size."""
    largest = float(xp.max(v)) if v.shape[0] else 0.0
    if largest == 0:
        return 0.0
    return 0.5 * largest * (largest / l2) * float((v / largest) @ (v / largest))


@dataclass
class Effort:
    """What was spent: block updates and factorisations."""

    blocks: int = 0
    factored: int = 0


class Block:
    """The working set B with its coefficients, and its Gram matrix while that is the cheaper way.

    Attributes
    ----------
    index : array of int, shape (k,)
    w : array, shape (k,)
    effort : Effort
    costly : bool
        Whether the last solution took many factorisations.
    """

    def __init__(self, problem: LeastSquaresL1, x0: Any = None):
        xp = problem.xp
        self.problem, self.effort = problem, Effort()
        self.index = xp.arange(0) if x0 is None else xp.nonzero(x0)[0]
        self.w = xp.zeros(0) if x0 is None else xp.take(x0, self.index)
        self._gram = xp.zeros((0, 0))
        self.costly = False

    @property
    def size(self) -> int:
        return self.index.shape[0]

    @property
    def nonzeros(self) -> int:
        return int(self.problem.xp.count_nonzero(self.w))

    def grow(self, new: Any) -> None:
        """Take in coordinates, at zero."""
        xp = self.problem.xp
        self.index = xp.concat([self.index, new])
        self.w = xp.concat([self.w, xp.zeros(new.shape[0])])

    def keep(self, places: Any) -> None:
        """Give up all but the coordinates at these places of B."""
        xp = self.problem.xp
        self.index, self.w = xp.take(self.index, places), xp.take(self.w, places)
        if self._gram.shape[0] > 0:
            kept = places[places < self._gram.shape[0]]
            self._gram = xp.take(xp.take(self._gram, kept, axis=0), kept, axis=1)

    def solve(self, tol: float) -> Any:
        """Minimise F over the block, all else zero; the residual of the result."""
        problem, xp = self.problem, self.problem.xp
        penalty = xp.take(problem.penalty, self.index)
        self.effort.blocks += 1
        if self._by_columns():
            block = problem.design.take(self.index)
            self.w, r, factored = problem.kernels.l1_least_squares(
                block, problem.y, problem.l2, penalty, self.w, tol, problem.positive
            )
            self._gram = xp.zeros((0, 0))
            self._account(factored)
            return r
        self._extend_gram()
        self.w, factored = problem.kernels.l1_quadratic(
            self._gram,
            xp.take(problem.slopes, self.index),
            penalty,
            self.w,
            tol,
            problem.positive,
        )
        self._account(factored)
        return problem.residual(self.index, self.w)

    def _account(self, factored):
        self.effort.factored += factored
        self.costly = self.costly or factored > _COSTLY

    def _extend_gram(self):
        xp, old, k = self.problem.xp, self._gram.shape[0], self.size
        if old == k:
            return
        rows = self.problem.gram(self.index, old)
        above = xp.concat([self._gram, rows[:, :old].T], axis=1) if old else rows[:0, :]
        self._gram = xp.concat([above, rows], axis=0)

    def _by_columns(self):
        """Whether a sweep over the sparse columns is cheaper than one over the Gram matrix."""
        if hasattr(self.problem.design, "columns") or self.problem.level is not None:
            return False
        nonzeros = self.nonzeros
        if nonzeros <= _RESIDUAL_MODE_FROM:
            return False
        starts = self.problem.design.matrix.indptr
        entries = float(self.problem.xp.sum(starts[self.index + 1] - starts[self.index]))
        return entries / self.size < nonzeros / 3
