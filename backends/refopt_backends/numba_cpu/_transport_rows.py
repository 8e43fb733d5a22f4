"""Passes over all pairs: a row of the cost at a time, in cache, one exp per entry."""

import math

import numpy as np
from numba import prange

from refopt_backends.numba_cpu._jit import jit, parallel_jit
from refopt_backends.numba_cpu._machine import NO_NAN, count_bits, exp, exp_single, lowest_bit

# Rows are dealt to this many chunks, each with its own column sums, which are
# added in order: the result does not depend on the number of threads.
_CHUNKS = 32
_TILE = 1024  # columns of a point cloud per sweep over the coordinates


@jit(fastmath=NO_NAN)
def _cost_row(x, Yt, metric, scale, out):
    """out_j = scale * d(x, y_j); Yt is (d, m)."""
    for j0 in range(0, out.size, _TILE):
        tile = out[j0 : min(j0 + _TILE, out.size)]
        tile[:] = 0.0
        for k in range(x.size):
            xk = x[k]
            y = Yt[k, j0 : j0 + tile.size]
            if metric == 2:
                for j in range(tile.size):
                    tile[j] += abs(xk - y[j])
            else:
                for j in range(tile.size):
                    tile[j] += (xk - y[j]) ** 2
        if metric == 1:
            for j in range(tile.size):
                tile[j] = math.sqrt(tile[j])
        for j in range(tile.size):
            tile[j] *= scale


@jit(fastmath=NO_NAN)
def _exp_row(e, C, g, shift, inverse_reg):
    """e_j = exp((g_j - C_j - shift)/reg); the sum."""
    s = 0.0
    for j in range(e.size):
        t = exp((g[j] - C[j] - shift) * inverse_reg)
        e[j] = t
        s += t
    return s


@jit(fastmath=NO_NAN)
def _differences(e, C, g):
    for j in range(e.size):
        e[j] = g[j] - C[j]


@jit(fastmath=NO_NAN)
def _larger(x, y):
    for j in range(y.size):
        x[j] = y[j] if y[j] > x[j] else x[j]


@jit
def _row_max(C, g, e):
    """max_j g_j - C_j by halving: a running maximum in one variable is not vectorised."""
    _differences(e, C, g)
    size = e.size
    while size > 8:
        half = (size + 1) // 2
        _larger(e[:half], e[half:size])
        size = half
    return e[:size].max()


@jit(fastmath=NO_NAN)
def _add_multiple(c, w, e):
    for j in range(c.size):
        c[j] += w * e[j]


@jit
def _semidual_row(C, g, shift, inverse_reg, e):
    """Sum and shift of a row; the shift is the row's maximum if the guess was no good."""
    if math.isfinite(shift):
        s = _exp_row(e, C, g, shift, inverse_reg)
        if 1e-200 < s < 1e200:
            return s, shift
    shift = _row_max(C, g, e)
    return _exp_row(e, C, g, shift, inverse_reg), shift


@jit
def _semidual_rows(C, X, Yt, metric, scale, g, a, reg, shift, first, last, f, c):
    """Rows first..last of the pass; adds to c. X is empty for a stored cost."""
    e = np.empty(g.size)
    row = np.empty(g.size if X.shape[0] else 0)
    for i in range(first, last):
        if X.shape[0]:
            _cost_row(X[i], Yt, metric, scale, row)
            s, top = _semidual_row(row, g, shift[i], 1.0 / reg, e)
        else:
            s, top = _semidual_row(C[i], g, shift[i], 1.0 / reg, e)
        f[i] = reg * (math.log(a[i]) - math.log(s)) - top
        _add_multiple(c, a[i] / s, e)


@jit
def semidual_serial(C, X, Yt, metric, scale, g, a, reg, shift):
    f, c = np.empty(a.size), np.zeros(g.size)
    _semidual_rows(C, X, Yt, metric, scale, g, a, reg, shift, 0, a.size, f, c)
    return f, c


@parallel_jit
def semidual_parallel(C, X, Yt, metric, scale, g, a, reg, shift):
    n = a.size
    f, c = np.empty(n), np.zeros((_CHUNKS, g.size))
    for k in prange(_CHUNKS):
        first, last = k * n // _CHUNKS, (k + 1) * n // _CHUNKS
        _semidual_rows(C, X, Yt, metric, scale, g, a, reg, shift, first, last, f, c[k])
    return f, c.sum(axis=0)


@jit(fastmath=NO_NAN)
def _exp_row_single(e, C, g, shift, inverse_reg):
    """_exp_row with all arguments in float32."""
    s = np.float32(0.0)
    for j in range(e.size):
        t = exp_single((g[j] - C[j] - shift) * inverse_reg)
        e[j] = t
        s += t
    return s


