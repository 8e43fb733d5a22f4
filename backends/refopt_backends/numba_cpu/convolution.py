"""Compiled convolutions of 3 x 3 x 3: Winograd's F(4, 3) across planes, rows in registers.

Four planes of the result need six planes of x. With the matrices B (6, 6),
G (6, 3) and A (6, 4) of Winograd's minimal filtering,

    y = A' sum_i (G w_i) (B' x_i)     for each of the six rows of A

costs six products where twelve are plain. Each product is a plane times 3 x 3
weights, done on rows laid end to end with two zeros between them: a shift of
the plane is then an offset, and the loop along it is as long as the cache
likes. Four channels of the result share what is loaded of x.
"""

import numba
import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit, parallel_jit, run_parallel

STRIP = 512  # entries of a plane that are worked on together
SUMS = 8  # groups of strips that sum on their own: the same on any number of threads

_G = np.array(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]
) / 24  # fmt: skip


def conv3d_forward(x, W, bias, relu, residual):
    o, c = W.shape[:2]
    U = _transformed(W, x.dtype)
    y = np.empty((o, *x.shape[1:]), dtype=x.dtype)
    added = y if residual is None else residual
    rest = (U, bias, relu, residual is not None, np.ascontiguousarray(added))
    work = o * c * y[0].size // 8
    run_parallel(work, _forward_parallel, _forward_serial, _flat_planes(x), *rest, y)
    return y


def conv3d_backward_data(dy, W):
    flipped = W[:, :, ::-1, ::-1, ::-1].swapaxes(0, 1)
    return conv3d_forward(dy, flipped, np.zeros(W.shape[1], dtype=dy.dtype), False, None)


