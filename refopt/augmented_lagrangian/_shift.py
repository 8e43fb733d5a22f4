"""The Newton step: regularised until B is positive definite on the null space of G."""

import math
from typing import Any

from refopt.augmented_lagrangian._multipliers import RANK, eigenvalues, singular_values
from refopt.augmented_lagrangian._operators import is_operator, is_sparse
from refopt.augmented_lagrangian._point import Point
from refopt.augmented_lagrangian.linear_solvers import KKTSystem

_NEARLY = 1e-6  # singular values of G below it, relative to the largest, ask for a (2,2) block
_COARSEST = 0.5  # relative residual of a step; d = 0 has 1
_LONG = 100.0  # steps, over max(1, |x|), that a quasi-Newton matrix is not believed
_FIRST, _GROWTH, _LARGEST = 1e-4, 8.0, 1e20


class Regularisation:
    """Newton steps of one run; remembers the last shift that was needed.

    Parameters
    ----------
    problem : EqualityProblem
    solve : callable
        See `linear_solvers`.
    """

    def __init__(self, problem: Any, solve: Any, state: dict):
        self._problem, self._solve, self._state = problem, solve, state
        self._last = 0.0

    def step(self, point: Point, H: Any, damping: float, tol: float) -> tuple[Any, KKTSystem, Any]:
        """d with K d = -r, the system that was solved, and what the solver told.

        None for d if every system was singular.
        """
        xp = self._problem.xp
        rhs = -xp.concatenate((point.gL, point.c))
        tol = min(tol, _COARSEST)
        accepted = max(tol, 0.1)
        system = KKTSystem(H, point.G, xp, 0.0, damping)
        d, info = self._solve(system, rhs, tol, self._state)
        good = self._good(system, d, info, rhs, accepted)
        definite = self._problem.definite
        moderate = good and (definite is None or _moderate(d[: system.n], point.x))
        if definite is not None and not moderate and finite_products(H, point.x):
            other = KKTSystem(definite, point.G, xp, 0.0, damping)
            d, info = self._solve(other, rhs, tol, self._state)
            if self._good(other, d, info, rhs, accepted):
                return d, other, info
            good = False
        # products along one step do not tell that B is definite on null(G); eigenvalues do
        if good and (info.inertia is not None or not self._problem.small):
            return d, system, info
        w, dc = self._reduced(point, H, damping)
        if good and not (w or dc != damping):
            return d, system, info
        while w < _LARGEST:
            system = KKTSystem(H, point.G, xp, w, dc)
            d, info = self._solve(system, rhs, tol, self._state)
            if self._good(system, d, info, rhs, accepted):
                if w:
                    self._last = w
                return d, system, info
            w = max(_GROWTH * w, self._last / 3, _FIRST)
            if dc == 0.0 and info.relres > accepted:
                dc = 1e-8
        return None, system, info

    def _good(self, system, d, info, rhs, accepted):
        if not info.relres <= accepted:
            return False
        if info.inertia is not None:
            return info.inertia == (system.n, system.m)
        dx, n = d[: system.n], system.n
        curvature = float(dx @ (system.matvec(d)[:n] - system.G.T @ d[n:]))
        return curvature >= 1e-10 * float(dx @ dx) or float(rhs[n:] @ rhs[n:]) > 0.0

    def _reduced(self, point, H, damping):
        """A shift from the smallest eigenvalue of Z'HZ, and the regularisation of G."""
        xp = self._problem.xp
        m = self._problem.m
        if any(is_sparse(A) or is_operator(A) for A in (H, point.G)):
            return max(self._last / 3, _FIRST), damping
        dc, Z = damping, None
        if m:
            _, s, Vt = singular_values(xp, point.G)
            largest = float(s[0])
            rank = int((s > RANK * largest).sum()) if largest else 0
            if rank < m or float(s[-1]) < _NEARLY * largest:
                dc = max(damping, 1e-8 * max(1.0, largest * largest))
            Z = Vt[rank:].T
            HZ = Z.T @ (H @ Z)
        else:
            HZ = H
        if not HZ.shape[0]:
            return 0.0, dc
        values = eigenvalues(xp, HZ)
        lowest, size = float(values[0]), float(abs(values).max())
        if not math.isfinite(lowest):
            return _LARGEST, dc
        if lowest > 1e-9 * max(1.0, float(abs(H).max())):
            return 0.0, dc
        return max(-2.0 * lowest, -lowest + 1e-4 * max(1.0, size), 1e-8), dc


def finite_products(H: Any, x: Any) -> bool:
    """Whether H is finite, as far as its product with ones tells."""
    return math.isfinite(float(abs(H @ (0.0 * x + 1.0)).sum()))


def _moderate(dx, x):
    """Whether a step made with guessed curvatures is not absurdly long."""
    return float(dx.dot(dx)) <= _LONG * _LONG * max(1.0, float(x.dot(x)))
