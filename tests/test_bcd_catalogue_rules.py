"""Partitions, selection rules and the combinations that are refused."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

import refopt
from catalogue import GRAM, LABELS, A, B, P, Y, composite, graph, smooth
from refopt import identify_active_set, minimize_bcd, select_block
from refopt.block_coordinate import LeastSquares, Logistic, Quadratic, Softmax
from refopt.block_coordinate._partitions import make_partition
from refopt.block_coordinate._selection import Selector, top
from refopt.block_coordinate._updates_smooth import cubic_step
from refopt.penalties import L1, Box, NonnegativeL1

RNG = np.random.default_rng(0)
G = RNG.standard_normal(9)
H = (lambda M: M.T @ M)(RNG.standard_normal((12, 9)) * (0.2 + RNG.random(9)))
L = np.diag(H).copy()


def _subsets(tau):
    return [np.array(b) for b in itertools.combinations(range(9), tau)]


# -- partitions -------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 5, P])
@pytest.mark.parametrize("name", ["order", "sort", "average", "sort-h", "average-h"])
def test_fixed_partitions_are_disjoint_and_complete(name, size):
    blocks = make_partition(LeastSquares(A, B).model, name, size).blocks
    assert sorted(np.concatenate([b.index for b in blocks])) == list(range(P))
    assert [len(b.index) for b in blocks[:-1]] == [size] * (len(blocks) - 1)


def test_what_chunks_are_cut_from():
    problem = LeastSquares(np.diag([3.0, 1.0, 2.0, 5.0, 4.0]), np.ones(5))
    cut = {
        name: [b.index.tolist() for b in make_partition(problem.model, name, 2).blocks]
        for name in ("order", "sort", "average")
    }
    assert cut["order"] == [[0, 1], [2, 3], [4]]
    assert cut["sort"] == [[1, 2], [0, 4], [3]]
    assert cut["average"] == [[1, 3], [2, 4], [0]]


def test_row_sums():
    np.testing.assert_allclose(LeastSquares(A, B).model.row_sums(), np.abs(GRAM).sum(axis=0))
    np.testing.assert_allclose(Logistic(A, Y).model.row_sums(), np.abs(GRAM).sum(axis=0) / 4)
    problem = Softmax(A, LABELS)
    everything = np.arange(problem.model.size)
    H = problem.block_bound(everything)
    np.testing.assert_allclose(problem.model.row_sums(), np.abs(H).sum(axis=0))
    d = RNG.standard_normal(problem.model.size)
    np.testing.assert_allclose(problem.model.bound_times(d), H @ d)


def test_graph_partitions():
    matrix = graph(50, 0.04)
    problem = Quadratic(matrix, np.ones(50))
    dense = matrix.toarray()
    for name in ("red-black", "tree"):
        blocks = make_partition(problem.model, name, None).blocks
        assert sorted(np.concatenate([b.index for b in blocks])) == list(range(50))
        for b in blocks:
            edges = np.count_nonzero(np.triu(dense[np.ix_(b.index, b.index)], 1))
            parts, _ = sp.csgraph.connected_components(matrix[b.index][:, b.index])
            assert edges == len(b.index) - parts
            assert name == "tree" or edges == 0


def test_users_blocks_may_be_labels_or_index_sets_of_any_size():
    problem = LeastSquares(A, B)
    labels = np.arange(P) % 3
    sets = [np.flatnonzero(labels == k) for k in range(3)]
    one = minimize_bcd(problem, partition=labels, selection="gsq", maxiter=20)
    two = minimize_bcd(problem, partition=sets, selection="gsq", maxiter=20)
    np.testing.assert_array_equal(one.x, two.x)
    uneven = [[0], list(range(1, P))]
    res = minimize_bcd(problem, partition=uneven, selection="gsl", maxiter=300, tol=1e-10)
    assert res.success
    assert set(res.history["block_size"][1:]) <= {1, P - 1}


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        ([[0, 1], [1, 2]], "disjoint"),
        ([[0, 1], [2]], "complete"),
        ([[0, 99]], "indices 0"),
        (np.zeros(3, dtype=int), "one label per coordinate"),
        ("chunks", "'variable'"),
    ],
)
def test_bad_partitions(partition, message):
    with pytest.raises(ValueError, match=message):
        minimize_bcd(LeastSquares(A, B), partition=partition)


# -- rules --------------------------------------------------------------------------


def test_the_largest_scores_and_ties():
    assert top(np, np.array([1.0, 3.0, 3.0, 0.0, 3.0]), 2).tolist() == [1, 2]
    for tau in range(1, 10):
        assert set(top(np, G, tau)) == set(np.argsort(-G)[:tau])


@pytest.mark.parametrize("tau", [1, 2, 4])
def test_variable_blocks_equal_brute_force(tau):
    scores = {
        "gs": lambda b: (G[b] ** 2).sum(),
        "gsd": lambda b: (G[b] ** 2 / L[b]).sum(),
        "gsl": lambda b: (G[b] ** 2).sum() / L[b].sum(),
    }
    for rule, score in scores.items():
        chosen = select_block(G, L, tau, rule)
        best = max(_subsets(tau), key=score)
        assert score(chosen) == pytest.approx(score(best)), rule
    D = np.abs(H).sum(axis=0)
    chosen = select_block(G, L, tau, "gsd", diag=D)
    assert set(chosen) == set(max(_subsets(tau), key=lambda b: (G[b] ** 2 / D[b]).sum()))


@pytest.mark.parametrize("rule", ["gsq", "gsq-omp"])
def test_gsq_is_not_below_gsd_and_not_above_the_best(rule):
    def score(b):
        return G[b] @ np.linalg.solve(H[np.ix_(b, b)], G[b])

    for tau in (1, 2, 4):
        chosen = score(select_block(G, L, tau, rule, H=H))
        assert chosen >= score(select_block(G, L, tau, "gsd")) * (1 - 1e-12)
        assert chosen <= max(map(score, _subsets(tau))) * (1 + 1e-12)
    assert score(select_block(G, L, 1, rule, H=H)) == pytest.approx(max(map(score, _subsets(1))))


@pytest.mark.parametrize("penalty", [L1(0.7), NonnegativeL1(0.3), Box(-0.2, 0.4, 0.1)])
def test_proximal_scores_against_their_definitions(penalty):
    x = penalty.prox(RNG.standard_normal(9), 0.5)
    d = penalty.prox(x - G / L, 1 / L) - x
    s = G * d + 0.5 * L * d * d + penalty.values(x + d * (1 - 1e-15)) - penalty.values(x)
    assert set(select_block(G, L, 3, "gs-q", x=x, prox=penalty)) == set(np.argsort(s)[:3])
    chosen = select_block(G, L, 3, "gs-r", x=x, prox=penalty)
    assert np.abs(d)[chosen].sum() == pytest.approx(np.sort(np.abs(d))[-3:].sum())
    # the least subgradient, from difference quotients on both sides
    e = 1e-7
    with np.errstate(invalid="ignore"):
        right = G + (penalty.values(x + e) - penalty.values(x)) / e
        left = G + (penalty.values(x) - penalty.values(x - e)) / e
    least = np.where(right < 0, -right, np.where(left > 0, left, 0.0))
    np.testing.assert_allclose(penalty.distance(x, G), least, atol=1e-5)
    chosen = select_block(G, L, 3, "gs-s", x=x, prox=penalty)
    assert least[chosen].sum() == pytest.approx(np.sort(least)[-3:].sum(), abs=1e-4)


def test_without_penalty_gs_q_ranks_as_gsd():
    assert select_block(G, L, 4, "gs-q").tolist() == select_block(G, L, 4, "gsd").tolist()


def test_coordinates_without_curvature_are_never_selected():
    flat = L.copy()
    flat[[2, 5]] = 0.0
    for rule in ("gs", "gsd", "gsl", "gs-q", "gs-r", "gs-s", "random", "lipschitz"):
        assert not {2, 5} & set(select_block(10 * G, flat, 7, rule, rng=0).tolist())
    assert len(select_block(G, flat, 9, "gs")) == 7


def test_random_rules_follow_their_laws():
    rng = np.random.default_rng(0)
    uniform = np.bincount([select_block(G, L, 1, "random", rng=rng)[0] for _ in range(3000)])
    weighted = np.bincount(
        [select_block(G, L, 1, "lipschitz", rng=rng)[0] for _ in range(3000)], minlength=9
    )
    np.testing.assert_allclose(uniform / 3000, 1 / 9, atol=0.03)
    np.testing.assert_allclose(weighted / 3000, L / L.sum(), atol=0.04)


@pytest.mark.parametrize("partition", ["order", "variable"])
@pytest.mark.parametrize("rule", ["cyclic", "permuted-cyclic"])
def test_every_round_of_a_cyclic_rule_visits_all(rule, partition):
    problem = LeastSquares(A, B)
    blocks = make_partition(problem.model, partition, 4)
    selector = Selector(problem.model, blocks, rule, "lipschitz", np.random.default_rng(0))
    rounds = []
    for _ in range(3):
        picked = [selector.choose(None, None, None).index for _ in range(selector.count)]
        assert sorted(np.concatenate(picked)) == list(range(P))
        rounds.append([b.tolist() for b in picked])
    assert (rounds[0] == rounds[1]) == (rule == "cyclic")


@pytest.mark.parametrize("name", ["least squares", "quadratic", "graph"])
def test_mi_picks_what_gsq_picks_on_quadratics(name):
    problem = smooth()[name]
    blocks = make_partition(problem.model, "sort", 4)
    x = RNG.standard_normal(problem.model.size)
    g = problem.grad(x)
    falls = []
    for b in blocks.blocks:
        y = x.copy()
        y[b.index] -= np.linalg.solve(problem.block_bound(b.index), g[b.index])
        falls.append(problem.fun(x) - problem.fun(y))
    for rule in ("mi", "gsq"):
        selector = Selector(problem.model, blocks, rule, "lipschitz", None)
        assert selector.choose(x, problem.model.state(x), g) is blocks.blocks[int(np.argmax(falls))]


def test_mi_looks_for_the_largest_decrease_of_a_logistic_loss():
    problem = smooth()["logistic"]
    blocks = make_partition(problem.model, "order", 5)
    x = np.zeros(P)
    z, g = problem.model.state(x), problem.grad(x)
    chosen = Selector(problem.model, blocks, "mi", "lipschitz", None).choose(x, z, g)
    values = []
    for b in blocks.blocks:
        others = np.setdiff1d(np.arange(P), b.index)
        alone = minimize_bcd(
            Logistic(np.where(np.isin(np.arange(P), others), 0.0, A), Y, l2=0.1),
            block_size=5, tol=1e-10,
        )  # fmt: skip
        values.append(alone.fun)
    assert chosen is blocks.blocks[int(np.argmin(values))]


def test_the_cubic_step_is_the_minimum_of_its_model():
    for M in (1e-6, 0.1, 3.0, 1e6):
        g, Hb = G[:4], H[:4, :4]
        d = cubic_step(np, g, Hb, M)
        assert np.allclose(g + Hb @ d + M / 2 * np.linalg.norm(d) * d, 0, atol=1e-10)
    h, g, M = 2.0, -3.0, 5.0
    grid = np.linspace(-3, 3, 600001)
    model = g * grid + h / 2 * grid**2 + M / 6 * np.abs(grid) ** 3
    d = cubic_step(np, np.array([g]), np.array([[h]]), M)
    assert d[0] == pytest.approx(grid[np.argmin(model)], abs=1e-5)
    flat = cubic_step(np, np.array([1.0, 2.0]), np.zeros((2, 2)), 1.0)  # no curvature at all
    assert np.linalg.norm(flat) ** 2 / 2 == pytest.approx(np.sqrt(5))
    assert not cubic_step(np, np.zeros(3), np.eye(3), 1.0).any()


# -- refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "options", "reason"),
    [
        ("lasso", {"selection": "gs"}, "smooth problems; with l1"),
        ("lasso", {"update": "newton"}, "smooth problems; with l1"),
        ("graph, l1", {"partition": "tree", "update": "message-passing"}, "smooth problems"),
        ("least squares", {"update": "two-metric"}, "needs bounds or l1"),
        ("logistic", {"update": "exact"}, "quadratic"),
        ("least squares", {"selection": "mi"}, "fixed blocks"),
        ("least squares", {"selection": "gsq-omp", "partition": "sort"}, "variable blocks"),
        ("least squares", {"partition": "tree"}, "sparse matrix"),
        ("quadratic", {"partition": "red-black"}, "sparse matrix"),
        ("graph", {"update": "message-passing"}, "forest"),
        ("graph", {"update": "message-passing", "partition": [range(P)]}, "cycle"),
        ("graph", {"partition": "random-tree", "selection": "gs"}, "at random"),
        ("graph", {"partition": "greedy-tree", "selection": "gsq"}, "score of single"),
        ("lasso", {"selection": "best"}, "'gs-q'"),
        ("lasso", {"update": "best"}, "'prox-newton'"),
        ("lasso", {"diag": "best"}, "'row-sum'"),
        ("lasso", {"block_size": 0}, "at least 1"),
        ("lasso", {"block_size": P + 1}, "at most the number of coordinates"),
        ("lasso", {"x0": np.ones(3)}, "x0 must have shape"),
        ("lasso", {"x0": np.full(P, np.nan)}, "x0 must be finite"),
        ("lasso", {"backend": "fast"}, "fast"),
    ],
)
def test_what_does_not_combine_is_refused_with_the_reason(problem, options, reason):
    if isinstance(options.get("partition"), list):
        options = options | {"partition": [np.array(b) for b in options["partition"]]}
    with pytest.raises(ValueError, match=reason):
        minimize_bcd((smooth() | composite())[problem], **options)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LeastSquares(A, B, l1=-1), ValueError, "l1"),
        (lambda: LeastSquares(A, B, l1=1, bounds=(-1, 1)), ValueError, "change its sign"),
        (lambda: LeastSquares(A, B, bounds=(1, 0)), ValueError, "lower <= upper"),
        (lambda: LeastSquares(A, B, bounds=3), TypeError, "pair"),
        (lambda: LeastSquares(A, B, bounds=(np.nan, 1)), ValueError, "lower <= upper"),
        (lambda: LeastSquares(A, B, l1=1, weights=-np.ones(P)), ValueError, "nonnegative"),
        (lambda: LeastSquares(A, B[:-1]), ValueError, "b must have one entry per row"),
        (lambda: LeastSquares(A * 1j, B), TypeError, "real"),
        (lambda: Logistic(A, np.arange(len(B))), ValueError, "classes"),
        (lambda: Logistic(A, np.ones(len(B))), ValueError, "unbounded"),
        (lambda: Softmax(A, np.ones(len(B))), ValueError, "unbounded"),
        (lambda: Quadratic(A[:P] + 5 * np.eye(P, k=1), B[:P]), ValueError, "symmetric"),
        (lambda: Quadratic(-np.eye(2), np.ones(2)), ValueError, "semidefinite"),
        (lambda: Quadratic([[0.0, 1.0], [1.0, 0.0]], np.ones(2)), ValueError, "semidefinite"),
        (lambda: Quadratic(A, B), ValueError, "square"),
        (lambda: minimize_bcd(lambda x: x), TypeError, "problem object"),
        (lambda: select_block(G, L, 3, "mi"), ValueError, "rule"),
        (lambda: select_block(G, L, 3, "gsq"), ValueError, "needs H"),
        (lambda: select_block(G, L, 3, "gs", prox=L1(1.0)), ValueError, "smooth"),
        (lambda: select_block(G, L[:3], 3), ValueError, "L must have 9"),
        (lambda: select_block(G, -L, 3), ValueError, "L must be nonnegative"),
        (lambda: select_block(G, L, 3, prox="l1"), TypeError, "prox must be"),
        (lambda: identify_active_set([0.0], [0.0], None), TypeError, "problem must be"),
        (lambda: LeastSquares(A, B).block_grad(np.zeros(P), [P]), ValueError, "b must hold"),
        (lambda: LeastSquares(A, B).block_bound([-1]), ValueError, "b must hold"),
        (lambda: LeastSquares(A, B).hess(np.zeros(P), [True] * P), TypeError, "b must be a vector"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_matrix_that_is_not_positive_definite():
    path = np.diag([1.0, 1.0, 1.0]) - np.eye(3, k=1) - np.eye(3, k=-1)
    problem = Quadratic(sp.csc_array(path), np.ones(3))
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        minimize_bcd(problem, partition="tree")
    assert refopt.forest_partition(path).max() == 0
