"""minimize_equality: the textbook problems and closed forms."""

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint

import refopt
from refopt.problems import TEXTBOOK_EQUALITY, textbook_equality


@pytest.mark.parametrize("name", TEXTBOOK_EQUALITY)
def test_textbook_problems_are_solved(name):
    problem = textbook_equality(name)
    res = refopt.minimize_equality(tol=1e-9, **problem.arguments())
    assert res.success and res.status == 0
    assert problem.error(res.x) <= 1e-8


def sphere():
    return {"type": "eq", "fun": lambda x: x @ x - 1, "jac": lambda x: 2 * x}


def test_projection_on_an_affine_set():
    rng = np.random.default_rng(0)
    A, a, b = rng.standard_normal((3, 6)), rng.standard_normal(6), rng.standard_normal(3)
    res = refopt.minimize_equality(
        lambda x: 0.5 * (x - a) @ (x - a),
        np.zeros(6),
        jac=lambda x: x - a,
        hess=lambda x: np.eye(6),
        constraints=LinearConstraint(A, b, b),
    )
    assert res.success and res.nit == 1
    np.testing.assert_allclose(res.x, a - A.T @ np.linalg.solve(A @ A.T, A @ a - b), atol=1e-12)


def test_smallest_eigenvalue_and_its_multiplier():
    A = np.random.default_rng(1).standard_normal((8, 8))
    A = A + A.T
    res = refopt.minimize_equality(
        lambda x: x @ A @ x,
        np.ones(8),
        jac=lambda x: 2 * A @ x,
        constraints=NonlinearConstraint(
            lambda x: [x @ x],
            1,
            1,
            jac=lambda x: 2 * x[None],
            hess=lambda x, v: 2 * v[0] * np.eye(8),
        ),
        hess=lambda x: 2 * A,
        tol=1e-10,
    )
    eigenvalues = np.linalg.eigvalsh(A)
    assert res.success
    assert abs(eigenvalues + res.multipliers[0]).min() < 1e-9  # f = lam, l = -lam
    if res.reduced_hessian_min > 0:
        assert abs(res.fun - eigenvalues[0]) < 1e-9


@pytest.mark.parametrize("name", ["HS28", "HS48", "HS51", "HS52", "GENHS28"])
def test_convex_quadratics_take_one_iteration_from_anywhere(name):
    problem = textbook_equality(name)
    start = 10 * np.random.default_rng(2).standard_normal(problem.n)
    res = refopt.minimize_equality(**problem.arguments() | {"x0": start}, tol=1e-10)
    assert res.success and res.nit == 1 and res.njev == 2


@pytest.mark.parametrize("power", [4, 6])
def test_singular_minima_are_reached_in_fewer_steps_than_their_linear_rate_asks(power):
    # on the surface x_2 = x_1^2 the distance to (1, 1) falls by (p - 2)/(p - 1) in a Newton step
    surface = NonlinearConstraint(
        lambda x: x[1] - x[0] ** 2, 0, 0, jac=lambda x: [[-2 * x[0], 1.0]],
        hess=lambda x, v: np.diag([-2 * v[0], 0.0]),
    )  # fmt: skip
    res = refopt.minimize_equality(
        lambda x: (x[0] - 1) ** power,
        [3.0, 1.0],
        jac=lambda x: np.array([power * (x[0] - 1) ** (power - 1), 0.0]),
        hess=lambda x: np.diag([power * (power - 1) * (x[0] - 1) ** (power - 2), 0.0]),
        constraints=surface,
        tol=1e-12,
    )
    rate = ((power - 2) / (power - 1)) ** (power - 1)
    newton = np.log(1e-12) / np.log(rate)
    assert res.success and res.nit < 0.7 * newton


# Status, where there is no solution.


def test_inconsistent_equations_are_infeasible():
    rows = [{"type": "eq", "fun": lambda x, r=r: x[0] + x[1] - r} for r in (1.0, 2.0)]
    res = refopt.minimize_equality(lambda x: x @ x, [0.0, 0.0, 0.0], constraints=rows)
    assert res.status == 5 and not res.success
    square = {"type": "eq", "fun": lambda x: x**2 + 1, "jac": lambda x: np.diag(2 * x)}
    res = refopt.minimize_equality(lambda x: x[0], [2.0], constraints=square)
    assert res.status == 5 and not res.success


def test_an_unbounded_objective_is_no_success():
    fixed = LinearConstraint([[0.0, 1.0]], 0, 0)
    res = refopt.minimize_equality(lambda x: x[0], [0.0, 0.0], constraints=fixed)
    assert res.status in (1, 5) and not res.success


def test_duplicate_rows_change_neither_x_nor_success():
    problem = textbook_equality("HS7")
    double = NonlinearConstraint(
        lambda x: problem.cons(x)[[0, 0]],
        0,
        0,
        jac=lambda x: problem.jac(x)[[0, 0]],
        hess=lambda x, v: problem.hess_cons(x, v[:1] + v[1:]),
    )
    res = refopt.minimize_equality(**problem.arguments() | {"constraints": double})
    assert res.success
    np.testing.assert_allclose(res.x, problem.x_opt, atol=1e-6)
    np.testing.assert_allclose(res.multipliers.sum(), problem.multipliers[0], atol=1e-6)


