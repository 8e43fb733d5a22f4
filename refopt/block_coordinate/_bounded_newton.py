"""Convex quadratics with bounds: coordinate descent and two-metric Newton steps.

Two ways with one stopping test. Where the matrix of the working set can be
stored, the quadratic restricted to it is solved to the end; coordinate descent
changes many bounds at once, Newton steps on the free coordinates finish. Large
sparse problems take projected Newton steps by conjugate gradients.
"""

import math
from dataclasses import dataclass
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt.block_coordinate._hinge_newton import _put
from refopt_backends import diagonal_of
from refopt_backends.reference.conjugate_gradients import conjugate_gradients

_WHOLE = 600  # variables up to which the working set is everything
_GROWTH = 64  # least number of violators that enter at once
_MOST_DENSE = 4000
_SWEEPS, _MOST_SWEEPS, _COLUMNS_PER_SWEEP = 4, 40, 50  # of a batch, which a factorisation follows
_SETTLED = 0.01  # part of the coordinates that may change state in a batch before one does
_TRY_ANYWAY = 8
_ROUNDS = 100
_INNER = 1e-3  # the violation falls by this before the next full gradient
_SOLVED = 1e-6  # relative residual of a Newton system
_RIDGES = (0.0, 1e-12, 1e-9, 1e-6)  # relative to the largest diagonal entry
_EXACT = 1e-14


@dataclass
class Effort:
    """What a run took, counted as it goes."""

    njev: int = 0
    nbev: int = 0
    nchol: int = 0


@dataclass(frozen=True)
class BoxPoint:
    """x, f(x), its gradient; gap: a bound of f(x) - min f, or infinity; kkt: absolute."""

    x: Any
    fun: float
    grad: Any
    gap: float
    kkt: float


class Box:
    """A form, its bounds, and what accuracy is measured against.

    Parameters
    ----------
    form : MatrixForm
    lower, upper : array, shape (p,)
    """

    def __init__(self, form, lower, upper):
        self.form, self.xp, self.lower, self.upper = form, form.xp, lower, upper
        self.kernels = form.kernels
        origin = self.at(self.project(self.xp.zeros_like(lower)))
        self.scale, self.first_gap, self.kkt_scale = abs(origin.fun), origin.gap, origin.kkt

    def project(self, x):
        """The nearest point of the box."""
        return self.xp.clip(x, self.lower, self.upper)

    def at(self, x):
        """The point x."""
        fun, g = self.form.at(x)
        gap = self.form.lower_bound_gap(x, g, self.lower, self.upper)
        kkt = self.xp.abs(x - self.project(x - g))
        return BoxPoint(x, fun, g, gap, float(self.xp.max(kkt)) if x.shape[0] else 0.0)

    def error(self, point):
        """Relative gap, or the relative KKT residual where there is no gap."""
        if math.isfinite(point.gap):
            return self.relative_gap(point)
        return _ratio(point.kkt, self.kkt_scale)

    def relative_gap(self, point):
        """gap / max(|f(x)|, |f(P(0))|); where both are 0 over the gap at P(0)."""
        return _ratio(point.gap, max(abs(point.fun), self.scale) or self.first_gap)


def _ratio(value, scale):
    return value / scale if value and scale > 0 else value


def state_of(xp, x, lower, upper):
    """-1, 0, 1 at the lower bound, between, at the upper bound."""
    one = xp.ones_like(x)
    return xp.where(x <= lower, -one, xp.where(x >= upper, one, xp.zeros_like(x)))


def bounded_newton(box, x, effort):
    """Generator of the iterates.

    Parameters
    ----------
    box : Box
    x : array, shape (p,)
        Start, in the box.
    effort : Effort
        Counts are added to it.

    Yields
    ------
    Iterate
        With ``x = BoxPoint``.
    """
    form, p = box.form, x.shape[0]
    point = box.at(x)
    yield _iterate(box, point, 0)
    if reason := _flat_descent(box, point):
        return _status.INFEASIBLE, reason
    if form.sparse and p > _MOST_DENSE and type(form).__name__ == "MatrixForm":
        return (yield from _projected_cg(box, point, effort))
    return (yield from _working_sets(box, point, effort))


