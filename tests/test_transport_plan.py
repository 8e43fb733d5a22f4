"""What is done with a solution: plans, products, rounding, gradients, copies."""

import copy
import pickle

import numpy as np
import pytest

import entropic
from refopt import (
    PointCloudCost,
    ot_gradients,
    plan_matvec,
    round_to_polytope,
    sinkhorn,
    sinkhorn_newton,
    transport_plan,
)
from refopt.problems import rect, transport_instance

REG = 0.03


def random_problem(n, m, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, m)), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))


# Shapes on both sides of the exchange of sides, with and without mass to drop or scale.
CASES = {
    "plain": {},
    "many rows": {"shape": (70, 20)},
    "many columns": {"shape": (15, 60)},
    "Fortran": {"order": "F"},
    "zero masses": {"zeros": True},
    "mass 50": {"mass": 50.0},
    "all at once": {"shape": (15, 60), "zeros": True, "mass": 1e-3, "forbidden": True},
    "forbidden pairs": {"forbidden": True},
    "large": {"shape": (90, 80), "zeros": True},
}


@pytest.fixture(params=CASES)
def solved(request):
    """A result with its cost and masses."""
    case = {"shape": (25, 30), "order": "C", "zeros": False, "mass": 1.0, "forbidden": False}
    case |= CASES[request.param]
    C, a, b = random_problem(*case["shape"])
    if case["forbidden"]:
        C[np.random.default_rng(1).random(C.shape) < 0.2] = np.inf
        C[:, 3] = C[4, :] = 0.5
        a[4], b[3] = 3, 3
    if case["zeros"]:
        a[[1, 7]] = b[[0, 9]] = 0
    a, b = case["mass"] * a / a.sum(), case["mass"] * b / b.sum()
    res = sinkhorn_newton(np.asarray(C, order=case["order"]), a, b, reg=REG)
    entropic.assert_solved(res, C, a, b, REG)
    return res, C, a, b


def test_the_plan_is_its_formula(solved):
    res, C, a, b = solved
    P = transport_plan(res)
    np.testing.assert_allclose(P, entropic.plan(C, res.f, res.g, REG), rtol=1e-11, atol=1e-300)
    assert P.shape == C.shape and P.dtype == np.float64
    assert not P[np.isinf(C)].any() and not P[a == 0].any() and not P[:, b == 0].any()


def test_the_sparse_plan_is_the_dense_one(solved):
    res, _, a, b = solved
    P, S = transport_plan(res), transport_plan(res, sparse=True)
    assert S.shape == P.shape
    np.testing.assert_allclose(S.toarray(), P, rtol=1e-9, atol=1e-290)
    drop = 1e-3
    few = transport_plan(res, sparse=True, drop=drop)
    large = P > drop * np.minimum(a[:, None], b)
    np.testing.assert_allclose(few.toarray(), np.where(large, P, 0), rtol=1e-9)
    assert few.nnz == large.sum() < S.nnz or large.all()


def test_products_need_no_plan(solved):
    res, C, _, _ = solved
    P = transport_plan(res)
    rng = np.random.default_rng(2)
    n, m = C.shape
    for shape, transpose in (((m,), False), ((m, 3), False), ((n,), True), ((n, 2), True)):
        V = rng.standard_normal(shape)
        expected = (P.T if transpose else P) @ V
        scale = np.abs(P).sum()
        product = plan_matvec(res, V, transpose=transpose)
        np.testing.assert_allclose(product, expected, rtol=0, atol=1e-13 * scale * np.abs(V).max())
        np.testing.assert_array_equal(plan_matvec(res, V.tolist(), transpose=transpose), product)


def test_rounding_makes_the_marginals_exact(solved):
    res, C, a, b = solved
    P = transport_plan(res)
    Q = round_to_polytope(P, a, b)
    mass = a.sum()
    assert (Q >= 0).all()
    np.testing.assert_allclose(Q.sum(axis=1), a, rtol=1e-13, atol=1e-15 * mass)
    np.testing.assert_allclose(Q.sum(axis=0), b, rtol=1e-13, atol=1e-15 * mass)
    assert np.abs(Q - P).sum() <= 2 * res.marginal_error + 1e-13 * mass
    if np.isfinite(C).all():
        assert res.primal == pytest.approx(entropic.primal(C, Q, REG), rel=1e-12)
    # rounding may put a little mass where no pair is allowed; it counts as none there
    noise = 1e-12 if np.isfinite(C).all() else 1e-8
    assert -noise * mass <= res.gap <= 1e-7 * mass


@pytest.mark.parametrize("kind", ["zeros", "too much", "too little", "one entry"])
def test_any_plan_can_be_rounded(kind):
    rng = np.random.default_rng(3)
    P, a, b = rng.random((6, 5)), rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(5))
    P = {
        "zeros": 0 * P,
        "too much": 10 * P,
        "too little": 1e-3 * P,
        "one entry": np.eye(6, 5) * (P > 0.5),
    }[kind]
    before = P.copy()
    Q = round_to_polytope(P, a, b)
    np.testing.assert_array_equal(P, before)
    np.testing.assert_allclose(Q.sum(axis=1), a, rtol=1e-13)
    np.testing.assert_allclose(Q.sum(axis=0), b, rtol=1e-13)
    error = np.abs(P.sum(axis=1) - a).sum() + np.abs(P.sum(axis=0) - b).sum()
    assert np.abs(Q - P).sum() <= 2 * error + 1e-13


