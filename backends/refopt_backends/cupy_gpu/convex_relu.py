"""Convex programs of ReLU networks on CuPy arrays: launches of ``convex_relu.cu``."""

from functools import partial

import cupy

from refopt_backends.cupy_gpu import _shapes as shapes

_launch = partial(shapes.run, "convex_relu.cu")


def masked_gram(X, masks, of, roots):
    """As the reference, a block of columns at a time: there may be many."""
    C, d, _ = roots.shape
    n = X.shape[0]
    M, step = cupy.zeros((n, n)), max(1, shapes.BLOCK_ENTRIES // (d * n))
    for first in range(0, C, step):
        part = slice(first, first + step)
        Y = cupy.matmul(roots[part], X.T) * masks[of[part]][:, None, :]
        Y = Y.reshape(-1, n)
        M += Y.T @ Y
    return M


def slack_pass(XU, masks, of, sign, h, relax):
    C, n = XU.shape
    block = shapes.block(XU)
    pieces, piece = shapes.split(C, n, block)
    across = shapes.blocks(n, block)
    z, squares = cupy.empty((pieces, n)), cupy.empty((pieces * across, 5))
    args = (XU, masks, of, sign, h, C, n, relax, piece, z, squares)
    _launch("slack_pass", (across, pieces), args, shared_mem=shapes.per_warp(XU))
    return z.sum(axis=0), squares.sum(axis=0)


def group_soft(U, threshold):
    V, L = cupy.empty_like(U), cupy.empty_like(U)
    _launch("group_soft", shapes.warp_grid(U.shape[0], U), (U, *U.shape, threshold, V, L))
    return V, L
