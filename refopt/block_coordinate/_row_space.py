"""Dense problems with far more columns than rows, in coordinates of the row space.

With a squared penalty the minimiser is w = X'a. Of X X' = U diag(r^2) U' the
square design Z = U diag(r) has the same products, Z u = X w for
w = X'U diag(1/r) u, and ||u|| = ||w||: the same problem with n coefficients.
"""

from dataclasses import dataclass, replace
from typing import Any

from refopt import _status
from refopt.block_coordinate._design import DenseDesign
from refopt.block_coordinate._logistic_newton import LogisticProblem, newton

_LARGEST = 1000  # rows, the square of which is factorised
_LEAST_RATIO = 8  # of columns to rows; below, products with X are cheap enough
_RANK = 1e-14  # eigenvalues below this part of the largest are rounding


def pays(problem: LogisticProblem) -> bool:
    """Whether to go there; a function of the sizes and the penalty only."""
    n, p = problem.design.shape
    dense = hasattr(problem.design, "columns")
    return dense and problem.l2 > 0 and n <= _LARGEST and p >= _LEAST_RATIO * n


@dataclass(frozen=True)
class Reduced:
    """Parameters in coordinates of the row space; a pass over X makes them parameters."""

    u: Any
    design: Any
    back: Any

    def full(self) -> Any:
        """(w, b)."""
        xp, rank = self.design.xp, self.back.shape[1]
        w = self.design.transposed_times(self.back @ self.u[:rank])
        return xp.concat([w, self.u[rank:]])


def row_space_newton(problem, v, tol, measure):
    """`newton` in the row space, and at last in the parameters themselves."""
    xp, design, intercept = problem.xp, problem.design, problem.intercept
    values, vectors = xp.linalg.eigh(design.columns.T @ design.columns)
    kept = values > _RANK * float(xp.max(values))
    if not bool(xp.any(kept)):
        return (yield from newton(problem, v, tol, measure))
    roots, vectors = xp.sqrt(values[kept]), vectors[:, xp.nonzero(kept)[0]]
    back = vectors / roots[None, :]
    inner = LogisticProblem(
        xp, problem.kernels, DenseDesign(xp, (vectors * roots[None, :]).T),
        problem.y, problem.s, problem.l2, intercept,
    )  # fmt: skip
    inner.effort = problem.effort
    w, warm = v[: problem.p], bool(xp.any(v != 0))
    u = back.T @ design.times(w) if warm else xp.zeros(roots.shape[0])
    u = xp.concat([u, v[problem.p :]])
    if warm:  # the start may have a part outside the row space
        yield next(newton(problem, v, tol, measure))
    steps = newton(inner, u, tol, measure)
    reached = next(steps)
    if not warm:
        yield replace(reached, x=Reduced(reached.x, design, back))
    for reached in steps:
        if reached.error <= tol:
            break
        yield replace(reached, x=Reduced(reached.x, design, back))
    else:
        return _status.STALLED, ""
    return (yield from newton(problem, Reduced(reached.x, design, back).full(), tol, measure))
