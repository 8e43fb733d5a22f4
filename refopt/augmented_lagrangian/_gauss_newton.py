r"""Steps that reduce :math:`|c + G\,dx|` within a radius.

.. math::
    dx(\lambda) = -G'(GG' + \lambda I)^{-1} c, \qquad |dx(\lambda)| \le \Delta

with the smallest such :math:`\lambda \ge 0`; :math:`\lambda = 0` is the Gauss-Newton step, of
least norm.
"""

import math
from typing import Any

from refopt.augmented_lagrangian._operators import is_operator, is_sparse, sparse_library
from refopt.augmented_lagrangian.linear_solvers import KKTSystem, direct

_RANK = 1e-14  # singular values below it, relative to the largest, are zero
_FIT = 0.1  # |dx| may miss the radius by so much of it
_TRIALS = 12  # values of lambda; two or three are enough


class GaussNewton:
    """Steps from one point.

    Dense: one decomposition by singular values, which serves every lambda. Else one
    factorisation of ``[[I, G'], [G, -lambda I]]`` for each.

    Parameters
    ----------
    problem : EqualityProblem
    G : array, sparse matrix or LinearOperator, shape (m, n)
    solve : callable, optional
        See `linear_solvers`.
    state : dict, optional
        That of `solve`.
    """

    def __init__(self, problem: Any, G: Any, solve: Any = None, state: Any = None):
        self.G, self.xp, self.n = G, problem.xp, problem.n
        self._solve, self._state = solve or direct, {} if state is None else state
        self._dense = not (is_sparse(G) or is_operator(G))
        self.finite = True
        if self._dense:
            self.finite = bool(self.xp.all(self.xp.isfinite(G)))
            if self.finite:
                self._U, self._s, self._Vt = self.xp.linalg.svd(G, full_matrices=False)
                self._inverse = self._damped(0.0)
        self.scale = float(self._s[0]) if self._dense and self.finite else _norm(G)

    def _damped(self, lam):
        xp, s = self.xp, self._s
        kept = s > _RANK * s[0]
        return xp.where(kept, s / xp.where(kept, s * s + lam, 1.0), 0.0)

    def step(self, c: Any, lam: float) -> Any:
        """``-G'(GG' + lam I)^-1 c``."""
        xp = self.xp
        if self._dense:
            inverse = self._damped(lam) if lam else self._inverse
            return -((inverse * (c @ self._U)) @ self._Vt)
        lam = max(lam, 1e-16 * self.scale**2)
        system = KKTSystem(_identity(self.G, self.n, xp), self.G, xp, 0.0, lam)
        rhs = xp.concatenate((xp.zeros(self.n), -c))
        return self._solve(system, rhs, 1e-10, self._state)[0][: self.n]

    def within(self, c: Any, radius: float) -> tuple[Any, float]:
        """The step of length ``radius`` at most, and its lambda.

        1/|dx| is nearly linear in lambda: a few steps of the secant method.
        """
        dx = self.step(c, 0.0)
        size = _length(dx)
        if size <= radius:
            return dx, 0.0
        low, at_low = 0.0, 1.0 / size - 1.0 / radius
        lam = _length(self.G.T @ c) / radius  # |dx| <= |G'c| / lam
        dx = self.step(c, lam)
        high, at_high = lam, 1.0 / max(_length(dx), 1e-300) - 1.0 / radius
        for _ in range(_TRIALS):
            if abs(_length(dx) - radius) <= _FIT * radius:
                break
            trial = low - at_low * (high - low) / (at_high - at_low)
            if not 0.0 < trial < high:
                break
            lam = max(trial, 1e-3 * math.sqrt(max(low, 1e-20 * high) * high))
            dx = self.step(c, lam)
            value = 1.0 / max(_length(dx), 1e-300) - 1.0 / radius
            if value < 0:
                low, at_low = lam, value
            else:
                high, at_high = lam, value
        return dx, lam


def _length(v):
    return math.sqrt(float(v @ v))


def _norm(G):
    """A size of G: its Frobenius norm where entries are stored."""
    return math.sqrt(float((G.data * G.data).sum())) if is_sparse(G) else 1.0


def _identity(G, n, xp):
    return sparse_library(G).eye(n, format="csr") if is_sparse(G) else xp.eye(n)
