"""Nonnegative least squares: certified, exact zeros, any shape and rank."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import refopt

SHAPES = [(60, 15), (40, 40), (30, 90), (900, 40), (120, 700)]


def instance(n, p, seed=0, positive=False):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, p))
    A = np.abs(A) if positive else A
    x = 2 * np.maximum(rng.standard_normal(p) + 0.5, 0) * (rng.random(p) < 0.5)
    return A, A @ x + rng.standard_normal(n)


def kkt(A, b, x):
    g = A.T @ (A @ x - b)
    return np.abs(np.minimum(x, g)).max() / np.abs(np.minimum(0, -A.T @ b)).max()


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_the_answer_is_scipys(n, p, positive):
    A, b = instance(n, p, positive=positive)
    res = refopt.nnls(A, b, tol=1e-12)
    _, rnorm = scipy.optimize.nnls(A, b)
    assert res.success
    assert res.rnorm == pytest.approx(rnorm, abs=1e-7 * np.linalg.norm(b))
    assert res.fun == pytest.approx(0.5 * res.rnorm**2)
    assert (res.x >= 0).all() and kkt(A, b, res.x) <= 1e-9
    np.testing.assert_array_equal(res.active, res.x == 0)
    if n > p:
        assert (res.x == 0.0).any()
        assert res.kkt <= 1e-12 and 0 < res.nit_active <= res.nit


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_the_gap_bounds_the_distance_to_the_optimum(n, p):
    A, b = instance(n, p, positive=True)
    optimum = 0.5 * scipy.optimize.nnls(A, b)[1] ** 2
    seen = []
    refopt.nnls(A, b, callback=lambda r: seen.append((r.fun, r.gap)), tol=1e-14)
    assert seen
    for fun, gap in seen:
        assert gap is not None
        scale = max(fun, 0.5 * b @ b)
        assert gap * scale >= fun - optimum - 1e-12 * scale


def test_a_feasible_dual_point_certifies_nonnegative_data():
    A, b = instance(30, 90, positive=True)  # rank deficient: curvature proves nothing
    res = refopt.nnls(A, b)
    assert res.gap is not None and res.gap <= 1e-8 and "gap" in res.message
    residual = b - A @ res.x
    t = max((A.T @ residual / A.sum(0)).max(), 0)
    theta = residual - t
    assert (A.T @ theta <= 1e-12 * np.abs(A.T @ b).max()).all()
    outside = res.fun - (b @ theta - 0.5 * theta @ theta)
    assert outside <= 1e-7 * 0.5 * b @ b


def test_without_a_dual_point_the_kkt_residual_is_named():
    A, b = instance(30, 90)
    A[:, 0], A[:, 1] = A[:, 2], -A[:, 2]  # columns of both signs: no theta strictly inside
    res = refopt.nnls(A, b)
    assert res.success and res.gap is None and "KKT" in res.message


def test_orthonormal_columns_in_closed_form():
    A = np.linalg.qr(np.random.default_rng(0).standard_normal((20, 7)))[0]
    b = np.random.default_rng(1).standard_normal(20)
    np.testing.assert_allclose(refopt.nnls(A, b).x, np.maximum(A.T @ b, 0), atol=1e-13)


def test_duplicate_and_zero_columns():
    A, b = instance(60, 15, positive=True)
    double = np.hstack([A, A, np.zeros((60, 2))])
    res, single = refopt.nnls(double, b), refopt.nnls(A, b)
    assert res.success and res.nchol < 100
    assert res.fun == pytest.approx(single.fun, rel=1e-7)
    np.testing.assert_array_equal(res.x[-2:], 0.0)


@pytest.mark.parametrize("seed", [2, 5, 15])
def test_more_columns_than_rows_reach_a_residual_of_zero(seed):
    """Faces of dependent columns, where a step may meet a bound at once: no zigzag."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((40, 66)) * 10 ** rng.uniform(-1, 1, 66) * (rng.random((40, 66)) < 0.1)
    b = A @ (rng.random(66) * (rng.random(66) < 0.3))
    res = refopt.nnls(A, b)
    assert res.success and res.nchol < 200
    assert res.fun <= 1e-12 * b @ b


def test_nothing_to_gain():
    A, b = instance(30, 10, positive=True)
    res = refopt.nnls(A, -np.abs(b))
    assert res.nit == 0 and res.gap == 0.0 and not res.x.any()
    zero = refopt.nnls(A, np.zeros(30))
    assert zero.success and zero.fun == 0.0 and not zero.x.any()


def test_small_shapes():
    assert refopt.nnls([[2.0]], [3.0]).x.tolist() == [1.5]
    assert refopt.nnls([[2.0, 1.0]], [3.0]).fun <= 1e-12
    empty = refopt.nnls(np.zeros((3, 0)), np.ones(3))
    assert empty.success and empty.x.shape == (0,) and empty.fun == 1.5


def test_sparse_equals_dense():
    A = scipy.sparse.random(900, 650, 0.02, random_state=0, format="csc")
    b = A @ np.maximum(np.random.default_rng(0).standard_normal(650), 0) + 0.1
    expected = refopt.nnls(A.toarray(), b, tol=1e-13)
    for form in (scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array):
        res = refopt.nnls(form(A), b, tol=1e-13)
        np.testing.assert_allclose(res.x, expected.x, atol=1e-8)


def test_scaling_and_permutation():
    A, b = instance(60, 15)
    x = refopt.nnls(A, b).x
    order = np.random.default_rng(0).permutation(15)
    np.testing.assert_allclose(refopt.nnls(A[:, order], b).x, x[order], atol=1e-10)
    np.testing.assert_allclose(refopt.nnls(1e6 * A, 1e-3 * b).x, 1e-9 * x, atol=1e-18)


def test_backends_agree():
    A, b = instance(60, 15)
    fast, plain = (refopt.nnls(A, b, backend=name) for name in ("numba", "numpy"))
    np.testing.assert_allclose(plain.x, fast.x, atol=1e-10)
    xp = pytest.importorskip("array_api_strict")
    other = refopt.nnls(xp.asarray(A), xp.asarray(b))
    assert other.backend == "reference" and other.success
    np.testing.assert_allclose(np.asarray(other.x), fast.x, atol=1e-7)


def test_single_precision():
    A, b = instance(60, 15)
    res = refopt.nnls(A.astype(np.float32), b, tol=1e-9)
    assert res.x.dtype == np.float32 and res.success and "Single precision" in res.message
    np.testing.assert_allclose(res.x, refopt.nnls(A, b).x, atol=1e-4)


def test_warm_start_and_limits():
    A, b = instance(900, 40)
    res = refopt.nnls(A, b)
    assert refopt.nnls(A, b, x0=res.x).nit <= 1
    assert refopt.nnls(A, b, x0=-np.ones(40)).success
    for far in (1e20, 1e100, 1e200):
        assert refopt.nnls(A, b, x0=np.full(40, far)).success
    start = refopt.nnls(A, b, maxiter=0)
    assert start.status == 1 and start.fun == pytest.approx(0.5 * b @ b)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b": np.ones(3)}, "b must have 60 entries"),
        ({"A": np.full((60, 15), np.inf)}, "A must be finite"),
        ({"A": np.ones((0, 15))}, "A must have at least one row"),
        ({"x0": np.ones(3)}, "x0 must have 15 entries"),
        ({"tol": -1}, "tol must be nonnegative"),
    ],
)
def test_bad_input_is_named(changes, message):
    A, b = instance(60, 15)
    with pytest.raises(ValueError, match=message):
        refopt.nnls(**{"A": A, "b": b} | changes)