def _working_sets(box, point, effort):
    xp, form, p = box.xp, box.form, point.x.shape[0]
    inside = xp.zeros(p, dtype=xp.bool)
    index, G = xp.zeros(0, dtype=xp.int64), xp.zeros((0, 0))
    failures, best, least = 0, math.inf, point.fun
    while failures < 3:
        if p <= _WHOLE:
            if G.shape[0] < p:
                index, G = xp.arange(p), form.whole()
                inside = xp.ones(p, dtype=xp.bool)
        else:
            index, G, inside = _grow(box, point, index, G, inside)
        x, _, reason = _solve(
            box, G, xp.take(point.x, index), xp.take(point.grad, index),
            xp.take(box.lower, index), xp.take(box.upper, index), effort,
        )  # fmt: skip
        if reason:
            return _status.INFEASIBLE, reason
        order = xp.argsort(index)
        point = box.at(_put(xp, point.x, inside, xp.take(x, order)))
        effort.njev += 1
        yield _iterate(box, point, index.shape[0])
        error = box.error(point)
        everything = index.shape[0] == p or not bool(xp.any(_violation(box, point) * ~inside > 0))
        # far from the minimum the gap is as large as f, and both fall together
        better = error < 0.5 * best or least - point.fun > 0.5 * abs(least)
        failures = 0 if better or not everything else failures + 1
        best, least = min(best, error), min(least, point.fun)
    return _status.STALLED, ""


def _violation(box, point):
    """What a step of the single coordinate would gain, to first order."""
    xp, diagonal = box.xp, box.form.diagonal
    metric = xp.where(diagonal > 0, diagonal, xp.ones_like(diagonal))
    step = box.project(point.x - point.grad / metric) - point.x
    return xp.abs(step) * xp.sqrt(metric)


def _grow(box, point, index, G, inside):
    """The working set with the worst violators added."""
    xp, form = box.xp, box.form
    gain = xp.where(inside, xp.zeros_like(point.x), _violation(box, point))
    if index.shape[0] == 0:  # the start's own free coordinates
        free = (point.x > box.lower) & (point.x < box.upper)
        gain = xp.where(free & (point.x != 0), xp.full_like(gain, math.inf), gain)
    wanted = max(_GROWTH, index.shape[0], int(xp.count_nonzero(gain == math.inf)))
    order = xp.argsort(-gain)[: min(wanted, gain.shape[0])]
    new = order[xp.take(gain, order) > 0]
    if new.shape[0] == 0:
        return index, G, inside
    corner, side = form.block(new, new), form.block(index, new)
    if index.shape[0]:
        top, bottom = xp.concat([G, side], axis=1), xp.concat([side.T, corner], axis=1)
        G = xp.concat([top, bottom], axis=0)
    else:
        G = corner
    index = xp.concat([index, new])
    marks = xp.zeros_like(point.x)
    every = xp.sort(index)
    places = xp.searchsorted(every, xp.arange(marks.shape[0]))
    places = xp.clip(places, 0, every.shape[0] - 1)
    return index, G, xp.take(every, places) == xp.arange(marks.shape[0])


