"""CUDA kernels of steps of conjugate gradients."""

import cupy

from refopt_backends.cupy_gpu import _shapes as shapes
from refopt_backends.cupy_gpu.poisson import product

PER_THREAD = 4  # entries, where blocks are as many as keep a GPU at work


def _with_parts(name, like, args):
    """Launch a kernel whose last argument takes a number from each block; their sum."""
    blocks = min(shapes.BUSY, shapes.blocks(like.size, PER_THREAD * shapes.block(like)))
    parts = cupy.empty(blocks)
    shapes.run("conjugate.cu", name, blocks, (*args, parts), shared_mem=shapes.per_warp(like))
    return cupy.sum(parts)


def _dots(d, g, square):
    """d'g and d'd as host numbers, by one transfer."""
    curvature = d.reshape(-1) @ g.reshape(-1)
    return tuple(cupy.stack((curvature, square)).tolist())


def poisson_conjugate(degree, weights, scale, z, beta, d, g):
    square = _with_parts("combine", z, (z, beta, z.size, d))
    product(degree, weights, d, scale, g)
    return _dots(d, g, square)


def matrix_conjugate(A, z, beta, d, g):
    square = _with_parts("combine", z, (z, beta, z.size, d))
    g[...] = A @ d
    return _dots(d, g, square)


def conjugate_step(alpha, d, g, x, r):
    return float(_with_parts("take_step", d, (alpha, d, g, d.size, x, r)))


def subtract_means(labels, count, x):
    flat, number = x.reshape(-1), labels.reshape(-1)
    sizes = cupy.bincount(number, minlength=count + 1)
    totals = cupy.bincount(number, weights=flat, minlength=count + 1)
    own = cupy.arange(count + 1) > 0
    means = cupy.where(own, totals / cupy.maximum(sizes, 1), 0.0)
    x -= means[labels]
    return float(cupy.sum(sizes * means * means))
