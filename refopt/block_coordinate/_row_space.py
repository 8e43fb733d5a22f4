"""Dense problems with far more columns than rows, in coordinates of the row space.

With a squared penalty the minimiser is w = X'a. Of X X' = Z Z' the square design Z
has the same products, Z u = X w for w = X'a and Z'a = u, and ||u|| = ||w||: the same
problem with n coefficients. Z is the Cholesky factor, or U diag(r) of the
eigenvectors where the rows of X are nearly dependent.
"""

from dataclasses import dataclass
from typing import Any

from refopt import _status
from refopt.block_coordinate._design import DenseDesign
from refopt.block_coordinate._logistic_newton import newton
from refopt_backends import cholesky, diagonal_of

_LARGEST = 1000  # rows, the square of which is factorised
_LEAST_RATIO = 4  # of columns to rows; below, products with X are cheap enough
_RANK = 1e-14  # eigenvalues below this part of the largest are rounding
_PIVOT = 1e-5  # of the factor, beside the largest: smaller ones call for the eigenvectors


def pays(problem: Any) -> bool:
    """Whether to go there; a function of the sizes and the penalty only."""
    n, p = problem.design.shape
    dense = hasattr(problem.design, "columns")
    return dense and problem.l2 > 0 and n <= _LARGEST and p >= _LEAST_RATIO * n


@dataclass(frozen=True)
class Reduced:
    """Parameters in coordinates of the row space; a pass over X makes them parameters."""

    u: Any
    design: Any
    rows: "Rows"

    def full(self) -> Any:
        """(w, b)."""
        rank = self.rows.Z.shape[1]
        w = self.design.transposed_times(self.rows.multipliers(self.u[:rank, ...]))
        return self.design.xp.concat([w, self.u[rank:, ...]], axis=0)


def parameters(v: Any) -> Any:
    """The parameters of an iterate, reduced or not."""
    return v.full() if isinstance(v, Reduced) else v


class Rows:
    """The design Z."""

    def __init__(self, xp: Any, gram: Any):
        self.xp = xp
        self.values: Any = None
        factor = cholesky(gram)
        pivots = None if factor is None else diagonal_of(factor)
        if pivots is not None and bool(xp.min(pivots) > _PIVOT * xp.max(pivots)):
            self.Z = factor
            return
        values, vectors = xp.linalg.eigh(gram)
        kept = xp.nonzero(values > _RANK * float(xp.max(values)))[0]
        self.values = xp.take(values, kept)
        self.Z = xp.take(vectors, kept, axis=1) * xp.sqrt(self.values)[None, :]

    def coordinates(self, z: Any) -> Any:
        """u of predictions z = Z u."""
        return self.xp.linalg.solve(self.Z, z) if self.values is None else self._inverse.T @ z

    def multipliers(self, u: Any) -> Any:
        """a with Z'a = u."""
        return self.xp.linalg.solve(self.Z.T, u) if self.values is None else self._inverse @ u

    @property
    def _inverse(self):
        """Z'^+."""
        return self.Z / self.values[None, :]


def row_space_newton(problem, v, tol, measure):
    """`newton` in the row space, and at last in the parameters themselves."""
    xp, design = problem.xp, problem.design
    rows = Rows(xp, design.columns.T @ design.columns)
    rank = rows.Z.shape[1]
    if rank == 0:
        return (yield from newton(problem, v, tol, measure))
    inner = problem.over(DenseDesign(xp, xp.asarray(rows.Z.T, copy=True)))
    inner.effort = problem.effort
    w, warm = v[: problem.p, ...], bool(xp.any(v != 0))
    u = rows.coordinates(design.times(w)) if warm else xp.zeros((rank, *v.shape[1:]))
    u = xp.concat([u, v[problem.p :, ...]], axis=0)
    if warm:  # the start may have a part outside the row space
        yield next(newton(problem, v, tol, measure))
    steps = newton(inner, u, tol, measure)
    reached = next(steps)
    if not warm:
        yield reached._replace(x=Reduced(reached.x, design, rows))
    for reached in steps:
        if reached.error <= tol:
            break
        yield reached._replace(x=Reduced(reached.x, design, rows))
    else:
        return _status.STALLED, ""
    return (yield from newton(problem, Reduced(reached.x, design, rows).full(), tol, measure))
