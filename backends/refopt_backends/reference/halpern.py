"""Kernels of monotone inclusions and games, in words of the Array-API standard."""

from refopt_backends._array_functions import cholesky
from refopt_backends._home import namespace_of


def project_simplex(v, radius, tau0):
    """The projection max(v - tau, 0) on {p >= 0, sum p = radius}, and tau.

    Newton's method on the convex, piecewise linear sum max(v - tau, 0) - radius: it ends
    after finitely many steps from any tau0 (None: from below).
    """
    xp = namespace_of(v)
    wide = xp.astype(v, xp.float64)
    top = xp.max(wide)  # taken off, so that sums are of small numbers
    wide = wide - top
    start = -radius if tau0 is None else float(tau0) - float(top)
    tau, first = min(max(start, -radius), -radius / v.shape[0]), True
    while True:
        above = ~(wide <= tau)  # what is not a number stays so, and ends the loop
        count = int(xp.sum(xp.astype(above, xp.int64)))
        total = float(xp.sum(xp.where(above, wide, xp.zeros_like(wide))))
        new = max((total - radius) / count, -radius)
        if not (new > tau or first):  # it only rises after the first step, but for rounding
            break
        tau, first = new, False
    p = xp.where(above, wide - tau, xp.zeros_like(wide))
    return xp.astype(p, v.dtype), tau + float(top)


def spd_factor(H):
    """The inverse of the Cholesky factor of H, None if H has no factor."""
    xp = namespace_of(H)
    factor = cholesky(H)
    inverse = None if factor is None else xp.linalg.inv(factor)
    return inverse if inverse is not None and bool(xp.all(xp.isfinite(inverse))) else None


def spd_apply(factor, rhs):
    """H^-1 rhs."""
    return factor.T @ (factor @ rhs)
