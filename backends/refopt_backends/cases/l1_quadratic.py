"""Example arguments of the kernels of quadratic problems with an L1 penalty."""

import numpy as np

from refopt_backends._home import root_of
from refopt_backends.testing import Case


class _Dense:
    """A dense X as the kernels see it: its transpose in `columns`."""

    def __init__(self, xp, columns):
        self.xp, self.columns, self.shape = xp, columns, columns.shape[::-1]

    def take(self, index):
        return _Dense(self.xp, self.xp.take(self.columns, index, axis=0))

    def times(self, w):
        return self.columns.T @ w

    def transposed_times(self, r):
        return self.columns @ r

    def gram(self):
        return self.columns @ self.columns.T


class _Sparse:
    """Compressed columns of SciPy."""

    def __init__(self, matrix):
        self.matrix, self.shape = matrix, matrix.shape

    def take(self, index):
        return _Sparse(self.matrix[:, index])

    def times(self, w):
        return self.matrix @ w

    def transposed_times(self, r):
        return self.matrix.T @ r

    def gram(self):
        return (self.matrix.T @ self.matrix).toarray()


def cases(xp, rng):
    """Minimisers that are unique, as every matrix is definite or has one column."""
    for n, p in ((9, 1), (30, 7), (60, 40), (40, 60)):
        X = rng.standard_normal((n, p)) * (rng.random((n, p)) < 0.5)
        X[:p, :p] += 3 * np.eye(n, p)[:p]
        y, r = rng.standard_normal((2, n))
        w = rng.standard_normal(p) * (rng.random(p) < 0.4)
        matrices = [_Dense(xp, xp.asarray(np.ascontiguousarray(X.T)))]
        if root_of(xp) == "numpy":
            from scipy.sparse import csc_array

            matrices.append(_Sparse(csc_array(X)))
        else:
            matrices += matrices
        for A in matrices:
            yield Case("transposed_product", lambda k, A=A, r=r: (A, xp.asarray(r)))
        for size in {0, 1, p}:
            index = xp.asarray(rng.permutation(p)[:size])
            for A in matrices:
                yield Case("column_dots", lambda k, A=A, i=index, r=r: (A, i, xp.asarray(r)))
                yield Case("column_sum", lambda k, A=A, i=index, w=w[:size]: (A, i, xp.asarray(w)))
        yield from _quadratics(xp, X, y, w)
        yield from _singular(xp, X[: max(2, p // 2)], y[: max(2, p // 2)])
        for A in matrices:
            yield from _least_squares(xp, A, X, y, w)


def _options(q, w):
    """Penalties, starting points and signs."""
    worst = np.abs(q).max(initial=0.0)
    for lam in (1.5 * worst, 0.3 * worst, 0.01 * worst):
        for positive in (False, True):
            start = np.abs(w) if positive else w
            for first in (np.zeros_like(w), start):
                yield np.full_like(w, lam), first, positive
    uneven = 0.1 * worst * (np.arange(w.size) % 3)  # with zeros among them
    yield uneven, np.zeros_like(w), False


def _quadratics(xp, X, y, w):
    p = w.size
    G, q = X.T @ X + 0.1 * np.eye(p), X.T @ y
    for penalty, first, positive in _options(q, w):
        arrays = tuple(xp.asarray(v) for v in (G, q, penalty, first))
        yield Case("l1_quadratic", lambda k, a=arrays, s=positive: (*a, 1e-13, s), _point, 1e-9)
    none = tuple(xp.asarray(v) for v in (G[:0, :0], q[:0], q[:0], q[:0]))
    yield Case("l1_quadratic", lambda k: (*none, 1e-13, False), _point)


def _singular(xp, X, y):
    """More columns than rows, all nonzero at the start: Gw is unique, w need not be."""
    G, q = xp.asarray(X.T @ X), X.T @ y
    for positive in (False, True):
        first = np.abs(q) if positive else q
        worst = max(q.max() if positive else np.abs(q).max(), 0.0)
        arrays = (G, *map(xp.asarray, (q, np.full_like(q, 1e-3 * worst), first)))
        yield Case(
            "l1_quadratic",
            lambda k, a=arrays, s=positive: (*a, 1e-13, s),
            lambda kernels, result, G=G: G @ result[0],
            1e-8,
        )


def _least_squares(xp, A, X, y, w):
    for l2 in (0.1, 3.0):
        for penalty, first, positive in _options(X.T @ y, w):
            rest = tuple(xp.asarray(v) for v in (penalty, first))
            yield Case(
                "l1_least_squares",
                lambda k, a=rest, l2=l2, s=positive: (A, xp.asarray(y), l2, *a, 1e-13, s),
                lambda kernels, result: result[:2],
                1e-9,
            )


def _point(kernels, result):
    """Without the count of factorisations, which is the backend's own."""
    return result[0]
