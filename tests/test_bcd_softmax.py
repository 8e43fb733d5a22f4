"""Multinomial logistic regression: answers, certificates, exact zeros, invariances, bad input."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
from scipy.special import logsumexp

from refopt import l1_logistic, logistic, softmax

PENALTIES = [(1.0, 0.0), (1e-2, 0.0), (0.0, 3.0), (0.0, 0.5), (1.0, 3.0)]


def data(n=150, p=20, K=3, seed=0, density=1.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * (rng.random((n, p)) < density)
    W = rng.standard_normal((p, K)) * (rng.random((p, K)) < 0.4)
    return X, np.argmax(X @ W + rng.gumbel(size=(n, K)), axis=1)


def objective(X, c, l2, l1, W, b=0.0, s=1.0):
    Z = X @ W + b
    loss = np.sum(s * (logsumexp(Z, axis=1) - Z[np.arange(len(c)), c]))
    return float(loss + l1 * np.abs(W).sum() + l2 / 2 * (W**2).sum())


def dual_value(X, c, l2, l1, W, b=0.0):
    """D at the slopes of the loss, scaled to be feasible, from its definition."""
    Z = X @ W + b
    P = np.exp(Z - logsumexp(Z, axis=1, keepdims=True))
    R = P - np.eye(P.shape[1])[c]
    if l2 and l1:  # of R and its feasible multiple the better
        feasible = dual_value(X, c, 0, l1, W, b)
        return max(feasible, dual_of(X, c, l2, l1, R))
    if l2 == 0:
        R = R / max(1.0, np.abs(X.T @ R).max() / l1)
    return dual_of(X, c, l2, l1, R)


def dual_of(X, c, l2, l1, R):
    q = R + np.eye(R.shape[1])[c]
    assert q.min() >= 0 and np.allclose(q.sum(axis=1), 1)
    entropy = np.sum(np.where(q > 0, q * np.log(np.where(q > 0, q, 1)), 0))
    excess = np.maximum(np.abs(X.T @ R) - l1, 0)
    return -entropy - (np.sum(excess**2) / (2 * l2) if l2 else 0.0)


def null(c, intercept):
    counts = np.bincount(c)
    share = counts / len(c) if intercept else np.full(len(counts), 1 / len(counts))
    return -float(counts @ np.log(share))


# Answers


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("l2", [10.0, 1e-2])
def test_it_finds_the_smooth_minimum(l2, intercept):
    X, c = data()
    n, p, K = 150, 20, 3
    res = softmax(X, c, l2, fit_intercept=intercept, tol=1e-12)
    assert res.success and res.x.shape == (p, K) and res.intercept.shape == (K,)
    A = np.column_stack([X, np.ones(n)]) if intercept else X
    Y = np.eye(K)[c]

    def both(v):
        V = v.reshape(-1, K)
        Z = A @ V
        P = np.exp(Z - logsumexp(Z, axis=1, keepdims=True))
        W = np.vstack([V[:p], np.zeros((V.shape[0] - p, K))])
        value = np.sum(logsumexp(Z, axis=1) - Z[np.arange(n), c]) + l2 / 2 * (W**2).sum()
        return value, (A.T @ (P - Y) + l2 * W).ravel()

    options = {"gtol": 1e-10, "ftol": 1e-16, "maxiter": 10_000}
    start = np.zeros(A.shape[1] * K)
    best = scipy.optimize.minimize(both, start, jac=True, method="L-BFGS-B", options=options).fun
    assert res.fun == pytest.approx(best, abs=1e-8 * n) and res.fun <= best + 1e-11 * n
    assert res.fun == pytest.approx(objective(X, c, l2, 0, res.x, res.intercept), rel=1e-13)
    # ||W - W*||^2 <= 2 gap / l2
    radius = math.sqrt(2 * 1e-12 * null(c, intercept) / l2)
    assert np.linalg.norm(res.x.sum(axis=1)) <= math.sqrt(K) * radius


@pytest.mark.parametrize("intercept", [False, True])
def test_two_classes_are_logistic_regression(intercept):
    X, c = data(K=2)
    res = softmax(X, c, 2.0, fit_intercept=intercept, tol=1e-14)
    two = logistic(X, c, 1.0, fit_intercept=intercept, tol=1e-14)
    np.testing.assert_allclose(res.x[:, 1] - res.x[:, 0], two.x, atol=1e-6)
    assert res.fun == pytest.approx(two.fun, rel=1e-12)
    sparse = softmax(X, c, 0.0, l1=2.0, fit_intercept=intercept, tol=1e-12)
    both = l1_logistic(X, c, 2.0, fit_intercept=intercept, tol=1e-12)
    np.testing.assert_allclose(sparse.x[:, 1] - sparse.x[:, 0], both.x, atol=1e-5)
    assert sparse.fun == pytest.approx(both.fun, rel=1e-11)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("l2", "l1"), PENALTIES[2:])
def test_with_l1_the_subgradients_vanish_and_zeros_are_exact(l2, l1, intercept):
    X, c = data(p=40)
    res = softmax(X, c, l2, l1=l1, fit_intercept=intercept, tol=1e-13)
    assert res.success
    Z = X @ res.x + res.intercept
    R = np.exp(Z - logsumexp(Z, axis=1, keepdims=True)) - np.eye(3)[c]
    G = X.T @ R + l2 * res.x
    active = res.x == 0
    assert 0 < active.sum() < active.size and np.array_equal(res.active, active)
    np.testing.assert_allclose(G[~active], -l1 * np.sign(res.x[~active]), atol=1e-4)
    assert np.abs(G[active]).max() <= l1 * (1 + 1e-6)
    if intercept:
        assert np.abs(R.sum(axis=0)).max() <= 1e-9
    assert 0 < res.nit_active <= res.nit < 40


def test_the_least_penalty_with_all_zeros():
    X, c = data()
    lam_max = np.abs(X.T @ (1 / 3 - np.eye(3)[c])).max()
    above = softmax(X, c, 0.0, l1=lam_max * (1 + 1e-9))
    assert above.success and above.nit <= 1 and above.gap <= 1e-15 and not above.x.any()
    below = softmax(X, c, 0.0, l1=0.99 * lam_max)
    assert below.success and 1 <= (~below.active).sum() <= 3


def test_without_features_the_intercepts_are_log_shares():
    c = np.repeat([0, 1, 2], [1, 2, 5])
    res = softmax(np.zeros((8, 2)), c, 1.0, fit_intercept=True)
    assert res.success and not res.x.any()
    share = np.exp(res.intercept - logsumexp(res.intercept))
    np.testing.assert_allclose(share, [1 / 8, 2 / 8, 5 / 8], rtol=1e-10)


# Certificates


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("l2", "l1"), PENALTIES)
def test_the_gap_is_that_of_a_feasible_dual_point(l2, l1, intercept):
    X, c = data()
    best = softmax(X, c, l2, l1=l1, fit_intercept=intercept, tol=1e-13).fun
    zero = null(c, intercept)
    for maxiter in range(5):
        res = softmax(X, c, l2, l1=l1, fit_intercept=intercept, maxiter=maxiter, tol=0.0)
        bound = dual_value(X, c, l2, l1, res.x, res.intercept)
        assert bound <= best + 1e-12 * zero
        assert res.gap == pytest.approx((res.fun - bound) / zero, rel=1e-6, abs=1e-13)
        assert res.fun == pytest.approx(objective(X, c, l2, l1, res.x, res.intercept), rel=1e-13)


@pytest.mark.parametrize(("l2", "l1"), PENALTIES)
def test_no_iterate_undercuts_its_bound_and_f_falls(l2, l1):
    X, c = data(60, 80, seed=3)
    best = softmax(X, c, l2, l1=l1, tol=1e-13).fun
    res = softmax(X, c, l2, l1=l1, tol=1e-12)
    fun, gap, zero = res.history["fun"], res.history["gap"], null(c, False)
    assert res.success
    assert np.all(gap * zero >= fun - best - 1e-12 * zero)
    assert np.all(np.diff(fun) <= 1e-13 * zero)


# Invariances


@pytest.mark.parametrize(("l2", "l1"), [(1.0, 0.0), (0.5, 2.0)])
def test_names_and_order_of_classes_and_rows(l2, l1):
    X, c = data()
    one = softmax(X, c, l2, l1=l1, tol=1e-14)
    names = np.array(["wolf", "ant", "bee"])
    named = softmax(X, names[c], l2, l1=l1, tol=1e-14)
    assert named.classes.tolist() == ["ant", "bee", "wolf"]
    np.testing.assert_allclose(named.x[:, [2, 0, 1]], one.x, atol=1e-6)
    assert softmax(X, 10 * c - 7, l2, l1=l1).classes.tolist() == [-7, 3, 13]
    assert softmax(X, names[c].tolist(), l2, l1=l1).classes.tolist() == ["ant", "bee", "wolf"]
    scaled = softmax(2 * X, c, 4 * l2, l1=2 * l1, tol=1e-14)
    np.testing.assert_allclose(2 * scaled.x, one.x, atol=1e-6)
    order = np.random.default_rng(0).permutation(len(c))
    np.testing.assert_allclose(
        softmax(X[order], c[order], l2, l1=l1, tol=1e-14).x, one.x, atol=1e-6
    )


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("l2", "l1"), [(1.0, 0.0), (0.5, 2.0)])
def test_weights_count_rows_and_zero_drops_them(l2, l1, intercept):
    X, c = data()
    s = np.random.default_rng(2).integers(0, 3, len(c))
    c[np.flatnonzero(s == 0)[0]] = 99  # a class that only a dropped row has
    options = {"l1": l1, "fit_intercept": intercept, "tol": 1e-14}
    weighted = softmax(X, c, l2, sample_weight=s, **options)
    repeated = softmax(np.repeat(X, s, axis=0), np.repeat(c, s), l2, **options)
    assert weighted.classes.tolist() == [0, 1, 2]
    np.testing.assert_allclose(weighted.x, repeated.x, atol=1e-6)
    X[s == 0] = 1e5
    again = softmax(X, c, l2, sample_weight=s, **options)
    np.testing.assert_allclose(again.x, weighted.x, atol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("l2", "l1"), PENALTIES)
def test_sparse_dense_and_both_backends_agree(l2, l1, intercept, backend):
    X, c = data(90, 30, density=0.3)
    options = {"l1": l1, "fit_intercept": intercept, "tol": 1e-13}
    truth = softmax(X, c, l2, backend="numpy", **options)
    for form in (X, np.asfortranarray(X), sp.csc_matrix(X), sp.csr_array(X)):
        res = softmax(form, c, l2, backend=backend, **options)
        assert res.success and res.backend == backend
        assert res.fun == pytest.approx(truth.fun, rel=1e-11)
        if l2:  # else the answer need not be unique
            np.testing.assert_allclose(res.x, truth.x, atol=2e-4)


@pytest.mark.parametrize(("l2", "l1"), [(1.0, 0.0), (0.0, 2.0), (0.5, 2.0)])
def test_arrays_of_the_standard(l2, l1):
    xp = pytest.importorskip("array_api_strict")
    X, c = data(60, 8)
    res = softmax(xp.asarray(X), xp.asarray(c), l2, l1=l1, fit_intercept=True)
    truth = softmax(X, c, l2, l1=l1, fit_intercept=True)
    assert res.success and res.fun == pytest.approx(truth.fun, rel=1e-7)
    assert [int(k) for k in res.classes] == [0, 1, 2]


@pytest.mark.parametrize("l1", [0.0, 2.0])
def test_single_precision(l1):
    X, c = data()
    res = softmax(X.astype(np.float32), c, 1.0, l1=l1, fit_intercept=True)
    assert res.success and res.x.dtype == np.float32 and "float32" in res.message


# Runs


@pytest.mark.parametrize(("l2", "l1"), PENALTIES)
def test_warm_start_far_start_and_no_iterations(l2, l1):
    X, c = data()
    res = softmax(X, c, l2, l1=l1, fit_intercept=True, tol=1e-12)
    again = softmax(X, c, l2, l1=l1, fit_intercept=True, x0=res.x, tol=1e-11)
    assert again.success and again.nit <= 1
    x0 = 1e4 * np.random.default_rng(1).standard_normal((20, 3))
    far = softmax(X, c, l2, l1=l1, fit_intercept=True, x0=x0)
    assert far.success and far.fun == pytest.approx(res.fun, rel=1e-6)
    x0 = 1e-3 * x0 / 1e4
    start = softmax(X, c, l2, l1=l1, x0=x0, maxiter=0)
    assert (start.nit, start.status) == (0, 1)
    np.testing.assert_array_equal(start.x, x0)


@pytest.mark.parametrize("l1", [0.0, 1.0])
def test_the_callback_sees_copies_and_may_stop(l1):
    X, c = data()
    seen = []

    def stop(intermediate_result):
        seen.append(intermediate_result.gap)
        intermediate_result.x[:] = np.nan
        intermediate_result.intercept[:] = np.nan
        if len(seen) == 2:
            raise StopIteration

    res = softmax(X, c, 1e-3, l1=l1, fit_intercept=True, tol=1e-14, callback=stop)
    assert (res.status, res.nit) == (2, 2) and np.isfinite(res.x).all()
    assert len(seen) == 2


@pytest.mark.parametrize("intercept", [False, True])
def test_separable_classes_without_penalties_end_with_status_5(intercept):
    rng = np.random.default_rng(0)
    X, c = rng.standard_normal((30, 60)), rng.integers(0, 3, 30)
    for tol, maxiter in ((1e-8, 100), (0.0, 150)):
        res = softmax(X, c, 0.0, fit_intercept=intercept, tol=tol, maxiter=maxiter)
        assert res.status == 5 and not res.success and res.gap is None
        assert np.isfinite(res.x).all() and math.isfinite(res.fun)
        assert np.array_equal(np.argmax(X @ res.x + res.intercept, axis=1), c)
    assert softmax(X, c, 1e-6, fit_intercept=intercept).success


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_extreme_units(size):
    X, c = data(60, 5, 3)
    plain = softmax(X, c, 1.0, tol=1e-12).x
    res = softmax(X * size, c, size * size, tol=1e-12)
    assert res.success
    np.testing.assert_allclose(res.x * size, plain, rtol=1e-5, atol=1e-6)


def test_a_tiny_squared_penalty_beside_l1_is_no_obstacle():
    X, c = data(60, 5, 3)
    without = softmax(X, c, 0.0, l1=2.0, tol=1e-9)
    for l2 in (1e-300, 1e-20):
        res = softmax(X, c, l2, l1=2.0, tol=1e-9)
        assert res.success and res.fun == pytest.approx(without.fun, rel=1e-8)


def test_without_penalties_the_gradient_vanishes():
    X, c = data(p=6)
    res = softmax(X, c, 0.0, fit_intercept=True, tol=1e-11)
    assert res.success and res.gap is None and res.kkt <= 1e-8


@pytest.mark.parametrize("l1", [0.0, 1.0])
def test_duplicated_and_empty_columns(l1):
    X, c = data(p=10)
    single = softmax(X, c, 0.0, l1=l1, tol=1e-9)
    res = softmax(np.column_stack([X, X, np.zeros((150, 1))]), c, 0.0, l1=l1, tol=1e-9)
    assert res.success and res.fun == pytest.approx(single.fun, rel=1e-7)
    assert not res.x[-1].any()


# Bad input


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (
            {"labels": np.zeros(150), "l2": 0.0},
            ValueError,
            "labels must hold at least two classes without a penalty, got the class 0.0 only",
        ),
        ({"labels": np.zeros(3)}, ValueError, "one label per row of X, 150, got shape"),
        ({"labels": np.full(150, np.nan)}, ValueError, "labels must be finite"),
        ({"labels": np.full(150, 1j)}, TypeError, "labels must be real"),
        ({"X": np.full((150, 2), np.inf)}, ValueError, "X must be finite"),
        ({"X": np.zeros((0, 3)), "labels": []}, ValueError, "X must have at least one row"),
        ({"l2": -1}, ValueError, "l2 must be nonnegative"),
        ({"l1": math.nan}, ValueError, "l1 must be nonnegative and finite"),
        ({"x0": np.zeros(20)}, ValueError, "x0 must be 2-dimensional"),
        ({"x0": np.zeros((20, 2))}, ValueError, r"x0 must have shape \(20, 3\), got \(20, 2\)"),
        ({"sample_weight": np.full(150, -1)}, ValueError, "sample_weight must be nonnegative"),
        ({"maxiter": -1}, ValueError, "maxiter"),
    ],
)
def test_bad_input_is_named(change, error, text):
    X, c = data()
    arguments = {"X": X, "labels": c, "l2": 1.0} | change
    with pytest.raises(error, match=text):
        softmax(**arguments)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("twins", [False, True])  # equal rows: no Cholesky factor
def test_far_more_columns_than_rows(intercept, twins):
    X, c = data(30, 200, 3)
    if twins:
        X, c = np.vstack([X, X[:5]]), np.append(c, c[:5])
    seen = []
    res = softmax(X, c, 1.0, fit_intercept=intercept, tol=1e-10, callback=seen.append)
    sparse = softmax(sp.csr_array(X), c, 1.0, fit_intercept=intercept, tol=1e-10)
    assert res.success and res.gap <= 1e-10
    np.testing.assert_allclose(res.x, sparse.x, atol=1e-5)
    assert all(r.x.shape == res.x.shape and np.isfinite(r.fun) for r in seen)
    warm = softmax(X, c, 1.0, fit_intercept=intercept, tol=1e-10, x0=res.x)
    assert warm.success and warm.nit <= 2


@pytest.mark.parametrize("penalties", [(1.0, 0.0), (0.0, 1.0), (0.5, 1.0)])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("start", [None, np.ones((20, 1))])
def test_of_one_class_the_answer_is_zero(penalties, intercept, start):
    X, _ = data()
    l2, l1 = penalties
    res = softmax(X, ["a"] * 150, l2, l1=l1, fit_intercept=intercept, x0=start)
    assert res.success and res.fun == 0 and res.gap == 0
    assert res.x.shape == (20, 1) and not res.x.any() and res.classes.tolist() == ["a"]
