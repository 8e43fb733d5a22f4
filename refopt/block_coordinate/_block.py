"""One block of a problem, by itself and at a point: what selection and updates look at."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from refopt.block_coordinate._forests import forest_factor
from refopt_backends import cholesky, diagonal_of

_DENSE = 256  # up to here the largest eigenvalue of H_b is computed, beyond it is bounded
_RANK = 1e-12  # eigenvalues below this share of the largest count as zero
_MARGIN = 1 + 1e-12  # what rounding may take from an eigenvalue


@dataclass
class Effort:
    """What a run has spent: values of f, gradients, block updates, factorisations."""

    evaluations: int = 0
    gradients: int = 0
    updates: int = 0
    factors: int = 0


class Block:
    """An index set b and what depends on nothing else.

    Attributes
    ----------
    index : array of int
    problem : Problem
    """

    def __init__(self, problem, index, forest=False):
        self.problem, self.index, self.forest = problem, index, forest

    @cached_property
    def columns(self) -> Any:
        """A_b."""
        return self.problem.columns(self.index)

    @cached_property
    def penalty(self) -> Any:
        """h_b."""
        return self.problem.penalty.take(self.index)

    @cached_property
    def bound(self) -> Any:
        """H_b."""
        return self.problem.bound(self.index, self.columns)

    @cached_property
    def lipschitz(self) -> float:
        """L_b."""
        return self._largest()

    def _largest(self):
        xp = self.problem.xp
        size = self.index.shape[0]
        L = self.problem.coordinate_lipschitz[self.index]
        if size == 1:
            return float(L[0])
        if self.forest or size > _DENSE:  # rows of |H_b|, or the trace
            trace = float(xp.sum(L))
            if not self.forest:
                return min(trace, float(xp.max(xp.sum(xp.abs(self.bound), axis=1))))
            rows = abs(self.problem.sparse_bound(self.index)).sum(axis=0)
            return min(trace, float(rows.max()))
        return float(xp.linalg.eigvalsh(self.bound)[-1]) * _MARGIN

    @cached_property
    def third(self) -> float:
        """M_b."""
        return self.problem.third(self.index, self.columns)

    @cached_property
    def factor(self) -> Any:
        """H_b = L D L' by message passing."""
        self.problem.effort.factors += 1
        return forest_factor(
            self.problem.sparse_bound(self.index), backend=self.problem.kernels.name
        )

    def solve_bound(self, rhs: Any) -> Any:
        """H_b^-1 rhs."""
        if self.forest:
            return self.factor.solve(rhs)
        return self.solve(self.bound, rhs)

    def solve(self, H: Any, rhs: Any) -> Any:
        """H^-1 rhs for a matrix of the block."""
        self.problem.effort.factors += 1
        return solve(self.problem.xp, H, rhs)

    def at(self, x: Any, z: Any, g: Any = None) -> "BlockPoint":
        """The block at a point; g is the full gradient where it is known."""
        return BlockPoint(self, x, z, g)


class BlockPoint:
    """A block b at a point x with the state z."""

    def __init__(self, block, x, z, g):
        self.block, self.problem = block, block.problem
        self._x, self.z, self._g = x, z, g

    @cached_property
    def x(self) -> Any:
        """x_b."""
        return self._x[self.block.index]

    @cached_property
    def gradient(self) -> Any:
        """g_b."""
        b = self.block
        if self._g is not None:
            return self._g[b.index]
        return self.problem.block_gradient(self._x, self.z, b.index, b.columns)

    @cached_property
    def hessian(self) -> Any:
        """The Hessian of f in b."""
        b = self.block
        if self.problem.quadratic:
            return b.bound
        return self.problem.hessian(self._x, self.z, b.index, b.columns)

    def product(self, d: Any) -> Any:
        """A_b d."""
        return self.problem.product(self.block.index, self.block.columns, d)

    def change(self, d: Any, v: Any = None) -> float:
        """f(x + U_b d) - f(x)."""
        self.problem.effort.evaluations += 1
        v = self.product(d) if v is None else v
        return self.problem.change(self._x, self.z, self.gradient, d, self.block.index, v)

    def rise(self, new: Any, v: Any = None) -> float:
        """F with the block's values new, minus F(x); v = A_b (new - x_b).

        Of quadratics without a difference of large numbers.
        """
        d = new - self.x
        h = self.block.penalty.changes(self.x, new)
        if not self.problem.quadratic:
            return self.change(d, v) + float(self.problem.xp.sum(h))
        v = self.product(d) if v is None else v
        none = 0 * self.gradient  # without a gradient the quadratic term remains
        square = self.problem.change(self._x, self.z, none, d, self.block.index, v)
        return float(self.problem.xp.sum(self.gradient * d + h)) + square


def solve(xp: Any, H: Any, rhs: Any) -> Any:
    """H^-1 rhs by Cholesky; the solution of least norm where H is singular."""
    factor = cholesky(H)
    if factor is not None:
        pivots = diagonal_of(factor)
        if float(xp.min(pivots)) > math.sqrt(_RANK) * float(xp.max(pivots)):
            return xp.linalg.solve(H, rhs)
    values, vectors = xp.linalg.eigh(H)
    kept = values > _RANK * float(xp.max(xp.abs(values)))
    inverse = xp.where(kept, 1 / xp.where(kept, values, xp.ones_like(values)), 0 * values)
    return vectors @ (inverse * (vectors.T @ rhs))


def replaced(xp: Any, x: Any, index: Any, values: Any) -> Any:
    """A copy of x with other values at some places."""
    x = xp.asarray(x, copy=True)
    try:
        x[index] = values
    except IndexError:  # the standard has no assignment to several places
        for k in range(index.shape[0]):
            x[int(index[k])] = values[k]
    return x
