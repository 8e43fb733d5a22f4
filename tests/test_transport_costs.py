"""Costs: point clouds that are never stored against the same matrix, stored in any way."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import entropic
from refopt import (
    PointCloudCost,
    lyapunov,
    marginal_error,
    plan_matvec,
    sinkhorn,
    sinkhorn_newton,
    transport_plan,
)
from refopt.problems import cloud2, transport_instance

METRICS = ["sqeuclidean", "euclidean", "cityblock"]


@pytest.fixture(params=METRICS)
def metric(request):
    return request.param


def clouds(n, m, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, d)), rng.standard_normal((m, d))


# The matrix


@pytest.mark.parametrize("d", [1, 2, 16, 50])
def test_the_matrix_is_that_of_the_metric(metric, d):
    X, Y = clouds(30, 20, d)
    C = PointCloudCost(X, Y, metric, scale=0.7)
    expected = 0.7 * cdist(X, Y, metric)
    assert C.shape == (30, 20)
    np.testing.assert_allclose(C.toarray(), expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(C.T.toarray(), expected.T, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(C[3:7], C.toarray()[3:7])
    np.testing.assert_array_equal(C[[4, 1, 4]], C.toarray()[[4, 1, 4]])


def test_a_point_has_no_distance_to_itself(metric):
    X, _ = clouds(40, 1, 3)
    assert (np.diag(PointCloudCost(X + 1e6, X + 1e6, metric).toarray()) == 0).all()


def test_it_shows_what_it_is():
    C = PointCloudCost(np.ones((3, 5)), np.ones((2, 5)), "euclidean", 0.5)
    assert repr(C) == "PointCloudCost(3 x 2, d=5, 'euclidean', 0.5)"


def test_single_precision_points_are_the_users_choice():
    X, Y = clouds(30, 20, 3)
    rounded = X.astype("f4").astype(float), Y.astype("f4").astype(float)
    expected = cdist(*rounded, "sqeuclidean")
    for C in (PointCloudCost(X, Y, dtype="f4"), PointCloudCost(X.astype("f4"), Y.astype("f4"))):
        np.testing.assert_allclose(C.toarray(), expected, rtol=1e-13)
        entropic.assert_solved(
            sinkhorn_newton(C, reg=0.05),
            expected, entropic.uniform(30), entropic.uniform(20), 0.05,
        )  # fmt: skip


# Solutions


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(("n", "m", "d"), [(40, 30, 2), (60, 200, 1), (150, 120, 20)])
def test_points_and_their_matrix_have_the_same_solution(metric, backend, n, m, d):
    X, Y = clouds(n, m, d)
    C = cdist(X, Y, metric)
    rng = np.random.default_rng(1)
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    reg = 0.02 * C.max()
    options = {"reg": reg, "tol": 1e-13, "backend": backend}
    lazy = sinkhorn_newton(PointCloudCost(X, Y, metric), a, b, **options)
    stored = sinkhorn_newton(C, a, b, **options)
    entropic.assert_solved(lazy, C, a, b, reg)
    np.testing.assert_allclose(lazy.f, stored.f, rtol=0, atol=1e-12 * C.max())
    np.testing.assert_allclose(lazy.g, stored.g, rtol=0, atol=1e-12 * C.max())
    assert lazy.cost == pytest.approx(stored.cost, rel=1e-12)


def test_the_scale_is_a_factor_of_the_cost(metric):
    X, Y = clouds(50, 40, 2)
    one = sinkhorn_newton(PointCloudCost(X, Y, metric, scale=4.0), reg=0.4)
    two = sinkhorn_newton(PointCloudCost(X, Y, metric), reg=0.1)
    np.testing.assert_allclose(one.f, 4 * two.f, rtol=0, atol=1e-8)


@pytest.mark.parametrize("options", [{}, {"preset": "paper"}, {"sparsify": "none"}])
def test_every_method_takes_points(metric, options):
    X, Y = clouds(45, 35, 2)
    C = cdist(X, Y, metric)
    res = sinkhorn_newton(PointCloudCost(X, Y, metric), reg=0.3, **options)
    entropic.assert_solved(res, C, entropic.uniform(45), entropic.uniform(35), 0.3)
    res = sinkhorn(PointCloudCost(X, Y, metric), reg=0.3)
    entropic.assert_solved(res, C, entropic.uniform(45), entropic.uniform(35), 0.3)


def test_zero_masses_and_points_go_together(metric):
    X, Y = clouds(30, 90, 2)
    rng = np.random.default_rng(2)
    a, b = rng.random(30), rng.random(90)
    a[::4] = b[5:40] = 0
    a, b = a / a.sum(), b / b.sum()
    res = sinkhorn_newton(PointCloudCost(X, Y, metric), a, b, reg=0.1)
    entropic.assert_solved(res, cdist(X, Y, metric), a, b, 0.1)


def test_functions_of_potentials_take_points(metric):
    X, Y = clouds(20, 30, 3)
    lazy, C = PointCloudCost(X, Y, metric), cdist(X, Y, metric)
    rng = np.random.default_rng(3)
    f, g = rng.random(20), rng.random(30)
    for function in (lyapunov, marginal_error):
        value = function(f, g, lazy, None, None, 0.5)
        assert value == pytest.approx(function(f, g, C, None, None, 0.5), rel=1e-12)


def test_a_prior_for_points():
    X, Y = clouds(12, 9, 2)
    prior = np.random.default_rng(4).random((12, 9))
    lazy = sinkhorn_newton(PointCloudCost(X, Y), reg=0.2, prior=prior)
    stored = sinkhorn_newton(cdist(X, Y, "sqeuclidean"), reg=0.2, prior=prior)
    np.testing.assert_allclose(lazy.f, stored.f, rtol=0, atol=1e-11)


def test_public_instances_from_their_points():
    for name in ("digits-l1-20-45-nobg", "digits-l2-100-205", "cloud50-300-1e-3"):
        problem = transport_instance(name)
        C = PointCloudCost(problem.X, problem.Y, problem.metric, problem.scale)
        res = sinkhorn_newton(C, problem.a, problem.b, reg=problem.reg)
        entropic.assert_solved(res, problem.C, problem.a, problem.b, problem.reg)


def peak_memory(call):
    """Result of a call and the most bytes that it allocated."""
    tracemalloc.start()
    try:
        result = call()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_points_are_solved_without_their_matrix():
    n = 12_000
    problem = cloud2(n, 1e-3, dense=False)
    C = PointCloudCost(problem.X, problem.Y)
    sinkhorn_newton(PointCloudCost(C.X[:100], C.Y), reg=0.1)  # what is imported at the first call
    res, peak = peak_memory(lambda: sinkhorn_newton(C, reg=problem.reg, tol=1e-4))
    assert res.success
    assert peak < 500e6  # kept entries, as documented; the matrix has 1152e6 bytes


def test_what_is_done_with_a_solution_needs_no_matrix_of_points():
    n = 2000
    problem = cloud2(n, 1e-3, dense=False)
    C = PointCloudCost(problem.X, problem.Y)
    res = sinkhorn_newton(C, reg=problem.reg, tol=1e-6)
    calls = {
        "product": lambda: plan_matvec(res, problem.Y),
        "sparse plan": lambda: transport_plan(res, sparse=True, drop=1e-3),
        "error": lambda: marginal_error(res.f, res.g, C, None, None, problem.reg),
    }
    for call in calls.values():
        call()
    for name, call in calls.items():
        _, peak = peak_memory(call)
        assert peak < 0.3 * 8 * n**2, name


# Matrices however they are stored


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "reversed": lambda C: np.ascontiguousarray(C[::-1, ::-1])[::-1, ::-1],
    "strided": lambda C: np.repeat(np.repeat(C, 2, axis=0), 3, axis=1)[::2, ::3],
    "transposed view": lambda C: np.ascontiguousarray(C.T).T,
    "big endian": lambda C: C.astype(C.dtype.newbyteorder(">")),
    "lists": lambda C: C.tolist(),
    "long double": lambda C: C.astype(np.longdouble),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(20, 15), (90, 70), (30, 150)])
@pytest.mark.parametrize("solver", [sinkhorn, sinkhorn_newton])
def test_the_layout_does_not_matter(layout, shape, solver):
    rng = np.random.default_rng(5)
    C = rng.random(shape)
    a, b = rng.dirichlet(np.ones(shape[0])), rng.dirichlet(np.ones(shape[1]))
    view = LAYOUTS[layout](C)
    res = solver(view, a[::-1][::-1], b, reg=0.05)
    entropic.assert_solved(res, C, a, b, 0.05)
    expected = solver(C, a, b, reg=0.05)
    np.testing.assert_allclose(res.f, expected.f, rtol=0, atol=1e-9)
    P, Q = transport_plan(res), transport_plan(expected)
    np.testing.assert_allclose(P, Q, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", ["bool", "i1", "u1", "i4", "i8", "u8", "f2", "f4", ">f4", ">i2"])
@pytest.mark.parametrize("shape", [(20, 15), (90, 70)])
def test_every_real_dtype_is_taken_for_its_values(dtype, shape):
    rng = np.random.default_rng(6)
    C = rng.integers(0, 2, shape).astype(dtype)
    C[0, 0] = 0
    a = rng.integers(1, 5, shape[0])
    b = np.full(shape[1], a.sum() / shape[1])
    res = sinkhorn_newton(C, a.astype("f8" if dtype in ("bool", "f2") else dtype), b, reg=0.1)
    entropic.assert_solved(res, C.astype(float), a, b, 0.1)
    assert res.f.dtype == res.g.dtype == np.float64
    assert transport_plan(res).dtype == (np.float32 if "f4" in dtype else np.float64)


def test_single_precision_costs_are_solved_in_double_precision():
    problem = transport_instance("cloud2-300-1e-3")
    single = problem.C.astype("f4")
    res = sinkhorn_newton(single, problem.a.astype("f4"), problem.b, reg=problem.reg)
    a = problem.a.astype("f4").astype(float)
    entropic.assert_solved(res, single.astype(float), a, problem.b * a.sum(), problem.reg)
    double = sinkhorn_newton(single.astype(float), reg=problem.reg)
    assert res.fun == pytest.approx(double.fun, rel=1e-6)


def test_a_single_column_of_points_may_be_strided(metric):
    X, Y = clouds(80, 60, 4)
    one = sinkhorn_newton(PointCloudCost(X[::2, 1:3], np.asfortranarray(Y)[:, ::2], metric), reg=1)
    two = sinkhorn_newton(
        PointCloudCost(X[::2, 1:3].copy(), np.ascontiguousarray(Y[:, ::2]), metric), reg=1
    )
    np.testing.assert_array_equal(one.x, two.x)
