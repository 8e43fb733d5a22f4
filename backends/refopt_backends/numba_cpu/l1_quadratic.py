"""Compiled kernels of quadratic problems with an L1 penalty, see reference/l1_quadratic.py.

Both solvers alternate sweeps of coordinate descent with Newton steps on the
nonzeros. A Newton step costs as much as some number of sweeps; it is taken when
that many sweeps were spent in vain, so that neither can waste more than the
other would have cost.
"""

import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit, unsigned
from refopt_backends.numba_cpu._l1_columns import l1_columns, sparse_dots
from refopt_backends.numba_cpu._l1_interior import FINISH, PATIENCE, interior_point
from refopt_backends.numba_cpu._l1_newton import choose, newton
from refopt_backends.reference import l1_quadratic as reference

_ROUNDS = 300
_SLACK = 0.2  # how far the sweeps on the chosen coordinates go before the choice is renewed


def column_dots(X, index, r):
    if hasattr(X, "columns"):
        return _dense_dots(X.columns, index, r)
    return sparse_dots(*_compressed(X), index, r)


def transposed_product(X, r):
    if hasattr(X, "columns"):
        return X.transposed_times(r)
    return _sparse_product(*_compressed(X), r)


def column_sum(X, index, w):
    if hasattr(X, "columns"):
        return _dense_sum(X.columns, index, w)
    return _sparse_sum(*_compressed(X), index, w, X.shape[0])


def l1_quadratic(G, q, penalty, w, tol, positive):
    return _l1_quadratic(G, q, penalty, w.copy(), tol, positive)


def l1_least_squares(X, y, l2, penalty, w, tol, positive):
    if hasattr(X, "columns"):
        return reference.l1_least_squares(X, y, l2, penalty, w, tol, positive)
    return l1_columns(*_compressed(X), y, l2, penalty, w.copy(), tol, positive)


def _compressed(X):
    matrix = X.matrix
    return matrix.data, unsigned(matrix.indices), unsigned(matrix.indptr)


@jit(fastmath=FAST)
def _dense_dots(columns, index, r):
    out = np.empty(index.size)
    for a in range(index.size):
        column = columns[index[a]]
        total = 0.0
        for i in range(column.size):
            total += column[i] * r[i]
        out[a] = total
    return out


@jit(fastmath=FAST)
def _dense_sum(columns, index, w):
    z = np.zeros(columns.shape[1])
    for a in range(index.size):
        v = w[a]
        if v != 0.0:
            column = columns[index[a]]
            for i in range(column.size):
                z[i] += v * column[i]
    return z


@jit(fastmath=FAST)
def _sparse_product(values, rows, starts, r):
    out = np.empty(starts.size - 1)
    for j in range(out.size):
        total = 0.0
        for t in range(starts[j], starts[j + 1]):
            total += values[t] * r[rows[t]]
        out[j] = total
    return out


@jit(fastmath=FAST)
def _sparse_sum(values, rows, starts, index, w, n):
    z = np.zeros(n)
    for a in range(index.size):
        v = w[a]
        if v != 0.0:
            for t in range(starts[index[a]], starts[index[a] + 1]):
                z[rows[t]] += v * values[t]
    return z


@jit(fastmath=FAST)
def _l1_quadratic(G, q, penalty, w, tol, positive):
    """Coordinates are chosen by their violation; the work is done on a copy of their part of G."""
    largest = 0.0
    for j in range(q.size):
        largest = max(largest, abs(q[j]))
    tol = max(tol, 4e-15 * largest)
    h = _negative_gradient(G, q, w)
    factored, patience = 0, PATIENCE * q.size**3.0 if np.all(penalty > 0.0) else np.inf
    for _ in range(_ROUNDS):
        chosen, violation = choose(w, h, penalty, tol, positive)
        if violation <= tol:
            h = _negative_gradient(G, q, w)
            chosen, violation = choose(w, h, penalty, tol, positive)
            if violation <= 2.0 * tol:
                break
        n = chosen.size
        A = np.empty((n, n))
        part, slope, weight = np.empty(n), np.empty(n), np.empty(n)
        for a in range(n):
            row, to = G[chosen[a]], A[a]
            for b in range(n):
                to[b] = row[chosen[b]]
            part[a], slope[a], weight[a] = w[chosen[a]], h[chosen[a]], penalty[chosen[a]]
        goal = 0.5 * max(tol, _SLACK * violation)
        price = 3.0 + n / 25.0
        moved, quiet = violation, 0
        for spent in range(1, 200):
            moved, changes = _sweep(A, part, slope, weight, positive)
            quiet = quiet + 1 if changes == 0 else 0
            if moved <= goal or spent >= 1.5 * price or (quiet >= 2 and spent >= 0.5 * price):
                break
        if moved > goal:
            tries = newton(A, part, slope, weight, positive)
            factored += tries
            patience -= tries * n**3.0
        for a in range(n):
            step = part[a] - w[chosen[a]]
            if step != 0.0:
                w[chosen[a]] = part[a]
                row = G[chosen[a]]
                for b in range(row.size):
                    h[b] -= step * row[b]
        if patience < 0.0:
            factored += interior_point(G, q, penalty, w, positive)
            h, patience = _negative_gradient(G, q, w), np.inf
            tol = max(min(tol, FINISH * np.max(penalty)), 4e-15 * largest)
    return w, factored


@jit(fastmath=FAST)
def _negative_gradient(G, q, w):
    h = q.copy()
    for j in range(w.size):
        if w[j] != 0.0:
            row, v = G[j], w[j]
            for t in range(row.size):
                h[t] -= v * row[t]
    return h


@jit(fastmath=FAST)
def _sweep(A, w, h, penalty, positive):
    """One sweep of coordinate descent, h = q - A w kept."""
    moved, changes = 0.0, 0
    for j in range(w.size):
        curvature = A[j, j]
        if curvature <= 0.0:  # a zero column
            changes += w[j] != 0.0
            w[j] = 0.0
            continue
        z, old, new = w[j] * curvature + h[j], w[j], 0.0
        if z > penalty[j]:
            new = (z - penalty[j]) / curvature
        elif z < -penalty[j] and not positive:
            new = (z + penalty[j]) / curvature
        step = new - old
        if step != 0.0:
            w[j] = new
            moved = max(moved, abs(step) * curvature)
            if np.sign(new) != np.sign(old):
                changes += 1
            row = A[j]
            for t in range(row.size):
                h[t] -= step * row[t]
    return moved, changes
