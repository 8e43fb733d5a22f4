"""The Lasso and the elastic net: known answers, true certificates, invariances, any input."""

import array_api_strict
import numpy as np
import pytest
import scipy.sparse

import refopt
from refopt.problems import correlated, lars_adversarial

SHAPES = [(60, 15), (40, 40), (30, 90), (120, 700)]
BACKENDS = ["numpy", "numba"]


def instance(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1))
    w = rng.standard_normal(p) * (rng.random(p) < 0.2)
    return X, X @ w + rng.standard_normal(n)


def lam_max(X, y):
    return np.abs(X.T @ y).max()


def objective(X, y, lam, w, l2=0.0, b=0.0):
    return 0.5 * np.sum((y - X @ w - b) ** 2) + lam * np.abs(w).sum() + 0.5 * l2 * w @ w


def plain(X, y, lam, l2=0.0, positive=False, sweeps=20000):
    """Cyclic coordinate descent, one coordinate after the other."""
    w, r, norms = np.zeros(X.shape[1]), y.copy(), (X**2).sum(0) + l2
    for _ in range(sweeps):
        moved = 0.0
        for j in range(w.size):
            z = X[:, j] @ r + w[j] * (norms[j] - l2)
            new = np.sign(z) * max(abs(z) - lam, 0) / norms[j]
            new = max(new, 0.0) if positive else new
            r -= X[:, j] * (new - w[j])
            moved, w[j] = max(moved, abs(new - w[j])), new
        if moved < 1e-15:
            break
    return w


# Known answers


@pytest.mark.parametrize("backend", BACKENDS)
def test_orthonormal_columns_are_thresholded(backend):
    X = np.linalg.qr(np.random.default_rng(0).standard_normal((90, 50)))[0]
    y = np.random.default_rng(1).standard_normal(90)
    z = X.T @ y
    for lam in (0.2, 1.0):
        res = refopt.lasso(X, y, lam, tol=1e-14, backend=backend)
        expected = np.sign(z) * np.maximum(np.abs(z) - lam, 0)
        np.testing.assert_allclose(res.x, expected, atol=1e-14)
        np.testing.assert_array_equal(res.x == 0, expected == 0)
        np.testing.assert_array_equal(res.active, expected == 0)
        res = refopt.lasso(X, y, lam, positive=True, l2=1.0, tol=1e-14, backend=backend)
        np.testing.assert_allclose(res.x, np.maximum(z - lam, 0) / 2, atol=1e-14)


