"""Quadratic programs with bounds: certified, exact at the bounds, unboundedness told."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import refopt


def instance(p=40, rank=60, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((rank, p))
    return A.T @ A, 5.0 * rng.standard_normal(p)


def residual(Q, c, lower, upper, x):
    return np.abs(x - np.clip(x - (Q @ x + c), lower, upper)).max()


@pytest.mark.parametrize("rank", [80, 25])  # 25: singular
@pytest.mark.parametrize("p", [40, 650])
def test_the_optimum_is_certified(p, rank):
    Q, c = instance(p, rank * p // 40)
    low, high = -4.0 / p, 8.0 / p
    res = refopt.box_qp(Q, c, (low, high), tol=1e-10)
    assert res.success and res.gap <= 1e-10
    assert residual(Q, c, low, high, res.x) <= 1e-6 * np.abs(c).max()
    np.testing.assert_array_equal(res.active, (res.x == low) | (res.x == high))
    assert res.active.any() and not res.active.all()
    # the bound that the gap is made of, from outside: finite bounds need no curvature
    s = Q @ res.x + c
    gap = np.maximum(s * (res.x - low), s * (res.x - high)).sum()
    assert gap == pytest.approx(res.gap * abs(res.fun), abs=1e-11 * abs(res.fun))


def test_the_gap_bounds_the_distance_to_the_optimum():
    Q, c = instance(650, 900)
    for bounds in ((-0.1, 0.2), (0.0, np.inf)):
        optimum = refopt.box_qp(Q, c, bounds, tol=1e-14).fun
        seen = []
        refopt.box_qp(Q, c, bounds, callback=lambda r, s=seen: s.append((r.fun, r.gap)), tol=1e-13)
        for fun, gap in seen:
            assert gap * abs(fun) >= fun - optimum - 1e-11 * abs(optimum)


def test_without_bounds_it_is_a_linear_system():
    Q, c = instance()
    res = refopt.box_qp(Q, c, (-np.inf, np.inf))
    np.testing.assert_allclose(res.x, -np.linalg.solve(Q, c), rtol=1e-8, atol=1e-12)
    assert res.gap is not None and not res.active.any()


def test_a_diagonal_matrix_in_closed_form():
    c, d = np.linspace(-3, 3, 11), np.linspace(1, 2, 11)
    res = refopt.box_qp(np.diag(d), c, (-1.0, 0.5))
    np.testing.assert_allclose(res.x, np.clip(-c / d, -1.0, 0.5), atol=1e-14)


@pytest.mark.parametrize("size", [1e-100, 1e-30, 1e30, 1e100])
def test_a_solution_deep_inside_a_wide_box(size):
    Q, c = instance(8, 20)
    x = -np.linalg.solve(Q, c)
    for factor, width in ((1.0, 1e30), (size, 10.0 * max(1.0, 1 / size))):
        res = refopt.box_qp(Q * factor, c, (-width, width))
        assert res.success
        np.testing.assert_allclose(res.x * factor, x, rtol=1e-6, atol=1e-12)
    res = refopt.box_qp(Q * size, c * size, (-1e30, 1e30))
    assert res.success
    np.testing.assert_allclose(res.x, x, rtol=1e-6, atol=1e-12)


def test_bounds_in_all_spellings():
    Q, c = instance(4, 9)
    expected = refopt.box_qp(Q, c, (0.0, 0.5)).x
    for bounds in (
        (np.zeros(4), np.full(4, 0.5)),
        ([0, 0, 0, 0], 0.5),
        [(0, 0.5)] * 4,
        np.array([[0, 0.5]] * 4),
        scipy.optimize.Bounds(0, 0.5),
        scipy.optimize.Bounds(np.zeros(4), np.full(4, 0.5)),
    ):
        np.testing.assert_array_equal(refopt.box_qp(Q, c, bounds).x, expected)
    half = refopt.box_qp(Q, c, [(0, None)] * 4).x
    np.testing.assert_array_equal(half, refopt.box_qp(Q, c, (0.0, np.inf)).x)
    np.testing.assert_array_equal(half, refopt.box_qp(Q, c, (0.0, None)).x)


def test_fixed_variables():
    Q, c = instance(5, 9)
    lower, upper = np.array([0.0, 0.3, -1, -1, 0]), np.array([0.0, 0.3, 1, 1, 0])
    res = refopt.box_qp(Q, c, (lower, upper))
    assert res.success and res.x[0] == 0.0 and res.x[1] == 0.3 and res.active[[0, 1, 4]].all()


@pytest.mark.parametrize(
    ("Q", "c", "bounds"),
    [
        (np.diag([1.0, 0.0]), [1.0, -1.0], (0.0, np.inf)),
        (np.ones((2, 2)), [1.0, -1.0], (-np.inf, np.inf)),
        (np.zeros((3, 3)), [0.0, 0.0, 2.0], (-np.inf, 1.0)),
        (np.array([[1.0, -1.0], [-1.0, 1.0]]), [-1.0, 0.5], (0.0, np.inf)),
    ],
)
def test_unbounded_problems_are_told(Q, c, bounds):
    res = refopt.box_qp(Q, c, bounds)
    assert res.status == 5 and not res.success
    assert "falls without end" in res.message and np.isfinite(res.x).all()


def test_singular_problems_with_a_minimiser():
    for Q, c, bounds, fun in (
        (np.ones((2, 2)), [-1.0, -1.0], (-np.inf, np.inf), -0.5),
        (np.diag([1.0, 0.0]), [1.0, -1.0], (-1.0, 2.0), -2.5),
        (np.zeros((2, 2)), [1.0, -2.0], (0.0, 3.0), -6.0),
        (np.zeros((2, 2)), [0.0, 0.0], (-np.inf, np.inf), 0.0),
    ):
        res = refopt.box_qp(Q, c, bounds)
        assert res.success and res.fun == pytest.approx(fun, abs=1e-9)


def lattice(k):
    line = scipy.sparse.diags([-np.ones(k - 1), 2 * np.ones(k), -np.ones(k - 1)], [-1, 0, 1])
    eye = scipy.sparse.eye(k)
    return (scipy.sparse.kron(eye, line) + scipy.sparse.kron(line, eye)).tocsc()


def test_sparse_equals_dense():
    Q = lattice(12)
    c = np.random.default_rng(0).standard_normal(144)
    expected = refopt.box_qp(Q.toarray(), c, (-0.2, 0.2), tol=1e-13)
    for form in (scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array):
        np.testing.assert_allclose(
            refopt.box_qp(form(Q), c, (-0.2, 0.2), tol=1e-13).x, expected.x, atol=1e-10
        )


def test_a_large_sparse_obstacle_problem():
    Q = lattice(70)  # 4900 variables: conjugate gradients
    c = np.random.default_rng(0).standard_normal(4900)
    res = refopt.box_qp(Q, c, (-0.5, 0.5))
    assert res.success and res.gap <= 1e-8 and res.nit < 30
    assert residual(Q, c, -0.5, 0.5, res.x) <= 1e-6
    assert res.active.sum() > 100


def test_other_solvers_find_nothing_better():
    Q, c = instance(30, 50)
    other = scipy.optimize.minimize(
        lambda x: (0.5 * x @ Q @ x + c @ x, Q @ x + c), np.zeros(30), jac=True,
        bounds=[(-0.05, 0.1)] * 30, method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    assert refopt.box_qp(Q, c, (-0.05, 0.1)).fun == pytest.approx(other.fun, rel=1e-10)


def test_backends_agree():
    Q, c = instance()
    fast, plain = (refopt.box_qp(Q, c, (-0.1, 0.2), backend=b) for b in ("numba", "numpy"))
    np.testing.assert_allclose(plain.x, fast.x, atol=1e-12)
    xp = pytest.importorskip("array_api_strict")
    for bounds in ((-0.1, 0.2), [(-0.1, 0.2)] * 40):
        other = refopt.box_qp(xp.asarray(Q), xp.asarray(c), bounds)
        assert other.backend == "reference" and other.success
        np.testing.assert_allclose(np.asarray(other.x), fast.x, atol=1e-8)


def test_single_precision():
    Q, c = instance()
    res = refopt.box_qp(Q.astype(np.float32), c, (-0.1, 0.2), tol=1e-9)
    assert res.x.dtype == np.float32 and res.success and "Single precision" in res.message
    assert (res.x >= np.float32(-0.1)).all() and (res.x <= np.float32(0.2)).all()
    assert (res.x == np.float32(0.2)).sum() + (res.x == np.float32(-0.1)).sum() == res.active.sum()


def test_starts_limits_and_no_variables():
    Q, c = instance()
    res = refopt.box_qp(Q, c, (-0.1, 0.2))
    assert refopt.box_qp(Q, c, (-0.1, 0.2), x0=res.x).nit <= 1
    assert refopt.box_qp(Q, c, (-0.1, 0.2), x0=np.full(40, 9.0)).success
    start = refopt.box_qp(Q, c, (0.1, 0.2), maxiter=0)
    assert start.status == 1 and (start.x == 0.1).all()
    for nothing in (np.zeros((0, 0)), scipy.sparse.csc_matrix((0, 0))):
        res = refopt.box_qp(nothing, [], (0.0, 1.0))
        assert res.success and res.x.shape == (0,) and res.fun == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bounds": (1.0, 0.0)}, "bounds must satisfy lower <= upper"),
        ({"bounds": (np.nan, 0.0)}, "bounds must not be NaN"),
        ({"bounds": (np.inf, np.inf)}, "bounds must leave a finite point"),
        ({"bounds": [(0, 1)] * 3}, "bounds must be"),
        ({"bounds": (np.zeros(3), 1.0)}, "bounds must have one entry per variable"),
        ({"Q": np.triu(np.ones((40, 40)))}, "Q must be symmetric"),
        ({"Q": np.ones((40, 30))}, "Q must be square"),
        ({"Q": -np.eye(40)}, "Q must be positive semidefinite"),
        ({"Q": np.full((40, 40), np.nan)}, "Q must be finite"),
        ({"c": np.ones(3)}, "c must have 40 entries"),
        ({"x0": np.ones(3)}, "x0 must have 40 entries"),
    ],
)
def test_bad_input_is_named(changes, message):
    Q, c = instance()
    with pytest.raises(ValueError, match=message):
        refopt.box_qp(**{"Q": Q, "c": c, "bounds": (0.0, 1.0)} | changes)


def test_negative_curvature_is_refused_when_met():
    Q = np.array([[1.0, 3.0], [3.0, 1.0]])
    with pytest.raises(ValueError, match="Q must be positive semidefinite"):
        refopt.box_qp(Q, [1.0, -1.0], (-np.inf, np.inf))


@pytest.mark.parametrize("off", [2.0, 1.0 + 1e-6])
def test_negative_curvature_is_refused_where_the_box_is_finite_too(off):
    Q = np.array([[1.0, off, 0.0], [off, 1.0, 0.0], [0.0, 0.0, 3.0]])
    with pytest.raises(ValueError, match="Q must be positive semidefinite"):
        refopt.box_qp(Q, [1.0, 1.0, 0.0], (-10, 10))


@pytest.mark.parametrize("far", [1e100, 1e200])
def test_a_start_far_off_or_that_overflows(far):
    Q, c = instance()
    plain = refopt.box_qp(Q, c, (0.0, np.inf))
    res = refopt.box_qp(Q, c, (0.0, np.inf), x0=np.full(40, far))
    assert res.success and res.fun == pytest.approx(plain.fun, rel=1e-7)


def test_a_negative_time_limit_is_refused():
    Q, c = instance()
    with pytest.raises(ValueError, match="time_limit must be nonnegative"):
        refopt.box_qp(Q, c, (0.0, 1.0), time_limit=-1)


def test_two_pairs_in_a_tuple_are_bounds_and_in_a_list_pairs():
    solve = lambda bounds: refopt.box_qp(np.eye(2), [5.0, 5.0], bounds).x.tolist()
    assert solve(((0, 1), (0, 2))) == [0.0, 1.0]
    assert solve([(0, 1), (0, 2)]) == [0.0, 0.0]
    assert solve(scipy.optimize.Bounds([0, 1], [0, 2])) == [0.0, 1.0]
