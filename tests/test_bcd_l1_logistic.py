"""Sparse logistic regression: true certificates, invariances, separable data, any input."""

import math

import array_api_strict
import numpy as np
import pytest
import scipy.sparse

import refopt

SHAPES = [(60, 15), (40, 40), (30, 90), (120, 700)]
BACKENDS = ["numpy", "numba"]


def instance(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) + 0.3 * rng.standard_normal((n, 1))
    z = X[:, : max(1, p // 5)].sum(1) + rng.standard_normal(n) + 0.5
    return X, np.where(z > 0, 1.0, -1.0)


def lam_max(X, y):
    return np.abs(X.T @ y).max() / 2


def objective(X, y, lam, w, b=0.0, l2=0.0):
    loss = np.logaddexp(0, -y * (X @ w + b)).sum()
    return loss + lam * np.abs(w).sum() + 0.5 * l2 * w @ w


def kkt(X, y, lam, w, b=0.0, l2=0.0):
    g = X.T @ (y / (1 + np.exp(y * (X @ w + b)))) - l2 * w
    return np.where(w != 0, np.abs(g - lam * np.sign(w)), np.maximum(np.abs(g) - lam, 0)).max()


# Answers


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ratio", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_the_optimality_conditions_hold(n, p, ratio, intercept, backend):
    X, y = instance(n, p)
    lam = ratio * lam_max(X, y)
    if backend == "numpy" and p > n:
        lam = max(ratio, 0.05) * lam_max(X, y)  # the readable kernels take long otherwise
    res = refopt.l1_logistic(X, y, lam, fit_intercept=intercept, tol=1e-12, backend=backend)
    assert res.success and res.nit < 40
    assert kkt(X, y, lam, res.x, res.intercept) <= 1e-5 * lam
    assert res.fun == pytest.approx(objective(X, y, lam, res.x, res.intercept))
    z = X @ res.x + res.intercept
    assert intercept == (abs(np.sum(y / (1 + np.exp(y * z)))) < 1e-9 * n)
    np.testing.assert_array_equal(res.active, res.x == 0)
    assert 0 < res.nit_active <= res.nit


def test_one_column_in_closed_form():
    # (a, b) of ten rows x = 1 have the class (1, -1): log-odds of the shrunk counts.
    X, y = np.ones((10, 1)), np.r_[np.ones(7), -np.ones(3)]
    res = refopt.l1_logistic(X, y, 1.5, tol=1e-13)
    assert res.x[0] == pytest.approx(np.log((7 - 1.5) / (3 + 1.5)), abs=1e-6)
    assert refopt.l1_logistic(X, y, 2.0).x[0] == 0.0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("intercept", [False, True])
def test_from_the_largest_penalty_on_nothing_is_active(intercept, backend):
    X, y = instance(60, 90)
    share = np.mean(y > 0) if intercept else 0.5
    slopes = X.T @ ((y > 0) - share)
    top = np.abs(slopes).max()
    options = {"fit_intercept": intercept, "backend": backend}
    above = refopt.l1_logistic(X, y, top * (1 + 1e-9), tol=1e-9, **options)
    assert above.success and above.nit <= 1 and not above.x.any()
    far = refopt.l1_logistic(X, y, 2 * top, tol=1e-14, **options)
    assert far.success and far.nit == 0 and far.gap <= 1e-15
    if intercept:
        assert far.intercept == pytest.approx(np.log(share / (1 - share)))
    below = refopt.l1_logistic(X, y, top * (1 - 1e-4), tol=1e-13, **options)
    assert below.success and np.flatnonzero(below.x).tolist() == [np.argmax(np.abs(slopes))]


@pytest.mark.parametrize("options", [{}, {"fit_intercept": True}, {"l2": 1.0}])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_the_gap_bounds_the_distance_to_the_optimum(n, p, options):
    X, y = instance(n, p, 3)
    lam = 0.03 * lam_max(X, y)
    best = refopt.l1_logistic(X, y, lam, tol=1e-14, **options).fun
    seen = []
    res = refopt.l1_logistic(X, y, lam, tol=1e-12, callback=seen.append, **options)
    assert len(seen) == res.nit >= 1
    share = np.mean(y > 0) if "fit_intercept" in options else 0.5
    zero = -n * (share * np.log(share) + (1 - share) * np.log(1 - share))
    for r in seen:
        outside = objective(X, y, lam, r.x, r.intercept, options.get("l2", 0.0))
        assert r.fun == pytest.approx(outside)
        assert r.gap * zero >= r.fun - best - 1e-12 * zero


def test_the_end_is_superlinear():
    X, y = instance(300, 200, 1)
    res = refopt.l1_logistic(X, y, 0.05 * lam_max(X, y), tol=1e-14)
    gaps = res.history["gap"]
    assert res.gap <= 1e-13 and res.nit <= 12
    assert (gaps[1:] / gaps[:-1]).min() <= 1e-3
    assert {v.size for v in res.history.values()} == {res.nit + 1}
    assert set(res.history) == {"time", "fun", "gap", "kkt", "nnz", "block_size"}


# Invariances


@pytest.mark.parametrize("backend", BACKENDS)
def test_scaling_permutation_and_exchange_of_the_classes(backend):
    X, y = instance(60, 90)
    lam = 0.05 * lam_max(X, y)
    solve = lambda X, y, lam: refopt.l1_logistic(
        X, y, lam, tol=1e-13, fit_intercept=True, backend=backend
    )
    res = solve(X, y, lam)
    columns = np.random.default_rng(0).permutation(90)
    np.testing.assert_allclose(solve(X[:, columns], y, lam).x, res.x[columns], atol=1e-6)
    np.testing.assert_allclose(solve(X[::-1], y[::-1], lam).x, res.x, atol=1e-6)
    np.testing.assert_allclose(1e6 * solve(1e6 * X, y, 1e6 * lam).x, res.x, atol=1e-6)
    np.testing.assert_allclose(1e-9 * solve(1e-9 * X, y, 1e-9 * lam).x, res.x, atol=1e-6)
    other = solve(X, -y, lam)
    np.testing.assert_allclose(-other.x, res.x, atol=1e-6)
    assert -other.intercept == pytest.approx(res.intercept, abs=1e-6)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("intercept", [False, True])
def test_sample_weights_are_repeated_rows(form, intercept):
    X, y = instance(50, 30)
    X *= np.random.default_rng(1).random(X.shape) < 0.4
    weights = np.random.default_rng(0).integers(0, 4, 50)
    solve = lambda X, y, s=None: refopt.l1_logistic(
        X, y, 1.0, sample_weight=s, fit_intercept=intercept, tol=1e-13
    )
    weighted = solve(form(X), y, weights)
    assert weighted.success
    repeated = solve(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    dropped = solve(X[weights > 0], y[weights > 0], weights[weights > 0])
    for other in (repeated, dropped):
        np.testing.assert_allclose(weighted.x, other.x, atol=1e-6)
        assert weighted.intercept == pytest.approx(other.intercept, abs=1e-6)
        assert weighted.fun == pytest.approx(other.fun)


def test_weights_are_scaled_columns_and_zeros_free_them():
    X, y = instance(200, 20)
    weights = np.random.default_rng(0).uniform(0.5, 2, 20)
    res = refopt.l1_logistic(X, y, 2.0, weights=weights, tol=1e-13)
    scaled = refopt.l1_logistic(X / weights, y, 2.0, tol=1e-13)
    np.testing.assert_allclose(res.x, scaled.x / weights, atol=1e-6)
    weights[:3] = 0.0
    res = refopt.l1_logistic(X, y, 2.0, weights=weights, tol=1e-9)
    assert res.success and (res.x[:3] != 0).all()
    assert kkt(X, y, 2.0 * weights, res.x) <= 1e-5


# Degenerate data


@pytest.mark.parametrize("intercept", [False, True])
def test_columns_that_occur_twice_and_zero_columns(intercept):
    X, y = instance(60, 25)
    double = np.hstack([X, -X, X[:, ::2], np.zeros((60, 2)), np.ones((60, 1))])
    single = np.hstack([X, np.ones((60, 1))])
    options = {"fit_intercept": intercept, "tol": 1e-11}
    res = refopt.l1_logistic(double, y, 1.0, x0=np.full(66, 0.1), **options)
    other = refopt.l1_logistic(single, y, 1.0, **options)
    assert res.success and res.fun == pytest.approx(other.fun, rel=1e-9)
    np.testing.assert_array_equal(res.x[-3:-1], 0.0)
    assert not intercept or res.x[-1] == 0.0
    assert res.nchol <= 300


def test_separable_data_have_a_solution_with_a_penalty():
    X, _ = instance(20, 60)
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    for lam in (1.0, 1e-3, 1e-6):
        res = refopt.l1_logistic(X, y, lam, tol=1e-9)
        assert res.success and np.isfinite(res.x).all()
    res = refopt.l1_logistic(X, y, 0.0)
    assert res.status == 5 and not res.success and np.isfinite(res.x).all()


def test_one_class_only():
    X, _ = instance(20, 5)
    res = refopt.l1_logistic(X, np.ones(20), 0.5, tol=1e-10)
    assert res.success and kkt(X, np.ones(20), 0.5, res.x) <= 1e-6
    with pytest.raises(ValueError, match=r"y must .*unbounded"):
        refopt.l1_logistic(X, np.ones(20), 0.0)
    with pytest.raises(ValueError, match=r"y must .*unbounded"):
        refopt.l1_logistic(X, np.ones(20), 0.5, fit_intercept=True)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csc_array])
def test_no_columns_and_one_row(form):
    res = refopt.l1_logistic(form(np.zeros((3, 0))), [0, 1, 1], 1.0, fit_intercept=True)
    assert res.success and res.x.shape == (0,) and res.intercept == pytest.approx(np.log(2))
    res = refopt.l1_logistic(form(np.array([[2.0, 0.0]])), [1], 0.5, tol=1e-12)
    assert res.success and res.x[0] == pytest.approx(np.log(3) / 2, abs=1e-6)


def test_a_start_far_off():
    X, y = instance(60, 90)
    expected = refopt.l1_logistic(X, y, 1.0, tol=1e-11)
    for x0 in (1e6 * np.ones(90), 1e300 * np.ones(90), expected.x):
        res = refopt.l1_logistic(X, y, 1.0, tol=1e-11, x0=x0)
        assert res.success
        np.testing.assert_allclose(res.x, expected.x, atol=1e-5)
    assert res.nit <= 1


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csc_array])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shift", [1e5, 1e8, 1e10])
def test_means_far_above_the_spread(shift, weighted, form, backend):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 5)) + shift  # rounded as the solver sees it
    y = (X - shift) @ [1.0, 2.0, 0.0, 0.0, 0.0] + rng.standard_normal(30) > 0
    options = {"sample_weight": np.arange(30.0) % 4} if weighted else {}
    options |= {"fit_intercept": True, "backend": backend}
    best = refopt.l1_logistic(X - shift, y, 0.5, tol=1e-13, **options)
    res = refopt.l1_logistic(form(X), y, 0.5, tol=1e-10, **options)
    start = refopt.l1_logistic(X - shift, y, 0.5, x0=res.x, maxiter=0, **options)
    zero = refopt.l1_logistic(X, y, 1e9 * shift, maxiter=0, **options).fun
    assert (start.fun - best.fun) / zero <= res.gap + 1e-13
    if form is np.asarray:
        assert res.success
        np.testing.assert_allclose(res.x, best.x, atol=1e-5)
        assert res.intercept == pytest.approx(best.intercept - shift * res.x.sum(), rel=1e-5)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_thin_columns_take_no_hessian(l2):
    problem = refopt.problems.dataset_b(4000, 800, 824, sparse=True)
    y = np.where(problem.y > 0, 1.0, -1.0)
    lam = 0.01 * lam_max(problem.X, y)
    res = refopt.l1_logistic(problem.X, y, lam, l2=l2, tol=1e-13, backend="numba")
    assert res.success and np.count_nonzero(res.x) > 500
    assert kkt(problem.X, y, lam, res.x, l2=l2) <= 1e-7 * lam
    assert res.nchol <= 3


