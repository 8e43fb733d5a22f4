"""MINRES on the whole system."""

from importlib import import_module
from typing import Any

from refopt.augmented_lagrangian.linear_solvers._system import KKTSystem, SolveInfo

MOST = 2000  # iterations


def minres(
    system: KKTSystem, rhs: Any, tol: float, state: dict, precondition: Any = None
) -> tuple[Any, SolveInfo]:
    """Solve with products alone. Stagnates near 1e-7 where K is ill conditioned."""
    cupy = system.xp.__name__ == "cupy"
    library = import_module(f"{'cupyx.scipy' if cupy else 'scipy'}.sparse.linalg")
    size = rhs.shape[0]
    K = library.LinearOperator((size, size), matvec=system.matvec, dtype=float)
    M = None
    if precondition is not None:
        M = library.LinearOperator((size, size), matvec=precondition, dtype=float)
    count = [0]

    def counted(_):
        count[0] += 1

    accuracy = {"tol" if cupy else "rtol": 0.1 * tol}
    d, _ = library.minres(K, rhs, maxiter=MOST, M=M, callback=counted, **accuracy)
    relres, Kd = system.tested(d, rhs)
    return d, SolveInfo(relres, count[0], product=Kd)
