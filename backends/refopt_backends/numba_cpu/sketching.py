"""Compiled kernels of randomised sketches."""

import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit, unsigned


@jit(fastmath=FAST)
def _rk_dense(A, b, weights, x, index, moves):
    for k in range(index.size):
        i = index[k]
        row = A[i]
        total = 0.0
        for j in range(x.size):
            total += row[j] * x[j]
        move = weights[i] * (total - b[i])
        moves[i] += move
        for j in range(x.size):
            x[j] -= move * row[j]


@jit(fastmath=FAST)
def _rk_dense_momentum(A, b, weights, x, previous, index, momentum, moves):
    for k in range(index.size):
        i = index[k]
        row = A[i]
        total = 0.0
        for j in range(x.size):
            total += row[j] * x[j]
        move = weights[i] * (total - b[i])
        moves[i] += move
        for j in range(x.size):
            here = x[j]
            x[j] = here - move * row[j] + momentum * (here - previous[j])
            previous[j] = here


def rk_sweep_dense(A, b, weights, x, previous, index, momentum):
    new, moves = x.copy(), np.zeros_like(b)
    if momentum:
        previous = previous.copy()
        _rk_dense_momentum(A, b, weights, new, previous, index, momentum, moves)
        return new, previous, moves
    if index.size > 1:
        _rk_dense(A, b, weights, new, index[:-1], moves)
    previous = new.copy() if index.size else previous
    _rk_dense(A, b, weights, new, index[-1:], moves)
    return new, previous, moves


@jit(fastmath=FAST)
def _rk_csr(values, columns, starts, b, weights, x, index, moves):
    for k in range(index.size):
        i = index[k]
        total = 0.0
        for e in range(starts[i], starts[i + 1]):
            total += values[e] * x[columns[e]]
        move = weights[i] * (total - b[i])
        moves[i] += move
        for e in range(starts[i], starts[i + 1]):
            x[columns[e]] -= move * values[e]


@jit(fastmath=FAST)
def _rk_csr_momentum(values, columns, starts, b, weights, x, previous, index, momentum, moves):
    for k in range(index.size):
        i = index[k]
        total = 0.0
        for e in range(starts[i], starts[i + 1]):
            total += values[e] * x[columns[e]]
        move = weights[i] * (total - b[i])
        moves[i] += move
        for j in range(x.size):
            here = x[j]
            x[j] = here + momentum * (here - previous[j])
            previous[j] = here
        for e in range(starts[i], starts[i + 1]):
            x[columns[e]] -= move * values[e]


def rk_sweep_csr(values, columns, starts, b, weights, x, previous, index, momentum):
    new, moves = x.copy(), np.zeros_like(b)
    rows = values, unsigned(columns), starts, b, weights
    if momentum:
        previous = previous.copy()
        _rk_csr_momentum(*rows, new, previous, index, momentum, moves)
        return new, previous, moves
    if index.size > 1:
        _rk_csr(*rows, new, index[:-1], moves)
    previous = new.copy() if index.size else previous
    _rk_csr(*rows, new, index[-1:], moves)
    return new, previous, moves


@jit(fastmath=FAST)
def _greedy(gram, r, weights, steps, moves):
    # The choice of the next row rides on the update of the residual.
    best = np.empty_like(r)
    for i in range(r.size):
        best[i] = r[i] * r[i] * weights[i]
    for _ in range(steps):
        i, most = 0, best[0]
        for j in range(1, r.size):
            if best[j] > most:
                i, most = j, best[j]
        move = r[i] * weights[i]
        moves[i] += move
        row = gram[i]
        for j in range(r.size):
            value = r[j] - move * row[j]
            r[j] = value
            best[j] = value * value * weights[j]


def greedy_sweep(gram, r, weights, steps):
    r, moves = r.copy(), np.zeros_like(r)
    _greedy(gram, r, weights, steps, moves)
    return r, moves


@jit(fastmath=FAST)
def _count_sketch(A, buckets, signs, sketch):
    for i in range(A.shape[0]):
        row = A[i]
        for k in range(buckets.shape[1]):
            target, sign = sketch[buckets[i, k]], signs[i, k]
            for j in range(row.size):
                target[j] += sign * row[j]


def count_sketch(A, buckets, signs, size):
    sketch = np.zeros((size, A.shape[1]))
    _count_sketch(A, buckets, signs, sketch)
    return sketch


@jit(fastmath=FAST)
def _count_sketch_csr(values, columns, starts, buckets, signs, sketch):
    for i in range(starts.size - 1):
        for k in range(buckets.shape[1]):
            target, sign = sketch[buckets[i, k]], signs[i, k]
            for e in range(starts[i], starts[i + 1]):
                target[columns[e]] += sign * values[e]


def count_sketch_csr(values, columns, starts, n, buckets, signs, size):
    sketch = np.zeros((size, n))
    _count_sketch_csr(values, unsigned(columns), starts, buckets, signs, sketch)
    return sketch


@jit(fastmath=FAST)
def _product_pass(A, v, u, alpha, p, back):
    for i in range(A.shape[0]):
        row = A[i]
        total = 0.0
        for j in range(v.size):
            total += row[j] * v[j]
        total -= alpha * u[i]
        p[i] = total
        for j in range(v.size):
            back[j] += total * row[j]


def product_pass(A, v, u, alpha):
    p, back = np.empty_like(u), np.zeros_like(v)
    _product_pass(A, v, u, alpha, p, back)
    return p, back


@jit(fastmath=FAST)
def _sparse_gram(values, columns, starts, weights, gram):
    for i in range(starts.size - 1):
        for e in range(starts[i], starts[i + 1]):
            scaled, target = weights[i] * values[e], gram[columns[e]]
            for f in range(starts[i], e + 1):
                target[columns[f]] += scaled * values[f]
    for i in range(gram.shape[0]):  # columns of a row need not be in order
        for j in range(i):
            gram[i, j] = gram[j, i] = gram[i, j] + gram[j, i]


def sparse_gram(values, columns, starts, weights, n):
    gram = np.zeros((n, n))
    _sparse_gram(values, unsigned(columns), starts, weights, gram)
    return gram
