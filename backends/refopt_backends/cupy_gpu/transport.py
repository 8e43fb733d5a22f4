"""Optimal transport on CuPy arrays: launches of the kernels in ``transport.cu``.

What each kernel means is written in ``reference/transport.py``. A cost is
``(C,)``, a stored matrix, or ``(X, Y, metric, scale)``, two point clouds.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import cupy
import numpy as np

from refopt_backends.cupy_gpu import _shapes as shapes
from refopt_backends.cupy_gpu import _transport_sparse as sparse

TILE = 32  # points in a tile
STAGED_DIMENSIONS = 16  # up to here a tile of points lies in shared memory
STORED = 3  # in place of a metric

_launch = partial(shapes.run, "transport.cu")

newton_matrix, newton_product = sparse.newton_matrix, sparse.newton_product
newton_cg, newton_dense = sparse.newton_cg, sparse.newton_dense


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
    n, m, block = f.size, b.size, shapes.block(f)
    pieces, piece = shapes.split(n, m, block)
    part = cupy.empty((2, pieces, m))
    args = (*cost, f, n, m, reg, piece, part[0], part[1])
    _launch("dense_columns", (shapes.blocks(m, block), pieces), args, cost[0].dtype)
    return _finish_pairs(part, b, reg)[0]


def plan_marginals(cost, f, g, reg):
    n, m = f.size, g.size
    r, t = cupy.empty(n), cupy.empty(n)
    real, flat = _flat(cost)
    _launch("plan_sums", shapes.warp_grid(n, f), (*flat, f, g, n, m, reg, r, t), real)
    return r, _column_sums(cost, g, -f, cupy.ones(n), reg), float(t.sum())


def plan_rows(cost, f, g, reg):
    real, flat = _flat(cost)
    return _plan_block(real, flat, f, g, reg, 0, f.size)


def plan_product(cost, f, g, reg, V, transpose):
    n, m = f.size, g.size
    real, flat = _flat(cost)
    out = cupy.zeros((m if transpose else n, V.shape[1]))
    for first, rows in shapes.row_blocks(n, m):
        here, P = slice(first, first + rows), _plan_block(real, flat, f, g, reg, first, rows)
        if transpose:
            out += P.T @ V[here]
        else:
            out[here] = P @ V
    return out


def _plan_block(real, flat, f, g, reg, first, rows):
    P = cupy.empty((rows, g.size))
    args = (*flat, f, g, first, rows, g.size, reg, P)
    _launch("plan_rows", min(4 * shapes.BUSY, shapes.blocks(P.size, shapes.block(f))), args, real)
    return P


def _dense_softmax(cost, g, a, reg, single=False):
    """Potential, top and factor of each row."""
    n, m = a.size, g.size
    f, tops, factors = cupy.empty(n), cupy.empty(n), cupy.empty(n)
    args = (*cost, g, a, m, reg, f, tops, factors)
    if single:
        _launch("estimate_rows", n, args, shared_mem=2 * shapes.per_warp(a))
    else:
        _launch("dense_rows", n, args, cost[0].dtype, shared_mem=2 * shapes.per_warp(a))
    return f, tops, factors


def _points_softmax(cost, g, a, reg):
    """Potential, top and factor of each of the first points, over all of the second."""
    X, Y, *form = cost
    n, m, d, block = a.size, g.size, X.shape[1], shapes.block(g)
    pieces, piece = shapes.split(m, n, block)
    part = cupy.empty((2, pieces, n))
    tiles, shared = _tiles(d)
    args = (_transposed(X), Y, g, n, m, d, *form, reg, piece, *tiles, part[0], part[1])
    _launch("points_pairs", (shapes.blocks(n, block), pieces), args, shared_mem=shared)
    return _finish_pairs(part, a, reg)


def _finish_pairs(part, a, reg):
    n, pieces = a.size, part.shape[1]
    f, tops, factors = cupy.empty(n), cupy.empty(n), cupy.empty(n)
    args = (part[0], part[1], a, n, pieces, reg, f, tops, factors)
    _launch("finish_pairs", shapes.blocks(n, shapes.block(a)), args)
    return f, tops, factors


def _column_sums(cost, g, tops, factors, reg, single=False):
    """``c_j = sum_i factors_i exp((g_j - C_ij - tops_i)/reg)``."""
    n, m, block = tops.size, g.size, shapes.block(g)
    pieces, piece = shapes.split(n, m, block)
    part, c = cupy.empty((pieces, m)), cupy.empty(m)
    grid = (shapes.blocks(m, block), pieces)
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
    _launch("finish_sums", shapes.blocks(m, block), (part, m, pieces, c))
    return c


# -- some entries of the plan ----------------------------------------------------------


@dataclass(frozen=True)
class Entries:
    """Some entries of the plan; see ``reference/transport.py``."""

    shape: tuple
    rows: Any  # int32, of each entry
    order: Any  # the entries sorted by column
    column_begin: Any
    cost: Any  # empty if sampled
    by_row: sparse.Compressed  # the plan
    sampled: bool = False

    @property
    def nnz(self):
        return self.rows.size

    @cached_property
    def by_column(self):
        values = self.by_row.values[self.order]
        return sparse.Compressed(self.column_begin, self.rows[self.order], values)

    def coo(self):
        rows, columns = (x.astype(np.int64) for x in (self.rows, self.by_row.index))
        return rows, columns, self.by_row.values


def select_entries(cost, f, g, reg, floor, ceiling, limit):
    real, flat = _flat(cost)

    def choose(store, start, count, nnz):
        costs, found = cupy.empty(nnz), _room(nnz)
        args = (*flat, f, g, f.size, g.size, reg, floor, ceiling)
        args += (store, start, count, costs, *found)
        _launch("choose_entries", shapes.warp_grid(f.size, f), args, real)
        return costs, found

    begin, nnz = _count(choose, f.size)
    if nnz > limit:
        return None
    costs, found = choose(1, begin, begin, nnz)
    return _entries((f.size, g.size), begin, found, costs)


def sample_entries(cost, f, g, reg, a, per_row):
    real, flat = _flat(cost)

    def sample(store, start, count, nnz):
        found = _room(nnz)
        args = (*flat, f, g, f.size, g.size, reg, a, per_row, store, start, count, *found)
        _launch("sample_entries", shapes.warp_grid(f.size, f), args, real)
        return found

    begin, nnz = _count(sample, f.size)
    found = sample(1, begin, begin, nnz)
    return _entries((f.size, g.size), begin, found, cupy.empty(0), sampled=True)


def _room(nnz):
    """For rows, columns and plan."""
    return cupy.empty(nnz, np.int32), cupy.empty(nnz, np.int32), cupy.empty(nnz)


def _count(find, n):
    """Where each row's entries begin, and their number; `find` only counts."""
    count = cupy.empty(n, np.int64)
    find(0, count, count, 0)
    begin = sparse.begins(count)
    return begin, int(begin[-1])


def _entries(shape, begin, found, cost, sampled=False):
    (n, m), (rows, columns, plan) = shape, found
    order = cupy.argsort(columns.astype(np.int64) * n + rows)
    column_begin = cupy.searchsorted(columns[order], cupy.arange(m + 1, dtype=np.int32))
    by_row = sparse.Compressed(begin, columns, plan)
    return Entries(shape, rows, order, column_begin.astype(np.int64), cost, by_row, sampled)


def entries_pass(entries, g, a, reg, f_guess):
    n, (begin, columns, _) = a.size, entries.by_row
    f, plan = cupy.empty(n), cupy.empty(entries.nnz)
    args = (begin, columns, entries.cost, g, a, n, reg, f, plan)
    _launch("entries_rows", shapes.warp_grid(n, g), args)
    new = replace(entries, by_row=sparse.Compressed(begin, columns, plan))
    return f, entries_product(new, cupy.ones(n), True), new


def entries_product(entries, v, transpose):
    form = entries.by_column if transpose else entries.by_row
    return form.product(v, cupy.ones(form.begin.size - 1))


# -- arguments of kernels --------------------------------------------------------------


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
