"""The norm of the perturbations' dual, on the features that may be perturbed.

Perturbations have ||delta||_p <= epsilon; p = inf has the dual norm 1, p = 2 has 2.
"""

import math
from typing import Any

from refopt.convex_relu._program import row_norms

_STEPS = 60


class DualNorm:
    """||u_J||_p* by rows, its shrinkage and its epigraph; `on` is 1 on J, else 0."""

    def __init__(self, xp: Any, p: float, on: Any):
        self.xp, self.sums, self.on = xp, math.isinf(p), on

    def __call__(self, U: Any) -> Any:
        """The norms of the rows."""
        U = self.on * U
        return self.xp.sum(self.xp.abs(U), axis=1) if self.sums else row_norms(self.xp, U)

    def slope(self, U: Any) -> Any:
        """Subgradients."""
        if self.sums:
            return self.on * self.xp.sign(U)
        norms = self(U)
        return self.on * U / self.xp.where(norms > 0, norms, self.xp.ones_like(norms))[:, None]

    def shrink(self, U: Any, t: Any) -> Any:
        """The proximal map of t ||u_J||_p*, row by row; what is not in J stays."""
        xp = self.xp
        t = t[:, None] * self.on
        if self.sums:
            return xp.sign(U) * xp.maximum(xp.abs(U) - t, xp.zeros_like(U))
        norms = self(U)[:, None]
        tiny = xp.where(norms > 0, norms, xp.ones_like(norms))
        return xp.maximum(1 - t / tiny, xp.zeros_like(U)) * U

    def epigraph(self, Y: Any, tau: Any) -> tuple[Any, Any]:
        """Projection of (Y, tau), Y zero off J, on ||y|| <= tau, by Newton's method."""
        xp = self.xp
        lam = xp.zeros_like(tau)
        for _ in range(_STEPS):
            shrunk = self.shrink(Y, lam)
            size = self(shrunk)
            off = size - tau - lam
            if not bool(xp.any(off > 1e-14 * (1 + xp.abs(tau)))):
                break
            count = xp.sum(xp.astype(shrunk != 0, xp.float64), axis=1)
            count = count if self.sums else xp.astype(size > 0, xp.float64)
            lam = lam + xp.maximum(off, xp.zeros_like(off)) / (1 + count)
        return shrunk, tau + lam


def margin_projection(xp: Any, s: Any, tau: Any, epsilon: float) -> tuple[Any, Any]:
    """Projection of rows (s, tau) on s_k >= epsilon tau for all k."""
    start = tau
    for _ in range(_STEPS):
        below = epsilon * tau[:, None] - s
        off = tau - start + epsilon * xp.sum(xp.maximum(below, xp.zeros_like(s)), axis=1)
        if not bool(xp.any(off > 1e-14 * (1 + xp.abs(start)))):
            break
        tau = tau - off / (1 + epsilon**2 * xp.sum(xp.astype(below > 0, xp.float64), axis=1))
    return xp.maximum(s, epsilon * tau[:, None]), tau
