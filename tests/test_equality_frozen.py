"""A factor of the whole matrix serves in later Newton systems, where no structure helps."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import NonlinearConstraint

from refopt import minimize_equality
from refopt.augmented_lagrangian.linear_solvers import KKTSystem, _sparse, choose
from refopt.augmented_lagrangian.linear_solvers._krylov import gmres


def boundary_control(N, cubic=5.0):
    """w on an N x N grid with Lap w = cubic w^3, given by its values on one side alone."""
    h, m = 2.0 / (N + 1), N * N
    n = m + N
    T = sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(N, N))
    eye = sparse.eye_array(N)
    L = sparse.kron(T, eye) + sparse.kron(eye, T)
    side = sparse.vstack([eye, sparse.csr_array((m - N, N))])
    G = sparse.csr_array(sparse.hstack([L, side]))
    s = np.linspace(-1.0, 1.0, N)
    target = np.append(np.add.outer(1.0 - s**2, np.sin(3.0 * s)).ravel(), np.zeros(N))
    weights = np.append(np.full(m, h * h), np.full(N, 1e-3 * h))

    def diagonal(w, rows):
        return sparse.diags_array(np.append(w, np.zeros(N))[:rows], shape=(rows, n), format="csr")

    constraint = NonlinearConstraint(
        lambda x: G @ x - cubic * h * h * x[:m] ** 3, 0.0, 0.0,
        jac=lambda x: G - diagonal(3.0 * cubic * h * h * x[:m] ** 2, m),
        hess=lambda x, v: diagonal(-6.0 * cubic * h * h * x[:m] * v, n),
    )  # fmt: skip
    return {
        "fun": lambda x: 0.5 * float(weights * (x - target) @ (x - target)), "x0": np.ones(n),
        "jac": lambda x: weights * (x - target),
        "hess": lambda x: sparse.csr_array(sparse.diags_array(weights)), "constraints": constraint,
    }  # fmt: skip


@pytest.fixture
def factors(monkeypatch):
    """How many factors were made."""
    made, make = [], _sparse._factor

    def counted(system):
        made.append(system)
        return make(system)

    monkeypatch.setattr(_sparse, "_factor", counted)
    return made


def test_fewer_factors_end_at_the_same_point(factors):
    problem = boundary_control(20)
    anew = minimize_equality(**problem, tol=1e-9, lin_solver="direct")
    each = len(factors)
    factors.clear()
    kept = minimize_equality(**problem, tol=1e-9)
    assert anew.success and anew.lin_solver == "sparse direct"
    assert kept.success and kept.lin_solver == "frozen sparse factor"
    assert len(factors) <= each // 2
    np.testing.assert_allclose(kept.x, anew.x, atol=1e-6)
    np.testing.assert_allclose(kept.multipliers, anew.multipliers, atol=1e-6)


def system(change=0.0, shift=0.0, dc=0.0):
    rng = np.random.default_rng(0)
    n, m = 60, 25
    A = sparse.random_array((n, n), density=0.1, rng=rng)
    G = sparse.csr_array(sparse.random_array((m, n), density=0.2, rng=rng) + sparse.eye_array(m, n))
    other = sparse.diags_array(1.0 + change * rng.standard_normal(n))
    H = sparse.csr_array(other @ (A + A.T + 4.0 * sparse.eye_array(n)) @ other)
    return KKTSystem(H, G, np, shift, dc), rng.standard_normal(n + m)


def test_an_old_factor_serves_until_the_matrix_is_another_one(factors):
    solve = choose("auto")
    for changed, made in (
        ({}, 1),
        ({"change": 1e-3}, 1),
        ({"change": 1.0}, 2),
        ({"shift": 1.0}, 3),
    ):
        K, rhs = system(**changed)
        d, info = solve(K, rhs, 1e-9, {"H": K.H})
        assert len(factors) == made
        assert np.linalg.norm(K.matvec(d) - rhs) <= 1e-9 * np.linalg.norm(rhs)
        np.testing.assert_allclose(K.matvec(info.again(-rhs)), -rhs, atol=1e-7)


def test_systems_for_multipliers_leave_the_factor_of_newtons(factors):
    solve = choose("auto")
    K, rhs = system()
    solve(K, rhs, 1e-9, {"H": K.H})
    other = KKTSystem(100.0 * sparse.eye_array(K.n, format="csr"), K.G, np)
    assert solve(other, rhs, 1e-9, {"H": K.H})[1].relres <= 1e-9
    solve(K, rhs, 1e-9, {"H": K.H})
    assert len(factors) == 2


def test_a_singular_matrix_is_told(factors):
    K, rhs = system()
    K.G = sparse.csr_array(K.G.shape)
    assert choose("auto")(K, rhs, 1e-9, {})[1].relres == np.inf


def test_short_gmres_minimises_the_residual_and_gives_up_early():
    rng = np.random.default_rng(1)
    K = np.eye(40) + 0.1 * rng.standard_normal((40, 40))
    b = rng.standard_normal(40)
    P = np.diag(1.0 / np.diag(K))
    x, k = gmres(lambda v: K @ v, b, 1e-3, 40, lambda v: P @ v)
    space = [P @ b]
    for _ in range(k - 1):
        space.append(P @ (K @ space[-1]))
    V = np.linalg.qr(np.stack(space).T)[0]
    best = np.linalg.norm(b - K @ V @ np.linalg.lstsq(K @ V, b)[0])
    np.testing.assert_allclose(np.linalg.norm(b - K @ x), best, rtol=1e-6)
    assert best <= 1e-3
    assert gmres(lambda v: K @ v, b, 1e-30, 10, lambda v: v)[1] < 10
    assert gmres(lambda v: K @ v, 0.0 * b, 0.0, 10, lambda v: v)[1] == 0
