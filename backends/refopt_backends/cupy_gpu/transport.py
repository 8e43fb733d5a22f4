"""Optimal transport on CuPy arrays: launches of the kernels in ``transport.cu``.

What each kernel means is written in ``reference/transport.py``. A cost is
``(C,)``, a stored matrix, or ``(X, Y, metric, scale)``, two point clouds.
"""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, NamedTuple

import cupy
import cupyx
import numpy as np
from cupyx.scipy.linalg import solve_triangular

from refopt_backends.cupy_gpu._launch import launch

BLOCK = 256  # threads
BUSY = 1024  # blocks that keep a large GPU at work
TILE = 32  # points in a tile
STAGED_DIMENSIONS = 16  # up to here a tile of points lies in shared memory
BLOCK_ENTRIES = 2**24  # of the plan, where blocks of its rows are formed
CG_CHECK = 8  # iterations between two looks at the residual
STORED = 3  # in place of a metric


# -- passes over all pairs -------------------------------------------------------------


def semidual_pass(cost, g, a, reg, f_guess=None):
    # f_guess would save nothing here: the largest exponent of a row comes free
    # with its sum.
    if len(cost) == 1:
        f, tops, factors = _dense_softmax(cost, g, a, reg)
    else:
        f, tops, factors = _points_softmax(cost, g, a, reg)
    return f, _column_sums(cost, g, tops, factors, reg)


def semidual_estimate(cost, g, a, reg, f_guess):
    if len(cost) > 1 or cost[0].dtype != np.float32:
        return semidual_pass(cost, g, a, reg)
    g = g.astype(np.float32)
    f, tops, factors = _dense_softmax(cost, g, a, reg, single=True)
    return f, _column_sums(cost, g, tops, factors, reg, single=True)


def column_potential(cost, f, b, reg):
    if len(cost) > 1:
        X, Y, *form = cost
        return _points_softmax((Y, X, *form), f, b, reg)[0]
    n, m, block = f.size, b.size, _block(f)
    pieces, piece = _split(n, m, block)
    part = cupy.empty((2, pieces, m))
    args = (*cost, f, n, m, reg, piece, part[0], part[1])
    _launch("dense_columns", (_blocks(m, block), pieces), args, cost[0].dtype)
    return _finish_pairs(part, b, reg)[0]


def plan_marginals(cost, f, g, reg):
    n, m = f.size, g.size
    r, t = cupy.empty(n), cupy.empty(n)
    real, flat = _flat(cost)
    _launch("plan_sums", _warp_grid(n, f), (*flat, f, g, n, m, reg, r, t), real)
    return r, _column_sums(cost, g, -f, cupy.ones(n), reg), float(t.sum())


def plan_rows(cost, f, g, reg):
    real, flat = _flat(cost)
    return _plan_block(real, flat, f, g, reg, 0, f.size)


def plan_product(cost, f, g, reg, V, transpose):
    n, m = f.size, g.size
    real, flat = _flat(cost)
    out = cupy.zeros((m if transpose else n, V.shape[1]))
    for first, rows in _row_blocks(n, m):
        here, P = slice(first, first + rows), _plan_block(real, flat, f, g, reg, first, rows)
        if transpose:
            out += P.T @ V[here]
        else:
            out[here] = P @ V
    return out


def _plan_block(real, flat, f, g, reg, first, rows):
    P = cupy.empty((rows, g.size))
    args = (*flat, f, g, first, rows, g.size, reg, P)
    _launch("plan_rows", min(4 * BUSY, _blocks(P.size, _block(f))), args, real)
    return P


def _dense_softmax(cost, g, a, reg, single=False):
    """Potential, top and factor of each row."""
    n, m = a.size, g.size
    f, tops, factors = cupy.empty(n), cupy.empty(n), cupy.empty(n)
    args = (*cost, g, a, m, reg, f, tops, factors)
    if single:
        _launch("estimate_rows", n, args, shared_mem=2 * _per_warp(a))
    else:
        _launch("dense_rows", n, args, cost[0].dtype, shared_mem=2 * _per_warp(a))
    return f, tops, factors


def _points_softmax(cost, g, a, reg):
    """Potential, top and factor of each of the first points, over all of the second."""
    X, Y, *form = cost
    n, m, d, block = a.size, g.size, X.shape[1], _block(g)
    pieces, piece = _split(m, n, block)
    part = cupy.empty((2, pieces, n))
    tiles, shared = _tiles(d)
    args = (_transposed(X), Y, g, n, m, d, *form, reg, piece, *tiles, part[0], part[1])
    _launch("points_pairs", (_blocks(n, block), pieces), args, shared_mem=shared)
    return _finish_pairs(part, a, reg)


