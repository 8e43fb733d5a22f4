"""The Lasso where solutions are not unique, columns depend on others, or there is no data."""

import numpy as np
import pytest
import scipy.sparse

import refopt

BACKENDS = ["numpy", "numba"]


def instance(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X @ (rng.standard_normal(p) * (rng.random(p) < 0.3)) + rng.standard_normal(n)


def check(X, y, lam, res, tol=1e-6):
    g = X.T @ (y - X @ res.x)
    assert res.success, res.message
    assert np.abs(g).max() <= lam * (1 + tol)
    assert np.abs(g - lam * np.sign(res.x))[~res.active].max(initial=0.0) <= tol * lam


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csc_array])
def test_columns_that_occur_twice(form, backend):
    X, y = instance(60, 25)
    lam = 0.05 * np.abs(X.T @ y).max()
    single = refopt.lasso(X, y, lam, tol=1e-12, backend=backend)
    for signs in (1.0, -1.0):
        double = np.hstack([X, signs * X, X[:, ::2]])
        res = refopt.lasso(form(double), y, lam, tol=1e-12, backend=backend)
        check(double, y, lam, res)
        assert res.fun == pytest.approx(single.fun, rel=1e-10)
        np.testing.assert_allclose(double @ res.x, X @ single.x, atol=1e-6)
        assert res.nchol <= 200


def test_a_start_on_both_of_two_equal_columns():
    X, y = instance(60, 25)
    double, lam = np.hstack([X, X]), 0.05 * np.abs(X.T @ y).max()
    x = refopt.lasso(X, y, lam, tol=1e-12).x
    for share in (0.5, 0.3):
        res = refopt.lasso(double, y, lam, x0=np.r_[share * x, (1 - share) * x], tol=1e-10)
        assert res.success and res.nit <= 1


@pytest.mark.parametrize("ratio", [1e-2, 1e-4])
@pytest.mark.parametrize("intercept", [False, True])
def test_as_many_nonzeros_as_rows(ratio, intercept):
    X = scipy.sparse.random_array((150, 600), density=0.02, rng=0, format="csc")
    y = np.sign(np.random.default_rng(0).standard_normal(150))
    lam = ratio * np.abs(X.T @ y).max()
    res = refopt.lasso(X, y, lam, fit_intercept=intercept, tol=1e-10)
    assert res.success and res.nit < 40
    assert (~res.active).sum() <= 150
    dense = refopt.lasso(X.toarray(), y, lam, fit_intercept=intercept, tol=1e-10)
    assert res.fun == pytest.approx(dense.fun, rel=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_columns_in_a_plane(backend):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 30))
    y = rng.standard_normal(40)
    for ratio in (0.5, 1e-2, 1e-5):
        lam = ratio * np.abs(X.T @ y).max()
        check(X, y, lam, refopt.lasso(X, y, lam, tol=1e-11, backend=backend), 1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_zero_columns_have_zero_coefficients(backend):
    X, y = instance(60, 30)
    X[:, ::3] = 0.0
    for x0 in (None, np.ones(30)):
        for options in ({}, {"fit_intercept": True}, {"l2": 1.0}):
            res = refopt.lasso(X, y, 5.0, x0=x0, tol=1e-12, backend=backend, **options)
            assert res.success
            np.testing.assert_array_equal(res.x[::3], 0.0)
    res = refopt.lasso(np.zeros((5, 3)), np.ones(5), 1.0, backend=backend)
    assert res.success and not res.x.any() and res.fun == 2.5


def test_constant_columns_leave_all_to_the_intercept():
    X, y = instance(60, 30)
    X[:, 5] = 3.0
    X[:, 6] = -1 / 3
    res = refopt.lasso(X, y, 0.1, fit_intercept=True, tol=1e-12)
    assert res.success and res.x[5] == 0.0 and res.x[6] == 0.0
    res = refopt.lasso(np.full((50, 3), 1 / 3), y[:50], 0.0, fit_intercept=True, x0=np.ones(3))
    assert res.success and not res.x.any()
    assert res.intercept == pytest.approx(y[:50].mean())


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_to_explain(backend):
    X, _ = instance(60, 30)
    for lam in (0.0, 1.0):
        res = refopt.lasso(X, np.zeros(60), lam, backend=backend)
        assert res.success and not res.x.any() and res.fun == 0.0 and res.nit == 0
    res = refopt.lasso(X, np.full(60, 4.0), 1.0, fit_intercept=True, backend=backend)
    assert res.success and not res.x.any() and res.intercept == pytest.approx(4.0)
    assert res.fun == pytest.approx(0.0, abs=1e-20)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csc_array])
@pytest.mark.parametrize("intercept", [False, True])
def test_no_columns_and_one_row(form, intercept):
    res = refopt.lasso(form(np.zeros((3, 0))), [1.0, 2.0, 3.0], 1.0, fit_intercept=intercept)
    assert res.success and res.x.shape == (0,) and res.nit == 0 and res.gap == 0.0
    assert res.fun == pytest.approx(1.0 if intercept else 7.0)
    assert res.intercept == pytest.approx(2.0 if intercept else 0.0)
    res = refopt.lasso(form(np.array([[2.0, 1.0, 0.0]])), [3.0], 0.5, fit_intercept=intercept)
    assert res.success
    np.testing.assert_allclose(res.x, [0.0 if intercept else (6 - 0.5) / 4, 0.0, 0.0])


@pytest.mark.parametrize("positive", [False, True])
def test_free_columns_among_dependent_ones(positive):
    X, y = instance(30, 40)
    X[:, 20:] = X[:, :20]
    weights = np.arange(40) % 3.0
    res = refopt.lasso(X, y, 3.0, weights=weights, positive=positive, tol=1e-9)
    assert res.success and np.isfinite(res.x).all()
    assert res.gap <= 1e-9


