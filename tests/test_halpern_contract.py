"""What a run counts, returns and survives, whatever the method."""

import numpy as np
import pytest

import refopt
from inclusions import DETERMINISTIC, OPERATOR, PROBLEM, START, SUMS, Counting
from refopt.halpern import AffineVI, BilinearGame, RowLinear
from refopt.problems import row_sum
from refopt.proximal import Product, project_box, project_nonneg, project_simplex

TWO_SIMPLICES = Product([(slice(0, 4), project_simplex), (slice(4, 9), project_simplex)])


def component(z, i, out):
    a, b = PROBLEM.a[i], PROBLEM.b[i]
    s, t = a @ z[:3], b @ z[3:]
    out[:3] = a * (s + t - PROBLEM.u[i])
    out[3:] = b * (t - s - PROBLEM.v[i])


# Accounts


@pytest.mark.parametrize("method", SUMS)
@pytest.mark.parametrize("L", [None, 2.0])
def test_components_are_counted_as_they_are_called(method, L):
    fun = Counting()
    res = refopt.solve_vi(fun, START, method=method, n_components=60, L=L, tol=1e-3, rng=0)
    assert res.success and res.method == method
    assert res.ncomp == fun.count
    assert res.nfev == fun.count / 60
    assert res.history["nfev"][-1] == (fun.count - 60) / 60  # all but the last check


@pytest.mark.parametrize("method", DETERMINISTIC)
def test_whole_evaluations_are_counted(method):
    fun = Counting()
    res = refopt.solve_vi(lambda z: fun(z), START, method=method, L=1.0, tol=1e-3)
    assert res.success and res.nfev == res.ncomp == fun.calls