def test_one_column_in_closed_form():
    x, y = np.array([[1.0], [2.0], [2.0]]), np.array([1.0, 0.0, 4.0])
    assert refopt.lasso(x, y, 1.5).x == pytest.approx((9 - 1.5) / 9)
    assert refopt.lasso(x, -y, 1.5, l2=3.0).x == pytest.approx(-(9 - 1.5) / 12)
    assert refopt.lasso(x, -y, 1.5, positive=True).x == 0.0
    assert refopt.elastic_net(x, y, 1.5, 3.0).x == pytest.approx((9 - 1.5) / 12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_from_the_largest_penalty_on_nothing_is_active(n, p, backend):
    X, y = instance(n, p)
    top = lam_max(X, y)
    above = refopt.lasso(X, y, top * (1 + 1e-12), tol=1e-12, backend=backend)
    assert above.success and above.nit <= 1 and above.gap <= 1e-11
    np.testing.assert_array_equal(above.x, 0.0)
    assert above.fun == pytest.approx(0.5 * y @ y)
    far = refopt.lasso(X, y, 2 * top, tol=1e-15, backend=backend)
    assert far.success and far.nit == 0 and far.gap == 0.0
    below = refopt.lasso(X, y, top * (1 - 1e-6), tol=1e-14, backend=backend)
    assert below.success and (~below.active).sum() == 1
    assert not below.active[np.argmax(np.abs(X.T @ y))]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ratio", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("options", [{}, {"positive": True}, {"l2": 5.0}])
@pytest.mark.parametrize(("n", "p"), [(60, 15), (30, 50)])
def test_the_answer_of_plain_coordinate_descent(n, p, options, ratio, backend):
    X, y = instance(n, p, 2)
    lam = ratio * lam_max(X, y)
    res = refopt.lasso(X, y, lam, tol=1e-13, backend=backend, **options)
    expected = plain(X, y, lam, **options)
    assert res.success
    np.testing.assert_allclose(res.x, expected, atol=1e-6)
    best = objective(X, y, lam, expected, options.get("l2", 0.0))
    assert res.fun == pytest.approx(best, rel=1e-11)
    assert res.fun == pytest.approx(objective(X, y, lam, res.x, options.get("l2", 0.0)))


CORRELATED = [
    (500, 5000, 0.6, 27, 0.1, 12808.6499036, 188),
    (500, 5000, 0.6, 27, 0.01, 1713.61076241, 458),
    (400, 2000, 0.9, 5, 0.1, 8357.78137467, 122),
    (400, 2000, 0.9, 5, 0.01, 1403.50196057, 341),
]


@pytest.mark.parametrize(("n", "p", "rho", "seed", "ratio", "best", "nonzeros"), CORRELATED)
def test_certified_optima_of_correlated_columns(n, p, rho, seed, ratio, best, nonzeros):
    problem = correlated(n, p, rho, seed)
    lam = ratio * lam_max(problem.X, problem.y)
    res = refopt.lasso(problem.X, problem.y, lam, tol=1e-12)
    assert res.success and res.nit < 40
    assert res.fun == pytest.approx(best, rel=1e-10)
    assert (~res.active).sum() == nonzeros


def test_columns_of_very_different_size():
    problem = lars_adversarial()
    X, y = problem.X, problem.y
    for ratio in (0.1, 0.001):
        lam = ratio * lam_max(X, y)
        res = refopt.lasso(X, y, lam, tol=1e-12)
        assert res.success
        g = X.T @ (y - X @ res.x)
        assert np.abs(g).max() <= lam * (1 + 1e-6)
        assert np.abs(g - lam * np.sign(res.x))[~res.active].max() <= 1e-6 * lam


# Certificates


@pytest.mark.parametrize("options", [{}, {"positive": True}, {"l2": 2.0}])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_the_gap_bounds_the_distance_to_the_optimum(n, p, options):
    X, y = instance(n, p, 3)
    lam = 0.05 * lam_max(X, y)
    best = refopt.lasso(X, y, lam, tol=1e-15, **options).fun
    seen = []
    res = refopt.lasso(X, y, lam, tol=1e-13, callback=seen.append, **options)
    assert len(seen) == res.nit >= 1
    zero = 0.5 * y @ y
    for r in seen:
        assert r.fun == pytest.approx(objective(X, y, lam, r.x, options.get("l2", 0.0)))
        assert r.gap * zero >= r.fun - best - 1e-13 * zero


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_the_certificate_recomputed(n, p):
    X, y = instance(n, p, 4)
    lam = 0.02 * lam_max(X, y)
    res = refopt.lasso(X, y, lam, tol=1e-12)
    r = y - X @ res.x
    theta = r * min(1.0, lam / np.abs(X.T @ r).max())
    gap = res.fun - (y @ theta - 0.5 * theta @ theta)
    assert gap <= 1e-10 * 0.5 * y @ y  # this scaling is not the best one
    assert res.nit < 40 and res.gap <= 1e-12


def test_zeros_are_exact_and_the_support_settles():
    X, y = instance(120, 700, 5)
    res = refopt.lasso(X, y, 0.1 * lam_max(X, y), tol=1e-12)
    assert 0 < (~res.active).sum() < 200
    assert np.abs(res.x[~res.active]).min() > 1e-10
    assert 0 < res.nit_active <= res.nit
    assert res.history["nnz"][-1] == (~res.active).sum()
    assert set(res.history) == {"time", "fun", "gap", "kkt", "nnz", "block_size"}
    assert {v.size for v in res.history.values()} == {res.nit + 1}
    assert refopt.lasso(X, y, 1.0, history=False).history == {}


# Without a penalty


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n", "p"), [(60, 15), (120, 70), (30, 90), (20, 300)])
def test_lam_0_is_least_squares(n, p, backend):
    X, y = instance(n, p)
    res = refopt.lasso(X, y, 0.0, tol=1e-10, backend=backend)
    assert res.success and res.gap is None and "optimality" in res.message
    assert np.abs(X.T @ (y - X @ res.x)).max() <= 1.1e-10 * lam_max(X, y)
    if n > p:
        np.testing.assert_allclose(res.x, np.linalg.lstsq(X, y)[0], atol=1e-7)


def test_ridge_is_certified():
    X, y = instance(60, 90)
    res = refopt.lasso(X, y, 0.0, l2=0.5, tol=1e-12)
    assert res.success and res.gap <= 1e-12
    np.testing.assert_allclose(res.x, np.linalg.solve(X.T @ X + 0.5 * np.eye(90), X.T @ y))


# Invariances


@pytest.mark.parametrize("backend", BACKENDS)
def test_scaling_and_permutation(backend):
    X, y = instance(60, 90)
    lam = 0.05 * lam_max(X, y)
    solve = lambda X, y, lam: refopt.lasso(X, y, lam, tol=1e-13, backend=backend).x
    x = solve(X, y, lam)
    columns, rows = (
        np.random.default_rng(0).permutation(90),
        np.random.default_rng(0).permutation(60),
    )
    np.testing.assert_allclose(solve(X[:, columns], y, lam), x[columns], atol=1e-9)
    np.testing.assert_allclose(solve(X[rows], y[rows], lam), x, atol=1e-9)
    for a, b in ((1e3, 1e-3), (1e-50, 1.0), (1.0, 1e100), (1e60, 1e-60)):
        scaled = solve(a * X, b * y, a * b * lam)
        np.testing.assert_allclose(scaled * (a / b), x, atol=1e-9)


def test_weights_are_scaled_columns_and_zeros_free_them():
    X, y = instance(60, 30)
    weights = np.random.default_rng(0).uniform(0.5, 2, 30)
    lam = 0.1 * lam_max(X, y)
    res = refopt.lasso(X, y, lam, weights=weights, tol=1e-13)
    scaled = refopt.lasso(X / weights, y, lam, tol=1e-13)
    np.testing.assert_allclose(res.x, scaled.x / weights, atol=1e-9)
    weights[:3] = 0.0
    res = refopt.lasso(X, y, lam, weights=weights, tol=1e-10)
    assert res.success and res.gap <= 1e-10
    g = X.T @ (y - X @ res.x)
    assert np.abs(g[:3]).max() <= 1e-8 * lam and (res.x[:3] != 0).all()
    assert (np.abs(g[3:]) <= lam * weights[3:] * (1 + 1e-6)).all()


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_sample_weights_are_repeated_rows(form):
    X, y = instance(50, 30)
    X *= np.random.default_rng(1).random(X.shape) < 0.4
    weights = np.random.default_rng(0).integers(0, 4, 50)
    lam = 0.1 * lam_max(X, y)
    for intercept in (False, True):
        solve = lambda X, y, s=None, b=intercept: refopt.lasso(
            X, y, lam, sample_weight=s, fit_intercept=b, tol=1e-13
        )
        weighted = solve(form(X), y, weights)
        repeated = solve(np.repeat(X, weights, axis=0), np.repeat(y, weights))
        dropped = solve(X[weights > 0], y[weights > 0], weights[weights > 0])
        for other in (repeated, dropped):
            np.testing.assert_allclose(weighted.x, other.x, atol=1e-9)
            assert weighted.intercept == pytest.approx(other.intercept, abs=1e-9)
            assert weighted.fun == pytest.approx(other.fun)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csc_array])
