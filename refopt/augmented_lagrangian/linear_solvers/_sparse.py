"""Factorisation of the whole sparse matrix."""

from typing import Any

from refopt.augmented_lagrangian.linear_solvers._system import KKTSystem, SolveInfo


def sparse_direct(system: KKTSystem, rhs: Any, tol: float, state: dict) -> tuple[Any, SolveInfo]:
    """Solve by SuperLU with pivoting, which does not tell the inertia. Refined once."""
    from scipy.sparse.linalg import splu

    try:
        factor = splu(system.sparse)
    except RuntimeError:  # exactly singular
        return 0.0 * rhs, SolveInfo(float("inf"), inertia=(-1, -1))
    d = factor.solve(rhs)
    relres = system.relative_residual(d, rhs)
    if tol < relres < 1.0:
        d = d + factor.solve(rhs - system.matvec(d))
        relres = system.relative_residual(d, rhs)
    return d, SolveInfo(relres, again=factor.solve)
