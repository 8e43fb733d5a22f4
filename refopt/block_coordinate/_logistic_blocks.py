"""Greedy variable blocks with proximal Newton steps, for logistic loss with an L1 penalty.

min F(w, b) = sum_i s_i log(1 + exp(-y_i (x_i'w + b))) + sum_j penalty_j |w_j| + l2/2 ||w||^2.
"""

import math
from collections.abc import Generator
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt.block_coordinate._indices import largest, spread
from refopt.block_coordinate._least_squares import half_square
from refopt.losses import entropy

_LEAST, _GROWTH = 16, 0.5  # coordinates that a block gains at once, or so many per nonzero,
_FULL, _FAST = 0.8, 1.0  # or so many if nearly all of the block before became nonzero
_CANDIDATES, _LEAST_CANDIDATES = 6, 256
_STEPS = 4  # Newton steps between two passes over all columns
_ENOUGH = 0.005  # fall of the violation among the candidates that calls for a pass
_INNER = 0.05  # accuracy of the quadratic model's solution beside its violation
_SAFE = 0.5  # a step that moves no prediction further needs no line search
_ARMIJO = 1e-3
_ROUNDING = 1e-11
_CANCELLED = 2.0**-50
_LEAST_COLUMNS, _SPARSE = 64, 0.5  # of blocks that are swept by columns: entries over squares
_PATIENCE = 8


