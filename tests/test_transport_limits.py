"""Entropic transport at its limits: no mass, one point, forbidden pairs, little time."""

import functools
import itertools
import re

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import entropic
from refopt import sinkhorn, sinkhorn_newton, transport_plan
from refopt.problems import transport_instance

SOLVERS = {
    "newton": sinkhorn_newton,
    "paper": functools.partial(sinkhorn_newton, preset="paper"),
    "sinkhorn": sinkhorn,
}


@pytest.fixture(params=SOLVERS)
def solver(request):
    return SOLVERS[request.param]


def checked(C, a, b, reg, solver=sinkhorn_newton, **options):
    res = solver(C, a, b, reg=reg, **options)
    entropic.assert_solved(res, C, a, b, reg)
    return res


# Masses


def test_what_has_no_mass_is_left_out(solver):
    rng = np.random.default_rng(0)
    C, a, b = rng.random((12, 9)), rng.random(12), rng.random(9)
    a[[0, 5, 11]] = b[[2, 8]] = 0
    a, b = a / a.sum(), b / b.sum()
    res = checked(C, a, b, 0.05, solver)
    rows, columns = a > 0, b > 0
    P = transport_plan(res)
    assert not P[~rows].any() and not P[:, ~columns].any()
    reduced = checked(C[np.ix_(rows, columns)], a[rows], b[columns], 0.05, solver)
    np.testing.assert_allclose(res.f[rows], reduced.f, rtol=0, atol=1e-8)
    np.testing.assert_allclose(res.g[columns], reduced.g, rtol=0, atol=1e-8)
    assert res.fun == pytest.approx(reduced.fun, abs=1e-9)
    assert res.cost == pytest.approx(reduced.cost, abs=1e-9)


def test_all_mass_in_one_row(solver):
    rng = np.random.default_rng(1)
    C, b = rng.random((6, 5)), rng.dirichlet(np.ones(5))
    a = np.eye(6)[3]
    res = checked(C, a, b, 1e-4, solver)
    np.testing.assert_allclose(transport_plan(res), np.outer(a, b), atol=1e-9)


@pytest.mark.parametrize("shape", [(30, 25), (90, 110)])
@pytest.mark.parametrize("reg", [1e-1, 1e-2, 1e-4])
@pytest.mark.parametrize("tiny", [1e-12, 1e-100, 1e-300])
def test_tiny_masses(shape, reg, tiny):
    n, m = shape
    rng = np.random.default_rng(2)
    C = rng.random(shape)
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    a[::3] *= tiny
    b[1::4] *= tiny
    checked(C, a / a.sum(), b / b.sum(), reg)


