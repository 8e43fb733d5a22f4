"""Label propagation instances: lattices and the nearest-neighbour graph of two moons.

Every generator is a function of its sizes and its seed only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["GraphProblem", "lattice", "two_moons"]


@dataclass(frozen=True, eq=False)
class GraphProblem:
    """Label propagation: ``min 1/2 x'Ax - b'x`` over the values x of unlabelled nodes.

    Parameters
    ----------
    name : str
        What was drawn.
    W : scipy.sparse.csr_array, shape (n, n)
        Symmetric weights.
    labels : ndarray, shape (n,)
        Values of the labelled nodes, 0 at the others.
    mask : ndarray of bool, shape (n,)
        Which nodes are labelled.
    nodes : ndarray of int, shape (m,)
        The unlabelled nodes in whose component there is a label, increasing.
    A : scipy.sparse.csr_array, shape (m, m)
        Laplacian restricted to `nodes`.
    b : ndarray, shape (m,)
        Weights to labelled nodes times their labels.
    points : ndarray, shape (n, 2), or None
        Where the nodes lie in the plane.
    """

    name: str
    W: Any
    labels: np.ndarray
    mask: np.ndarray
    nodes: np.ndarray
    A: Any
    b: np.ndarray
    points: np.ndarray | None = None


def lattice(nr=50, nc=50, nlab=100, wval=1e5, seed=1, labscale=10.0):
    """Draw labels on the nodes of a rectangular lattice with four neighbours each.

    Parameters
    ----------
    nr, nc : int
        Rows and columns; the node in row r and column c is ``c * nr + r``.
    nlab : int
        Number of labelled nodes.
    wval : float
        Weight of every edge.
    seed : int, default 1
        Seed of `numpy.random.default_rng`.
    labscale : float
        Standard deviation of the labels.

    Returns
    -------
    GraphProblem
        The defaults are the lattice of the paper on block coordinate descent.
    """
    rng = np.random.default_rng(seed)
    n = nr * nc
    labelled = rng.choice(n, nlab, replace=False)
    values = labscale * rng.standard_normal(nlab)
    index = np.arange(n).reshape(nc, nr)
    i = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    j = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    points = np.column_stack(np.divmod(np.arange(n), nr)).astype(float)
    name = f"lattice-{nr}-{nc}-{nlab}"
    return _problem(name, _weights(i, j, float(wval), n), labelled, values, points)


def two_moons(n=2000, nlab=100, k=5, noise=0.2, seed=1):
    """Draw two half circles with noise, each point joined to its nearest neighbours.

    Parameters
    ----------
    n : int
        Number of points.
    nlab : int
        Number of labelled ones, with label 1 on the one moon and 2 on the other.
    k : int
        Neighbours of a point; the graph is made symmetric.
    noise : float
        Standard deviation of the noise.
    seed : int, default 1
        Seed of `numpy.random.default_rng`.

    Returns
    -------
    GraphProblem
        With unit weights.
    """
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    upper = rng.random(n) < 0.5
    phi = np.pi * rng.random(n)
    one = np.column_stack([np.cos(phi), np.sin(phi)])
    other = np.column_stack([1.0 + np.cos(phi), 0.5 - np.sin(phi)])
    points = np.where(upper[:, None], one, other) + noise * rng.standard_normal((n, 2))
    near = np.asarray(cKDTree(points).query(points, k + 1)[1])
    W = _weights(np.repeat(np.arange(n), k), near[:, 1:].ravel(), 1.0, n)
    labelled = np.random.default_rng(seed + 1).choice(n, nlab, replace=False)
    values = np.where(upper[labelled], 1.0, 2.0)
    return _problem(f"two-moons-{n}-{nlab}", W, labelled, values, points)


def _weights(i, j, weight, n):
    from scipy.sparse import coo_array

    W = coo_array((np.full(i.size, weight), (i, j)), shape=(n, n)).tocsr()
    return W.maximum(W.T).tocsr()


def _problem(name, W, labelled, values, points):
    from scipy.sparse import diags_array
    from scipy.sparse.csgraph import connected_components

    n = W.shape[0]
    labels, mask = np.zeros(n), np.zeros(n, bool)
    labels[labelled], mask[labelled] = values, True
    count, component = connected_components(W, directed=False)
    touched = np.zeros(count, bool)
    touched[component[labelled]] = True
    nodes = np.flatnonzero(~mask & touched[component])
    L = (diags_array(W.sum(axis=1)) - W).tocsr()
    A, b = L[nodes][:, nodes].tocsr(), W[nodes] @ labels
    return GraphProblem(name, W, labels, mask, nodes, A, b, points)