def _finish_pairs(part, a, reg):
    n, pieces = a.size, part.shape[1]
    f, tops, factors = cupy.empty(n), cupy.empty(n), cupy.empty(n)
    args = (part[0], part[1], a, n, pieces, reg, f, tops, factors)
    _launch("finish_pairs", _blocks(n, _block(a)), args)
    return f, tops, factors


def _column_sums(cost, g, tops, factors, reg, single=False):
    """``c_j = sum_i factors_i exp((g_j - C_ij - tops_i)/reg)``."""
    n, m, block = tops.size, g.size, _block(g)
    pieces, piece = _split(n, m, block)
    part, c = cupy.empty((pieces, m)), cupy.empty(m)
    grid = (_blocks(m, block), pieces)
    if len(cost) == 1:
        args = (*cost, g, tops, factors, n, m, reg, piece, part)
        if single:
            _launch("estimate_sums", grid, args)
        else:
            _launch("dense_sums", grid, args, cost[0].dtype)
    else:
        X, Y, *form = cost
        d = X.shape[1]
        tiles, shared = _tiles(d)
        args = (_transposed(Y), X, g, tops, factors, n, m, d, *form, reg, piece, *tiles, part)
        _launch("points_sums", grid, args, shared_mem=shared)
    _launch("finish_sums", _blocks(m, block), (part, m, pieces, c))
    return c


# -- the sparse plan -------------------------------------------------------------------


class Compressed(NamedTuple):
    """Entries sorted by row (or column), those of row i at begin[i] : begin[i + 1]."""

    begin: Any  # int64
    index: Any  # int32: the column (or row) of each entry
    values: Any  # float64

    def product(self, v, divisor):
        out = cupy.empty(self.begin.size - 1)
        args = (*self, v, divisor, out.size, out)
        _launch("sparse_product", _warp_grid(out.size, v), args)
        return out


@dataclass(frozen=True)
class Entries:
    """Some entries of the plan; see ``reference/transport.py``."""

    shape: tuple
    rows: Any  # int32, of each entry
    order: Any  # the entries sorted by column
    column_begin: Any
    cost: Any
    by_row: Compressed  # the plan

    @property
    def nnz(self):
        return self.cost.size

    @cached_property
    def by_column(self):
        values = self.by_row.values[self.order]
        return Compressed(self.column_begin, self.rows[self.order], values)

    def coo(self):
        rows, columns = (x.astype(np.int64) for x in (self.rows, self.by_row.index))
        return rows, columns, self.by_row.values


def select_entries(cost, f, g, reg, floor, ceiling, limit):
    n, m = f.size, g.size
    real, flat = _flat(cost)

    def choose(store, start, count, nnz):
        out = (
            cupy.empty(nnz, np.int32),
            cupy.empty(nnz, np.int32),
            cupy.empty(nnz),
            cupy.empty(nnz),
        )
        args = (*flat, f, g, n, m, reg, floor, ceiling, store, start, count, *out)
        _launch("choose_entries", _warp_grid(n, f), args, real)
        return out

    count = cupy.empty(n, np.int64)
    choose(0, count, count, 0)
    begin = _begin(count)
    nnz = int(begin[-1])
    if nnz > limit:
        return None
    rows, columns, costs, plan = choose(1, begin, count, nnz)
    order = cupy.argsort(columns.astype(np.int64) * n + rows)
    column_begin = cupy.searchsorted(columns[order], cupy.arange(m + 1, dtype=np.int32))
    by_row = Compressed(begin, columns, plan)
    return Entries((n, m), rows, order, column_begin.astype(np.int64), costs, by_row)


def entries_pass(entries, g, a, reg, f_guess):
    n, (begin, columns, _) = a.size, entries.by_row
    f, plan = cupy.empty(n), cupy.empty(entries.nnz)
    args = (begin, columns, entries.cost, g, a, n, reg, f, plan)
    _launch("entries_rows", _warp_grid(n, g), args)
    new = replace(entries, by_row=Compressed(begin, columns, plan))
    return f, entries_product(new, cupy.ones(n), True), new


def entries_product(entries, v, transpose):
    form = entries.by_column if transpose else entries.by_row
    return form.product(v, cupy.ones(form.begin.size - 1))


def _begin(count):
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
        grid = min(BUSY, _warp_grid(v.size, v))
        out, part = cupy.empty(v.size), cupy.empty(grid)
        averages = self.by_row.product(v, self.row_sums)
        args = (*self.by_column, averages, self.extra, v, v.size, out, part)
        _launch("newton_apply", grid, args, shared_mem=_per_warp(v))
        return out, part