@jit
def _estimate_rows(C, g, a, reg, shift, first, last, f, c):
    """_semidual_rows in float32; a row whose guess is no good gives NaN."""
    e = np.empty(g.size, np.float32)
    for i in range(first, last):
        s = _exp_row_single(e, C[i], g, np.float32(shift[i]), np.float32(1.0 / reg))
        if not 1e-20 < s < 1e30:
            f[i] = np.nan
            return
        f[i] = reg * (math.log(a[i]) - math.log(s)) - np.float32(shift[i])
        _add_multiple(c, np.float32(a[i] / s), e)


@jit
def estimate_serial(C, g, a, reg, shift):
    f, c = np.empty(a.size), np.zeros(g.size, np.float32)
    _estimate_rows(C, g, a, reg, shift, 0, a.size, f, c)
    return f, c


@parallel_jit
def estimate_parallel(C, g, a, reg, shift):
    n = a.size
    f, c = np.empty(n), np.zeros((_CHUNKS, g.size), np.float32)
    for k in prange(_CHUNKS):
        first, last = k * n // _CHUNKS, (k + 1) * n // _CHUNKS
        _estimate_rows(C, g, a, reg, shift, first, last, f, c[k])
    return f, c.sum(axis=0)


@jit
def column_potential_serial(C, X, Yt, metric, scale, f, log_b, reg):
    """Column log-sum-exp with a running maximum."""
    m = log_b.size
    top, s = np.full(m, -1e300), np.zeros(m)
    row = np.empty(m if X.shape[0] else 0)
    for i in range(f.size):
        if X.shape[0]:
            _cost_row(X[i], Yt, metric, scale, row)
            _running_sum(row, f[i], 1.0 / reg, top, s)
        else:
            _running_sum(C[i], f[i], 1.0 / reg, top, s)
    return reg * (log_b - np.log(s) - top)


@jit(fastmath=NO_NAN)
def _running_sum(C, f, inverse_reg, top, s):
    for j in range(s.size):
        t = (f - C[j]) * inverse_reg
        new = t if t > top[j] else top[j]
        s[j] = s[j] * exp(top[j] - new) + exp(t - new)
        top[j] = new


@jit(fastmath=NO_NAN)
def _cost_sum(C, e):
    t = 0.0
    for j in range(e.size):
        t += C[j] * e[j] if e[j] > 0.0 else 0.0  # 0 * inf is not 0
    return t


@jit
def _marginal_rows(C, X, Yt, metric, scale, f, g, reg, first, last, r, c):
    e = np.empty(g.size)
    row = np.empty(g.size if X.shape[0] else 0)
    total = 0.0
    for i in range(first, last):
        if X.shape[0]:
            _cost_row(X[i], Yt, metric, scale, row)
            r[i] = _exp_row(e, row, g, -f[i], 1.0 / reg)
            total += _cost_sum(row, e)
        else:
            r[i] = _exp_row(e, C[i], g, -f[i], 1.0 / reg)
            total += _cost_sum(C[i], e)
        _add_multiple(c, 1.0, e)
    return total


@jit
def marginals_serial(C, X, Yt, metric, scale, f, g, reg):
    r, c = np.empty(f.size), np.zeros(g.size)
    t = _marginal_rows(C, X, Yt, metric, scale, f, g, reg, 0, f.size, r, c)
    return r, c, t


@parallel_jit
def marginals_parallel(C, X, Yt, metric, scale, f, g, reg):
    n = f.size
    r, c, t = np.empty(n), np.zeros((_CHUNKS, g.size)), np.empty(_CHUNKS)
    for k in prange(_CHUNKS):
        first, last = k * n // _CHUNKS, (k + 1) * n // _CHUNKS
        t[k] = _marginal_rows(C, X, Yt, metric, scale, f, g, reg, first, last, r, c[k])
    return r, c.sum(axis=0), t.sum()


@jit(fastmath=NO_NAN)
def _dot(x, y):
    s = 0.0
    for j in range(x.size):
        s += x[j] * y[j]
    return s


@jit
def _product_rows(C, X, Yt, metric, scale, f, g, reg, Vt, transpose, first, last, out):
    """out[i, k] = P_i. Vt[k], or out[k] += P_i. Vt[k, i] for the transpose."""
    e = np.empty(g.size)
    row = np.empty(g.size if X.shape[0] else 0)
    for i in range(first, last):
        if X.shape[0]:
            _cost_row(X[i], Yt, metric, scale, row)
            _exp_row(e, row, g, -f[i], 1.0 / reg)
        else:
            _exp_row(e, C[i], g, -f[i], 1.0 / reg)
        for k in range(Vt.shape[0]):
            if transpose:
                _add_multiple(out[k], Vt[k, i], e)
            else:
                out[i, k] = _dot(e, Vt[k])