# Stops and forms


def test_ends():
    X, y = instance(120, 700)

    def stop(r):
        raise StopIteration

    res = refopt.l1_logistic(X, y, 0.1, maxiter=0)
    assert (res.status, res.nit, res.success) == (1, 0, False) and not res.x.any()
    res = refopt.l1_logistic(X, y, 0.1, callback=stop)
    assert (res.status, res.nit, res.success) == (2, 1, False)
    assert refopt.l1_logistic(X, y, 0.1, time_limit=0.0).status == 6
    res = refopt.l1_logistic(X, y, 0.1, tol=1e-30, history=False)
    assert res.status in (0, 3) and res.gap <= 1e-13 and res.history == {}


@pytest.mark.parametrize(
    "form",
    [
        np.asfortranarray,
        lambda X: np.repeat(np.repeat(X, 2, 0), 3, 1)[::2, ::3],
        lambda X: X.astype(np.int16),
        scipy.sparse.csc_array,
        scipy.sparse.csr_matrix,
        scipy.sparse.coo_array,
    ],
)
def test_the_form_of_X_does_not_matter(form):
    rng = np.random.default_rng(0)
    X = rng.integers(-3, 4, (90, 70)) * (rng.random((90, 70)) < 0.5).astype(float)
    y = rng.integers(0, 2, 90)
    for intercept in (False, True):
        solve = lambda X, b=intercept: refopt.l1_logistic(X, y, 4.0, fit_intercept=b, tol=1e-14)
        np.testing.assert_allclose(solve(form(X)).x, solve(X).x, atol=1e-8)


