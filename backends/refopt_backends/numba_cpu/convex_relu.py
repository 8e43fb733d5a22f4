"""Compiled kernels of convex programs of ReLU networks."""

import numpy as np
from scipy.linalg import blas

from refopt_backends.numba_cpu._jit import FAST, jit

_STRIP = 1024  # samples of a strip, whose part of z stays in the cache
_BLOCK = 120_000  # numbers of a temporary array that does


def masked_gram(X, masks, of, roots):
    """Columns of one pattern share a root of lowest rank; then symmetric rank-k updates."""
    n, d = X.shape
    grams = np.zeros((masks.shape[0], d, d))
    np.add.at(grams, of, np.matmul(roots.transpose(0, 2, 1), roots))
    traces = np.trace(grams, axis1=1, axis2=2)
    factors, patterns = _semidefinite_roots(grams, 1e-16 * traces.max(initial=0.0))
    M = np.zeros((n, n), order="F")
    block = max(1, _BLOCK // n)
    for first in range(0, len(factors), block):
        Y = factors[first : first + block] @ X.T
        _mask(Y, masks, patterns[first : first + block])
        M = blas.dsyrk(1.0, Y.T, beta=1.0, c=M, lower=True, overwrite_c=True)
    _mirror(M)
    return M


@jit
def _semidefinite_roots(grams, least):
    """Rows R_i with R_i'R_i = grams_i up to `least`, by pivoted Cholesky; i of every row."""
    P, d, _ = grams.shape
    rows, patterns, size = np.empty((P * d, d)), np.empty(P * d, np.int64), 0
    for i in range(P):
        G, first = grams[i], size
        diagonal = np.empty(d)
        for j in range(d):
            diagonal[j] = G[j, j]
        for _ in range(d):
            p = np.argmax(diagonal)
            if not diagonal[p] > least:
                break
            row, root = rows[size], np.sqrt(diagonal[p])
            row[:] = G[p]
            for k in range(first, size):
                t = rows[k, p]
                for j in range(d):
                    row[j] -= t * rows[k, j]
            for j in range(d):
                row[j] = row[j] / root if diagonal[j] > 0 else 0.0
                diagonal[j] -= row[j] * row[j]
            row[p], diagonal[p] = root, 0.0
            patterns[size] = i
            size += 1
    return rows[:size], patterns[:size]


@jit
def _mask(Y, masks, patterns):
    for k in range(len(patterns)):
        row, mask = Y[k], masks[patterns[k]]
        for i in range(row.size):
            row[i] = row[i] if mask[i] else 0.0


@jit
def _mirror(M):
    """The lower triangle above the diagonal too."""
    n = M.shape[0]
    for i0 in range(0, n, 64):
        for j0 in range(i0, n, 64):
            for i in range(i0, min(i0 + 64, n)):
                for j in range(max(j0, i + 1), min(j0 + 64, n)):
                    M[i, j] = M[j, i]


def slack_pass(XU, masks, of, sign, h, relax):
    return _slack_pass(XU, masks, of, sign, h, float(relax))


@jit(fastmath=FAST)
def _slack_pass(XU, masks, of, sign, h, relax):
    C, n = XU.shape
    z, squares = np.zeros(n), np.zeros(5)
    for first in range(0, n, _STRIP):
        last = min(first + _STRIP, n)
        zs = z[first:last]
        for j in range(C):
            _slack_row(XU[j, first:last], masks[of[j], first:last], sign[j], h[j, first:last],
                       relax, zs, squares)  # fmt: skip
    return z, squares


@jit(fastmath=FAST)
def _slack_row(xu, mask, sign, h, relax, z, squares):
    off, moved, size, slack, dual = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(xu.size):
        S = 1.0 if mask[k] else -1.0
        g = S * xu[k]
        before = max(h[k], 0.0)
        after = relax * g + (1.0 - relax) * before + min(h[k], 0.0)
        s, nu = max(after, 0.0), min(after, 0.0)
        z[k] += sign * xu[k] if mask[k] else 0.0
        h[k] = after
        xu[k] = S * (s - nu)
        off += (g - s) * (g - s)
        moved += (s - before) * (s - before)
        size += g * g
        slack += s * s
        dual += nu * nu
    squares[0] += off
    squares[1] += moved
    squares[2] += size
    squares[3] += slack
    squares[4] += dual


@jit(fastmath=FAST)
def group_soft(U, threshold):
    C, d = U.shape
    V, L = np.empty((C, d)), np.empty((C, d))
    for j in range(C):
        u, square = U[j], 0.0
        for i in range(d):
            square += u[i] * u[i]
        norm = np.sqrt(square)
        keep = max(1.0 - threshold / norm, 0.0) if norm > 0 else 0.0
        for i in range(d):
            V[j, i] = keep * u[i]
            L[j, i] = u[i] - V[j, i]
    return V, L
