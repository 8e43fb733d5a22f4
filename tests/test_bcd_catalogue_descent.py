"""Every partition, selection and update that combine: F never increases, by how much it falls."""

import itertools

import numpy as np
import pytest

from catalogue import A, P, everything, graph, smooth
from refopt import minimize_bcd
from refopt.block_coordinate import LeastSquares, Quadratic, SVMDual
from refopt.block_coordinate._block import Block
from refopt.block_coordinate._combinations import UPDATES
from refopt.block_coordinate._selection import NAMES
from refopt.block_coordinate._updates_proximal import prox_gradient, prox_newton, two_metric
from refopt.block_coordinate._updates_smooth import Backtracking, cubic, gradient, matrix, newton

PROBLEMS = everything()
SMOOTH = smooth()
BLIND = ("cyclic", "permuted-cyclic", "random", "lipschitz")  # a block may be optimal already
GRAPH_PARTITIONS = ("red-black", "tree", "greedy-tree", "random-tree")


@pytest.mark.parametrize(
    "partition", ["variable", "sort", "average-h", "blocks", *GRAPH_PARTITIONS]
)
@pytest.mark.parametrize("name", PROBLEMS)
def test_no_iteration_increases_the_objective(name, partition):
    problem = PROBLEMS[name]
    if partition == "blocks":
        partition = [range(3), range(3, problem.model.size)]
        partition = [np.array(b) for b in partition]
    combined = 0
    for selection, update in itertools.product(NAMES, UPDATES):
        try:
            res = minimize_bcd(
                problem, partition=partition, selection=selection, update=update,
                block_size=4, maxiter=5 if selection in BLIND else 2, tol=0, rng=0,
            )  # fmt: skip
        except ValueError:
            continue  # which ones is asked in test_bcd_catalogue_rules
        combined += 1
        fun = res.history["fun"]
        assert np.isfinite(fun).all()
        rise = np.diff(fun)
        assert (rise <= 1e-12 * np.abs(fun[:-1]) + 1e-15).all(), (selection, update, rise.max())
        assert fun[-1] < fun[0], (selection, update)
    graphs = isinstance(problem, Quadratic) and problem.model.sparse
    assert combined >= 10 or (isinstance(partition, str) and partition in GRAPH_PARTITIONS)
    if partition in ("red-black", "tree") if isinstance(partition, str) else False:
        assert (combined > 0) == graphs


def _points(problem, seed=0):
    """Random blocks at random points."""
    rng = np.random.default_rng(seed)
    for size in (1, 2, 5):
        x = problem.model.start() + 0.3 * rng.standard_normal(problem.model.size)
        index = np.sort(rng.choice(problem.model.size, size, replace=False))
        z = problem.model.state(x)
        yield Block(problem.model, index).at(x, z), x, index


def _decrease(problem, x, index, new):
    y = x.copy()
    y[index] = new
    return problem.fun(x) - problem.fun(y)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_updates_keep_their_promises(name):
    problem = SMOOTH[name]
    for point, x, index in _points(problem):
        g, block = point.gradient, point.block
        slack = 1e-12 * abs(problem.fun(x))
        by_gradient = g @ g / (2 * block.lipschitz)
        by_matrix = 0.5 * g @ np.linalg.pinv(block.bound) @ g
        D = len(index) * problem.lipschitz()[index]
        assert by_matrix >= by_gradient * (1 - 1e-9)
        assert by_matrix >= 0.5 * (g * g / D).sum() * (1 - 1e-9)
        assert _decrease(problem, x, index, gradient(point)) >= by_gradient - slack
        assert _decrease(problem, x, index, matrix(point)) >= by_matrix - slack
        assert _decrease(problem, x, index, newton(point)) > 0
        update = Backtracking(problem.model)
        gained = _decrease(problem, x, index, update(point))
        assert gained >= g @ g / (2 * update.estimates[index[0]]) - slack
        d = cubic(point) - point.x
        model = g @ d + 0.5 * d @ point.hessian @ d + block.third / 6 * np.linalg.norm(d) ** 3
        if block.third:
            assert _decrease(problem, x, index, point.x + d) >= -model - slack
        if problem.model.quadratic:
            assert _decrease(problem, x, index, matrix(point)) == pytest.approx(by_matrix, rel=1e-7)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_block_constants_bound_the_hessian(name):
    problem = SMOOTH[name]
    for point, x, index in _points(problem, seed=1):
        H = problem.hess(x, index)
        bound = problem.block_bound(index)
        scale = np.abs(bound).max()
        assert np.linalg.eigvalsh(bound - H).min() >= -1e-10 * scale
        L = problem.lipschitz()[index]
        assert L.max() * (1 - 1e-9) <= point.block.lipschitz <= L.sum() * (1 + 1e-9)
        # along a line the Hessian changes by at most M_b
        d = np.linspace(1, 2, len(index)) * 1e-3
        y = x.copy()
        y[index] += d
        change = np.linalg.norm(problem.hess(y, index) - H, 2)
        assert change <= point.block.third * np.linalg.norm(d) + 1e-9 * scale
        e = 1e-6
        rows = []
        for i in index:
            up, down = x.copy(), x.copy()
            up[i] += e
            down[i] -= e
            rows.append((problem.block_grad(up, index) - problem.block_grad(down, index)) / (2 * e))
        np.testing.assert_allclose(rows, H, atol=1e-6 * scale)


