"""Compiled kernels of monotone inclusions and games."""

import numpy as np
from scipy.linalg import lapack

from refopt_backends.numba_cpu._jit import FAST, jit


# The shifted entries are stored, lest v - top - tau be summed in another order.
@jit(fastmath=FAST)
def _project_simplex(v, radius, tau, shifted, p):
    n = v.size
    top = np.float64(v[0])
    for i in range(n):
        top = max(top, v[i])
    for i in range(n):
        shifted[i] = v[i] - top
    tau, first = min(max(tau - top, -radius), -radius / n), True
    while True:
        count, total = 0, 0.0
        for i in range(n):
            above = not (shifted[i] <= tau)  # what is not a number stays so
            count += above
            total += shifted[i] if above else 0.0
        new = max((total - radius) / count, -radius)
        if not (new > tau or first):  # it only rises after the first step, but for rounding
            break
        tau, first = new, False
    for i in range(n):
        p[i] = 0.0 if shifted[i] <= tau else shifted[i] - tau
    return tau + top


def project_simplex(v, radius, tau0):
    p = np.empty_like(v)
    start = -np.inf if tau0 is None else float(tau0)
    return p, _project_simplex(v, float(radius), start, np.empty(v.size), p)


def spd_factor(H):
    factor, failed = lapack.dpotrf(H.T, lower=False, clean=False)
    return None if failed or not np.isfinite(np.diagonal(factor)).all() else factor


def spd_apply(factor, rhs):
    return lapack.dpotrs(factor, rhs, lower=False)[0]
