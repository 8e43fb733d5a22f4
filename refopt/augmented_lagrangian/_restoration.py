"""Feasibility restoration: Levenberg-Marquardt on |c|^2 / 2."""

import math
from typing import Any

from refopt.augmented_lagrangian._point import Point

FALL = 0.1  # of |c|, after which the main iteration resumes
STATIONARY = "A point was reached where |c| is stationary, and not zero."


def first(problem: Any, point: Point) -> bool:
    """Whether a feasible point is looked for before anything else."""
    return False


def restore(problem: Any, point: Point, tol: float, fall: float = FALL):
    """Points with less and less ``|c|``; the generator returns whether it has fallen clearly.

    Yields
    ------
    Point
        With the multipliers of the start.

    Returns
    -------
    bool or None
        None at a stationary point of ``|c|``.
    """
    xp = problem.xp
    target = fall * math.sqrt(point.cc)
    damping = None
    while True:
        size = math.sqrt(point.cc)
        if size <= max(target, 0.1 * tol):
            return True
        slope = point.G.T @ point.c
        GGt = point.G @ point.G.T
        scale = float(xp.trace(GGt)) / problem.m
        if math.sqrt(float(slope @ slope)) <= 1e-9 * max(1.0, math.sqrt(scale)) * size:
            return None
        damping = 1e-8 * scale if damping is None else max(damping, 1e-14 * scale)
        while True:
            y = xp.linalg.solve(GGt + damping * xp.eye(problem.m), point.c)
            dx = -(point.G.T @ y)
            x = point.x + dx
            f, c = problem.values(x)
            cc = float(c @ c)
            if math.isfinite(f) and cc <= point.cc - 1e-4 * abs(float(slope @ dx)):
                new = Point(x, point.l, f, c, *problem.derivatives(x, f, c))
                if new.finite:
                    break
            damping = max(8.0 * damping, 1e-6 * scale)
            if damping > 1e12 * scale:
                return False
        damping *= 0.1
        point = new
        yield point
