r"""Conjugate gradients in the null space of the constraints.

With G' = Q R the step is the shortest one onto the linearised constraints,
``Q R^-T c``, and a tangential one: ``P B P t = P (a - B dx)`` with ``P = I - Q Q'``.
"""

import math
from typing import Any

from refopt.augmented_lagrangian._operators import dense
from refopt.augmented_lagrangian.linear_solvers._krylov import conjugate_gradients
from refopt.augmented_lagrangian.linear_solvers._system import KKTSystem, SolveInfo

RANK = 1e-10


def projected(
    system: KKTSystem, rhs: Any, tol: float, state: dict, precondition: Any = None
) -> tuple[Any, SolveInfo]:
    """Solve with products of B and a factorisation of G alone; dc is not used."""
    xp, n, m = system.xp, system.n, system.m
    a, c = rhs[:n], rhs[n:]
    Q, R = xp.linalg.qr(dense(system.G, xp).T)
    size = abs(R.diagonal())
    if m and not float(size.min()) > RANK * float(size.max()):
        return 0.0 * rhs, SolveInfo(math.inf, inertia=(-1, -1))

    def tangential(v):
        return v - Q @ (Q.T @ v)

    def product(v):
        return tangential(system.product(v))

    def inner(v):
        return tangential(v if precondition is None else precondition(v))

    normal = Q @ xp.linalg.solve(R.T, c) if m else 0.0 * a
    right = tangential(a - system.product(normal))
    target = tol * math.sqrt(float(rhs @ rhs))
    result = conjugate_gradients(product, right, None, target, 2 * (n - m) + 10, inner)
    dx = normal + result.x
    dl = xp.linalg.solve(R, Q.T @ (a - system.product(dx))) if m else c
    d = xp.concatenate((dx, dl))
    inertia = (n, m) if result.definite else (n - 1, m + 1)
    return d, SolveInfo(system.relative_residual(d, rhs), result.iterations, inertia=inertia)
