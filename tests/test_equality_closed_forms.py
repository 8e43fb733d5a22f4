"""minimize_equality: solutions known from linear algebra, and what must not change them."""

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize

import refopt
from refopt.problems import textbook_equality


def zero(x):
    return np.zeros((x.size, x.size))


def test_nearest_point_of_an_affine_space():
    rng = np.random.default_rng(0)
    A, b, a = rng.standard_normal((3, 7)), rng.standard_normal(3), rng.standard_normal(7)
    res = refopt.minimize_equality(
        lambda x: (x - a) @ (x - a), np.zeros(7), jac=lambda x: 2 * (x - a),
        hess=lambda x: 2 * np.eye(7), constraints=LinearConstraint(A, b, b),
    )  # fmt: skip
    l = np.linalg.solve(A @ A.T, 2 * (A @ a - b))
    assert res.success and res.nit == 1
    assert res.x == pytest.approx(a - A.T @ l / 2, abs=1e-12)
    assert res.multipliers == pytest.approx(l, abs=1e-12)


def test_smallest_eigenvalue_is_minus_the_multiplier():
    A = np.random.default_rng(1).standard_normal((8, 8))
    A = A + A.T
    values, vectors = np.linalg.eigh(A)
    sphere = NonlinearConstraint(
        lambda x: x @ x - 1, 0, 0, jac=lambda x: 2 * x, hess=lambda x, v: 2 * v[0] * np.eye(8)
    )
    res = refopt.minimize_equality(
        lambda x: x @ A @ x, np.ones(8), jac=lambda x: 2 * A @ x, hess=lambda x: 2 * A,
        constraints=sphere,
    )  # fmt: skip
    assert res.success
    assert res.reduced_hessian_min == pytest.approx(2 * (values[1] - values[0]), rel=0.05)
    assert res.fun == pytest.approx(values[0])
    assert res.multipliers == pytest.approx([-values[0]])
    first = NonlinearConstraint(sphere.fun, 0, 0, jac=sphere.jac)
    res = refopt.minimize_equality(lambda x: x @ A @ x, np.ones(8), constraints=first)
    assert res.success and res.reduced_hessian_min is None  # its guess is no curvature
    assert abs(vectors[:, 0] @ res.x) == pytest.approx(1.0)


def test_procrustes_rotation():
    rng = np.random.default_rng(2)
    A, B, k = rng.standard_normal((6, 3)), rng.standard_normal((6, 3)), 3
    upper = np.triu_indices(k)

    def columns(x):
        X = x.reshape(k, k)
        return (X.T @ X - np.eye(k))[upper]

    def derivative(x):
        X, rows = x.reshape(k, k), []
        for i, j in zip(*upper, strict=True):
            D = np.zeros((k, k))
            D[:, i] += X[:, j]
            D[:, j] += X[:, i]
            rows.append(D.ravel())
        return np.array(rows)

    U, _, Vt = np.linalg.svd(A.T @ B)
    nearest = U @ Vt
    res = refopt.minimize_equality(
        lambda x: ((A @ x.reshape(k, k) - B) ** 2).sum(), (nearest + 0.1).ravel(),
        jac=lambda x: (2 * A.T @ (A @ x.reshape(k, k) - B)).ravel(),
        hess=lambda x: np.kron(2 * A.T @ A, np.eye(k)),
        constraints={"type": "eq", "fun": columns, "jac": derivative},
    )  # fmt: skip
    assert res.success
    assert res.x.reshape(k, k) == pytest.approx(nearest, abs=1e-6)


def test_linear_quadratic_control_is_riccatis():
    """With the cost to go of the infinite horizon as final cost, feedback is constant."""
    F, B = np.array([[1.0, 0.2], [0.0, 1.0]]), np.array([[0.0], [0.2]])
    Q, R = np.eye(2), np.array([[0.3]])
    P = solve_discrete_are(F, B, Q, R)
    K = np.linalg.solve(R + B.T @ P @ B, B.T @ P @ F)
    steps, s0 = 12, np.array([1.0, -0.5])
    n = 3 * steps  # states 1..steps, then controls 0..steps-1
    H = np.zeros((n, n))
    H[: 2 * steps, : 2 * steps] = np.kron(np.eye(steps), Q)
    H[2 * steps - 2 : 2 * steps, 2 * steps - 2 : 2 * steps] = P
    H[2 * steps :, 2 * steps :] = R[0, 0] * np.eye(steps)
    dynamics = np.zeros((2 * steps, n))
    dynamics[:, : 2 * steps] = np.eye(2 * steps) - np.kron(np.eye(steps, k=-1), F)
    dynamics[:, 2 * steps :] = -np.kron(np.eye(steps), B)
    b = np.r_[F @ s0, np.zeros(2 * steps - 2)]
    res = refopt.minimize_equality(
        lambda x: x @ H @ x / 2, np.zeros(n), jac=lambda x: H @ x, hess=lambda x: H,
        constraints=LinearConstraint(dynamics, b, b),
    )  # fmt: skip
    states = np.vstack([s0, res.x[: 2 * steps].reshape(steps, 2)])
    assert res.success and res.nit == 1
    assert res.x[2 * steps :] == pytest.approx(-(states[:-1] @ K.T).ravel(), abs=1e-10)
    assert res.fun + s0 @ Q @ s0 / 2 == pytest.approx(s0 @ P @ s0 / 2)


