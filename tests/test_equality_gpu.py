"""minimize_equality on CuPy arrays: the same run as on the host's."""

from importlib import import_module

import numpy as np
import pytest
from scipy.sparse import csr_array

import refopt
from refopt.augmented_lagrangian.linear_solvers import KKTSystem, _eliminated, choose
from refopt.problems import constrained_logistic_dense, elliptic_control
from refopt_backends import sine_transform


def test_the_run_is_that_of_the_host(cupy):
    results = []
    for xp in (cupy, np):
        A = xp.asarray(np.diag([1.0, 2.0, 5.0, 9.0]) + 0.1)
        sphere = {"type": "eq", "fun": lambda x: x @ x - 1.0, "jac": lambda x: 2.0 * x}
        results.append(
            refopt.minimize_equality(
                lambda x, A=A: x @ A @ x,
                xp.asarray([0.9, 0.4, 0.3, 0.1]),
                jac=lambda x, A=A: 2.0 * (A @ x),
                constraints=sphere,
            )
        )
    ours, theirs = results
    assert ours.success and ours.backend == "cupy" and ours.nit == theirs.nit
    np.testing.assert_allclose(ours.x.get(), theirs.x, rtol=0, atol=1e-8)


def on_device(problem, cupy):
    """A problem's arguments with device arrays in and out."""
    sparse = import_module("cupyx.scipy.sparse")

    def moved(function):
        def there(*args):
            value = function(*(a.get() for a in args))
            if hasattr(value, "indptr"):
                return sparse.csr_matrix(tuple(map(cupy.asarray, parts(value))), shape=value.shape)
            return cupy.asarray(value) if isinstance(value, np.ndarray) else value

        return there

    def parts(A):
        return A.data, A.indices, A.indptr

    given = problem.arguments()
    c = given["constraints"]
    constraint = type(c)(moved(c.fun), c.lb, c.ub, jac=moved(c.jac), hess=moved(c.hess))
    functions = {name: moved(given[name]) for name in ("fun", "jac", "hess")}
    return functions | {"x0": cupy.asarray(problem.x0), "constraints": constraint}


def compared(problem, cupy, **options):
    """The run on the device, after it was compared with that on the host."""
    theirs = refopt.minimize_equality(**problem.arguments(), tol=1e-9, **options)
    ours = refopt.minimize_equality(**on_device(problem, cupy), tol=1e-9, **options)
    assert ours.success and type(ours.x) is cupy.ndarray and type(ours.multipliers) is cupy.ndarray
    assert ours.lin_solver == theirs.lin_solver and abs(ours.nit - theirs.nit) <= 1
    np.testing.assert_allclose(ours.x.get(), theirs.x, atol=1e-6)
    np.testing.assert_allclose(ours.multipliers.get(), theirs.multipliers, atol=1e-6)
    return ours


@pytest.mark.parametrize("N", [15, 16])  # sine transforms, products with sines
def test_control_of_an_elliptic_equation(cupy, N):
    res = compared(elliptic_control(N), cupy)
    assert res.lin_solver == "eliminated, separable operator"


def test_a_factor_on_the_device(cupy, monkeypatch):
    monkeypatch.setattr(_eliminated, "separable", lambda reduced: None)
    assert compared(elliptic_control(12), cupy).lin_solver == "eliminated, matched factor"


def test_a_preconditioner_of_sine_transforms(cupy):
    problem = elliptic_control(15)
    waves = -(2 - 2 * np.cos(np.pi * np.arange(1, 16) / 16)) * 8**2
    inverse = 1 / (1 + problem.gamma * (waves[:, None] + waves) ** 2)

    def precond(r):
        there = cupy.asarray(inverse) if isinstance(r, cupy.ndarray) else inverse
        return sine_transform(there * sine_transform(r.reshape(15, 15))).ravel()

    assert compared(problem, cupy, precond=precond).lin_solver.endswith("user's preconditioner")


def test_a_factor_of_the_whole_sparse_matrix(cupy):
    assert compared(elliptic_control(11), cupy, lin_solver="direct").lin_solver == "sparse direct"


@pytest.mark.parametrize("lin_solver", ["auto", "minres"])
def test_sparse_systems_without_structure(cupy, lin_solver):
    sparse = import_module("cupyx.scipy.sparse")
    rng = np.random.default_rng(0)
    A, G = rng.standard_normal((40, 40)), rng.standard_normal((15, 40))
    H = sparse.csr_matrix(cupy.asarray(A @ A.T / 40 + np.eye(40)))
    solve, rhs = choose(lin_solver), cupy.asarray(rng.standard_normal(55))
    names = []
    for factor in (1.0, 1.01):
        K = KKTSystem(factor * H, sparse.csr_matrix(cupy.asarray(G)), cupy, 0.1, 0.0)
        d, info = solve(K, rhs, 1e-6, state := {})
        names.append(state["lin_solver"])
        assert info.relres <= 1e-5
        expected = np.linalg.solve(K.sparse.toarray().get(), rhs.get())
        np.testing.assert_allclose(d.get(), expected, atol=1e-4)
    if lin_solver == "auto":
        assert names == ["sparse direct", "frozen sparse factor"]


def test_products_with_the_hessian(cupy):
    diagonal = cupy.asarray([1.0, 2.0, 3.0])
    res = refopt.minimize_equality(
        lambda x: float(0.5 * (x * diagonal) @ x), cupy.asarray([1.0, 1.0, 1.0]),
        jac=lambda x: diagonal * x, hessp=lambda x, p: diagonal * p,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1.0, "jac": lambda x: 0.0 * x + 1.0},
    )  # fmt: skip
    assert res.success
    np.testing.assert_allclose(res.x.get(), np.array([6.0, 3.0, 2.0]) / 11.0, atol=1e-8)


def test_few_dense_constraints_by_projected_conjugate_gradients(cupy):
    compared(constrained_logistic_dense(500, 40, 0.02, 11), cupy, lin_solver="pcg")


def test_what_is_not_offered_is_named(cupy):
    linalg = import_module("cupyx.scipy.sparse.linalg")
    x0 = cupy.asarray(np.ones(3))

    def solve(jac, count=1):
        c = {"type": "eq", "fun": lambda x: x[:1] - 1.0, "jac": lambda x: jac}
        return refopt.minimize_equality(
            lambda x: float(x @ x), x0, jac=lambda x: 2.0 * x, constraints=[c] * count
        )

    with pytest.raises(TypeError, match=r"jac must return arrays, .* of CuPy, got SciPy's csr_"):
        solve(csr_array([[1.0, 0.0, 0.0]]))
    row = linalg.LinearOperator((1, 3), matvec=lambda v: v[:1], rmatvec=lambda u: u, dtype=float)
    with pytest.raises(TypeError, match="constraints must return CSR matrices, not operators"):
        solve(row, 2)