def test_an_intercept_is_centring(form, backend):
    X, y = instance(60, 90)
    X *= np.random.default_rng(1).random(X.shape) < 0.3
    s, lam = np.random.default_rng(0).uniform(0.5, 2, 60), 20.0
    for weights in (None, s):
        means, mean = np.average(X, 0, weights), np.average(y, weights=weights)
        options = {"sample_weight": weights, "tol": 1e-13, "backend": backend}
        res = refopt.lasso(form(X), y + 7, lam, fit_intercept=True, **options)
        centred = refopt.lasso(X - means, y - mean, lam, **options)
        np.testing.assert_allclose(res.x, centred.x, atol=1e-9)
        assert res.intercept == pytest.approx(mean + 7 - means @ centred.x)
        assert res.fun == pytest.approx(centred.fun)
        assert centred.intercept == 0.0


# Starts and stops


@pytest.mark.parametrize("options", [{}, {"fit_intercept": True}, {"positive": True}])
def test_a_solution_is_recognised(options):
    X, y = instance(60, 90)
    first = refopt.lasso(X, y, 10.0, tol=1e-10, **options)
    again = refopt.lasso(X, y, 10.0, tol=1e-10, x0=first.x, **options)
    assert again.success and again.nit <= 1
    np.testing.assert_allclose(again.x, first.x, atol=1e-8)
    far = refopt.lasso(X, y, 10.0, tol=1e-10, x0=-1e8 * np.ones(90), **options)
    np.testing.assert_allclose(far.x, first.x, atol=1e-6)


def test_ends():
    X, y = instance(120, 700)

    def stop(r):
        raise StopIteration

    res = refopt.lasso(X, y, 1.0, maxiter=0)
    assert (res.status, res.nit, res.success) == (1, 0, False) and not res.x.any()
    res = refopt.lasso(X, y, 1.0, callback=stop)
    assert (res.status, res.nit, res.success) == (2, 1, False) and res.x.any()
    assert refopt.lasso(X, y, 1.0, time_limit=0.0).status == 6
    res = refopt.lasso(X, y, 1.0, tol=1e-30)
    assert res.status in (0, 3) and res.gap <= 1e-14


