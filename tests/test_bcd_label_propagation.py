"""Label propagation: known answers, all methods alike, the paper's experiments, refusals."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from refopt import forest_partition, label_propagation
from refopt.block_coordinate._label_propagation import METHODS
from refopt.problems import lattice, two_moons

SLOW = ("tree", "greedy-tree", "random-tree", "red-black")


def small(seed=3):
    return lattice(9, 8, 12, 1.0, seed)


def residual(problem, x):
    r = problem.b - problem.A @ x[problem.nodes]
    return np.linalg.norm(r) / np.linalg.norm(problem.b)


@pytest.mark.parametrize(
    ("problem", "size", "value"),
    [
        (lambda: lattice(30, 20, 60, 1.0, 3), 540, -5736.06416719),
        (lambda: two_moons(500, 25, 5, 0.2, 3), 475, -158.923233517),
        (lattice, 2400, -1062022840.54),
        (two_moons, 1900, -689.541430373),
    ],
)
@pytest.mark.parametrize("method", ["auto", "ic-cg", "cg", "multilevel", "tree-cg"])
def test_minima_of_the_instances(problem, size, value, method):
    problem = problem()
    assert problem.nodes.size == size
    res = label_propagation(problem.W, problem.labels, problem.mask, method=method)
    assert res.success and res.status == 0
    assert res.fun == pytest.approx(value, rel=2e-11)
    assert residual(problem, res.x) <= 1e-10
    assert res.residual == pytest.approx(residual(problem, res.x), rel=1e-2, abs=1e-13)
    np.testing.assert_array_equal(res.x[problem.mask], problem.labels[problem.mask])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_all_methods_give_the_solution(method, backend):
    problem = small()
    res = label_propagation(
        problem.W, problem.labels, problem.mask, method=method, backend=backend, rng=0
    )
    assert res.success and res.backend == backend
    truth = spsolve(problem.A.tocsc(), problem.b)
    np.testing.assert_allclose(res.x[problem.nodes], truth, rtol=0, atol=1e-7)
    if method in SLOW:  # exact block updates never increase f
        assert np.all(np.diff(res.history["fun"]) <= 1e-12 * abs(res.fun))


@pytest.mark.parametrize("method", METHODS)
def test_a_path_is_interpolated_linearly(method):
    n = 40
    path = sparse.diags_array([np.ones(n - 1)] * 2, offsets=[-1, 1], shape=(n, n)).tocsr()
    labels, mask = np.zeros(n), np.zeros(n, bool)
    labels[-1], mask[[0, -1]] = 1.0, True
    res = label_propagation(path, labels, mask, method=method, rng=1, maxiter=100_000)
    np.testing.assert_allclose(res.x, np.linspace(0, 1, n), rtol=0, atol=1e-7)


def test_a_long_path_of_few_labels():
    n = 5000
    path = sparse.diags_array([np.ones(n - 1)] * 2, offsets=[-1, 1], shape=(n, n)).tocsr()
    labels, mask = np.zeros(n), np.zeros(n, bool)
    labels[-1], mask[[0, -1]] = 1.0, True
    res = label_propagation(path, labels, mask, method="tree-cg")
    assert res.success and res.nit <= 2  # one forest: its factor is the solution
    np.testing.assert_allclose(res.x, np.linspace(0, 1, n), rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", ["auto", "multilevel", "tree-cg", "tree"])
def test_several_columns_share_the_work(method):
    problem = two_moons(300, 20, seed=2)
    classes = np.column_stack([problem.labels == 1, problem.labels == 2, problem.labels])
    res = label_propagation(problem.W, classes, problem.mask, method=method)
    assert res.success and res.x.shape == classes.shape
    for k in range(3):
        one = label_propagation(problem.W, classes[:, k], problem.mask, method=method)
        np.testing.assert_allclose(res.x[:, k], one.x, rtol=0, atol=1e-7)
    np.testing.assert_allclose(res.x[:, :2].sum(axis=1), 1.0, atol=1e-7)


def combs(nr, nc):
    """First row and even columns without their last node; the rest. Both are trees."""
    r, c = np.arange(nr * nc) % nr, np.arange(nr * nc) // nr
    return np.where((r == 0) | ((c % 2 == 0) & (r < nr - 1)), 0, 1)


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"method": "tree", "partition": combs(50, 50)}, 1e-4),
        ({"method": "greedy-tree"}, 1e-4),
        ({"method": "tree"}, 0.1),
        ({"method": "random-tree", "rng": 0}, 5.0),
        ({"method": "tree", "partition": np.indices((50, 50)).sum(axis=0).ravel() % 2}, 20.0),
        ({"method": "red-black"}, 3000.0),  # three colours
    ],
    ids=["combs", "greedy tree", "first-fit trees", "random tree", "checkerboard", "colours"],
)
def test_blocks_on_the_papers_lattice(options, bound):
    problem = lattice()
    res = label_propagation(problem.W, problem.labels, problem.mask, maxiter=500, tol=0, **options)
    assert res.nit == 500 and res.status == 1
    assert res.fun - (-1062022840.5368226) <= bound


def test_greedy_trees_beat_fixed_ones_beat_random_ones_beat_colours_on_two_moons():
    problem = two_moons()

    def left(method, **options):
        res = label_propagation(
            problem.W, problem.labels, problem.mask, method=method, maxiter=500, tol=0, **options
        )
        return res.fun - (-689.5414303727672)

    gaps = [left("greedy-tree"), left("tree"), left("random-tree", rng=0), left("red-black")]
    assert gaps == sorted(gaps)
    assert gaps[0] <= 1e-5 and gaps[1] <= 1e-3 and gaps[2] <= 0.1 and 0.1 <= gaps[3] <= 10


def test_isolated_loops_and_stored_zeros_are_no_edges():
    problem = small()
    W = problem.W.tolil()
    W.setdiag(5.0)
    W = sparse.csr_array(W)
    extra = sparse.coo_array(([0.0, 0.0], ([0, 60], [60, 0])), shape=W.shape)
    W = sparse.csr_array(
        (
            np.concatenate([W.tocoo().data, extra.data]),
            (
                np.concatenate([W.tocoo().row, extra.row]),
                np.concatenate([W.tocoo().col, extra.col]),
            ),
        ),
        shape=W.shape,
    )
    one = label_propagation(W, problem.labels, problem.mask)
    two = label_propagation(problem.W, problem.labels, problem.mask)
    np.testing.assert_allclose(one.x, two.x, atol=1e-9)


@pytest.mark.parametrize("form", ["csc", "coo", "dense", "int64 indices", "float32", "integers"])
def test_the_form_of_the_weights_does_not_matter(form):
    problem = lattice(20, 20, 30, 1.0)
    W = problem.W
    if form == "dense":
        W = W.toarray()
    elif form == "int64 indices":
        W = sparse.csr_array((W.data, W.indices.astype(np.int64), W.indptr.astype(np.int64)))
    elif form in ("float32", "integers"):
        W = W.astype(np.float32 if form == "float32" else int)
    else:
        W = W.asformat(form)
    res = label_propagation(W, problem.labels, problem.mask)
    truth = label_propagation(problem.W, problem.labels, problem.mask)
    np.testing.assert_allclose(res.x, truth.x, atol=1e-9)


def test_single_precision_is_returned_as_such():
    problem = small()
    res = label_propagation(
        problem.W.astype(np.float32), problem.labels.astype(np.float32), problem.mask
    )
    assert res.x.dtype == np.float32 and res.success
    assert "single precision tol is at least" in res.message
    assert 1e-9 < res.residual < 1e-5  # of the rounded values
    truth = label_propagation(problem.W, problem.labels, problem.mask)
    np.testing.assert_allclose(res.x, truth.x, atol=1e-4)


def test_weights_of_all_sizes():
    problem = two_moons(1000, 20, seed=5)
    W = sparse.triu(problem.W).tocsr()
    W.data *= 10.0 ** np.random.default_rng(0).uniform(-3, 3, W.nnz)
    res = label_propagation(W + W.T, problem.labels, problem.mask, tol=1e-9)
    assert res.success
    assert 1 - 1e-6 <= res.x.min() and res.x.max() <= 2 + 1e-6  # weighted means


def test_trivial_cases():
    W = np.array([[0.0, 1.0], [1.0, 0.0]])
    res = label_propagation(W, [1.0, 2.0], [True, True])
    assert res.success and res.nit == 0 and res.x.tolist() == [1.0, 2.0]
    res = label_propagation(W, [0.0, 0.0], [True, False])
    assert res.success and res.x.tolist() == [0.0, 0.0]


def test_ends_without_convergence():
    problem = small()
    args = problem.W, problem.labels, problem.mask
    res = label_propagation(*args, maxiter=0)
    assert res.status == 1 and not res.success and res.nit == 0

    def stop(intermediate_result):
        assert intermediate_result.x.shape == problem.labels.shape
        raise StopIteration

    assert label_propagation(*args, callback=stop, method="multilevel").status in (0, 2)
    assert label_propagation(*args, callback=stop, method="tree").status == 2
    assert label_propagation(*args, tol=0.0).status in (0, 1, 3)
    assert label_propagation(*args, history=False).history == {}


def test_refusals():
    problem = small()
    W, labels, mask = problem.W, problem.labels, problem.mask
    with pytest.raises(ValueError, match=r"^mask must label .*singular; .* nodes 1, 2$"):
        label_propagation(
            np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0]]), [1.0, 0, 0], [True, False, False]
        )
    with pytest.raises(ValueError, match=r"^mask must label"):
        label_propagation(W, labels, np.zeros_like(mask))
    with pytest.raises(ValueError, match=r"^W must be nonnegative"):
        label_propagation(-W, labels, mask)
    bad = W.tolil()
    bad[0, 1] = 7.0
    with pytest.raises(ValueError, match=r"^W must be symmetric, got 7.0 at \[0, 1\] and 1.0"):
        label_propagation(bad.tocsr(), labels, mask)
    with pytest.raises(ValueError, match=r"^W must be square"):
        label_propagation(W[:-1], labels, mask)
    with pytest.raises(ValueError, match=r"^labels must have 72 rows"):
        label_propagation(W, labels[:-1], mask)
    with pytest.raises(ValueError, match=r"^labels must be finite"):
        label_propagation(W, labels * np.nan, mask)
    with pytest.raises(ValueError, match=r"^mask must have shape"):
        label_propagation(W, labels, mask[:-1])
    with pytest.raises(ValueError, match=r"^mask must be boolean"):
        label_propagation(W, labels, np.arange(mask.size))
    with pytest.raises(ValueError, match=r"^method must be one of 'auto'"):
        label_propagation(W, labels, mask, method="magic")
    with pytest.raises(ValueError, match=r"^partition must be None"):
        label_propagation(W, labels, mask, partition=np.zeros(72, int))
    with pytest.raises(ValueError, match=r"^partition must consist of forests, got a cycle"):
        label_propagation(W, labels, mask, method="tree", partition=np.zeros(72, int))
    with pytest.raises(TypeError, match=r"W must be real"):
        label_propagation(W * 1j, labels, mask)


def test_tree_cg_on_two_forests_is_cg_on_the_schur_complement_of_the_first():
    problem = lattice(14, 14, 12, 1.0)
    forests = forest_partition(problem.A)
    assert set(forests) == {0, 1}
    partition = np.zeros(problem.mask.size, int)
    partition[problem.nodes] = forests
    res = label_propagation(
        problem.W, problem.labels, problem.mask, method="tree-cg", partition=partition, maxiter=1
    )
    A, b = problem.A.toarray(), problem.b
    first, last = forests == 0, forests == 1
    A11, A12, A22 = A[np.ix_(first, first)], A[np.ix_(first, last)], A[np.ix_(last, last)]
    S = A22 - A12.T @ np.linalg.solve(A11, A12)
    r = b[last] - A12.T @ np.linalg.solve(A11, b[first])
    z = p = np.linalg.solve(A22, r)
    x = np.zeros_like(r)
    for _ in range(10):  # one iteration of label_propagation
        alpha = (r @ z) / (p @ S @ p)
        x, r, before = x + alpha * p, r - alpha * S @ p, r @ z
        z = np.linalg.solve(A22, r)
        p = z + (r @ z) / before * p
    assert 1e-6 < np.linalg.norm(r) / np.linalg.norm(b) < 0.9
    assert res.residual == pytest.approx(np.linalg.norm(r) / np.linalg.norm(b), rel=1e-8)
    np.testing.assert_allclose(res.x[problem.nodes[last]], x, rtol=0, atol=1e-9)
    x1 = np.linalg.solve(A11, b[first] - A12 @ x)
    np.testing.assert_allclose(res.x[problem.nodes[first]], x1, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("graph", "every", "most"), [("lattice", 600, 13), ("random", 25, 4)])
def test_the_incomplete_factor_suits_deep_and_shallow_graphs(graph, every, most):
    rng = np.random.default_rng(0)
    if graph == "lattice":
        W = lattice(100, 100, 400, 1.0).W
    else:
        i, j = rng.integers(0, 10_000, (2, 30_000))
        path = np.arange(9999)
        i, j = np.concatenate([i[i != j], path]), np.concatenate([j[i != j], path + 1])
        W = sparse.csr_array((np.ones(i.size), (i, j)), shape=(10_000, 10_000))
        W = W + W.T
    mask = np.arange(10_000) % every == 0
    renumbered = rng.permutation(10_000)
    for number in (np.arange(10_000), renumbered):
        V = sparse.csr_array(W)[number][:, number]
        res = label_propagation(V, rng.random(10_000), mask[number], method="ic-cg")
        assert res.success and res.nit <= most  # twice that if the other's share were moved


@pytest.mark.parametrize("method", ["auto", "cg", "multilevel", "tree-cg", "tree"])
def test_units_do_not_matter_however_extreme(method):
    problem = small()
    columns = np.column_stack([problem.labels, problem.labels**2, 0.0 * problem.labels])
    truth = label_propagation(problem.W, columns, problem.mask, method=method)
    assert truth.success and not truth.x[:, 2].any()
    sizes = 2.0 ** np.array([700, -700, 0])
    for weight in (2.0**900, 2.0**-900):
        res = label_propagation(weight * problem.W, sizes * columns, problem.mask, method=method)
        assert res.success
        np.testing.assert_allclose(res.x / sizes, truth.x, rtol=0, atol=1e-7)
    res = label_propagation(problem.W * 2.0**40, problem.labels, problem.mask, method=method)
    one = label_propagation(problem.W, problem.labels, problem.mask, method=method)
    assert res.fun == pytest.approx(one.fun * 2.0**40, rel=1e-11)