@jit
def product_serial(C, X, Yt, metric, scale, f, g, reg, Vt, transpose):
    n, m, width = f.size, g.size, Vt.shape[0]
    out = np.zeros((width, m) if transpose else (n, width))
    _product_rows(C, X, Yt, metric, scale, f, g, reg, Vt, transpose, 0, n, out)
    return out


@jit
def plan_serial(C, X, Yt, metric, scale, f, g, reg):
    P = np.empty((f.size, g.size))
    row = np.empty(g.size if X.shape[0] else 0)
    for i in range(f.size):
        if X.shape[0]:
            _cost_row(X[i], Yt, metric, scale, row)
            _exp_row(P[i], row, g, -f[i], 1.0 / reg)
        else:
            _exp_row(P[i], C[i], g, -f[i], 1.0 / reg)
    return P


_WORD = 32  # columns whose "kept" bits make one mask
_BITS = np.uint32(1) << np.arange(_WORD, dtype=np.uint32)


@jit(fastmath=NO_NAN)
def _kept_mask(C, g, bound, ceiling, reach, bits):
    """Bit j is set where g_j - C_j >= min(bound, ceiling_j) - reach."""
    mask = np.uint32(0)
    for j in range(C.size):
        low = ceiling[j] if ceiling[j] < bound else bound
        mask += bits[j] if g[j] - C[j] >= low - reach else np.uint32(0)
    return mask


@jit
def _mask_row(C, g, bound, ceiling, reach, bits, masks):
    """The masks of a row; the number of kept entries."""
    total = 0
    for k in range(masks.size):
        j0, j1 = k * _WORD, min((k + 1) * _WORD, g.size)
        mask = _kept_mask(C[j0:j1], g[j0:j1], bound, ceiling[j0:j1], reach, bits)
        masks[k] = mask
        total += count_bits(mask)
    return total


@jit
def _fill_row(C, masks, indices, cost):
    """Columns and cost of the set bits."""
    filled = 0
    for k in range(masks.size):
        mask = masks[k]
        while mask:
            j = np.uint32(k * _WORD) + lowest_bit(mask)
            indices[filled] = j
            cost[filled] = C[j]
            filled += 1
            mask &= mask - np.uint32(1)


@jit(fastmath=NO_NAN)
def _plan_row(indices, cost, f, g, inverse_reg, plan):
    for k in range(plan.size):  # apart: a loop that gathers and stores is not vectorised
        plan[k] = g[indices[k]] - cost[k]
    for k in range(plan.size):
        plan[k] = exp((f + plan[k]) * inverse_reg)


@jit
def _count_chunk(C, X, Yt, metric, scale, f, g, floor, ceiling, first, last, masks, indptr):
    row, bits = np.empty(g.size if X.shape[0] else 0), _BITS.copy()
    for i in range(first, last):
        if X.shape[0]:
            _cost_row(X[i], Yt, metric, scale, row)
            indptr[i + 1] = _mask_row(row, g, floor[i], ceiling, f[i], bits, masks[i])
        else:
            indptr[i + 1] = _mask_row(C[i], g, floor[i], ceiling, f[i], bits, masks[i])


@jit
def _fill_chunk(C, X, Yt, metric, scale, f, g, reg, first, last, masks, indptr, ix, cost, plan):
    row = np.empty(g.size if X.shape[0] else 0)
    for i in range(first, last):
        k0, k1 = indptr[i], indptr[i + 1]
        if X.shape[0]:
            _cost_row(X[i], Yt, metric, scale, row)
            _fill_row(row, masks[i], ix[k0:k1], cost[k0:k1])
        else:
            _fill_row(C[i], masks[i], ix[k0:k1], cost[k0:k1])
        _plan_row(ix[k0:k1], cost[k0:k1], f[i], g, 1.0 / reg, plan[k0:k1])


