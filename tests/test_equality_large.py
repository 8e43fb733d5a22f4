"""Large sparse problems: which solver they go to, and that it changes nothing but the time."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import NonlinearConstraint
from scipy.sparse.linalg import LinearOperator

from refopt import minimize_equality
from refopt.augmented_lagrangian.linear_solvers import KKTSystem, choose
from refopt.augmented_lagrangian.linear_solvers._elimination import (
    ReducedSystem,
    control_structure,
)
from refopt.problems import constrained_logistic_dense, elliptic_control


def scattered(n_states, m, seed=0, dense_hessian=True):
    """G, H with a control for every constraint, the variables in random order."""
    rng = np.random.default_rng(seed)
    A = sparse.random_array((m, n_states), density=0.3, rng=rng) + sparse.eye_array(m, n_states)
    S = sparse.diags_array(rng.choice([-1.0, 1.0], m) * (0.5 + rng.random(m)))
    W = sparse.random_array((n_states, n_states), density=0.2, rng=rng)
    W = W @ W.T + sparse.eye_array(n_states) if dense_hessian else sparse.eye_array(n_states)
    D = sparse.diags_array(0.1 + rng.random(m))
    order = rng.permutation(n_states + m)
    G = sparse.csr_array(sparse.hstack([A, S]))[:, order]
    H = sparse.csr_array(sparse.block_diag([W, D]))[order][:, order]
    return sparse.csr_array(G), sparse.csr_array(H), rng.standard_normal(n_states + 2 * m)


@pytest.mark.parametrize("shape", [(30, 30), (20, 35), (35, 20)])
@pytest.mark.parametrize(("shift", "dc"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.3), (0.2, 0.1)])
@pytest.mark.parametrize("dense_hessian", [True, False])
def test_elimination_solves_the_whole_system(shape, shift, dc, dense_hessian):
    G, H, rhs = scattered(*shape, dense_hessian=dense_hessian)
    system = KKTSystem(H, G, np, shift, dc)
    d, info = choose("auto")(system, rhs, 1e-11, state := {})
    assert state["lin_solver"].startswith("eliminated")
    assert info.inertia == (system.n, system.m)
    expected = np.linalg.solve(system.sparse.toarray(), rhs)
    np.testing.assert_allclose(d, expected, atol=1e-8 * np.abs(expected).max())
    np.testing.assert_allclose(info.again(-rhs), -d, atol=1e-8 * np.abs(expected).max())


def test_the_reduced_matrix_is_the_one_its_products_are_of():
    G, H, _ = scattered(20, 35)
    reduced = ReducedSystem(control_structure(G, H), G, H, 0.3, 0.2)
    products = np.stack([reduced.product(e) for e in np.eye(20)])
    np.testing.assert_allclose(reduced.matrix.toarray(), products, atol=1e-12)


@pytest.mark.parametrize("spoiled", ["coupled", "no control", "zero entry"])
def test_without_a_control_for_every_constraint_nothing_is_eliminated(spoiled):
    G, H, _ = (
        (a.tolil() if sparse.issparse(a) else a) for a in scattered(20, 35, dense_hessian=False)
    )
    single = np.flatnonzero(np.bincount(sparse.csr_array(G).indices, minlength=55) == 1)
    row = int(np.flatnonzero(G[:, [single[0]]].toarray())[0])
    own = [j for j in single if G[row, j] != 0]
    for j in own:
        if spoiled == "coupled":
            H[j, (j + 1) % 55] = H[(j + 1) % 55, j] = 0.1
        elif spoiled == "no control":
            G[(row + 1) % 35, j] = 1.0
        else:
            G[row, j] = 0.0
    assert control_structure(sparse.csr_array(G), sparse.csr_array(H)) is None


def test_negative_curvature_is_told():
    G, H, rhs = scattered(30, 30)
    _, info = choose("auto")(KKTSystem(H, G, np, -1e3), rhs, 1e-8, {})
    assert info.inertia != (60, 30)


@pytest.fixture(scope="module")
def control():
    return elliptic_control(40, gamma=5e-3, cubic=2.0)


def test_control_of_an_elliptic_equation_needs_no_help(control):
    res = minimize_equality(**control.arguments(), tol=1e-9)
    assert res.success and res.lin_solver.startswith("eliminated")
    assert abs(res.fun - control.f_opt) < 1e-5
    assert control.error(res.x) <= 1e-8
    np.testing.assert_allclose(res.multipliers, -control.gamma * res.x[control.m :], atol=1e-8)
    # a factor of the constraint's operator: iterations do not depend on the grid
    assert res.nit <= 7 and res.inner_nit <= 50


@pytest.mark.parametrize("lin_solver", ["direct", "pcg"])
def test_every_way_to_solve_ends_at_the_same_point(control, lin_solver):
    one = minimize_equality(**control.arguments(), tol=1e-9)
    two = minimize_equality(**control.arguments(), tol=1e-9, lin_solver=lin_solver)
    assert two.success
    np.testing.assert_allclose(two.x, one.x, atol=1e-7)


def sine_preconditioner(problem, calls):
    from scipy.fft import dstn

    N = problem.N
    waves = -(2.0 - 2.0 * np.cos(np.pi * np.arange(1, N + 1) / (N + 1))) * ((N + 1) / 2) ** 2
    laplacian = waves[:, None] + waves

    def precond(x, l, system):
        calls.append(system)
        w = x[: problem.m]
        scale = 1.0 + problem.gamma * (laplacian - 3.0 * problem.cubic * (w @ w) / w.size) ** 2

        def apply(r):
            z = dstn(r.reshape(N, N), type=1, norm="ortho") / scale
            return dstn(z, type=1, norm="ortho").ravel()

        return apply

    return precond


def test_a_preconditioner_is_made_once_for_each_newton_system(control):
    calls = []
    res = minimize_equality(
        **control.arguments(), tol=1e-9, precond=sine_preconditioner(control, calls)
    )
    assert res.success and abs(res.fun - control.f_opt) < 1e-5
    assert res.lin_solver == "eliminated, user's preconditioner"
    assert calls == ["reduced"] * res.nit
    assert res.inner_nit < 6 * res.nit


def test_constant_preconditioners_may_be_operators_or_functions(control):
    state = []
    apply = sine_preconditioner(control, state)(control.x0, control.x0[: control.m], "reduced")
    operator = LinearOperator((control.m, control.m), matvec=apply, dtype=float)
    runs = [minimize_equality(**control.arguments(), precond=p) for p in (apply, operator)]
    assert all(res.success for res in runs)
    np.testing.assert_allclose(runs[0].x, runs[1].x, atol=1e-10)
    wrong = LinearOperator((3, 3), matvec=lambda r: r, dtype=float)
    with pytest.raises(ValueError, match=r"precond must have shape \(1600, 1600\), got \(3, 3\)"):
        minimize_equality(**control.arguments(), precond=wrong)


def test_a_preconditioner_may_be_of_single_precision_and_write_into_what_it_gets(control):
    apply = sine_preconditioner(control, [])(control.x0, None, "reduced")

    def rough(r):
        z = apply(r).astype(np.float32)
        r[:] = np.nan
        return z

    one = minimize_equality(**control.arguments(), tol=1e-9, precond=apply)
    two = minimize_equality(**control.arguments(), tol=1e-9, precond=rough)
    assert two.success and two.nit == one.nit
    assert two.inner_nit <= one.inner_nit + 2
    with pytest.raises(ValueError, match=r"precond must return shape \(1600,\), got \(3,\)"):
        minimize_equality(**control.arguments(), precond=lambda r: r[:3])


@pytest.mark.parametrize("name", ["auto", "minres", "pcg"])
def test_the_residual_told_is_that_of_the_whole_system(control, name):
    rng = np.random.default_rng(3)
    x, l = rng.standard_normal(control.n), rng.standard_normal(control.m)
    H, G = control.hess(x, 0.01 * l), control.jac(x)
    if name == "pcg":  # few dense constraints go to projected conjugate gradients
        H, G = H.toarray()[:300, :300], G.toarray()[:20, :300]
    rhs = rng.standard_normal(sum(G.shape))
    system = KKTSystem(H, G, np, shift=0.5)
    d, info = choose(name)(system, rhs, 1e-6, {})
    n = G.shape[1]
    Kd = np.concatenate([H @ d[:n] + 0.5 * d[:n] + G.T @ d[n:], G @ d[:n]])
    np.testing.assert_allclose(
        info.relres, np.linalg.norm(Kd - rhs) / np.linalg.norm(rhs), rtol=1e-3
    )
    np.testing.assert_allclose(info.product, Kd, rtol=1e-9, atol=1e-9 * abs(Kd).max())
    u, Gdx = system.unregularised(info.product, d)
    np.testing.assert_array_equal(Gdx, info.product[n:])
    np.testing.assert_allclose(u, H @ d[:n] + G.T @ d[n:], atol=1e-9 * abs(Kd).max())


@pytest.mark.parametrize("precond", [3, "jacobi"])
def test_what_is_no_preconditioner_is_refused(control, precond):
    with pytest.raises(TypeError, match="precond must be a LinearOperator or callable"):
        minimize_equality(**control.arguments(), precond=precond)


def test_a_chain_without_controls_goes_to_a_sparse_factorisation():
    # min |x - a|^2 / 2 subject to x_i + x_{i+1}^2 = 1
    n = 300
    a = np.linspace(0.0, 1.0, n)

    def jac(x):
        return sparse.diags_array([np.ones(n - 1), 2.0 * x[1:]], offsets=[0, 1], shape=(n - 1, n))

    constraint = NonlinearConstraint(
        lambda x: x[:-1] + x[1:] ** 2 - 1.0, 0.0, 0.0, jac=lambda x: jac(x).tocsr(),
        hess=lambda x, v: sparse.diags_array(np.append(0.0, 2.0 * v)).tocsr(),
    )  # fmt: skip
    res = minimize_equality(
        lambda x: 0.5 * (x - a) @ (x - a), a, jac=lambda x: x - a,
        hess=lambda x: sparse.eye_array(n, format="csr"), constraints=constraint, tol=1e-10,
    )  # fmt: skip
    assert res.success and "sparse" in res.lin_solver
    gL = res.x - a + jac(res.x).T @ res.multipliers
    assert np.abs(gL).max() < 1e-8


def test_products_with_the_hessian_go_to_projected_conjugate_gradients():
    problem = constrained_logistic_dense(500, 40, 0.02, 11)

    def hess(x):
        product = lambda p: problem.hessp_fun(x, np.ravel(p))
        return LinearOperator((40, 40), matvec=product, rmatvec=product, dtype=float)

    res = minimize_equality(**problem.arguments() | {"hess": hess}, tol=1e-9)
    assert res.success and res.lin_solver == "projected cg"
    assert abs(res.fun - problem.f_opt) < 1e-8
