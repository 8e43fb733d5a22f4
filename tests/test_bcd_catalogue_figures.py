"""The orderings and iteration counts of the paper's experiments, on drawn instances."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from refopt import minimize_bcd
from refopt.block_coordinate import LeastSquares, Quadratic
from refopt.problems import dataset_a, lattice, two_moons

SEEDS = (11, 12, 13)


def _distance(problem, fun, **options):
    """f - f* after 200 iterations with blocks of 5."""
    res = minimize_bcd(problem, block_size=5, maxiter=200, tol=0, rng=0, **options)
    return res.fun - fun


@pytest.fixture(scope="module", params=SEEDS)
def small_a(request):
    data = dataset_a(n=200, p=1000, seed=request.param)
    assert np.linalg.matrix_rank(data.X @ data.X.T) == 200  # every y is fitted
    return LeastSquares(data.X, data.y), 0.0


def test_greedy_rules_order_gradient_updates(small_a):
    problem, fun = small_a
    left = {
        (partition, rule): _distance(
            problem, fun, partition=partition, selection=rule, update="gradient"
        )
        for partition, rule in (
            ("variable", "gsd"), ("variable", "gsl"), ("variable", "gs"),
            ("sort", "gsl"), ("sort", "gsd"), ("sort", "gs"), ("sort", "cyclic"),
            ("sort", "random"), ("sort", "lipschitz"),
        )
    }  # fmt: skip
    assert left["variable", "gsd"] < left["variable", "gs"] < left["sort", "gs"]
    assert left["variable", "gsd"] < left["sort", "gsl"] < left["sort", "gs"]
    assert left["sort", "gsd"] < left["sort", "gs"]
    careless = [left["sort", rule] for rule in ("cyclic", "random", "lipschitz")]
    assert left["sort", "gs"] < min(careless)


def test_greedy_rules_order_matrix_updates(small_a):
    problem, fun = small_a
    left = {
        (partition, rule): _distance(
            problem, fun, partition=partition, selection=rule, update="matrix"
        )
        for partition, rule in (
            ("variable", "gsd"), ("variable", "gs"), ("sort", "gsq"), ("sort", "gsl"),
            ("sort", "gs"), ("sort", "random"),
        )
    }  # fmt: skip
    assert left["variable", "gsd"] < 0.1 * min(left["sort", "gsq"], left["sort", "gsl"])
    assert max(left["sort", "gsq"], left["sort", "gsl"]) < left["sort", "gs"]
    assert left["variable", "gs"] < left["sort", "gs"] < left["sort", "random"]
    by_gradient = _distance(problem, fun, selection="gsd", update="gradient")
    assert left["variable", "gsd"] < 0.01 * by_gradient


def test_sorting_by_lipschitz_constants_is_the_best_fixed_partition(small_a):
    problem, fun = small_a
    left = {
        partition: _distance(
            problem, fun, partition=partition, selection="gsl", update="gradient"
        )
        for partition in ("sort", "average", "order")
    }  # fmt: skip
    assert left["sort"] < min(left["average"], left["order"])


def test_backtracking_finds_constants_below_the_bounds(small_a):
    problem, fun = small_a
    options = {"partition": "sort", "selection": "gs"}
    by_bound = _distance(problem, fun, update="gradient", **options)
    assert _distance(problem, fun, update="backtracking", **options) < 2 * by_bound


@pytest.mark.parametrize("kind", ["lattice", "moons"])
def test_trees_beat_colours_beat_small_blocks(kind):
    data = lattice() if kind == "lattice" else two_moons()
    problem = Quadratic(data.A, data.b)
    x = sla.spsolve(data.A.tocsc(), data.b)
    fun = problem.fun(x)
    start = problem.fun(np.zeros(problem.model.size)) - fun
    n_third = round(problem.model.size ** (1 / 3))
    left = {}
    for name, options in {
        "greedy tree": {"partition": "greedy-tree", "selection": "gs"},
        "tree": {"partition": "tree", "selection": "cyclic"},
        "random tree": {"partition": "random-tree", "selection": "random"},
        "red-black": {"partition": "red-black", "selection": "cyclic"},
        "general": {"selection": "gs", "block_size": n_third},
    }.items():
        res = minimize_bcd(problem, maxiter=300, tol=0, rng=0, **options)
        e = res.x - x
        left[name] = 0.5 * e @ (data.A @ e) / start  # f - f* without cancellation
    assert left["greedy tree"] < left["tree"] < left["random tree"] < left["red-black"]
    assert left["red-black"] < left["general"]


def _iterations(problem, fun, tau, partition, update):
    """Iterations until f - f* <= 1e-6."""
    res = minimize_bcd(
        problem, partition=partition, update=update, block_size=tau, maxiter=400, tol=1e-14
    )
    reached = res.history["fun"] - fun <= 1e-6
    return (int(np.argmax(reached)) if reached.any() else 10**6), res


@pytest.mark.slow
def test_iterations_to_the_solution_with_bounds():
    data = dataset_a()
    problem = LeastSquares(sp.csc_array(data.X), data.y, l1=50000.0, bounds=(0, None))
    lam_max = (data.X.T @ data.y).max()
    assert lam_max == pytest.approx(233466.955392, rel=1e-9), "NumPy draws other numbers"
    fun = 6794585.951291936
    count = {}
    for tau, most in ((5, 60), (50, 10)):
        for update in ("two-metric", "prox-newton", "prox-gradient"):
            count[tau, update], res = _iterations(problem, fun, tau, "variable", update)
            assert np.count_nonzero(res.x) == 54
            assert res.success and res.fun == pytest.approx(fun, rel=1e-13)
        for update in ("two-metric", "prox-newton"):
            assert count[tau, update] <= most
            assert 2 * count[tau, update] < count[tau, "prox-gradient"]
        count[tau, "fixed"], _ = _iterations(problem, fun, tau, "sort", "prox-newton")
        assert count[tau, "fixed"] > 2 * count[tau, "prox-newton"]


@pytest.mark.parametrize("seed", SEEDS)
def test_newton_updates_identify_and_finish_before_gradient_updates(seed):
    data = dataset_a(n=200, p=1000, seed=seed)
    lam = 0.2 * (data.X.T @ data.y).max()
    problem = LeastSquares(data.X, data.y, l1=lam, bounds=(0, None))
    nit, active = {}, {}
    for update in ("two-metric", "prox-newton", "prox-gradient"):
        res = minimize_bcd(problem, update=update, block_size=40, tol=1e-12, maxiter=3000)
        assert res.success
        nit[update], active[update] = res.nit, res.nit_active
        assert active[update] <= res.nit
    assert 4 * max(nit["two-metric"], nit["prox-newton"]) < nit["prox-gradient"]
    by_chance = minimize_bcd(problem, selection="random", block_size=40, maxiter=60, rng=0)
    assert not by_chance.success
