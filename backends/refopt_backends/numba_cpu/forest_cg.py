"""Conjugate gradients over forests that cover a graph, compiled for the CPU.

Nodes are numbered forest by forest, depth first in each, so that a sweep over
the trees reads memory in order and finds the parent mostly beside the node.
"""

from typing import NamedTuple

import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit
from refopt_backends.numba_cpu.forests import forest_order, forest_pivots

# Unsigned: no test for negative indices in the loops.
ONE, TWO = np.uint64(1), np.uint64(2)


class Blocks(NamedTuple):
    """See the reference; all but `order` in the new numbering."""

    order: np.ndarray  # the node at each place
    ends: np.ndarray  # of each forest
    parent: np.ndarray  # a root is its own, with multiplier 0: no question in the loops
    inverse: np.ndarray  # of the pivots
    multipliers: np.ndarray
    before: np.ndarray  # starts of the rows of L, padded to even lengths; columns, values
    b_columns: np.ndarray
    b_values: np.ndarray
    after: np.ndarray  # and of those of L'
    a_columns: np.ndarray
    a_values: np.ndarray


def forest_blocks(system, labels):
    ranked = np.argsort(labels, kind="stable")
    inner = _inner(*system, labels, ranked)
    order, parent, diagonal, link, cycle = forest_order(*inner)
    if cycle.size:
        return None, ranked[cycle]
    order = ranked[order]
    pivots, multipliers = forest_pivots(parent, diagonal, link)
    ends = np.append(np.flatnonzero(np.diff(labels[order])) + 1, order.size)
    outer = _outer(*system, labels, order)
    parent = np.where(parent < 0, np.arange(parent.size), parent)
    return Blocks(order, ends, parent, 1.0 / pivots, multipliers, *outer), cycle


def forest_cg_start(factor, X, R):
    return _start(*factor, X, R)


def forest_cg_steps(factor, X, R, D, beta, steps):
    return _steps(*factor, X, R, D, beta, steps)


@jit
def _inner(starts, columns, values, diagonal, labels, ranked):
    """The graph of the forests and the diagonal, nodes numbered by `ranked`."""
    n = ranked.size
    rank = np.empty(n, np.int64)
    for a in range(n):
        rank[ranked[a]] = a
    begin = np.zeros(n + 1, np.int64)
    to, value, count = np.empty(columns.size + n, np.int32), np.empty(columns.size + n), 0
    for a in range(n):
        i = ranked[a]
        to[count], value[count] = a, diagonal[i]
        count += 1
        for k in range(starts[i], starts[i + 1]):
            if labels[columns[k]] == labels[i]:
                to[count], value[count] = rank[columns[k]], values[k]
                count += 1
        begin[a + 1] = count
    return begin, to[:count].copy(), value[:count].copy()


