"""The sparse plan on CuPy arrays: launches of the kernels in ``transport_sparse.cu``."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import cupy
import numpy as np

from refopt_backends._array_functions import cholesky
from refopt_backends.cupy_gpu import _shapes as shapes
from refopt_backends.cupy_gpu._cholesky import cholesky_solve

CG_CHECK = 8  # iterations between two looks at the residual

_launch = partial(shapes.run, "transport_sparse.cu")


class Compressed(NamedTuple):
    """Entries sorted by row (or column), those of row i at begin[i] : begin[i + 1]."""

    begin: Any  # int64
    index: Any  # int32: the column (or row) of each entry
    values: Any  # float64

    def product(self, v, divisor):
        out = cupy.empty(self.begin.size - 1)
        args = (*self, v, divisor, out.size, out)
        _launch("sparse_product", shapes.warp_grid(out.size, v), args)
        return out


def begins(count):
    """Where each row begins, from the number of its entries."""
    begin = cupy.zeros(count.size + 1, np.int64)
    begin[1:] = cupy.cumsum(count)
    return begin


# -- the Newton matrix -----------------------------------------------------------------


@dataclass(frozen=True)
class NewtonMatrix:
    """``S v = extra v + sum_i P_i. (v - avg_i v)``; see ``reference/transport.py``."""

    by_row: Compressed
    by_column: Compressed
    row_sums: Any
    extra: Any
    diagonal: Any
    nnz: int
    dropped: float

    def apply(self, v):
        """S v, and the parts of v' S v."""
        grid = min(shapes.BUSY, shapes.warp_grid(v.size, v))
        out, part = cupy.empty(v.size), cupy.empty(grid)
        averages = self.by_row.product(v, self.row_sums)
        args = (*self.by_column, averages, self.extra, v, v.size, out, part)
        _launch("newton_apply", grid, args, shared_mem=shapes.per_warp(v))
        return out, part


def newton_matrix(entries, a, b, c, threshold, shift):
    n, m = entries.shape
    by_row = _keep_large(entries.by_row, a, b, threshold)
    by_column = _keep_large(entries.by_column, b, a, threshold)
    row_sums, others, largest = cupy.empty(n), cupy.empty(n), cupy.empty(n, np.int32)
    _launch("newton_rows", shapes.warp_grid(n, a), (*by_row, n, row_sums, largest, others))
    dropped, extra, diagonal = cupy.empty(m), cupy.empty(m), cupy.empty(m)
    expected = 0.5 * c if entries.sampled else c
    args = (*by_column, row_sums, largest, others, expected, shift, m, dropped, extra, diagonal)
    _launch("newton_columns", shapes.warp_grid(m, a), args)
    parts = by_row, by_column, row_sums, extra, diagonal
    return NewtonMatrix(*parts, by_row.index.size, float(dropped.sum()))


def newton_product(matrix, v):
    return matrix.apply(v)[0]


def newton_cg(matrix, rhs, rtol, maxiter):
    m, shared = rhs.size, shapes.per_warp(rhs)
    grid = shapes.blocks(m, shapes.block(rhs))
    x, r = cupy.zeros(m), rhs.copy()
    p = r / matrix.diagonal
    rz, alphas, part = cupy.empty(CG_CHECK + 1), cupy.empty(CG_CHECK), cupy.empty(grid)
    rz[0] = (r * p).sum()
    stop = rtol * rtol * float(rz[0])
    done = 0
    while True:
        steps = min(CG_CHECK, maxiter - done)
        for k in range(steps):
            q, pq = matrix.apply(p)
            args = (p, q, matrix.diagonal, m, pq, pq.size, rz, stop, k, alphas, x, r, part)
            _launch("cg_step", grid, args, shared_mem=shared)
            args = (r, matrix.diagonal, m, part, grid, alphas, k, rz, p)
            _launch("cg_direction", grid, args, shared_mem=shared)
        for k, value in enumerate(rz.get()[: steps + 1]):
            if value < 0:  # the mark of a breakdown in the iteration before
                return x, done + k - 1, False
            if not value > stop:
                return x, done + k, bool(value <= stop)
        done += steps
        if done >= maxiter:
            return x, maxiter, False
        rz[0] = rz[steps]


def newton_dense(matrix, rhs):
    m = rhs.size
    S = cupy.zeros((m, m))
    for first, rows in shapes.row_blocks(matrix.row_sums.size, m):
        P = cupy.zeros((rows, m))
        _launch("scatter_rows", shapes.warp_grid(rows, rhs), (*matrix.by_row, first, rows, m, P))
        S -= P.T @ (P / matrix.row_sums[first : first + rows, None])
    everywhere = cupy.arange(m)
    S[everywhere, everywhere] = 0.0
    S[everywhere, everywhere] = matrix.extra - S.sum(axis=1)
    # Rounding can leave a matrix with tiny `extra` not quite definite.
    nudge = 1e-15 * float(abs(matrix.diagonal).sum()) / m
    for _ in range(10):
        L = cholesky(S)
        if L is not None:
            return cholesky_solve(L, rhs)
        S[everywhere, everywhere] += nudge
        nudge *= 100.0
    return rhs / matrix.diagonal


def _keep_large(entries, own, other, threshold):
    n = own.size

    def keep(store, start, count, nnz):
        out = cupy.empty(nnz, np.int32), cupy.empty(nnz)
        args = (*entries, own, other, threshold, n, store, start, count, *out)
        _launch("keep_large", shapes.warp_grid(n, own), args)
        return out

    count = cupy.empty(n, np.int64)
    keep(0, count, count, 0)
    begin = begins(count)
    return Compressed(begin, *keep(1, begin, count, int(begin[-1])))
