"""minimize_equality: every hopeless or awkward problem has its own end, whatever the options."""

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint

import refopt
from refopt.problems import textbook_equality


def equation(fun, jac=None):
    return {"type": "eq", "fun": fun} | ({} if jac is None else {"jac": jac})


def square(x):
    return x @ x


def on_sphere(x):
    return x @ x - 1


def log_or_nan(x):
    return float(np.log(x[0])) ** 2 + x[1] ** 2 if x[0] > 0 else np.nan


# What is given, and the refusal: its text.
REFUSED = {
    "more equations than variables": (
        {"constraints": LinearConstraint(np.eye(3)[:, :2], 0, 0)},
        "more equality constraints than variables",
    ),
    "NaN in x0": ({"x0": [np.nan, 1.0]}, "x0 must .*finite"),
    "infinite x0": ({"x0": [np.inf, 1.0]}, "x0 must .*finite"),
    "NaN in A": ({"constraints": LinearConstraint([[np.nan, 1.0]], 0, 0)}, "constraints.A must"),
    "an inequality": ({"constraints": LinearConstraint([[1.0, 1.0]], 0, 1)}, "row 0.*inequality"),
    "an inequality as a dict": (
        {"constraints": {"type": "ineq", "fun": on_sphere}},
        "inequality.*trust-constr",
    ),
    "a bound": ({"bounds": [(None, None), (0.0, None)]}, "variable 1: an inequality"),
}

# What is given, the status, and what the message says.
ENDS = {
    "inconsistent equations": (
        {"constraints": [equation(lambda x, r=r: x[0] + x[1] - r) for r in (1.0, 2.0)]},
        5,
        "No feasible point",
    ),
    "inconsistent rows": (
        {"constraints": LinearConstraint([[1.0, 1.0], [1.0, 1.0]], [1.0, 2.0], [1.0, 2.0])},
        5,
        "No feasible point",
    ),
    "no real solution": ({"constraints": equation(lambda x: x @ x + 1)}, 5, "No feasible point"),
    "unbounded": (
        {"fun": lambda x: x[0], "constraints": LinearConstraint([[0.0, 1.0]], 0, 0)},
        5,
        "unbounded below",
    ),
    "unbounded and curved": (
        {"fun": lambda x: x[0] ** 3, "constraints": LinearConstraint([[0.0, 1.0]], 0, 0)},
        5,
        "unbounded below",
    ),
    "f is NaN at x0": ({"fun": lambda x: np.nan}, 4, "Not finite at x0: fun"),
    "f is infinite at x0": ({"fun": lambda x: np.inf}, 4, "Not finite at x0: fun"),
    "c is NaN at x0": ({"constraints": equation(lambda x: np.nan)}, 4, "the constraints"),
    "gradient is NaN at x0": ({"jac": lambda x: np.array([np.nan, 0.0])}, 4, "jac"),
    "Jacobian is NaN at x0": (
        {"constraints": equation(on_sphere, lambda x: np.array([np.nan, 0.0]))},
        4,
        "the Jacobian",
    ),
    "Hessian is NaN": (
        {"jac": lambda x: 2 * x, "hess": lambda x: np.full((2, 2), np.nan)},
        4,
        "second derivatives",
    ),
    "f is NaN later": (
        {"fun": log_or_nan, "x0": [1e-3, 5.0],
         "constraints": LinearConstraint([[1.0, 1.0]], 1, 1)},
        0,
        "Converged",
    ),
    "c is NaN later": (
        {"x0": [0.05, 3.0],
         "constraints": equation(lambda x: np.log(x[0]) if x[0] > 0 else np.nan)},
        0,
        "Converged",
    ),
    "duplicate equations": ({"constraints": [equation(on_sphere)] * 2}, 0, "Converged"),
    "duplicate rows": (
        {"constraints": LinearConstraint([[1.0, 2.0], [1.0, 2.0]], [3.0, 3.0], [3.0, 3.0])},
        0,
        "Converged",
    ),
    "Jacobian vanishes at the start": (
        {"x0": [0.0, 0.0], "fun": lambda x: (x[0] - 1) ** 2 + x[1] ** 2},
        0,
        "Converged",
    ),
    "a constant f": ({"fun": lambda x: 3.0}, 0, "Converged"),
    "nothing to do": ({"x0": [0.0, 0.0], "constraints": ()}, 0, "Converged"),
}  # fmt: skip


def solve(**given):
    default = {"fun": square, "x0": [1.0, 0.5], "constraints": equation(on_sphere)}
    return refopt.minimize_equality(**default | given)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_asked_is_refused(name):
    given, text = REFUSED[name]
    with pytest.raises(ValueError, match=text):
        solve(**given)


@pytest.mark.parametrize("name", ENDS)
def test_every_end_has_its_status_and_message(name):
    given, status, text = ENDS[name]
    res = solve(**given)
    assert (res.status, res.success) == (status, status == 0), res.message
    assert text in res.message
    assert np.isfinite(res.x).all()
    if status == 4 and "x0" in text:
        assert res.nit == 0


@pytest.mark.parametrize("name", ["HS61", "BYRDSPHR"])
def test_a_singular_jacobian_at_the_start_is_no_end(name):
    problem = textbook_equality(name)
    assert np.linalg.svd(problem.jac(problem.x0))[1][-1] < 1e-4
    assert refopt.minimize_equality(**problem.arguments()).success


CHOICES = {
    "tol": (1e-4, 1e-8),
    "maxiter": (0, 3, 300),
    "eta1": (1e-3, 1.0, 1e3),
    "eta2": (1e-3, 0.1, 10.0),
    "nu": (1.1, 1.5, 4.0),
    "beta": (1e-6, 0.1, 0.4),
    "theta": (None, 0.5, "superlinear", lambda k, residual: 0.1),
    "lin_solver": ("auto", "direct", "minres", "kaczmarz", "block_gaussian"),
    "multipliers0": ("lsq", "zeros"),
}
NAMES = ("HS6", "HS7", "HS28", "HS40", "HS42", "HS61", "HS77", "HS78", "HS79", "MARATOS")


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_options_the_result_keeps_its_word(seed):
    rng = np.random.default_rng(seed)
    options = {name: values[rng.integers(len(values))] for name, values in CHOICES.items()}
    problem = textbook_equality(NAMES[rng.integers(len(NAMES))])
    given = problem.arguments()
    constraint = given["constraints"]
    if rng.random() < 0.3:
        given.pop("hess")
        given["constraints"] = NonlinearConstraint(constraint.fun, 0, 0, jac=constraint.jac)
    start = given["x0"].copy()
    points = []
    res = refopt.minimize_equality(
        **given, **options, rng=seed, callback=lambda intermediate_result: points.append(1)
    )
    np.testing.assert_array_equal(given["x0"], start)
    slope, violation = res.jac + problem.jac(res.x).T @ res.multipliers, problem.cons(res.x)
    optimality = abs(slope).max() / max(1.0, abs(res.jac).max())
    np.testing.assert_allclose(res.optimality, optimality, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(res.constr_violation, abs(violation).max(), atol=1e-12)
    assert res.fun == problem.fun(res.x)
    assert (
        res.success
        == (res.status == 0)
        == (max(optimality, abs(violation).max()) <= options["tol"])
    )
    assert res.nit <= options["maxiter"] and len(points) <= res.nit
    assert {column.shape for column in res.history.values()} == {(res.nit + 1,)}
    assert res.history["error"].min() <= max(res.optimality, res.constr_violation) * (1 + 1e-9)
    assert res.message and res.status in (0, 1, 3, 5, 7)