def test_labels_and_single_precision():
    X, y = instance(60, 90)
    expected = refopt.l1_logistic(X, y, 1.0, tol=1e-10)
    for labels in (y > 0, (y > 0).astype(int), y.astype(np.int8), (y > 0).tolist()):
        np.testing.assert_array_equal(refopt.l1_logistic(X, labels, 1.0, tol=1e-10).x, expected.x)
    res = refopt.l1_logistic(X.astype(np.float32), y, 1.0)
    assert res.success and res.x.dtype == np.float32 and "1e-6" in res.message
    np.testing.assert_allclose(res.x, expected.x, atol=1e-2)


@pytest.mark.parametrize("options", [{}, {"l2": 1.0}, {"fit_intercept": True}])
def test_backends_agree(options):
    X, y = instance(60, 40)
    one, two = (refopt.l1_logistic(X, y, 2.0, tol=1e-14, backend=b, **options) for b in BACKENDS)
    np.testing.assert_allclose(one.x, two.x, atol=1e-8)
    strict = array_api_strict.asarray
    other = refopt.l1_logistic(strict(X), strict(y), 2.0, tol=1e-14, **options)
    assert type(other.x).__module__.startswith("array_api_strict")
    np.testing.assert_allclose(np.asarray(other.x), one.x, atol=1e-8)


