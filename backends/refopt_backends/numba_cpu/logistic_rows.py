"""Compiled kernels of smooth logistic problems: a pass over compressed rows at a time."""

import numpy as np
from scipy.linalg import blas, lapack

from refopt_backends.numba_cpu._jit import FAST, jit, unsigned
from refopt_backends.numba_cpu._l1_columns import l1_columns
from refopt_backends.numba_cpu._machine import NO_NAN, exp
from refopt_backends.reference import logistic_rows as reference

_FLAT = 1e-250  # as in the reference
_LEAST_WEIGHT = 1e-200  # below it a square root divides badly
_TILE = 32
_TILE_ENTRIES, _LEAST_TILE = 2**13, 64  # of rows whose products are formed at a time
_BLOCK_ENTRIES = 2**16  # of a dense matrix, scaled while they are in cache


@jit(fastmath=NO_NAN)
def _terms(z, y, s, slope, curvature):
    total = 0.0
    for i in range(z.size):
        m = y[i] * z[i]
        e = exp(-abs(m))
        u = e / (2.0 + e)  # log1p(e) = 2 artanh(u), u <= 1/3: 17 terms of its series
        t = u * u
        series = 1.0 / 33.0
        series = series * t + 1.0 / 31.0
        series = series * t + 1.0 / 29.0
        series = series * t + 1.0 / 27.0
        series = series * t + 1.0 / 25.0
        series = series * t + 1.0 / 23.0
        series = series * t + 1.0 / 21.0
        series = series * t + 1.0 / 19.0
        series = series * t + 1.0 / 17.0
        series = series * t + 1.0 / 15.0
        series = series * t + 1.0 / 13.0
        series = series * t + 1.0 / 11.0
        series = series * t + 1.0 / 9.0
        series = series * t + 1.0 / 7.0
        series = series * t + 1.0 / 5.0
        series = series * t + 1.0 / 3.0
        series = series * t + 1.0
        total += s[i] * ((0.0 if m > 0.0 else -m) + 2.0 * u * series)
        inverse = 1.0 / (1.0 + e)
        slope[i] = -s[i] * y[i] * (e if m >= 0.0 else 1.0) * inverse
        curvature[i] = s[i] * e * inverse * inverse
    return total


def logistic_terms(z, y, s):
    slope, curvature = np.empty_like(z), np.empty_like(z)
    return _terms(z, y, s, slope, curvature), slope, curvature


@jit
def _add_products(H, x, columns, weight):
    """The lower triangle of H + weight x x'; columns ascend."""
    for a in range(x.size):
        t = weight * x[a]
        row = H[columns[a]]
        for b in range(a + 1):
            row[columns[b]] += t * x[b]


@jit
def _gram_rows(values, columns, starts, d, p):
    """The lower triangle of X' diag(d) X."""
    H = np.zeros((p, p))
    for i in range(d.size):
        row = slice(starts[i], starts[i + 1])
        _add_products(H, values[row], columns[row], d[i])
    return H


@jit
def _mirror(H):
    n = H.shape[0]
    for first in range(0, n, _TILE):
        for i in range(first, n):
            row = H[i]
            for j in range(first, min(i, first + _TILE)):
                H[j, i] = row[j]


def _rows(X):
    """Compressed rows; a column number that cannot be negative is not tested for it."""
    values, columns, starts = X.by_rows
    return values, unsigned(columns), unsigned(starts)


def weighted_gram(X, d):
    if hasattr(X, "by_rows"):
        H = _gram_rows(*_rows(X), d, X.shape[1])
    else:
        H = _dense_gram(X.columns, np.sqrt(d))
    _mirror(H)
    return H


@jit
def _gram_columns(values, rows, starts, index, d, tile):
    """The lower triangle of a block; a tile's rows are sorted out, by counting, in cache."""
    k, n = index.size, d.size
    H = np.zeros((k, k))
    one = np.uint64(1)  # a signed number beside an unsigned one makes a float
    at, end = starts[index].astype(np.uint64), starts[index + 1].astype(np.uint64)
    ends = np.empty(tile + 2, np.uint64)
    x, columns = np.empty(0), np.empty(0, np.uint32)
    for first in range(0, n, tile):
        low, high = np.uint64(first), np.uint64(min(first + tile, n))
        ends[:] = 0
        entries = 0
        for a in range(k):
            t = at[a]
            while t < end[a] and rows[t] < high:
                ends[rows[t] - low + one + one] += one
                t += one
            entries += np.int64(t - at[a])
        if entries > x.size:
            x, columns = np.empty(entries), np.empty(entries, np.uint32)
        for i in range(1, tile + 1):
            ends[i + 1] += ends[i]
        for a in range(k):
            t = at[a]
            while t < end[a] and rows[t] < high:
                i = rows[t] - low + one
                x[ends[i]], columns[ends[i]] = values[t], a
                ends[i] += one
                t += one
            at[a] = t
        for i in range(min(tile, n - first)):
            row, places = x[ends[i] : ends[i + 1]], columns[ends[i] : ends[i + 1]]
            _add_products(H, row, places, d[first + i])
    return H