def conv3d_backward_weights(x, dy):
    o, c = dy.shape[0], x.shape[0]
    dU = np.zeros((SUMS, 6, c, 9, -(-o // 4) * 4))
    work = o * c * x[0].size // 8
    args = _flat_planes(x), np.ascontiguousarray(dy), dU
    run_parallel(work, _weights_parallel, _weights_serial, *args)
    dW = np.einsum("ta,gtibo->oiab", _G, dU)[:o]
    return dW.reshape(o, c, 3, 3, 3).astype(x.dtype)


def pool2(x):
    c, n0, n1, n2 = x.shape
    y = np.empty((c, n0 // 2, n1 // 2, n2 // 2), dtype=x.dtype)
    run_parallel(x.size, _pool_parallel, _pool_serial, np.ascontiguousarray(x), y)
    return y


def upsample2_add(coarse, fine):
    y = np.empty_like(fine)
    args = np.ascontiguousarray(coarse), np.ascontiguousarray(fine), y
    run_parallel(y.size, _upsample_parallel, _upsample_serial, *args)
    return y


def _flat_planes(x):
    c, n0, n1, n2 = x.shape
    return np.ascontiguousarray(x).reshape(c, n0, n1 * n2)


def _transformed(W, dtype):
    """G w as (6, in, 9, out), `out` filled up to a multiple of four."""
    o, c = W.shape[:2]
    U = np.zeros((6, c, 9, -(-o // 4) * 4), dtype=dtype)
    U[..., :o] = np.einsum("ta,oiab->tibo", _G, W.reshape(o, c, 3, 9))
    return U


@jit
def _rows_per_strip(n1, n2):
    return max(1, min(n1, STRIP // (n2 + 2)))


@jit
def _whole_lines(n):
    """Up to full cache lines, so that the sums of all channels begin with one."""
    return (n + 15) // 16 * 16


@jit(fastmath=FAST)
def _planes(x, n2, p, q, rows, V):
    """V <- B' x: rows q - 1 .. q + rows of the planes p - 1 .. p + 4, all channels."""
    c, n0, plane = x.shape
    first, last = max(q - 1, 0), min(q + rows + 1, plane // n2)
    n = (last - first) * n2
    two, four, five = x.dtype.type(2), x.dtype.type(4), x.dtype.type(5)
    zero = np.zeros(n, x.dtype)
    T = np.empty((6, n), x.dtype)
    v0, v1, v2, v3, v4, v5 = T[0], T[1], T[2], T[3], T[4], T[5]
    V[:] = 0
    for i in range(c):
        strips = x[i, :, first * n2 : last * n2]
        d0 = strips[p - 1] if p >= 1 else zero
        d1 = strips[p]
        d2 = strips[p + 1] if p + 1 < n0 else zero
        d3 = strips[p + 2] if p + 2 < n0 else zero
        d4 = strips[p + 3] if p + 3 < n0 else zero
        d5 = strips[p + 4] if p + 4 < n0 else zero
        for k in range(n):
            even, odd = d4[k] - four * d2[k], d3[k] - four * d1[k]
            near, far = d4[k] - d2[k], two * (d3[k] - d1[k])
            v0[k] = four * d0[k] - five * d2[k] + d4[k]
            v1[k] = even + odd
            v2[k] = even - odd
            v3[k] = near + far
            v4[k] = near - far
            v5[k] = four * d1[k] - five * d3[k] + d5[k]
        for t in range(6):
            for j in range(first, last):
                to, source = (j - q + 1) * (n2 + 2) + 1, (j - first) * n2
                for k in range(n2):
                    V[t, i, to + k] = T[t, source + k]


@jit(fastmath=FAST)
def _products(U, V, width, M):
    """M <- the six products, all channels."""
    n = M.shape[2]
    M[:] = 0
    for t in range(6):
        for o in range(0, M.shape[1], 4):
            m0, m1, m2, m3 = M[t, o], M[t, o + 1], M[t, o + 2], M[t, o + 3]
            for i in range(V.shape[1]):
                for b in range(3):
                    s = b * width
                    x0, x1 = V[t, i, s : s + n], V[t, i, s + 1 : s + 1 + n]
                    x2 = V[t, i, s + 2 : s + 2 + n]
                    w = U[t, i, 3 * b : 3 * b + 3, o : o + 4]
                    a0, a1, a2, a3 = w[0, 0], w[0, 1], w[0, 2], w[0, 3]
                    b0, b1, b2, b3 = w[1, 0], w[1, 1], w[1, 2], w[1, 3]
                    c0, c1, c2, c3 = w[2, 0], w[2, 1], w[2, 2], w[2, 3]
                    for k in range(n):
                        m0[k] += a0 * x0[k] + b0 * x1[k] + c0 * x2[k]
                        m1[k] += a1 * x0[k] + b1 * x1[k] + c1 * x2[k]
                        m2[k] += a2 * x0[k] + b2 * x1[k] + c2 * x2[k]
                        m3[k] += a3 * x0[k] + b3 * x1[k] + c3 * x2[k]


@jit(fastmath=FAST)
def _combine(M, o, bias, relu, Y):
    """Y <- A' M_o + bias for the four planes, its negative part cut off if `relu`."""
    m0, m1, m2, m3, m4, m5 = M[0, o], M[1, o], M[2, o], M[3, o], M[4, o], M[5, o]
    y0, y1, y2, y3 = Y[0], Y[1], Y[2], Y[3]
    two, four, eight = M.dtype.type(2), M.dtype.type(4), M.dtype.type(8)
    for k in range(y0.size):
        near, far = m1[k] + m2[k] + bias, m3[k] + m4[k]
        slope, twist = m1[k] - m2[k] + bias, m3[k] - m4[k]
        y0[k] = m0[k] + near + far
        y1[k] = slope + two * twist
        y2[k] = near + four * far
        y3[k] = slope + eight * twist + m5[k]
    if relu:
        zero = M.dtype.type(0)
        for h in range(4):
            row = Y[h]
            for k in range(row.size):  # NaN stays
                row[k] = zero if row[k] < zero else row[k]


@jit(fastmath=FAST)
def _forward_strip(x, U, bias, relu, add, residual, p, q, rows, y):
    """Planes p .. p + 3 and rows q .. q + rows - 1 of the result, all channels."""
    n0, n2 = y.shape[1], y.shape[3]
    width = n2 + 2
    n = _whole_lines(rows * width)
    V = np.empty((6, x.shape[0], _whole_lines(n + 2 * width + 2)), x.dtype)
    M = np.empty((6, U.shape[3], n), x.dtype)
    Y = np.empty((4, n), x.dtype)
    _planes(x, n2, p, q, rows, V)
    _products(U, V, width, M)
    for o in range(y.shape[0]):
        _combine(M, o, bias[o], relu, Y)
        for h in range(min(4, n0 - p)):
            for r in range(rows):
                row, out = Y[h, r * width : r * width + n2], y[o, p + h, q + r]
                if add:
                    also = residual[o, p + h, q + r]
                    for k in range(n2):
                        out[k] = row[k] + also[k]
                else:
                    for k in range(n2):
                        out[k] = row[k]


@jit
def _forward_serial(x, U, bias, relu, add, residual, y):
    n0, n1, n2 = y.shape[1:]
    rows = _rows_per_strip(n1, n2)
    for p in range(0, n0, 4):
        for q in range(0, n1, rows):
            _forward_strip(x, U, bias, relu, add, residual, p, q, min(rows, n1 - q), y)


@parallel_jit
def _forward_parallel(x, U, bias, relu, add, residual, y):
    n0, n1, n2 = y.shape[1:]
    rows = _rows_per_strip(n1, n2)
    strips = (n1 + rows - 1) // rows
    for task in numba.prange((n0 + 3) // 4 * strips):
        p, q = task // strips * 4, task % strips * rows
        _forward_strip(x, U, bias, relu, add, residual, p, q, min(rows, n1 - q), y)


@jit(fastmath=FAST)
def _spread(dy, p, q, rows, M):
    """M <- A dy: rows q .. q + rows - 1 of the planes p .. p + 3, all channels."""
    c, n0, _, n2 = dy.shape
    two, four, eight = dy.dtype.type(2), dy.dtype.type(4), dy.dtype.type(8)
    zero = np.zeros(n2, dy.dtype)
    M[:] = 0
    for o in range(c):
        for r in range(rows):
            y0 = dy[o, p, q + r]
            y1 = dy[o, p + 1, q + r] if p + 1 < n0 else zero
            y2 = dy[o, p + 2, q + r] if p + 2 < n0 else zero
            y3 = dy[o, p + 3, q + r] if p + 3 < n0 else zero
            s = r * (n2 + 2)
            m0, m1, m2 = M[0, o, s : s + n2], M[1, o, s : s + n2], M[2, o, s : s + n2]
            m3, m4, m5 = M[3, o, s : s + n2], M[4, o, s : s + n2], M[5, o, s : s + n2]
            for k in range(n2):
                even, odd = y0[k] + y2[k], y1[k] + y3[k]
                far, further = y0[k] + four * y2[k], two * y1[k] + eight * y3[k]
                m0[k] = y0[k]
                m1[k] = even + odd
                m2[k] = even - odd
                m3[k] = far + further
                m4[k] = far - further
                m5[k] = y3[k]


@jit(fastmath=FAST)
def _scalar_products(M, V, width, dU):
    """dU[t, i, (b, c), o] += <M_t,o, V_t,i shifted by (b, c)>."""
    n = M.shape[2]
    for t in range(6):
        for o in range(0, M.shape[1], 4):
            m0, m1, m2, m3 = M[t, o], M[t, o + 1], M[t, o + 2], M[t, o + 3]
            for i in range(V.shape[1]):
                for b in range(3):
                    s = b * width
                    x0, x1 = V[t, i, s : s + n], V[t, i, s + 1 : s + 1 + n]
                    x2 = V[t, i, s + 2 : s + 2 + n]
                    a0 = a1 = a2 = a3 = M.dtype.type(0)
                    b0 = b1 = b2 = b3 = M.dtype.type(0)
                    c0 = c1 = c2 = c3 = M.dtype.type(0)
                    for k in range(n):
                        a0 += m0[k] * x0[k]
                        a1 += m1[k] * x0[k]
                        a2 += m2[k] * x0[k]
                        a3 += m3[k] * x0[k]
                        b0 += m0[k] * x1[k]
                        b1 += m1[k] * x1[k]
                        b2 += m2[k] * x1[k]
                        b3 += m3[k] * x1[k]
                        c0 += m0[k] * x2[k]
                        c1 += m1[k] * x2[k]
                        c2 += m2[k] * x2[k]
                        c3 += m3[k] * x2[k]
                    w = dU[t, i, 3 * b : 3 * b + 3, o : o + 4]
                    w[0, 0] += a0
                    w[0, 1] += a1
                    w[0, 2] += a2
                    w[0, 3] += a3
                    w[1, 0] += b0
                    w[1, 1] += b1
                    w[1, 2] += b2
                    w[1, 3] += b3
                    w[2, 0] += c0
                    w[2, 1] += c1
                    w[2, 2] += c2
                    w[2, 3] += c3


@jit
def _weights_group(x, dy, dU, group):
    """Every SUMS-th strip, summed into dU[group]."""
    n0, n1, n2 = dy.shape[1:]
    width, rows = n2 + 2, _rows_per_strip(n1, n2)
    strips = (n1 + rows - 1) // rows
    for task in range(group, (n0 + 3) // 4 * strips, SUMS):
        p, q = task // strips * 4, task % strips * rows
        r = min(rows, n1 - q)
        n = _whole_lines(r * width)
        V = np.empty((6, x.shape[0], _whole_lines(n + 2 * width + 2)), x.dtype)
        M = np.empty((6, dU.shape[4], n), x.dtype)
        _planes(x, n2, p, q, r, V)
        _spread(dy, p, q, r, M)
        _scalar_products(M, V, width, dU[group])


@jit
def _weights_serial(x, dy, dU):
    for group in range(SUMS):
        _weights_group(x, dy, dU, group)


@parallel_jit
def _weights_parallel(x, dy, dU):
    for group in numba.prange(SUMS):
        _weights_group(x, dy, dU, group)


@jit(fastmath=FAST)
def _pool_plane(x, y):
    """Means over blocks of two planes."""
    eighth = x.dtype.type(0.125)
    for j in range(y.shape[0]):
        a, b, c, d = x[0, 2 * j], x[0, 2 * j + 1], x[1, 2 * j], x[1, 2 * j + 1]
        out = y[j]
        for k in range(out.size):
            left = a[2 * k] + b[2 * k] + c[2 * k] + d[2 * k]
            right = a[2 * k + 1] + b[2 * k + 1] + c[2 * k + 1] + d[2 * k + 1]
            out[k] = eighth * (left + right)


@jit
def _pool_serial(x, y):
    for c in range(y.shape[0]):
        for p in range(y.shape[1]):
            _pool_plane(x[c, 2 * p : 2 * p + 2], y[c, p])


@parallel_jit
def _pool_parallel(x, y):
    for c in numba.prange(y.shape[0]):
        for p in range(y.shape[1]):
            _pool_plane(x[c, 2 * p : 2 * p + 2], y[c, p])


@jit(fastmath=FAST)
def _upsample_plane(coarse, fine, y):
    for j in range(fine.shape[0]):
        a, b, out = coarse[j // 2], fine[j], y[j]
        for k in range(a.size):
            out[2 * k] = a[k] + b[2 * k]
            out[2 * k + 1] = a[k] + b[2 * k + 1]


@jit
def _upsample_serial(coarse, fine, y):
    for c in range(y.shape[0]):
        for p in range(y.shape[1]):
            _upsample_plane(coarse[c, p // 2], fine[c, p], y[c, p])


@parallel_jit
def _upsample_parallel(coarse, fine, y):
    for c in numba.prange(y.shape[0]):
        for p in range(y.shape[1]):
            _upsample_plane(coarse[c, p // 2], fine[c, p], y[c, p])
