"""A preconditioner from some rows of a data matrix.

The Hessian of a sum over data is ``B = X' diag(w) X + C`` with many more rows than columns. With
k of them, row i drawn with a probability p_i in proportion to ``w_i |X_i|^2``, the matrix

    P = sum_j w_j / (k p_j) X_j' X_j + C

has the expectation B and costs k n^2 instead of N n^2. On the null space of G it is inverted by
``z = P^-1 (r - G'y)`` with the y for which ``G z = 0``.
"""

import math
from typing import Any

from refopt import _rng
from refopt.augmented_lagrangian._operators import dense, is_operator
from refopt.augmented_lagrangian.linear_solvers._projected import projected
from refopt.augmented_lagrangian.linear_solvers._system import KKTSystem, SolveInfo
from refopt_backends import cholesky

ROWS = 4  # for each column
TIGHTEST = 1e-2  # one more Newton step costs little more than one more iteration


def has_rows(H: Any) -> bool:
    """Whether a Hessian tells the data that it is made of."""
    return hasattr(H, "rows") and hasattr(H, "weights")


class RowSketch:
    """The solver of one run.

    Rows are drawn anew when the iterations beyond those with the present ones at their best have
    cost as much as that would.
    """

    def __init__(self, rng: Any):
        self._rng: Any = None
        self._seed = rng
        self._inverse: Any = None  # of P
        self._shift, self._best, self._excess = 0.0, math.inf, 0.0

    def solve(self, system: KKTSystem, rhs: Any, tol: float, state: dict) -> tuple[Any, SolveInfo]:
        """d with ``|K d - rhs| <= tol |rhs|``, tol being at least 1e-2."""
        xp, G = system.xp, dense(system.G, system.xp)
        fresh = self._inverse is None or system.shift != self._shift
        if fresh:
            self._rng = self._rng or _rng.generator(self._seed)
            self._inverse, self._shift = inverse_of_sketch(system, self._rng), system.shift
        inverse = self._inverse
        V = inverse @ G.T
        GV = G @ V

        def precondition(r):
            z = inverse @ r
            return z - V @ xp.linalg.solve(GV, V.T @ r) if system.m else z

        d, info = projected(system, rhs, max(tol, TIGHTEST), state, precondition)
        digits = max(1.0, -math.log10(max(info.relres, 1e-16)))
        self._best = info.iterations / digits if fresh else self._best
        self._excess = 0.0 if fresh else self._excess + info.iterations - digits * self._best
        if self._excess > 2 * ROWS * system.n**2 / system.H.rows.shape[0]:
            self._inverse = None
        return d, info


def inverse_of_sketch(system: KKTSystem, rng: Any) -> Any:
    """``P^-1``, dense, with as much of the identity added to P as makes it positive definite."""
    xp, H, n = system.xp, system.H, system.n
    X, w = H.rows, H.weights
    N, k = X.shape[0], ROWS * n
    if k < N:
        squares = (X.multiply(X) if hasattr(X, "multiply") else X * X).sum(axis=1)
        mass = xp.cumsum(w * xp.asarray(squares).reshape(-1))
        ends = float(mass[-1]) * xp.asarray(rng.random(k))
        picked = xp.minimum(xp.searchsorted(mass, ends, side="right"), N - 1)
        p = mass[picked] - xp.where(picked > 0, mass[picked - 1], 0.0)
        X, w = X[picked], w[picked] * float(mass[-1]) / (k * p)
    X = dense(X, xp)
    P = X.T @ (w[:, None] * X)
    size = max(float(P.diagonal().sum()) / n, 1e-300)
    C = getattr(H, "rest", None)
    if C is not None and not is_operator(C):
        P = P + dense(C, xp)
    ridge = system.shift
    while cholesky(P + ridge * xp.eye(n)) is None:
        ridge = max(4.0 * ridge, 1e-6 * size)
    return xp.linalg.inv(P + ridge * xp.eye(n))