# What must not matter

P = textbook_equality("HS77")


def solve(fun=P.fun, grad=P.grad, hess=P.hess_fun, cons=P.cons, jac=P.jac, hc=P.hess_cons, x0=P.x0):
    return refopt.minimize_equality(
        fun, x0, jac=grad, hess=hess,
        constraints=NonlinearConstraint(cons, 0.0, 0.0, jac=jac, hess=hc), tol=1e-10,
    )  # fmt: skip


PLAIN = solve()


def test_order_of_variables():
    order = np.random.default_rng(3).permutation(5)
    back = np.argsort(order)
    res = solve(
        lambda z: P.fun(z[back]),
        lambda z: P.grad(z[back])[order],
        lambda z: P.hess_fun(z[back])[np.ix_(order, order)],
        lambda z: P.cons(z[back]),
        lambda z: P.jac(z[back])[:, order],
        lambda z, v: P.hess_cons(z[back], v)[np.ix_(order, order)],
        np.asarray(P.x0)[order],
    )
    assert res.nit == PLAIN.nit and res.x[back] == pytest.approx(PLAIN.x, abs=1e-9)


def test_order_of_constraints():
    res = solve(
        cons=lambda x: P.cons(x)[::-1], jac=lambda x: P.jac(x)[::-1],
        hc=lambda x, v: P.hess_cons(x, v[::-1]),
    )  # fmt: skip
    assert res.nit == PLAIN.nit and res.x == pytest.approx(PLAIN.x, abs=1e-9)
    assert res.multipliers[::-1] == pytest.approx(PLAIN.multipliers, abs=1e-8)


@pytest.mark.parametrize("factor", [10.0, 1e-3, 1e4])
def test_scale_of_the_objective(factor):
    res = solve(
        lambda x: factor * P.fun(x), lambda x: factor * P.grad(x), lambda x: factor * P.hess_fun(x)
    )
    assert res.success and res.x == pytest.approx(PLAIN.x, abs=1e-5)
    assert res.multipliers == pytest.approx(factor * PLAIN.multipliers, rel=1e-4)


def test_a_constant_added_to_the_objective():
    res = solve(lambda x: P.fun(x) + 7.0)
    assert res.nit == PLAIN.nit and res.x == pytest.approx(PLAIN.x, abs=1e-10)


@pytest.mark.filterwarnings("ignore:delta_grad == 0.0")
def test_multipliers_have_the_signs_of_trust_constr():
    other = minimize(
        P.fun, PLAIN.x, method="trust-constr", jac=P.grad, hess=P.hess_fun,
        constraints=NonlinearConstraint(P.cons, 0.0, 0.0, jac=P.jac, hess=P.hess_cons),
    )  # fmt: skip
    assert PLAIN.v[0] == pytest.approx(other.v[0], abs=1e-6)


# Scales, without second derivatives

SCALES = [(1e8, 1.0), (1e-8, 1.0), (1e12, 1.0), (1.0, 1e6), (1.0, 1e-6)]


@pytest.mark.parametrize(("of_f", "of_x"), SCALES)
def test_first_quasi_newton_matrix_has_the_scale_of_the_problem(of_f, of_x):
    a = np.array([1.0, 2.0])
    res = refopt.minimize_equality(
        lambda x: of_f * ((x / of_x - a) @ (x / of_x - a)), of_x * np.array([1.0, 0.5]),
        jac=lambda x: 2 * of_f / of_x * (x / of_x - a),
        constraints={
            "type": "eq", "fun": lambda x: x @ x / of_x**2 - 1, "jac": lambda x: 2 * x / of_x**2
        },
    )  # fmt: skip
    assert res.success
    assert res.x / of_x == pytest.approx(a / np.sqrt(5), abs=1e-3)


def test_slow_quasi_newton_steps_are_not_taken_for_rounding():
    slow = textbook_equality("HS46")  # singular at the solution: linear convergence
    res = refopt.minimize_equality(
        slow.fun, slow.x0, jac=slow.grad,
        constraints={"type": "eq", "fun": slow.cons, "jac": slow.jac},
    )  # fmt: skip
    assert res.success


# No feasible point


def test_infeasible_problems_end_where_the_violation_is_stationary():
    rng = np.random.default_rng(4)
    for _ in range(5):
        Q = rng.standard_normal((4, 4, 4))
        Q = np.einsum("kij,klj->kil", Q, Q) + np.eye(4)  # x'Qx + 1 has no zero

        def cons(x, Q=Q):
            return np.array([x @ q @ x for q in Q]) + [1.0, -1.0, -1.0, -1.0]

        def jac(x, Q=Q):
            return np.array([2 * q @ x for q in Q])

        res = refopt.minimize_equality(
            lambda x: x @ x, rng.standard_normal(4), jac=lambda x: 2 * x,
            hess=lambda x: 2 * np.eye(4), constraints={"type": "eq", "fun": cons, "jac": jac},
        )  # fmt: skip
        assert (res.status, res.success) == (5, False)
        c, G = cons(res.x), jac(res.x)
        assert res.constr_violation == pytest.approx(abs(c).max())
        slope = np.linalg.norm(G.T @ c)
        assert slope <= 1e-5 * max(1.0, np.linalg.norm(G)) * np.linalg.norm(c)
