"""A trust region for c(x) = 0, in the least-squares sense, with second-order corrections."""

import math
from typing import Any

from refopt.augmented_lagrangian._gauss_newton import GaussNewton
from refopt.augmented_lagrangian._point import Point, complete

FIRST_RADIUS = 100.0  # over max(1, |x|)
ACCEPT, POOR, GOOD = 1e-4, 0.25, 0.75  # shares of the predicted fall of |c|^2
STATIONARY = 1e-10  # |G'c| over max(1, |G|) |c|
WINDOW, SLOW = 20, 0.5  # stalled: in so many steps |c| has not fallen to this share


def descend(problem: Any, point: Point, target: float, solve: Any = None, state: Any = None):
    """Points with less and less ``|c|``, until it is ``target`` at most.

    A trial that falls short of its prediction is corrected to second order with the same
    decomposition, ``dx - G^+ (c(x + dx) - c - G dx)``, which costs values of c but no
    Jacobian.

    Yields
    ------
    Point
        With the multipliers of the start.

    Returns
    -------
    bool or None
        Whether the target was reached; None if progress ended or became slow.
    """
    radius = None
    sizes = [math.sqrt(point.cc)]
    while sizes[-1] > target:
        steps = GaussNewton(problem, point.G, solve, state)
        slope = point.G.T @ point.c
        if not steps.finite or _norm(slope) <= STATIONARY * max(1.0, steps.scale) * sizes[-1]:
            return None
        if radius is None:
            radius = FIRST_RADIUS * max(1.0, _norm(point.x))
        new, radius = _step(problem, point, steps, radius)
        if new is None:
            return None
        point = new
        yield point
        sizes.append(math.sqrt(point.cc))
        if len(sizes) > WINDOW and sizes[-1] > SLOW * sizes[-1 - WINDOW]:
            return None
    return True


def _step(problem, point, steps, radius):
    """The next point and radius; no point where rounding leaves no progress."""
    smallest = 1e-14 * max(1.0, _norm(point.x))
    while radius > smallest:
        dx, lam = steps.within(point.c, radius)
        linear = point.c + point.G @ dx
        predicted = point.cc - float(linear @ linear)
        if not predicted > 0.0:
            break
        length = _norm(dx)
        trial = _trial(problem, point.x + dx)
        ratio = (point.cc - trial[3]) / predicted
        if ratio < POOR and math.isfinite(trial[3]):
            correction = steps.step(trial[2] - linear, lam)
            if _norm(correction) <= 0.75 * length:
                second = _trial(problem, trial[0] + correction)
                better = (point.cc - second[3]) / predicted
                if better > max(ratio, ACCEPT):
                    trial, ratio = second, better
        if ratio < POOR:
            radius = (0.5 if ratio >= 0.0 else 0.25) * length
        elif ratio > GOOD:
            radius = max(radius, 2.0 * length)
        if ratio > ACCEPT:
            x, f, c, _ = trial
            new = complete(problem, x, point.l, f, c)
            if new.finite:
                return new, radius
            radius = 0.25 * length
    return None, radius


def _trial(problem, x):
    """x, f, c and |c|^2, infinite where f or c is not finite."""
    f, c = problem.values(x)
    cc = float(c @ c)
    return x, f, c, cc if math.isfinite(f) and math.isfinite(cc) else math.inf


def _norm(v):
    return math.sqrt(float(v @ v))