def _solve(box, G, x, g, lower, upper, effort):
    """The quadratic with matrix G in the box, to a part of the violation at the start.

    Returns
    -------
    x, g : array
    reason : str
        Why there is no minimiser, or nothing.
    """
    xp, kernels = box.xp, box.kernels
    if x.shape[0] == 0:
        return x, g, ""
    diagonal = diagonal_of(G)
    metric = xp.where(diagonal > 0, diagonal, xp.ones_like(diagonal))
    top, root = float(xp.max(diagonal)), xp.sqrt(metric)
    worst = lambda: float(xp.max(root * xp.abs(xp.clip(x - g / metric, lower, upper) - x)))
    target = _INNER * worst()
    sweeps = min(max(_SWEEPS, x.shape[0] // _COLUMNS_PER_SWEEP), _MOST_SWEEPS)
    for batch in range(_ROUNDS):
        before = state_of(xp, x, lower, upper)
        x, g = kernels.box_sweeps(G, x, g, lower, upper, sweeps)
        effort.nbev += sweeps * x.shape[0]
        changed = int(xp.count_nonzero(state_of(xp, x, lower, upper) != before))
        settled = changed <= _SETTLED * x.shape[0] or batch % _TRY_ANYWAY == _TRY_ANYWAY - 1
        movable = _may_move(x, g, lower, upper)
        while settled:  # ends: a step that meets a bound leaves fewer to move
            x, g, movable, crossed, reason = _newton_step(
                box, G, x, g, movable, lower, upper, top, effort
            )
            if reason:
                return x, g, reason
            if not crossed:
                break
        size = float(xp.max(xp.abs(x) * root))
        if worst() <= max(target, _EXACT * size):
            break
    return x, g, ""


def _newton_step(box, G, x, g, movable, lower, upper, top, effort):
    """A step of the movable coordinates along a path that bends at the bounds.

    Returns
    -------
    x, g : array
    movable : array of bool
        Those still between their bounds. As none joins them before the least value on
        their face is found, no face comes twice.
    crossed : bool
        Whether the whole step would have left the box.
    reason : str
        Why there is no minimiser, or nothing.
    """
    xp = box.xp
    free = xp.nonzero(movable)[0]
    if free.shape[0] == 0:
        return x, g, movable, False, ""
    H, slope = xp.take(xp.take(G, free, axis=0), free, axis=1), xp.take(g, free)
    d, ridge = _newton(xp, box.kernels, H, slope, top, effort)
    low, high, old = xp.take(lower, free), xp.take(upper, free), xp.take(x, free)
    if ridge > 0 and _is_ray(xp, H, slope, d, low, high, top):
        reason = "The objective falls without end along a ray of the box."
        return x, g, movable, False, reason
    crossed = bool(xp.any((old + d < low) | (old + d > high)))
    new = _along(xp, H, slope, old, d, low, high) if crossed else xp.clip(old + d, low, high)
    mask = _marks(xp, x.shape[0], free)
    moved = _put(xp, xp.zeros_like(x), mask, new - old)
    x = _put(xp, x, mask, new)
    movable = movable & (x > lower) & (x < upper)
    return x, g + G @ moved, movable, crossed, ""


def _along(xp, H, slope, x, d, low, high):
    """The best of some points of the path clip(x + t d), 0 <= t <= 1, which bends at bounds.

    They are its end, its first bend, up to which the quadratic falls, and the bends
    number 2, 4, 8, ... between.
    """
    beyond = (x + d < low) | (x + d > high)
    away = xp.where(d > 0, high - x, low - x)
    room = xp.where(beyond, away / xp.where(beyond, d, 1.0), math.inf)
    count = int(xp.count_nonzero(beyond))
    places = xp.asarray([2**k - 1 for k in range(count.bit_length())])
    t = xp.concat([xp.ones(1), xp.take(xp.sort(room), places)])[:, None]
    points = xp.where(room <= t, xp.where(d > 0, high, low), xp.clip(x + t * d, low, high))
    steps = points - x
    change = steps @ slope + 0.5 * xp.sum(steps * (steps @ H), axis=1)
    return points[int(xp.argmin(change)), ...]


def _may_move(x, g, lower, upper):
    return (lower < upper) & ~(((x <= lower) & (g >= 0)) | ((x >= upper) & (g <= 0)))


def _marks(xp, size, index):
    """The mask of ascending places."""
    if index.shape[0] == 0:
        return xp.zeros(size, dtype=xp.bool)
    every = xp.arange(size)
    places = xp.clip(xp.searchsorted(index, every), 0, index.shape[0] - 1)
    return xp.take(index, places) == every


def _newton(xp, kernels, H, slope, top, effort):
    """-H^-1 slope, with the least ridge that factorises; the direction and the ridge."""
    for ridge in _RIDGES:
        effort.nchol += 1
        shifted = H + (ridge * top) * xp.eye(H.shape[0]) if ridge else H
        d = kernels.spd_solve(shifted, -slope)
        if d is None:
            continue
        # a factor of rounding errors gives no solution
        left = float(xp.max(xp.abs(shifted @ d + slope)))
        if left <= _SOLVED * float(xp.max(xp.abs(slope))):
            return d, ridge
    if d is not None:
        return d, ridge
    raise ValueError("Q must be positive semidefinite, got a matrix with negative curvature")


def _is_ray(xp, H, slope, d, lower, upper, top):
    """Whether the objective falls along d for ever, inside the box."""
    size = float(xp.max(xp.abs(d)))
    if not size > 0:
        return False
    v = d / size
    blocked = ((v > 1e-9) & xp.isfinite(upper)) | ((v < -1e-9) & xp.isfinite(lower))
    falling = float(slope @ v) < -1e-9 * float(xp.max(xp.abs(slope)))
    flat = float(xp.max(xp.abs(H @ v))) <= 1e-8 * top
    return falling and flat and not bool(xp.any(blocked))


def _flat_descent(box, point):
    """A coordinate without curvature along which the objective falls for ever."""
    flat, g = box.form.diagonal == 0, point.grad
    away = ((g < 0) & (box.upper == math.inf)) | ((g > 0) & (box.lower == -math.inf))
    found = flat & away
    if not bool(box.xp.any(found)):
        return ""
    place = int(box.xp.nonzero(found)[0][0])
    return f"The objective falls without end in coordinate {place}."


def _projected_cg(box, point, effort):
    """Projected Newton steps by conjugate gradients over the free coordinates."""
    xp, form = box.xp, box.form
    diagonal = xp.where(form.diagonal > 0, form.diagonal, xp.ones_like(form.diagonal))
    failures = 0
    while failures < 3:
        x, g = point.x, point.grad
        free = xp.astype(_may_move(x, g, box.lower, box.upper), xp.float64)
        product = lambda v, free=free: free * form.product(free * v)
        rtol = 1e-3 if failures == 0 else 1e-10
        d = conjugate_gradients(product, diagonal, -free * g, rtol, 1000)[0]
        if _large_ray(box, g, d):
            return _status.INFEASIBLE, "The objective falls without end along a ray of the box."
        effort.nbev += int(float(xp.sum(free)))
        t, new = 1.0, None
        for _ in range(40):
            step = box.project(x + t * d) - x
            slope = float(g @ step)
            change = slope + 0.5 * float(step @ form.product(step))
            if change <= 0.1 * slope <= 0:
                new = box.at(box.project(x + step))
                break
            t *= 0.5
        effort.njev += 1
        if new is None or box.error(new) >= box.error(point):
            failures += 1
        else:
            failures = 0
        point = new or point
        yield _iterate(box, point, int(float(xp.sum(free))))
    return _status.STALLED, ""


def _large_ray(box, g, d):
    xp = box.xp
    size = float(xp.max(xp.abs(d)))
    if not size > 0:
        return False
    v = d / size
    blocked = ((v > 1e-9) & xp.isfinite(box.upper)) | ((v < -1e-9) & xp.isfinite(box.lower))
    if bool(xp.any(blocked)):
        return False
    bend = float(xp.max(xp.abs(box.form.product(v))))
    falling = float(g @ v) < -1e-9 * float(xp.max(xp.abs(g)))
    return falling and bend <= 1e-10 * float(xp.max(box.form.diagonal))


def _iterate(box, point, working):
    record = {
        "kkt": point.kkt,
        "nnz": int(box.xp.count_nonzero(point.x)),
        "block_size": working,
    }
    return Iterate(point, point.fun, box.error(point), record)
