"""Compiled kernels of convex programs of ReLU networks."""

import numpy as np
from scipy.linalg import blas

from refopt_backends.numba_cpu._jit import FAST, jit

_STRIP = 1024  # samples of a strip, whose part of z stays in the cache


def masked_gram(X, masks, of, roots):
    """Half of the rows of a pattern are zero: each pattern's matrix on its own rows."""
    n, d = X.shape
    M = np.zeros((n, n))
    order = np.argsort(of, kind="stable")
    ends = np.flatnonzero(np.diff(of[order], append=-1)) + 1
    first = 0
    for end in ends:
        rows = np.flatnonzero(masks[of[order[first]]])
        if rows.size:
            stacked = roots[order[first:end]].reshape(-1, d)
            _add_lower(M, blas.dsyrk(1.0, X[rows] @ stacked.T, lower=True), rows)
        first = end
    _mirror(M)
    return M


@jit
def _add_lower(M, B, rows):
    """M[rows, rows] += B, upper triangles by rows; B is stored by columns, its lower one given."""
    for i in range(rows.size):
        row, column = M[rows[i]], B[:, i]
        for j in range(i, rows.size):
            row[rows[j]] += column[j]


@jit
def _mirror(M):
    n = M.shape[0]
    for i0 in range(0, n, 64):
        for j0 in range(i0, n, 64):
            for i in range(i0, min(i0 + 64, n)):
                for j in range(max(j0, i + 1), min(j0 + 64, n)):
                    M[j, i] = M[i, j]


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
