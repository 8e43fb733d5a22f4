"""Kernels of randomised sketches, in words of the Array-API standard.

Compressed rows are three arrays, values (nnz,), columns (nnz,) and starts (N + 1,), no column
twice in a row. `weights` are omega / |A_i|^2, and 0 for rows that are passed over.
"""

from refopt_backends._home import namespace_of


def rk_sweep_dense(A, b, weights, x, previous, index, momentum):
    """x <- x - weights_i (A_i x - b_i) A_i + momentum (x - previous) for each index i in turn.

    Returns the last two x, and the sum of weights_i (A_i x - b_i) of each row.
    """
    moves = namespace_of(x).zeros_like(b)
    for k in range(index.shape[0]):
        i = int(index[k])
        row = A[i, :]
        move = weights[i] * (row @ x - b[i])
        moves[i] += move
        x, previous = _moved(x, previous, move * row, momentum), x
    return x, previous, moves


def rk_sweep_csr(values, columns, starts, b, weights, x, previous, index, momentum):
    """rk_sweep_dense for compressed rows."""
    xp = namespace_of(x)
    moves = xp.zeros_like(b)
    for k in range(index.shape[0]):
        i = int(index[k])
        row = _row(values, columns, starts, i, x.shape[0])
        move = weights[i] * (row @ x - b[i])
        moves[i] += move
        x, previous = _moved(x, previous, move * row, momentum), x
    return x, previous, moves


def _row(values, columns, starts, i, n):
    row = namespace_of(values).zeros(n, dtype=values.dtype)
    for e in range(int(starts[i]), int(starts[i + 1])):
        row[int(columns[e])] = values[e]
    return row


def _moved(x, previous, change, momentum):
    return x - change + momentum * (x - previous) if momentum else x - change


def greedy_sweep(gram, r, weights, steps):
    """Steps with the row of the largest r_i^2 weights_i, on r = A x - b alone.

    Returns r after the steps and the sum of each row's moves, y: x has become x - A'y.
    """
    xp = namespace_of(r)
    moves = xp.zeros_like(r)
    for _ in range(steps):
        i = int(xp.argmax(r * r * weights))
        move = r[i] * weights[i]
        moves[i] += move
        r = r - move * gram[i, :]
    return r, moves


def count_sketch(A, buckets, signs, size):
    """S A, where row i of A is added to the rows buckets[i, :] of the result with signs[i, :]."""
    xp = namespace_of(A)
    sketch = xp.zeros((size, A.shape[1]), dtype=A.dtype)
    for i in range(A.shape[0]):
        for k in range(buckets.shape[1]):
            sketch[int(buckets[i, k]), :] += signs[i, k] * A[i, :]
    return sketch


def count_sketch_csr(values, columns, starts, n, buckets, signs, size):
    """count_sketch for compressed rows with n columns."""
    xp = namespace_of(values)
    sketch = xp.zeros((size, n), dtype=values.dtype)
    for i in range(starts.shape[0] - 1):
        for e in range(int(starts[i]), int(starts[i + 1])):
            for k in range(buckets.shape[1]):
                sketch[int(buckets[i, k]), int(columns[e])] += signs[i, k] * values[e]
    return sketch


def product_pass(A, v, u, alpha):
    """p = A v - alpha u and A'p, by one pass over A."""
    p = A @ v - alpha * u
    return p, p @ A


def sparse_gram(values, columns, starts, weights, n):
    """X' diag(weights) X of compressed rows with n columns, dense."""
    xp = namespace_of(values)
    gram = xp.zeros((n, n), dtype=values.dtype)
    for i in range(starts.shape[0] - 1):
        row = _row(values, columns, starts, i, n)
        gram = gram + weights[i] * (row[:, None] * row[None, :])
    return gram
