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
    product: Callable, rhs: Any, x: Any, target: float, maxiter: int, precondition: Callable
) -> Solved:
    """Solve M x = rhs until ``|rhs - M x| <= target``.

    At a direction of negative curvature the iteration ends with what it has.
    """
    r = rhs - product(x) if x is not None else rhs
    x = 0.0 * rhs if x is None else x
    residual = math.sqrt(float(r @ r))
    p, before = None, 1.0
    for k in range(maxiter + 1):
        if not residual > target or k == maxiter:
            return Solved(x, residual, k, True)
        z = precondition(r)
        now = float(r @ z)
        if not now > 0.0:
            return Solved(x, residual, k, False)  # nor is the preconditioner definite
        p = z if p is None else z + (now / before) * p
        q = product(p)
        curvature = float(p @ q)
        if not curvature > 0.0:
            return Solved(x if k else p, residual, k, False)
        alpha = now / curvature
        x = x + alpha * p
        r = r - alpha * q
        before, residual = now, math.sqrt(float(r @ r))
    raise AssertionError("unreachable")