@jit
def select_serial(C, X, Yt, metric, scale, f, g, reg, floor, ceiling, limit):
    """floor and ceiling are reg times the logarithms."""
    n = f.size
    masks = np.empty((n, -(-g.size // _WORD)), np.uint32)
    indptr = np.zeros(n + 1, np.int64)
    _count_chunk(C, X, Yt, metric, scale, f, g, floor, ceiling, 0, n, masks, indptr)
    indptr[:] = np.cumsum(indptr)
    nnz = indptr[n] if indptr[n] <= limit else 0
    indices, cost, plan = np.empty(nnz, np.uint32), np.empty(nnz), np.empty(nnz)
    if nnz:
        _fill_chunk(
            C, X, Yt, metric, scale, f, g, reg, 0, n,
            masks, indptr, indices, cost, plan,
        )  # fmt: skip
    return indptr, indices, cost, plan


@parallel_jit
def select_parallel(C, X, Yt, metric, scale, f, g, reg, floor, ceiling, limit):
    n = f.size
    masks = np.empty((n, -(-g.size // _WORD)), np.uint32)
    indptr = np.zeros(n + 1, np.int64)
    for k in prange(_CHUNKS):
        first, last = k * n // _CHUNKS, (k + 1) * n // _CHUNKS
        _count_chunk(C, X, Yt, metric, scale, f, g, floor, ceiling, first, last, masks, indptr)
    indptr[:] = np.cumsum(indptr)
    nnz = indptr[n] if indptr[n] <= limit else 0
    indices, cost, plan = np.empty(nnz, np.uint32), np.empty(nnz), np.empty(nnz)
    if nnz:
        for k in prange(_CHUNKS):
            first, last = k * n // _CHUNKS, (k + 1) * n // _CHUNKS
            _fill_chunk(
                C, X, Yt, metric, scale, f, g, reg, first, last,
                masks, indptr, indices, cost, plan,
            )  # fmt: skip
    return indptr, indices, cost, plan


@jit
def _sample_row(e, per_row, start, indices, plan):
    """Systematic sampling of a row e of probabilities; the number of entries."""
    t, filled = start, 0
    for j in range(e.size):
        chance = per_row * e[j]
        if chance >= 1.0:
            indices[filled], plan[filled] = j, e[j]
            filled += 1
        else:
            t += chance
            if t >= 1.0:
                t -= 1.0
                indices[filled], plan[filled] = j, 1.0 / per_row
                filled += 1
    return filled


@jit
def _sample_chunk(
    C, X, Yt, metric, scale, f, g, reg, a, per_row, first, last, room, counts, indices, plan
):
    """Samples of rows first..last, one after another from first * room on."""
    row, e = np.empty(g.size if X.shape[0] else 0), np.empty(g.size)
    place = first * room
    for i in range(first, last):
        shift = reg * math.log(a[i]) - f[i]
        if X.shape[0]:
            _cost_row(X[i], Yt, metric, scale, row)
            _exp_row(e, row, g, shift, 1.0 / reg)
        else:
            _exp_row(e, C[i], g, shift, 1.0 / reg)
        start = 0.6180339887498949 * (i + 1)
        start -= math.floor(start)
        end = place + room
        counts[i] = _sample_row(e, per_row, start, indices[place:end], plan[place:end])
        for k in range(place, place + counts[i]):
            plan[k] *= a[i]
        place += counts[i]


@jit
def _closed_up(first_rows, room, counts, indices, plan):
    """Move the chunks' entries together, in place."""
    indptr = np.zeros(counts.size + 1, np.int64)
    indptr[1:] = np.cumsum(counts)
    for k in range(first_rows.size - 1):
        first, last = first_rows[k], first_rows[k + 1]
        here, there, size = first * room, indptr[first], indptr[last] - indptr[first]
        for t in range(size):  # forwards: the target never lies behind the source
            indices[there + t], plan[there + t] = indices[here + t], plan[here + t]
    nnz = indptr[counts.size]
    return indptr, indices[:nnz], plan[:nnz]


@jit
def sample_serial(C, X, Yt, metric, scale, f, g, reg, a, per_row, room):
    n = f.size
    counts = np.empty(n, np.int64)
    indices, plan = np.empty(n * room, np.uint32), np.empty(n * room)
    _sample_chunk(C, X, Yt, metric, scale, f, g, reg, a, per_row, 0, n, room, counts, indices, plan)
    return _closed_up(np.array([0, n]), room, counts, indices, plan)


@parallel_jit
def sample_parallel(C, X, Yt, metric, scale, f, g, reg, a, per_row, room):
    n = f.size
    counts = np.empty(n, np.int64)
    indices, plan = np.empty(n * room, np.uint32), np.empty(n * room)
    first_rows = np.arange(_CHUNKS + 1) * n // _CHUNKS
    for k in prange(_CHUNKS):
        _sample_chunk(
            C, X, Yt, metric, scale, f, g, reg, a, per_row, first_rows[k], first_rows[k + 1],
            room, counts, indices, plan,
        )  # fmt: skip
    return _closed_up(first_rows, room, counts, indices, plan)
