"""Example arguments of the kernels of smooth logistic problems."""

import numpy as np

from refopt_backends._home import namespace_of
from refopt_backends.testing import Case


class _Dense:
    """A dense X as the kernels see it: its transpose in `columns`."""

    def __init__(self, X):
        self.columns, self.shape = X.T, X.shape

    def times(self, v):
        return self.columns.T @ v

    def transposed_times(self, r):
        return self.columns @ r

    def take(self, index):
        return _Dense(namespace_of(self.columns).take(self.columns, index, axis=0).T)

    def gram(self, d):
        return (self.columns * d[None, :]) @ self.columns.T

    def weighted_squares(self, d):
        return (self.columns * self.columns) @ d


class _Sparse(_Dense):
    """The same with its compressed rows and columns."""

    def __init__(self, xp, X):
        super().__init__(xp.asarray(X))
        self.by_rows, self.by_columns = _compressed(xp, X), _compressed(xp, X.T)


def _compressed(xp, X):
    rows, columns = np.nonzero(X)
    starts = np.searchsorted(rows, np.arange(X.shape[0] + 1))
    return (
        xp.asarray(X[rows, columns]),
        xp.asarray(columns.astype(np.int32)),
        xp.asarray(starts.astype(np.int64)),
    )


def cases(xp, rng):
    """Dense matrices in both orders and sparse ones with empty rows, with and without intercept."""
    for n, p in ((9, 4), (60, 31), (30, 80), (1500, 70)):
        X = rng.standard_normal((n, p))
        thin = X * (rng.random((n, p)) < 0.2)
        thin[3] = 0.0
        matrices = (
            _Dense(xp.asarray(X)),
            _Dense(xp.asarray(np.ascontiguousarray(X.T)).T),
            _Sparse(xp, thin),
        )
        z = xp.asarray(np.r_[0.0, -800.0, 800.0, 40.0, 5 * rng.standard_normal(n - 4)])
        y = xp.asarray(rng.choice([-1.0, 1.0], n))
        s = xp.asarray(rng.integers(0, 3, n).astype(float))
        d = xp.asarray(0.25 * rng.random(n))
        yield Case("logistic_terms", lambda k, a=(z, y, s): a)
        H, indefinite = xp.asarray(X.T @ X + np.eye(p)), xp.asarray(X.T @ X - 9e3 * np.eye(p))
        yield Case("positive_inverse", lambda k, H=H: (H,), None, 1e-9)
        yield Case("positive_inverse", lambda k, H=indefinite: (H,))
        K = 3
        Z, codes = 9 * rng.standard_normal((n, K)), xp.asarray(rng.integers(0, K, n))
        Z[1] += 1e3
        Z[2, 0] = -2e3
        E = np.exp(Z - Z.max(axis=1, keepdims=True))
        Z, P = xp.asarray(Z), xp.asarray(E / E.sum(axis=1, keepdims=True))
        yield Case("softmax_terms", lambda k, a=(Z, codes, s): a)
        for A in matrices:
            yield Case("weighted_gram", lambda k, A=A, d=d: (A, d))
            for index in (np.arange(0), np.arange(p), np.flatnonzero(rng.random(p) < 0.6)):
                some = xp.asarray(index)
                yield Case("block_gram", lambda k, A=A, d=d, some=some: (A, some, d))
                for args in _models(xp, rng, d, index.size):
                    whole = (A, some, *args)
                    yield Case(
                        "l1_weighted_squares", lambda k, a=whole: a, lambda k, found: found[0], 1e-8
                    )
            for size in (p, p + 1):
                penalty = xp.asarray(np.r_[np.full(p, 0.3), np.zeros(size - p)])
                v = xp.asarray(rng.standard_normal(size))
                scale = xp.asarray(0.5 + rng.random(size))
                inverse = xp.asarray(np.eye(size) + 0.1 / size)
                args = (A, d, penalty)
                V = xp.asarray(rng.standard_normal((size, K)))
                multinomial = (A, P, s, penalty[:, None], V)
                yield Case("softmax_product", lambda k, a=multinomial: a)
                yield Case("hessian_product", lambda k, a=(*args, v): a)
                yield Case("hessian_diagonal", lambda k, a=args: a)
                for near in (scale, inverse):
                    for rtol, limit in ((1e-2, 1000), (1e-12, 3)):
                        args_cg = (*args, v, near, rtol, limit)
                        yield Case("hessian_cg", lambda k, a=args_cg: a, None, 1e-7)


def _models(xp, rng, d, k):
    """Quadratic models, one with a row whose curvature vanished, one without some penalties."""
    theta = rng.standard_normal(d.shape[0])
    flat = np.where(np.arange(d.shape[0]) == 2, 1e-300, 1.0)
    start = rng.standard_normal(k) * (rng.random(k) < 0.5)
    penalty = rng.random(k)
    for weights, free in ((d, False), (d * xp.asarray(flat), False), (d, True)):
        factors = np.where(np.arange(k) < 2, 0.0, penalty) if free else penalty
        yield weights, xp.asarray(theta), 0.1, xp.asarray(factors), xp.asarray(start), 1e-11