def test_nan_away_from_the_start_shortens_the_step():
    def fun(x):
        return float(np.log(x[0])) ** 2 + x[1] ** 2 if x[0] > 0 else float("nan")

    line = LinearConstraint([[1.0, 1.0]], 1.0, 1.0)
    res = refopt.minimize_equality(fun, [1e-3, 5.0], constraints=line)
    assert res.success, res.message
    np.testing.assert_allclose(res.x, [1.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("broken", ["fun", "constraints", "jac"])
def test_what_is_not_finite_at_the_start_is_named(broken):
    circle = sphere()
    given = {"fun": lambda x: x[0], "jac": lambda x: np.array([1.0, 0.0]), "constraints": circle}
    given[broken] = {
        "fun": lambda x: np.nan,
        "jac": lambda x: np.array([np.nan, 0.0]),
        "constraints": circle | {"fun": lambda x: np.inf},
    }[broken]
    res = refopt.minimize_equality(x0=[1.0, 1.0], **given)
    assert res.status == 4 and res.nit == 0 and broken in res.message


def random_feasible(seed):
    """A quadratic to be minimised on curved constraints that some point fulfils."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    m = int(rng.integers(1, n))
    Q, A, hidden = (
        rng.standard_normal((m, n, n)),
        rng.standard_normal((m, n)),
        2 * rng.standard_normal(n),
    )
    Q = Q + Q.transpose(0, 2, 1)
    W, a = rng.standard_normal((m, n)), rng.standard_normal(n)

    def raw(x):
        return 0.5 * (Q @ x) @ x + A @ x + 3 * np.sin(W @ x)

    target = raw(hidden)
    constraint = NonlinearConstraint(
        lambda x: raw(x) - target, 0, 0,
        jac=lambda x: Q @ x + A + 3 * np.cos(W @ x)[:, None] * W,
        hess=lambda x, v: np.tensordot(v, Q, 1) - W.T @ ((3 * v * np.sin(W @ x))[:, None] * W),
    )  # fmt: skip
    return {
        "fun": lambda x: 0.5 * (x - a) @ (x - a),
        "jac": lambda x: x - a,
        "hess": lambda x: np.eye(n),
        "x0": 3 * rng.standard_normal(n),
        "constraints": constraint,
    }


def test_random_feasible_problems_are_not_called_infeasible():
    found = [refopt.minimize_equality(**random_feasible(seed)) for seed in range(60)]
    assert sum(res.success for res in found) == 60, [res.message for res in found if res.status]


def test_infeasible_is_said_of_a_stationary_violation_only():
    constraint = {"type": "eq", "fun": lambda x: x @ x + 1, "jac": lambda x: 2 * x}
    res = refopt.minimize_equality(lambda x: x[0], [2.0, 1.0], constraints=constraint)
    assert res.status == 5 and "stationary" in res.message
    slope = 2 * res.x * (res.x @ res.x + 1)
    assert abs(slope).max() < 1e-5 and abs(res.constr_violation - 1) < 1e-9


# Invariance


@pytest.mark.parametrize("scale", [1e6, 1e9])
@pytest.mark.parametrize("name", ["HS7", "HS27", "HS47", "HS56", "HS79", "BYRDSPHR"])
def test_constraints_in_far_too_small_units_are_no_obstacle(name, scale):
    problem = textbook_equality(name)
    constraint = NonlinearConstraint(
        lambda x: scale * problem.cons(x), 0, 0, jac=lambda x: scale * problem.jac(x),
        hess=lambda x, v: scale * problem.hess_cons(x, v),
    )  # fmt: skip
    res = refopt.minimize_equality(**problem.arguments() | {"constraints": constraint})
    assert res.status in (0, 3) and problem.error(res.x) < 1e-8
    # the measures and multipliers are those of the constraints as they were given
    assert res.constr_violation == np.abs(scale * problem.cons(res.x)).max()
    slope = problem.grad(res.x) + scale * problem.jac(res.x).T @ res.multipliers
    np.testing.assert_allclose(res.lagrangian_grad, slope, atol=1e-9)
    np.testing.assert_allclose(res.v[0], res.multipliers)


@pytest.mark.parametrize("unit", [1e-12, 1e-9, 1e-6, 1e9])
def test_a_run_ends_whatever_the_units_of_variables(unit):
    calls = []

    def circle(x):
        calls.append(1)
        assert len(calls) < 10_000
        return (x / unit) @ (x / unit) - 1

    target = np.array([1.0, 2.0])
    res = refopt.minimize_equality(
        lambda x: ((x / unit - target) ** 2).sum(), [3.0 * unit, unit],
        jac=lambda x: 2 * (x / unit - target) / unit,
        constraints={"type": "eq", "fun": circle, "jac": lambda x: 2 * x / unit**2},
    )  # fmt: skip
    assert abs(circle(res.x)) <= 1e-8
    assert res.status in (0, 3, 7)
    if res.success:
        np.testing.assert_allclose(res.x / unit, target / np.sqrt(5), rtol=1e-6)


def test_a_scaled_or_shifted_objective_has_the_same_minimiser():
    problem = textbook_equality("HS79")
    for scale, shift in ((10.0, 0.0), (1.0, 5.0)):
        res = refopt.minimize_equality(
            lambda x, s=scale, t=shift: s * problem.fun(x) + t,
            problem.x0,
            jac=lambda x, s=scale: s * problem.grad(x),
            hess=lambda x, s=scale: s * problem.hess_fun(x),
            constraints=problem.constraint(),
        )
        assert res.success
        np.testing.assert_allclose(res.x, problem.x_opt, atol=1e-6)


def test_a_solution_is_left_alone():
    problem = textbook_equality("HS42")
    res = refopt.minimize_equality(**problem.arguments() | {"x0": problem.x_opt}, tol=1e-7)
    assert res.success and res.nit == 0
