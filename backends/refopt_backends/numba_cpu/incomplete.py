"""Conjugate gradients with an incomplete factor, compiled for the CPU.

Rows are padded to whole chunks of 2 or 4 entries: a loop over three or four
entries costs less than a processor's wrong guess of where it ends.
"""

from typing import NamedTuple

import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit
from refopt_backends.reference.incomplete import LEAST

# Unsigned: no test for negative indices in the loops.
ONE, TWO, THREE, FOUR = (np.uint64(i) for i in (1, 2, 3, 4))


class Factor(NamedTuple):
    """See the reference; L by rows, and L' by rows from the last one on."""

    scale: np.ndarray
    excess: np.ndarray
    fours: bool  # whether chunks have four entries
    ends: np.ndarray  # of each row of L
    columns: np.ndarray
    values: np.ndarray
    back_ends: np.ndarray  # of each row of L'
    back_columns: np.ndarray
    back_values: np.ndarray


def incomplete_factor(system, moved):
    fours = bool(system.columns.size > 4 * system.diagonal.size)
    scale, excess, *rows = _factor(*system, moved, 4 if fours else 2)
    return Factor(scale, excess, fours, *rows)


def incomplete_cg_start(factor, R):
    return _start(*factor[:6], R)


def incomplete_cg_steps(factor, X, R, D, beta, steps):
    return _steps(*factor, X, R, D, beta, steps)


@jit
def _factor(starts, columns, values, diagonal, moved, chunk):
    n = diagonal.size
    pivots, later = diagonal.copy(), np.zeros(n)
    before, size, back_size = np.empty(n, np.int64), 0, 0
    for i in range(n):
        s, k = diagonal[i], starts[i]
        while k < starts[i + 1] and columns[k] < i:
            v, j = values[k], columns[k]
            s += v / pivots[j] * (moved * (later[j] + v) - v)
            k += 1
        pivots[i], before[i] = max(s, LEAST * diagonal[i]), k
        size += _padded(k - starts[i], chunk)
        back_size += _padded(starts[i + 1] - k, chunk)
        while k < starts[i + 1]:
            later[i] -= values[k]
            k += 1
    scale, excess = np.empty(n), np.empty(n)
    for i in range(n):
        scale[i] = 1.0 / np.sqrt(pivots[i])
        excess[i] = diagonal[i] / pivots[i] - 2.0
    ends, back_ends = np.empty(n, np.uint32), np.empty(n, np.uint32)
    to, value = np.empty(size, np.uint32), np.zeros(size)
    back_to, back_value = np.empty(back_size, np.uint32), np.zeros(back_size)
    at = 0
    for i in range(n):
        ends[i] = at + _padded(before[i] - starts[i], chunk)
        for k in range(starts[i], before[i]):
            to[at], value[at] = columns[k], values[k] * scale[i] * scale[columns[k]]
            at += 1
        while at < ends[i]:
            to[at] = i  # times zero
            at += 1
    at = 0
    for i in range(n - 1, -1, -1):
        back_ends[i] = at + _padded(starts[i + 1] - before[i], chunk)
        for k in range(before[i], starts[i + 1]):
            back_to[at], back_value[at] = columns[k], values[k] * scale[i] * scale[columns[k]]
            at += 1
        while at < back_ends[i]:
            back_to[at] = i
            at += 1
    return scale, excess, ends, to, value, back_ends, back_to, back_value


@jit
def _padded(count, chunk):
    return max(1, (count + chunk - 1) // chunk) * chunk


@jit(fastmath=FAST)
def _minus_row(fours, values, columns, x, k, end, s):
    """S - sum_k values_k x_columns_k from k to the end of the row, and that end."""
    if fours:
        while True:
            s -= (values[k] * x[columns[k]] + values[k + ONE] * x[columns[k + ONE]]) + (
                values[k + TWO] * x[columns[k + TWO]] + values[k + THREE] * x[columns[k + THREE]]
            )
            k += FOUR
            if k >= end:
                return s, k
    while True:
        s -= values[k] * x[columns[k]] + values[k + ONE] * x[columns[k + ONE]]
        k += TWO
        if k >= end:
            return s, k


@jit(fastmath=FAST)
def _start(scale, excess, fours, ends, columns, values, R):
    Y = np.zeros(R.shape)
    for c in range(R.shape[0]):
        r, y = R[c], Y[c]
        k = np.uint64(0)
        for i in range(r.size):
            end = np.uint64(ends[i])
            y[i], k = _minus_row(fours, values, columns, y, k, end, scale[i] * r[i])
    return Y


@jit(fastmath=FAST)
def _steps(
    scale,
    g,
    fours,
    ends,
    columns,
    values,
    back_ends,
    back_columns,
    back_values,
    X,
    R,
    D,
    beta,
    steps,
):
    n = scale.size
    X, R, D, beta = X.copy(), R.copy(), D.copy(), beta.copy()
    square, fall = np.zeros(beta.size), np.zeros(beta.size)
    t, y, moved = np.zeros(n), np.zeros(n), np.empty(n)
    for c in range(beta.size):
        x, r, d, b = X[c], R[c], D[c], beta[c]
        moved[:] = 0.0
        rho = 0.0
        for i in range(n):
            rho += r[i] * r[i]
        for _ in range(steps[c]):
            curvature, k = 0.0, np.uint64(0)
            for i in range(n - 1, -1, -1):
                v = r[i] + b * d[i]
                d[i] = v
                end = np.uint64(back_ends[i])
                s, k = _minus_row(fours, back_values, back_columns, t, k, end, v)
                t[i] = s
                curvature += s * (2.0 * v + g[i] * s)
            alpha = rho / curvature if curvature > 0.0 else 0.0
            fall[c] += 0.5 * alpha * rho
            new, k = 0.0, np.uint64(0)
            for i in range(n):
                s = t[i]
                moved[i] += alpha * s
                end = np.uint64(ends[i])
                q, k = _minus_row(fours, values, columns, y, k, end, d[i] + g[i] * s)
                y[i] = q
                q = r[i] - alpha * (s + q)
                r[i] = q
                new += q * q
            b = new / rho if rho > 0.0 else 0.0
            rho = new
        beta[c] = b
        k = np.uint64(0)
        for i in range(n):
            x[i] += scale[i] * moved[i]
            end = np.uint64(ends[i])
            s, k = _minus_row(fours, values, columns, r, k, end, -r[i])
            s /= scale[i]
            square[c] += s * s
    return X, R, D, beta, square, fall
