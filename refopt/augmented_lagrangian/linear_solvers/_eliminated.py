"""Solving for the states by preconditioned conjugate gradients."""

import math
from typing import Any

import numpy as np

from refopt.augmented_lagrangian._operators import sparse_linalg
from refopt.augmented_lagrangian.linear_solvers._elimination import (
    ControlStructure,
    ReducedSystem,
    control_structure,
    csr,
)
from refopt.augmented_lagrangian.linear_solvers._krylov import conjugate_gradients
from refopt.augmented_lagrangian.linear_solvers._separable import separable
from refopt.augmented_lagrangian.linear_solvers._system import KKTSystem, SolveInfo, relative

MOST = 200  # iterations
FEW = 30  # with a separable operator, before a factor takes its place
LOOSEST = 1e-3  # an iteration costs less than the derivatives of one more Newton step


class MatchedFactor:
    r"""A factor of ``C = diag(s)^(1/2) A + diag(sign) |W|^(1/2)``, for square A.

    ``C'C`` differs from ``W + A' diag(s) A`` by the mixed terms only. Where these are
    positive semidefinite, as for discretised elliptic operators, the eigenvalues of
    ``(C'C)^-1 (W + A' diag(s) A)`` lie between 1/2 and 1. C has the entries of A, and a
    factor of far less fill than that of the reduced matrix. In single precision.
    """

    name = "matched factor"

    def __init__(self, reduced: ReducedSystem):
        xp = reduced.structure.xp
        half = reduced.scaled(xp.sqrt(abs(reduced.s)))
        sign = xp.where(reduced.A.diagonal() < 0, -1.0, 1.0)
        C = half + reduced.diagonal_matrix(sign * xp.sqrt(abs(reduced.hessian_diagonal)))
        self._lu = symmetric_factor(C.tocsc().astype(np.float32))

    def __call__(self, r: Any) -> Any:
        size = float(abs(r).max()) or 1.0
        half = self._lu.solve((r / size).astype(np.float32), "T")
        return size * self._lu.solve(half).astype(np.float64)


class WholeFactor:
    """A factor of the reduced matrix itself."""

    name = "factor"

    def __init__(self, reduced: ReducedSystem):
        self._lu = symmetric_factor(reduced.matrix)

    def __call__(self, r: Any) -> Any:
        return self._lu.solve(r)


def symmetric_factor(matrix: Any) -> Any:
    """SuperLU for a matrix of symmetric pattern, with pivots from the diagonal."""
    options = {"SymmetricMode": True}
    splu = sparse_linalg(matrix).splu
    return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=1e-3, options=options)


class Eliminated:
    """The solver of one run: the structure, and a preconditioner that serves again.

    The first one is a separable operator, which costs next to nothing, where A is near one and
    few iterations are enough with it. Else a factor, which is made anew when conjugate gradients
    take more than twice as many iterations for a digit as they did at best.
    """

    def __init__(self):
        self._structure: ControlStructure | None = None
        self._entries = -1  # of the Jacobian that was looked at last
        self._present: Any = None
        self._transforms = True  # until they have failed
        self._stale, self._best = True, 0.0

    def reduce(self, system: KKTSystem, state: dict) -> ReducedSystem | None:
        """The system for the states, None where there is no such structure."""
        H, G = csr(system.H), csr(system.G)
        if self._structure is None or not self._structure.fits(G, H):
            if self._structure is None and G.nnz == self._entries:
                return None
            of_G, *own = state.pop("own variables", (None,))
            own = own if of_G is system.G and own[0] is not None else None
            self._structure, self._entries = control_structure(G, H, own, system.xp), G.nnz
            self._stale = True
        if self._structure is None:
            return None
        reduced = ReducedSystem(self._structure, G, H, system.shift, system.dc)
        return reduced if bool(system.xp.isfinite(reduced.s).all()) else None

    def preconditioner(self, user: Any) -> str:
        """Its name."""
        return "user's preconditioner" if user is not None else self._present.name

    def solve(
        self, system: KKTSystem, reduced: ReducedSystem, rhs: Any, tol: float, user: Any
    ) -> tuple[Any, SolveInfo]:
        """d for the whole system, with ``|K d - rhs| <= tol |rhs|``."""
        tol = min(tol, LOOSEST)
        target = tol * _norm(rhs)
        right = reduced.right_side(rhs)
        precondition: Any = user
        spent = 0
        if user is None and self._transforms:
            precondition = self._present = separable(reduced)
            self._transforms = precondition is not None
        if precondition is not None:
            most = MOST if user is not None else FEW
            result = conjugate_gradients(reduced.product, right, target, most, precondition)
            spent = result.iterations
            self._transforms = user is not None or result.residual <= target or not result.definite
        if user is None and not self._transforms:
            precondition, result = self._by_factor(reduced, right, target)
            spent += result.iterations
        d, Kd = reduced.whole(result.x, rhs)
        relres = relative(Kd, rhs)
        n, m = system.n, system.m
        inertia = (n, m) if result.definite else (n - 1, m + 1)

        def again(other):
            right = reduced.right_side(other)
            target = tol * _norm(other)
            solved = conjugate_gradients(reduced.product, right, target, MOST, precondition)
            return reduced.whole(solved.x, other)[0]

        return d, SolveInfo(relres, spent, inertia=inertia, again=again, product=Kd)

    def _by_factor(self, reduced, right, target):
        fresh = self._stale
        if fresh:
            make = MatchedFactor if reduced.structure.square else WholeFactor
            self._present = make(reduced)
        result = conjugate_gradients(reduced.product, right, target, MOST, self._present)
        if result.definite:
            digits = math.log10(max(_norm(right), 1e-300) / max(result.residual, 1e-300))
            each = result.iterations / max(digits, 1.0)
            if fresh:
                self._best = each
            self._stale = each > 2.0 * self._best + 1.0
        return self._present, result


def _norm(v):
    return math.sqrt(float(v @ v))
