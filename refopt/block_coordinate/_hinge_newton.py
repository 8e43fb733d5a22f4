"""The dual of the support vector machine: coordinate descent, then proximal Newton steps.

The dual is min_{0 <= a <= C} q(a) = |Z'a|^2/2 - 1'a with Z = diag(y) X, the primal
min_w |w|^2/2 + sum_i C_i max(0, 1 - z_i'w), and w = Z'a.
"""

import math
from dataclasses import dataclass
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt_backends import cumulative_sum, euclidean_norm
from refopt_backends.reference.conjugate_gradients import conjugate_gradients

_SWEEPS = 20  # of a batch of coordinate descent, the first; the next one looks at all rows again
_LEAST_SWEEPS, _MOST_SWEEPS = 4, 60  # of later ones
_SETTLED = 0.003  # part of the free rows that a batch may still change before Newton begins
_CLOSE, _FINISH = 1e-6, 0.2  # below this gap, against so much of that: the pieces are nearly right
_LEAST_LIVE = 0.3  # part of the rows that a sweep visits beside the free ones
_MOST_BATCHES = 25  # of coordinate descent, whatever they cost: tiny ones add up to maxiter
_NEWTON_STEPS = 20  # coordinate descent may cost as much as so many of these
_NEWTON_RATE = 16.0  # operations of a factorisation in the time of one entry in random order
_NEWTON_ENTRIES = 6e5  # such entries in the time of what else a Newton step needs
_SIGMA, _SETTLED_SIGMA = 10.0, 1000.0  # the first sigma times the mean squared row norm
_GROWTH, _LEAP = 5.0, 100.0  # of sigma after each proximal step, and after an easy one
_EASY = 3  # Newton steps of an easy one
_MOST_SIGMA, _UTMOST_SIGMA = 1e4, 1e5  # over the same; a larger one brings rounding errors into a
_MOST_CAPS, _UTMOST_CAPS = 10.0, 100.0  # or so many times the largest C, if that is more
_SLOW = 0.3  # fall of the gap that calls for a larger one all the same
_NEAR = 0.5  # rows whose margin is within this of 1 may change in a proximal step
_INNER = 50
_FORCING = 0.3
_MOST_DENSE = 4000  # rows of a Newton matrix that is stored
_RISE = 1e-9  # of the dual, relative: less is no progress,
_ROUNDING = 1e-14  # and so little of its terms rounding, for which sigma is to blame
_PATIENCE = 6


@dataclass
class Effort:
    """What a run took, counted as it goes."""

    njev: int = 0
    nbev: int = 0
    nchol: int = 0


@dataclass(frozen=True)
class DualPoint:
    """Dual variables and what follows from them.

    Attributes
    ----------
    a : array, shape (n,)
    w : array, shape (p,)
        Z'a.
    margins : array, shape (n,)
        Z w.
    primal, dual : float
    gap : float
        (primal - dual) / sum(C), not below 0.
    """

    a: Any
    w: Any
    margins: Any
    primal: float
    dual: float
    gap: float


def evaluate(rows, C, a, w=None):
    """The point of dual variables in [0, C]."""
    xp = rows.xp
    w = rows.combine(a) if w is None else w
    margins = rows.margins(w)
    half = 0.5 * float(w @ w)
    loss = C @ xp.clip(1.0 - margins, 0.0, math.inf)
    primal, dual, scale = half + float(loss), float(xp.sum(a)) - half, float(xp.sum(C))
    gap = max(primal - dual, 0.0)
    return DualPoint(a, w, margins, primal, dual, gap / scale if gap and scale > 0 else gap)


def state_of(xp, a, C):
    """-1, 0, 1 of rows at 0, between, at C."""
    one = xp.ones_like(a)
    return xp.where(a <= 0, -one, xp.where(a >= C, one, xp.zeros_like(a)))


