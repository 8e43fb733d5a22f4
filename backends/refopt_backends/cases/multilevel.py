"""Example arguments of the kernels on graph Laplacians."""

import numpy as np

from refopt_backends.testing import Case

_SINGLE = 1e-5  # a backend may keep the coarse graphs in single precision


def cases(xp, rng):
    """A lattice, which is bipartite, and graphs of near neighbours, with random weights."""
    for n, bipartite in ((9, True), (100, True), (30, False), (160, False)):
        W = _lattice(round(n**0.5)) if bipartite else _near(n, rng)
        W = np.triu(W * (rng.random((n, n)) + 0.2))
        W = W + W.T
        mask = rng.random(n) < 0.08
        mask[-1] = True
        labels = rng.standard_normal((2, n))
        starts = np.concatenate([[0], np.cumsum((W != 0).sum(axis=1))])
        rows, columns = np.nonzero(W)
        graph = (starts.astype(np.int64), columns.astype(np.int32), W[rows, columns], mask, labels)
        yield from _system_cases(xp, tuple(map(xp.asarray, graph)), rng)


def _lattice(m):
    path = np.eye(m, k=1) + np.eye(m, k=-1)
    return np.kron(path, np.eye(m)) + np.kron(np.eye(m), path)


def _near(n, rng):
    X = rng.random((n, 2))
    D = ((X[:, None] - X[None]) ** 2).sum(axis=2) + 9.0 * np.eye(n)
    return (D <= np.sort(D, axis=1)[:, 3:4]).astype(float)


def _system_cases(xp, graph, rng):
    yield Case("restricted_laplacian", lambda k: graph)
    Y = rng.standard_normal((2, graph[3].shape[0]))

    def system(k):
        _, reached, half, *parts, B = k.restricted_laplacian(*graph)
        # so that the matrix is positive definite also where no label is near
        parts[3] = xp.where(reached, parts[3], parts[3] + 1.0)
        return k.graph_system(*parts, half), half, parts[3], xp.asarray(Y[:, : B.shape[1]])

    def product(k):
        A, _, _, X = system(k)
        return A, X

    def eliminated(k):
        A, _, _, X = system(k)
        return A, X, 2.0 * X

    def step(k):
        A, half, d, X = system(k)
        X = xp.asarray(X[:, :half], copy=True)
        R = X + 1.0
        rho = xp.sum(R * R / d[:half], axis=1)
        return A, X, R, R / d[:half], rho, xp.asarray([0.0, 1.0]), 3

    def matrix(k, A):
        return k.graph_product(A, product(k)[1])

    yield Case("graph_system", lambda k: _arguments(k, graph), matrix)
    yield Case("graph_product", product)
    yield Case("eliminate", eliminated)
    yield Case("reduced_cg_steps", step)
    yield Case("multilevel_hierarchy", lambda k: product(k)[:1], lambda k, h: h.sizes)

    def cycle(k):
        A, X = product(k)
        return k.multilevel_hierarchy(A), X

    yield Case("multilevel_cycle", cycle, None, _SINGLE)


def _arguments(k, graph):
    _, _, half, *parts, _ = k.restricted_laplacian(*graph)
    return *parts, half
