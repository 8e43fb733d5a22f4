"""Steps of conjugate gradients in place, compiled for the CPU.

Sums are formed by planes, rows or pieces of fixed length, whatever the number of threads.
"""

import numba
import numpy as np
from scipy.sparse import issparse

from refopt_backends.numba_cpu._jit import FAST, jit, parallel_jit, run_parallel, unsigned
from refopt_backends.numba_cpu.poisson import LIGHT, plane

PIECE = 4096


def poisson_conjugate(degree, weights, scale, z, beta, d, g):
    weights = (None,) * 3 if weights is None else weights
    args = (degree, *weights, float(scale), z, float(beta), d, g)
    return run_parallel(z.size // LIGHT, _poisson_parallel, _poisson_serial, *args)


@jit(fastmath=FAST)
def _combine(z, beta, d):
    total = 0.0
    for i in range(d.size):
        d[i] = z[i] + beta * d[i]
        total += d[i] * d[i]
    return total


# A plane of the product as soon as the next plane of d is there, both still in the cache.
@jit(fastmath=FAST)
def _poisson_serial(degree, w0, w1, w2, scale, z, beta, d, g):
    curvature = square = 0.0
    for i in range(d.shape[0]):
        square += _combine(z[i].reshape(-1), beta, d[i].reshape(-1))
        if i > 0:
            curvature += plane(degree, w0, w1, w2, d, scale, g, i - 1)
    plane(degree, w0, w1, w2, d, scale, g, d.shape[0] - 1)
    return curvature, square


@parallel_jit(fastmath=FAST)
def _poisson_parallel(degree, w0, w1, w2, scale, z, beta, d, g):
    planes = d.shape[0]
    curvature, square = np.empty(planes), np.empty(planes)
    for i in numba.prange(planes):
        square[i] = _combine(z[i].reshape(-1), beta, d[i].reshape(-1))
    for i in numba.prange(planes):
        curvature[i] = plane(degree, w0, w1, w2, d, scale, g, i)
    return in_order(curvature), in_order(square)


@jit
def in_order(parts):
    total = 0.0
    for part in parts:
        total += part
    return total


def matrix_conjugate(A, z, beta, d, g):
    if issparse(A):
        rows = A.data, unsigned(A.indices), unsigned(A.indptr)
        return run_parallel(
            A.nnz // (8 * LIGHT), _rows_parallel, _rows_serial, *rows, z, float(beta), d, g
        )
    square = _combine(z, float(beta), d)
    g[...] = A @ d
    return float(d @ g), square


@jit(fastmath=FAST)
def _rows(values, columns, starts, d, g, first, stop):
    dot = 0.0
    for i in range(first, stop):
        total = 0.0
        for k in range(starts[i], starts[i + 1]):
            total += values[k] * d[columns[k]]
        g[i] = total
        dot += d[i] * total
    return dot


@jit(fastmath=FAST)
def _rows_serial(values, columns, starts, z, beta, d, g):
    square = _combine(z, beta, d)
    curvature = 0.0
    for first in range(0, d.size, PIECE):
        stop = min(first + PIECE, d.size)
        curvature += _rows(values, columns, starts, d, g, first, stop)
    return curvature, square


@parallel_jit(fastmath=FAST)
def _rows_parallel(values, columns, starts, z, beta, d, g):
    pieces = -(-d.size // PIECE)
    curvature, square = np.empty(pieces), np.empty(pieces)
    for p in numba.prange(pieces):
        own = slice(p * PIECE, min((p + 1) * PIECE, d.size))
        square[p] = _combine(z[own], beta, d[own])
    for p in numba.prange(pieces):
        stop = min((p + 1) * PIECE, d.size)
        curvature[p] = _rows(values, columns, starts, d, g, p * PIECE, stop)
    return in_order(curvature), in_order(square)


def conjugate_step(alpha, d, g, x, r):
    flat = (v.reshape(-1) for v in (d, g, x, r))
    return run_parallel(d.size // LIGHT, _step_parallel, _step_serial, float(alpha), *flat)


@jit(fastmath=FAST)
def _step(alpha, d, g, x, r):
    total = 0.0
    for i in range(d.size):
        x[i] += alpha * d[i]
        r[i] -= alpha * g[i]
        total += r[i] * r[i]
    return total


@jit(fastmath=FAST)
def _step_serial(alpha, d, g, x, r):
    total = 0.0
    for first in range(0, d.size, PIECE):
        own = slice(first, min(first + PIECE, d.size))
        total += _step(alpha, d[own], g[own], x[own], r[own])
    return total


@parallel_jit(fastmath=FAST)
def _step_parallel(alpha, d, g, x, r):
    pieces = -(-d.size // PIECE)
    total = np.empty(pieces)
    for p in numba.prange(pieces):
        own = slice(p * PIECE, min((p + 1) * PIECE, d.size))
        total[p] = _step(alpha, d[own], g[own], x[own], r[own])
    return in_order(total)


def subtract_means(labels, count, x):
    return _subtract_means(labels.reshape(-1), count, x.reshape(-1))


@jit
def _subtract_means(labels, count, x):
    total, size = np.zeros(count + 1), np.zeros(count + 1, np.int64)
    for i in range(x.size):
        total[labels[i]] += x[i]
        size[labels[i]] += 1
    total[0] = 0.0
    removed = 0.0
    for part in range(1, count + 1):
        removed += total[part] * total[part] / size[part]
        total[part] /= size[part]
    for i in range(x.size):
        x[i] -= total[labels[i]]
    return removed