def test_a_plan_with_the_right_marginals_stays():
    _, a, b = random_problem(6, 5)
    P = np.outer(a, b)
    np.testing.assert_allclose(round_to_polytope(P, a, b), P, rtol=1e-13)


def test_the_gap_of_a_bad_plan_is_a_bound():
    problem = rect(40, 30, 1e-3)
    best = sinkhorn_newton(problem.C, problem.a, problem.b, reg=problem.reg, tol=1e-12)
    for maxiter in (0, 3, 10, 40):
        options = {"reg": problem.reg, "maxiter": maxiter, "tol": 0}
        rough = sinkhorn(problem.C, problem.a, problem.b, eps_scaling=None, **options)
        assert rough.fun <= best.fun + 1e-12 <= rough.primal + 2e-12
        assert rough.gap >= best.gap - 1e-12


# Gradients


@pytest.mark.parametrize("mass", [1.0, 7.0])
def test_gradients_in_the_masses(mass):
    C, a, b = random_problem(8, 6)
    a, b = mass * a, mass * b
    options = {"reg": 0.2, "tol": 1e-14}
    gradient = ot_gradients(sinkhorn_newton(C, a, b, **options))
    assert set(gradient) == {"a", "b"}
    rng = np.random.default_rng(4)
    for _ in range(4):
        u, v = rng.standard_normal(8), rng.standard_normal(6)
        u, v, h = u - u.mean(), v - v.mean(), 1e-4 * mass
        # of the primal value, for which sum(P) is data: D + reg sum P stays, reg s changes not
        values = [
            sinkhorn_newton(C, a + t * h * u, b + t * h * v, **options).fun for t in (-2, -1, 1, 2)
        ]
        numeric = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * h)
        assert gradient["a"] @ u + gradient["b"] @ v == pytest.approx(numeric, rel=1e-6)


def test_gradients_in_the_cost():
    C, a, b = random_problem(8, 6)
    options = {"reg": 0.2, "tol": 1e-14}
    gradient = ot_gradients(sinkhorn_newton(C, a, b, **options), "C")["C"]
    E = np.random.default_rng(5).standard_normal(C.shape)
    h = 1e-4
    up, down = (sinkhorn_newton(C + t * h * E, a, b, **options).fun for t in (1, -1))
    assert np.sum(gradient * E) == pytest.approx((up - down) / (2 * h), rel=1e-7)


@pytest.mark.parametrize("shape", [(9, 7), (5, 30)])
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_gradients_in_the_points(shape, scale):
    n, m = shape
    rng = np.random.default_rng(6)
    X, Y = rng.random((n, 2)), rng.random((m, 2))
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))

    def value(X, Y):
        C = PointCloudCost(X, Y, scale=scale)
        return sinkhorn_newton(C, a, b, reg=0.1, tol=1e-14)

    gradient = ot_gradients(value(X, Y), ("X", "Y"))
    assert gradient["X"].shape == X.shape and gradient["Y"].shape == Y.shape
    U, V, h = rng.standard_normal(X.shape), rng.standard_normal(Y.shape), 1e-4
    numeric = (value(X + h * U, Y + h * V).fun - value(X - h * U, Y - h * V).fun) / (2 * h)
    exact = np.sum(gradient["X"] * U) + np.sum(gradient["Y"] * V)
    assert exact == pytest.approx(numeric, rel=1e-6)


def test_gradients_are_copies_and_minus_infinity_where_mass_may_grow_from_nothing():
    C, a, b = random_problem(8, 6)
    a[2] = 0
    res = sinkhorn_newton(C, a / a.sum(), b, reg=0.1)
    gradient = ot_gradients(res, ("a", "b"))
    assert gradient["a"][2] == -np.inf
    gradient["a"][:] = 0
    gradient["b"][:] = 0
    assert res.f.any() and res.g.any()


# Results


def test_results_can_be_pickled_and_copied(solved):
    res, C, a, b = solved
    for twin in (pickle.loads(pickle.dumps(res)), copy.deepcopy(res), copy.copy(res)):
        assert type(twin) is type(res)
        np.testing.assert_array_equal(twin.x, res.x)
        np.testing.assert_array_equal(transport_plan(twin), transport_plan(res))
        assert twin.gap == res.gap
        entropic.assert_solved(twin, C, a, b, REG)


def test_a_result_does_not_depend_on_what_becomes_of_the_input():
    C, a, b = random_problem(12, 10)
    X = np.random.default_rng(7).random((12, 2))
    stored = sinkhorn_newton(C, a, b, reg=REG)
    lazy = sinkhorn_newton(PointCloudCost(X, X[:10]), a, b, reg=REG)
    before = stored.f.copy(), lazy.f.copy(), stored.fun
    a[:] = b[:] = 1
    np.testing.assert_array_equal(stored.f, before[0])
    np.testing.assert_array_equal(lazy.f, before[1])
    assert stored.fun == before[2]


def test_a_result_prints_its_essentials():
    res = sinkhorn_newton(*random_problem(4, 3), reg=REG)
    text = repr(res)
    for word in ("fun", "success", "marginal_error", "message"):
        assert word in text
    assert "primal" in dir(type(res)) and "gap" in dir(type(res))


def test_the_barycentric_projection_of_a_small_regularisation_is_the_assignment():
    problem = transport_instance("cloud2-150-1e-5")
    res = sinkhorn_newton(problem.C, reg=problem.reg)
    from scipy.optimize import linear_sum_assignment

    _, columns = linear_sum_assignment(problem.C)
    image = 150 * plan_matvec(res, problem.Y)
    assert np.median(np.abs(image - problem.Y[columns])) < 1e-6
