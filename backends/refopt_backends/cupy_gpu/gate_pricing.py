"""Pricing of activation patterns on CuPy arrays: launches of ``gate_pricing.cu``."""

import cupy

from refopt_backends.cupy_gpu import _shapes as shapes


def box_least_squares(X, upper, G, A):
    n, d = X.shape
    cap = min(n, 2 * d) + 1
    X, upper, G = (cupy.ascontiguousarray(x) for x in (X, upper, G))
    squares = (X * X).sum(axis=1)
    A = cupy.ascontiguousarray(cupy.minimum(cupy.maximum(A, cupy.zeros_like(upper)), upper))
    W = cupy.empty_like(G)
    step = max(1, shapes.BLOCK_ENTRIES // cap**2)  # blocks at a time, by their memory
    for first in range(0, G.shape[0], step):
        rows = slice(first, first + step)
        count = G[rows].shape[0]
        scratch = (
            cupy.empty((count, cap + 1), cupy.int32),
            cupy.empty((count, n), cupy.uint8),
            cupy.empty((count, cap, cap)),
            cupy.empty((count, 2 * cap + d)),
        )
        args = (X, squares, upper, G[rows], n, d, cap, A[rows], W[rows], *scratch)
        shapes.run(
            "gate_pricing.cu", "box_least_squares", count, args, shared_mem=shapes.per_warp(X)
        )
    return W, A
