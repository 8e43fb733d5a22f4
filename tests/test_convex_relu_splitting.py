"""Alternating directions: exact linear systems and proximal maps, and the same optima."""

import numpy as np
import pytest

import refopt
from refopt.convex_relu import _paper_admm
from refopt.convex_relu._cones import central_directions
from refopt.convex_relu._paper_admm import paper_admm
from refopt.convex_relu._program import LOSSES, Program, columns
from refopt.convex_relu._proximal_losses import PROXIMAL
from refopt.convex_relu._rbcd import BlockDescent
from refopt.convex_relu._u_steps import Cholesky, ConjugateGradients, Sylvester, Woodbury
from refopt_backends import resolve

RNG = np.random.default_rng(2)
X = RNG.standard_normal((25, 3))
Y = np.where(X[:, 0] * X[:, 1] > 0, 1.0, -1.0)
D = X @ RNG.standard_normal((3, 7)) >= 0
D = D[:, D.any(0)]


def program(sides, loss="squared"):
    xp, kernels = resolve(X, backend="numpy")
    of, sign = columns(np, sides)
    return Program(xp, kernels, X, Y, 0.3, LOSSES[loss](), D.T.copy(), of, sign)


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize("u_step", [Woodbury, ConjugateGradients, Cholesky, Sylvester])
def test_u_steps_solve_the_dense_system(u_step, one_sided):
    P = D.shape[1]
    sides = np.arange(2 * P).reshape(2, P) % 3 > 0 if one_sided else np.ones((2, P), bool)
    p, eta, kappa = program(sides), 0.7, 1.3
    F = np.hstack([s * D[:, [i]] * X for i, s in zip(p.of, p.sign, strict=True)])
    C = p.of.size
    coupling = F.T @ F
    if u_step is Sylvester:  # the copy is Q, whose Gram matrix has identities for X'X
        coupling = np.kron(p.signed @ p.signed.T, np.eye(3))
    A = np.kron(np.eye(C), np.eye(3) + eta * X.T @ X) + kappa * coupling
    R = RNG.standard_normal((C, 3))
    system = u_step(p, eta, kappa)
    for _ in range(2):  # the second from where the first ended
        U = system.solve(R)
        expected = np.linalg.solve(A, R.ravel())
        np.testing.assert_allclose(U.ravel(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("g", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("name", ["Squared", "Logistic", "Hinge"])
def test_proximal_maps_meet_their_optimality_conditions(name, g):
    q, y = 5 * RNG.standard_normal(200), np.where(RNG.random(200) < 0.5, 1.0, -1.0)
    z = PROXIMAL[name](np, q, y, g)
    r = (q - z) / g
    if name == "Squared":
        np.testing.assert_allclose(r, z - y, atol=1e-12)
    elif name == "Logistic":
        np.testing.assert_allclose(r, -y / (1 + np.exp(y * z)), atol=1e-11)
    else:
        t, m = -y * r, y * z
        assert (t >= -1e-12).all() and (t <= 1 + 1e-12).all()
        assert (np.abs(t[m < 1 - 1e-9] - 1) < 1e-9).all() and (np.abs(t[m > 1 + 1e-9]) < 1e-9).all()


@pytest.mark.parametrize("loss", ["squared", "logistic", "hinge"])
def test_both_methods_have_one_optimum(loss):
    options = {"beta": 0.5, "loss": loss, "gates": D}
    exact = refopt.fit_convex_relu(X, Y, **options, tol=1e-9)
    tol = 3e-3 if loss == "hinge" else 1e-4  # corners of the hinge are slow
    split = refopt.fit_convex_relu(X, Y, **options, method="admm", tol=tol)
    assert split.success and split.violation <= 1e-12
    assert split.dual <= exact.fun_convex * (1 + 1e-9)
    assert exact.dual <= split.fun_convex
    assert split.fun_convex == pytest.approx(exact.fun_convex, rel=1.1 * tol)


def test_a_fixed_penalty_and_no_relaxation_converge_too():
    res = refopt.fit_convex_relu(
        X, Y, beta=0.5, gates=D, method="admm", rho=20.0, relax=1.0, adapt_rho=False, tol=1e-3
    )
    assert res.success and set(res.history["mu"]) == {20.0}


@pytest.mark.parametrize(
    ("gamma", "u_step"),
    [(1.0, Woodbury), (0.5, Woodbury), (1.0, ConjugateGradients), (1.0, Cholesky)],
)
def test_the_papers_iteration_is_that_of_its_dense_system(gamma, u_step):
    p, rho, beta = program(np.ones((2, D.shape[1]), bool)), 2.0, 0.3
    C, (n, d) = p.of.size, X.shape
    F = np.hstack([s * D[:, [i]] * X for i, s in zip(p.of, p.sign, strict=True)])
    G = np.zeros((C * n, C * d))
    for j, i in enumerate(p.of):
        G[j * n : (j + 1) * n, j * d : (j + 1) * d] = (2.0 * D[:, [i]] - 1) * X
    A = np.eye(C * d) + F.T @ F / rho + G.T @ G
    v, lam, s, nu = np.zeros(C * d), np.zeros(C * d), np.zeros(C * n), np.zeros(C * n)
    best = np.inf
    run = paper_admm(p, central_directions(np, X, p.masks)[0], u_step, rho=rho, gamma_ratio=gamma)
    next(run)
    for _ in range(30):
        u = np.linalg.solve(A, F.T @ Y / rho + v - lam + G.T @ (s - nu))
        groups = (u + lam).reshape(C, d)
        sizes = np.linalg.norm(groups, axis=1, keepdims=True)
        v = (np.maximum(1 - beta / rho / sizes, 0) * groups).ravel()
        s = np.maximum(G @ u + nu, 0)
        lam, nu = lam + gamma * (u - v), nu + gamma * (G @ u - s)
        iterate = next(run)
        local = run.gi_frame.f_locals
        np.testing.assert_allclose(local["v"].ravel(), v, atol=1e-10)
        np.testing.assert_allclose(local["nu"].ravel(), nu, atol=1e-10)
        assert iterate.fun <= best
        best = iterate.fun
    assert iterate.record["dual"] <= best


def test_newtons_method_and_blocks_solve_the_papers_subproblem(monkeypatch):
    p, rho = program(np.ones((2, D.shape[1]), bool), "logistic"), 2.0
    B, start = RNG.standard_normal((p.of.size, 3)), np.zeros((p.of.size, 3))
    monkeypatch.setattr(_paper_admm, "_FIRST", 1e-11)
    U, z = _paper_admm._Newton(p, rho).solve(B, start)
    np.testing.assert_allclose(z, p.apply(U), atol=1e-12)
    K = np.eye(3) + X.T @ X
    np.testing.assert_allclose(p.pull(p.loss.gradient(z, Y)) + rho * (U @ K - B), 0, atol=1e-9)
    for block in (1, 3):
        descent = BlockDescent(p, rho, np.random.default_rng(0), block=block, threshold=1e-16)
        blocks, image = descent.solve(B, start)
        np.testing.assert_allclose(blocks, U, atol=1e-5)
        np.testing.assert_allclose(image, p.apply(blocks), atol=1e-12)
        assert not start.any()


@pytest.mark.parametrize(
    ("loss", "u_solver"),
    [("squared", "auto"), ("squared", "rbcd"), ("logistic", "pcg"), ("logistic", "rbcd")],
)
def test_the_papers_preset_reaches_the_optimum(loss, u_solver):
    options = {"beta": 0.5, "gates": D, "loss": loss}
    exact = refopt.fit_convex_relu(X, Y, **options, tol=1e-9)
    res = refopt.fit_convex_relu(
        X, Y, **options, method="admm", splitting="paper", u_solver=u_solver, rho=2.0, tol=3e-2,
        maxiter=300, rng=0,
    )  # fmt: skip
    assert res.success and res.fun_convex == pytest.approx(exact.fun_convex, rel=3.3e-2)
    history = res.history
    assert history["primal_residual"][-1] < 0.1 * history["primal_residual"][1]
    # the network of an iterate needs no feasibility, and may lie below the program's optimum
    assert history["net"][0] == pytest.approx(history["fun"][0])
    assert history["net"][-1] < history["fun"][0]


@pytest.mark.parametrize("u_solver", ["woodbury", "pcg", "cholesky"])
def test_all_solvers_of_the_system_make_one_iteration(u_solver):
    options = {"beta": 0.5, "gates": D, "method": "admm", "maxiter": 10, "tol": 0.0}
    res = refopt.fit_convex_relu(X, Y, **options, u_solver=u_solver)
    again = refopt.fit_convex_relu(X, Y, **options, u_solver="woodbury")
    np.testing.assert_allclose(res.history["fun"], again.history["fun"], rtol=1e-8)
    assert set(res.history) >= {"net", "primal_residual", "dual_residual"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"loss": "hinge"}, "splitting must be 'consensus' for the hinge loss"),
        ({"method": "interior-point"}, "splitting must be 'consensus' unless method is 'admm'"),
        ({"u_solver": "sylvester"}, "u_solver must be one of auto, woodbury, cholesky, pcg, rbcd"),
        ({"loss": "logistic", "u_solver": "woodbury"}, "u_solver must be one of auto, pcg, rbcd"),
        ({"splitting": "consensus", "u_solver": "rbcd"}, "u_solver must be another unless"),
        ({"splitting": "consensus", "u_solver": "lu"}, "u_solver must be one of"),
        ({"eta": 1.0}, "eta must not be given with splitting 'paper'"),
    ],
)
def test_the_papers_preset_refuses_what_it_has_not(change, text):
    options = {"beta": 1.0, "method": "admm", "splitting": "paper"} | change
    with pytest.raises(ValueError, match=f"^{text}"):
        refopt.fit_convex_relu(X, Y, **options)
