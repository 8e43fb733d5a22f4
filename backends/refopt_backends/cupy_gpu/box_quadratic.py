"""Quadratic problems with bounds on CuPy arrays: launches of ``box_quadratic.cu``."""

from functools import partial

import cupy

from refopt_backends._array_functions import cholesky
from refopt_backends.cupy_gpu import _shapes as shapes
from refopt_backends.cupy_gpu._cholesky import cholesky_solve

_launch = partial(shapes.run_alone, "box_quadratic.cu")


def spd_solve(H, rhs):
    if rhs.size == 0:
        return rhs
    L = cholesky(H)
    if L is None:
        return None
    x = cholesky_solve(L, rhs)
    return x if bool(cupy.isfinite(x).all()) else None


def box_sweeps(G, x, g, lower, upper, sweeps):
    x, g = x.copy(), g.copy()
    args = (cupy.ascontiguousarray(G), x.size, lower, upper, sweeps, x, g)
    _launch("box_sweeps", args, shapes.TILES)
    return x, g


def hinge_step(base, u, C, sigma, slope, curvature):
    root = cupy.empty(1)
    _launch("hinge_step", (base, u, C, u.size, sigma, slope, curvature, root))
    return float(root[0])
