"""Greedy variable blocks with exact block updates, for least squares with an L1 penalty.

The block holds the nonzeros and the coordinates that violate optimality most,
and is minimised over exactly; it doubles until nothing outside violates. Most
rounds look at a set of candidates only: a pass over all columns finds them.
"""

import math
from collections.abc import Generator

from refopt import _status
from refopt._driver import Iterate
from refopt.block_coordinate._indices import largest, spread
from refopt.block_coordinate._least_squares import Block, LeastSquaresL1

_LEAST = 32  # coordinates that a block gains at once, and half the nonzeros if these are more
_CANDIDATES = 6  # candidates per nonzero
_LEAST_CANDIDATES = 256
_IDLE = 0.8  # a zero whose slope is below this part of its penalty leaves a block grown too large
_LOOSE = 0.1  # accuracy of a block that is about to grow, relative to the violation outside
_SHARP = 1e-8  # accuracy of a costly one: few of them, each to the end
_LAST = 0.05  # share of the gap that the block's own error may make up
_SMALL = 256  # nonzeros: a smaller block is solved to the end each time
_SETTLED = 1e-3  # gap below which any block is
_PATIENCE = 6  # passes over the data without progress


def greedy_blocks(
    problem: LeastSquaresL1, block: Block, tol: float
) -> Generator[Iterate, None, tuple[int, str]]:
    """Iterates whose ``x`` is (index, w, r, slopes), one per pass over the data."""
    xp, scale, signs = problem.xp, problem.scale, None
    bound, least_gap, waited = 0.0, math.inf, 0  # F is never negative
    r = problem.residual(block.index, block.w) if block.size else problem.y
    slopes = problem.all_slopes(r) if block.size else problem.slopes
    first_error = problem.optimality(xp.arange(0), xp.zeros(0), problem.slopes)
    while True:
        bound = max(bound, problem.dual(r, slopes))
        before, signs = signs, spread(xp, block.index, xp.sign(block.w), slopes.shape[0])
        changed = before is not None and bool(xp.any(signs != before))
        iterate, gap = _iterate(problem, block, r, slopes, bound, first_error, changed)
        yield iterate
        waited = 0 if iterate.error < 0.5 * least_gap else waited + 1
        least_gap = min(least_gap, iterate.error)
        if waited > _PATIENCE or iterate.error == 0:
            return _status.STALLED, ""
        _prune(problem, block, xp.take(slopes, block.index))
        candidates = _candidates(problem, block, slopes)
        near = xp.take(slopes, candidates)
        for round_ in range(_PATIENCE + 60):
            excess = _excess(problem, candidates, near)
            count = int(xp.count_nonzero(excess > 0))
            if count == 0:
                break
            violation = float(xp.max(excess)) / scale
            if round_ > 0 and violation < 0.05 and not gap < _SETTLED:
                break  # the candidates are not the right ones yet
            if block.costly:
                _prune(problem, block, problem.kernels.column_dots(problem.design, block.index, r))
            most = block.nonzeros if block.costly else block.nonzeros // 2
            worst = largest(xp, excess, min(count, max(_LEAST, most)))
            block.grow(xp.take(candidates, worst))
            accuracy = _SHARP if block.costly else _LOOSE * min(violation, 1.0)
            r = block.solve(scale * max(accuracy, 1e-13))
            rest = spread(xp, worst, xp.ones(worst.shape[0]), candidates.shape[0]) == 0
            candidates = candidates[rest]
            near = problem.kernels.column_dots(problem.design, candidates, r)
        if block.size:
            r = block.solve(_accuracy(problem, block, tol, gap, first_error))
        slopes = problem.all_slopes(r)


def _iterate(problem, block, r, slopes, bound, first_error, changed):
    fun = problem.value(block.index, block.w, r)
    kkt = problem.optimality(block.index, block.w, slopes)
    gap = problem.gap(block.index, block.w, r, bound)
    error = gap if problem.certified else (kkt / first_error if first_error > 0 else 0.0)
    record = {
        "kkt": kkt,
        "nnz": float(block.nonzeros),
        "block_size": float(block.size),
        "support_changed": float(changed),
    }
    return Iterate(x=(block.index, block.w, r, slopes), fun=fun, error=error, record=record), gap


def _accuracy(problem, block, tol, gap, first_error):
    """How far the slopes of the block may be off: the gap they cause is below |w|_1 times that."""
    if not problem.certified:
        return 0.1 * tol * first_error
    if problem.unpenalised.shape[0]:  # a dual point must be orthogonal to their columns
        return 1e-14 * float(problem.xp.max(problem.xp.abs(problem.slopes)))
    size = float(problem.xp.sum(problem.xp.abs(block.w)))
    small = block.nonzeros < _SMALL or problem.slopes.shape[0] <= _LEAST_CANDIDATES + block.size
    wanted = 0.2 * (tol if small or gap < _SETTLED else max(tol, _LAST * gap)) * problem.at_zero
    return min(
        max(wanted / size if size > 0 else math.inf, 1e-14 * problem.scale), 0.02 * problem.scale
    )


def _excess(problem, index, slopes):
    """How far the slopes of zeros exceed their penalties."""
    size = slopes if problem.positive else problem.xp.abs(slopes)
    excess = size - problem.xp.take(problem.penalty, index)
    # What rounding makes of an optimal coordinate is no violation.
    return excess - 1e-13 * problem.scale


def _candidates(problem, block, slopes):
    """The zeros outside the block whose slopes are largest beside their penalties."""
    xp, p = problem.xp, slopes.shape[0]
    size = slopes if problem.positive else xp.abs(slopes)
    inside = spread(xp, block.index, xp.ones(block.size), p) > 0
    key = xp.where(inside, -xp.inf, size - problem.penalty)
    count = max(_CANDIDATES * max(block.nonzeros, _LEAST), _LEAST_CANDIDATES)
    return xp.sort(largest(xp, key, min(count, p - block.size)))


def _prune(problem, block, slopes):
    """Zeros far from moving leave a block that has grown too large."""
    xp = problem.xp
    if block.size <= 1.3 * block.nonzeros + 4 * _LEAST:
        return
    near = xp.abs(slopes) > _IDLE * xp.take(problem.penalty, block.index)
    block.keep(xp.nonzero((block.w != 0) | near)[0])
