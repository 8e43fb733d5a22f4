"""CUDA kernels of randomised sketches; sums over rows of few entries are products in cupyx."""

import cupy
from cupyx.scipy.sparse import csr_matrix

from refopt_backends.cupy_gpu import _shapes as shapes


def rk_sweep_dense(A, b, weights, x, previous, index, momentum):
    x, previous, moves = x.copy(), previous.copy(), cupy.zeros_like(b)
    index = cupy.ascontiguousarray(index)
    args = (A, x.size, b, weights, x, previous, index, index.size, momentum, moves)
    shapes.run_alone("sketching.cu", "rk_dense", args)
    return x, previous, moves


def rk_sweep_csr(values, columns, starts, b, weights, x, previous, index, momentum):
    x, previous, moves = x.copy(), previous.copy(), cupy.zeros_like(b)
    index = cupy.ascontiguousarray(index)
    rows = (values, columns, starts, x.size, b, weights)
    args = (*rows, x, previous, index, index.size, momentum, moves)
    shapes.run_alone("sketching.cu", "rk_csr", args)
    return x, previous, moves


def greedy_sweep(gram, r, weights, steps):
    r, moves = r.copy(), cupy.zeros_like(r)
    shapes.run_alone("sketching.cu", "greedy", (gram, r.size, r, weights, steps, moves))
    return r, moves


def _by_bucket(buckets, signs, size):
    """First place of each bucket, the rows in it one bucket after the other, their signs."""
    flat = cupy.ravel(buckets)
    order = cupy.argsort(flat)
    first = cupy.searchsorted(flat[order], cupy.arange(size + 1, dtype=flat.dtype))
    members = order // buckets.shape[1]
    return (
        cupy.astype(first, cupy.int64),
        cupy.astype(members, cupy.int64),
        cupy.ravel(signs)[order],
    )


def count_sketch(A, buckets, signs, size):
    sketch = cupy.zeros((size, A.shape[1]))
    args = (A, A.shape[1], *_by_bucket(buckets, signs, size), sketch)
    shapes.run("sketching.cu", "bucket_sums", size, args)
    return sketch


def count_sketch_csr(values, columns, starts, n, buckets, signs, size):
    sketch = cupy.zeros((size, n))
    args = (values, columns, starts, n, *_by_bucket(buckets, signs, size), sketch)
    shapes.run("sketching.cu", "bucket_sums_csr", size, args)
    return sketch


def sparse_gram(values, columns, starts, weights, n):
    places = cupy.arange(values.size, dtype=starts.dtype)
    rows = weights[cupy.searchsorted(starts, places, side="right") - 1]
    shape = (starts.size - 1, n)
    X = csr_matrix((values, columns, starts), shape=shape)
    weighted = csr_matrix((values * rows, columns, starts), shape=shape)
    return (X.T @ weighted).toarray()
