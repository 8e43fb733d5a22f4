"""CUDA convolutions, means over blocks and their adjoint."""

import cupy

from refopt_backends.cupy_gpu import _shapes as shapes

GROUP = 4  # as in convolution.cu


def conv3d_forward(x, W, bias, relu, residual):
    (c, *grid), o = x.shape, W.shape[0]
    x, W, bias = (cupy.ascontiguousarray(a) for a in (x, W, bias))
    y = cupy.empty((o, *grid), dtype=x.dtype)
    added = x if residual is None else cupy.ascontiguousarray(residual)
    blocks = shapes.blocks(y.size // o, shapes.block(x)), shapes.blocks(o, GROUP)
    args = (x, W, bias, added, c, o, *grid, int(relu), int(residual is not None), y)
    shared = 27 * GROUP * x.dtype.itemsize
    shapes.run("convolution.cu", "forward", blocks, args, x.dtype, shared)
    return y


def conv3d_backward_data(dy, W):
    flipped = W[:, :, ::-1, ::-1, ::-1].swapaxes(0, 1)
    return conv3d_forward(dy, flipped, cupy.zeros(W.shape[1], dtype=dy.dtype), False, None)


def conv3d_backward_weights(x, dy):
    (c, *grid), o = x.shape, dy.shape[0]
    x, dy = cupy.ascontiguousarray(x), cupy.ascontiguousarray(dy)
    pieces, piece = shapes.split(x.size // c, 32 * o * c, shapes.block(x))
    parts = cupy.empty((pieces, o, c, 3, 3, 3))
    args = (x, dy, c, *grid, piece, parts)
    shapes.run("convolution.cu", "weights", (o * c, pieces), args, x.dtype, shapes.per_warp(x))
    return cupy.sum(parts, axis=0).astype(x.dtype)


def pool2(x):
    c, n0, n1, n2 = x.shape
    y = cupy.empty((c, n0 // 2, n1 // 2, n2 // 2), dtype=x.dtype)
    _cells("pool", y.size, (cupy.ascontiguousarray(x), c * n0 // 2, n1 // 2, n2 // 2, y))
    return y


def upsample2_add(coarse, fine):
    c, n0, n1, n2 = coarse.shape
    coarse, fine = cupy.ascontiguousarray(coarse), cupy.ascontiguousarray(fine)
    y = cupy.empty_like(fine)
    _cells("upsample", y.size, (coarse, fine, c * n0, n1, n2, y))
    return y


def _cells(name, count, args):
    """Launch a kernel with a thread per cell of the result."""
    blocks = shapes.blocks(count, shapes.block(args[0]))
    shapes.run("convolution.cu", name, blocks, args, args[0].dtype)
