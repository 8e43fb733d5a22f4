"""The exact augmented Lagrangian: its gradient, its slope along Newton steps, penalties, rates."""

import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint

import refopt
from refopt.augmented_lagrangian._intake import take_problem
from refopt.augmented_lagrangian._merit import Direction, merit
from refopt.augmented_lagrangian._penalties import adapt
from refopt.augmented_lagrangian._point import evaluate
from refopt.problems import TEXTBOOK_EQUALITY, textbook_equality

NONLINEAR = ["HS7", "HS39", "HS47", "HS77", "HS79", "HS100LNP"]


def somewhere(name):
    problem = textbook_equality(name)
    rng = np.random.default_rng(3)
    return (
        problem,
        problem.x0 + 0.1 * rng.standard_normal(problem.n),
        rng.standard_normal(problem.m),
    )


@pytest.mark.parametrize("name", NONLINEAR)
def test_gradient_is_that_of_the_value(name):
    problem, x, l = somewhere(name)
    arguments = problem.arguments()
    del arguments["x0"]
    M = refopt.exact_augmented_lagrangian(**arguments)
    gradient = np.concatenate(M.grad(x, l, 2.0, 0.3))
    z, n = np.concatenate((x, l)), problem.n

    def value(z):
        return M.value(z[:n], z[n:], 2.0, 0.3)

    steps = 1e-5 * np.eye(z.size)
    differences = [(value(z + h) - value(z - h)) / 2e-5 for h in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * abs(gradient).max())


@pytest.mark.parametrize("name", NONLINEAR)
def test_slope_along_a_newton_step_and_the_penalties_that_make_it_descent(name):
    problem, x, l = somewhere(name)
    ours, _ = take_problem(**problem.arguments())
    point = evaluate(ours, x, l)
    H, n = ours.hessian(x, l), problem.n
    Z = np.linalg.svd(point.G)[2][problem.m :].T
    shift = max(0.0, 1.0 - np.linalg.eigvalsh(Z.T @ H @ Z)[0])
    B = H + shift * np.eye(n)
    K = np.block([[B, point.G.T], [point.G, np.zeros((problem.m, problem.m))]])
    d = np.linalg.solve(K, -np.concatenate((point.gL, point.c)))
    dx, dl = d[:n], d[n:]
    direction = Direction(point, H, dx, dl)
    eta1, eta2 = 1.5, 0.2
    identity = -dx @ B @ dx + 2 * point.c @ dl - eta2 * point.gg - eta1 * point.cc
    identity += eta2 * point.gL @ (H - B) @ dx
    assert direction.slope(eta1, eta2) == pytest.approx(identity, rel=1e-9)
    eta1, eta2, slope = adapt(direction, 1.0, 0.1, 1.5)
    assert slope <= -0.5 * eta2 * direction.kkt2
    near = evaluate(ours, x + 1e-7 * dx, l + 1e-7 * dl)
    assert merit(near, eta1, eta2) < merit(point, eta1, eta2)


@pytest.mark.parametrize("name", ["HS77", "HS100LNP"])
def test_the_end_is_superlinear(name):
    errors = refopt.minimize_equality(
        **textbook_equality(name).arguments(), theta="superlinear", tol=1e-11
    ).history["error"]
    ratios = errors[-3:] / errors[-4:-1]
    assert (ratios[1:] < 0.1).all() and ratios[-1] < 1e-2


def test_jacobians_are_evaluated_where_steps_are_taken():
    results = [
        refopt.minimize_equality(**textbook_equality(name).arguments(), tol=1e-9)
        for name in TEXTBOOK_EQUALITY
    ]
    assert all(res.ncjev == res.njev for res in results)
    # one for each point of the run; some more after short or restored steps
    assert sum(res.njev for res in results) <= 1.2 * sum(res.nit + 1 for res in results)
    assert sum(res.njev for res in results) <= 0.9 * 352  # IPOPT's at the same tolerance


def test_a_constant_theta_above_a_tenth_is_accepted_without_shift():
    def inexact(system, rhs, tol, state):
        return 0.6 * np.linalg.solve(system.dense, rhs), None  # leaves 0.4 of the residual

    c = NonlinearConstraint(lambda x: [x.sum() - 1], 0, 0, jac=lambda x: np.ones((1, 3)))
    c.hess = lambda x, v: np.zeros((3, 3))
    res = refopt.minimize_equality(
        lambda x: x @ x, [3.0, 1.0, 0.0], jac=lambda x: 2 * x, hess=lambda x: 2 * np.eye(3),
        constraints=c, lin_solver=inexact, theta=0.5,
    )  # fmt: skip
    assert res.success and not any(res.history["shift"])
    assert res.x == pytest.approx(np.full(3, 1 / 3), abs=1e-7)
