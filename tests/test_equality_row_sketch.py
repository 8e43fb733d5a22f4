"""Hessians that tell their data: a preconditioner from some of the rows."""

from importlib import import_module

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import LinearConstraint

from refopt import minimize_equality
from refopt.augmented_lagrangian._operators import symmetric_operator, total
from refopt.augmented_lagrangian.linear_solvers import KKTSystem
from refopt.augmented_lagrangian.linear_solvers._row_sketch import inverse_of_sketch


def made_of_rows(X, weights, xp=np):
    n = X.shape[1]
    H = symmetric_operator(lambda v: X.T @ (weights * (X @ v.reshape(-1))), n, xp)
    H.rows, H.weights = X, weights
    return H


def scaled_rows(N, n, spread=1e-2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, n)) * np.geomspace(1.0, spread, n), rng.random(N) / N


def system(H):
    return KKTSystem(H, np.ones((1, H.shape[0])), np)


def test_all_rows_of_few_give_the_hessian_itself():
    X, w = scaled_rows(60, 20)
    rest = np.diag(np.linspace(0.0, 1.0, 20))
    whole = total([made_of_rows(X, w), rest])
    inverse = inverse_of_sketch(system(whole), np.random.default_rng(0))
    np.testing.assert_allclose(inverse @ (X.T @ (w[:, None] * X) + rest), np.eye(20), atol=1e-8)


@pytest.mark.parametrize("stored", [np.asarray, sparse.csr_array])
def test_some_rows_of_many_are_near_it(stored):
    X, w = scaled_rows(4000, 20)
    H = made_of_rows(stored(X), w)
    inverse = inverse_of_sketch(system(H), np.random.default_rng(0))
    values = np.linalg.eigvals(inverse @ (X.T @ (w[:, None] * X))).real
    assert values.min() > 0.3
    assert values.max() < 4.0


def test_an_indefinite_rest_is_shifted():
    X, w = scaled_rows(400, 10)
    whole = total([made_of_rows(X, w), np.diag(np.append(-1.0, np.zeros(9)))])
    values = np.linalg.eigvalsh(inverse_of_sketch(system(whole), np.random.default_rng(0)))
    assert values.min() > 0.0


def logistic(xp=np):
    X, _ = scaled_rows(3000, 25, 1e-2)
    rng = np.random.default_rng(1)
    y = xp.asarray(np.where(rng.random(3000) < 1.0 / (1.0 + np.exp(-X.sum(axis=1))), 1.0, -1.0))
    A, X = rng.standard_normal((3, 25)), xp.asarray(X)

    def curvature(x):
        share = 1.0 / (1.0 + xp.exp(X @ x))
        return share * (1.0 - share) / 3000

    A = xp.asarray(A)
    constraint = {"type": "eq", "fun": lambda x: A @ x - 0.1, "jac": lambda x: A}
    if xp is np:
        constraint = LinearConstraint(A, 0.1, 0.1)
    else:
        nonlinear = import_module("scipy.optimize").NonlinearConstraint
        zero = lambda x, v: xp.zeros((25, 25))
        constraint = nonlinear(constraint["fun"], 0.0, 0.0, jac=constraint["jac"], hess=zero)
    return {
        "fun": lambda x: float(xp.log1p(xp.exp(-y * (X @ x))).mean()),
        "jac": lambda x: X.T @ (-y / (1.0 + xp.exp(y * (X @ x)))) / 3000,
        "hess": lambda x: made_of_rows(X, curvature(x), xp),
        "constraints": constraint, "x0": xp.zeros(25), "tol": 1e-9,
    }  # fmt: skip


def test_it_saves_iterations_where_the_hessian_is_badly_conditioned():
    plain = minimize_equality(**logistic(), lin_solver="pcg")
    sketched = minimize_equality(**logistic(), lin_solver="sketched", rng=0)
    again = minimize_equality(**logistic(), lin_solver="sketched", rng=0)
    assert plain.success and sketched.success
    assert sketched.lin_solver == "projected cg, sketched rows"
    assert sketched.history["inner_iters"][-1] < 0.5 * plain.history["inner_iters"][-1]
    np.testing.assert_allclose(sketched.x, plain.x, atol=1e-4)
    np.testing.assert_array_equal(sketched.x, again.x)


def test_on_the_device_the_run_is_that_of_the_host(cupy):
    ours = minimize_equality(**logistic(cupy), lin_solver="sketched", rng=0)
    theirs = minimize_equality(**logistic(), lin_solver="sketched", rng=0)
    assert ours.success and ours.lin_solver == theirs.lin_solver
    np.testing.assert_allclose(ours.x.get(), theirs.x, atol=1e-5)


def test_what_it_needs_is_said():
    given = logistic()
    with pytest.raises(ValueError, match="sketched' needs a hess that returns an operator with"):
        minimize_equality(**given | {"hess": lambda x: np.eye(25)}, lin_solver="sketched")
    with pytest.raises(ValueError, match="precond must be None with lin_solver='sketched'"):
        minimize_equality(**given, lin_solver="sketched", precond=lambda r: r)