# Forms of input


FORMS = {
    "Fortran order": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, 0), 3, 1)[::2, ::3],
    "csc": scipy.sparse.csc_array,
    "csr matrix": scipy.sparse.csr_matrix,
    "coo": scipy.sparse.coo_array,
    "int32": lambda X: X.astype(np.int32),
    "lists": lambda X: X.tolist(),
    "int csr": lambda X: scipy.sparse.csr_array(X.astype(np.int64)),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_X_does_not_matter(form):
    rng = np.random.default_rng(0)
    X = rng.integers(-3, 4, (80, 60)) * (rng.random((80, 60)) < 0.5).astype(float)
    y = rng.integers(-9, 10, 80).astype(float)
    expected = refopt.lasso(X, y, 12.0, tol=1e-13)
    given = FORMS[form](X)
    res = refopt.lasso(given, y, 12.0, tol=1e-13)
    np.testing.assert_allclose(res.x, expected.x, atol=1e-10)
    if form != "lists":
        kept = given.toarray() if scipy.sparse.issparse(given) else given
        np.testing.assert_array_equal(kept, X)


def test_single_precision_and_booleans():
    X, y = instance(60, 90)
    expected = refopt.lasso(X, y, 10.0, tol=1e-12)
    res = refopt.lasso(X.astype(np.float32), y.astype(np.float32), 10.0)
    assert res.success and res.x.dtype == np.float32 and "1e-6" in res.message
    np.testing.assert_allclose(res.x, expected.x, atol=1e-4)
    r = y - X @ res.x.astype(float)
    assert res.fun == pytest.approx(0.5 * r @ r + 10 * np.abs(res.x).sum(), rel=1e-5)
    flags = X > 0
    np.testing.assert_allclose(
        refopt.lasso(flags, y, 3.0).x, refopt.lasso(flags.astype(float), y, 3.0).x
    )