@pytest.mark.parametrize("method", SUMS)
def test_compiled_loops_count_as_the_others(method):
    options = {"method": method, "L": 2.0, "tol": 1e-4, "rng": 3, "sampling": "uniform"}
    ours = refopt.solve_vi(OPERATOR, START, **options)
    theirs = refopt.solve_vi(Counting(), START, n_components=60, **options)
    assert ours.ncomp == theirs.ncomp and ours.nit == theirs.nit
    np.testing.assert_allclose(ours.x, theirs.x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", DETERMINISTIC + SUMS)
def test_the_residual_is_that_of_the_point_returned(method):
    prox = lambda v: project_box(v, -0.2, 0.3)
    res = refopt.solve_vi(OPERATOR, START, prox=prox, method=method, rng=0, tol=1e-5)
    again = np.linalg.norm(res.x - prox(res.x - PROBLEM.batch(res.x)))
    np.testing.assert_allclose(res.residual, again, rtol=1e-6)
    assert res.success and res.fun == res.residual <= 1e-5


def test_the_gap_is_that_of_the_point_returned():
    A = np.random.default_rng(0).standard_normal((5, 4))
    start = np.concatenate([np.full(4, 0.25), np.full(5, 0.2)])
    for method in ("eag", "vr-eg", "vr-halpern", "inexact-halpern"):
        res = refopt.solve_vi(
            BilinearGame(A), start, prox=TWO_SIMPLICES, method=method, tol=1e-3, rng=0
        )
        x, y = res.x[:4], res.x[4:]
        np.testing.assert_allclose(res.gap, (A @ x).max() - (A.T @ y).min(), atol=1e-14)
        assert np.all(res.history["gap"] >= -1e-12) and res.gap < 0.1, method


@pytest.mark.parametrize("method", DETERMINISTIC + SUMS)
def test_a_gap_is_of_strategies_and_never_negative(method):
    A = np.random.default_rng(0).standard_normal((5, 4))
    for start in (np.repeat([0.25, 0.2], [4, 5]), np.zeros(9), 3 * np.eye(9)[0]):
        res = refopt.solve_vi(
            BilinearGame(A), start, prox=TWO_SIMPLICES, method=method, tol=1e-3, maxfev=60, rng=0
        )
        gaps = res.history["gap"]
        assert np.isfinite(gaps).sum() >= gaps.size - 1 or method == "inexact-halpern"
        assert np.isfinite(gaps[0]) == (start.sum() == 2)
        assert np.all(gaps[np.isfinite(gaps)] >= -1e-12)


@pytest.mark.parametrize("method", [m for m in DETERMINISTIC + SUMS if m != "inexact-halpern"])
def test_points_lie_in_the_set_from_the_first_step_on(method):
    seen = []
    refopt.solve_vi(
        OPERATOR, START + 1.0, prox=lambda v: project_box(v, -0.2, 0.3), method=method, rng=0,
        maxfev=60, callback=seen.append,
    )  # fmt: skip
    assert len(seen) > 2 and all(-0.2 <= s.x.min() and s.x.max() <= 0.3 for s in seen)


def test_the_anchor_costs_nothing_where_it_is_not_needed():
    plain, anchored = (refopt.solve_vi(OPERATOR, START, method=m, tol=1e-6) for m in ("eg", "eag"))
    assert anchored.success and anchored.nfev <= 1.05 * plain.nfev
    B = np.random.default_rng(11).standard_normal((15, 15))

    def bilinear(u):
        return np.concatenate([B.T @ u[15:], 1.0 - B @ u[:15]])

    options = {"tol": 1e-5, "maxfev": 20_000, "L": np.linalg.norm(B, 2)}
    plain, anchored = (
        refopt.solve_vi(bilinear, np.zeros(30), method=m, **options) for m in ("eg", "eag")
    )
    assert anchored.success and anchored.nrestart >= 2 and not plain.success


@pytest.mark.parametrize("method", ["vr-halpern", "inexact-halpern"])
def test_restarts_lose_nothing(method):
    res = refopt.solve_vi(OPERATOR, START, method=method, rng=0, tol=1e-6)
    assert res.success and res.nrestart == res.history["restart"][-1] >= 2
    assert res.residual == res.history["residual"].min()


# Runs that repeat


@pytest.mark.parametrize("method", SUMS)
def test_one_seed_is_one_run_on_every_backend(method):
    options = {"method": method, "tol": 0.0, "maxfev": 40}
    runs = [
        refopt.solve_vi(OPERATOR, START, rng=seed, backend=backend, **options)
        for seed, backend in ((1, "numpy"), (1, "numba"), (1, "reference"), (2, "numpy"))
    ]
    for other in runs[1:3]:
        np.testing.assert_allclose(other.x, runs[0].x, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(other.history["nfev"], runs[0].history["nfev"])
    assert not np.array_equal(runs[3].x, runs[0].x)


@pytest.mark.parametrize("method", SUMS)
def test_the_columns_of_an_affine_operator_on_every_backend(method):
    rng = np.random.default_rng(2)
    half = rng.standard_normal((8, 8))
    F = AffineVI(half @ half.T + half - half.T, rng.standard_normal(8), np.arange(8).reshape(4, 2))
    options = {"method": method, "tol": 0.0, "maxfev": 30, "rng": 0, "prox": project_nonneg}
    one, two = (refopt.solve_vi(F, np.ones(8), backend=b, **options) for b in ("numpy", "numba"))
    np.testing.assert_allclose(one.x, two.x, rtol=0, atol=1e-11)


def test_components_compiled_by_the_user():
    numba = pytest.importorskip("numba")
    a, b, u, v = PROBLEM.a, PROBLEM.b, PROBLEM.u, PROBLEM.v

    @numba.njit
    def compiled(z, i, out):
        s, t = 0.0, 0.0
        for j in range(3):
            s += a[i, j] * z[j]
            t += b[i, j] * z[3 + j]
        for j in range(3):
            out[j] = a[i, j] * (s + t - u[i])
            out[3 + j] = b[i, j] * (t - s - v[i])

    options = {"method": "l-svrg", "n_components": 60, "L": 2.0, "rng": 0, "sampling": "uniform"}
    runs = [refopt.solve_vi(fun, START, **options) for fun in (compiled, component, Counting())]
    assert runs[0].success and runs[0].backend == "numba"
    for other in runs[1:]:
        np.testing.assert_allclose(other.x, runs[0].x, rtol=0, atol=1e-10)
        assert other.ncomp == runs[0].ncomp


# Runs that end early


@pytest.mark.parametrize("method", DETERMINISTIC + SUMS)
def test_nan_from_the_operator_ends_the_run_with_a_finite_point(method):
    fun = Counting()

    def broken(z, index=None):
        value = fun(z, index)
        return value * np.nan if fun.calls >= 50 else value

    options = {} if method in DETERMINISTIC else {"n_components": 60}
    call = (lambda z: broken(z)) if method in DETERMINISTIC else broken
    res = refopt.solve_vi(call, START, method=method, L=2.0, tol=0.0, rng=0, **options)
    assert res.status == 4 and not res.success
    assert np.isfinite(res.x).all() and np.isfinite(res.residual)
    assert "NaN" in res.message and "finite" in res.message


@pytest.mark.parametrize("method", DETERMINISTIC + SUMS)
@pytest.mark.parametrize("options", [{"L": 2.0}, {"L": 2.0, "rtol": 0.1}, {}], ids=str)
def test_nan_at_the_start_is_a_result_as_well(method, options):
    sums = {} if method in DETERMINISTIC else {"n_components": 60}
    fun = (lambda z: z * np.nan) if method in DETERMINISTIC else (lambda z, index: z * np.nan)
    res = refopt.solve_vi(fun, START, method=method, rng=0, **options, **sums)
    assert res.status == 4 and not res.success and "fun returned NaN" in res.message
    np.testing.assert_array_equal(res.x, START)
    assert all(column.size == 1 for column in res.history.values())


@pytest.mark.parametrize(("last", "nit"), [(1, 0), (50, 48)])
@pytest.mark.parametrize("rtol", [0.0, 1e-30])
def test_maps_that_return_nan(last, nit, rtol):
    calls = []

    def turn(x):
        calls.append(x)
        return np.array([-x[1], x[0]]) * (np.nan if len(calls) >= last else 1.0)

    res = refopt.halpern_fixed_point(turn, [1.0, 2.0], tol=0.0, rtol=rtol)
    assert res.status == 4 and "T returned NaN" in res.message
    assert np.isfinite(res.x).all() and res.nfev == len(calls)
    assert res.nit == max(nit - (rtol > 0), 0)


def test_functions_may_write_into_what_they_are_given():
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])

    def T(x):
        x[:] = turn @ x
        return x

    one = refopt.halpern_fixed_point(T, [1.0, 1.0], tol=1e-3)
    two = refopt.halpern_fixed_point(lambda x: turn @ x, [1.0, 1.0], tol=1e-3)
    np.testing.assert_array_equal(one.x, two.x)
    assert one.nit == two.nit > 10

    def fun(z, index=None):
        value = PROBLEM.batch(z, index)
        z[:] = 7.0
        return value

    options = {"n_components": 60, "L": 3.0, "rng": 0, "method": "l-svrg", "maxfev": 20}
    for sampling in ("uniform", np.arange(1.0, 61.0)):
        one, two = (
            refopt.solve_vi(f, START, sampling=sampling, **options) for f in (fun, Counting())
        )
        np.testing.assert_array_equal(one.x, two.x)


