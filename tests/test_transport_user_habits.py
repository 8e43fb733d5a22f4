"""What users do that papers do not: penalties for infinity, odd masses, data changed afterwards."""

import math

import numpy as np
import pytest

import refopt


@pytest.mark.parametrize("penalty", [1e6, 1e10, 1e15, 1e30])
def test_a_huge_cost_works_as_a_forbidden_pair(penalty):
    rng = np.random.default_rng(0)
    C = rng.random((100, 80))
    forbidden = rng.random(C.shape) < 0.5
    res = refopt.sinkhorn_newton(np.where(forbidden, penalty, C), reg=0.01)
    exact = refopt.sinkhorn_newton(np.where(forbidden, np.inf, C), reg=0.01)
    assert res.success
    assert res.cost == pytest.approx(exact.cost, rel=1e-6)


@pytest.mark.parametrize("mass", [1e-300, 1e-307, 1e-315])
def test_masses_down_to_the_least_numbers(mass):
    rng = np.random.default_rng(1)
    a = np.full(100, 0.01)
    a[3] = mass
    for backend in ("numpy", "numba"):
        res = refopt.sinkhorn_newton(rng.random((100, 80)), a / a.sum(), reg=1e-3, backend=backend)
        assert res.success
        assert not np.isnan(res.x).any()


def test_the_callback_sees_potentials_of_the_reg_that_it_sees():
    rng = np.random.default_rng(2)
    C, a = rng.random((20, 30)), 7.5 * rng.dirichlet(np.ones(20))
    b = 7.5 * rng.dirichlet(np.ones(30))
    seen = []
    refopt.sinkhorn_newton(C, a, b, reg=1e-3, callback=seen.append)
    assert len({r.reg for r in seen}) > 2
    for r in seen:  # early passes are in single precision
        error = refopt.marginal_error(r.f, r.g, C, a, b, r.reg)
        assert error == pytest.approx(r.marginal_error, rel=1e-4, abs=1e-9)
        assert refopt.lyapunov(r.f, r.g, C, a, b, r.reg) == pytest.approx(r.fun, rel=1e-5)


def test_no_finite_bound_is_claimed_where_no_plan_exists():
    C = np.full((4, 4), np.inf)
    C[range(4), range(4)] = C[0, 1] = 1.0
    res = refopt.sinkhorn_newton(C, [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.4, 0.3], reg=0.01)
    assert res.status == 5
    assert res.primal == res.gap == math.inf


def test_the_message_says_that_the_error_is_relative():
    res = refopt.sinkhorn_newton(np.eye(6), np.full(6, 5e5), np.full(6, 5e5), reg=0.1)
    assert "relative to the mass" in res.message
    assert "relative" not in refopt.sinkhorn_newton(np.eye(6), reg=0.1).message


def test_points_may_be_changed_after_the_solution():
    X, Y = np.random.default_rng(3).random((2, 20, 2))
    res = refopt.sinkhorn_newton(refopt.PointCloudCost(X, Y), reg=0.01)
    gap = res.gap
    X *= 2
    assert res.gap == gap


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"time_limit": -1.0}, "time_limit"),
        ({"time_limit": "1"}, "time_limit"),
        ({"time_limit": math.nan}, "time_limit"),
        ({"disp": 0.5}, "disp"),
        ({"disp": -1}, "disp"),
        ({"eps_scaling": 1 + 1e-9}, "eps_scaling"),
    ],
)
def test_options_that_would_never_end_or_mean_nothing(options, argument):
    with pytest.raises((ValueError, TypeError), match=argument):
        refopt.sinkhorn_newton(np.eye(3), reg=0.1, **options)


def test_points_too_far_apart_for_their_distances():
    with pytest.raises(ValueError, match="finite distances"):
        refopt.PointCloudCost([[1e160]], [[0.0]])


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # by np.asmatrix itself
def test_a_matrix_of_the_old_kind_is_an_array():
    C = np.random.default_rng(4).random((5, 6))
    with_matrix = refopt.sinkhorn_newton(np.asmatrix(C), reg=0.1)
    assert with_matrix.fun == refopt.sinkhorn_newton(C, reg=0.1).fun


def test_the_density_is_that_of_the_last_newton_matrix():
    C = np.random.default_rng(5).random((30, 30))
    res = refopt.sinkhorn_newton(C, reg=0.05)
    assert 0 < res.density <= 1