@pytest.mark.parametrize("shape", [(5, 2), (2, 5), (40, 90), (90, 90)])
@pytest.mark.parametrize("reg", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("rest", [1e-12, 1e-14, 1e-200])
def test_one_atom_holds_almost_all_mass(shape, reg, rest):
    n, m = shape
    C = np.random.default_rng(3).random(shape)
    a, b = np.full(n, rest / (n - 1)), np.full(m, rest / (m - 1))
    a[0] = b[-1] = 1 - rest
    res = checked(C, a, b / b.sum() * a.sum(), reg)
    assert transport_plan(res)[0, -1] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_masses_over_three_hundred_decades(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(2, 120, 2)
    C = rng.random((n, m)) if seed % 2 else rng.random((n, 1)) * rng.random((1, m))
    a, b = 10.0 ** rng.uniform(-300, 0, n), 10.0 ** rng.uniform(-300, 0, m)
    a[rng.integers(n)] = b[rng.integers(m)] = 1
    checked(C, a / a.sum(), b / b.sum(), 10.0 ** rng.uniform(-4, 0))


def test_a_mass_that_underflows_beside_the_others_counts_as_none():
    a, b = np.array([1e10, 1e-310]), np.array([5e9, 5e9])
    res = sinkhorn_newton([[0.0, 1.0], [1.0, 0.0]], a, b, reg=0.1)
    assert res.success
    assert np.isfinite(res.f[0]) and np.isfinite(res.g).all()
    np.testing.assert_allclose(transport_plan(res).sum(axis=0), b, rtol=1e-9)


# Shapes


def test_one_pair_needs_no_iteration(solver):
    res = checked([[2.5]], [1.0], [1.0], 0.1, solver)
    assert res.nit == 0
    assert res.fun == pytest.approx(2.4)
    assert transport_plan(res)[0, 0] == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("shape", [(1, 8), (8, 1), (1, 5000), (5000, 1)])
def test_one_row_or_column_needs_no_iteration(solver, shape):
    rng = np.random.default_rng(4)
    C = rng.random(shape)
    a, b = rng.dirichlet(np.ones(shape[0])), rng.dirichlet(np.ones(shape[1]))
    res = checked(C, a, b, 1e-3, solver)
    assert res.nit == 0
    np.testing.assert_allclose(transport_plan(res), np.outer(a, b), rtol=1e-9)


@pytest.mark.parametrize("shape", [(3000, 2), (2, 3000), (800, 7), (7, 800)])
def test_very_unequal_sizes(shape):
    rng = np.random.default_rng(5)
    C = rng.random(shape)
    checked(C, rng.dirichlet(np.ones(shape[0])), rng.dirichlet(np.ones(shape[1])), 1e-3)


# Costs and regularisation


@pytest.mark.parametrize("n", [2, 5, 20, 70])
@pytest.mark.parametrize("rel", [1e-3, 1e-4, 1e-5, 1e-6])
def test_small_problems_with_small_regularisation(n, rel):
    # A plan that is settled before the last stage begins must end the run there.
    for seed in range(5):
        C = np.random.default_rng(seed).random((n, n))
        checked(C, entropic.uniform(n), entropic.uniform(n), rel * C.max())


@pytest.mark.parametrize("shape", [(2, 3), (5, 40), (3, 90)])
def test_tied_costs_with_small_regularisation(shape):
    # The plan of an early stage can be nearly disconnected, and its potentials far off.
    for seed in range(10):
        rng = np.random.default_rng(seed)
        C = rng.integers(0, 2, shape).astype(float)
        a, b = (10.0 ** rng.uniform(-6, 0, k) for k in shape)
        checked(C, a / a.sum(), b / b.sum(), 1e-5)


def test_two_points_against_a_line_with_small_regularisation():
    rng = np.random.default_rng(541)
    y = rng.random(30)
    for x in rng.random((10, 2)):
        C = np.abs(x[:, None] - y)
        checked(C, np.array([0.45, 0.55]), rng.dirichlet(np.ones(30)), 1e-5)


@pytest.mark.parametrize("rel", [1e-9, 1e-12, 1e-15])
def test_regularisation_beyond_rounding_ends_honestly(solver, rel):
    C = np.random.default_rng(6).random((15, 15))
    res = solver(C, reg=rel, maxiter=300)
    a = entropic.uniform(15)
    error = entropic.marginal_error(C, a, a, res.f, res.g, rel)
    if error > 1e-8:
        assert res.status in (1, 3) and not res.success
    assert np.isfinite(res.x).all()
    entropic.assert_honest(res, C, a, a, rel)


def test_a_constant_cost_has_no_spread_to_start_from(solver):
    a, b = np.array([0.2, 0.8]), np.array([0.1, 0.3, 0.6])
    res = checked(np.full((2, 3), 7.0), a, b, 1e-3, solver)
    np.testing.assert_allclose(transport_plan(res), np.outer(a, b), atol=1e-10)


@pytest.mark.parametrize("outlier", [1e6, -1e6])
def test_one_enormous_cost(outlier):
    C = np.random.default_rng(7).random((25, 25))
    C[3, 4] = outlier
    checked(C, entropic.uniform(25), entropic.uniform(25), 0.01)


# Forbidden pairs


@pytest.mark.parametrize("shape", [(12, 10), (80, 70)])
def test_forbidden_pairs_carry_nothing(solver, shape):
    rng = np.random.default_rng(8)
    C = rng.random(shape)
    C[rng.random(shape) < 0.4] = np.inf
    C[:, 0] = C[0, :] = 1.0
    a, b = rng.dirichlet(np.ones(shape[0])), rng.dirichlet(np.ones(shape[1]))
    a[0], b[0] = 2.0, 2.0  # row 0 and column 0 reach everything
    res = checked(C, a / a.sum(), b / b.sum(), 0.05, solver)
    P = transport_plan(res)
    assert (P[np.isinf(C)] == 0).all() and not np.isnan(P).any()
    assert -1e-8 <= res.gap <= 1e-7


@pytest.mark.parametrize("shape", [(12, 10), (80, 70)])
def test_forbidden_pairs_of_rows_that_have_almost_no_mass(shape):
    rng = np.random.default_rng(17)
    C = rng.random(shape)
    C[rng.random(shape) < 0.4] = np.inf
    C[:, 0] = C[0, :] = 1.0
    a, b = rng.dirichlet(np.ones(shape[0])), rng.dirichlet(np.ones(shape[1]))
    a[1::2] *= 1e-305
    b[1::2] *= 1e-305
    a[0], b[0] = 2.0, 2.0
    a, b = a / a.sum(), b / b.sum()
    for options in ({}, {"sparsify": "none"}, {"linsolve": "cg"}):
        res = checked(C, a, b, 0.05, **options)
        assert not transport_plan(res)[np.isinf(C)].any()
        assert np.isfinite(transport_plan(res, sparse=True).toarray()).all()


def test_one_allowed_pair_per_row_is_a_permutation(solver):
    order = np.random.default_rng(9).permutation(10)
    C = np.full((10, 10), np.inf)
    C[np.arange(10), order] = np.arange(10.0)
    res = checked(C, entropic.uniform(10), entropic.uniform(10), 0.1, solver)
    np.testing.assert_allclose(transport_plan(res), np.eye(10)[order] / 10, atol=1e-10)


def test_a_large_cost_tends_to_a_forbidden_pair():
    rng = np.random.default_rng(10)
    C = rng.random((20, 20))
    mask = np.triu(rng.random((20, 20)) < 0.5, 2)
    one = sinkhorn_newton(np.where(mask, np.inf, C), reg=0.1)
    two = sinkhorn_newton(np.where(mask, 1e3, C), reg=0.1)
    np.testing.assert_allclose(transport_plan(one), transport_plan(two), atol=1e-9)


def blamed(message):
    """What the message of status 5 says: kind and indices of both sides, and their masses."""
    pattern = (
        r"The (rows|columns) \[([\d, ]*)\] need mass (\S+), but only the "
        r"(rows|columns) \[([\d, ]*)\] reach them, with mass (\S+)\."
    )
    one, needy, need, two, givers, supply = re.search(pattern, message).groups()
    numbers = [[int(k) for k in re.findall(r"\d+", text)] for text in (needy, givers)]
    return one, numbers[0], float(need), two, numbers[1], float(supply)


def assert_proof(res, C, a, b):
    """The message names a set that needs more than those who reach it have."""
    assert res.status == 5 and not res.success
    one, needy, need, two, givers, supply = blamed(res.message)
    assert {one, two} == {"rows", "columns"}
    allowed, mass, other = np.isfinite(C), b, a
    if one == "rows":
        allowed, mass, other = allowed.T, a, b
    reach = np.flatnonzero(allowed[:, needy].any(axis=1) & (other > 0))
    assert givers == reach.tolist()
    assert need == pytest.approx(mass[needy].sum(), rel=1e-5)
    assert supply == pytest.approx(other[givers].sum(), rel=1e-5)
    assert need > supply


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("solver", [sinkhorn, sinkhorn_newton])
@pytest.mark.parametrize("mass", [1.0, 60.0])
def test_a_support_that_carries_no_plan_is_proved(solver, mass, transposed):
    C = np.array([[0.0, 1.0, np.inf, 0.3], [0.2, 0.5, np.inf, 0.1], [9.0, 9.0, 0.0, np.inf]])
    a, b = np.array([0.4, 0.4, 0.2]), np.array([0.2, 0.2, 0.5, 0.1])
    if transposed:
        C, a, b = C.T, b, a
    res = solver(C, mass * a, mass * b, reg=0.05)
    assert_proof(res, C, mass * a, mass * b)
    assert np.isfinite(res.x).all()


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (30, 30), (90, 80)])
def test_the_proof_names_the_users_rows_and_columns(shape):
    # Zero masses and an exchange of the sides must not shift the indices.
    n, m = shape
    rng = np.random.default_rng(n)
    C = rng.random(shape)
    columns = rng.permutation(m)[: max(2, m // 8)]
    rows = rng.permutation(n)[:2]
    C[np.ix_(np.setdiff1d(np.arange(n), rows), columns)] = np.inf
    a, b = rng.random(n) + 0.5, rng.random(m) + 0.5
    a[(rows[0] + 1) % n] = 0 if (rows[0] + 1) % n not in rows else 1
    b[0] = 0 if 0 not in columns else b[0]
    a, b = a / a.sum(), b / b.sum()
    b[columns] *= 1.2 * a[rows].sum() / b[columns].sum()
    rest = np.setdiff1d(np.arange(m), columns)
    b[rest] *= (1 - b[columns].sum()) / b[rest].sum()
    res = sinkhorn_newton(C, a, b, reg=0.02)
    assert res.status == 5
    if "..." not in res.message:
        assert_proof(res, C, a, b)
    assert res.nit < 200


def test_no_solution_is_found_out_long_before_the_limits():
    rng = np.random.default_rng(11)
    C = rng.random((300, 300))
    C[:150, 150:] = np.inf
    a = np.r_[np.full(150, 1.01), np.full(150, 0.99)] / 300
    res = sinkhorn_newton(C, a, reg=1e-3)
    assert res.status == 5
    assert res.nit < 200
    assert "no solution" in res.message and "(150 in all)" in res.message


def test_the_published_method_finds_out_that_there_is_no_solution():
    C = np.array([[0.0, 1.0, np.inf], [0.2, 0.5, np.inf], [9.0, 9.0, 0.0]])
    a, b = np.array([0.4, 0.4, 0.2]), np.array([0.2, 0.2, 0.6])
    res = SOLVERS["paper"](C, a, b, reg=0.05)
    assert not res.success and res.status == 5
    assert np.isfinite(res.x).all()
    entropic.assert_honest(res, C, a, b, 0.05)


@pytest.mark.parametrize("size", [2, 30])
def test_a_support_with_plans_but_no_potentials_ends_honestly(solver, size):
    # Triangular: the only plan is diagonal, and potentials grow without end.
    C = np.random.default_rng(12).random((size, size))
    C[np.tril_indices(size, -1)] = np.inf
    res = solver(C, reg=0.1, maxiter=2000)
    a = entropic.uniform(size)
    entropic.assert_honest(res, C, a, a, 0.1)
    assert res.status in (0, 1, 3)
    assert res.success == (res.marginal_error <= 1e-9)
    if not res.success:
        assert f"{res.marginal_error:.3g}" in res.message
    np.testing.assert_allclose(transport_plan(res), np.eye(size) / size, atol=0.01)


# Limits


@pytest.fixture
def hard():
    """An instance that takes every solver some iterations."""
    return transport_instance("cloud2-150-1e-4")


@pytest.mark.parametrize("maxiter", [0, 1, 3, 7])
def test_maxiter_bounds_the_iterations(solver, hard, maxiter):
    res = solver(hard.C, hard.a, hard.b, reg=hard.reg, maxiter=maxiter)
    assert res.status == 1 and not res.success
    assert res.nit == maxiter
    assert "iteration limit" in res.message and f"{res.marginal_error:.3g}" in res.message
    entropic.assert_honest(res, hard.C, hard.a, hard.b, hard.reg)
    np.testing.assert_allclose(transport_plan(res).sum(), 1, rtol=1e-9)  # one side is met


def test_counts_add_up(solver, hard):
    res = solver(hard.C, hard.a, hard.b, reg=hard.reg, maxiter=60)
    assert res.nit == res.nnewton + res.nsinkhorn or solver is sinkhorn_newton
    assert res.nfev >= 2
    assert (np.diff(res.history["time"]) >= 0).all()


def test_a_time_limit_ends_the_run(solver, hard):
    res = solver(hard.C, hard.a, hard.b, reg=hard.reg, tol=0, time_limit=1e-9)
    assert res.status == 6 and not res.success
    assert "time limit" in res.message
    assert np.isfinite(res.x).all()


def test_a_generous_time_limit_changes_nothing(solver, hard):
    options = {"reg": hard.reg, "maxiter": 20}
    one = solver(hard.C, **options)
    two = solver(hard.C, time_limit=1e6, **options)
    np.testing.assert_array_equal(one.x, two.x)


def test_the_best_iterate_is_returned(hard):
    errors = []

    def watch(intermediate_result):
        if intermediate_result.reg == hard.reg:
            errors.append(intermediate_result.marginal_error)

    res = sinkhorn(hard.C, reg=hard.reg, maxiter=400, eps_scaling=None, callback=watch)
    assert res.marginal_error <= min(errors) * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [12, 80])
def test_a_tolerance_below_rounding_is_said_to_be_so(solver, n, seed):
    C = np.random.default_rng(seed).random((n, n))
    res = solver(C, reg=0.1, tol=0)
    assert res.marginal_error < 1e-13
    if res.marginal_error > 0:
        assert res.status == 3 and not res.success
        assert "Stalled" in res.message
    assert res.nit < 450


def test_stopping_in_the_callback_returns_what_was_there(solver, hard):
    seen = []

    def stop_at_five(intermediate_result):
        seen.append(intermediate_result)
        if intermediate_result.nit == 5:
            raise StopIteration

    res = solver(hard.C, reg=hard.reg, callback=stop_at_five)
    assert res.status == 2 and not res.success
    assert res.nit == 5 and len(seen) == 5
    assert [r.nit for r in seen] == [1, 2, 3, 4, 5]
    assert np.isfinite(res.x).all()


def test_the_callback_sees_what_the_history_records(solver, hard):
    seen = []
    res = solver(hard.C, reg=hard.reg, callback=seen.append, maxiter=30)
    assert len(seen) == res.nit
    for key in ("fun", "marginal_error", "reg"):
        np.testing.assert_allclose([r[key] for r in seen], res.history[key][1:], rtol=1e-14)
    last = seen[-1]
    P = entropic.plan(hard.C, last.f, last.g, last.reg)
    error = np.abs(P.sum(axis=1) - hard.a).sum() + np.abs(P.sum(axis=0) - hard.b).sum()
    assert last.marginal_error == pytest.approx(error, rel=1e-3, abs=1e-11)


def test_history_and_callback_count_mass_as_the_result_does(solver, hard):
    seen = []
    options = {"reg": hard.reg, "maxiter": 4, "eps_scaling": None}
    if solver is SOLVERS["paper"]:
        options["warmup"] = 2
    res = solver(hard.C, 60 * hard.a, 60 * hard.b, callback=seen.append, **options)
    assert res.marginal_error == pytest.approx(res.history["marginal_error"].min(), rel=1e-6)
    for key in ("fun", "marginal_error"):
        np.testing.assert_allclose([r[key] for r in seen], res.history[key][1:], rtol=1e-12)
    best = np.argmin(res.history["marginal_error"])
    assert res.fun == pytest.approx(res.history["fun"][best], rel=1e-6)


def test_check_every_serves_the_callback_less_often(hard):
    seen = []
    sinkhorn(hard.C, reg=hard.reg, callback=seen.append, maxiter=40, check_every=10)
    assert [r.nit for r in seen] == [10, 20, 30, 40]


# Warm starts


def test_an_old_answer_is_a_good_start(hard):
    cold = sinkhorn_newton(hard.C, reg=hard.reg)
    again = sinkhorn_newton(hard.C, reg=hard.reg, x0=cold.x)
    assert again.success and again.nit <= 1
    near = sinkhorn_newton(hard.C, reg=1.1 * hard.reg, x0=cold.x)
    cold = sinkhorn_newton(hard.C, reg=1.1 * hard.reg)
    assert near.success and near.nit < cold.nit
    assert near.fun == pytest.approx(cold.fun, rel=1e-9)


def test_plain_scaling_starts_from_an_old_answer_too(hard):
    exact = sinkhorn_newton(hard.C, reg=hard.reg)
    again = sinkhorn(hard.C, reg=hard.reg, x0=exact.x)
    assert again.success and again.nit <= 1


def test_the_gauge_of_the_start_does_not_matter(hard):
    cold = sinkhorn_newton(hard.C, reg=hard.reg)
    shift = np.r_[np.full(150, 3.0), np.full(150, -3.0)]
    again = sinkhorn_newton(hard.C, reg=hard.reg, x0=cold.x + shift)
    assert again.success and again.nit <= 2


def test_a_start_may_hold_minus_infinity_where_there_is_no_mass():
    rng = np.random.default_rng(13)
    C, a, b = rng.random((12, 9)), rng.random(12), rng.random(9)
    a[3] = b[0] = 0
    a, b = a / a.sum(), b / b.sum()
    cold = sinkhorn_newton(C, a, b, reg=0.01)
    again = sinkhorn_newton(C, a, b, reg=0.01, x0=cold.x)
    assert again.success and again.nit <= 1


# A prior plan


def test_a_prior_is_a_cost():
    rng = np.random.default_rng(14)
    C, prior = rng.random((15, 12)), rng.random((15, 12))
    one = sinkhorn_newton(C, reg=0.1, prior=prior)
    two = sinkhorn_newton(C - 0.1 * np.log(prior), reg=0.1)
    np.testing.assert_allclose(one.f, two.f, atol=1e-10)


def test_a_prior_with_the_right_marginals_is_the_answer_to_no_cost():
    rng = np.random.default_rng(15)
    prior = rng.random((8, 6))
    prior[0, 1] = prior[3, 3] = 0
    prior /= prior.sum()
    a, b = prior.sum(axis=1), prior.sum(axis=0)
    res = sinkhorn_newton(np.zeros((8, 6)), a, b, reg=0.3, prior=prior)
    P = np.exp((res.f[:, None] + res.g) / 0.3) * prior
    np.testing.assert_allclose(P, prior, atol=1e-9)
    np.testing.assert_allclose(P.sum(axis=1), a, atol=1e-9)


def test_exact_transport_by_repeated_priors():
    # Each round adds reg KL(P | last plan): the product of exp(-C/reg), k times.
    C = np.random.default_rng(16).random((20, 20))
    rows, columns = linear_sum_assignment(C)
    exact = C[rows, columns].mean()
    prior, gaps = None, []
    for _ in range(8):
        res = sinkhorn_newton(C, reg=0.02, prior=prior)
        cost = C - 0.02 * np.log(prior) if prior is not None else C
        prior = np.maximum(entropic.plan(cost, res.f, res.g, 0.02), 1e-200)
        gaps.append(np.sum(prior * C) - exact)
    assert all(late < early for early, late in itertools.pairwise(gaps))
    assert gaps[-1] < 0.05 * gaps[0]