class LogisticL1:
    """The problem, and the point (w, b) with its predictions z = X w + b.

    Attributes
    ----------
    xp, kernels, design
    y, rows : array, shape (n,)
        Classes -1 and 1, and the weights s of the samples.
    penalty : array, shape (p,)
    l2 : float
    w : array, shape (p,)
    b : float
    loss : float
        Of the predictions.
    theta, curvature : array, shape (n,)
        Minus the slopes of the loss, and its second derivatives.
    """

    def __init__(self, xp, kernels, design, y, rows, penalty, l2, fit_intercept, x0):
        self.xp, self.kernels, self.design, self.y, self.rows = xp, kernels, design, y, rows
        self.penalty, self.l2, self.fit_intercept = penalty, l2, fit_intercept
        self.lam = float(xp.max(penalty)) if penalty.shape[0] else 0.0
        self.unpenalised = xp.nonzero(penalty == 0)[0]
        self.gradients = self.blocks = self.factored = 0
        self.w, self.b = xp.zeros(design.shape[1]), 0.0
        self.z = xp.zeros(design.shape[0])
        self.evaluate()
        self.centre()
        self.at_zero = self.loss
        self.first = self.slopes()
        largest = float(xp.max(xp.abs(self.first))) if penalty.shape[0] else 0.0
        self.scale = self.lam if self.lam > 0 else largest or 1.0
        if x0 is not None:
            at_zero = self.z, self.b
            self.w, self.b = x0, 0.0
            self.z = design.times(x0)
            self.evaluate()
            self.centre()
            if not self.value() <= self.at_zero:  # far away curvatures vanish
                self.w, self.z, self.b = xp.zeros_like(x0), at_zero[0], at_zero[1]
                self.evaluate()

    def evaluate(self) -> None:
        """Loss, slopes and curvatures at z."""
        self.loss, slope, self.curvature = self.kernels.logistic_terms(self.z, self.y, self.rows)
        self.theta = -slope

    def centre(self) -> None:
        """The best intercept for these w, by Newton's method in one dimension."""
        xp = self.xp
        if not self.fit_intercept:
            return
        for _ in range(50):
            slope, curvature = float(xp.sum(self.theta)), float(xp.sum(self.curvature))
            if abs(slope) <= 1e-15 * float(xp.sum(self.rows)) or curvature <= 0:
                break
            step = min(max(slope / curvature, -2.0), 2.0)
            self.b += step
            self.z = self.z + step
            self.evaluate()

    def slopes(self) -> Any:
        """X'theta, minus the gradient of the loss: one pass over the data."""
        self.gradients += 1
        return self.kernels.transposed_product(self.design, self.theta)

    def value(self) -> float:
        """F(w, b)."""
        xp = self.xp
        return (
            self.loss
            + float(self.penalty @ xp.abs(self.w))
            + 0.5 * float((self.l2 * self.w) @ self.w)
        )

    def dual(self, slopes: Any) -> float:
        """A lower bound of min F, -sum_i s_i h(q_i) of q in [0, 1] with feasible theta = s y q.

        h(q) = q log q + (1 - q) log(1 - q). q = expit(-y z) is shrunk until
        |x_j'theta| <= penalty_j; with l2 the excess may be paid for instead, by
        sum_j max(0, |x_j'theta| - penalty_j)^2 / (2 l2).
        """
        xp = self.xp
        size, bound = xp.abs(slopes), -math.inf
        if self.l2 > 0:
            excess = xp.maximum(size - self.penalty, xp.zeros_like(size))
            bound = self._entropies(1.0) - half_square(xp, excess, self.l2)
        if not size.shape[0]:
            return self._entropies(1.0)
        if self.unpenalised.shape[0]:
            free = float(xp.max(xp.take(size, self.unpenalised)))
            if free > _ROUNDING * float(xp.max(xp.abs(self.first))):
                return bound
        safe = xp.where(self.penalty > 0, self.penalty, xp.ones_like(size))
        shrink = max(1.0, float(xp.max(xp.where(self.penalty > 0, size / safe, 0.0))))
        return max(bound, self._entropies(shrink))

    def _entropies(self, shrink):
        """-sum_i s_i h(q_i) of the shrunk q."""
        xp = self.xp
        used = self.rows > 0
        weight = xp.where(used, self.rows, xp.ones_like(self.rows))
        q = xp.where(used, xp.clip(self.y * self.theta / weight, 0.0, 1.0), 0.0) / shrink
        return -float(self.rows @ (entropy(q) + entropy(1 - q)))

    def separated(self) -> bool:
        """Whether the unpenalised part of (w, b) proves that there is no minimiser.

        Along a direction that costs no penalty, and on which no sample's loss rises
        and one falls, F falls for ever.
        """
        xp = self.xp
        if self.l2 > 0 or not self.unpenalised.shape[0]:
            return False
        w = xp.where(self.penalty == 0, self.w, xp.zeros_like(self.w))
        margins = (self.y * (self.design.times(w) + self.b))[self.rows > 0]
        return bool(xp.all(margins >= 0) & xp.any(margins > 0))

    def errors(self, index: Any, slopes: Any) -> Any:
        """dist(x_j'theta - l2 w_j, penalty_j d|w_j|) of some coordinates."""
        xp = self.xp
        w, penalty = xp.take(self.w, index), xp.take(self.penalty, index)
        h = slopes - self.l2 * w
        at_zero = xp.maximum(xp.abs(h) - penalty, xp.zeros_like(h))
        return xp.where(w != 0, xp.abs(h - penalty * xp.sign(w)), at_zero)

    def newton_step(self, index: Any, slopes: Any, violation: float) -> None:
        """Minimise the quadratic model of a block, and go there as far as F allows.

        `violation` is the largest error of optimality in the block.
        """
        xp = self.xp
        self.blocks += 1
        w, penalty = xp.take(self.w, index), xp.take(self.penalty, index)
        tol = _INNER * violation * min(1.0, violation / self.scale)
        if self.unpenalised.shape[0]:  # a dual point must be orthogonal to their columns
            tol *= 1e-4
        gradient, along, total, rest = slopes - self.l2 * w, None, 0.0, 0.0
        if self._by_columns(index):
            tol = max(tol, 1e-14 * float(xp.max(xp.abs(self.first))))
            new, factored = self.kernels.l1_weighted_squares(
                self.design, index, self.curvature, self.theta, self.l2, penalty, w, tol
            )
        else:
            H, reduced = self.kernels.block_gram(self.design, index, self.curvature), gradient
            if self.l2 > 0:
                H = H + self.l2 * xp.eye(w.shape[0])
            total = float(xp.sum(self.curvature))
            if self.fit_intercept and total > 0:  # the best intercept for each w
                along = self.kernels.column_dots(self.design, index, self.curvature)
                rest = float(xp.sum(self.theta))
                square = along * (along / total)
                H = H - along[:, None] * (along / total)[None, :]
                # What rounding makes of the difference must not bend H downwards.
                H = H + xp.eye(w.shape[0]) * (w.shape[0] * _CANCELLED * square)
                reduced = gradient - along * (rest / total)
            new, factored = self.kernels.l1_quadratic(
                H, reduced + H @ w, penalty, w, max(tol, 1e-14 * self.scale), False
            )
        self.factored += factored
        step = new - w
        if not math.isfinite(float(xp.sum(xp.abs(step)))):  # flat to rounding: no minimiser here
            return
        shift = (rest - float(along @ step)) / total if along is not None else 0.0
        along_z = self.kernels.column_sum(self.design, index, step) + shift
        rise = -float(gradient @ step) - rest * shift
        t = self._length(index, w, step, rise, along_z)
        new = new if t == 1.0 else w + t * step
        p = self.w.shape[0]
        inside = spread(xp, index, xp.ones(index.shape[0]), p) > 0
        self.w = xp.where(inside, spread(xp, index, new, p), self.w)
        self.b += t * shift
        self.z = self.z + t * along_z
        self.evaluate()

    def _by_columns(self, index):
        """Whether a sweep over a block's sparse columns is cheaper than one over its Hessian."""
        if self.fit_intercept or hasattr(self.design, "columns"):
            return False
        starts = self.design.matrix.indptr
        entries = float(self.xp.sum(starts[index + 1] - starts[index]))
        return index.shape[0] > _LEAST_COLUMNS and entries < _SPARSE * index.shape[0] ** 2

    def _length(self, index, w, step, rise, along_z):
        """Step length.

        While no prediction moves by more than 1/2 the curvatures stay within
        a factor exp(1/2), and the decrease is at least 0.4 of the model's slope:
        Armijo's rule holds without a look at F.
        """
        xp = self.xp
        furthest = float(xp.max(xp.abs(along_z)))
        if furthest <= _SAFE:
            return 1.0
        penalty = xp.take(self.penalty, index)
        old = float(penalty @ xp.abs(w)) + 0.5 * self.l2 * float(w @ w)
        slope = rise + float(penalty @ (xp.abs(w + step) - xp.abs(w)))
        t = 1.0
        while t * furthest > _SAFE:
            new = w + t * step
            loss = self.kernels.logistic_terms(self.z + t * along_z, self.y, self.rows)[0]
            penal = float(penalty @ xp.abs(new)) + 0.5 * self.l2 * float(new @ new)
            if loss + penal <= self.loss + old + _ARMIJO * t * slope:
                break
            t *= 0.5
        return t


