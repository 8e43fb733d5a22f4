"""minimize_equality: every form in which SciPy's users give a problem, and what is refused."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import (
    BFGS,
    SR1,
    Bounds,
    LinearConstraint,
    NonlinearConstraint,
    OptimizeWarning,
    basinhopping,
    minimize,
)
from scipy.sparse.linalg import aslinearoperator

import refopt
from refopt.problems import textbook_equality

P = textbook_equality("HS77")
PLAIN = P.arguments()
DICT = {"type": "eq", "fun": P.cons, "jac": P.jac}
LIST = {"type": "eq", "fun": lambda x: P.cons(x).tolist(), "jac": lambda x: P.jac(x).tolist()}
ROWS = [
    {"type": "eq", "fun": lambda x, i: P.cons(x)[i], "jac": lambda x, i: P.jac(x)[i], "args": (i,)}
    for i in range(2)
]


def nonlinear(**changes):
    given = {"jac": P.jac, "hess": P.hess_cons} | changes
    return NonlinearConstraint(P.cons, 0.0, 0.0, **given)


def with_free_row(x):
    return np.append(P.cons(x), 7.0 + x[0])


FORMS = {
    "dict": {"constraints": DICT},
    "lists": {"constraints": LIST, "hess": lambda x: P.hess_fun(x).tolist()},
    "a dict for each row": {"constraints": ROWS},
    "no Jacobian": {"constraints": {"type": "eq", "fun": P.cons}, "jac": None, "hess": None},
    "no second derivatives": {"constraints": DICT, "hess": None},
    "jac=True": {"fun": lambda x: (P.fun(x), P.grad(x)), "jac": True},
    "three points": {"jac": "3-point", "hess": None, "constraints": nonlinear(jac="3-point")},
    "Hessian by differences": {"hess": "3-point", "constraints": nonlinear(hess="3-point")},
    "hessp": {"hess": None, "hessp": lambda x, p: P.hess_fun(x) @ p},
    "operators": {
        "hess": lambda x: aslinearoperator(P.hess_fun(x)),
        "constraints": nonlinear(hess=lambda x, v: aslinearoperator(P.hess_cons(x, v))),
    },
    "BFGS": {"hess": BFGS(), "constraints": nonlinear(hess=BFGS())},
    "SR1": {"hess": SR1(), "constraints": nonlinear(hess=SR1())},
    "BFGS of the constraints": {"constraints": nonlinear(hess=BFGS())},
    "sparse": {
        "hess": lambda x: sparse.csr_array(P.hess_fun(x)),
        "constraints": nonlinear(
            jac=lambda x: sparse.csr_matrix(P.jac(x)),
            hess=lambda x, v: sparse.coo_matrix(P.hess_cons(x, v)),
        ),
    },
    "a row without bounds": {
        "constraints": NonlinearConstraint(
            with_free_row,
            [0.0, 0.0, -np.inf],
            [0.0, 0.0, np.inf],
            jac=lambda x: np.vstack([P.jac(x), np.eye(5)[0]]),
            hess=lambda x, v: P.hess_cons(x, v[:2]),
        )
    },
    "right-hand sides": {
        "constraints": NonlinearConstraint(
            lambda x: P.cons(x) + 3.0, 3.0, 3.0, jac=P.jac, hess=P.hess_cons
        )
    },
    "infinite bounds": {"bounds": Bounds(-np.inf, np.inf)},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("through_scipy", [False, True], ids=["ours", "SciPy's minimize"])
def test_every_form_has_the_same_answer(form, through_scipy):
    arguments = PLAIN | FORMS[form]
    if through_scipy:
        res = minimize(**arguments, method=refopt.minimize_equality, tol=1e-7)
    else:
        res = refopt.minimize_equality(**arguments, tol=1e-7)
    assert res.success, res.message
    np.testing.assert_allclose(res.x, P.x_opt, atol=1e-5)
    rows = sum(v.size for v in res.v)
    flat = np.concatenate(res.v)
    assert rows == (3 if form == "a row without bounds" else 2)
    np.testing.assert_allclose(flat[:2], P.multipliers, atol=1e-4)


def test_linear_constraints_are_evaluated_once_and_may_be_sparse():
    problem = textbook_equality("HS51")
    A = problem.jac(problem.x0)
    for matrix in (A, sparse.csr_matrix(A)):
        linear = LinearConstraint(matrix, -problem.cons(np.zeros(5)), -problem.cons(np.zeros(5)))
        res = refopt.minimize_equality(**problem.arguments() | {"constraints": linear})
        assert res.success and res.nit == 1
        np.testing.assert_allclose(res.x, problem.x_opt, atol=1e-10)


def test_fixed_variables_are_eliminated():
    bounds = [(None, None)] * 4 + [(0.5, 0.5)]
    res = refopt.minimize_equality(**PLAIN, bounds=bounds)
    assert res.success and res.x[4] == 0.5
    assert abs(P.cons(res.x)).max() <= 1e-8
    residual = (P.grad(res.x) + P.jac(res.x).T @ res.multipliers)[:4]
    assert abs(residual).max() <= 1e-7


def test_callbacks_are_called_and_stop():
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        intermediate_result.x[:] = np.nan
        if len(seen) == 3:
            raise StopIteration

    res = minimize(**PLAIN, method=refopt.minimize_equality, callback=callback)
    assert len(seen) == res.nit == 3 and res.status == 2
    assert np.isfinite(res.x).all()


def test_basinhopping_takes_it():
    kwargs = {"method": refopt.minimize_equality, "constraints": DICT, "jac": P.grad}
    res = basinhopping(P.fun, P.x0, niter=2, minimizer_kwargs=kwargs, rng=1)
    assert abs(P.cons(res.x)).max() <= 1e-7


def test_unknown_options_are_warned_of():
    from scipy.optimize import OptimizeWarning

    with pytest.warns(OptimizeWarning, match="xtol"):
        assert refopt.minimize_equality(**PLAIN, xtol=1e-3).success


# Refusals

LINEAR = LinearConstraint(np.eye(5)[:1], 0.0, 1.0)
REFUSED = {
    "inequality": ({"constraints": [DICT, {"type": "ineq", "fun": P.cons}]}, r"constraints\[1\]"),
    "an interval": ({"constraints": [DICT, LINEAR]}, r"constraints\[1\] .*row 0.*trust-constr"),
    "bounds": ({"bounds": [(None, None)] * 3 + [(0, 1)] * 2}, "bounds .*variable 3.*trust-constr"),
    "crossed bounds": ({"bounds": Bounds(1.0, 0.0)}, "lb > ub"),
    "NaN in x0": ({"x0": [1.0, np.nan, 1, 1, 1]}, r"x0 must be finite, got nan at \[1\]"),
    "too many rows": ({"constraints": [DICT] * 3}, "more equality constraints than variables"),
    "shape of jac": ({"jac": lambda x: np.ones(4)}, r"jac must return shape \(5,\)"),
    "shape of the Jacobian": (
        {"constraints": DICT | {"jac": lambda x: np.ones((3, 5))}},
        r"constraints jac must return shape \(2, 5\)",
    ),
    "shape of hess": ({"hess": lambda x: np.eye(4)}, r"hess must return shape \(5, 5\)"),
    "eta1": ({"eta1": 0.0}, "eta1 must be positive"),
    "eta2": ({"eta2": -1.0}, "eta2 must be positive"),
    "nu": ({"nu": 1.0}, "nu must be above 1"),
    "beta": ({"beta": 0.5}, "beta must be in"),
    "theta": ({"theta": 2.0}, "theta must be in"),
    "tol": ({"tol": -1.0}, "tol must be nonnegative"),
    "maxiter": ({"maxiter": -1}, "maxiter must be at least 0"),
    "lin_solver": ({"lin_solver": "best"}, "lin_solver must be one of"),
    "multipliers0": ({"multipliers0": [1.0]}, r"multipliers0 must have shape \(2,\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_by_name(name):
    changes, pattern = REFUSED[name]
    with pytest.raises(ValueError, match=pattern):
        refopt.minimize_equality(**PLAIN | changes)


def test_unknown_options_of_the_papers_method_are_ignored_with_a_warning():
    given = PLAIN | {"method": refopt.adasketch_newton, "options": {"rng": 0, "gtol": 1e-3}}
    with pytest.warns(OptimizeWarning, match="gtol"):
        res = minimize(**given)
    assert res.success


@pytest.mark.parametrize("name", ["HS100LNP", "HS56"])
def test_inexact_steps_without_inertia_are_shifted_where_exact_ones_are(name):
    # a sketch tells nothing of the curvature across its step
    problem = textbook_equality(name)
    res = refopt.minimize_equality(
        **problem.arguments(), lin_solver="kaczmarz", theta="superlinear", rng=1
    )
    assert res.success and problem.error(res.x) <= 1e-8 and res.nit <= 12
