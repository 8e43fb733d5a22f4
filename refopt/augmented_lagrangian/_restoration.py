"""Feasibility: points with small ``|c|``, whatever f is.

A trust region first. Where it ends at a stationary point of ``|c|``, or crawls, in this order: a
direction of negative curvature of ``|c|^2``, undamped Newton steps, and the Newton homotopy.
"""

import math
from itertools import islice
from typing import Any

import numpy as np

from refopt.augmented_lagrangian._gauss_newton import GaussNewton
from refopt.augmented_lagrangian._homotopy import follow
from refopt.augmented_lagrangian._operators import is_operator, is_sparse
from refopt.augmented_lagrangian._point import Point, complete, evaluate
from refopt.augmented_lagrangian._root import descend

STATIONARY = (
    "No feasible point was found: |c| is stationary at x, and not zero. There may be none, or one "
    "that another x0 leads to."
)
FALL = 0.1  # of |c|, after which the main iteration resumes
PATIENCE = 8  # steps of the main iteration that do not halve the violation
UNDAMPED = 12  # Newton steps without safeguard
STEADY = 0.9  # share of |c|^2 left after a window of slow steps, beyond which it is no progress
FLAT = 1e-6  # |G'c| over max(1, |G|) |c|, below which no point nearby is better
CROSSINGS = 5  # of saddles and slow valleys
DISTANCES = 0.1, 0.3, 1.0, 1.0, 1.0, 3.0, 3.0, 10.0  # of other starts, over max(1, |x|)
ALONE = 0.5  # of |c|^2: where no other start leads below it, there may be no feasible point
LOOKS = 2  # at other starts, in one run
_SHORT_RUN = 30  # steps from each of them
_CURVED = -1e-6  # eigenvalue of the Hessian of |c|^2 / 2, relative to its largest


def first(problem: Any, point: Point) -> bool:
    """Whether a feasible point is looked for before anything else.

    It is where f has no say: as many equations as unknowns, or first and second derivatives of
    f that vanish.
    """
    if not problem.m or problem.m == problem.n:
        return problem.m > 0
    if problem.quasi_newton or bool(problem.xp.any(point.g != 0.0)):
        return False
    H = problem.hessian(point.x, problem.xp.zeros(problem.m))
    if is_operator(H):
        return False
    return not bool(problem.xp.any((H.data if is_sparse(H) else H) != 0.0))


class Crawl:
    """Tells when the violation is what keeps a run from its end, and no longer falls."""

    def __init__(self):
        self._steps, self._level = 0, math.inf

    def goes_on(self, violation: float, rest: float) -> bool:
        """Whether it has not halved in `PATIENCE` steps, being above all else that remains."""
        if violation > max(0.5 * self._level, rest) and self._steps < PATIENCE:
            self._steps += 1
        else:
            self._steps, self._level = 0, violation
        return self._steps == PATIENCE


def restore(
    problem: Any, point: Point, tol: float, fall: float = FALL, solve: Any = None, state: Any = None
):
    """Points with less and less ``|c|``, though not always; the generator returns success.

    Parameters
    ----------
    problem : EqualityProblem
    point : Point
        The start.
    tol : float
        A violation below a tenth of it is small enough, of the user's c.
    fall : float
        Share of ``|c|`` that is small enough.
    solve, state
        For matrices that are not dense, see `linear_solvers`.

    Yields
    ------
    Point
        With the multipliers of the start.

    Returns
    -------
    bool or None
        None at a stationary point of ``|c|``.
    """
    unit = 1.0 if point.units is None else float(point.units.max())
    start, target = point, max(fall * math.sqrt(point.cc), 0.1 * tol / unit)
    for _ in range(CROSSINGS):
        reached, point = yield from _last(descend(problem, point, target, solve, state), point)
        if reached:
            return True
        aside = _across(problem, point)
        if aside is None:
            break
        point = aside
        yield point
    ways = [(_undamped, point), (follow, start), (follow, point)]
    state = {} if state is None else state
    looks = state.get("looks", 0)
    if state.get("alone"):  # looked around before, to no avail
        _, point = yield from _last(descend(problem, point, target, solve, state), point)
        if _flat(point):
            yield point
            return None
    elif looks < LOOKS:
        ways.insert(0 if problem.m < problem.n else len(ways), (_around, point))
    for other, begin in ways:
        if is_sparse(point.G) or is_operator(point.G):
            break
        found, end = yield from _last(other(problem, begin), begin)
        if other is _around:
            state["looks"], state["alone"] = looks + 1, found.cc > ALONE * point.cc
            if state["alone"]:
                _, point = yield from _last(descend(problem, found, target, solve, state), found)
                if _flat(point):
                    yield point
                    return None
        if end.cc <= 0.81 * point.cc:
            reached, end = yield from _last(descend(problem, end, target, solve, state), end)
            if reached:
                return True
    while True:  # slowly on
        reached, end = yield from _last(descend(problem, point, target, solve, state), point)
        if reached:
            return True
        if end.cc > STEADY * point.cc:
            if not _flat(end):
                return False
            yield end  # what was tried since may have gone far away
            return None
        point = end


