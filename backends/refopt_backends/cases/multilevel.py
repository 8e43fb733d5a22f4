"""Example arguments of the kernels on graph Laplacians."""

import numpy as np

from refopt_backends._home import namespace_of
from refopt_backends.reference.multilevel import restricted_laplacian
from refopt_backends.testing import Case

_SINGLE = 1e-5  # a backend may keep the coarse graphs in single precision


def cases(xp, rng):
    """Each kernel on each of the graphs."""
    for graph in graphs(rng):
        arrays = tuple(map(xp.asarray, graph))
        yield Case("restricted_laplacian", lambda k, arrays=arrays: arrays, _renumbered)
        X = xp.asarray(rng.standard_normal((2, graph[3].shape[0])))
        yield from _system_cases(system_of(xp, graph), X)


def graphs(rng):
    """A lattice and graphs of near neighbours, with random weights: arrays, mask, labels."""
    for n, lattice in ((9, True), (100, True), (30, False), (160, False)):
        W = _lattice(round(n**0.5)) if lattice else _near(n, rng)
        W = np.triu(W * (rng.random((n, n)) + 0.2))
        W = W + W.T
        mask = rng.random(n) < 0.08
        mask[-1] = True
        labels = rng.standard_normal((2, n))
        starts = np.concatenate([[0], np.cumsum((W != 0).sum(axis=1))])
        rows, columns = np.nonzero(W)
        yield starts.astype(np.int64), columns.astype(np.int32), W[rows, columns], mask, labels


def system_of(xp, graph):
    """The parts of a system, positive definite also where no label is near."""
    _, reached, _, *parts, _ = restricted_laplacian(*graph)
    parts[3] = np.where(reached, parts[3], parts[3] + 1.0)
    return tuple(map(xp.asarray, parts))


def _renumbered(kernels, result):
    """Nodes in the order of their numbers: each backend has an order of its own."""
    nodes, reached, _, starts, columns, values, diagonal, B = result
    xp = namespace_of(nodes)
    order = xp.argsort(nodes)
    X = xp.zeros((1, nodes.shape[0]), dtype=xp.float64)
    X[0, :] = 1.0 / (2.0 + xp.astype(nodes, xp.float64))
    product = kernels.graph_product(kernels.graph_system(starts, columns, values, diagonal), X)
    return [xp.take(x, order, axis=x.ndim - 1) for x in (nodes, reached, diagonal, B, product)]


def _lattice(m):
    path = np.eye(m, k=1) + np.eye(m, k=-1)
    return np.kron(path, np.eye(m)) + np.kron(np.eye(m), path)


def _near(n, rng):
    X = rng.random((n, 2))
    D = ((X[:, None] - X[None]) ** 2).sum(axis=2) + 9.0 * np.eye(n)
    return (D <= np.sort(D, axis=1)[:, 3:4]).astype(float)


def _system_cases(parts, Y):
    def product(k):
        return k.graph_system(*parts), Y[:, : parts[3].shape[0]]

    def cycle(k):
        A, X = product(k)
        return k.multilevel_hierarchy(A), X

    yield Case("graph_system", lambda k: parts, lambda k, A: k.graph_product(A, product(k)[1]))
    yield Case("graph_product", product)
    yield Case("multilevel_hierarchy", lambda k: product(k)[:1], lambda k, h: h.sizes)
    yield Case("multilevel_cycle", cycle, None, _SINGLE)
