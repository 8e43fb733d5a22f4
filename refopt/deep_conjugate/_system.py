"""A linear system on its way: the iterate, its residual, and what ends an iteration."""

import math
from typing import Any

import numpy as np

from refopt import _status
from refopt._driver import Iterate
from refopt.deep_conjugate._nullspace import NullSpace
from refopt_backends import namespace_of

EPS = 2.0**-52
# A residual that is replaced by the true one must be halved within so many iterations.
PATIENCE = 50
NOT_DEFINITE = (
    _status.INFEASIBLE,
    "A is not positive definite: a direction d with d'Ad < 0 was met.",
)
SINGULAR = (
    _status.INFEASIBLE,
    "A is singular and b lies outside its range: a direction d with d'Ad = 0 was met. Name the "
    "vectors that A maps to zero with nullspace=.",
)
NOT_FINITE = (_status.BREAKDOWN, "A times a finite vector is not finite.")


def dot(x: Any, y: Any) -> float:
    """x'y in any shape, without a temporary and without warnings.

    Not by BLAS on the CPU: its threads spin on after a long product, on the processors that
    the threads of the kernels need next.
    """
    if isinstance(x, np.ndarray):
        return float(np.einsum("i,i->", x.reshape(-1), y.reshape(-1)))
    xp = namespace_of(x)
    return float(xp.reshape(x, (-1,)) @ xp.reshape(y, (-1,)))


class System:
    """What every iteration counts, and what it ends with.

    Attributes
    ----------
    operator : MatrixOperator or GridOperator
    rr : float
        r'r of the residual r.
    b_norm, removed : float
        The norm of b, and that of the part in the null space that was taken out of it.
    outside : float
        The norm of a part of b outside the range of A that still counts as residual.
    tau : float
        The iteration has converged when ``|r| <= tau`` for the true residual.
    energy : float
        ``x'Ax/2 - b'x``.
    known : tuple, optional
        What `verified` returned for this x.
    nit, nfev, n_model, n_fallback, n_restart : int
        Iterations; products with A; calls of the model, steps that are not the model's,
        replacements of the residual.
    """

    def __init__(self, operator: Any):
        self.operator = operator
        self.removed = self.rr = self.b_norm = self.energy = self.tau = self.outside = 0.0
        self.known: tuple[float, float] | None = None
        self.nit = self.nfev = self.n_model = self.n_fallback = self.n_restart = 0

    def solution(self) -> Any:
        """x as a vector of its own memory."""
        raise NotImplementedError

    def verified(self) -> tuple[float, float]:
        """The norm of b - A x and x'Ax/2 - b'x, both from x."""
        raise NotImplementedError

    def iterate(self, drop: float = 0.0, accepted: bool = True) -> Iterate:
        """This point for the driver, without its arrays, which go on changing."""
        record = {"energy_drop": drop, "accepted": float(accepted)}
        return Iterate(x=None, fun=self.energy, error=math.sqrt(max(self.rr, 0.0)), record=record)


