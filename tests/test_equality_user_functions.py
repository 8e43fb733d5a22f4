"""minimize_equality: functions that write into their argument, reuse arrays, return other kinds."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import BFGS, Bounds, LinearConstraint, NonlinearConstraint

import refopt
from refopt.augmented_lagrangian.linear_solvers import SolveInfo, direct

NEAREST = np.array([1.0, 2.0]) / np.sqrt(5.0)  # of the unit circle to (1, 2)
START = np.array([1.0, 0.5])


def fun(x):
    return float((x[0] - 1.0) ** 2 + (x[1] - 2.0) ** 2)


def grad(x):
    return 2.0 * (x - [1.0, 2.0])


def hess(x):
    return 2.0 * np.eye(2)


def circle(x):
    return x[0] ** 2 + x[1] ** 2 - 1.0


def circle_jac(x):
    return 2.0 * x


def on_circle(**given):
    functions = {"fun": circle, "jac": circle_jac, "hess": lambda x, v: 2.0 * v[0] * np.eye(2)}
    return NonlinearConstraint(**functions | given, lb=0.0, ub=0.0)


def solve(**changes):
    given = {"fun": fun, "x0": START, "jac": grad, "hess": hess, "constraints": on_circle()}
    return refopt.minimize_equality(**given | changes)


def overwriting(function):
    def result(x, *rest):
        value = function(x, *rest)
        for array in (x, *rest):
            array[:] = 7.0
        return value

    return result


def reusing(function, shape):
    array = np.zeros(shape)

    def result(*given):
        array[...] = function(*given)
        return array

    return result


def reusing_sparse(x):
    _STORED.data[:] = circle_jac(x)
    return _STORED


_STORED = sparse.csr_array(np.ones((1, 2)))

WAYS = {
    "fun overwrites x": {"fun": overwriting(fun)},
    "jac overwrites x": {"jac": overwriting(grad)},
    "hess overwrites x": {"hess": overwriting(hess)},
    "hessp overwrites x and p": {"hess": None, "hessp": overwriting(lambda x, p: 2.0 * p)},
    "a constraint overwrites x": {"constraints": on_circle(fun=overwriting(circle))},
    "its Jacobian overwrites x": {"constraints": on_circle(jac=overwriting(circle_jac))},
    "its Hessian overwrites x and v": {
        "constraints": on_circle(hess=overwriting(lambda x, v: 2.0 * v[0] * np.eye(2)))
    },
    "fun reuses its array": {"fun": reusing(fun, (1,))},
    "jac reuses its array": {"jac": reusing(grad, (2,))},
    "a constraint reuses its array": {"constraints": on_circle(fun=reusing(circle, (1,)))},
    "its Jacobian reuses its array": {
        "constraints": on_circle(jac=reusing(circle_jac, (1, 2)), hess=BFGS())
    },
    "its Jacobian reuses a sparse array": {"constraints": on_circle(jac=reusing_sparse)},
    "float32 derivatives": {"jac": lambda x: grad(x).astype(np.float32), "tol": 1e-6},
    "no constraint but one": {"constraints": [LinearConstraint(np.zeros((0, 2))), on_circle()]},
}


@pytest.mark.parametrize("way", WAYS)
def test_what_functions_do_with_their_arrays_does_not_matter(way):
    given = START.copy()
    res = solve(x0=given, **WAYS[way])
    assert res.success
    assert res.x == pytest.approx(NEAREST, abs=1e-6)
    assert np.array_equal(given, START)


def test_constraints_may_be_none():
    res = solve(constraints=None)
    assert res.success and res.x == pytest.approx([1.0, 2.0]) and res.multipliers.shape == (0,)


def test_a_second_derivative_in_one_variable_may_be_a_number():
    res = refopt.minimize_equality(
        lambda x: (x[0] - 3.0) ** 2, [0.0], jac=lambda x: 2.0 * (x - 3.0), hess=lambda x: 2.0
    )
    assert res.success and res.nit == 1 and res.x == pytest.approx([3.0])


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"fun": lambda x: fun(x) + 0j}, TypeError, "fun must return real numbers"),
        ({"fun": lambda x: None}, TypeError, "fun must return real numbers"),
        ({"jac": lambda x: grad(x) + 0j}, TypeError, "jac must return real numbers"),
        ({"jac": True}, TypeError, "jac=True asks"),
        ({"hess": lambda x: 1j * np.eye(2)}, TypeError, "hess must return real numbers"),
        ({"hess": None, "hessp": lambda x, p: np.ones(3)}, ValueError, "hessp must return shape"),
        ({"constraints": on_circle(fun=lambda x: circle(x) + 0j)}, TypeError, "constraints fun"),
        ({"constraints": on_circle(fun=lambda x: "c")}, TypeError, "constraints fun"),
        ({"constraints": on_circle(jac=lambda x: 1j * x)}, TypeError, "constraints jac"),
        ({"finite_diff_rel_step": 0.0}, ValueError, "finite_diff_rel_step must be positive"),
        ({"finite_diff_rel_step": -1e-6}, ValueError, "finite_diff_rel_step must be positive"),
        ({"finite_diff_rel_step": [1e-6] * 3}, ValueError, "finite_diff_rel_step must be a number"),
        ({"finite_diff_rel_step": "small"}, TypeError, "finite_diff_rel_step"),
        ({"bounds": 3}, TypeError, "bounds must be Bounds or 2 pairs"),
        ({"bounds": [1, 2]}, TypeError, "bounds must be Bounds or 2 pairs"),
        ({"bounds": Bounds([np.inf, 0.0], [np.inf, 0.0])}, ValueError, "bounds must be infinite"),
        ({"lin_solver": lambda *given: (np.ones(2), None)}, ValueError, "lin_solver must return"),
    ],
)
def test_what_functions_return_is_checked(changes, error, text):
    with pytest.raises(error, match=text):
        solve(**changes)


def test_second_derivatives_that_are_not_finite_are_named():
    res = solve(hess=lambda x: np.full((2, 2), np.nan))
    assert (res.status, res.success) == (4, False)
    assert "second derivatives" in res.message
    assert np.isfinite(res.x).all() and np.isfinite(res.optimality)


def test_the_residual_of_a_users_solver_is_not_believed():
    def boasting(system, rhs, tol, state):
        return 0.9 * direct(system, rhs, tol, state)[0], SolveInfo(0.0)

    def plain(system, rhs, tol, state):
        return np.linalg.solve(system.dense, rhs), 0

    res = solve(lin_solver=boasting)
    assert res.history["inner_relres"][1:] == pytest.approx(0.1)
    res = solve(lin_solver=plain)
    assert res.success and res.lin_solver == "plain"


def test_single_precision_stays_and_the_measure_is_that_of_the_rounded_point():
    res = solve(x0=START.astype(np.float32))
    assert res.x.dtype == np.float32
    assert res.success and "1e-5" in res.message
    x = res.x.astype(float)
    assert res.constr_violation == abs(circle(x)) <= 1e-5
    assert res.fun == fun(x)
