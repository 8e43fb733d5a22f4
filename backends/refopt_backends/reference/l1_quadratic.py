"""Quadratic problems with an L1 penalty, and products with some columns of a matrix.

X is a design matrix: an object with ``shape``, ``take(index)``, ``times(w)`` and
``transposed_times(r)``, and either ``columns``, the (p, n) array of a dense
matrix, or ``matrix``, the compressed columns of a sparse one.
"""

import math

from refopt_backends._home import namespace_of

_ROUNDS = 1000
_EPS = 2.220446049250313e-16


def column_dots(X, index, r):
    return X.take(index).transposed_times(r)


def column_sum(X, index, w):
    return X.take(index).times(w)


def l1_least_squares(X, y, l2, penalty, w, tol, positive):
    xp = namespace_of(y)
    G = X.gram() + l2 * xp.eye(w.shape[0])
    w, factored = l1_quadratic(G, X.transposed_times(y), penalty, w, tol, positive)
    return w, y - X.times(w), factored


def l1_quadratic(G, q, penalty, w, tol, positive):
    """Proximal steps with a separable bound find the nonzeros, Newton steps their values."""
    xp = namespace_of(q)
    # diag(D) >= G by diagonal dominance.
    D = xp.sum(xp.abs(G), axis=1)
    D = xp.where(D > 0, D, xp.ones_like(D))
    tol = max(tol, 4e-15 * float(xp.max(xp.abs(q)))) if q.shape[0] else tol
    factored, quiet = 0, 0
    for _ in range(_ROUNDS):
        h = q - G @ w
        if _violation(xp, w, h, penalty, positive) <= tol:
            break
        new = _shrink(xp, w + h / D, penalty / D, positive)
        quiet = quiet + 1 if bool(xp.all(xp.sign(new) == xp.sign(w))) else 0
        w = new
        if quiet >= 1:
            w = _newton(xp, G, q, penalty, w)
            factored += 1
    return w, factored


def _shrink(xp, z, threshold, positive):
    """The prox of the penalty."""
    zero = xp.zeros_like(z)
    up = xp.maximum(z - threshold, zero)
    return up if positive else up - xp.maximum(-z - threshold, zero)


def _violation(xp, w, h, penalty, positive):
    """max_j dist(h_j, penalty_j d|w_j|)."""
    if w.shape[0] == 0:
        return 0.0
    at_zero = (h if positive else xp.abs(h)) - penalty
    error = xp.where(w != 0, xp.abs(h - penalty * xp.sign(w)), at_zero)
    return max(0.0, float(xp.max(error)))


def _newton(xp, G, q, penalty, w):
    """A Newton step on the nonzeros, those that would change sign set to zero if that descends."""
    free = xp.nonzero(w)[0]
    if free.shape[0] == 0:
        return w
    H = xp.take(xp.take(G, free, axis=0), free, axis=1)
    x = xp.take(w, free, axis=0)
    sign, weight = xp.sign(x), xp.take(penalty, free, axis=0)
    target = xp.take(q, free, axis=0) - weight * sign
    # A dependent column makes H singular: the least shift that Cholesky needs.
    shift = 1e-14 * float(xp.max(xp.abs(H)))
    step = xp.zeros_like(x)
    for _ in range(2):
        slope = target - H @ (x + step)
        step = step + xp.linalg.solve(H + shift * xp.eye(x.shape[0]), slope)

    def value(z):
        return float(0.5 * (z @ (H @ z)) - target @ z)

    t, start = 1.0, value(x)
    while t > 1e-3:
        trial = x + t * step
        trial = xp.where(trial * sign > 0, trial, xp.zeros_like(trial))
        if math.isfinite(value(trial)) and value(trial) <= start + 4 * _EPS * abs(start):
            x = trial
            break
        t *= 0.5
    full = xp.zeros_like(w)
    full[free] = x
    return full
