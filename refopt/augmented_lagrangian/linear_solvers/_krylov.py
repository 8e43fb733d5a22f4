"""Preconditioned conjugate gradients that notice negative curvature."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Solved(NamedTuple):
    """What conjugate gradients end with.

    Attributes
    ----------
    x : array
    residual : float
        Euclidean norm of the residual, by its recurrence.
    iterations : int
    definite : bool
        Whether every direction had positive curvature.
    """

    x: Any
    residual: float
    iterations: int
    definite: bool


def conjugate_gradients(
    product: Callable, rhs: Any, target: float, maxiter: int, precondition: Callable
) -> Solved:
    """Solve M x = rhs from x = 0 until ``|rhs - M x| <= target``.

    At a direction of negative curvature the iteration ends with what it has. `product` and
    `precondition` return new arrays, which are written into.
    """
    r = rhs.copy()
    x = 0.0 * rhs
    residual = math.sqrt(float(r @ r))
    p, before = None, 1.0
    for k in range(maxiter + 1):
        if not residual > target or k == maxiter:
            return Solved(x, residual, k, True)
        z = precondition(r)
        now = float(r @ z)
        if not now > 0.0:
            return Solved(x, residual, k, False)  # nor is the preconditioner definite
        if p is None:
            p = z
        else:
            p *= now / before
            p += z
        q = product(p)
        curvature = float(p @ q)
        if not curvature > 0.0:
            return Solved(x if k else p, residual, k, False)
        alpha = now / curvature
        q *= alpha
        r -= q
        q[:] = p
        q *= alpha
        x += q
        before, residual = now, math.sqrt(float(r @ r))
    raise AssertionError("unreachable")
