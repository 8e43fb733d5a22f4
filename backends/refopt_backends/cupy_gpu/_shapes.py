"""Shapes of launches: how the work of a kernel is cut into blocks and pieces."""

from functools import cache

import cupy
import numpy as np

from refopt_backends.cupy_gpu._launch import launch

BLOCK = 256  # threads
ALONE = 512  # of a block without others
TILES = 32 * 33  # doubles that sweeps of coordinate descent share, see _sweeps.cuh
BUSY = 1024  # blocks that keep a large GPU at work
BLOCK_ENTRIES = 2**24  # of the plan, where blocks of its rows are formed


def run(file, name, grid, args, real=np.float64, shared_mem=0):
    """Launch a kernel in blocks of the usual size."""
    threads = block(next(a for a in args if isinstance(a, cupy.ndarray)))
    launch(file, name, grid, threads, args, real=real, shared_mem=shared_mem)


def run_alone(file, name, args, doubles=0):
    """Launch a kernel as one block; `doubles` of shared memory and one more per warp."""
    device = next(a for a in args if isinstance(a, cupy.ndarray)).device
    threads = _device_block(device.id, ALONE)
    shared = 8 * (doubles + threads // 32)
    launch(file, name, 1, threads, args, real=np.float64, shared_mem=shared)


def row_blocks(n, m):
    """First row and number of rows of blocks of BLOCK_ENTRIES entries."""
    step = max(1, BLOCK_ENTRIES // max(m, 1))
    return [(first, min(step, n - first)) for first in range(0, n, step)]


def split(length, threads, block):
    """Cut a loop into pieces, so that few threads with long loops fill the GPU.

    A function of sizes only: the order of summation, and so the result, is the
    same on every GPU.
    """
    pieces = max(1, min(BUSY // blocks(threads, block), length // 64))
    piece = -(-length // pieces)
    return -(-length // piece), piece


def blocks(count, block):
    return -(-count // block)


def warp_grid(count, array):
    """Blocks for one warp per row."""
    return min(4 * BUSY, blocks(32 * count, block(array)))


def per_warp(array):
    """Bytes of one double per warp of a block."""
    return block(array) // 32 * 8


def block(array):
    return _device_block(array.device.id)


@cache
def _device_block(device, most=BLOCK):
    return min(most, cupy.cuda.Device(device).attributes["MaxThreadsPerBlock"])
