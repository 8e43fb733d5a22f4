"""The dual support vector machine: certified, exact at the bounds, the same in every form."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import refopt


def instance(n=120, p=8, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    y = np.where(X @ rng.standard_normal(p) + noise * rng.standard_normal(n) > 0, 1.0, -1.0)
    return X, y


def text(n=300, p=900, seed=0):
    rng = np.random.default_rng(seed)
    X = scipy.sparse.random(n, p, 0.03, format="csr", random_state=seed)
    X.data = np.abs(X.data)
    return X, np.where(X @ rng.standard_normal(p) > 0, 1.0, -1.0)


def certificate(X, y, C, res):
    """Relative gap of the returned a, from scratch."""
    C = np.broadcast_to(np.asarray(C, dtype=float), y.shape)
    a = res.x.astype(float)
    assert (a >= 0).all() and (a <= C).all()
    w = X.T @ (y * a)
    primal = 0.5 * w @ w + C @ np.maximum(0, 1 - y * (X @ w))
    return (primal - (a.sum() - 0.5 * w @ w)) / C.sum()


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("make", [instance, text])
def test_the_gap_is_certified_and_bounds_are_exact(make, C):
    X, y = make()
    res = refopt.svm_dual(X, y, C, tol=1e-10)
    assert res.success and res.status == 0
    assert certificate(X, y, C, res) == pytest.approx(res.gap, abs=1e-13)
    assert res.gap <= 1e-10
    np.testing.assert_allclose(res.w, X.T @ (y * res.x), atol=1e-10 * np.abs(res.w).max())
    np.testing.assert_array_equal(res.active, (res.x == 0) | (res.x == C))
    np.testing.assert_array_equal(res.support, res.x > 0)
    assert res.fun == pytest.approx(-res.primal, abs=1e-9 * C * y.size)
    assert res.active.any() and 0 <= res.nit_active <= res.nit
    margins = y * (X @ res.w)
    assert (margins[res.x == 0] > 1 - 1e-4).all() and (margins[res.x == C] < 1 + 1e-4).all()


@pytest.mark.parametrize("C", [1e-4, 1e4])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_very_small_and_very_large_weights(C, noise):
    X, y = instance(400, 20, noise=noise)
    res = refopt.svm_dual(X, y, C)
    assert res.success and certificate(X, y, C, res) <= 1e-8


def test_the_optimum_is_that_of_another_solver():
    X, y = instance(40, 5)
    Z = y[:, None] * X
    other = scipy.optimize.minimize(
        lambda a: (0.5 * np.sum((Z.T @ a) ** 2) - a.sum(), Z @ (Z.T @ a) - 1),
        np.zeros(40), jac=True, bounds=[(0, 1)] * 40, method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000},
    )  # fmt: skip
    assert refopt.svm_dual(X, y, tol=1e-12).fun == pytest.approx(other.fun, rel=1e-8)


@pytest.mark.parametrize("make", [instance, text])
def test_the_gap_bounds_the_distance_to_the_optimum(make):
    X, y = make()
    best = refopt.svm_dual(X, y, tol=1e-13)
    seen = []
    refopt.svm_dual(X, y, tol=0.0, maxiter=12, callback=lambda r: seen.append((r.fun, r.gap, r.w)))
    assert len(seen) > 1
    for fun, gap, w in seen:
        primal = 0.5 * w @ w + np.maximum(0, 1 - y * (X @ w)).sum()
        assert gap * y.size >= fun - best.fun - 1e-12 * y.size
        assert gap * y.size >= primal - best.primal - 1e-12 * y.size


def test_one_row_in_closed_form():
    for C, expected in ((1.0, 0.25), (0.1, 0.1)):
        res = refopt.svm_dual([[2.0]], [1], C)
        assert res.x.tolist() == pytest.approx([expected])
        assert res.w.tolist() == pytest.approx([2 * expected])
    assert refopt.svm_dual([[2.0]], [1], 0.1).x[0] == 0.1


def test_known_answer_of_two_margins():
    res = refopt.svm_dual([[1.0, 0.0], [0.0, 2.0]], [1, 1], 5.0)
    np.testing.assert_allclose(res.w, [1.0, 0.5], atol=1e-6)
    np.testing.assert_allclose(res.x, [1.0, 0.25], atol=1e-6)


def test_small_gaps_cost_little_more():
    X, y = text(400, 1500, 3)
    rough, fine = (refopt.svm_dual(X, y, tol=tol) for tol in (1e-6, 1e-12))
    assert rough.success and fine.success
    assert fine.nit <= rough.nit + 4


def test_more_free_rows_than_columns():
    # the dual solution is not unique, and the Gram matrix of its rows is singular
    rng = np.random.default_rng(5)
    X = (rng.random((600, 12)) < 0.4).astype(float)
    y = np.where(X.sum(1) + (X[:, 0] - 0.5) > 5, 1.0, -1.0)
    res = refopt.svm_dual(X, y, tol=1e-10)
    assert res.success and certificate(X, y, 1.0, res) <= 1e-10
    assert res.nchol < 300


@pytest.mark.parametrize(
    "form", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array, np.array,
             np.asfortranarray]
)  # fmt: skip
def test_every_layout_gives_the_same_answer(form):
    X, y = text(80, 60)
    res = refopt.svm_dual(form(X.toarray()), y, tol=1e-12)
    expected = refopt.svm_dual(X, y, tol=1e-12)
    np.testing.assert_allclose(res.w, expected.w, atol=1e-5 * np.abs(expected.w).max())
    assert res.primal == pytest.approx(expected.primal, rel=1e-10)


def test_backends_agree():
    X, y = instance(60, 4)
    fast, plain = (refopt.svm_dual(X, y, backend=name, tol=1e-11) for name in ("numba", "numpy"))
    assert (fast.backend, plain.backend) == ("numba", "numpy")
    assert plain.nit == fast.nit and plain.nchol == fast.nchol
    np.testing.assert_allclose(plain.x, fast.x, atol=1e-8)


def test_arrays_of_another_library():
    xp = pytest.importorskip("array_api_strict")
    X, y = instance(60, 4)
    res = refopt.svm_dual(xp.asarray(X), xp.asarray(y), tol=1e-11)
    assert res.backend == "reference" and res.success
    expected = refopt.svm_dual(X, y, tol=1e-11)
    np.testing.assert_allclose(np.asarray(res.w), expected.w, atol=1e-5)


def test_labels_in_all_spellings():
    X, y = instance()
    expected = refopt.svm_dual(X, y).w
    for labels in (y > 0, (y > 0).astype(int), y.astype(np.int8), y.tolist()):
        np.testing.assert_array_equal(refopt.svm_dual(X, labels).w, expected)
    with pytest.raises(ValueError, match="y must hold"):
        refopt.svm_dual(X, y + 2)


def test_one_class_alone():
    X = np.abs(instance()[0])
    res = refopt.svm_dual(X, np.ones(len(X)))
    assert res.success and (X @ res.w).min() > 0


def test_sample_weights_are_repeated_rows():
    X, y = instance(50, 4)
    s = np.random.default_rng(1).integers(0, 4, 50)
    weighted = refopt.svm_dual(X, y, 0.7, sample_weight=s, tol=1e-12)
    repeated = refopt.svm_dual(np.repeat(X, s, axis=0), np.repeat(y, s), 0.7, tol=1e-12)
    assert weighted.primal == pytest.approx(repeated.primal, rel=1e-10)
    np.testing.assert_allclose(weighted.w, repeated.w, atol=1e-5)
    vector = refopt.svm_dual(X, y, 0.7 * s, tol=1e-12)
    np.testing.assert_array_equal(vector.x, weighted.x)
    assert (weighted.x[s == 0] == 0).all()


def test_scaling_and_permutation():
    X, y = instance()
    res = refopt.svm_dual(X, y, tol=1e-12)
    scaled = refopt.svm_dual(1e3 * X, y, 1e-6, tol=1e-12)
    np.testing.assert_allclose(1e3 * scaled.w, res.w, rtol=0, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(y))
    moved = refopt.svm_dual(X[order], y[order], tol=1e-12)
    np.testing.assert_allclose(moved.w, res.w, atol=1e-5)


def test_zero_rows_zero_columns_and_no_columns():
    X, y = instance()
    X[3], X[:, 2] = 0.0, 0.0
    res = refopt.svm_dual(X, y, tol=1e-10)
    assert res.success and res.x[3] == 1.0 and res.w[2] == 0.0
    assert refopt.svm_dual(np.zeros((4, 2)), [0, 1, 0, 1]).x.tolist() == [1.0] * 4
    empty = refopt.svm_dual(np.zeros((4, 0)), [0, 1, 0, 1])
    assert empty.success and empty.w.shape == (0,) and empty.x.tolist() == [1.0] * 4


def test_a_loss_of_no_weight():
    X, y = instance()
    res = refopt.svm_dual(X, y, 0.0)
    assert res.success and res.gap == 0.0 and res.nit == 0 and not res.w.any()


def test_warm_start_and_a_start_outside():
    X, y = instance()
    res = refopt.svm_dual(X, y)
    again = refopt.svm_dual(X, y, x0=res.x)
    assert again.nit <= 1 and again.success
    assert refopt.svm_dual(X, y, x0=np.full(len(y), 7.0)).success


def test_single_precision():
    X, y = instance()
    res = refopt.svm_dual(X.astype(np.float32), y, 0.3, tol=1e-9)
    assert res.x.dtype == res.w.dtype == np.float32
    assert res.success and "Single precision" in res.message
    assert certificate(X.astype(np.float32).astype(float), y, np.float32(0.3), res) <= 1e-6


def test_limits_are_results():
    X, y = instance()
    start = refopt.svm_dual(X, y, maxiter=0)
    assert start.status == 1 and start.nit == 0 and start.gap == pytest.approx(1.0)

    def stop(intermediate_result):
        assert intermediate_result.w.shape == (X.shape[1],)
        raise StopIteration

    assert refopt.svm_dual(X, y, tol=1e-14, callback=stop).status == 2
    assert refopt.svm_dual(X, y, tol=0.0, maxiter=300).status in (0, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"C": -1.0}, "C must be nonnegative"),
        ({"C": np.inf}, "C must be nonnegative and finite"),
        ({"C": np.ones(3)}, "C must have one entry per row"),
        ({"sample_weight": -np.ones(120)}, "sample_weight must be nonnegative"),
        ({"x0": np.ones(3)}, "x0 must have"),
        ({"y": np.ones(3)}, "y must have one label"),
        ({"X": np.full((120, 8), np.nan)}, "X must be finite"),
        ({"X": np.ones((0, 8))}, "X must have at least one row"),
        ({"X": np.ones(120)}, "X must be 2-dimensional"),
        ({"tol": -1.0}, "tol must be nonnegative"),
    ],
)
def test_bad_input_is_named(changes, message):
    X, y = instance()
    arguments = {"X": X, "y": y} | changes
    with pytest.raises(ValueError, match=message):
        refopt.svm_dual(**arguments)


@pytest.mark.parametrize("size", [1e-100, 1e-30, 1e30, 1e100])
def test_extreme_units(size):
    X, y = instance()
    plain = refopt.svm_dual(X, y)
    res = refopt.svm_dual(X * size, y, C=size**-2)
    assert res.success
    np.testing.assert_allclose(res.w * size, plain.w, rtol=1e-4, atol=1e-6)


def test_many_rows_in_few_columns_reach_small_gaps():
    rng = np.random.default_rng(101)
    X = rng.standard_normal((5000, 50))
    z = X @ rng.standard_normal(50)
    y = np.where(z + 0.3 * z.std() * rng.standard_normal(5000) > 0, 1.0, -1.0)
    res = refopt.svm_dual(X, y, tol=1e-10)
    assert res.success and certificate(X, y, 1.0, res) <= 1e-10


@pytest.mark.parametrize("seed", [10, 16, 22, 44, 77, 78, 99])
@pytest.mark.parametrize("C", [1e2, 1e3, 1e4])
def test_few_rows_of_unlike_columns_at_a_large_C(seed, C):
    """Where sweeps are cheap and slow, and where proximal steps alone would crawl or zigzag."""
    rng = np.random.default_rng(seed)
    n, p = rng.integers(5, 150), rng.integers(1, 12)
    X = rng.standard_normal((n, p)) * 10 ** rng.uniform(-1, 1, p)
    y = np.where(X @ rng.standard_normal(p) + 3 * rng.standard_normal(n) > 0, 1.0, -1.0)
    res = refopt.svm_dual(X, y, C)
    assert res.success and res.nit <= 100
    assert certificate(X, y, C, res) <= 1e-8
