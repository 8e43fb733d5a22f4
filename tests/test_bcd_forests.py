"""Forests in graphs and message passing: right, complete, not recursive, and clear refusals."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from refopt import forest_factor, forest_partition, forest_solve, red_black_partition
from refopt.problems import lattice, two_moons


def tree_matrix(parents, rng, dominance=0.1):
    """A random positive definite matrix on the forest with these parents, renumbered."""
    n = len(parents)
    child = np.flatnonzero(np.asarray(parents) >= 0)
    number = rng.permutation(n)
    i, j = number[child], number[np.asarray(parents)[child]]
    W = sparse.coo_array((rng.uniform(-1, 1, child.size), (i, j)), shape=(n, n)).tocsr()
    W = W + W.T
    return (sparse.diags_array(abs(W).sum(axis=1) + dominance) + W).tocsr()


def random_parents(n, rng, roots=0.0):
    parents = (rng.random(n) * np.arange(n)).astype(int)
    parents[rng.random(n) < roots] = -1
    parents[:1] = -1
    return parents


SHAPES = {
    "tree": lambda n, rng: random_parents(n, rng),
    "forest": lambda n, rng: random_parents(n, rng, roots=0.2),
    "path": lambda n, rng: np.arange(n) - 1,
    "star": lambda n, rng: np.where(np.arange(n) > 0, 0, -1),
    "isolated": lambda n, rng: np.full(n, -1),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", ["numpy", "numba", None])
@pytest.mark.parametrize("n", [1, 2, 3, 17, 100, 500])
def test_solutions_are_those_of_dense_algebra(shape, backend, n):
    rng = np.random.default_rng(n)
    A, b = tree_matrix(SHAPES[shape](n, rng), rng), rng.standard_normal(n)
    x = forest_solve(A, b, backend=backend)
    np.testing.assert_allclose(x, np.linalg.solve(A.toarray(), b), rtol=1e-9, atol=1e-12)
    B = rng.standard_normal((n, 3))
    X = forest_factor(A, backend=backend).solve(B)
    np.testing.assert_allclose(X, np.linalg.solve(A.toarray(), B), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", ["path", "tree", "star"])
def test_nothing_is_recursive(shape):
    n, rng = 100_000, np.random.default_rng(0)
    A, b = tree_matrix(SHAPES[shape](n, rng), rng), rng.standard_normal(n)
    x = forest_solve(A, b)
    assert np.abs(A @ x - b).max() <= 1e-14 * (abs(A) @ abs(x)).max()


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "dense", "float32", "integers"])
def test_the_form_of_the_matrix_does_not_matter(form):
    rng = np.random.default_rng(0)
    A = tree_matrix(random_parents(300, rng), rng)
    A.data = np.round(16 * A.data + 32 * (A.tocoo().row == A.tocoo().col))
    b = np.round(10 * rng.standard_normal(300))
    truth = np.linalg.solve(A.toarray(), b)
    kinds = {"float32": np.float32, "integers": np.int64}
    matrix = A.toarray() if form == "dense" else A
    matrix = A.astype(kinds[form]) if form in kinds else matrix
    matrix = A.asformat(form) if form in ("csc", "coo") else matrix
    np.testing.assert_allclose(forest_solve(matrix, b), truth, rtol=1e-10, atol=1e-12)
    if form == "float32":
        x = forest_solve(matrix, b.astype(np.float32))
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, truth, rtol=1e-5, atol=1e-6)


def test_inputs_stay_as_they_are():
    rng = np.random.default_rng(1)
    A, b = tree_matrix(random_parents(400, rng), rng), rng.standard_normal(400)
    A.data.flags.writeable = b.flags.writeable = False
    forest_solve(A, b)
    forest_partition(A)


GRAPHS = {
    "lattice": lambda: lattice(30, 20, 60, 1.0, 3).A,
    "moons": lambda: two_moons(500, 25, seed=3).A,
    "tree": lambda: tree_matrix(
        random_parents(400, np.random.default_rng(2)), np.random.default_rng(3)
    ),
    "small": lambda: lattice(5, 4, 3, 1.0).A,
}


@pytest.mark.parametrize("order", ["lipschitz", "index", "reversed"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_blocks_are_forests_and_colours_have_no_edge(graph, order):
    A = GRAPHS[graph]()
    n = A.shape[0]
    order = np.arange(n)[::-1] if order == "reversed" else order
    labels = forest_partition(A, order)
    assert labels.shape == (n,) and set(labels) == set(range(labels.max() + 1))
    for f in range(labels.max() + 1):
        block = A[labels == f][:, labels == f]
        edges = (block.nnz - block.shape[0]) // 2
        trees = connected_components(block, directed=False)[0]
        assert edges == block.shape[0] - trees
    if graph == "tree":
        assert labels.max() == 0
    colours = red_black_partition(A, order)
    assert set(colours) == set(range(colours.max() + 1))
    coo = A.tocoo()
    off = coo.row != coo.col
    assert np.all(colours[coo.row[off]] != colours[coo.col[off]])
    for backend in ("numpy", "numba"):
        np.testing.assert_array_equal(labels, forest_partition(A, order, backend=backend))
        np.testing.assert_array_equal(colours, red_black_partition(A, order, backend=backend))


def test_the_order_of_decreasing_diagonal_is_the_default():
    A = GRAPHS["moons"]()
    order = np.argsort(-A.diagonal(), kind="stable")
    np.testing.assert_array_equal(forest_partition(A), forest_partition(A, order))
    np.testing.assert_array_equal(red_black_partition(A), red_black_partition(A, "lipschitz"))


def test_a_full_lattice_is_red_and_black():
    W = lattice(12, 9, 1, 1.0).W
    labels = red_black_partition(W, "index")
    r, c = np.arange(108) % 12, np.arange(108) // 12
    np.testing.assert_array_equal(labels, (r + c) % 2)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_cycles_are_named(backend):
    A = 3.0 * np.eye(6)
    for i, j in ((0, 1), (1, 2), (2, 4), (4, 1), (4, 5)):
        A[i, j] = A[j, i] = -1.0
    with pytest.raises(ValueError, match=r"^A must have a forest as its graph, got the cycle") as e:
        forest_factor(A, backend=backend)
    named = [int(i) for i in str(e.value).partition("cycle ")[2].split(" - ")]
    assert sorted(named[:-1]) == [1, 2, 4] and named[0] == named[-1]


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("d", [0.0, -1.0, 1.0])
def test_indefinite_matrices_are_refused(backend, d):
    A = np.array([[d, 1.0], [1.0, 1.0]])
    with pytest.raises(np.linalg.LinAlgError, match="A is not positive definite"):
        forest_factor(A, backend=backend)


def test_refusals():
    A = np.array([[2.0, -1.0], [-1.0, 2.0]])
    with pytest.raises(ValueError, match=r"^A must be square"):
        forest_factor(A[:1])
    with pytest.raises(ValueError, match=r"^A must be symmetric, got 1.0 at \[0, 1\] and -1.0 at"):
        forest_partition(np.array([[2.0, 1.0], [-1.0, 2.0]]))
    with pytest.raises(ValueError, match=r"^A must be finite|^the data of A must be finite"):
        forest_partition(A * np.nan)
    with pytest.raises(ValueError, match=r"^b must have 2 rows"):
        forest_solve(A, np.ones(3))
    with pytest.raises(ValueError, match=r"^b must be finite"):
        forest_solve(A, [1.0, np.inf])
    with pytest.raises(ValueError, match=r"^order must be one of 'lipschitz', 'index'"):
        forest_partition(A, "size")
    for order in ([0, 0], [0], [0.0, 1.0]):
        with pytest.raises(ValueError, match=r"^order must"):
            red_black_partition(A, np.array(order))
    with pytest.raises(TypeError, match=r"^A must be real"):
        forest_factor(A * 1j)