class LinearSystem(System):
    """A x = b with vectors in the operator's own form; b and x are given as vectors.

    Attributes
    ----------
    nullspace : NullSpace
    x, r : array
        The iterate and its residual, float64, written in place by `step`.
    """

    def __init__(self, operator: Any, b: Any, x: Any | None, nullspace: NullSpace):
        super().__init__(operator)
        self.nullspace = nullspace
        self.b = b = operator.enter(b)
        self.b_norm = math.sqrt(dot(b, b))
        self.removed = math.sqrt(nullspace.remove(b))
        if self.removed:
            norm = math.sqrt(dot(b, b))
            if norm <= 10 * EPS * self.b_norm:  # what is left is rounding
                b *= 0.0
                norm = 0.0
            self.b_norm = norm
        if x is None or self.b_norm == 0.0:
            self.x, self.r = operator.zeros(), operator.xp.asarray(b, copy=True)
        else:
            self.x = operator.enter(x)
            self.r = self.true_residual()
        if x is None:
            self.rr, self.energy = self.b_norm**2, 0.0
        else:
            self.rr = dot(self.r, self.r)
            self.energy = -0.5 * (dot(self.x, b) + dot(self.x, self.r))
        self.stalled = self.broken = False
        # An x to go back to from a breakdown; None is zero.
        self._kept = None if x is None else operator.xp.asarray(self.x, copy=True)
        self._kept_rr = self._start_rr = self.rr
        self.is_true = True  # r is b - A x by a product
        self._largest = 0.0
        self._replaced: tuple[int, float] | None = None

    def solution(self) -> Any:
        return self.operator.leave(self.x)

    def verified(self) -> tuple[float, float]:
        if not bool(self.operator.xp.all(self.operator.xp.isfinite(self.x))):
            self._go_back()
        self.nullspace.remove(self.x)
        r = self.r if self.is_true else self.true_residual()
        if self.broken and not dot(r, r) <= self._start_rr:  # what grew is of no use
            self._go_back()
            r = self.r
        norm = math.hypot(math.sqrt(dot(r, r)), self.outside)
        return norm, -0.5 * (dot(self.x, self.b) + dot(self.x, r))

    def keep_removed(self) -> None:
        """What was taken out of b counts as residual: the system has no solution but for it."""
        self.outside, self.removed = self.removed, 0.0
        self.b_norm = math.hypot(self.b_norm, self.outside)

    def _go_back(self):
        """Back to the x with the least residual that is kept."""
        self.x = self.operator.zeros() if self._kept is None else self._kept
        self.r = self.true_residual()
        self.is_true = True

    def true_residual(self) -> Any:
        """b - A x, in the range of A."""
        self.nfev += 1
        r = self.b - self.operator.product(self.x)
        self.nullspace.remove(r)
        return r

    def conjugate(self, z: Any, beta: float, d: Any, g: Any) -> tuple[float, float]:
        """d <- z + beta d and g <- A d in place; d'g and d'd."""
        self.nfev += 1
        return self.operator.conjugate(z, beta, d, g)

    def apply(self, d: Any) -> tuple[Any, float, float]:
        """A d, d'A d and d'd."""
        self.nfev += 1
        g = self.operator.product(d)
        return g, dot(d, g), dot(d, d)

    def verdict(self, c: float, dd: float) -> tuple[int, str] | None:
        """What c = d'A d says of A along a combination d of residuals; None if nothing bad."""
        if not math.isfinite(c):
            return NOT_FINITE
        self._largest = max(self._largest, abs(c) / dd)
        rounding = 4 * EPS * self._largest * dd
        if c > rounding:
            return None
        self.broken = True
        return NOT_DEFINITE if c < -rounding else SINGULAR

    def step(self, alpha: float, d: Any, g: Any, drop: float) -> bool:
        """x <- x + alpha d, and r with it; whether r was replaced by the true residual.

        `drop` is by how much the squared A-norm of the error falls.
        """
        self.nit += 1
        self.energy -= 0.5 * drop
        rr = self.operator.kernels.conjugate_step(alpha, d, g, self.x, self.r)
        self.rr = float(rr) - self.nullspace.remove(self.r)
        self.is_true = False
        if self.rr < 0.25 * self._kept_rr:  # half the norm: seldom, as each costs a copy
            self._kept, self._kept_rr = self.operator.xp.asarray(self.x, copy=True), self.rr
        return self._settle()

    def _settle(self):
        """Look at the true residual where the recursive one ended its work or its credit."""
        norm = math.sqrt(max(self.rr, 0.0))
        reached = norm <= max(self.tau, 0.1 * EPS * self.b_norm)
        overdue = self._replaced is not None and self.nit - self._replaced[0] >= PATIENCE
        if not (reached or overdue):
            return False
        r = self.true_residual()
        rr = dot(r, r)
        norm = math.sqrt(rr)
        if self._replaced is None or norm <= 0.5 * self._replaced[1]:
            self._replaced = self.nit, norm
        elif overdue and norm > self.tau:
            self.stalled = True
        if not reached:  # r goes on as it is: it differs from the true one by rounding
            return False
        self.r[...] = r
        self.rr = rr
        self.is_true = True
        self.n_restart += norm > self.tau
        return norm > self.tau