@jit
def _outer(starts, columns, values, diagonal, labels, order):
    """The entries that lead to earlier forests and those to later ones, by rows."""
    n = order.size
    place = np.empty(n, np.int64)
    for a in range(n):
        place[order[a]] = a
    before, after = np.zeros(n + 1, np.uint64), np.zeros(n + 1, np.uint64)
    for a in range(n):
        i, earlier, later = order[a], 0, 0
        for k in range(starts[i], starts[i + 1]):
            earlier += labels[columns[k]] < labels[i]
            later += labels[columns[k]] > labels[i]
        before[a + 1] = before[a] + np.uint64((earlier + 1) // 2 * 2)
        after[a + 1] = after[a] + np.uint64((later + 1) // 2 * 2)
    b_columns, b_values = np.zeros(before[n], np.uint32), np.zeros(before[n])
    a_columns, a_values = np.zeros(after[n], np.uint32), np.zeros(after[n])
    for a in range(n):
        i, b, c = order[a], before[a], after[a]
        for k in range(starts[i], starts[i + 1]):
            j = columns[k]
            if labels[j] < labels[i]:
                b_columns[b], b_values[b] = place[j], values[k]
                b += ONE
            elif labels[j] > labels[i]:
                a_columns[c], a_values[c] = place[j], values[k]
                c += ONE
    return before, b_columns, b_values, after, a_columns, a_values


@jit(fastmath=FAST)
def _minus_row(starts, columns, values, i, x, s):
    """S minus row i times x, two entries at a time, of which the last may be zero."""
    k, end = starts[i], starts[i + 1]
    while k < end:
        s -= values[k] * x[columns[k]] + values[k + ONE] * x[columns[k + ONE]]
        k += TWO
    return s


@jit(fastmath=FAST)
def _start(
    order, ends, parent, inverse, l, before, b_columns, b_values, after, a_columns, a_values, X, R
):
    n = order.size
    X, S = X.copy(), np.zeros(R.shape)
    b, y, g = np.empty(n), np.zeros(n), np.zeros(n)
    for c in range(R.shape[0]):
        for i in range(n):
            b[i] = R[c, order[i]]
        first = 0
        for end in ends:
            for i in range(end - 1, first - 1, -1):
                g[i] += _minus_row(before, b_columns, b_values, i, y, b[i])
                g[parent[i]] -= l[i] * g[i]
            for i in range(first, end):
                y[i] = g[i] * inverse[i]
                g[i] = 0.0
                y[i] -= l[i] * y[parent[i]]
            first = end
        # y = (L + P)^-1 r: its first forest is the step that solves there.
        for i in range(n):
            if i < ends[0]:
                X[c, order[i]] += y[i]
            else:
                S[c, order[i]] = y[i]
    return X, S


@jit(fastmath=FAST)
def _steps(
    order,
    ends,
    parent,
    inverse,
    l,
    before,
    b_columns,
    b_values,
    after,
    a_columns,
    a_values,
    X,
    R,
    D,
    beta,
    steps,
):
    n = order.size
    X, R, D, beta = X.copy(), R.copy(), D.copy(), beta.copy()
    square, fall = np.zeros(beta.size), np.zeros(beta.size)
    x, r, s, u = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    v, w = np.empty(n), np.empty(n)
    t, y, g = np.zeros(n), np.zeros(n), np.zeros(n)
    for c in range(beta.size):
        for i in range(n):
            x[i], r[i], v[i] = 0.0, R[c, order[i]], D[c, order[i]]
        _forest_product(parent, inverse, l, r, s)
        _forest_product(parent, inverse, l, v, w)
        b, rho = beta[c], 0.0
        for i in range(n):
            rho += r[i] * s[i]
        for _ in range(steps[c]):
            curvature, end = 0.0, ends[ends.size - 2] if ends.size > 1 else 0
            for i in range(n):
                v[i] = r[i] + b * v[i]
                w[i] = s[i] + b * w[i]
            for i in range(end, n):
                t[i], u[i] = v[i], w[i]
                curvature += v[i] * w[i]
            for block in range(ends.size - 2, -1, -1):
                first = ends[block - 1] if block else 0
                for i in range(end - 1, first - 1, -1):
                    u[i] = _minus_row(after, a_columns, a_values, i, t, w[i])
                    g[i] += u[i]
                    g[parent[i]] -= l[i] * g[i]
                for i in range(first, end):
                    q = g[i] * inverse[i]
                    g[i] = 0.0
                    q -= l[i] * t[parent[i]]
                    t[i] = q
                    curvature += q * (2.0 * w[i] - u[i])
                end = first
            alpha = rho / curvature if curvature > 0.0 else 0.0
            fall[c] += 0.5 * alpha * rho
            new, first = 0.0, ends[0]
            for i in range(first):  # solved: there y = -t
                y[i] = -t[i]
                x[i] += alpha * t[i]
            for end in ends[1:]:
                for i in range(end - 1, first - 1, -1):
                    q = _minus_row(before, b_columns, b_values, i, y, w[i] - u[i])
                    g[i] += q
                    s[i] -= alpha * (u[i] + q)
                    g[parent[i]] -= l[i] * g[i]
                for i in range(first, end):
                    q = g[i] * inverse[i]
                    g[i] = 0.0
                    q -= l[i] * y[parent[i]]
                    y[i] = q
                    x[i] += alpha * t[i]
                    r[i] -= alpha * (t[i] + q)
                    new += r[i] * s[i]
                first = end
            b = new / rho if rho > 0.0 else 0.0
            rho = new
        beta[c] = b
        for i in range(n):
            q = _minus_row(before, b_columns, b_values, i, r, -s[i])
            square[c] += q * q
            m = order[i]
            X[c, m] += x[i]
            R[c, m], D[c, m] = r[i], v[i]
    return X, R, D, beta, square, fall


@jit(fastmath=FAST)
def _forest_product(parent, inverse, l, x, y):
    """Y = P x, from P = (1 + l) diag(J) (1 + l)'."""
    for i in range(x.size):
        y[i] = x[i]
        y[i] += l[i] * x[parent[i]]
        y[i] /= inverse[i]
    for i in range(x.size):
        y[parent[i]] += l[i] * y[i]
