r"""Solutions of c(x) = 0 along a curve, where the residual has stationary points in between.

The Newton homotopy ``c(x) = t c(x_0)`` with :math:`t` from 1 to 0 is followed by its arc length,
so that it may turn where the Jacobian is singular: a predictor along the tangent, then
a corrector by chord steps with the decomposition at hand. The Jacobian is evaluated once for each
step along the curve.

D. F. Davidenko, "On a new method of numerical solution of systems of nonlinear equations",
Doklady Akademii Nauk SSSR 88, 1953; E. Allgower, K. Georg, "Introduction to Numerical Continuation
Methods", SIAM 2003, chapters 2 and 6.
"""

import math
from typing import Any

from refopt.augmented_lagrangian._point import Point, complete

LONGEST = 60  # steps along the curve
_CHORDS = 3  # steps of the corrector
_CLOSE = 1e-2  # of |c(x0)| max(t, 1e-3): how near to the curve is near enough
_SHORTEST = 1e-10
_FAR = 1e8


def follow(problem: Any, point: Point):
    """Points on the curve; the generator returns whether t = 0 was reached.

    Yields
    ------
    Point
        With the multipliers of the start.
    """
    xp, m = problem.xp, problem.m
    start = point.c
    size = math.sqrt(point.cc)
    t, tangent = 1.0, None
    length = 0.1 * max(1.0, _norm(point.x))
    for _ in range(LONGEST):
        A = xp.concatenate((point.G, -start[:, None]), axis=1)
        if not bool(xp.all(xp.isfinite(A))):
            return False
        U, s, Vt = xp.linalg.svd(A, full_matrices=True)
        kernel = Vt[m:]
        direction = -kernel[:, -1] if tangent is None else kernel @ tangent
        tangent = direction @ kernel
        if not _norm(tangent) > 1e-12:
            return False
        tangent = tangent / _norm(tangent)
        inverse = xp.where(s > 1e-12 * s[0], 1.0 / xp.where(s > 0, s, 1.0), 0.0)
        backwards = -float(tangent[-1])
        while True:
            last = backwards > 0 and t <= length * backwards
            step = t / backwards if last else length
            x = point.x + step * tangent[:-1]
            at = 0.0 if last else t - step * backwards
            found = _corrected(problem, x, at, start, size, (U * inverse) @ Vt[:m], last)
            if found is not None:
                break
            length *= 0.5
            if length < _SHORTEST:
                return False
        x, t, f, c = found
        if _norm(x) > _FAR:
            return False
        point = complete(problem, x, point.l, f, c)
        if not point.finite:
            return False
        yield point
        if last:
            return True
        length *= 2.0
    return False


def _corrected(problem, x, t, start, size, inverse, last):
    """Chord steps back to the curve: ``(x, t, f, c)`` near it, or None."""
    f, c = problem.values(x)
    miss = _norm(c - t * start)
    for _ in range(_CHORDS):
        if not math.isfinite(miss):
            return None
        if miss <= _CLOSE * size * max(abs(t), 1e-3):
            return x, t, f, c
        step = -((c - t * start) @ inverse)
        x = x + step[:-1]
        t = 0.0 if last else t + float(step[-1])
        f, c = problem.values(x)
        before, miss = miss, _norm(c - t * start)
        if not miss <= 0.5 * before:
            return None
    near = miss <= _CLOSE * size * max(abs(t), 1e-3)
    return (x, t, f, c) if near and math.isfinite(f) else None


def _norm(v):
    return math.sqrt(float(v @ v))
