"""The kept entries of a plan in compressed rows: passes, products, Newton systems."""

import math

import numpy as np
from numba import prange

from refopt_backends.numba_cpu._machine import NO_NAN, exp
from refopt_backends.numba_cpu._jit import jit, parallel_jit

_CHUNKS = 16  # as in the passes over all pairs: rows dealt out, sums added in order


@jit(fastmath=NO_NAN)
def _exp_entries(e, indices, cost, g, shift, inverse_reg):
    s = 0.0
    for k in range(e.size):
        t = exp((g[indices[k]] - cost[k] - shift) * inverse_reg)
        e[k] = t
        s += t
    return s


@jit
def _entries_rows(indptr, indices, cost, g, a, reg, shift, first, last, f, c, plan):
    for i in range(first, last):
        k0, k1 = indptr[i], indptr[i + 1]
        ix, Ci, e = indices[k0:k1], cost[k0:k1], plan[k0:k1]
        top = shift[i]
        s = _exp_entries(e, ix, Ci, g, top, 1.0 / reg) if math.isfinite(top) else 0.0
        if not 1e-200 < s < 1e200:
            top = -math.inf
            for k in range(ix.size):
                top = max(top, g[ix[k]] - Ci[k])
            s = _exp_entries(e, ix, Ci, g, top, 1.0 / reg)
        f[i] = reg * (math.log(a[i]) - math.log(s)) - top
        w = a[i] / s
        for k in range(ix.size):
            e[k] *= w
            c[ix[k]] += e[k]


@jit
def entries_serial(indptr, indices, cost, g, a, reg, shift):
    f, c, plan = np.empty(a.size), np.zeros(g.size), np.empty(cost.size)
    _entries_rows(indptr, indices, cost, g, a, reg, shift, 0, a.size, f, c, plan)
    return f, c, plan


@parallel_jit
def entries_parallel(indptr, indices, cost, g, a, reg, shift):
    n = a.size
    f, c, plan = np.empty(n), np.zeros((_CHUNKS, g.size)), np.empty(cost.size)
    for k in prange(_CHUNKS):
        first, last = k * n // _CHUNKS, (k + 1) * n // _CHUNKS
        _entries_rows(indptr, indices, cost, g, a, reg, shift, first, last, f, c[k], plan)
    return f, c.sum(axis=0), plan


@jit(fastmath=NO_NAN)
def product_serial(indptr, indices, plan, v, out, transpose):
    for i in range(indptr.size - 1):
        k0, k1 = indptr[i], indptr[i + 1]
        ix, P = indices[k0:k1], plan[k0:k1]
        if transpose:
            for k in range(P.size):
                out[ix[k]] += P[k] * v[i]
        else:
            s = 0.0
            for k in range(P.size):
                s += P[k] * v[ix[k]]
            out[i] = s


@jit
def newton_rows(indptr, indices, plan, a, b, c, threshold, shift):
    """Filtered rows: weights q = P/W of each row in float32, W, extra, diagonal.

    Single precision is enough for the weights, whose errors leave a Laplacian;
    `extra` is a difference and needs the double precision of `plan`.
    """
    n, m = a.size, c.size
    ip, ix = np.zeros(n + 1, np.int64), np.empty(indices.size, np.uint32)
    q, W = np.empty(indices.size, np.float32), np.ones(n)
    extra, diagonal = c.copy(), np.zeros(m)
    nnz = 0
    for i in range(n):
        start, Wi, largest = nnz, 0.0, -1
        top = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            P, j = plan[k], indices[k]
            if P > threshold * min(a[i], b[j]):
                ix[nnz] = j
                q[nnz] = P / a[i]
                extra[j] -= P
                Wi += P
                if P > top:
                    top, largest = P, nnz
                nnz += 1
        ip[i + 1] = nnz
        if Wi > 0.0:
            W[i] = Wi
            _row_diagonal(ix[start:nnz], q[start:nnz], largest - start, a[i] / Wi, Wi, diagonal)
    dropped = 0.0
    for j in range(m):
        extra[j] = max(extra[j], 0.0)
        dropped += extra[j]
        extra[j] += shift[j]
        diagonal[j] += extra[j]
    return ip, ix[:nnz].copy(), q[:nnz].copy(), W, extra, diagonal, dropped


