"""Problems of every form, refusals, draws, and arrays of other libraries."""

import array_api_strict
import numpy as np
import pytest

import refopt
from inclusions import DETERMINISTIC, OPERATOR, PROBLEM, START, SUMS
from refopt.halpern import AffineVI, BilinearGame, LogisticSaddle, QuadraticMinimax, RowLinear
from refopt.halpern._sampling import Indices
from refopt.problems import row_sum
from refopt.proximal import Product, project_nonneg, project_simplex, prox_l1

TWO_SIMPLICES = Product([(slice(0, 4), project_simplex), (slice(4, 9), project_simplex)])


# Problems in other forms


def test_a_saddle_from_its_gradients_is_the_same_problem():
    seen = []
    res = refopt.minimax(
        lambda x, y: 2 * x + y, lambda x, y: x - y - 2, [1.0, 2.0], [1.0, -1.0],
        prox_x=project_nonneg, callback=seen.append,
    )  # fmt: skip
    np.testing.assert_allclose(res.x, [2 / 3, 2 / 3], atol=1e-5)
    np.testing.assert_allclose(res.y, [-4 / 3, -4 / 3], atol=1e-5)
    assert seen[0].x.shape == seen[0].y.shape == (2,)


def test_the_equations_of_a_quadratic_program():
    rng = np.random.default_rng(1)
    half, A = rng.standard_normal((6, 6)), rng.standard_normal((2, 6))
    H, h, b = half @ half.T, rng.standard_normal(6), rng.standard_normal(2)
    F = QuadraticMinimax(H, -A, p=-h, q=-b)
    res = refopt.solve_vi(F, np.zeros(8), tol=1e-8, maxfev=20_000)
    M = np.block([[H, -A.T], [A, np.zeros((2, 2))]])
    np.testing.assert_allclose(res.x, np.linalg.solve(M, np.concatenate([h, b])), atol=1e-6)


def test_sparse_games_agree_with_dense_ones():
    from scipy.sparse import csr_array

    A = np.random.default_rng(3).standard_normal((5, 4)) * (np.arange(20).reshape(5, 4) % 3 > 0)
    dense, sparse = BilinearGame(A), BilinearGame(csr_array(A))
    u, v = np.random.default_rng(4).standard_normal((2, 9))
    index, weights = np.array([[0, 1], [3, 2], [4, 1]]), np.ones((3, 2))
    np.testing.assert_allclose(sparse.full(u), dense.full(u), atol=1e-14)
    for name in ("uniform", "importance", "full"):
        np.testing.assert_allclose(sparse.lipschitz(name), dense.lipschitz(name), rtol=1e-12)
    np.testing.assert_allclose(
        sparse.batch_diff(u, v, index, weights), dense.batch_diff(u, v, index, weights), atol=1e-14
    )


def test_robust_logistic_regression_meets_its_conditions():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((40, 3))
    labels = np.where(X[:, 0] + rng.standard_normal(40) > 0, 1.0, -1.0)
    F = LogisticSaddle(X, labels, lam=0.1, kappa=0.5)
    res = refopt.solve_vi(F, F.start, prox=F.prox, tol=1e-8, maxfev=20_000)
    assert res.success
    w, p = F.split(res.x)
    loss = np.logaddexp(0, -labels * (X @ w))
    # the best weights: the projection of 1/n + loss / (kappa n) on the simplex
    np.testing.assert_allclose(p, project_simplex(1 / 40 + loss / (0.5 * 40)), atol=1e-6)
    slope = -(p * labels / (1 + np.exp(labels * (X @ w)))) @ X + 0.1 * w
    np.testing.assert_allclose(slope, 0, atol=1e-6)
    parts = np.mean([F.batch(res.x, np.array([i])) for i in range(40)], axis=0)
    np.testing.assert_allclose(parts, F.full(res.x), atol=1e-12)


def test_soft_thresholding_inside_a_compiled_loop():
    rng = np.random.default_rng(6)
    a = rng.standard_normal((200, 6))
    F = RowLinear(a, p=a @ np.array([1.0, 0, 0, -2, 0, 0]))
    res = refopt.solve_vi(F, np.zeros(6), prox=prox_l1, method="l-svrg", rng=0, tol=1e-7)
    lasso = refopt.lasso(a, a @ np.array([1.0, 0, 0, -2, 0, 0]), 200.0, tol=1e-12)
    np.testing.assert_allclose(res.x, lasso.x, atol=1e-6)


# Refusals


