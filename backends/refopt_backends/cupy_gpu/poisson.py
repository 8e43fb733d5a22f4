"""CUDA kernels of the pressure matrix."""

import cupy

from refopt_backends.cupy_gpu import _shapes as shapes
from refopt_backends.reference import poisson as reference


def _run(name, like, args, real=cupy.float64):
    shapes.run("poisson.cu", name, shapes.blocks(like.size, shapes.block(like)), args, real)


def poisson_degree(types):
    degree, dirichlet = (cupy.empty(types.shape, dtype=cupy.uint8) for _ in range(2))
    _run("degree", types, (types, *types.shape, degree, dirichlet), cupy.float64)
    return degree, dirichlet


def poisson_apply(degree, weights, x, scale):
    y = cupy.empty(x.shape)
    product(degree, weights, x, scale, y)
    return y


def product(degree, weights, x, scale, y):
    """y = scale (D x - W x), written into y."""
    args = (x, scale, *x.shape, y)
    if weights is None:
        _run("apply_unit", x, (degree, *args), x.dtype)
    else:
        _run("apply_weighted", x, (degree, *weights, *args), x.dtype)


def label_components(types, weights, dirichlet):
    if types.size >= 2**31:
        return reference.label_components(types, weights, dirichlet)
    weighted = weights is not None
    w0, w1, w2 = weights if weighted else (cupy.empty(1),) * 3
    n, shape = types.size, types.shape
    parent, first, own, labels = (cupy.empty(shape, dtype=cupy.int32) for _ in range(4))
    _run("label_runs", types, (types, w2, int(weighted), n, parent))
    _run("label_unite", types, (types, w0, w1, w2, int(weighted), *shape, parent))
    _run("label_first", types, (parent, n, first, own))
    number = cupy.cumsum(own.reshape(-1), dtype=cupy.int32)
    air = cupy.zeros(int(number[-1]) + 1, dtype=cupy.int32)
    _run("label_numbers", types, (first, number, dirichlet > 0, n, labels, air))
    return labels, air[1:] > 0
