"""Compiled kernels of quadratic problems with bounds."""

import numpy as np
from scipy.linalg import lapack

from refopt_backends.numba_cpu._jit import FAST, jit, unsigned

_NO_INFINITY = FAST  # infinite bounds are compared, so neither ninf nor nnan


def spd_solve(H, rhs):
    if H.shape[0] == 0:
        return rhs
    factor, failed = lapack.dpotrf(H.T, lower=False, clean=False)
    if failed:
        return None
    x = lapack.dpotrs(factor, rhs, lower=False)[0]
    return x if np.isfinite(x).all() else None


@jit(fastmath=_NO_INFINITY)
def _box_sweeps(G, x, g, lower, upper, sweeps):
    for _ in range(sweeps):
        for i in range(x.size):
            old, slope, curvature = x[i], g[i], G[i, i]
            if curvature > 0.0:
                new = min(max(old - slope / curvature, lower[i]), upper[i])
            elif slope > 0.0:
                new = lower[i]
            elif slope < 0.0:
                new = upper[i]
            else:
                new = old
            if new != old and -np.inf < new < np.inf:
                x[i] = new
                step = new - old
                row = G[i]
                for j in range(g.size):
                    g[j] += step * row[j]


def box_sweeps(G, x, g, lower, upper, sweeps):
    x, g = x.copy(), g.copy()
    _box_sweeps(np.ascontiguousarray(G), x, g, lower, upper, sweeps)
    return x, g


@jit(fastmath=FAST)
def _sparse_dot(values, places, first, end, w):
    total = 0.0
    for k in range(first, end):
        total += values[k] * w[places[k]]
    return total


# The order of the rows is part of the answer: the same random numbers as the reference.
@jit
def _hinge_sweeps(values, places, starts, norms, C, a, w, sweeps, seed):
    n = a.size
    order, live, state = np.arange(n), n, seed
    highest, lowest = np.inf, -np.inf
    for _ in range(sweeps):
        most, least, s = -np.inf, np.inf, 0
        while s < live:
            state = (1103515245 * state + 12345) & 0x7FFFFFFF
            other = s + (state >> 8) % (live - s)
            order[s], order[other] = order[other], order[s]
            i = order[s]
            slope = _sparse_dot(values, places, starts[i], starts[i + 1], w) - 1.0
            old, cap = a[i], C[i]
            if (old == 0.0 and slope > highest) or (old == cap and slope < lowest):
                live -= 1
                order[s], order[live] = order[live], order[s]
                continue
            s += 1
            inactive = (old == 0.0 and slope > 0.0) or (old == cap and slope < 0.0)
            projected = 0.0 if inactive else slope
            most, least = max(most, projected), min(least, projected)
            if projected != 0.0 and norms[i] > 0.0:
                new = min(max(old - slope / norms[i], 0.0), cap)
                step = new - old
                if step != 0.0:
                    a[i] = new
                    for k in range(starts[i], starts[i + 1]):
                        w[places[k]] += step * values[k]
        highest = most if most > 0.0 else np.inf
        lowest = least if least < 0.0 else -np.inf


@jit(fastmath=FAST)
def _dot(x, y):
    total = 0.0
    for k in range(x.size):
        total += x[k] * y[k]
    return total


@jit
def _hinge_sweeps_dense(Z, norms, C, a, w, sweeps, seed):
    n = a.size
    order, live, state = np.arange(n), n, seed
    highest, lowest = np.inf, -np.inf
    for _ in range(sweeps):
        most, least, s = -np.inf, np.inf, 0
        while s < live:
            state = (1103515245 * state + 12345) & 0x7FFFFFFF
            other = s + (state >> 8) % (live - s)
            order[s], order[other] = order[other], order[s]
            i = order[s]
            row = Z[i]
            slope = _dot(row, w) - 1.0
            old, cap = a[i], C[i]
            if (old == 0.0 and slope > highest) or (old == cap and slope < lowest):
                live -= 1
                order[s], order[live] = order[live], order[s]
                continue
            s += 1
            inactive = (old == 0.0 and slope > 0.0) or (old == cap and slope < 0.0)
            projected = 0.0 if inactive else slope
            most, least = max(most, projected), min(least, projected)
            if projected != 0.0 and norms[i] > 0.0:
                new = min(max(old - slope / norms[i], 0.0), cap)
                step = new - old
                if step != 0.0:
                    a[i] = new
                    for k in range(w.size):
                        w[k] += step * row[k]
        highest = most if most > 0.0 else np.inf
        lowest = least if least < 0.0 else -np.inf


def hinge_sweeps(Z, norms, C, a, w, sweeps, seed):
    a, w = a.copy(), w.copy()
    if hasattr(Z, "by_columns"):
        values, places, starts = Z.by_columns
        compressed = values, unsigned(places), unsigned(starts)
        _hinge_sweeps(*compressed, norms, C, a, w, sweeps, seed)
    else:
        _hinge_sweeps_dense(np.ascontiguousarray(Z.columns), norms, C, a, w, sweeps, seed)
    return a, w


@jit(fastmath=FAST)
def _hinge_step(base, u, C, sigma, slope, curvature):
    low, high, t, start = 0.0, np.inf, 0.0, 0.0
    for trial in range(60):
        value, rise = slope + curvature * t, curvature
        for i in range(u.size):
            at = base[i] - sigma * t * u[i]
            value -= u[i] * min(max(at, 0.0), C[i])
            rise += sigma * u[i] * u[i] if 0.0 < at < C[i] else 0.0
        if trial == 0:
            start = abs(value)
        if not (abs(value) > 1e-10 * start and abs(value) < np.inf):
            break
        if value < 0.0:
            low = t
        else:
            high = t
        t = t - value / rise if rise > 0.0 else 2.0 * t + 1.0
        if not (low < t and t < high):
            t = 0.5 * (low + high) if high < np.inf else 2.0 * low + 1.0
    return t


def hinge_step(base, u, C, sigma, slope, curvature):
    return _hinge_step(base, u, C, float(sigma), float(slope), float(curvature))
