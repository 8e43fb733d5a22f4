"""Entropic transport: wrong input is refused with a message that names the argument."""

import numpy as np
import pytest

from refopt import (
    PointCloudCost,
    lyapunov,
    marginal_error,
    ot_gradients,
    plan_matvec,
    round_to_polytope,
    sinkhorn,
    sinkhorn_divergence,
    sinkhorn_newton,
    transport_plan,
)

C = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0]])
HALF, THIRD = np.full(2, 1 / 2), np.full(3, 1 / 3)
INF, NAN = np.inf, np.nan


@pytest.fixture(params=[sinkhorn, sinkhorn_newton])
def solver(request):
    return request.param


def replaced(array, index, value):
    array = np.array(array, dtype=float)
    array[index] = value
    return array


VALUES = {
    "one-dimensional cost": ((HALF, HALF, C), r"C must be .* two-dim.* sinkhorn_newton\(C, a, b"),
    "three-dimensional cost": ((C[None],), r"C must be 2-dim.*\(1, 2, 3\)"),
    "number": ((1.0,), "C must be 2-dimensional"),
    "no rows": ((np.empty((0, 3)),), r"C must have rows and columns, got shape \(0, 3\)"),
    "no columns": ((np.empty((2, 0)),), r"C must have rows and columns, got shape \(2, 0\)"),
    "uneven lists": (([[1.0, 2.0], [3.0]],), "C must be an array, got nested lists of uneven"),
    "NaN cost": ((replaced(C, (1, 2), NAN),), r"C must not hold NaN, got nan at \[1, 2\]"),
    "cost -inf": ((replaced(C, (0, 0), -INF),), r"C must be above -inf"),
    "cost all inf": ((np.full((2, 3), INF),), "C must have a finite entry"),
    "row all inf": ((replaced(C, 1, INF),), "C must have a finite entry in row 1"),
    "column all inf": ((replaced(C, (slice(None), 2), INF),), "finite entry in column 2"),
    "a too long": ((C, THIRD), "a must have 2 entries, as many as C has rows, got 3"),
    "b too short": ((C, HALF, HALF), "b must have 3 entries, as many as C has columns, got 2"),
    "a two-dimensional": ((C, HALF[None]), "a must be 1-dimensional"),
    "a negative": ((C, [1.5, -0.5]), r"a must be nonnegative, got -0\.5 at \[1\]"),
    "b negative": ((C, None, [0.5, 0.7, -0.2]), r"b must be nonnegative, got -0\.2 at \[2\]"),
    "a NaN": ((C, [NAN, 1.0]), r"a must be finite, got nan at \[0\]"),
    "b infinite": ((C, None, [1.0, INF, 1.0]), r"b must be finite, got inf at \[1\]"),
    "a zero": ((C, [0.0, 0.0]), "a must have a positive sum"),
    "b zero": ((C, None, [0.0, 0.0, 0.0]), "b must have a positive sum"),
    "other masses": ((C, HALF, 2 * THIRD), r"equal sums, got sum\(a\) = 1 and sum\(b\) = 2"),
}


@pytest.mark.parametrize("case", VALUES)
def test_wrong_costs_and_masses(solver, case):
    arguments, message = VALUES[case]
    with pytest.raises(ValueError, match=message):
        solver(*arguments, reg=0.1)


def test_masses_may_differ_by_rounding_only(solver):
    assert solver(C, HALF, THIRD * (1 + 1e-9), reg=0.1).success
    with pytest.raises(ValueError, match=r"equal sums, got sum\(a\) = 1 and sum\(b\) = 1\.0000001"):
        solver(C, HALF, THIRD * (1 + 1e-7), reg=0.1)
    single = (THIRD * (1 + 1e-6)).astype(np.float32)
    assert solver(C, HALF, single, reg=0.1).success


@pytest.mark.parametrize(
    ("reg", "error"),
    [
        (0, ValueError),
        (-1.0, ValueError),
        (NAN, ValueError),
        (INF, ValueError),
        (None, TypeError),
        ("0.1", TypeError),
        (1j, TypeError),
        ([0.1, 0.2], TypeError),
    ],
)
def test_reg(solver, reg, error):
    with pytest.raises(error, match="reg must be"):
        solver(C, reg=reg)


