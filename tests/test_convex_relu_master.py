"""The convex program over given patterns: known optima, and bounds recomputed here."""

import numpy as np
import pytest
from scipy.optimize import minimize

from refopt.convex_relu._gates import enumerate_patterns
from refopt.convex_relu._master import solve_program

XOR = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, 1.0], [-1.0, -1.0, 1.0]])
XOR_Y = XOR[:, 0] * XOR[:, 1]


def entropy(s):
    return -s * np.log(s) - (1 - s) * np.log(1 - s)


def loss_value(loss, z, y):
    if loss == "squared":
        return 0.5 * ((z - y) ** 2).sum()
    if loss == "hinge":
        return np.maximum(0, 1 - y * z).sum()
    return np.logaddexp(0, -y * z).sum()


def conjugate(loss, r, y):
    if loss == "squared":
        return 0.5 * r @ r + r @ y
    t = -y * r
    assert t.min() >= 0 and t.max() <= 1
    return -t.sum() if loss == "hinge" else -entropy(np.clip(t, 1e-300, 1 - 1e-16)).sum()


def assert_certified(X, y, D, master, beta, loss, tol):
    """Cones, value and dual bound from the definitions."""
    S, z, norms = 2.0 * D - 1, np.zeros(len(y)), 0.0
    slopes = []
    for sign, U, A in zip((1, -1), (master.V, master.W), master.multipliers, strict=True):
        assert (S * (X @ U)).min() >= -1e-12 and A.min() >= 0
        z += sign * (D * (X @ U)).sum(1)
        norms += np.linalg.norm(U, axis=0).sum()
        slopes.append(sign * X.T @ (D * master.r[:, None]) - X.T @ (S * A))
    value = loss_value(loss, z, y) + beta * norms
    largest = max(np.linalg.norm(C, axis=0).max() for C in slopes)
    scales = np.linspace(0, min(1, beta / largest), 2) if largest else [0.0, 1.0]
    dual = max(-conjugate(loss, scale * master.r, y) for scale in scales)
    assert value == pytest.approx(master.value, rel=1e-12)
    assert (value - dual) <= 1.01 * tol * value


@pytest.mark.parametrize(
    ("loss", "optimum"),
    [
        ("squared", 2 * np.sqrt(2) * 0.3 - 0.09),
        ("hinge", 2 * np.sqrt(2) * 0.3),
        ("logistic", 4 * entropy(0.3 / np.sqrt(2))),
    ],
)
def test_the_optimum_of_xor_is_known(loss, optimum):
    D = enumerate_patterns(XOR)
    assert D.shape == (4, 13)
    master = solve_program(XOR, XOR_Y, D, beta=0.3, loss=loss, tol=1e-9)
    assert master.value == pytest.approx(optimum, rel=1e-8)
    assert_certified(XOR, XOR_Y, D, master, 0.3, loss, 1e-9)


def test_orthonormal_data_have_a_closed_form():
    rng = np.random.default_rng(0)
    y, beta = rng.standard_normal(5), 0.7
    master = solve_program(np.eye(5), y, enumerate_patterns(np.eye(5)), beta=beta, tol=1e-10)
    z = np.zeros(5)
    norms = 0.0
    for sign in (1, -1):
        part = np.maximum(sign * y, 0)
        u = max(0, 1 - beta / np.linalg.norm(part)) * part
        z, norms = z + sign * u, norms + np.linalg.norm(u)
    assert master.value == pytest.approx(0.5 * ((z - y) ** 2).sum() + beta * norms, rel=1e-9)
    np.testing.assert_allclose(master.z, z, atol=1e-4)


@pytest.mark.parametrize("slope", [0.3, 2.0])
def test_one_sample_has_a_closed_form(slope):
    X, y, beta = np.array([[1.0, 2.0]]), np.array([slope]), 0.9
    length = np.linalg.norm(X)
    optimum = slope**2 / 2
    if beta < slope * length:
        optimum = beta * slope / length - beta**2 / (2 * length**2)
    master = solve_program(X, y, np.array([[True]]), beta=beta, tol=1e-10)
    assert master.value == pytest.approx(optimum, rel=1e-9)