def hinge_newton(rows, C, a, effort, sweeping, tol):
    """Generator of the iterates.

    Parameters
    ----------
    rows : SignedRows
    C : array, shape (n,)
    a : array, shape (n,)
        Start, in [0, C].
    effort : Effort
        Counts are added to it.
    sweeping : bool
        Begin with coordinate descent.
    tol : float
        The gap that will do.

    Yields
    ------
    Iterate
        With ``x = DualPoint`` and the relative gap as its error.
    """
    xp = rows.xp
    norms = rows.squared_norms()
    a = xp.where(norms > 0, a, C)  # rows without entries lose their C whatever w is
    mean = float(xp.mean(norms)) or 1.0
    point = evaluate(rows, C, a)
    effort.njev += 1
    yield _iterate(xp, point, C, 0.0)
    sigma = _SIGMA / mean
    spent, seed, settled, sweeps, path = 0.0, 1, not sweeping, _SWEEPS, [(0, point.gap)]
    while not settled:
        a, _ = rows.kernels.hinge_sweeps(rows.transposed, norms, C, point.a, point.w, sweeps, seed)
        effort.nbev += sweeps * a.shape[0]
        effort.njev += 1
        before, point = state_of(xp, point.a, C), evaluate(rows, C, a)
        yield _iterate(xp, point, C, 0.0)
        after = state_of(xp, point.a, C)
        free = int(xp.count_nonzero(after == 0))
        sweep = max(free / a.shape[0], _LEAST_LIVE) * rows.entries
        path.append((path[-1][0] + sweeps, point.gap))
        more = _sweeps_left(path, tol)
        size = min(free, rows.shape[1])
        newton = _NEWTON_STEPS * ((size**3 / 3 + free * size) / _NEWTON_RATE + _NEWTON_ENTRIES)
        seed, spent = seed + 1, spent + sweeps * sweep
        changed = int(xp.count_nonzero(after != before))
        close = point.gap < _CLOSE and more * sweep > _FINISH * newton
        if close or (more * sweep > newton and changed <= _SETTLED * free):
            settled, sigma = True, _SETTLED_SIGMA / mean
        settled = settled or (more * sweep > newton and spent > newton) or seed > _MOST_BATCHES
        sweeps = math.ceil(min(_MOST_SWEEPS, max(_LEAST_SWEEPS, more)))
    largest = float(xp.max(C))
    most = max(_MOST_SIGMA / mean, _MOST_CAPS * largest)
    safe = _UTMOST_SIGMA / mean
    utmost = max(safe, _UTMOST_CAPS * largest)
    best, failures, crawling = math.inf, 0, False
    while failures < _PATIENCE:
        dual = point.dual
        point, steps, solved = proximal_step(rows, C, point, sigma, effort, crawling)
        yield _iterate(xp, point, C, sigma)
        slow = solved and sigma >= most and point.gap > _SLOW * best
        crawling = crawling or slow
        if slow:
            if point.dual - dual <= _ROUNDING * float(xp.sum(point.a)):
                utmost = max(most / _GROWTH, safe)
            most = min(most * _GROWTH, utmost)
        better = point.gap < 0.9 * best or point.dual - dual > _RISE * abs(dual)
        failures = 0 if better else failures + 1
        best = min(best, point.gap)
        if solved:
            sigma = min(sigma * (_LEAP if steps <= _EASY else _GROWTH), most)
        else:
            sigma = sigma / _GROWTH
    return _status.STALLED, ""


def _sweeps_left(path, tol):
    """How many more sweeps like those of the last two batches it takes to fall to tol."""
    (done, gap), (earlier, before) = path[-1], path[max(0, len(path) - 3)]
    if min(gap, tol) <= 0 or before <= gap:
        return math.inf
    return max(math.log(gap / tol), 0.0) * (done - earlier) / math.log(before / gap)


