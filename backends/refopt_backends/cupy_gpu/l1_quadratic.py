"""Quadratic problems with an L1 penalty on CuPy arrays: launches of ``l1_quadratic.cu``.

Batches of sweeps of coordinate descent, each one launch of one block, alternate with
Newton steps on the nonzeros, whose factorisation uses the whole device. The
host waits once per batch and four times in a Newton step.
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
_DEPENDENT = 1e-10  # a pivot below this part of its diagonal entry: a dependent column
_SUSPICIOUS = 1e-8  # a pivot that makes a closer look worth while

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
        basis, others, L = _factor(H)
        if L is None:
            return w, tries + 1
        if others.size:
            new, zeros = _leave_dependent(H, L, x, slope, sign, weight, basis, others)
        else:
            new, zeros = x, 0
        if zeros == 0:
            d = cupy.zeros(m)
            d[basis] = cholesky_solve(L, slope[basis])
            if not others.size:  # against rounding
                d += cholesky_solve(L, slope - H @ d)
            stop, stops = cupy.empty(m), cupy.empty(1, np.int32)
            args = (H, m, sign, x, slope, d, H @ d, stop, stops)
            _launch_alone("l1_bent_path", args)
            new, zeros = x, int(stops[0])
        w[free] = new
        if zeros < max(1, m // 10):
            return w, tries + 1
    return w, _NEWTON_TRIES


def _factor(H):
    """Independent columns, the others, and the Cholesky factor of H in the former."""
    every = cupy.arange(H.shape[0])
    L = cholesky(H)
    if L is not None and bool((cupy.diagonal(L) ** 2 > _SUSPICIOUS * H[every, every]).all()):
        return every, every[:0], L
    # The pivots of Cholesky's method that leaves dependent columns out.
    rest, free = H.copy(), cupy.zeros(H.shape[0], bool)
    for j in range(H.shape[0]):
        free[j] = rest[j, j] > _DEPENDENT * H[j, j]
        column = cupy.where(free[j], rest[j:, j] / cupy.sqrt(cupy.abs(rest[j, j])), 0.0)
        rest[j:, j:] -= column[:, None] * column
    basis, others = cupy.nonzero(free)[0], cupy.nonzero(~free)[0]
    return basis, others, cholesky(H[basis[:, None], basis])


def _leave_dependent(H, L, x, slope, sign, weight, basis, others):
    """Along null vectors of H until the nonzeros are independent: the point, and zeros met.

    None are met where F would rise, which null vectors by rounding only can do.
    """
    V = cupy.ascontiguousarray(cholesky_solve(L, -H[basis[:, None], others]).T)
    new = x.copy()
    args = (V, others.size, basis.size, weight, sign, others, basis.copy(), new)
    _launch_alone("l1_leave_dependent", args)
    step = new - x
    fall, size = step @ (slope - 0.5 * (H @ step)), cupy.abs(slope) @ cupy.abs(step)
    return (new, others.size) if bool(fall >= -1e-9 * size) else (x, 0)
