"""CUDA kernels of the pressure matrix; connected parts are whole-array text."""

import cupy

from refopt_backends.cupy_gpu import _shapes as shapes


def _run(name, like, args, real):
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