def test_reg_zero_is_sent_to_the_linear_solver(solver):
    with pytest.raises(ValueError, match=r"scipy\.optimize\.linear_sum_assignment"):
        solver(C, reg=0)


def test_reg_has_no_default(solver):
    with pytest.raises(TypeError, match="reg"):
        solver(C)
    with pytest.raises(TypeError, match="positional"):
        solver(C, HALF, THIRD, 0.1)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("tol", -1e-9, ValueError, "tol must be nonnegative and finite, got -1e-09"),
        ("tol", NAN, ValueError, "tol must be"),
        ("tol", None, TypeError, "tol must be a real number"),
        ("maxiter", -1, ValueError, "maxiter must be at least 0, got -1"),
        ("maxiter", 1.5, TypeError, "maxiter must be an integer, got 1.5"),
        ("maxiter", None, TypeError, "maxiter must be an integer"),
        ("x0", np.zeros(4), ValueError, "x0 must have 5 entries, f and then g, got 4"),
        ("x0", np.zeros((5, 1)), ValueError, "x0 must be 1-dimensional"),
        ("x0", np.full(5, NAN), ValueError, "x0 must be finite"),
        ("x0", [0, 0, INF, 0, 0], ValueError, "x0 must be finite"),
        ("x0", np.zeros(5, complex), TypeError, "x0 must be real, got dtype complex128"),
        ("eps_scaling", "yes", (TypeError, ValueError), "eps_scaling must be"),
        (
            "eps_scaling",
            1.0,
            ValueError,
            'eps_scaling must be "auto", None or a ratio of at least 1',
        ),
        ("eps_scaling", NAN, ValueError, "eps_scaling must be"),
        ("callback", 3, TypeError, "callback must be callable, got int"),
        ("backend", "numbra", ValueError, "backend must be one of .*'numba'.* got 'numbra'"),
    ],
)
def test_options_of_both_solvers(solver, name, value, error, message):
    with pytest.raises(error, match=message):
        solver(C, reg=0.1, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("preset", "papers", ValueError, "preset must be one of None, 'paper', got 'papers'"),
        ("formulation", "primal", ValueError, "formulation must be one of 'semidual', 'dual'"),
        ("sparsify", "some", ValueError, "sparsify must be one of 'safe', 'topk', 'none'"),
        ("linsolve", "lu", ValueError, "linsolve must be one of 'auto', 'cg', 'dense'"),
        ("density", 0.0, ValueError, "density must be positive"),
        ("density", 1.5, ValueError, "density must be at most 1"),
        ("threshold", 0.0, ValueError, "threshold must be positive"),
        ("threshold", -0.1, ValueError, "threshold must be positive"),
        ("cg_maxiter", 0, ValueError, "cg_maxiter must be at least 1"),
        ("warmup", -1, ValueError, "warmup must be at least 0"),
        ("warmup", 2.0, TypeError, "warmup must be an integer"),
        ("prior", THIRD, ValueError, "prior must be 2-dimensional"),
        ("prior", np.ones((3, 2)), ValueError, r"prior must have shape \(2, 3\), got \(3, 2\)"),
        ("prior", -C, ValueError, "prior must be nonnegative"),
        ("prior", np.full((2, 3), NAN), ValueError, "prior must be finite"),
        ("prior", [[0, 0, 0], [1, 1, 1]], ValueError, "prior must have a positive entry in row 0"),
        ("prior", [[0, 1, 1], [0, 1, 1]], ValueError, "a positive entry in column 0"),
        ("prior", np.ones((2, 3), complex), TypeError, "prior must be real"),
    ],
)
def test_options_of_newton(name, value, error, message):
    with pytest.raises(error, match=message):
        sinkhorn_newton(C, reg=0.1, **{name: value})


def test_check_every():
    with pytest.raises(ValueError, match="check_every must be at least 1, got 0"):
        sinkhorn(C, reg=0.1, check_every=0)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", ["C", "a", "b"])
def test_complex_numbers(solver, dtype, name):
    arguments = {"C": C, "a": HALF, "b": THIRD}
    arguments[name] = arguments[name].astype(dtype)
    with pytest.raises(TypeError, match=f"{name} must be real, got dtype {dtype}"):
        solver(**arguments, reg=0.1)


