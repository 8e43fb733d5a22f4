"""Quadratic problems with an L1 penalty on CuPy arrays: launches of ``l1_quadratic.cu``.

Batches of sweeps of coordinate descent, each one launch of one block, alternate with
Newton steps on the nonzeros, whose factorisation uses the whole device. The
host learns one number per batch and waits twice in a Newton step.
"""

from functools import partial

import cupy
import numpy as np

from refopt_backends._array_functions import cholesky
from refopt_backends.cupy_gpu import _shapes as shapes
from refopt_backends.cupy_gpu._cholesky import cholesky_solve
from refopt_backends.reference import l1_quadratic as reference

_ROUNDS = 300
_PATIENCE = 20  # rounds without a smaller violation
_SWEEPS = 24  # between Newton steps, which cost about as much
_NEWTON_TRIES = 4
_SHIFT = 1e-14  # of the largest entry, per row: dependent columns keep a factor

_launch = partial(shapes.run, "l1_quadratic.cu")
_launch_alone = partial(shapes.run_alone, "l1_quadratic.cu")


def column_dots(X, index, r):
    if not _is_dense(X):
        return reference.column_dots(X, index, r)
    out = cupy.empty(index.size)
    args = (X.columns, index, r, r.size, out)
    _launch("dense_dots", index.size, args, shared_mem=shapes.per_warp(r))
    return out


def column_sum(X, index, w):
    if not _is_dense(X):
        return reference.column_sum(X, index, w)
    n, k, block = X.columns.shape[1], index.size, shapes.block(w)
    if k == 0:
        return cupy.zeros(n)
    pieces, piece = shapes.split(k, n, block)
    part = cupy.empty((pieces, n))
    args = (X.columns, index, w, n, k, piece, part)
    _launch("dense_combination", (shapes.blocks(n, block), pieces), args)
    return part.sum(axis=0)


def l1_least_squares(X, y, l2, penalty, w, tol, positive):
    G = X.gram()
    places = cupy.arange(w.size)
    G[places, places] += l2
    w, factored = l1_quadratic(G, X.transposed_times(y), penalty, w, tol, positive)
    return w, y - X.times(w), factored


def l1_quadratic(G, q, penalty, w, tol, positive):
    w, factored, least, waited = w.copy(), 0, np.inf, 0
    G = cupy.ascontiguousarray(G)
    for _ in range(_ROUNDS if w.size else 0):
        h, report = q - G @ w, cupy.empty(3)
        args = (G, w.size, q, penalty, positive, tol, _SWEEPS, w, h, report)
        _launch_alone("l1_sweeps", args, shapes.TILES)
        violation, reachable, moved = report.get().tolist()
        least, waited = (violation, 0) if violation < least else (least, waited + 1)
        if violation <= reachable or waited > _PATIENCE:
            break
        if moved > 0.5 * reachable:
            w, more = _newton(G, q, penalty, w, positive)
            factored += more
    return w, factored


def _is_dense(X):
    return hasattr(X, "columns") and X.columns.flags.c_contiguous


def _newton(G, q, penalty, w, positive):
    """Newton steps on the nonzeros along bent paths; the point and the number of factorisations."""
    for tries in range(_NEWTON_TRIES):
        free = cupy.nonzero(w)[0]
        m = free.size
        if m == 0:
            return w, tries
        H, x, weight = G[free[:, None], free], w[free], penalty[free]
        sign = cupy.sign(x)
        slope = q[free] - H @ x - weight * sign
        if not positive:  # what is not penalised crosses zero freely
            sign[weight == 0] = 0.0
        shifted, places = H.copy(), cupy.arange(m)
        shifted[places, places] += (_SHIFT * m) * cupy.max(H[places, places])
        L = cholesky(shifted)
        if L is None:
            return w, tries + 1
        d = cholesky_solve(L, slope)
        d += cholesky_solve(L, slope - H @ d)  # against rounding
        stop, stops = cupy.empty(m), cupy.empty(1, np.int32)
        args = (H, m, sign, x, slope, d, H @ d, stop, stops)
        _launch_alone("l1_bent_path", args)
        w[free] = x
        if int(stops[0]) < max(1, m // 10):
            return w, tries + 1
    return w, _NEWTON_TRIES
