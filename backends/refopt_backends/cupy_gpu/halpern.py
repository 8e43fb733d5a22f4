"""CUDA kernels of monotone inclusions and games."""

import math

import cupy
from cupyx.scipy.linalg import solve_triangular

from refopt_backends._array_functions import cholesky
from refopt_backends.cupy_gpu import _shapes as shapes


def project_simplex(v, radius, tau0):
    p, tau = cupy.empty_like(v), cupy.empty(1)
    start = -math.inf if tau0 is None else float(tau0)
    args = (v, v.size, radius, start, p, tau)
    shapes.run("halpern.cu", "project_simplex", 1, args, v.dtype, shapes.per_warp(v))
    return p, tau[0]


def spd_factor(H):
    factor = cholesky(H)
    if factor is None:
        return None
    # a product with the inverse is faster on a GPU than a substitution
    return solve_triangular(factor, cupy.eye(H.shape[0]), lower=True)


def spd_apply(factor, rhs):
    return factor.T @ (factor @ rhs)