@pytest.mark.parametrize("bad", [C.astype(str), C.astype(object), C.astype("M8[s]")])
def test_what_is_no_number(solver, bad):
    with pytest.raises(TypeError, match="C must"):
        solver(bad, reg=0.1)


@pytest.mark.parametrize("bad", [None, "text", {"C": 1}])
def test_what_is_no_array(solver, bad):
    with pytest.raises((TypeError, ValueError), match="C must"):
        solver(bad, reg=0.1)


def test_sparse_costs_are_not_filled_with_zeros(solver):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="C must be a dense array, got the sparse csr_array"):
        solver(scipy_sparse.csr_array(C), reg=0.1)


def test_masked_entries(solver):
    masked = np.ma.array(C, mask=C > 1)
    with pytest.raises(TypeError, match="C is a masked array"):
        solver(masked, reg=0.1)
    with pytest.raises(TypeError, match="a is a masked array"):
        solver(C, np.ma.array(HALF, mask=[True, False]), reg=0.1)


def test_arrays_of_two_libraries(solver):
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match=r"different libraries: C \(numpy\), a \(array_api_strict"):
        solver(C, strict.asarray(HALF), reg=0.1)
    with pytest.raises(TypeError, match=r"x0 \(array_api_strict"):
        solver(C, reg=0.1, x0=strict.zeros(5))


# Around the solvers


@pytest.mark.parametrize("function", [lyapunov, marginal_error])
@pytest.mark.parametrize(
    ("f", "g", "error", "message"),
    [
        (THIRD, THIRD, ValueError, "f must have 2 entries, got 3"),
        (HALF, HALF, ValueError, "g must have 3 entries, got 2"),
        ([NAN, 0.0], THIRD, ValueError, "f must be finite"),
        ([-INF, 0.0], THIRD, ValueError, "f must be finite"),
        (HALF, [0.0, INF, 0.0], ValueError, "g must be finite"),
        (HALF, np.zeros((3, 1)), ValueError, "g must be 1-dimensional"),
        (HALF * 1j, THIRD, TypeError, "f must be real"),
    ],
)
def test_potentials(function, f, g, error, message):
    with pytest.raises(error, match=message):
        function(f, g, C, HALF, THIRD, 0.1)


@pytest.mark.parametrize("function", [lyapunov, marginal_error])
def test_potentials_of_another_library(function):
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match=r"f .*array_api_strict"):
        function(strict.zeros(2), THIRD, C, HALF, THIRD, 0.1)


@pytest.mark.parametrize("function", [transport_plan, ot_gradients])
@pytest.mark.parametrize("res", [None, np.ones(3), {"f": 1}])
def test_what_is_no_result(function, res):
    with pytest.raises(TypeError, match="res must be a result of sinkhorn"):
        function(res)
    with pytest.raises(TypeError, match="res must be a result of sinkhorn"):
        plan_matvec(res, [1.0])


@pytest.mark.parametrize(
    ("V", "transpose", "error", "message"),
    [
        (HALF, False, ValueError, "V must have 3 rows, got 2"),
        (THIRD, True, ValueError, "V must have 2 rows, got 3"),
        (np.ones((2, 3, 1)), False, ValueError, "V must be 2-dimensional"),
        (1.0, False, ValueError, "V must be"),
        ([NAN, 0, 0], False, ValueError, "V must be finite"),
        ([1j, 0, 0], False, TypeError, "V must be real"),
    ],
)
def test_what_the_plan_is_multiplied_with(V, transpose, error, message):
    res = sinkhorn_newton(C, reg=0.1)
    with pytest.raises(error, match=message):
        plan_matvec(res, V, transpose=transpose)


@pytest.mark.parametrize("drop", [-1.0, NAN, INF])
def test_drop(drop):
    res = sinkhorn_newton(C, reg=0.1)
    with pytest.raises(ValueError, match="drop must be nonnegative"):
        transport_plan(res, sparse=True, drop=drop)


@pytest.mark.parametrize("wrt", ["c", "reg", ("a", "Z")])
def test_wrt(wrt):
    res = sinkhorn_newton(C, reg=0.1)
    with pytest.raises(ValueError, match="wrt must be one of 'a', 'b', 'C', 'X', 'Y'"):
        ot_gradients(res, wrt)


