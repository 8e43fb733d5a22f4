"""The kept entries of a plan in compressed rows: passes, products, Newton systems."""

import math

import numpy as np
from numba import prange

from refopt_backends.numba_cpu._jit import jit, parallel_jit
from refopt_backends.numba_cpu._machine import NO_NAN, exp

_CHUNKS = 16  # as in the passes over all pairs: rows dealt out, sums added in order


@jit(fastmath=NO_NAN)
def _gather_exponents(e, indices, cost, g):
    """e_k = g_j - C_ij. Apart from the exp: a loop that gathers and stores is not vectorised."""
    for k in range(e.size):
        e[k] = g[indices[k]] - cost[k]


@jit(fastmath=NO_NAN)
def _exp_scaled(e, shift, inverse_reg):
    """e <- exp((e - shift)/reg); the sum."""
    s = 0.0
    for k in range(e.size):
        t = exp((e[k] - shift) * inverse_reg)
        e[k] = t
        s += t
    return s


@jit
def _entries_rows(indptr, indices, cost, g, a, reg, shift, first, last, f, c, plan):
    for i in range(first, last):
        k0, k1 = indptr[i], indptr[i + 1]
        ix, Ci, e = indices[k0:k1], cost[k0:k1], plan[k0:k1]
        _gather_exponents(e, ix, Ci, g)
        top = shift[i]
        s = _exp_scaled(e, top, 1.0 / reg) if math.isfinite(top) else 0.0
        if not 1e-200 < s < 1e200:
            _gather_exponents(e, ix, Ci, g)
            top = e.max()
            s = _exp_scaled(e, top, 1.0 / reg)
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
def newton_rows(indptr, indices, plan, a, b, c, threshold, shift, sampled):
    """Filtered rows: weights q = P/W of each row in float32, W, extra, diagonal.

    Single precision is enough for the weights, whose errors leave a Laplacian;
    `extra` is a difference and needs the double precision of `plan`.
    """
    n, m = a.size, c.size
    # One place more: each entry is written, the count moves on if it is kept.
    ip, ix = np.zeros(n + 1, np.int64), np.empty(indices.size + 1, np.uint32)
    q, W = np.empty(indices.size + 1, np.float32), np.ones(n)
    # Of a sample nothing was dropped, but a column that it missed needs a hold.
    extra, diagonal = (0.5 if sampled else 1.0) * c, np.zeros(m)
    row = np.empty(m + 1)
    nnz = 0
    for i in range(n):
        start, bound, kept = nnz, threshold * a[i], 0
        for k in range(indptr[i], indptr[i + 1]):
            P, j = plan[k], indices[k]
            ix[start + kept], row[kept] = j, P
            kept += P > min(bound, threshold * b[j])
        Wi, top, largest = 0.0, 0.0, -1
        for k in range(kept):
            P = row[k]
            q[start + k] = P / a[i]
            extra[ix[start + k]] -= P
            Wi += P
            if P > top:
                top, largest = P, k
        nnz += kept
        ip[i + 1] = nnz
        if Wi > 0.0:
            W[i] = Wi
            _row_diagonal(ix[start:nnz], q[start:nnz], largest, Wi, diagonal)
    dropped = 0.0
    for j in range(m):
        extra[j] = max(extra[j], 0.0)
        dropped += extra[j]
        extra[j] += shift[j]
        diagonal[j] += extra[j]
    return ip, ix[:nnz], q[:nnz], W, extra, diagonal, dropped


@jit
def _row_diagonal(ix, q, largest, W, diagonal):
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


@jit
def newton_columns(ip, ix, q, W, m):
    """The weights W_i q_ij by columns, so that both halves of a product only gather."""
    jp = np.zeros(m + 1, np.int64)
    for k in range(ix.size):
        jp[ix[k] + 1] += 1
    for j in range(m):
        jp[j + 1] += jp[j]
    place = jp[:-1].copy()
    iy, p = np.empty(ix.size, np.uint32), np.empty(ix.size, np.float32)
    scale = np.ones(W.size)
    for i in range(W.size):
        s = 0.0
        for k in range(ip[i], ip[i + 1]):
            t = place[ix[k]]
            iy[t], p[t] = i, W[i] * q[k]
            place[ix[k]] = t + 1
            s += q[k]
        if s > 0.0:
            scale[i] = 1.0 / s  # q sums to 1 up to its own rounding
    return jp, iy, p, scale


@jit(fastmath=NO_NAN)
def _gather_sum(q, ix, v):
    s = 0.0
    for k in range(q.size):
        s += q[k] * v[ix[k]]
    return s


@jit(fastmath=NO_NAN)
def _gather_differences(p, iy, average, vj):
    s = 0.0
    for k in range(p.size):
        s += p[k] * (vj - average[iy[k]])
    return s


@jit
def newton_product_serial(ip, ix, q, jp, iy, p, scale, extra, v):
    average, out = np.empty(scale.size), np.empty(v.size)
    for i in range(scale.size):
        average[i] = scale[i] * _gather_sum(q[ip[i] : ip[i + 1]], ix[ip[i] : ip[i + 1]], v)
    for j in range(v.size):
        k0, k1 = jp[j], jp[j + 1]
        out[j] = extra[j] * v[j] + _gather_differences(p[k0:k1], iy[k0:k1], average, v[j])
    return out


@parallel_jit
def newton_product_parallel(ip, ix, q, jp, iy, p, scale, extra, v):
    average, out = np.empty(scale.size), np.empty(v.size)
    for i in prange(scale.size):
        average[i] = scale[i] * _gather_sum(q[ip[i] : ip[i + 1]], ix[ip[i] : ip[i + 1]], v)
    for j in prange(v.size):
        k0, k1 = jp[j], jp[j + 1]
        out[j] = extra[j] * v[j] + _gather_differences(p[k0:k1], iy[k0:k1], average, v[j])
    return out


@jit
def newton_cg_serial(ip, ix, q, jp, iy, p, scale, extra, diagonal, rhs, rtol, maxiter):
    """Conjugate gradients as in the reference, without a call from Python per step."""
    inverse = 1.0 / diagonal
    x, r = np.zeros(rhs.size), rhs.copy()
    z = inverse * r
    d = z.copy()
    rz = np.dot(r, z)
    start = rz
    for iteration in range(maxiter):
        if rz <= rtol * rtol * start:
            return x, iteration, True
        Sd = newton_product_serial(ip, ix, q, jp, iy, p, scale, extra, d)
        curvature = np.dot(d, Sd)
        if not curvature > 1e-25 * rz:  # singular along d, but for rounding
            return x, iteration, False
        alpha = rz / curvature
        previous = rz
        rz = 0.0
        for j in range(x.size):
            x[j] += alpha * d[j]
            r[j] -= alpha * Sd[j]
            z[j] = inverse[j] * r[j]
            rz += r[j] * z[j]
        beta = rz / previous
        for j in range(x.size):
            d[j] = z[j] + beta * d[j]
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
