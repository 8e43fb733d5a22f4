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


def hinge_sweeps(Z, norms, C, a, w, sweeps, seed):
    a, w, (p, n) = a.copy(), w.copy(), Z.shape
    if hasattr(Z, "by_columns"):
        values, places, starts = Z.by_columns
        starts = starts.astype(cupy.int64)
    else:
        values = cupy.ascontiguousarray(Z.columns)
        places, starts = cupy.empty(1, dtype=cupy.int32), cupy.empty(1, dtype=cupy.int64)
    dense = int(values.ndim == 2)
    order = cupy.arange(n, dtype=cupy.int32)
    matrix = values, places.astype(cupy.int32), starts, dense, n, p
    _launch("hinge_sweeps", (*matrix, norms, C, sweeps, seed, order, a, w))
    return a, w


def hinge_step(base, u, C, sigma, slope, curvature):
    root = cupy.empty(1)
    _launch("hinge_step", (base, u, C, u.size, sigma, slope, curvature, root))
    return float(root[0])