@pytest.mark.parametrize("name", ["least squares", "quadratic", "graph"])
def test_an_exact_update_zeroes_the_block_gradient(name):
    problem = SMOOTH[name]
    for point, x, index in _points(problem, seed=2):
        y = x.copy()
        y[index] = matrix(point)
        assert np.abs(problem.block_grad(y, index)).max() <= 1e-12 * np.abs(problem.grad(x)).max()


def test_message_passing_zeroes_the_gradient_of_a_whole_tree():
    problem = Quadratic(graph(60, 0.03), np.arange(60.0))
    seen = []
    minimize_bcd(
        problem, partition="tree", selection="cyclic", update="message-passing", maxiter=3,
        callback=lambda intermediate_result: seen.append(intermediate_result.x), tol=0,
    )  # fmt: skip
    from refopt import forest_partition

    labels = forest_partition(problem.model.design.matrix)
    for k, x in enumerate(seen):
        on = labels == k % (labels.max() + 1)
        assert np.abs(problem.grad(x)[on]).max() <= 1e-12 * 60


@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - set(SMOOTH)))
def test_proximal_updates_keep_their_promises(name):
    problem = PROBLEMS[name]
    rng = np.random.default_rng(3)
    for size in (1, 3, 6):
        x = problem.model.penalty.prox(0.4 * rng.standard_normal(problem.model.size), 0.1)
        index = np.sort(rng.choice(problem.model.size, size, replace=False))
        block = Block(problem.model, index)
        point = block.at(x, problem.model.state(x))
        slack = 1e-12 * abs(problem.fun(x)) + 1e-15
        new = prox_gradient(point)
        d = new - point.x
        model = point.gradient @ d + 0.5 * block.lipschitz * d @ d
        model += problem.model.penalty.take(index).changes(point.x, new).sum()
        assert model <= slack
        assert _decrease(problem, x, index, new) >= -model - slack
        best = _decrease(problem, x, index, prox_newton(point))
        assert best >= -slack
        assert _decrease(problem, x, index, two_metric(point)) >= -slack
        if problem.model.quadratic:  # prox-newton is the minimiser of the block
            y = x.copy()
            y[index] = prox_newton(point)
            distance = problem.model.penalty.distance(y, problem.grad(y).ravel())[index]
            assert distance.max() <= 1e-10 * np.abs(problem.grad(x)).max()
            assert best >= _decrease(problem, x, index, new) - slack


def test_singular_blocks():
    doubled = np.concatenate([A, A], axis=1)
    for problem in (
        LeastSquares(doubled, A[:, 0] + 1),
        LeastSquares(doubled, A[:, 0] + 1, l1=0.5),
        LeastSquares(doubled, A[:, 0] + 1, bounds=(0, 1)),
        SVMDual(doubled, np.sign(A[:, 0])),
    ):
        res = minimize_bcd(problem, block_size=10, maxiter=400, tol=1e-9)
        assert res.success, res.message
        assert (np.diff(res.history["fun"]) <= 1e-12 * abs(res.history["fun"][0])).all()


def test_a_step_of_all_coordinates_solves_a_quadratic():
    for name in ("least squares", "quadratic", "graph"):
        res = minimize_bcd(SMOOTH[name], block_size=P, maxiter=1, tol=1e-10)
        assert res.success