def logistic_blocks(problem: LogisticL1, tol: float) -> Generator[Iterate, None, tuple[int, str]]:
    """Iterates whose ``x`` is (w, b), one per pass over the data."""
    xp, p = problem.xp, problem.w.shape[0]
    everything = xp.arange(p)
    bound, least, waited = 0.0, math.inf, 0  # F is never negative
    signs = xp.sign(problem.w)
    size = 0
    slopes = problem.first if problem.gradients == 1 and not bool(xp.any(problem.w != 0)) else None
    while True:
        if slopes is None:
            problem.z = problem.design.times(problem.w) + problem.b
            problem.evaluate()
            problem.centre()
            slopes = problem.slopes()
        bound = max(bound, problem.dual(slopes))
        fun = problem.value()
        gap = max(0.0, fun - bound) / problem.at_zero if problem.at_zero > 0 else 0.0
        changed = bool(xp.any(xp.sign(problem.w) != signs))
        signs = xp.sign(problem.w)
        errors = problem.errors(everything, slopes)
        record = {
            "kkt": float(xp.max(errors)) if p else 0.0,
            "nnz": float(xp.count_nonzero(problem.w)),
            "block_size": float(size),
            "support_changed": float(changed),
        }
        yield Iterate(x=(problem.w, problem.b), fun=fun, error=gap, record=record)
        waited = 0 if gap < 0.5 * least else waited + 1
        least = min(least, gap)
        if waited > _PATIENCE or record["kkt"] == 0:
            return _status.STALLED, ""
        candidates = _candidates(problem, slopes)
        near, worst = xp.take(slopes, candidates), 0.0
        block = None
        for step in range(_STEPS):
            errors = problem.errors(candidates, near)
            violation = float(xp.max(errors)) if errors.shape[0] else 0.0
            worst = max(worst, violation) if step == 0 else worst
            if violation == 0 or (step and violation <= _ENOUGH * worst):
                break
            block = _block(problem, candidates, errors, block)
            size = int(xp.count_nonzero(block))
            inside = xp.nonzero(block)[0]
            problem.newton_step(xp.take(candidates, inside), xp.take(near, inside), violation)
            near = problem.kernels.column_dots(problem.design, candidates, problem.theta)
        slopes = None


def _candidates(problem, slopes):
    """The nonzeros, and the zeros whose slopes are largest beside their penalties."""
    xp, p = problem.xp, slopes.shape[0]
    nonzero = problem.w != 0
    count = _CANDIDATES * max(int(xp.count_nonzero(nonzero)), _LEAST)
    count = max(count, _LEAST_CANDIDATES)
    if count >= p:
        return xp.arange(p)
    key = xp.where(nonzero, xp.inf, xp.abs(slopes) - problem.penalty)
    return xp.sort(largest(xp, key, count))


def _block(problem, candidates, errors, before):
    """Mask of the candidates that move: the nonzeros and the worst violators among the zeros."""
    xp = problem.xp
    nonzero = xp.take(problem.w, candidates) != 0
    moving = nonzero if before is None else nonzero | before
    waiting = ~moving & (errors > 0)
    count = int(xp.count_nonzero(nonzero))
    full = before is None or count > _FULL * int(xp.count_nonzero(before))
    most = max(_LEAST, int((_FAST if full else _GROWTH) * count))
    if int(xp.count_nonzero(waiting)) <= most:
        return moving | waiting
    worst = largest(xp, xp.where(waiting, errors, -xp.inf), most)
    return moving | (spread(xp, worst, xp.ones(most), errors.shape[0]) > 0)