def _last(points, start):
    """Pass points on; what their generator returned, and the last of them."""
    while True:
        try:
            start = next(points)
        except StopIteration as end:
            return end.value, start
        yield start


def _across(problem, point):
    """A point beyond a saddle of ``|c|^2 / 2`` along its most negative curvature, or None."""
    if problem.quasi_newton or is_operator(point.G):
        return None
    xp = problem.xp
    H = problem.hessian(point.x, point.c) - problem.hessian(point.x, xp.zeros(problem.m))
    if is_sparse(H) or is_sparse(point.G) or is_operator(H):
        return None
    H = point.G.T @ point.G + H
    if not bool(xp.all(xp.isfinite(H))):
        return None
    eigenvalues, vectors = xp.linalg.eigh(H)
    lowest = float(eigenvalues[0])
    if lowest > _CURVED * float(eigenvalues[-1]):
        return None
    direction = vectors[:, 0]
    direction = -direction if float(direction @ (point.G.T @ point.c)) > 0.0 else direction
    length = max(1.0, _norm(point.x))
    while length > 1e-8:
        for sign in (1.0, -1.0):
            x = point.x + sign * length * direction
            f, c = problem.values(x)
            cc = float(c @ c)
            if math.isfinite(f) and cc <= point.cc + 0.1 * lowest * length * length:
                new = complete(problem, x, point.l, f, c)
                if new.finite:
                    return new
        length *= 0.5
    return None


def _undamped(problem, point):
    """Newton steps as they come, as long as numbers are finite, until ``|c|`` is small again."""
    bound = point.cc
    for _ in range(UNDAMPED):
        steps = GaussNewton(problem, point.G)
        if not steps.finite:
            return
        x = point.x + steps.step(point.c, 0.0)
        f, c = problem.values(x)
        if not math.isfinite(f) or not math.isfinite(float(c @ c)):
            return
        point = complete(problem, x, point.l, f, c)
        if not point.finite:
            return
        yield point
        if point.cc <= 0.01 * bound:
            return


def _around(problem, point):
    """Where descents from other starts end, until one is much better than the point.

    The starts are drawn alike in every run. The generator returns the lowest end.
    """
    lowest = point
    xp, size = problem.xp, max(1.0, _norm(point.x)) / math.sqrt(problem.n)
    draws = np.random.default_rng(problem.n)
    for distance in DISTANCES:
        draw = xp.asarray(draws.standard_normal(problem.n))
        start = evaluate(problem, point.x + distance * size * draw, point.l)
        if not start.finite:
            continue
        end = start
        for end in islice(descend(problem, start, 0.1 * math.sqrt(point.cc)), _SHORT_RUN):  # noqa: B007
            pass
        yield end
        lowest = min(lowest, end, key=lambda one: one.cc)
        if lowest.cc <= 0.01 * point.cc:
            break
    return lowest


def _flat(point):
    """Whether ``|c|`` is stationary."""
    slope = _norm(point.G.T @ point.c)
    return slope <= FLAT * max(1.0, _scale(point.G)) * math.sqrt(point.cc)


def _scale(G):
    data = G.data if is_sparse(G) else G
    return 1.0 if is_operator(G) else math.sqrt(float((data * data).sum()))


def _norm(v):
    return math.sqrt(float(v @ v))
