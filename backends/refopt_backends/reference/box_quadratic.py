"""Kernels of quadratic problems with bounds, in words of the Array-API standard.

The rows of a support vector machine are the columns of ``Z``, any object with
``shape``, ``transposed_times`` and either ``columns``, (n, p), or
``by_columns``, compressed (values, places, starts).
"""

import math

from refopt_backends._array_functions import cholesky
from refopt_backends._home import namespace_of


def spd_solve(H, rhs):
    """H^-1 rhs by Cholesky factorisation, None if H has no factor."""
    xp = namespace_of(H)
    if H.shape[0] == 0:
        return rhs
    factor = cholesky(H)
    if factor is None:
        return None
    rhs = rhs[:, None]
    x = xp.linalg.solve(factor.T, xp.linalg.solve(factor, rhs))[:, 0]
    return x if bool(xp.all(xp.isfinite(x))) else None


def box_sweeps(G, x, g, lower, upper, sweeps):
    """Cyclic exact coordinate descent on x'Gx/2 + c'x in a box, g = Gx + c kept up to date.

    A coordinate without curvature goes to the bound that its gradient asks
    for, and stays if that is infinite.
    """
    xp = namespace_of(x)
    x, g = xp.asarray(x, copy=True), xp.asarray(g, copy=True)
    for _ in range(sweeps):
        for i in range(x.shape[0]):
            old, slope, curvature = float(x[i]), float(g[i]), float(G[i, i])
            low, high = float(lower[i]), float(upper[i])
            if curvature > 0:
                new = min(max(old - slope / curvature, low), high)
            else:
                new = low if slope > 0 else high if slope < 0 else old
            if math.isfinite(new) and new != old:
                x[i] = new
                g = g + (new - old) * G[i, :]
    return x, g


def hinge_sweeps(Z, norms, C, a, w, sweeps, seed):
    """Dual coordinate descent of the hinge loss, rows in random order, with shrinking.

    A row at its bound whose gradient points outward by more than the worst
    violation of the last sweep is left out for the rest of the call.
    """
    xp = namespace_of(a)
    a, w = xp.asarray(a, copy=True), xp.asarray(w, copy=True)
    n = a.shape[0]
    order, live, state = list(range(n)), n, seed
    highest, lowest = math.inf, -math.inf
    for _ in range(sweeps):
        most, least, s = -math.inf, math.inf, 0
        while s < live:
            state = (1103515245 * state + 12345) % 2**31
            other = s + (state >> 8) % (live - s)
            order[s], order[other] = order[other], order[s]
            i = order[s]
            places, values = _row(Z, i)
            slope = float(xp.sum(values * (w if places is None else w[places]))) - 1.0
            old, cap, q = float(a[i]), float(C[i]), float(norms[i])
            outward = (old == 0 and slope > highest) or (old == cap and slope < lowest)
            if outward:
                live -= 1
                order[s], order[live] = order[live], order[s]
                continue
            inactive = (old == 0 and slope > 0) or (old == cap and slope < 0)
            projected = 0.0 if inactive else slope
            most, least = max(most, projected), min(least, projected)
            if projected != 0 and q > 0:
                new = min(max(old - slope / q, 0.0), cap)
                a[i] = new
                if places is None:
                    w = w + (new - old) * values
                else:
                    w[places] += (new - old) * values
            s += 1
        highest = most if most > 0 else math.inf
        lowest = least if least < 0 else -math.inf
    return a, w


def _row(Z, i):
    """Places, None for all, and values of a row."""
    if not hasattr(Z, "by_columns"):
        return None, Z.columns[i, :]
    values, places, starts = Z.by_columns
    part = slice(int(starts[i]), int(starts[i + 1]))
    return places[part], values[part]


def hinge_step(base, u, C, sigma, slope, curvature):
    """The root t > 0 of slope + curvature t - u'clip(base - sigma t u, 0, C), which rises in t.

    Newton's method within a bracket, until the value fell by 1e-10.
    """
    xp = namespace_of(base)
    zero = xp.zeros_like(base)
    low, high, t, start = 0.0, math.inf, 0.0, 0.0
    for trial in range(60):
        at = base - (sigma * t) * u
        free = (at > 0) & (at < C)
        value = slope + curvature * t - float(xp.sum(u * xp.clip(at, 0.0, C)))
        rise = curvature + sigma * float(xp.sum(xp.where(free, u * u, zero)))
        if trial == 0:
            start = abs(value)
        if abs(value) <= 1e-10 * start or not math.isfinite(value):
            break
        low, high = (t, high) if value < 0 else (low, t)
        t = t - value / rise if rise > 0 else 2.0 * t + 1.0
        if not low < t < high:
            t = 0.5 * (low + high) if high < math.inf else 2.0 * low + 1.0
    return t