@pytest.mark.parametrize("scale", [1e-100, 1e-20, 1e20, 1e100])
def test_extreme_sizes(scale):
    X, y = instance(40, 60)
    lam = 0.05 * np.abs(X.T @ y).max()
    x = refopt.lasso(X, y, lam, tol=1e-12).x
    for options in ({}, {"fit_intercept": True}):
        x = refopt.lasso(X, y, lam, tol=1e-12, **options).x
        large = refopt.lasso(X, scale * y, scale * lam, tol=1e-12, **options)
        np.testing.assert_allclose(large.x / scale, x, atol=1e-8)
        large = refopt.lasso(scale * X, y, scale * lam, tol=1e-12, **options)
        np.testing.assert_allclose(large.x * scale, x, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-100, 1e100])
@pytest.mark.parametrize("options", [{}, {"fit_intercept": True}])
def test_extreme_sizes_of_many_sparse_columns(scale, options):
    X = scipy.sparse.random_array((300, 600), density=0.03, rng=0, format="csc")
    y = np.sign(np.random.default_rng(0).standard_normal(300))
    lam = 0.01 * np.abs(X.T @ y).max()
    x = refopt.lasso(X, y, lam, tol=1e-12, backend="numba", **options).x
    for of_X, of_y in ((scale, 1.0), (1.0, scale), (scale, scale)):
        res = refopt.lasso(
            of_X * X, of_y * y, of_X * of_y * lam, tol=1e-12, backend="numba", **options
        )
        assert res.success
        np.testing.assert_allclose(res.x * of_X / of_y, x, atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_factorisations_where_all_columns_occur_twice_and_rows_are_few(backend):
    X, y = instance(60, 150)
    double, lam = np.hstack([X, X]), 1e-3 * np.abs(X.T @ y).max()
    res = refopt.lasso(double, y, lam, tol=1e-10, backend=backend)
    check(double, y, lam, res)
    assert res.nchol <= 250


def test_factorisations_where_sparse_columns_are_nearly_as_many_as_rows():
    X = scipy.sparse.random_array((300, 450), density=0.01, rng=0, format="csc")
    y = np.sign(np.random.default_rng(0).standard_normal(300))
    lam = 1e-3 * np.abs(X.T @ y).max()
    res = refopt.lasso(X, y, lam, tol=1e-10)
    check(X, y, lam, res)
    assert (~res.active).sum() > 280 and res.nchol <= 60


def test_many_sparse_columns_agree_with_dense_ones():
    """Conjugate gradients over the columns, where the dense form factors Gram matrices."""
    X = scipy.sparse.random_array((400, 900), density=0.05, rng=1, format="csc")
    y = np.random.default_rng(1).standard_normal(400)
    lam = 0.05 * np.abs(X.T @ y).max()
    for options in ({}, {"l2": 0.5}, {"positive": True}, {"weights": np.arange(900) % 3.0}):
        sparse = refopt.lasso(X, y, lam, tol=1e-13, **options)
        dense = refopt.lasso(X.toarray(), y, lam, tol=1e-13, **options)
        assert sparse.success and dense.success
        assert sparse.fun == pytest.approx(dense.fun, rel=1e-11)
        np.testing.assert_allclose(X @ sparse.x, X @ dense.x, atol=1e-5)


@pytest.mark.parametrize(
    ("n", "p", "density", "ratio", "options", "most"),
    [
        (200, 300, 0.015, 1e-5, {}, 150),
        (300, 450, 1.0, 1e-3, {}, 150),
        (300, 450, 1.0, 1e-3, {"fit_intercept": True}, 150),
        (300, 450, 0.03, 1e-5, {"fit_intercept": True}, 150),
        (300, 450, 0.2, 1e-4, {"positive": True}, 60),
        (200, 600, 0.2, 1e-5, {"l2": 1e-6}, 250),
    ],
)
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csc_array])
def test_small_penalties_and_as_many_nonzeros_as_rows(form, n, p, density, ratio, options, most):
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((n, p), density=density, rng=rng, format="csc").toarray()
    y = np.sign(rng.standard_normal(n))
    lam = ratio * np.abs(X.T @ y).max()
    res = refopt.lasso(form(X), y, lam, tol=1e-10, backend="numba", **options)
    assert res.status == 0 and res.nchol <= most
    assert duality_gap(X, y, lam, res, **options) <= 1e-10


def test_very_sparse_columns_at_a_very_small_penalty():
    X = scipy.sparse.random_array((600, 900), density=0.005, rng=0, format="csc")
    y = np.sign(np.random.default_rng(0).standard_normal(600))
    lam = 1e-5 * np.abs(X.T @ y).max()
    res = refopt.lasso(X, y, lam, tol=1e-8, backend="numba")
    assert res.status == 0 and res.nchol <= 180
    assert duality_gap(X.toarray(), y, lam, res) <= 1e-8


def duality_gap(X, y, lam, res, l2=0.0, positive=False, fit_intercept=False):
    """(F - D) / F(0) with the ridge penalty as further rows of X."""
    if fit_intercept:
        X, y = X - X.mean(axis=0), y - y.mean()
    if l2:
        p = X.shape[1]
        X, y = np.vstack([X, np.sqrt(l2) * np.eye(p)]), np.concatenate([y, np.zeros(p)])
    r = y - X @ res.x
    slopes = X.T @ r
    theta = r * min(1.0, lam / (slopes if positive else np.abs(slopes)).max())
    primal = 0.5 * r @ r + lam * np.abs(res.x).sum()
    return (primal - y @ theta + 0.5 * theta @ theta) / (0.5 * y @ y)
