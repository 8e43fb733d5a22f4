"""The Sinkhorn divergence: a distance, free of the bias of its regularisation."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

import entropic
from refopt import sinkhorn_divergence, sinkhorn_newton

METRICS = ["sqeuclidean", "euclidean", "cityblock"]


def clouds(n, m, d=2, seed=0):
    rng = np.random.default_rng(seed)
    X, Y = rng.random((n, d)), rng.random((m, d)) + 0.2
    return X, Y, rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("reg", [1.0, 1e-2, 1e-3])
def test_it_is_made_of_three_transport_values(metric, reg):
    X, Y, a, b = clouds(40, 30)
    res = sinkhorn_divergence(X, Y, a, b, reg=reg, metric=metric)
    parts = [
        sinkhorn_newton(cdist(P, Q, metric), p, q, reg=reg).fun
        for P, Q, p, q in ((X, Y, a, b), (X, X, a, a), (Y, Y, b, b))
    ]
    assert res.success and res.status == 0
    assert res.fun == pytest.approx(parts[0] - 0.5 * (parts[1] + parts[2]), abs=1e-8)
    biased = sinkhorn_divergence(X, Y, a, b, reg=reg, metric=metric, debias=False)
    assert biased.fun == pytest.approx(parts[0], abs=1e-9)
    assert biased.within_x is None and biased.within_y is None


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("reg", [10.0, 0.1, 1e-3, 1e-5])
def test_the_symmetric_problems_are_solved(metric, reg):
    X, Y, a, b = clouds(25, 70)
    res = sinkhorn_divergence(X, Y, a, b, reg=reg, metric=metric)
    for part, P, p in ((res.within_x, X, a), (res.within_y, Y, b)):
        entropic.assert_solved(part, cdist(P, P, metric), p, p, reg)
        np.testing.assert_allclose(np.ptp(part.f - part.g), 0, atol=1e-12)  # f = g but the gauge
    entropic.assert_solved(res.cross, cdist(X, Y, metric), a, b, reg)
    assert res.marginal_error <= 1e-9


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(3))
def test_it_is_positive_and_symmetric(metric, seed):
    X, Y, a, b = clouds(30, 45, seed=seed)
    for reg in (1.0, 0.05, 1e-3):
        one = sinkhorn_divergence(X, Y, a, b, reg=reg, metric=metric)
        two = sinkhorn_divergence(Y, X, b, a, reg=reg, metric=metric)
        assert one.fun > 1e-3
        assert two.fun == pytest.approx(one.fun, abs=1e-8)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("reg", [1.0, 1e-2, 1e-4])
def test_equal_measures_are_at_no_distance(metric, reg):
    X, _, a, _ = clouds(40, 1)
    assert abs(sinkhorn_divergence(X, X, a, a, reg=reg, metric=metric).fun) < 1e-8
    # the same measure: in another order, with a point split in two
    order = np.random.default_rng(1).permutation(40)
    Y, b = np.vstack([X[order], X[:1]]), np.r_[a[order], 0.3 * a[0]]
    b[np.flatnonzero(order == 0)] *= 0.7
    assert abs(sinkhorn_divergence(X, Y, a, b, reg=reg, metric=metric).fun) < 1e-8


def test_small_differences_are_not_lost_beside_the_bias():
    X, _, a, _ = clouds(60, 1)
    distances = [sinkhorn_divergence(X, X + t, a, a, reg=0.5).fun for t in (0, 1e-3, 1e-2, 1e-1)]
    np.testing.assert_allclose(distances, 2 * np.array([0, 1e-6, 1e-4, 1e-2]), atol=1e-9)


@pytest.mark.parametrize("reg", [1.0, 1e-2, 1e-3])
@pytest.mark.parametrize("d", [1, 5])
def test_a_translation_has_its_squared_length(reg, d):
    X, _, a, _ = clouds(50, 1, d)
    t = np.random.default_rng(2).standard_normal(d)
    res = sinkhorn_divergence(X, X + t, a, a, reg=reg)
    assert res.fun == pytest.approx(t @ t, abs=1e-7)


def test_without_regularisation_left_it_is_the_transport_distance():
    rng = np.random.default_rng(3)
    x, y = rng.random(30), rng.random(20) + 0.5
    a, b = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(20))
    res = sinkhorn_divergence(x[:, None], y[:, None], a, b, reg=1e-4, metric="euclidean")
    assert res.fun == pytest.approx(wasserstein_distance(x, y, a, b), abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_its_potentials_are_its_derivatives(seed):
    X, Y, a, b = clouds(12, 10, seed=seed)
    options = {"reg": 0.1, "tol": 1e-13}
    res = sinkhorn_divergence(X, Y, a, b, **options)
    rng = np.random.default_rng(seed)
    u, v = rng.standard_normal(12), rng.standard_normal(10)
    u, v, h = u - u.mean(), v - v.mean(), 1e-5
    values = [
        sinkhorn_divergence(X, Y, a + t * h * u, b + t * h * v, **options).fun for t in (1, -1)
    ]
    assert res.f @ u + res.g @ v == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-4)
    assert a @ res.f + b @ res.g == pytest.approx(res.fun, abs=1e-10)


@pytest.mark.parametrize("mass", [1e-3, 60.0])
def test_mass_is_a_factor(mass):
    X, Y, a, b = clouds(30, 20)
    one = sinkhorn_divergence(X, Y, a, b, reg=0.05)
    two = sinkhorn_divergence(X, Y, mass * a, mass * b, reg=0.05)
    assert two.success
    assert two.fun == pytest.approx(mass * one.fun, rel=1e-7)


def test_points_without_mass_take_no_part():
    X, Y, a, b = clouds(30, 20)
    a[[0, 4, 29]] = b[3] = 0
    a, b = a / a.sum(), b / b.sum()
    res = sinkhorn_divergence(X, Y, a, b, reg=0.05)
    rest = sinkhorn_divergence(X[a > 0], Y[b > 0], a[a > 0], b[b > 0], reg=0.05)
    assert res.fun == pytest.approx(rest.fun, abs=1e-9)
    np.testing.assert_array_equal(np.isneginf(res.f), a == 0)
    np.testing.assert_array_equal(np.isneginf(res.g), b == 0)
    np.testing.assert_allclose(res.f[a > 0], rest.f, atol=1e-7)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 9), (9, 1), (400, 3)])
def test_small_and_unequal_clouds(n, m):
    X, Y, a, b = clouds(n, m)
    res = sinkhorn_divergence(X, Y, a, b, reg=0.01)
    assert res.success
    if n == m == 1:
        assert res.fun == pytest.approx(np.sum((X - Y) ** 2))


def test_far_clusters_settle_before_the_last_stage():
    # Self plans are diagonal long before reg is reached.
    X = np.array([[0.0], [1.0], [5.0]])
    for reg in (1e-2, 1e-4, 1e-6):
        res = sinkhorn_divergence(X, X + 0.5, reg=reg)
        assert res.success, res.message
        assert res.fun == pytest.approx(0.25, abs=1e-8)


def test_history_and_counts_cover_all_three_problems():
    X, Y, a, b = clouds(30, 20)
    seen = []
    res = sinkhorn_divergence(X, Y, a, b, reg=0.01, callback=seen.append)
    parts = res.cross, res.within_x, res.within_y
    assert res.nit == sum(p.nit for p in parts) == len(seen)
    assert res.nfev == sum(p.nfev for p in parts)
    assert res.marginal_error == max(p.marginal_error for p in parts)
    np.testing.assert_array_equal(np.unique(res.history["problem"]), [0, 1, 2])
    assert len({len(column) for column in res.history.values()}) == 1


@pytest.mark.parametrize("part", [0, 1, 2])
def test_the_callback_can_stop_each_problem(part):
    X, Y, a, b = clouds(30, 20)
    full = sinkhorn_divergence(X, Y, a, b, reg=0.01)
    before = sum(p.nit for p in (full.cross, full.within_x, full.within_y)[:part])
    calls = []

    def stop(intermediate_result):
        calls.append(1)
        if len(calls) == before + 2:
            raise StopIteration

    res = sinkhorn_divergence(X, Y, a, b, reg=0.01, callback=stop)
    assert res.status == 2 and not res.success
    assert len(calls) == before + 2  # no further problem is begun
    assert np.isfinite(res.fun)


def test_too_few_iterations_are_admitted():
    X, Y, a, b = clouds(30, 20)
    for maxiter in (0, 1, 3):
        res = sinkhorn_divergence(X, Y, a, b, reg=1e-3, maxiter=maxiter)
        assert res.status == 1 and not res.success
        assert max(p.nit for p in (res.cross, res.within_x, res.within_y)) <= maxiter
        assert np.isfinite(res.x).all()


@pytest.mark.parametrize("tol", [0, 1e-16])
def test_a_tolerance_below_rounding_ends(tol):
    X, Y, a, b = clouds(30, 20)
    res = sinkhorn_divergence(X, Y, a, b, reg=0.1, tol=tol)
    assert res.marginal_error < 1e-13
    assert res.success == (res.marginal_error <= tol)


@pytest.mark.parametrize("kind", ["duplicates", "one place", "line"])
def test_degenerate_clouds(kind):
    X, Y, a, b = clouds(30, 20)
    if kind == "duplicates":
        X[10:20] = X[0]
    elif kind == "one place":
        X[:] = Y[:] = 0.5
    else:
        X[:, 1] = Y[:, 1] = 0
    for reg in (0.1, 1e-3):
        res = sinkhorn_divergence(X, Y, a, b, reg=reg)
        assert res.success, res.message
        assert res.fun >= -1e-9
        if kind == "one place":
            assert abs(res.fun) < 1e-9