GOOD = {"X": np.eye(3), "y": np.array([1, 0, 1]), "lam": 1.0}
BAD = [
    ({"lam": -1.0}, ValueError, "lam must be nonnegative"),
    ({"lam": np.nan}, ValueError, "lam must be"),
    ({"l2": -1.0}, ValueError, "l2 must be"),
    ({"y": np.array([1, 0])}, ValueError, "y must have"),
    ({"y": np.array([0, 1, 2])}, ValueError, "y must hold .* classes"),
    ({"y": np.array(["a", "b", "a"])}, ValueError, "y must hold .* classes"),
    ({"y": [1.0, np.nan, 0.0]}, ValueError, "y must be finite"),
    ({"X": np.ones(3)}, ValueError, "X must be 2-dimensional"),
    ({"X": np.diag([1.0, np.inf, 1.0])}, ValueError, "X must be finite"),
    ({"X": 1j * np.eye(3)}, TypeError, "X must be real"),
    ({"X": np.zeros((0, 3)), "y": []}, ValueError, "X must have at least one row"),
    ({"weights": np.ones(2)}, ValueError, "weights must have 3"),
    ({"weights": [1.0, -1.0, 1.0]}, ValueError, "weights must be nonnegative"),
    ({"lam": 0.0, "l2": 1.0, "weights": np.ones(2)}, ValueError, "weights must have 3"),
    ({"lam": 0.0, "l2": 1.0, "weights": -np.ones(3)}, ValueError, "weights must be nonnegative"),
    ({"sample_weight": [1.0, -1.0, 1.0]}, ValueError, "sample_weight must be nonnegative"),
    ({"x0": np.ones(2)}, ValueError, "x0 must have 3"),
    ({"tol": -1.0}, ValueError, "tol must be"),
    ({"maxiter": -1}, ValueError, "maxiter must be"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_input_is_named(change, error, message):
    with pytest.raises(error, match=message):
        refopt.l1_logistic(**GOOD | change)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("tol", [1e-8, 1e-14, 0.0])
@pytest.mark.parametrize("share", [1.0, 0.5])  # of the rows that the free column separates
def test_unpenalised_columns_that_separate_leave_no_minimiser(backend, intercept, tol, share):
    rng = np.random.default_rng(17)
    X = rng.standard_normal((60, 4))
    y = np.where(rng.random(60) < 0.5, -1.0, 1.0)
    X[:, 0] = np.where(rng.random(60) < share, y * (1 + rng.random(60)), 0)
    whole = share == 1.0
    options = {"fit_intercept": intercept and whole, "tol": tol, "backend": backend}
    for res in (
        refopt.l1_logistic(X, y, 1.0, weights=[0, 1, 1, 1], **options),
        refopt.l1_logistic(scipy.sparse.csc_array(X), y, 1.0, weights=[0, 1, 1, 1], **options),
        refopt.l1_logistic(X[:, :1], y, 0.0, **options),
        refopt.l1_logistic(
            X if whole else X[:, :1], y, 1.0, weights=np.zeros(4 if whole else 1), **options
        ),
    ):
        assert res.status == 5 and not res.success and "no minimiser" in res.message
        assert np.all(np.isfinite(res.x)) and math.isfinite(res.intercept)
        assert math.isfinite(res.fun) and math.isfinite(res.kkt)


def test_a_tiny_squared_penalty_is_no_obstacle():
    X, y = instance(60, 10, 3)
    lam = 0.1 * lam_max(X, y)
    without = refopt.l1_logistic(X, y, lam, tol=1e-10)
    for l2 in (1e-300, 1e-100, 1e-20):
        res = refopt.l1_logistic(X, y, lam, l2=l2, tol=1e-10)
        assert res.success and res.fun == pytest.approx(without.fun, rel=1e-9)


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_extreme_units(size):
    X, y = instance(60, 10, 3)
    lam = 0.1 * lam_max(X, y)
    plain = refopt.l1_logistic(X, y, lam, tol=1e-10)
    res = refopt.l1_logistic(X * size, y, lam * size, tol=1e-10)
    assert res.success and np.allclose(res.x * size, plain.x, rtol=1e-6, atol=1e-8)
    res = refopt.l1_logistic(X, y, lam * size, sample_weight=np.full(60, size), tol=1e-10)
    assert res.success and np.allclose(res.x, plain.x, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("l2", [0.0, 1.0])
def test_without_the_penalty_the_result_has_the_same_form(l2):
    X, y = instance(60, 5)
    y[:6] *= -1  # not separable
    seen = []
    res = refopt.l1_logistic(X, y, 0.0, l2=l2, callback=lambda r: seen.append(r.nit))
    other = refopt.l1_logistic(X, y, 0.5, l2=l2)
    assert res.success and set(res) == set(other) and set(res.history) == set(other.history)
    assert res.classes.tolist() == other.classes.tolist() == [-1, 1]
    assert seen == list(range(1, res.nit + 1))
    assert {len(column) for column in res.history.values()} == {res.nit + 1}
    assert res.history["nnz"].tolist() == [0] + [5] * res.nit
    assert np.isnan(res.history["gap"]).all() == (l2 == 0)