def test_bad_input_is_refused_by_name():
    cases = (
        ({"method": "newton"}, "method must be one of 'auto', 'forward'"),
        ({"L": 0.0}, "L must be positive"),
        ({"step": -1.0}, "step must be positive"),
        ({"step": "long"}, "step must be 'fixed', 'adaptive' or a number"),
        ({"tol": -1.0}, "tol must be nonnegative"),
        ({"rtol": -1.0}, "rtol must be nonnegative"),
        ({"maxiter": -1}, "maxiter must be at least 0"),
        ({"maxfev": 0}, "maxfev must be positive"),
        ({"prob": 1.5}, "prob must be at most 1"),
        ({"sampling": "clever"}, "sampling must be one of"),
        ({"sampling": -np.ones(60)}, "sampling must hold finite probabilities"),
        ({"sampling": np.zeros(60)}, "sampling must hold finite probabilities"),
        ({"sampling": np.ones(3)}, "sampling must be a name or have 60 entries"),
        ({"restart": "often"}, "restart must be 'adaptive', None or a period"),
        ({"restart": 0}, "restart must be at least 1"),
        ({"backend": "fortran"}, "backend must be one of"),
        ({"n_components": 7}, "n_components must be 60"),
    )
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            refopt.solve_vi(OPERATOR, START, **{"method": "l-svrg"} | options)
    for batch, message in (
        (0, "batch_size must be at least 1"),
        (61, "batch_size must be at most"),
    ):
        with pytest.raises(ValueError, match=message):
            refopt.vr_halpern(OPERATOR, START, batch_size=batch)
    with pytest.raises(ValueError, match="inner must be one of"):
        refopt.inexact_halpern(OPERATOR, START, inner="newton")
    for method in SUMS:
        with pytest.raises(ValueError, match="n_components must be given"):
            refopt.solve_vi(lambda u: u, START, method=method)
    with pytest.raises(ValueError, match=r"fun must return an array of shape \(6,\), got \(3,\)"):
        refopt.solve_vi(lambda u: u[:3], START)
    with pytest.raises(ValueError, match=r"x0 must have shape \(6,\)"):
        refopt.solve_vi(OPERATOR, np.zeros(5))
    with pytest.raises(TypeError, match="prox must be callable"):
        refopt.solve_vi(OPERATOR, START, prox=3)
    with pytest.raises(TypeError, match="T must be callable"):
        refopt.halpern_fixed_point(3, START)
    with pytest.raises(ValueError, match="coupling must have shape"):
        RowLinear(np.ones((3, 2)), coupling=np.ones((3, 3)))
    with pytest.raises(ValueError, match="blocks must hold each of the 3 coordinates once"):
        AffineVI(np.eye(3), blocks=[[0, 1]])


@pytest.mark.parametrize("law", ["uniform", "importance"])
def test_rows_of_zeros_are_drawn_never_or_harmlessly(law):
    a = np.random.default_rng(7).standard_normal((30, 3))
    a[::3] = 0.0
    F = RowLinear(a, p=a @ np.ones(3))
    for method in SUMS:
        res = refopt.solve_vi(F, np.zeros(3), method=method, sampling=law, rng=0, tol=1e-5)
        assert res.success
        np.testing.assert_allclose(res.x, 1.0, atol=1e-3)


@pytest.mark.parametrize("method", ["l-svrg", "vr-eg", "vr-halpern"])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_long_runs_with_a_step_too_long_overflow_in_silence(method, backend):
    problem = row_sum(3000, 3, decay=1.0)
    for fun, options in (
        (problem.operator(), {"backend": backend}),
        (problem.batch, {"n_components": 3000}),
    ):
        if backend == "numba" and options != {"backend": "numba"}:
            continue
        res = refopt.solve_vi(
            fun, START, method=method, L=0.01, tol=1e-2, maxfev=60, rng=0, **options
        )
        assert np.isfinite(res.x).all() and "halved" in res.message


def test_a_map_that_is_not_nonexpansive_ends_with_its_best_point():
    res = refopt.halpern_fixed_point(lambda x: 3.0 * x, [1.0, 2.0], maxiter=10**6)
    assert res.status == 4 and "not nonexpansive" in res.message
    np.testing.assert_array_equal(res.x, [1.0, 2.0])


def test_the_gap_of_a_game_with_linear_terms_is_free():
    rng = np.random.default_rng(8)
    A, c, r = rng.standard_normal((5, 4)), rng.standard_normal(4), rng.standard_normal(5)
    F = BilinearGame(A, c, r)
    x, y = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(5))
    u = np.concatenate([x, y])
    gap = (A @ x + r).max() + c @ x - (A.T @ y + c).min() - r @ y
    np.testing.assert_allclose(F.gap(u, F.full(u)), gap, atol=1e-14)


@pytest.mark.parametrize("method", ["vr-halpern", "inexact-halpern", "l-svrg"])
def test_a_saddle_by_components(method):
    rng = np.random.default_rng(9)
    shift = rng.standard_normal((50, 2))

    def part(index):
        return shift if index is None else shift[index]

    seen = []
    res = refopt.minimax(
        lambda x, y, i: 2 * x + y - part(i).mean(0), lambda x, y, i: x - 2 * y + part(i).mean(0),
        [1.0, 2.0], [1.0, 0.0], n_components=50, method=method, rng=0, callback=seen.append,
        tol=1e-8,
    )  # fmt: skip
    mean = shift.mean(0)
    np.testing.assert_allclose(2 * res.x + res.y, mean, atol=1e-7)
    np.testing.assert_allclose(2 * res.y - res.x, mean, atol=1e-7)
    assert res.success and res.method == method and {"x", "y"} <= set(seen[0])


