"""Example arguments of the kernels of randomised sketches."""

import numpy as np
from scipy import sparse

from refopt_backends.testing import Case


def cases(xp, rng):
    """Tall, wide and one by one; zero rows; rows drawn several times; with momentum."""
    for N, n in ((1, 1), (9, 5), (6, 40), (70, 33)):
        A = rng.standard_normal((N, n)) * (rng.random((N, n)) < 0.7)
        A[N // 2] = 0.0
        b, x, previous = rng.standard_normal(N), rng.standard_normal(n), rng.standard_normal(n)
        squares = (A * A).sum(1)
        weights = np.divide(0.9, squares, out=np.zeros(N), where=squares > 0)
        index = rng.integers(N, size=3 * N)
        dense, rows = xp.asarray(A), _rows(xp, A)
        rest = tuple(map(xp.asarray, (b, weights, x, previous, index)))
        for momentum in (0.0, 0.3):
            yield Case("rk_sweep_dense", lambda k, a=dense, r=rest, m=momentum: (a, *r, m))
            yield Case("rk_sweep_csr", lambda k, a=rows, r=rest, m=momentum: (*a, *r, m))
        gram = xp.asarray(A @ A.T)
        yield Case("greedy_sweep", lambda k, g=gram, r=rest: (g, r[0], r[1], 99))
        for repeat in (1, 4):
            buckets = xp.asarray(rng.integers(7, size=(N, repeat)).astype(np.int32))
            signs = xp.asarray(rng.choice([-1.0, 1.0], size=(N, repeat)))
            yield Case("count_sketch", lambda k, a=dense, p=(buckets, signs): (a, *p, 7))
            yield Case(
                "count_sketch_csr", lambda k, a=rows, n=n, p=(buckets, signs): (*a, n, *p, 7)
            )
        yield Case("product_pass", lambda k, a=dense, r=rest: (a, r[2], r[0], 0.4))
        yield Case("sparse_gram", lambda k, a=rows, r=rest, n=n: (*a, r[0], n))


def _rows(xp, A):
    matrix = sparse.csr_array(A)
    return (
        xp.asarray(matrix.data),
        xp.asarray(matrix.indices.astype(np.int32)),
        xp.asarray(matrix.indptr.astype(np.int64)),
    )
