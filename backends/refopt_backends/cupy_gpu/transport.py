"""Optimal transport on CuPy arrays: launches of the kernels in ``transport.cu``.

What each kernel means is written in ``reference/transport.py``. A cost is
``(C,)``, a stored matrix, or ``(X, Y, metric, scale)``, two point clouds.
"""

from functools import cache

import cupy
import numpy as np

from refopt_backends.cupy_gpu._launch import launch

FILE = "transport.cu"
STAGED_DIMENSIONS = 16  # up to here a tile of points fits shared memory many times over
TILE = 32  # points in a tile
BUSY = 1024  # blocks that keep a large GPU at work


def semidual_pass(cost, g, a, reg):
    n, m, real = a.size, g.size, _real(cost)
    f, top, share = cupy.empty(n), cupy.empty(n), cupy.empty(n)
    block = _block(g)
    if len(cost) == 1:
        (C,) = cost
        args = (C, g, a, m, reg, f, top, share)
        launch(FILE, "rows_dense", n, block, args, real=real, shared_mem=block // 32 * 16)
    else:
        X, Y, *form = cost
        pieces, piece = _split(m, n, block)
        part = cupy.empty((2, pieces, n))
        d = X.shape[1]
        tiles, shared = _tiles(d)
        args = (_transposed(X), Y, g, n, m, d, *form, reg, piece, *tiles, part[0], part[1])
        grid = (_blocks(n, block), pieces)
        launch(FILE, "rows_points", grid, block, args, real=real, shared_mem=shared)
        args = (part[0], part[1], a, n, pieces, reg, f, top, share)
        launch(FILE, "rows_merge", _blocks(n, block), block, args, real=real)
    return f, _column_sums(cost, g, top, share, reg)


def _column_sums(cost, g, top, share, reg):
    """``c_j = sum_i share_i exp((g_j - C_ij - top_i)/reg)``."""
    n, m, real, block = top.size, g.size, _real(cost), _block(g)
    pieces, piece = _split(n, m, block)
    part, c = cupy.empty((pieces, m)), cupy.empty(m)
    grid = (_blocks(m, block), pieces)
    if len(cost) == 1:
        args = (*cost, g, top, share, n, m, reg, piece, part)
        launch(FILE, "columns_dense", grid, block, args, real=real)
    else:
        X, Y, *form = cost
        d = X.shape[1]
        tiles, shared = _tiles(d)
        args = (X, _transposed(Y), g, top, share, n, m, d, *form, reg, piece, *tiles, part)
        launch(FILE, "columns_points", grid, block, args, real=real, shared_mem=shared)
    launch(FILE, "columns_merge", _blocks(m, block), block, (part, m, pieces, c), real=real)
    return c


def _real(cost):
    return cost[0].dtype if len(cost) == 1 else np.float64


def _transposed(points):
    return cupy.ascontiguousarray(points.T)


def _tiles(d):
    """Points per tile and whether they are staged; the shared memory that takes."""
    staged = d <= STAGED_DIMENSIONS
    return (TILE, int(staged)), TILE * d * 8 * staged


def _blocks(count, block):
    return -(-count // block)


def _split(length, threads, block):
    """Cut a loop into pieces, so that few threads with long loops fill the GPU.

    A function of sizes only: the order of summation, and so the result, is the
    same on every GPU.
    """
    pieces = max(1, min(BUSY // _blocks(threads, block), length // 64))
    piece = -(-length // pieces)
    return -(-length // piece), piece


def _block(array):
    return _device_block(array.device.id)


@cache
def _device_block(device):
    return min(256, cupy.cuda.Device(device).attributes["MaxThreadsPerBlock"])