def test_an_operator_of_ones_own():
    class Shifts(refopt.halpern.FiniteSumOperator):
        """F_i(u) = u - s_i."""

        def __init__(self, shifts):
            self.shifts, self.xp = shifts, np
            self.n, self.shape = shifts.shape[0], shifts.shape[1:]

        def full(self, u):
            return u - self.shifts.mean(axis=0)

        def batch(self, u, index, weights=None):
            weights = np.ones(index.size) if weights is None else weights
            return weights @ (u - self.shifts[index]) / index.size

    shifts = np.random.default_rng(0).standard_normal((30, 4))
    for method in SUMS + DETERMINISTIC:
        res = refopt.solve_vi(Shifts(shifts), np.zeros(4), method=method, rng=0, tol=1e-8)
        assert res.success, method
        np.testing.assert_allclose(res.x, shifts.mean(axis=0), atol=1e-7)
    assert Shifts.full.__doc__ == refopt.halpern.FiniteSumOperator.full.__doc__


# Draws


def test_draws_by_probabilities_are_those_of_the_cumulative_sum():
    rng = np.random.default_rng(10)
    for n in (1, 2, 50, 3000):
        q = rng.random(n) ** 8 * (np.arange(n) % 3 != 1)
        q /= q.sum()
        draws, numbers = (np.random.default_rng(1) for _ in range(2))
        index, factors = Indices(draws, [(n, q)], np, np.float64).draw(400, 5)
        expected = np.searchsorted(np.cumsum(q), numbers.random(2000), "right").reshape(400, 5)
        np.testing.assert_array_equal(index, np.minimum(expected, np.flatnonzero(q)[-1]))
        np.testing.assert_allclose(factors, 1 / (n * q[index]), rtol=1e-14)


@pytest.mark.parametrize(("n", "b"), [(1, 1), (5, 5), (100, 10), (100, 60), (7, 3)])
def test_uniform_batches_have_no_component_twice(n, b):
    index, factors = Indices(np.random.default_rng(2), [(n, None)], np, np.float64).draw(3000, b)
    assert factors is None and index.shape == (3000, b)
    assert all(np.unique(row).size == b for row in index)
    expected = 3000 * b / n
    assert np.all(abs(np.bincount(index.ravel(), minlength=n) - expected) < 6 * expected**0.5 + 1)


# Other array libraries


def problems(xp):
    """An operator of every kind, with a prox of every kind that a loop must know."""
    rng = np.random.default_rng(0)
    M, A, X = (xp.asarray(rng.standard_normal(shape)) for shape in ((6, 6), (3, 3), (3, 3)))
    a, b, u, v = map(xp.asarray, (PROBLEM.a, PROBLEM.b, PROBLEM.u, PROBLEM.v))
    simplices = Product([(slice(0, 3), project_simplex), (slice(3, 6), project_simplex)])
    logistic = LogisticSaddle(X, xp.asarray([1.0, -1.0, 1.0]))
    yield RowLinear(a, b, u, v), project_nonneg
    yield RowLinear(a, p=u), None
    yield AffineVI(M @ M.T + M - M.T, xp.ones(6), np.arange(6).reshape(3, 2)), prox_l1
    yield QuadraticMinimax(M @ M.T, A @ M[:3, :]), None
    yield BilinearGame(A), simplices
    yield logistic, logistic.prox


@pytest.mark.parametrize("method", DETERMINISTIC + SUMS)
def test_arrays_of_another_library_take_the_same_steps(method):
    options = {"method": method, "tol": 0.0, "maxfev": 6, "rng": 0, "L": 8.0}
    for (ours, prox), (theirs, same) in zip(problems(array_api_strict), problems(np), strict=True):
        size = ours.shape[0]
        start = array_api_strict.ones(size) / 3
        one = refopt.solve_vi(ours, start, prox=prox, **options)
        two = refopt.solve_vi(theirs, np.ones(size) / 3, prox=same, backend="numpy", **options)
        assert one.backend == "reference"
        np.testing.assert_allclose(np.asarray(one.x), two.x, rtol=0, atol=1e-11)


@pytest.mark.parametrize("method", DETERMINISTIC + SUMS)
def test_a_step_that_is_given_is_taken(method):
    res = refopt.solve_vi(OPERATOR, START, method=method, step=0.125, maxfev=5, rng=0)
    assert np.all(res.history["step"] == 0.125) and res.step == 0.125