def test_duplicate_entries_of_a_sparse_matrix_are_summed():
    X = scipy.sparse.coo_array(([1.0, 2.0, 1.0], ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    res = refopt.lasso(X, [3.0, 2.0], 0.5, tol=1e-14)
    np.testing.assert_allclose(res.x, [(9 - 0.5) / 9, 1.5])
    assert X.nnz == 3


def test_sparse_columns_with_many_nonzeros():
    X = scipy.sparse.random_array((600, 900), density=0.01, rng=0, format="csc")
    y = X @ np.random.default_rng(0).standard_normal(900)
    lam = 1e-3 * np.abs(X.T @ y).max()
    sparse = refopt.lasso(X, y, lam, tol=1e-13)
    dense = refopt.lasso(X.toarray(), y, lam, tol=1e-13)
    assert sparse.success and (~sparse.active).sum() > 128
    assert sparse.fun == pytest.approx(dense.fun, rel=1e-11)
    np.testing.assert_allclose(X @ sparse.x, X @ dense.x, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{}, {"positive": True}, {"l2": 1.0}, {"fit_intercept": True}, {"x0": np.ones(40)}],
)
def test_backends_agree(options):
    X, y = instance(60, 40)
    results = [refopt.lasso(X, y, 8.0, tol=1e-13, backend=b, **options) for b in BACKENDS]
    np.testing.assert_allclose(results[0].x, results[1].x, atol=1e-10)
    strict = lambda v: array_api_strict.asarray(v)
    arrays = {k: strict(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    other = refopt.lasso(strict(X), strict(y), 8.0, tol=1e-13, **arrays)
    assert type(other.x).__module__.startswith("array_api_strict")
    np.testing.assert_allclose(np.asarray(other.x), results[0].x, atol=1e-10)


# Refusals


GOOD = {"X": np.eye(3), "y": np.ones(3), "lam": 1.0}
BAD = [
    ({"lam": -1.0}, ValueError, "lam must be nonnegative"),
    ({"lam": np.nan}, ValueError, "lam must be"),
    ({"lam": np.inf}, ValueError, "lam must be"),
    ({"lam": "1"}, TypeError, "lam must be"),
    ({"l2": -1.0}, ValueError, "l2 must be"),
    ({"y": np.ones(4)}, ValueError, "y must have 3 entries"),
    ({"y": np.ones((3, 1))}, ValueError, "y must be 1-dimensional"),
    ({"y": [1.0, np.nan, 0.0]}, ValueError, "y must be finite"),
    ({"X": np.ones(3)}, ValueError, "X must be 2-dimensional"),
    ({"X": np.diag([1.0, np.inf, 1.0])}, ValueError, "X must be finite"),
    ({"X": scipy.sparse.csc_array(np.diag([1.0, np.nan, 1.0]))}, ValueError, "X must be finite"),
    ({"X": 1j * np.eye(3)}, TypeError, "X must be real"),
    ({"X": np.zeros((0, 3))}, ValueError, "X must have at least one row"),
    ({"X": np.array([["a"] * 3] * 3)}, TypeError, "X must hold real numbers"),
    ({"weights": np.ones(2)}, ValueError, "weights must have 3 entries"),
    ({"weights": [1.0, -1.0, 1.0]}, ValueError, "weights must be nonnegative"),
    ({"sample_weight": np.ones(2)}, ValueError, "sample_weight must have"),
    ({"sample_weight": [1.0, -1.0, 1.0]}, ValueError, "sample_weight must be nonnegative"),
    ({"sample_weight": np.zeros(3)}, ValueError, "sample_weight must have a positive"),
    ({"x0": np.ones(2)}, ValueError, "x0 must have 3 entries"),
    ({"x0": [np.nan, 0.0, 0.0]}, ValueError, "x0 must be finite"),
    ({"tol": -1.0}, ValueError, "tol must be"),
    ({"maxiter": -1}, ValueError, "maxiter must be"),
    ({"maxiter": 1.5}, TypeError, "maxiter must be"),
    ({"time_limit": -1.0}, ValueError, "time_limit must be"),
    ({"callback": 3}, TypeError, "callback must be"),
    ({"backend": "none"}, ValueError, "backend"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_input_is_named(change, error, message):
    with pytest.raises(error, match=message):
        refopt.lasso(**GOOD | change)


FAR = [(np.asarray, 1e4), (np.asarray, 1e6), (np.asarray, 1e8)] + [
    (scipy.sparse.csc_array, shift) for shift in (1e4, 1e6, 1e8, 1e12)
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("form", "shift"), FAR)
@pytest.mark.parametrize("options", [{}, {"l2": 0.1}, {"sample_weight": np.arange(30) % 4}])
def test_the_gap_is_true_where_means_are_far_above_the_spread(form, shift, options, backend):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 5)) + shift  # rounded as the solver sees it
    centred = X - shift
    y = centred @ [1.0, 2.0, 0.0, 0.0, 0.0] + 0.1 * rng.standard_normal(30)
    s, l2 = options.get("sample_weight", np.ones(30)), options.get("l2", 0.0)
    centred, y_centred = (v - np.average(v, 0, s) for v in (centred, y))
    root = np.sqrt(s)
    U, v = root[:, None] * centred, root * y_centred
    best = refopt.lasso(U, v, 0.1, l2=l2, tol=1e-14)
    zero = 0.5 * v @ v
    res = refopt.lasso(form(X), y, 0.1, fit_intercept=True, backend=backend, **options)
    excess = (objective(U, v, 0.1, res.x, l2) - best.fun) / zero
    assert excess <= res.gap + 1e-15
    if form is np.asarray or shift <= 1e6:
        assert res.success
    if form is np.asarray:
        assert res.gap < 1e-14
        np.testing.assert_allclose(res.x, best.x, atol=1e-9)
        middle = np.average(y, weights=s) - np.average(X, 0, s) @ res.x
        assert res.intercept == pytest.approx(middle, abs=1e-12 * shift)
    path = refopt.lasso_path(form(X), y, [1.0, 0.1], fit_intercept=True, backend=backend, **options)
    excess = (objective(U, v, 0.1, path.coefs[:, 1], l2) - best.fun) / zero
    assert excess <= path.gaps[1] + 1e-15


def test_a_tiny_squared_penalty_is_no_obstacle():
    X, y = instance(40, 20)
    lam = 0.1 * lam_max(X, y)
    plain_ = refopt.lasso(X, y, lam, tol=1e-12)
    res = refopt.elastic_net(X, y, lam, 1e-30, tol=1e-12)
    assert res.success and res.gap <= 1e-12 and res.nit <= plain_.nit + 1
    np.testing.assert_allclose(res.x, plain_.x, atol=1e-9)


def test_a_start_far_off():
    X, y = instance(30, 8)
    expected = refopt.lasso(X, y, 1.0, tol=1e-12).x
    for size in (1e200, -1e160, 1e100):
        res = refopt.lasso(X, y, 1.0, x0=np.full(8, size), tol=1e-12)
        assert res.success
        np.testing.assert_allclose(res.x, expected, atol=1e-9)
