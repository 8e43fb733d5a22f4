"""Entropic transport: what a change of the data that changes nothing essential may change."""

import numpy as np
import pytest

import entropic
from refopt import PointCloudCost, plan_matvec, sinkhorn, sinkhorn_newton, transport_plan
from refopt.problems import cloud2, rect

REG = 0.02


@pytest.fixture(params=[(20, 30), (90, 70), (15, 200)], ids=str)
def data(request):
    """A cost, masses and points, on either side of the sizes at which the method changes."""
    n, m = request.param
    rng = np.random.default_rng(n)
    X, Y = rng.random((n, 3)), rng.random((m, 3))
    C = ((X[:, None, :] - Y[None, :, :]) ** 2).sum(-1)
    return C, rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))


def solve(C, a, b, reg=REG, **options):
    res = sinkhorn_newton(C, a, b, reg=reg, tol=1e-12, **options)
    entropic.assert_solved(res, C, a, b, reg, tol=1e-12)
    return res


def close(actual, expected, atol=1e-9):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def test_adding_u_plus_v_to_the_cost_moves_the_potentials_only(data):
    C, a, b = data
    rng = np.random.default_rng(1)
    u, v = rng.standard_normal(a.size), rng.standard_normal(b.size)
    one, two = solve(C, a, b), solve(C + u[:, None] + v, a, b)
    close(transport_plan(two), transport_plan(one), 1e-11)
    close(two.f, one.f + u + b @ v)  # the gauge takes the mean of v out of g
    close(two.g, one.g + v - b @ v)
    assert two.fun == pytest.approx(one.fun + a @ u + b @ v, abs=1e-11)


def test_permuting_rows_and_columns_permutes_the_answer(data):
    C, a, b = data
    rng = np.random.default_rng(2)
    i, j = rng.permutation(a.size), rng.permutation(b.size)
    one, two = solve(C, a, b), solve(C[np.ix_(i, j)], a[i], b[j])
    close(two.f, one.f[i])
    close(two.g, one.g[j])
    assert two.fun == pytest.approx(one.fun, abs=1e-12)


@pytest.mark.parametrize("k", [1e-90, 1e-9, 3.0, 1e9, 1e90])
def test_scaling_cost_and_reg_scales_the_potentials(data, k):
    C, a, b = data
    one, two = solve(C, a, b), solve(k * C, a, b, reg=k * REG)
    close(two.f / k, one.f)
    close(two.g / k, one.g)
    close(transport_plan(two), transport_plan(one), 1e-11)


@pytest.mark.parametrize("k", [2.0**-30, 2.0**40])
def test_scaling_by_a_power_of_two_repeats_every_step(data, k):
    # Where no absolute constant enters all roundings are the same.
    C, a, b = data
    one, two = solve(C, a, b), solve(k * C, a, b, reg=k * REG)
    np.testing.assert_array_equal(two.f, k * one.f)
    np.testing.assert_array_equal(two.history["marginal_error"], one.history["marginal_error"])


def test_transposing_exchanges_the_potentials(data):
    C, a, b = data
    one, two = solve(C, a, b), solve(C.T, b, a)
    shift = entropic.inner(a, one.f)
    close(two.f, one.g + shift)
    close(two.g, one.f - shift)
    close(transport_plan(two), transport_plan(one).T, 1e-11)


@pytest.mark.parametrize("mass", [1e-6, 40.0, 1e8])
def test_the_mass_scales_plan_cost_and_error(data, mass):
    C, a, b = data
    one, two = solve(C, a, b), solve(C, mass * a, mass * b)
    close(transport_plan(two) / mass, transport_plan(one), 1e-11)
    assert two.cost == pytest.approx(mass * one.cost, rel=1e-9)
    assert two.marginal_error <= 1e-12 * mass
    # D(f, g) with masses s a, s b at f + reg log s is s (D + reg log s)
    assert two.fun == pytest.approx(mass * (one.fun + REG * np.log(mass)), rel=1e-9)
    close(two.f, one.f + REG * np.log(mass))
    close(two.g, one.g)


def test_uniform_masses_are_the_default(data):
    C, _, _ = data
    n, m = C.shape
    one = sinkhorn_newton(C, reg=REG)
    two = sinkhorn_newton(C, entropic.uniform(n), entropic.uniform(m), reg=REG)
    close(one.x, two.x, 1e-12)
    three = sinkhorn_newton(C, 5 * entropic.uniform(n), reg=REG)  # uniform, of the same mass
    entropic.assert_solved(three, C, 5 * entropic.uniform(n), 5 * entropic.uniform(m), REG)


def test_merging_duplicates_merges_the_plan():
    rng = np.random.default_rng(3)
    C, a, b = rng.random((40, 30)), rng.dirichlet(np.ones(40)), rng.dirichlet(np.ones(30))
    C[10:15], C[:, 5] = C[10], C[:, 20]
    rows = np.r_[0:11, 15:40]
    columns = np.delete(np.arange(30), 20)
    merged_a, merged_b = a[rows], b[columns]
    merged_a[10], merged_b[5] = a[10:15].sum(), b[5] + b[20]
    full, merged = solve(C, a, b), solve(C[np.ix_(rows, columns)], merged_a, merged_b)
    P = transport_plan(full)
    P = np.add.reduceat(P, rows, axis=0)
    P[:, 5] += P[:, 20]
    close(P[:, columns], transport_plan(merged), 1e-11)
    # equal points have equal potentials but for the share of mass
    close(full.f[10:15] - full.f[10], REG * np.log(a[10:15] / a[10]))


def test_splitting_a_point_keeps_the_totals():
    problem = rect(60, 50, 1e-3)
    C, a, b, reg = problem.C, problem.a, problem.b, problem.reg
    whole = solve(C, a, b, reg)
    split_a = np.r_[0.3 * a[0], a[1:], 0.7 * a[0]]
    split = solve(np.vstack([C, C[0]]), split_a, b, reg)
    assert split.cost == pytest.approx(whole.cost, rel=1e-9)
    close(transport_plan(split)[[0, -1]].sum(axis=0), transport_plan(whole)[0], 1e-11)


def test_negative_costs_are_legal(data):
    C, a, b = data
    one, two = solve(C, a, b), solve(C - 100.0, a, b)
    close(transport_plan(two), transport_plan(one), 1e-10)


@pytest.mark.parametrize("solver", [sinkhorn, sinkhorn_newton])
def test_the_same_call_gives_the_same_bits(data, solver):
    C, a, b = data
    one, two = (solver(C, a, b, reg=REG) for _ in range(2))
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_array_equal(one.history["fun"], two.history["fun"])


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cityblock"])
def test_moving_both_clouds_together_changes_nothing(metric):
    problem = cloud2(90, 1e-2)
    shift = np.array([3.0, -2.0])
    one = sinkhorn_newton(PointCloudCost(problem.X, problem.Y, metric), reg=0.01)
    moved = PointCloudCost(problem.X + shift, problem.Y + shift, metric)
    two = sinkhorn_newton(moved, reg=0.01)
    close(two.f, one.f, 1e-8)
    close(plan_matvec(two, np.ones(90)), plan_matvec(one, np.ones(90)))


@pytest.mark.parametrize("options", [{}, {"formulation": "dual", "density": 0.3}])
def test_where_the_iteration_starts_does_not_matter(data, options):
    C, a, b = data
    rng = np.random.default_rng(4)
    x0 = 0.1 * rng.standard_normal(a.size + b.size)
    one, two = solve(C, a, b, **options), solve(C, a, b, x0=x0, **options)
    close(two.f, one.f)
    close(two.g, one.g)
