"""Logistic regression with a squared penalty: answers, certificates, invariances, bad input."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

from refopt import logistic


def data(n=200, p=12, seed=0, density=1.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * (rng.random((n, p)) < density)
    z = X @ rng.standard_normal(p) + 0.5 + rng.logistic(size=n)
    return X, np.where(z > 0, 1, 0)


def objective(X, y, l2, w, b=0.0, s=1.0):
    sign = 2.0 * y - 1
    return float(np.sum(s * np.logaddexp(0, -sign * (X @ w + b))) + l2 / 2 * (w @ w))


def dual_value(X, y, l2, q, s=1.0):
    """D of q in [0, 1], from its definition."""
    sign = 2.0 * y - 1
    h = np.where(q > 0, q * np.log(np.where(q > 0, q, 1)), 0) + (1 - q) * np.log1p(-q)
    theta = X.T @ (s * sign * q)
    return float(-np.sum(s * h) - theta @ theta / (2 * l2))


def probabilities(X, y, w, b=0.0):
    return 1 / (1 + np.exp((2.0 * y - 1) * (X @ w + b)))


def least(X, y, l2, intercept=False):
    """min F by a solver of SciPy."""
    A = np.column_stack([X, np.ones(len(y))]) if intercept else X
    p = X.shape[1]
    sign = 2.0 * y - 1

    def both(v):
        q = 1 / (1 + np.exp(sign * (A @ v)))
        penalty = np.r_[v[:p], np.zeros(len(v) - p)]
        return objective(A, y, 0, v) + l2 / 2 * v[:p] @ v[:p], l2 * penalty - A.T @ (sign * q)

    options = {"gtol": 1e-10, "ftol": 1e-16, "maxiter": 10_000}
    start = np.zeros(A.shape[1])
    return scipy.optimize.minimize(both, start, jac=True, method="L-BFGS-B", options=options).fun


# Answers


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("l2", [100.0, 1.0, 1e-3])
@pytest.mark.parametrize("shape", [(200, 12), (40, 90), (30, 300)])
def test_it_finds_the_minimum(shape, l2, intercept):
    X, y = data(*shape)
    res = logistic(X, y, l2, fit_intercept=intercept, tol=1e-12)
    assert res.success and res.gap <= 1e-12
    assert res.fun == pytest.approx(objective(X, y, l2, res.x, res.intercept), rel=1e-13)
    expected = least(X, y, l2, intercept)
    assert res.fun == pytest.approx(expected, abs=1e-8 * len(y))
    assert res.fun <= expected + 1e-12 * len(y)


def test_one_sample_and_one_feature_by_the_closed_equation():
    x, l2 = 2.0, 3.0
    res = logistic([[x]], [1], l2, tol=1e-15)
    w = float(res.x[0])
    assert l2 * w == pytest.approx(x / (1 + math.exp(x * w)), rel=1e-9)


def test_without_features_the_intercept_is_the_log_odds():
    y = np.r_[np.ones(3), np.zeros(1)]
    res = logistic(np.zeros((4, 2)), y, 1.0, fit_intercept=True)
    assert res.success and res.nit == 0 and res.gap == 0
    assert res.intercept == pytest.approx(math.log(3), rel=1e-12)
    assert not res.x.any() and not res.active.any()
    empty = logistic(np.zeros((4, 0)), y, 1.0, fit_intercept=True)
    assert empty.success and empty.x.shape == (0,)
    assert empty.intercept == pytest.approx(math.log(3), rel=1e-12)


def test_without_a_penalty_the_gradient_vanishes():
    X, y = data()
    res = logistic(X, y, 0.0, fit_intercept=True, tol=1e-12)
    assert res.success and res.gap is None
    residual = 1 / (1 + np.exp(-(X @ res.x + res.intercept))) - y
    assert np.abs(X.T @ residual).max() <= 1e-9 and abs(residual.sum()) <= 1e-10
    assert "kkt_relative" in res.history


def test_dependent_columns_without_a_penalty_give_the_same_fit():
    X, y = data(p=4)
    res = logistic(np.column_stack([X, X[:, :2], np.zeros(len(y))]), y, 0.0, tol=1e-10)
    single = logistic(X, y, 0.0, tol=1e-10)
    assert res.success and res.fun == pytest.approx(single.fun, rel=1e-12)


# Certificates


@pytest.mark.parametrize("intercept", [False, True])
def test_the_gap_is_that_of_a_feasible_dual_point(intercept):
    X, y = data()
    l2 = 0.7
    for maxiter in range(4):
        res = logistic(X, y, l2, fit_intercept=intercept, maxiter=maxiter, tol=0.0)
        q = probabilities(X, y, res.x, res.intercept)
        if intercept:
            assert abs(np.sum((2.0 * y - 1) * q)) <= 1e-12 * len(y)
        odds = np.bincount(y) / len(y) if intercept else np.full(2, 0.5)
        zero = -len(y) * np.sum(np.bincount(y) / len(y) * np.log(odds))
        gap = (res.fun - dual_value(X, y, l2, q)) / zero
        assert res.gap == pytest.approx(gap, rel=1e-6, abs=1e-14)


def test_no_iterate_undercuts_its_bound():
    X, y = data(30, 60, seed=4)
    best = logistic(X, y, 0.05, tol=1e-14).fun
    res = logistic(X, y, 0.05, tol=1e-12)
    zero = len(y) * math.log(2)
    fun, gap = res.history["fun"], res.history["gap"]
    assert np.all(gap * zero >= fun - best - 1e-12 * zero)
    assert np.all(np.diff(fun) <= 1e-13 * zero)


def test_the_last_steps_are_superlinear():
    X, y = data()
    gap = logistic(X, y, 0.1, tol=1e-20, maxiter=30).history["gap"]
    late = gap[(gap < 1e-3) & (gap > 1e-14)]
    assert np.all(late[1:] <= 0.05 * late[:-1])


# Invariances


def test_scaling_permutation_and_signs():
    X, y = data()
    one = logistic(X, y, 0.5, tol=1e-14)
    scaled = logistic(3 * X, y, 4.5, tol=1e-14)
    np.testing.assert_allclose(3 * scaled.x, one.x, atol=1e-6)
    columns, rows = (
        np.random.default_rng(0).permutation(12),
        np.random.default_rng(1).permutation(200),
    )
    moved = logistic(X[rows][:, columns], y[rows], 0.5, tol=1e-14)
    np.testing.assert_allclose(moved.x, one.x[columns], atol=1e-6)
    np.testing.assert_allclose(logistic(X, 1 - y, 0.5, tol=1e-14).x, -one.x, atol=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        lambda y: 2 * y - 1,
        lambda y: y > 0,
        lambda y: y.astype(float),
        lambda y: (y > 0).astype(object),  # as tables hold booleans beside missing values
        lambda y: y.astype(object),
    ],
)
def test_the_form_of_the_labels_does_not_matter(form):
    X, y = data()
    res = logistic(X, form(y), 1.0)
    np.testing.assert_array_equal(res.x, logistic(X, y, 1.0).x)
    assert res.classes.tolist() == np.unique(form(y)).tolist()


@pytest.mark.parametrize("intercept", [False, True])
def test_weights_count_rows_and_zero_drops_them(intercept):
    X, y = data()
    s = np.random.default_rng(2).integers(0, 3, len(y))
    weighted = logistic(X, y, 1.0, sample_weight=s, fit_intercept=intercept, tol=1e-14)
    repeated = logistic(
        np.repeat(X, s, axis=0), np.repeat(y, s), 1.0, fit_intercept=intercept, tol=1e-14
    )
    np.testing.assert_allclose(weighted.x, repeated.x, atol=1e-7)
    assert weighted.fun == pytest.approx(repeated.fun, rel=1e-12)
    X[s == 0] = 1e6
    np.testing.assert_array_equal(
        logistic(X, y, 1.0, sample_weight=s, fit_intercept=intercept, tol=1e-14).x, weighted.x
    )


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("shape", [(150, 30), (60, 200)])
def test_sparse_dense_and_both_backends_agree(shape, intercept, backend):
    X, y = data(*shape, density=0.2)
    truth = logistic(X, y, 0.3, fit_intercept=intercept, tol=1e-15, backend="numpy")
    index64 = sp.csr_matrix(X)
    index64.indices, index64.indptr = (
        index64.indices.astype(np.int64),
        index64.indptr.astype(np.int64),
    )
    forms = (X, np.asfortranarray(X), sp.csc_matrix(X), sp.csr_array(X), index64, sp.coo_array(X))
    for form in forms:
        res = logistic(form, y, 0.3, fit_intercept=intercept, tol=1e-15, backend=backend)
        assert res.success and res.backend == backend
        np.testing.assert_allclose(res.x, truth.x, atol=1e-6)
        assert res.fun == pytest.approx(truth.fun, rel=1e-13)


def test_arrays_of_the_standard():
    xp = pytest.importorskip("array_api_strict")
    X, y = data(60, 8)
    for intercept in (False, True):
        res = logistic(xp.asarray(X), xp.asarray(y), 0.3, fit_intercept=intercept, tol=1e-12)
        truth = logistic(X, y, 0.3, fit_intercept=intercept, tol=1e-12)
        assert res.success and res.backend == "reference"
        np.testing.assert_allclose(np.asarray(res.x), truth.x, atol=1e-6)


def test_single_precision_returns_single_precision_and_says_what_it_reached():
    X, y = data()
    X = X.astype(np.float32)
    res = logistic(X, y, 1.0, fit_intercept=True)
    assert res.x.dtype == np.float32 and res.success and "float32" in res.message
    q = probabilities(X.astype(float), y, res.x.astype(float), res.intercept)
    assert res.kkt == pytest.approx(
        np.abs(np.r_[X.T @ ((2.0 * y - 1) * -q) + res.x, np.sum((1 - 2.0 * y) * q)]).max(), rel=1e-3
    )


# Runs


def test_a_warm_start_at_the_solution_ends_at_once():
    X, y = data()
    for intercept in (False, True):
        res = logistic(X, y, 1.0, fit_intercept=intercept, tol=1e-12)
        again = logistic(X, y, 1.0, fit_intercept=intercept, tol=1e-11, x0=res.x)
        assert again.success and again.nit == 0


@pytest.mark.parametrize("l2", [1e3, 1.0, 1e-6, 1e-10])
@pytest.mark.parametrize("intercept", [False, True])
def test_far_more_columns_than_rows(l2, intercept):
    """Solved in the row space: same answers, whatever the start and the rank."""
    X, y = data(25, 250, seed=7)
    X[3] = X[4]
    res = logistic(X, y, l2, fit_intercept=intercept, tol=1e-10)
    plain = logistic(sp.csc_array(X), y, l2, fit_intercept=intercept, tol=1e-10)
    assert res.success and plain.success
    assert res.fun == pytest.approx(plain.fun, abs=2e-10 * len(y))
    assert res.fun == pytest.approx(objective(X, y, l2, res.x, res.intercept), rel=1e-12)
    x0 = np.random.default_rng(0).standard_normal(250)
    start = logistic(X, y, l2, fit_intercept=intercept, x0=x0, maxiter=0)
    np.testing.assert_array_equal(start.x, x0)
    seen = []
    warm = logistic(
        X, y, l2, fit_intercept=intercept, x0=x0, tol=1e-10, callback=lambda r: seen.append(r)
    )
    assert warm.success and warm.fun == pytest.approx(res.fun, abs=2e-10 * len(y))
    assert seen[0].x.shape == (250,) and len(seen) == warm.nit
    again = logistic(X, y, l2, fit_intercept=intercept, x0=res.x, tol=1e-9)
    assert again.success and again.nit == 0


@pytest.mark.parametrize("size", [10.0, 1e3, 1e6, 1e200])
def test_a_start_far_away_is_no_obstacle(size):
    X, y = data()
    x0 = size * np.random.default_rng(3).standard_normal(12)
    res = logistic(X, y, 1.0, fit_intercept=True, x0=x0)
    assert res.success
    assert res.fun == pytest.approx(logistic(X, y, 1.0, fit_intercept=True).fun, rel=1e-8)


def test_no_iterations_evaluate_the_start():
    X, y = data()
    x0 = np.random.default_rng(5).standard_normal(12)
    kept = x0.copy()
    res = logistic(X, y, 1.0, x0=x0, maxiter=0)
    assert (res.nit, res.status, res.success) == (0, 1, False)
    np.testing.assert_array_equal(res.x, kept)
    np.testing.assert_array_equal(x0, kept)
    assert res.fun == pytest.approx(objective(X, y, 1.0, x0), rel=1e-13)


def test_the_callback_sees_copies_and_may_stop():
    X, y = data()
    seen = []

    def stop(intermediate_result):
        seen.append(intermediate_result)
        intermediate_result.x[:] = np.nan
        if len(seen) == 2:
            raise StopIteration

    res = logistic(X, y, 1e-3, tol=1e-14, callback=stop)
    assert (res.status, res.nit) == (2, 2) and np.isfinite(res.x).all()
    assert seen[0].gap > seen[1].gap and isinstance(seen[1].intercept, float)


def test_time_limit_and_history():
    X, y = data()
    res = logistic(X, y, 1e-9, tol=1e-300, time_limit=0.0, history=False)
    assert res.status == 6 and res.history == {}


def test_the_limit_of_rounding_is_told():
    X, y = data()
    res = logistic(X, y, 1.0, tol=0.0, maxiter=1000)
    assert res.status == 3 and res.nit < 50 and res.gap < 1e-25


# No minimiser


@pytest.mark.parametrize("intercept", [False, True])
def test_separable_classes_without_a_penalty_end_with_status_5(intercept):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 60))
    y = rng.integers(0, 2, 30)
    for tol, maxiter in ((1e-8, 100), (0.0, 300)):
        res = logistic(X, y, 0.0, fit_intercept=intercept, tol=tol, maxiter=maxiter)
        assert res.status == 5 and not res.success and "separated" in res.message
        assert np.isfinite(res.x).all() and math.isfinite(res.fun)
        assert np.all((2 * y - 1) * (X @ res.x + res.intercept) > 0)
    assert logistic(X, y, 1e-6, fit_intercept=intercept).success


def test_classes_that_a_plane_touches_have_no_minimiser_either():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 40)
    X = np.where(rng.random((40, 1)) < 0.5, (2 * y - 1)[:, None] * (1 + rng.random((40, 1))), 0)
    res = logistic(X, y, 0.0)
    assert res.status == 5 and np.isfinite(res.x).all()
    assert res.fun == pytest.approx(np.log(2) * np.sum(X == 0), rel=1e-7)


@pytest.mark.parametrize("size", [1e-100, 1e100])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("make", [np.asarray, sp.csc_array])
def test_extreme_units(size, backend, make):
    X, y = data(60, 8)
    plain = logistic(X, y, 1.0, tol=1e-12).x
    res = logistic(make(X * size), y, size * size, tol=1e-12, backend=backend)
    assert res.success
    np.testing.assert_allclose(res.x * size, plain, rtol=1e-5, atol=1e-6)
    res = logistic(make(X), y, size, sample_weight=np.full(60, size), tol=1e-12, backend=backend)
    assert res.success
    np.testing.assert_allclose(res.x, plain, rtol=1e-5, atol=1e-6)


def test_one_class_is_unbounded_without_a_penalty():
    X, _ = data()
    for y in (np.ones(200), np.zeros(200), np.full(200, -1)):
        with pytest.raises(
            ValueError, match=r"y must hold two classes without a penalty, .*unbounded"
        ):
            logistic(X, y, 0.0)
        with pytest.raises(ValueError, match="with an intercept"):
            logistic(X, y, 1.0, fit_intercept=True)
        res = logistic(X, y, 1.0)
        assert res.success and res.classes.shape == (1,)
    s = np.r_[np.ones(100), np.zeros(100)]
    with pytest.raises(ValueError, match="unbounded"):
        logistic(X, s, 0.0, sample_weight=s)


# Bad input


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"y": np.arange(200) % 3}, ValueError, "y must hold 0 and 1.*0.0, 1.0, 2.0"),
        ({"y": np.arange(200) % 2 + 1}, ValueError, "got the classes 1.0, 2.0"),
        ({"y": np.arange(200) % 2 - 1.0}, ValueError, "-1.0, 0.0"),
        ({"y": np.array(["a", "b"] * 100)}, ValueError, "y must hold .* a, b"),
        ({"y": np.zeros(199)}, ValueError, "one label per row of X, 200, got 199"),
        ({"y": np.zeros((200, 1))}, ValueError, "y must be 1-dimensional"),
        ({"y": np.full(200, np.nan)}, ValueError, "y must be finite"),
        ({"y": np.full(200, 1j)}, TypeError, "y must be real"),
        ({"X": np.full((200, 3), np.nan)}, ValueError, "X must be finite"),
        ({"X": np.zeros(200)}, ValueError, "X must be 2-dimensional"),
        ({"X": np.zeros((0, 3))}, ValueError, "X must have at least one row"),
        ({"X": np.ones((200, 3), complex)}, TypeError, "X must be real"),
        ({"l2": -1.0}, ValueError, "l2 must be nonnegative"),
        ({"l2": math.inf}, ValueError, "l2 must be nonnegative and finite"),
        ({"l2": "a"}, TypeError, "l2 must be a real number"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"maxiter": 1.5}, TypeError, "maxiter must be an integer"),
        ({"x0": np.zeros(3)}, ValueError, r"x0 must have shape \(12,\), got \(3,\)"),
        ({"x0": np.full(12, np.inf)}, ValueError, "x0 must be finite"),
        ({"sample_weight": np.full(200, -1.0)}, ValueError, "sample_weight must be nonnegative"),
        ({"sample_weight": np.zeros(200)}, ValueError, "sample_weight must have a positive"),
        ({"sample_weight": np.ones(3)}, ValueError, "sample_weight must have one weight per row"),
        ({"time_limit": -1}, ValueError, "time_limit"),
    ],
)
def test_bad_input_is_named(change, error, text):
    X, y = data()
    arguments = {"X": X, "y": y, "l2": 1.0} | change
    with pytest.raises(error, match=text):
        logistic(**arguments)