def newton_matrix(entries, a, b, c, threshold, shift):
    n, m = entries.shape
    by_row = _keep_large(entries.by_row, a, b, threshold)
    by_column = _keep_large(entries.by_column, b, a, threshold)
    row_sums, others, largest = cupy.empty(n), cupy.empty(n), cupy.empty(n, np.int32)
    _launch("newton_rows", _warp_grid(n, a), (*by_row, n, row_sums, largest, others))
    dropped, extra, diagonal = cupy.empty(m), cupy.empty(m), cupy.empty(m)
    args = (*by_column, row_sums, largest, others, c, shift, m, dropped, extra, diagonal)
    _launch("newton_columns", _warp_grid(m, a), args)
    parts = by_row, by_column, row_sums, extra, diagonal
    return NewtonMatrix(*parts, by_row.index.size, float(dropped.sum()))


def newton_product(matrix, v):
    return matrix.apply(v)[0]


def newton_cg(matrix, rhs, rtol, maxiter):
    m, shared = rhs.size, _per_warp(rhs)
    grid = _blocks(m, _block(rhs))
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
    for first, rows in _row_blocks(matrix.row_sums.size, m):
        P = cupy.zeros((rows, m))
        _launch("scatter_rows", _warp_grid(rows, rhs), (*matrix.by_row, first, rows, m, P))
        S -= P.T @ (P / matrix.row_sums[first : first + rows, None])
    everywhere = cupy.arange(m)
    S[everywhere, everywhere] = 0.0
    S[everywhere, everywhere] = matrix.extra - S.sum(axis=1)
    # Rounding can leave a matrix with tiny `extra` not quite definite.
    nudge = 1e-15 * float(abs(matrix.diagonal).sum()) / m
    for _ in range(10):
        try:
            with cupyx.errstate(linalg="raise"):
                L = cupy.linalg.cholesky(S)
        except np.linalg.LinAlgError:
            S[everywhere, everywhere] += nudge
            nudge *= 100.0
        else:
            return solve_triangular(L, solve_triangular(L, rhs, lower=True), trans="T", lower=True)
    return rhs / matrix.diagonal


def _keep_large(entries, own, other, threshold):
    n = own.size

    def keep(store, start, count, nnz):
        out = cupy.empty(nnz, np.int32), cupy.empty(nnz)
        args = (*entries, own, other, threshold, n, store, start, count, *out)
        _launch("keep_large", _warp_grid(n, own), args)
        return out

    count = cupy.empty(n, np.int64)
    keep(0, count, count, 0)
    begin = _begin(count)
    return Compressed(begin, *keep(1, begin, count, int(begin[-1])))


# -- shapes of launches ----------------------------------------------------------------


def _launch(name, grid, args, real=np.float64, shared_mem=0):
    block = _block(next(a for a in args if isinstance(a, cupy.ndarray)))
    launch("transport.cu", name, grid, block, args, real=real, shared_mem=shared_mem)


def _flat(cost):
    """What stands for REAL, and the arguments C, X, YT, d, metric, scale of a kernel."""
    if len(cost) == 1:
        (C,) = cost
        none = cupy.empty((0, 0))
        return C.dtype, (C, none, none, 0, STORED, 1.0)
    X, Y, metric, scale = cost
    return X.dtype, (cupy.empty((0, 0)), X, _transposed(Y), X.shape[1], metric, scale)


def _transposed(points):
    return cupy.ascontiguousarray(points.T)


def _tiles(d):
    """Points per tile and whether they are staged; the shared memory that takes."""
    staged = d <= STAGED_DIMENSIONS
    return (TILE, int(staged)), TILE * d * 8 * staged


def _row_blocks(n, m):
    step = max(1, BLOCK_ENTRIES // max(m, 1))
    return [(first, min(step, n - first)) for first in range(0, n, step)]


def _split(length, threads, block):
    """Cut a loop into pieces, so that few threads with long loops fill the GPU.

    A function of sizes only: the order of summation, and so the result, is the
    same on every GPU.
    """
    pieces = max(1, min(BUSY // _blocks(threads, block), length // 64))
    piece = -(-length // pieces)
    return -(-length // piece), piece


def _blocks(count, block):
    return -(-count // block)


def _warp_grid(count, array):
    """Blocks for one warp per row."""
    return min(4 * BUSY, _blocks(32 * count, _block(array)))


def _per_warp(array):
    """Bytes of one double per warp of a block."""
    return _block(array) // 32 * 8


def _block(array):
    return _device_block(array.device.id)


@cache
def _device_block(device):
    return min(BLOCK, cupy.cuda.Device(device).attributes["MaxThreadsPerBlock"])
