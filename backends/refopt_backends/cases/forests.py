"""Example arguments of the kernels on graphs and forests."""

import numpy as np

from refopt_backends.testing import Case


def cases(xp, rng):
    """Random graphs, trees of all shapes, a forest with isolated nodes, a cycle."""
    for n, share in ((1, 0.0), (2, 1.0), (30, 0.1), (60, 0.3)):
        graph = rng.random((n, n)) < share
        yield from _partitions(xp, _symmetric(np.tril(graph, -1), rng), rng.permutation(n))
    yield from _partitions(xp, np.zeros((0, 0)), np.arange(0))
    for n in (0, 1, 2, 40, 90):
        for above in _parents(n, rng):
            graph = np.zeros((n, n), bool)
            for i, p in enumerate(above):
                if p >= 0:
                    graph[i, p] = True
            p = rng.permutation(n)
            yield from _forest(xp, _symmetric(graph, rng)[np.ix_(p, p)], rng)
    for n in (3, 50):  # a ring with a tail
        ring = np.eye(n, k=-1, dtype=bool)
        ring[2 * n // 3, 0] = True
        A = _symmetric(ring, rng)
        yield Case("forest_order", lambda k, A=A: _rows(xp, A))


def _parents(n, rng):
    yield [i - 1 for i in range(n)]  # a path
    yield [0 if i else -1 for i in range(n)]  # a star
    yield [int(rng.integers(-1, i)) if i else -1 for i in range(n)]  # a random forest
    yield [-1] * n


def _symmetric(pattern, rng):
    """Weights on the lower triangle of a pattern, both ways, under a dominant diagonal."""
    A = np.where(pattern, -rng.random(pattern.shape) - 0.1, 0.0)
    A = A + A.T
    return A + np.diag(rng.random(A.shape[0]) + np.abs(A).sum(axis=1))


def _rows(xp, A):
    starts = np.concatenate([[0], np.cumsum((A != 0).sum(axis=1))])
    rows, columns = np.nonzero(A)
    return (
        xp.asarray(starts.astype(np.int64)),
        xp.asarray(columns.astype(np.int32)),
        xp.asarray(A[rows, columns]),
    )


def _partitions(xp, A, order):
    starts, columns, values = _rows(xp, A)
    order = xp.asarray(order.astype(np.int64))
    for kernel in ("forest_labels", "forest_mask", "colour_labels"):
        yield Case(kernel, lambda k: (starts, columns, order))
    yield Case("is_symmetric", lambda k: (starts, columns, values, 1e-8))
    if A.shape[0] > 2:
        for i, j in ((0, 1), (2, 1), (-1, 0)):
            B = A.copy()
            B[i, j] += 1.0
            yield Case("is_symmetric", lambda k, B=B: (*_rows(xp, B), 1e-8))


def _forest(xp, A, rng):
    starts, columns, values = _rows(xp, A)
    B = xp.asarray(rng.standard_normal((2, A.shape[0])))
    yield Case("forest_order", lambda k: (starts, columns, values))
    for shift in (0.0, 0.5):  # the second is not positive definite everywhere
        d = xp.where(values > 0, values - shift, values)

        def pivots(k, d=d):
            return k.forest_order(starts, columns, d)[1:4]

        yield Case("forest_pivots", pivots)

    def sweeps(k):
        order, parent, diagonal, link, _ = k.forest_order(starts, columns, values)
        return (order, parent, *k.forest_pivots(parent, diagonal, link), B)

    yield Case("forest_sweeps", sweeps)
