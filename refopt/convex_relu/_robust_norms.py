"""The norm of the perturbations' dual, on the features that may be perturbed.

Perturbations have ||delta||_p <= epsilon; p = inf has the dual norm 1, p = 2 has 2, p = 1 has
the maximum norm.
"""

import math
from dataclasses import dataclass
from typing import Any

from refopt.convex_relu._program import row_norms
from refopt_backends import cumulative_sum


class DualNorm:
    """||u_J||_p* by rows, its shrinkage and points of the ball; `on` is 1 on J, else 0."""

    def __init__(self, xp: Any, p: float, on: Any):
        self.xp, self.p, self.on = xp, p, on

    def __call__(self, U: Any) -> Any:
        """The norms of the rows."""
        return _norm(self.xp, self.on * U, _dual(self.p))

    def shrink(self, U: Any, t: Any) -> Any:
        """The proximal map of t ||u_J||_p*, row by row; what is not in J stays.

        U less its projection on the ball ||x||_p <= t.
        """
        xp, t = self.xp, t[:, None]
        inner = self.on * U
        if self.p == 1:
            least = _l1_threshold(xp, xp.abs(inner), t)
            inner = xp.sign(inner) * xp.maximum(xp.abs(inner) - least, xp.zeros_like(U))
        elif self.p == 2:
            norms = row_norms(xp, inner)[:, None]
            scale = t / xp.where(norms > 0, norms, xp.ones_like(norms))
            inner = xp.minimum(scale, xp.ones_like(scale)) * inner
        else:
            inner = xp.sign(inner) * xp.minimum(xp.abs(inner), t * self.on)
        return U - inner

    def within(self, H: Any, bounds: Any) -> Any:
        """Rows of H shortened to zero off J and ||h||_p <= bound."""
        xp, H = self.xp, self.on * H
        norms = _norm(xp, H, self.p)
        scale = bounds / xp.where(norms > 0, norms, xp.ones_like(norms))
        return xp.minimum(scale, xp.ones_like(scale))[:, None] * H


def _dual(p):
    return {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}[p]


def _norm(xp, U, p):
    if p == 2:
        return row_norms(xp, U)
    return xp.sum(xp.abs(U), axis=1) if p == 1 else xp.max(xp.abs(U), axis=1)


def _l1_threshold(xp, sizes, t):
    """What every size is lowered by so that their sum is t, 0 where it is not above t."""
    ordered = -xp.sort(-sizes, axis=1)
    counts = xp.arange(1, sizes.shape[1] + 1)
    least = (cumulative_sum(ordered, axis=1) - t) / counts
    return xp.maximum(xp.max(least, axis=1), xp.zeros(sizes.shape[0]))[:, None]


@dataclass(frozen=True)
class Epigraph:
    """An upper bound of ||u_J||_p* by local variables, in blocks (u, local, one more).

    Attributes
    ----------
    size : int
        Of u and the local variables.
    value : array, shape (size + 1,)
        The bound as a linear function.
    rows : array, shape (q, size + 1)
        Inequalities rows @ y >= 0 of every block.
    cones : list of (int, int array)
        Head and tail of second-order cones.
    """

    norm: DualNorm
    size: int
    value: Any
    rows: Any
    cones: list

    def central(self, U: Any, force: Any, mu: float) -> tuple[Any, Any]:
        """Multipliers of `rows` that push the bound with `force`, and local variables for these."""
        xp = self.norm.xp
        force = xp.maximum(force, xp.full_like(force, mu))[:, None]
        if self.cones:
            half = 0.5 * mu / force
            size = self.norm(U)[:, None]
            return xp.zeros((U.shape[0], 0)), half + xp.sqrt(half * half + size * size)
        count = self.size - U.shape[1]
        share = max(count, 1) / max(self.rows.shape[0], 1)
        z = share * force * xp.ones((1, self.rows.shape[0]))
        return z, mu / (share * force) * xp.ones((1, count))


def epigraph(xp: Any, p: float, on: Any) -> Epigraph:
    """Of the dual norm of p: a sum of bounds of |u_l|, or one bound of all, or of ||u_J||."""
    d, J = on.shape[0], xp.nonzero(on)[0]
    p = p if J.shape[0] else math.inf  # which then needs no variable
    count = J.shape[0] if p == math.inf else 1
    value = xp.zeros(d + count + 1)
    value[d : d + count] = 1.0
    cones = [(d, J)] if p == 2 else []
    rows = xp.zeros((0 if p == 2 else 2 * J.shape[0], d + count + 1))
    if p != 2:
        for k, feature in enumerate(J):
            rows[2 * k : 2 * k + 2, d + (k if p == math.inf else 0)] = 1.0
            rows[2 * k, feature], rows[2 * k + 1, feature] = 1.0, -1.0
    return Epigraph(DualNorm(xp, p, on), d + count, value, rows, cones)