@pytest.mark.parametrize("value", [lambda u: 1j * u, lambda u: u[:1], lambda u: None])
def test_what_functions_return_is_refused_by_name(value):
    options = {"tol": 1e-3, "maxiter": 5}
    for call, name in (
        (lambda: refopt.halpern_fixed_point(value, [1.0, 2.0], **options), "T"),
        (lambda: refopt.solve_vi(value, [1.0, 2.0], **options), "fun"),
        (lambda: refopt.solve_vi(lambda u: u, [1.0, 2.0], prox=value, **options), "prox"),
        (
            lambda: refopt.inexact_halpern(
                lambda u: u, [1.0, 2.0], inner=lambda u, g, eta, k: value(u), **options
            ),
            "inner",
        ),
    ):
        with pytest.raises((ValueError, TypeError), match=f"{name} must (be real|return an array)"):
            call()


@pytest.mark.parametrize("method", DETERMINISTIC)
def test_steps_are_counted_in_the_history(method):
    res = refopt.solve_vi(OPERATOR, START, method=method, maxiter=5)
    np.testing.assert_array_equal(res.history["nstep"], np.arange(6))
    assert res.nstep == res.nit == 5


def test_a_law_of_ones_own_for_a_game():
    A = np.random.default_rng(0).standard_normal((4, 4))
    simplices = Product([(slice(0, 4), project_simplex), (slice(4, 8), project_simplex)])
    options = {"prox": simplices, "method": "vr-eg", "rng": 0, "tol": 1e-2, "maxfev": 5000}
    law = np.array([1.0, 2.0, 3.0, 4.0])
    res = refopt.solve_vi(BilinearGame(A), np.full(8, 0.25), sampling=law, **options)
    assert res.success
    with pytest.raises(ValueError, match=r"sampling must be positive .* got 0 at \[2\]"):
        refopt.solve_vi(BilinearGame(A), np.full(8, 0.25), sampling=law % 3, **options)
    with pytest.raises(ValueError, match="sampling must be 'importance' or 'uniform'"):
        refopt.solve_vi(BilinearGame(A[:3]), np.full(7, 0.2), sampling=law, **options)


def test_a_law_that_never_draws_what_counts_is_refused():
    law = np.r_[0.0, np.ones(59)]
    for method in SUMS:
        with pytest.raises(ValueError, match=r"sampling must be positive .* got 0 at \[0\]"):
            refopt.solve_vi(OPERATOR, START, method=method, sampling=law, rng=0)
    rows = np.vstack([np.zeros(3), PROBLEM.a])
    F = RowLinear(rows, p=np.r_[0.0, PROBLEM.u], mu=0.5)
    res = refopt.solve_vi(F, np.zeros(3), method="l-svrg", sampling=np.r_[0.0, np.ones(60)], rng=0)
    assert res.success