@pytest.mark.parametrize("name", ["X", "Y"])
def test_point_gradients_need_squared_euclidean_points(name):
    with pytest.raises(ValueError, match="needs a PointCloudCost"):
        ot_gradients(sinkhorn_newton(C, reg=0.1), name)
    points = PointCloudCost(np.eye(2), np.eye(2), "cityblock")
    with pytest.raises(ValueError, match='metric "sqeuclidean"'):
        ot_gradients(sinkhorn_newton(points, reg=0.1), name)


@pytest.mark.parametrize(
    ("P", "a", "b", "error", "message"),
    [
        (C, THIRD, HALF, ValueError, r"P must have shape .* \(3, 2\).* got \(2, 3\)"),
        (-C, HALF, THIRD, ValueError, "P must be nonnegative"),
        (replaced(C, (0, 0), NAN), HALF, THIRD, ValueError, "P must be finite"),
        (C, [INF, 1.0], THIRD, ValueError, "a must be finite"),
        (C, [-1.0, 2.0], THIRD, ValueError, "a must be nonnegative"),
        (C, HALF, 2 * THIRD, ValueError, "a and b must have equal sums"),
        (np.empty((0, 0)), [], [], ValueError, "P must have shape"),
        (C[0], HALF, THIRD, ValueError, "P must be 2-dimensional"),
        (C * 1j, HALF, THIRD, TypeError, "P must be real"),
    ],
)
def test_rounding(P, a, b, error, message):
    with pytest.raises(error, match=message):
        round_to_polytope(P, a, b)


POINTS = [
    ((np.ones(3), np.ones((3, 1))), ValueError, "X must be 2-dimensional"),
    ((np.ones((3, 1)), np.ones(3)), ValueError, "Y must be 2-dimensional"),
    ((np.ones((3, 2)), np.ones((3, 1))), ValueError, "Y must have as many columns as X, 2, got 1"),
    ((np.empty((0, 2)), np.ones((3, 2))), ValueError, "X must hold at least one point"),
    ((np.ones((3, 2)), np.empty((3, 0))), ValueError, "Y must hold at least one point"),
    (([[NAN]], [[1.0]]), ValueError, r"X must be finite, got nan at \[0, 0\]"),
    (([[1.0]], [[INF]]), ValueError, "Y must be finite"),
    (([[1j]], [[1.0]]), TypeError, "X must be real"),
    (([["x"]], [[1.0]]), TypeError, "X must hold real numbers"),
]


@pytest.mark.parametrize(("points", "error", "message"), POINTS)
def test_points(points, error, message):
    with pytest.raises(error, match=message):
        PointCloudCost(*points)
    with pytest.raises(error, match=message):
        sinkhorn_divergence(*points, reg=0.1)


@pytest.mark.parametrize("metric", ["l2", None, 2, "SqEuclidean"])
def test_metric(metric):
    message = "metric must be one of 'sqeuclidean', 'euclidean', 'cityblock'"
    with pytest.raises(ValueError, match=message):
        PointCloudCost(np.eye(2), np.eye(2), metric)
    with pytest.raises(ValueError, match=message):
        sinkhorn_divergence(np.eye(2), np.eye(2), reg=0.1, metric=metric)


@pytest.mark.parametrize("scale", [0.0, -1.0, NAN, INF])
def test_scale(scale):
    with pytest.raises(ValueError, match="scale must be positive"):
        PointCloudCost(np.eye(2), np.eye(2), scale=scale)


def test_points_of_two_libraries():
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match=r"X \(numpy\), Y \(array_api_strict\)"):
        PointCloudCost(np.eye(2), strict.asarray([[1.0, 2.0]]))


def test_divergence_refuses_what_the_solver_refuses():
    X, Y = np.eye(2), np.ones((3, 2))
    with pytest.raises(ValueError, match="reg must be positive"):
        sinkhorn_divergence(X, Y, reg=-1.0)
    with pytest.raises(ValueError, match="a must have 2 entries"):
        sinkhorn_divergence(X, Y, THIRD, reg=0.1)
    with pytest.raises(ValueError, match="tol must be nonnegative"):
        sinkhorn_divergence(X, Y, reg=0.1, tol=-1.0)
    with pytest.raises(ValueError, match="maxiter must be at least 0"):
        sinkhorn_divergence(X, Y, reg=0.1, maxiter=-3)
