"""Entropic transport: answers known in closed form, from linear programming, from other solvers."""

import functools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog

import entropic
from refopt import sinkhorn, sinkhorn_newton, transport_plan
from refopt.problems import (
    TRANSPORT_OPTIMA,
    gaussian_grid,
    gaussian_grid_cost,
    ladder,
    transport_instance,
)

SOLVERS = {
    "newton": sinkhorn_newton,
    "paper": functools.partial(sinkhorn_newton, preset="paper"),
    "sinkhorn": sinkhorn,
}


def solved(problem, solver=sinkhorn_newton, **options):
    """The result, checked from outside the library."""
    res = solver(problem.C, problem.a, problem.b, reg=problem.reg, **options)
    entropic.assert_solved(res, problem.C, problem.a, problem.b, problem.reg)
    return res


@pytest.fixture(params=SOLVERS)
def solver(request):
    return SOLVERS[request.param]


# Closed forms


@pytest.mark.parametrize("reg", [1e-3, 1.0, 1e3])
def test_a_cost_u_plus_v_is_answered_by_the_product_plan(solver, reg):
    rng = np.random.default_rng(0)
    a, b = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(5))
    C = rng.standard_normal((7, 1)) + rng.standard_normal((1, 5))
    res = solver(C, a, b, reg=reg)
    np.testing.assert_allclose(transport_plan(res), np.outer(a, b), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("reg", [0.01, 0.1, 1.0, 10.0])
def test_two_by_two(solver, reg):
    res = solver([[0.0, 1.0], [1.0, 0.0]], reg=reg)
    P11 = 1 / (2 * (1 + np.exp(-1 / reg)))
    expected = [[P11, 0.5 - P11], [0.5 - P11, P11]]
    np.testing.assert_allclose(transport_plan(res), expected, rtol=0, atol=1e-9)


def test_the_plan_between_gaussians_has_its_covariance():
    problem = gaussian_grid()  # 1401 x 1401
    res = solved(problem)
    assert res.cost == pytest.approx(gaussian_grid_cost(), abs=1e-8)


def test_constant_costs_shift_the_value_only():
    a, b = entropic.uniform(4), entropic.uniform(3)
    value = 2.5 + 0.1 * (np.log(1 / 12) - 1)
    assert sinkhorn_newton(np.full((4, 3), 2.5), a, b, reg=0.1).fun == pytest.approx(value)


# Public instances, whose optimal values independent solvers agree on


@pytest.mark.parametrize("name", TRANSPORT_OPTIMA)
def test_the_public_instance_is_solved_to_its_known_optimum(name):
    problem = transport_instance(name)
    res = solved(problem)
    D = TRANSPORT_OPTIMA[name]
    assert abs(res.fun - D) <= 1e-10 * max(abs(D), problem.reg)
    assert res.nit <= 120  # 100 were seen on the worst; an order less than what plain scaling needs


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("assign-300", 11),
        ("assign-300-e4000", 12),
        ("digits-l2-3-7", 1),
        ("digits-l1-250-611", 1),
        ("digits-l2-400-77-nobg", 1),
        ("cloud2-500-1e-2", 13),
        ("cloud2-400-1e-5", 14),
        ("cloud50-300-1e-4", 15),
        ("rect-700-120-1e-3", 16),
        ("rect-120-700-1e-4", 17),
    ],
)
def test_other_seeds_of_the_same_families_are_solved(name, seed):
    problem = transport_instance(name, seed)
    res = solved(problem)
    spread = np.ptp(problem.C)
    # err times the size of the potentials bounds the gap
    assert -1e-11 * spread <= res.gap <= 1e-8 * spread


@pytest.mark.parametrize("reg", [0.1, 0.01])
def test_an_exponential_against_a_mixture_of_normals(reg):
    x, y = np.linspace(0, 5, 100), np.linspace(0, 5, 80)
    a = np.exp(-x)
    b = 0.2 * np.exp(-0.5 * ((y - 1) / 0.2) ** 2) / 0.2
    b += 0.8 * np.exp(-0.5 * ((y - 3) / 0.5) ** 2) / 0.5
    a, b = a / a.sum(), b / b.sum()
    C = (x[:, None] - y[None, :]) ** 2
    res = sinkhorn_newton(C, a, b, reg=reg)
    entropic.assert_solved(res, C, a, b, reg)


def test_plain_scaling_reaches_the_same_optimum():
    problem = transport_instance("digits-l2-100-205")
    res = solved(problem, sinkhorn)
    D = TRANSPORT_OPTIMA[problem.name]
    assert abs(res.fun - D) <= 1e-9 * max(abs(D), problem.reg)


# Towards unregularised transport


def test_the_ladder_of_regularisations_descends_to_the_linear_programme():
    costs = []
    for rel in (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        problem = ladder(200, rel)
        costs.append(solved(problem).cost)
        rows, columns = linear_sum_assignment(problem.C)
        exact = problem.C[rows, columns].mean()
        assert exact < costs[-1] <= exact + problem.reg * np.log(200 * 200)
    assert costs == sorted(costs, reverse=True)
    seen = [2.96e-1, 1.17e-1, 1.30e-2, 7.68e-4, 3.70e-5, 2.70e-7]
    np.testing.assert_allclose(np.array(costs) - 6.976438084e-03, seen, rtol=5e-3)


@pytest.mark.parametrize("shape", [(6, 9), (12, 4)])
def test_small_regularisation_comes_near_the_linear_programme_with_any_masses(shape):
    n, m = shape
    rng = np.random.default_rng(n)
    C, a, b = rng.random(shape), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    sums = [np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))]
    exact = linprog(C.ravel(), A_eq=np.vstack(sums), b_eq=np.concatenate([a, b])).fun
    reg = 1e-4
    res = sinkhorn_newton(C, a, b, reg=reg)
    entropic.assert_solved(res, C, a, b, reg)
    assert exact - 1e-9 <= res.cost <= exact + reg * np.log(n * m)


def test_large_regularisation_tends_to_the_product_plan():
    rng = np.random.default_rng(5)
    C, a, b = rng.random((30, 20)), rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(20))
    res = sinkhorn_newton(C, a, b, reg=1e9)
    entropic.assert_solved(res, C, a, b, 1e9)
    np.testing.assert_allclose(transport_plan(res), np.outer(a, b), rtol=1e-7)


# Counts, with room: they vary by a tenth with rounding alone


@pytest.mark.parametrize("pair", ["20-45", "100-205", "7-64", "33-500", "250-811"])
def test_city_block_grids_need_few_steps(pair):
    res = solved(transport_instance(f"digits-l1-{pair}"))
    assert res.nnewton < 80
    assert res.nfev < 250


def test_newton_ends_quadratically():
    problem = transport_instance("cloud2-800-1e-3")
    history = sinkhorn_newton(problem.C, reg=problem.reg, tol=1e-13).history
    last = (history["reg"] == problem.reg) & (history["kind"] == 2)
    errors = history["marginal_error"][last]
    before = errors[:-1] < 1e-4
    assert before.any()
    assert (errors[1:][before] < 1e-7).all()
