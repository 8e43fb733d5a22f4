"""Factorisation of the whole sparse matrix, kept as preconditioner of later Newton systems."""

import math
from typing import Any

from refopt.augmented_lagrangian._operators import sparse_linalg
from refopt.augmented_lagrangian.linear_solvers._krylov import gmres
from refopt.augmented_lagrangian.linear_solvers._system import KKTSystem, SolveInfo

FEW = 20  # iterations, each a solve: less than a factorisation costs
LOOSEST = 1e-2  # they are cheaper than one more Newton step


def sparse_direct(system: KKTSystem, rhs: Any, tol: float, state: dict) -> tuple[Any, SolveInfo]:
    """Solve by SuperLU with pivoting, which does not tell the inertia. Refined once."""
    return _by(_factor(system), system, rhs, tol)


class FrozenFactor:
    """The solver of one run: an old factor preconditions GMRES as long as few iterations do.

    A new one is made where they do not, and for another regularisation. That of a system which is
    not Newton's, as for least-squares multipliers, does not replace one of those.
    """

    def __init__(self):
        self._factor: Any = None
        self._made_for: Any = None
        self.reused = False

    def solve(self, system: KKTSystem, rhs: Any, tol: float, state: dict) -> tuple[Any, SolveInfo]:
        """d with ``|K d - rhs| <= tol |rhs|``."""
        kind = system.n, system.m, system.shift, system.dc
        spent = 0
        if self._factor is not None and self._made_for == kind:
            tol = min(tol, LOOSEST)
            target = tol * math.sqrt(float(rhs @ rhs))
            solve = self._factor.solve
            d, spent = gmres(system.matvec, rhs, target, FEW, solve)
            relres, Kd = system.tested(d, rhs)
            if relres <= tol:
                self.reused = True
                again = lambda other: gmres(
                    system.matvec, other, tol * math.sqrt(float(other @ other)), FEW, solve
                )[0]
                return d, SolveInfo(relres, spent, again=again, product=Kd)
        self.reused = False
        factor = _factor(system)
        if self._factor is None or system.H is state.get("H"):
            self._factor, self._made_for = factor, kind
        d, info = _by(factor, system, rhs, tol)
        info.iterations = spent
        return d, info


def _factor(system):
    """None if the matrix is exactly singular."""
    try:
        return sparse_linalg(system.G).splu(system.sparse)
    except RuntimeError:
        return None


def _by(factor, system, rhs, tol):
    if factor is None:
        return 0.0 * rhs, SolveInfo(math.inf, inertia=(-1, -1))
    d = factor.solve(rhs)
    relres, Kd = system.tested(d, rhs)
    if tol < relres < 1.0:
        d = d + factor.solve(rhs - Kd)
        relres, Kd = system.tested(d, rhs)
    return d, SolveInfo(relres, again=factor.solve, product=Kd)
