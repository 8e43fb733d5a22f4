"""Lasso paths: each point the solution for its penalty, at the cost of few passes."""

import numpy as np
import pytest
import scipy.sparse

import refopt
from refopt.problems import correlated

PROBLEM = correlated(60, 150, 0.6, 1)
X, Y = PROBLEM.X, PROBLEM.y
TOP = np.abs(X.T @ Y).max()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"positive": True},
        {"l2": 3.0},
        {"fit_intercept": True},
        {"weights": np.arange(150) + 1.0},
    ],
)
def test_every_point_is_the_solution_for_its_penalty(options):
    path = refopt.lasso_path(X, Y, n_lams=8, eps=0.01, tol=1e-12, **options)
    assert path.success and path.coefs.shape == (150, 8)
    np.testing.assert_allclose(path.lams[0] / path.lams[-1], 100.0)
    np.testing.assert_array_equal(path.coefs[:, 0], 0.0)
    for k, lam in enumerate(path.lams):
        res = refopt.lasso(X, Y, lam, tol=1e-12, **options)
        np.testing.assert_allclose(path.coefs[:, k], res.x, atol=1e-7)
        assert path.intercepts[k] == pytest.approx(res.intercept, abs=1e-7)
        assert path.nnz[k] == np.count_nonzero(path.coefs[:, k])
    assert (path.gaps <= 1e-12).all()
    np.testing.assert_array_equal(path.x, path.coefs[:, -1])


def test_a_warm_start_is_cheap():
    path = refopt.lasso_path(X, Y, n_lams=20, tol=1e-10)
    assert path.nit <= 3 * 20
    assert {v.size for v in path.history.values()} == {path.nit + 20}


def test_penalties_in_any_order():
    lams = TOP * np.array([0.1, 0.5, 0.2])
    path = refopt.lasso_path(X, Y, lams, tol=1e-12)
    np.testing.assert_array_equal(path.lams, np.sort(lams)[::-1])
    np.testing.assert_allclose(
        path.coefs[:, -1], refopt.lasso(X, Y, lams[0], tol=1e-12).x, atol=1e-7
    )


def test_one_penalty_and_nothing_to_explain():
    path = refopt.lasso_path(X, Y, n_lams=1)
    assert path.coefs.shape == (150, 1) and not path.coefs.any() and path.success
    path = refopt.lasso_path(X, 0 * Y)
    assert path.success and not path.coefs.any()


def test_what_was_not_reached_is_left_out():
    path = refopt.lasso_path(X, Y, n_lams=10, time_limit=0.0)
    assert 1 <= path.lams.size < 10 and path.coefs.shape == (150, path.lams.size)

    def stop(r):
        raise StopIteration

    path = refopt.lasso_path(X, Y, n_lams=10, callback=stop)
    assert path.status == 2 and not path.success
    assert path.lams.size < 10 and path.gaps.size == path.nnz.size == path.lams.size
    short = refopt.lasso_path(X, Y, n_lams=5, maxiter=0)
    assert not short.success and short.status == 1 and short.lams.size == 5


def test_sparse_and_single():
    path = refopt.lasso_path(X, Y, n_lams=5, tol=1e-12)
    sparse = refopt.lasso_path(scipy.sparse.csr_array(X), Y, n_lams=5, tol=1e-12)
    np.testing.assert_allclose(sparse.coefs, path.coefs, atol=1e-8)
    single = refopt.lasso_path(X.astype(np.float32), Y, n_lams=5)
    assert single.coefs.dtype == np.float32
    np.testing.assert_allclose(single.coefs, path.coefs, atol=1e-2 * np.abs(path.coefs).max())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lams": []}, "lams must"),
        ({"lams": [1.0, -1.0]}, "lams must"),
        ({"lams": [1.0, np.nan]}, "lams must"),
        ({"lams": [[1.0]]}, "lams must"),
        ({"n_lams": 0}, "n_lams must"),
        ({"eps": 0.0}, "eps must"),
        ({"eps": 1.0}, "eps must"),
    ],
)
def test_bad_penalties_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        refopt.lasso_path(X, Y, **options)
