"""Least-squares multipliers."""

from typing import Any

from refopt.augmented_lagrangian._operators import is_operator, is_sparse
from refopt.augmented_lagrangian.linear_solvers import KKTSystem
from refopt.augmented_lagrangian.linear_solvers._elimination import control_multipliers, identity


def least_squares(problem: Any, g: Any, G: Any, solve: Any, state: dict) -> Any:
    """argmin ``|G'l + g|``, of least norm where there are many.

    Dense: by singular values. Where every constraint has a variable of its own, those that solve
    that variable's equation. Else from ``[[I, G'], [G, 0]] (z, l) = (-g, 0)``.
    """
    xp = problem.xp
    n, m = problem.n, problem.m
    if not m:
        return xp.zeros(0)
    if not (is_sparse(G) or is_operator(G)):
        U, s, Vt = xp.linalg.svd(G, full_matrices=False)
        keep = s > 1e-10 * max(float(s[0]), 1e-300)
        inverse = xp.where(keep, 1.0 / xp.where(keep, s, 1.0), 0.0)
        return -(U @ (inverse * (Vt @ g)))
    estimate = control_multipliers(g, G) if is_sparse(G) else None
    if estimate is not None:
        return estimate
    system = KKTSystem(identity(n) if is_sparse(G) else xp.eye(n), G, xp)
    d, _ = solve(system, xp.concatenate((-g, xp.zeros(m))), 1e-10, state)
    return d[n:]