@jit
def _row_diagonal(ix, q, largest, scale, W, diagonal):
    """Normalise q to sum 1 and add W q_j (1 - q_j), without the subtraction for the largest."""
    s = 0.0
    for k in range(q.size):
        s += q[k]
    rest = 0.0
    for k in range(q.size):
        q[k] = q[k] / s
        if k != largest:
            rest += q[k]
    for k in range(q.size):
        diagonal[ix[k]] += W * q[k] * (rest if k == largest else 1.0 - q[k])


@jit(fastmath=NO_NAN)
def _average(q, ix, v):
    s, total = 0.0, 0.0
    for k in range(q.size):
        s += q[k] * v[ix[k]]
        total += q[k]
    return s / total


@jit
def _newton_product_rows(ip, ix, q, W, v, first, last, out):
    for i in range(first, last):
        k0, k1 = ip[i], ip[i + 1]
        if k1 - k0 > 1:  # a single entry is its own average
            weights, columns, Wi = q[k0:k1], ix[k0:k1], W[i]
            average = _average(weights, columns, v)
            for k in range(weights.size):
                j = columns[k]
                out[j] += Wi * weights[k] * (v[j] - average)


@jit
def newton_product_serial(ip, ix, q, W, extra, v):
    out = extra * v
    _newton_product_rows(ip, ix, q, W, v, 0, W.size, out)
    return out


@parallel_jit
def newton_product_parallel(ip, ix, q, W, extra, v):
    n, out = W.size, np.zeros((_CHUNKS, v.size))
    for k in prange(_CHUNKS):
        first, last = k * n // _CHUNKS, (k + 1) * n // _CHUNKS
        _newton_product_rows(ip, ix, q, W, v, first, last, out[k])
    return extra * v + out.sum(axis=0)


@jit
def newton_cg_serial(ip, ix, q, W, extra, diagonal, rhs, rtol, maxiter):
    """Conjugate gradients as in the reference, without a call per step."""
    inverse = 1.0 / diagonal
    x, r = np.zeros(rhs.size), rhs.copy()
    z = inverse * r
    p = z.copy()
    Sp = np.empty(rhs.size)
    rz = np.dot(r, z)
    start = rz
    for iteration in range(maxiter):
        if rz <= rtol * rtol * start:
            return x, iteration, True
        Sp[:] = extra * p
        _newton_product_rows(ip, ix, q, W, p, 0, W.size, Sp)
        curvature = np.dot(p, Sp)
        if not curvature > 0.0:
            return x, iteration, False
        alpha = rz / curvature
        previous = rz
        rz = 0.0
        for j in range(x.size):
            x[j] += alpha * p[j]
            r[j] -= alpha * Sp[j]
            z[j] = inverse[j] * r[j]
            rz += r[j] * z[j]
        beta = rz / previous
        for j in range(x.size):
            p[j] = z[j] + beta * p[j]
    return x, maxiter, rz <= rtol * rtol * start


@jit
def newton_matrix_dense(ip, ix, q, W, extra):
    m = extra.size
    S = np.zeros((m, m))
    for i in range(W.size):
        for k in range(ip[i], ip[i + 1]):
            weight = W[i] * q[k]
            for l in range(ip[i], k):
                S[ix[k], ix[l]] -= weight * q[l]  # rows list their columns in order: l < k
    for j in range(m):
        s = extra[j]
        for l in range(j):
            s -= S[j, l]
        S[j, j] += s
        for l in range(j):
            S[l, l] -= S[j, l]
    return S
