"""Which step along a direction is taken, without Jacobians at rejected trials."""

import math
from typing import Any

from refopt.augmented_lagrangian._merit import Direction, merit
from refopt.augmented_lagrangian._point import Point

SHORTEST = 1e-6


def search(problem: Any, point: Point, d: Direction, eta1, eta2, slope, beta, progress) -> tuple:
    """Backtrack from the full step.

    Returns
    -------
    Point or None, float
        The next point and its step length.
    """
    start = merit(point, eta1, eta2)
    slack = 1e-14 * abs(start)
    alpha = 1.0
    while alpha >= SHORTEST:
        x, l = point.x + alpha * d.dx, point.l + alpha * d.dl
        f, c = problem.values(x)
        cc = float(c @ c)
        if math.isfinite(f) and math.isfinite(cc):
            target = start + beta * alpha * slope + slack
            gL = point.gL + alpha * d.u
            foreseen = f + float(l @ c) + 0.5 * eta1 * cc + 0.5 * eta2 * float(gL @ gL)
            near = alpha == 1.0 and math.sqrt(cc) <= progress
            if foreseen <= target or near:
                new = Point(x, l, f, c, *problem.derivatives(x, f, c))
                if new.finite and (merit(new, eta1, eta2) <= target or new.kkt <= progress):
                    return new, alpha
        alpha *= 0.5
    return None, 0.0
