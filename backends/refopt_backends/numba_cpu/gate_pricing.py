"""Kernels of pricing activation patterns, compiled for the CPU."""

import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit

_SWEEPS = 4
_RTOL = 1e-11


@jit(fastmath=FAST)
def _dot(x, y):
    total = 0.0
    for j in range(x.size):
        total += x[j] * y[j]
    return total


@jit(fastmath=FAST)
def _add(t, x, y):
    """Y += t x."""
    for j in range(x.size):
        y[j] += t * x[j]


@jit
def _sweep(X, squares, upper, a, w):
    for k in range(upper.size):
        if upper[k] > 0 and squares[k] > 0:
            value = min(max(a[k] + _dot(X[k], w) / squares[k], 0.0), upper[k])
            if value != a[k]:
                _add(a[k] - value, X[k], w)
                a[k] = value


@jit
def _residual(X, g, a, w):
    w[:] = g
    for k in range(a.size):
        if a[k] != 0:
            _add(-a[k], X[k], w)


@jit
def _factor(K, size):
    """The lower Cholesky factor of the leading block, in place."""
    for i in range(size):
        for j in range(i + 1):
            total = K[i, j]
            for m in range(j):
                total -= K[i, m] * K[j, m]
            K[i, j] = np.sqrt(max(total, 1e-300)) if i == j else total / K[j, j]


@jit
def _solve(K, size, x):
    for i in range(size):
        for m in range(i):
            x[i] -= K[i, m] * x[m]
        x[i] /= K[i, i]
    for i in range(size - 1, -1, -1):
        for m in range(i + 1, size):
            x[i] -= K[m, i] * x[m]
        x[i] /= K[i, i]


@jit
def _step(X, free, size, w, K, x, trial):
    """The change of the free coefficients that makes their slopes zero, refined once."""
    trace = 0.0
    for i in range(size):
        for j in range(i + 1):
            K[i, j] = _dot(X[free[i]], X[free[j]])
        trace += K[i, i]
    for i in range(size):
        K[i, i] += 1e-14 * trace
    _factor(K, size)
    for i in range(size):
        x[i] = _dot(X[free[i]], w)
    _solve(K, size, x)
    trial[:] = w
    for i in range(size):
        _add(-x[i], X[free[i]], trial)
    correction = np.empty(size)
    for i in range(size):
        correction[i] = _dot(X[free[i]], trial)
    _solve(K, size, correction)
    for i in range(size):
        x[i] += correction[i]


@jit
def _active_set(X, squares, upper, g, a, w, free, K, x, trial):
    n = a.size
    bound = _RTOL * np.sqrt(_dot(g, g))
    size = 0
    for k in range(n):
        if 0 < a[k] < upper[k]:
            free[size] = k
            size += 1
    if size > K.shape[0]:
        K, x = np.empty((size + 8, size + 8)), np.empty(size + 8)
    length = np.inf
    for _ in range(10 * n):
        while size > 0:
            _step(X, free, size, w, K, x, trial)
            t = 1.0
            for i in range(size):
                k = free[i]
                if x[i] > 0:
                    t = min(t, (upper[k] - a[k]) / x[i])
                elif x[i] < 0:
                    t = min(t, -a[k] / x[i])
            kept = 0
            for i in range(size):
                k = free[i]
                room = upper[k] - a[k] if x[i] > 0 else a[k]
                if t < 1.0 and x[i] != 0 and room <= (1 + 1e-12) * t * abs(x[i]):
                    a[k] = upper[k] if x[i] > 0 else 0.0
                else:
                    a[k] = min(max(a[k] + t * x[i], 0.0), upper[k])
                    free[kept] = k
                    kept += 1
            size = kept
            _residual(X, g, a, w)
            if t >= 1.0:
                break
        shorter = _dot(w, w)
        if shorter >= length:
            break
        length = shorter
        best, at = bound, -1
        for k in range(n):
            if upper[k] > 0 and squares[k] > 0 and (a[k] <= 0 or a[k] >= upper[k]):
                slope = _dot(X[k], w) / np.sqrt(squares[k])
                gain = slope if a[k] <= 0 else -slope
                if gain > best:
                    inside = False
                    for i in range(size):
                        inside = inside or free[i] == k
                    if not inside:
                        best, at = gain, k
        if at < 0:
            break
        free[size] = at
        size += 1
        if size > K.shape[0]:
            K, x = np.empty((2 * size, 2 * size)), np.empty(2 * size)


@jit
def box_least_squares(X, upper, G, A):
    n, d = X.shape
    squares = np.empty(n)
    for k in range(n):
        squares[k] = _dot(X[k], X[k])
    A = np.minimum(np.maximum(A, 0.0), upper)
    W = np.empty_like(G)
    free, trial = np.empty(n + 1, np.int64), np.empty(d)
    K, x = np.empty((d + 8, d + 8)), np.empty(d + 8)
    for b in range(G.shape[0]):
        a, w = A[b], W[b]
        _residual(X, G[b], a, w)
        for _ in range(_SWEEPS):
            _sweep(X, squares, upper, a, w)
        _active_set(X, squares, upper, G[b], a, w, free, K, x, trial)
    return W, A
