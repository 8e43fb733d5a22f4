r"""Conjugate gradients in the null space of the constraints.

With G' = Q R the step is the shortest one onto the linearised constraints,
``Q R^-T c``, and a tangential one: ``P B P t = P (a - B dx)`` with ``P = I - Q Q'``.
"""

import math
from typing import Any

from refopt.augmented_lagrangian._operators import dense
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

    dx = Q @ xp.linalg.solve(R.T, c) if m else 0.0 * a
    r = a - system.product(dx) if m and float(c @ c) else a  # a - B dx throughout
    target = tol * math.sqrt(float(rhs @ rhs))
    p, before, definite, spent = None, 1.0, True, 0
    while True:
        g = tangential(r)
        residual = math.sqrt(float(g @ g))
        if not residual > target or spent > 2 * (n - m) + 10:
            break
        z = g if precondition is None else tangential(precondition(g))
        now = float(g @ z)
        p = z if p is None else z + (now / before) * p
        Bp = system.product(p)
        curvature = float(p @ Bp)
        if not (now > 0.0 and curvature > 0.0):
            definite = False
            break
        dx = dx + (now / curvature) * p
        r = r - (now / curvature) * Bp
        before, spent = now, spent + 1
    d = xp.concatenate((dx, xp.linalg.solve(R, Q.T @ r) if m else c))
    relres, Kd = system.tested(d, rhs)  # r is the residual of a recurrence
    inertia = (n, m) if definite else (n - 1, m + 1)
    return d, SolveInfo(relres, spent, inertia=inertia, product=Kd)