def proximal_step(rows, C, point, sigma, effort, prolong=False):
    """argmin of q(a) + |a - point.a|^2 / (2 sigma) in the box, over the rows near the margin.

    With a(w) = clip(a0 + sigma (1 - Zw), 0, C) the step is the root of w = Z'a(w), where a
    convex piecewise quadratic function of w is least: Newton's method with the exact
    minimiser along each direction. Ends after finitely many steps. The step may be prolonged.

    Returns
    -------
    point : DualPoint
    steps : int
        Newton steps.
    solved : bool
    """
    xp = rows.xp
    near = (
        ((point.a > 0) & (point.a < C))
        | ((point.a <= 0) & (point.margins < 1.0 + _NEAR))
        | ((point.a >= C) & (point.margins > 1.0 - _NEAR))
    )
    index = xp.nonzero(near)[0]
    part, start, cap = rows.take(index), xp.take(point.a, index), xp.take(C, index)
    w, margins = point.w, xp.take(point.margins, index)
    rest = w - part.combine(start)  # of the rows that stay
    steps, solved, a = 0, False, start
    piece, whole = None, False
    while True:
        base = start + sigma * (1.0 - margins)
        a = xp.clip(base, 0.0, cap)
        residual = part.combine(a) + rest - w
        size = euclidean_norm(residual)
        moved = _norm(xp, a - start) / math.sqrt(sigma)
        floor = 1e-14 * euclidean_norm(w)
        piece, before = state_of(xp, base, cap), piece
        # a whole step within one quadratic piece leaves rounding only
        ended = whole and not bool(xp.any(piece != before))
        if steps and (ended or size <= max(_FORCING * moved, floor)):
            solved = True
            break
        if steps == _INNER:
            break
        free = xp.nonzero(piece == 0)[0]
        d = _newton_direction(part.take(free), residual, sigma, effort)
        steps += 1
        if d is None:
            break
        u = part.margins(d)
        slope = float((w - rest) @ d)
        t = rows.kernels.hinge_step(base, u, cap, sigma, slope, float(d @ d))
        if not 0.0 < t < math.inf:
            solved = size <= 1e3 * floor
            break
        w, margins, whole = w + t * d, margins + t * u, abs(t - 1.0) < 1e-6
    if prolong:
        a = _prolonged(xp, start, a, cap, part.combine(a) + rest, point.w)
    new = _put(xp, point.a, near, a)
    effort.nbev += index.shape[0]
    effort.njev += 1
    return evaluate(rows, C, new), steps, solved


def _prolonged(xp, start, a, cap, w, before):
    """a + t (a - start) with the t >= 0 that minimises the dual in the box.

    Where rows depend on one another the dual may fall along a line whose length is many
    sigma, and proximal steps alone would crawl.
    """
    d, u = a - start, w - before
    slope, bend = float(u @ w - xp.sum(d)), float(u @ u)
    if not (slope < 0 and bool(xp.any(d != 0))):
        return a
    room = xp.where(d > 0, cap - a, a) / xp.where(d == 0, 1.0, xp.abs(d))
    t = float(xp.min(xp.where(d == 0, math.inf, room)))
    if bend > 0:
        t = min(t, -slope / bend)
    return xp.clip(a + t * d, 0.0, cap)


def _norm(xp, v):
    """The Euclidean norm of entries of any size."""
    largest = float(xp.max(xp.abs(v))) if v.shape[0] else 0.0
    return largest * euclidean_norm(v / largest) if largest > 0 else 0.0


def _put(xp, whole, mask, values):
    """`whole` with `values` where the mask is true."""
    if values.shape[0] == 0:
        return whole
    places = cumulative_sum(xp.astype(mask, xp.int64)) - 1
    return xp.where(mask, xp.take(values, xp.clip(places, 0, values.shape[0] - 1)), whole)


def _newton_direction(free, residual, sigma, effort):
    """(I + sigma Z'Z)^-1 residual over the free rows Z, None if that fails.

    The smaller of Z'Z and ZZ' is factorised.
    """
    xp = free.xp
    k, p = free.shape
    if k == 0:
        return residual
    if min(k, p) > _MOST_DENSE:
        product = lambda v: v + sigma * free.combine(free.margins(v))
        return conjugate_gradients(product, xp.ones_like(residual), residual, 1e-8, 500)[0]
    effort.nchol += 1
    if k < p:
        H = free.row_gram() + xp.eye(k) / sigma
        x = free.kernels.spd_solve(H, free.margins(residual))
        d = None if x is None else residual - free.combine(x)
    else:
        d = free.kernels.spd_solve(sigma * free.column_gram() + xp.eye(p), residual)
    return d if d is not None and math.isfinite(float(xp.sum(d))) else None


def _iterate(xp, point, C, sigma):
    record = {
        "primal": point.primal,
        "nnz": int(xp.count_nonzero(point.a)),
        "sigma": sigma,
    }
    return Iterate(point, -point.dual, point.gap, record)