def block_gram(X, index, d):
    if index.size == 0:
        return np.zeros((0, 0))
    if not hasattr(X, "by_columns"):
        return weighted_gram(X.take(index), d)
    values, rows, starts = X.by_columns
    tile = max(_LEAST_TILE, _TILE_ENTRIES * d.size // max(values.size, 1))
    H = _gram_columns(values, unsigned(rows), unsigned(starts), index, d, min(tile, d.size))
    _mirror(H)
    return H


@jit
def _scaled_columns(values, rows, starts, index, scale):
    """diag(scale) X_index, compressed."""
    ends = np.zeros(index.size + 1, np.uint64)
    entries = 0
    for a in range(index.size):
        entries += np.int64(starts[index[a] + 1] - starts[index[a]])
        ends[a + 1] = entries
    x, places = np.empty(entries), np.empty(entries, np.uint32)
    at = 0
    for a in range(index.size):
        for t in range(starts[index[a]], starts[index[a] + 1]):
            places[at] = rows[t]
            x[at] = values[t] * scale[rows[t]]
            at += 1
    return x, places, ends


def l1_weighted_squares(X, index, d, theta, l2, penalty, w, tol):
    known = (d > _LEAST_WEIGHT) | (theta == 0.0)
    if not hasattr(X, "by_columns") or not known.all():
        return reference.l1_weighted_squares(X, index, d, theta, l2, penalty, w, tol)
    root = np.sqrt(d)
    values, rows, starts = X.by_columns
    block = _scaled_columns(values, unsigned(rows), unsigned(starts), index, root)
    y = theta / np.where(d > 0.0, root, 1.0) + _combination(*block, w, d.size)
    new, _, factored = l1_columns(*block, y, float(l2), penalty, w.copy(), tol, False)
    return new, factored


@jit(fastmath=FAST)
def _combination(values, rows, starts, w, n):
    z = np.zeros(n)
    for j in range(w.size):
        v = w[j]
        if v != 0.0:
            for t in range(starts[j], starts[j + 1]):
                z[rows[t]] += v * values[t]
    return z


def _dense_gram(columns, root):
    """The lower triangle, by blocks of rows that stay in cache."""
    p, n = columns.shape
    step = max(64, _BLOCK_ENTRIES // max(p, 1))
    H = np.zeros((p, p), order="F")
    rows = columns.T
    by_rows = rows.flags.c_contiguous
    for i in range(0, n, step):
        block = slice(i, i + step)
        if by_rows:
            scaled = (rows[block] * root[block, None]).T
        else:
            scaled = (columns[:, block] * root[block]).T
        # upper triangle in Fortran's order
        H = blas.dsyrk(1.0, scaled, 1.0, H, trans=not by_rows, overwrite_c=True)
    return H.T


def positive_inverse(H):
    factor, failed = lapack.dpotrf(H, lower=False, clean=False)
    if failed:
        return None
    inverse, failed = lapack.dpotri(factor, lower=False, overwrite_c=True)
    if failed:
        return None
    inverse = inverse.T  # in C order, its lower triangle is set
    _mirror(inverse)
    return inverse


@jit(fastmath=FAST)
def _product(values, columns, starts, d, penalty, v, p, z, out):
    shift = v[p] if v.size > p else 0.0
    total = 0.0
    for j in range(v.size):
        out[j] = penalty[j] * v[j]
    for i in range(d.size):
        x, at = values[starts[i] : starts[i + 1]], columns[starts[i] : starts[i + 1]]
        t0, t1, t2, t3 = shift, 0.0, 0.0, 0.0  # four sums, or each waits for the one before
        fours = x.size - x.size % 4
        for a in range(0, fours, 4):
            t0 += x[a] * v[at[a]]
            t1 += x[a + 1] * v[at[a + 1]]
            t2 += x[a + 2] * v[at[a + 2]]
            t3 += x[a + 3] * v[at[a + 3]]
        for a in range(fours, x.size):
            t0 += x[a] * v[at[a]]
        z[i] = (t0 + t1) + (t2 + t3)
        t = z[i] * d[i]
        total += t
        for a in range(x.size):
            out[at[a]] += t * x[a]
    if v.size > p:
        out[p] += total


@jit(fastmath=FAST)
def _cg(values, columns, starts, d, penalty, rhs, inverse, scale, p, rtol, maxiter):
    v, z = np.zeros_like(rhs), np.zeros_like(d)
    direction, image, along = np.zeros_like(rhs), np.empty_like(rhs), np.empty_like(d)
    r = rhs.copy()
    target = rtol * rtol * (rhs @ rhs)
    rho = 0.0
    for k in range(maxiter):
        if r @ r <= target:
            return v, z, k
        u = inverse @ r if scale.size == 0 else scale * r
        previous = rho
        rho = r @ u
        beta = rho / previous if k > 0 else 0.0
        for j in range(r.size):
            direction[j] = u[j] + beta * direction[j]
        _product(values, columns, starts, d, penalty, direction, p, along, image)
        curvature = direction @ image
        if not (rho > 0.0 and curvature > _FLAT * (direction @ direction)):
            return v, z, k
        alpha = rho / curvature
        for j in range(r.size):
            v[j] += alpha * direction[j]
            r[j] -= alpha * image[j]
        for i in range(z.size):
            z[i] += alpha * along[i]
    return v, z, maxiter


def hessian_product(X, d, penalty, v):
    if not hasattr(X, "by_rows"):
        return reference.hessian_product(X, d, penalty, v)
    z, out = np.empty_like(d), np.empty_like(v)
    _product(*_rows(X), d, penalty, v, X.shape[1], z, out)
    return out, z


@jit
def _diagonal(values, columns, starts, d, penalty, p):
    out = penalty.copy()
    for i in range(d.size):
        x, at = values[starts[i] : starts[i + 1]], columns[starts[i] : starts[i + 1]]
        for a in range(x.size):
            out[at[a]] += d[i] * x[a] * x[a]
        if penalty.size > p:
            out[p] += d[i]
    return out


def hessian_diagonal(X, d, penalty):
    if not hasattr(X, "by_rows"):
        return reference.hessian_diagonal(X, d, penalty)
    return _diagonal(*_rows(X), d, penalty, X.shape[1])


def hessian_cg(X, d, penalty, rhs, preconditioner, rtol, maxiter):
    if not hasattr(X, "by_rows"):
        return reference.hessian_cg(X, d, penalty, rhs, preconditioner, rtol, maxiter)
    if preconditioner.ndim == 2:
        inverse, scale = preconditioner, np.empty(0)
    else:
        inverse, scale = np.empty((0, 0)), preconditioner
    return _cg(*_rows(X), d, penalty, rhs, inverse, scale, X.shape[1], float(rtol), maxiter)


@jit(fastmath=NO_NAN)
def _exp_all(t):
    for j in range(t.size):
        t[j] = exp(t[j])


@jit
def _softmax(Z, codes, s, slope, P):
    n, K = Z.shape
    total = 0.0
    for i in range(n):
        top = Z[i, 0]
        for k in range(1, K):
            top = max(top, Z[i, k])
        for k in range(K):
            P[i, k] = Z[i, k] - top
    _exp_all(P.reshape(n * K))
    for i in range(n):
        row = 0.0
        top = Z[i, 0]
        for k in range(K):
            row += P[i, k]
            top = max(top, Z[i, k])
        inverse, weight = 1.0 / row, s[i]
        for k in range(K):
            P[i, k] *= inverse
            slope[i, k] = weight * P[i, k]
        slope[i, codes[i]] -= weight
        total += weight * (np.log(row) - (Z[i, codes[i]] - top))
    return total


def softmax_terms(Z, codes, s):
    Z = np.ascontiguousarray(Z)
    slope, P = np.empty_like(Z), np.empty_like(Z)
    return _softmax(Z, codes, s, slope, P), slope, P


@jit(fastmath=FAST)
def _softmax_rows(values, columns, starts, P, s, penalty, V, p, Z, out):
    K = V.shape[1]
    total = np.zeros(K)
    for j in range(V.shape[0]):
        for k in range(K):
            out[j, k] = penalty[j, 0] * V[j, k]
    for i in range(s.size):
        x, at = values[starts[i] : starts[i + 1]], columns[starts[i] : starts[i + 1]]
        z, row = Z[i], P[i]
        for k in range(K):
            z[k] = V[p, k] if V.shape[0] > p else 0.0
        for a in range(x.size):
            v, t = V[at[a]], x[a]
            for k in range(K):
                z[k] += t * v[k]
        mean = 0.0
        for k in range(K):
            mean += row[k] * z[k]
        for k in range(K):
            total[k] = s[i] * row[k] * (z[k] - mean)
        for a in range(x.size):
            u, t = out[at[a]], x[a]
            for k in range(K):
                u[k] += t * total[k]
        if V.shape[0] > p:
            u = out[p]
            for k in range(K):
                u[k] += total[k]


def softmax_product(X, P, s, penalty, V):
    if not hasattr(X, "by_rows"):
        return reference.softmax_product(X, P, s, penalty, V)
    V = np.ascontiguousarray(V)
    Z, out = np.empty_like(P), np.empty_like(V)
    _softmax_rows(*_rows(X), P, s, penalty, V, X.shape[1], Z, out)
    return out, Z