@pytest.mark.parametrize("loss", ["squared", "hinge", "logistic"])
def test_bounds_hold_with_columns_of_one_side(loss):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 4))
    X[7] = 0.0  # a sample that no network changes
    y = np.sign(X[:, 0] * X[:, 1] + 0.1)
    D = X @ rng.standard_normal((4, 12)) >= 0
    sides = rng.random((2, 12)) < 0.6
    master = solve_program(X, y, D, beta=0.4, loss=loss, sides=sides, tol=1e-8)
    assert master.gap <= 1e-8
    assert not master.V[:, ~sides[0]].any() and not master.W[:, ~sides[1]].any()
    both = solve_program(X, y, D, beta=0.4, loss=loss, tol=1e-8)
    assert_certified(X, y, D, both, 0.4, loss, 1e-8)
    assert both.value <= master.value * (1 + 1e-8)


def test_patterns_without_interior_are_left_out():
    X = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    D = np.array(
        [[True, True], [False, True], [True, True]]
    )  # the first one belongs to no direction
    master = solve_program(X, np.ones(3), D, beta=0.1, tol=1e-8)
    assert not master.V[:, 0].any() and master.V[:, 1].any()
    assert master.gap <= 1e-8


@pytest.mark.parametrize("beta", [0.01, 0.1])
def test_small_weight_decay_does_not_start_the_logistic_loss_too_far_out(beta):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 4))
    y = np.where(X[:, 0] * X[:, 1] > 0, 1.0, -1.0)
    D = X @ rng.standard_normal((4, 12)) >= 0
    sides = np.arange(24).reshape(2, 12) % 3 > 0
    master = solve_program(X, y, D, beta=beta, loss="logistic", sides=sides, tol=1e-7)
    assert master.gap <= 1e-7 and master.outcome.nit < 50


def signed_product(n, d, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, np.where(X[:, 0] * X[:, 1] > 0, 1.0, -1.0), rng


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize("ratio", [1e-1, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("loss", ["squared", "hinge", "logistic"])
def test_the_gap_closes_at_any_weight_decay(loss, ratio, one_sided):
    X, y, rng = signed_product(60, 4, 0)
    D = X @ rng.standard_normal((4, 10)) >= 0
    sides = None
    if one_sided:
        sides = np.stack([np.arange(10) % 2 == 0, np.arange(10) % 2 == 1])
    steepest = np.linalg.norm(X.T @ (D * y[:, None]), axis=0).max()
    master = solve_program(X, y, D, beta=ratio * steepest, loss=loss, sides=sides, tol=1e-6)
    assert master.gap <= 1e-6 and master.outcome.nit < 150
    if not one_sided:
        assert_certified(X, y, D, master, ratio * steepest, loss, 1e-6)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_generic_solver_finds_the_same_optimum(loss):
    X, y, rng = signed_product(8, 2, 5)
    D = X @ rng.standard_normal((2, 3)) >= 0
    S, beta = 2.0 * D - 1, 0.3
    master = solve_program(X, y, D, beta=beta, loss=loss, tol=1e-9)

    def columns(point):
        return point.reshape(2, 2, 3)

    def objective(point):
        V, W = columns(point)
        norms = np.sqrt((columns(point) ** 2).sum(1) + 1e-18).sum()
        return loss_value(loss, (D * (X @ (V - W))).sum(1), y) + beta * norms

    cones = {"type": "ineq", "fun": lambda point: (S * (X @ columns(point))).ravel()}
    start = rng.standard_normal(12)
    found = minimize(objective, start, method="SLSQP", constraints=cones,
                     options={"maxiter": 500, "ftol": 1e-12})  # fmt: skip
    assert found.fun == pytest.approx(master.value, rel=1e-5)