@pytest.mark.parametrize("method", SUMS)
def test_loops_in_python_and_compiled_ones_agree_where_rows_are_zero(method):
    rows = PROBLEM.a.copy()
    rows[::3] = 0.0
    F = RowLinear(rows, p=PROBLEM.u, mu=0.5)
    options = {"method": method, "tol": 0.0, "maxfev": 25, "rng": 0}
    one = refopt.solve_vi(F, np.zeros(3), **options)
    two = refopt.solve_vi(F, np.zeros(3), prox=lambda v: v, **options)
    np.testing.assert_allclose(one.x, two.x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", DETERMINISTIC + SUMS)
def test_a_constant_a_hundred_times_too_small_is_survived(method):
    res = refopt.solve_vi(OPERATOR, START, method=method, L=0.02, tol=1e-3, rng=0, maxfev=3000)
    assert res.success, res.message
    assert "halved" in res.message or method == "inexact-halpern"
    assert res.history["step"][-1] < res.history["step"][0] or method == "inexact-halpern"


def test_a_step_that_never_fits_ends_with_the_best_point():
    def expanding(u):  # not monotone: every step moves away
        return -np.exp(np.minimum(abs(u), 300.0)) * np.sign(u)

    res = refopt.solve_vi(expanding, [1.0], method="forward", step=1e8, tol=0.0, maxfev=1e5)
    assert res.status == 4 and "every step tried" in res.message
    assert res.x == 1.0 and res.residual == np.e


@pytest.mark.parametrize("method", ["eg", "l-svrg"])
def test_budgets_end_a_run_with_the_best_point(method):
    spent = refopt.solve_vi(OPERATOR, START, method=method, tol=0.0, maxfev=20, rng=0)
    assert spent.status == 1 and "maxfev, 20" in spent.message
    assert spent.residual == spent.history["residual"].min()
    late = refopt.solve_vi(OPERATOR, START, method=method, tol=0.0, time_limit=1e-9, rng=0)
    assert late.status == 6


def test_a_relative_tolerance():
    first = np.linalg.norm(PROBLEM.batch(START))
    res = refopt.solve_vi(OPERATOR, START, tol=0.0, rtol=1e-2, method="eg")
    assert res.success and res.residual <= 1e-2 * first


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_is_the_end_of_a_run_without_a_tolerance(dtype):
    F = RowLinear(np.eye(5, dtype=dtype), p=np.ones(5, dtype=dtype))
    res = refopt.solve_vi(F, np.full(5, 3, dtype=dtype) / 7, method="eg", tol=0.0, maxfev=1e4)
    assert res.x.dtype == dtype
    assert res.status in (0, 3) and res.residual <= 20 * np.finfo(dtype).eps


# What "auto" takes


def test_auto_says_what_it_takes():
    for fun, options, name in (
        (OPERATOR, {"cocoercive": True}, "l-svrg"),
        (lambda u: 2.0 * u - 1.0, {"cocoercive": True}, "forward"),
        (lambda u: 2.0 * u - 1.0, {}, "eag"),
        (row_sum(4000, 3).operator(), {}, "vr-eg"),
        (row_sum(40, 3).operator(), {}, "eag"),
    ):
        res = refopt.solve_vi(fun, START, rng=0, tol=1e-4, **options)
        assert res.success and res.method == name and f"The method is {name}." in res.message


# Constants that nobody gave


@pytest.mark.parametrize("cocoercive", [None, True])
def test_auto_estimates_its_constants_once(cocoercive):
    auto, sums = Counting(), Counting()
    options = {"n_components": 60, "maxiter": 0, "rng": 0}
    refopt.solve_vi(auto, START, cocoercive=cocoercive, **options)
    refopt.solve_vi(sums, START, method="l-svrg", **options)
    assert auto.count == sums.count


@pytest.mark.parametrize("method", DETERMINISTIC + SUMS)
def test_constants_are_estimated(method):
    fun = Counting()
    options = {} if method in DETERMINISTIC else {"n_components": 60}
    call = (lambda z: fun(z)) if method in DETERMINISTIC else fun
    res = refopt.solve_vi(call, START, method=method, tol=1e-4, rng=0, maxfev=3000, **options)
    assert res.success and 0.3 < res.L < 4.0


@pytest.mark.parametrize("method", ["eg", "forb", "fbf"])
def test_adaptive_steps(method):
    def F(u):  # its slope differs two hundredfold
        return np.array([u[0] ** 3 + u[1], u[1] ** 3 - u[0]]) + 0.1 * u

    res = refopt.solve_vi(F, [3.0, -2.0], method=method, step="adaptive", tol=1e-8, maxfev=3000)
    assert res.success
    assert res.history["step"].max() > 1.5 * res.history["step"][0]
