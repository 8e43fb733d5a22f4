"""Operators on grids: found from the sparsity pattern, and inverted by transforms."""

import numpy as np
import pytest
import scipy.optimize
from scipy import sparse

from refopt import minimize_equality
from refopt.augmented_lagrangian.linear_solvers import KKTSystem, _eliminated, choose
from refopt.augmented_lagrangian.linear_solvers._elimination import (
    ReducedSystem,
    control_structure,
)
from refopt.augmented_lagrangian.linear_solvers._separable import (
    grid_shape,
    separable,
)
from refopt.problems import elliptic_control


def second_differences(n, *, stretched=False, insulated=False):
    """-T_k: of equal or of growing cells, with zero or with no flow at the far end."""
    flow = np.linspace(1.0, 2.0, n + 1) if stretched else np.ones(n + 1)
    flow[-1] *= not insulated
    return sparse.diags_array(
        [flow[1:-1], -flow[:-1] - flow[1:], flow[1:-1]], offsets=[-1, 0, 1], shape=(n, n)
    )


def kronecker_sum(sides):
    total = sparse.csr_array((1, 1))
    for T in sides:
        total = sparse.kron(total, sparse.eye_array(T.shape[0])) + sparse.kron(
            sparse.eye_array(total.shape[0]), T
        )
    return sparse.csr_array(total)


def reduced_system(A, gamma=0.01):
    m = A.shape[0]
    G = sparse.csr_array(sparse.hstack([A, sparse.eye_array(m)]))
    H = sparse.csr_array(sparse.diags_array(np.append(np.ones(m), np.broadcast_to(gamma, m))))
    return ReducedSystem(control_structure(G, H), G, H, 0.0, 0.0), G, H


GRIDS = {
    "sine transforms": ((8, 11), {}),
    "sines": ((7, 12), {}),
    "three sides": ((5, 6, 7), {}),
    "growing cells": ((9, 6), {"stretched": True}),
    "insulated": ((6, 5, 4), {"insulated": True}),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_sum_of_one_dimensional_operators_is_inverted_exactly(name):
    shape, kind = GRIDS[name]
    A = kronecker_sum([second_differences(n, **kind) for n in shape])
    reduced, _, _ = reduced_system(A)
    precondition = separable(reduced)
    r = np.random.default_rng(0).standard_normal(A.shape[0])
    before = r.copy()
    np.testing.assert_allclose(reduced.product(precondition(r)), r, atol=1e-4)
    np.testing.assert_array_equal(r, before)
    for size in (1e-60, 1e60):  # beyond single precision
        np.testing.assert_allclose(precondition(size * r) / size, precondition(r), rtol=1e-2)


def test_the_grid_is_seen_in_the_pattern():
    A = kronecker_sum([second_differences(n) for n in (4, 6, 5)])
    assert grid_shape(A) == (4, 6, 5)
    inside = np.setdiff1d(np.arange(120), [7, 8, 9])
    assert grid_shape(A[inside][:, inside]) is None  # a grid with a hole
    assert grid_shape(sparse.csr_array(second_differences(9))) is None  # a chain is factorised
    ring = sparse.csr_array(second_differences(12)).tolil()
    ring[0, 11] = ring[11, 0] = 1.0
    assert grid_shape(sparse.csr_array(kronecker_sum([ring, second_differences(4)]))) is None


@pytest.mark.parametrize("spoil", ["coefficients", "flow", "weights"])
def test_what_is_far_from_such_a_sum_is_not_taken_for_one(spoil):
    A = kronecker_sum([second_differences(n) for n in (8, 8)])
    if spoil == "coefficients":
        scale = sparse.diags_array(np.repeat([1.0, 2.5], 32))
        A = sparse.csr_array(scale @ A @ scale)
    if spoil == "flow":  # one direction only
        A = sparse.csr_array(A + 4.0 * sparse.triu(A, 1))
    gamma = np.linspace(0.1, 10.0, 64) if spoil == "weights" else 0.01
    assert separable(reduced_system(A, gamma)[0]) is None


def varying(n, contrast):
    """-div(a grad) on a square with coefficients 1 to `contrast` on the edges of the grid."""
    rng = np.random.default_rng(1)
    A = kronecker_sum([second_differences(n) for _ in range(2)]).tocoo()
    upper = A.coords[0] < A.coords[1]
    edges = rng.uniform(1.0, contrast, np.count_nonzero(upper))
    E = sparse.csr_array((edges, (A.coords[0][upper], A.coords[1][upper])), shape=A.shape)
    E = E + E.T
    return sparse.csr_array(E - sparse.diags_array(np.asarray(E.sum(axis=1)).ravel() + 0.1))


@pytest.mark.parametrize("few", [30, 2])
def test_a_factor_takes_the_place_of_transforms_that_take_many_iterations(monkeypatch, few):
    monkeypatch.setattr(_eliminated, "FEW", few)
    _, G, H = reduced_system(varying(20, 1.8))
    solve, state = choose("auto"), {}
    system = KKTSystem(H, G, np)
    rhs = np.random.default_rng(2).standard_normal(sum(G.shape))
    for _ in range(2):
        d, info = solve(system, rhs, 1e-8, state)
        np.testing.assert_allclose(system.matvec(d), rhs, atol=1e-6)
        assert info.inertia == (system.n, system.m)
    name = "separable operator" if few == 30 else "matched factor"
    assert state["lin_solver"] == f"eliminated, {name}"


def test_negative_curvature_is_told_by_transforms_as_well():
    _, G, H = reduced_system(kronecker_sum([second_differences(n) for n in (8, 9)]))
    H.data[:3] = -10.0
    _, info = choose("auto")(KKTSystem(H, G, np), np.ones(sum(G.shape)), 1e-8, {})
    assert info.inertia == (2 * 72 - 1, 72 + 1)


@pytest.mark.parametrize("N", [40, 47])
def test_elliptic_control_takes_no_factor(N, monkeypatch):
    problem = elliptic_control(N, gamma=5e-3, cubic=2.0)
    res = minimize_equality(**problem.arguments(), tol=1e-9)
    assert res.success and res.lin_solver == "eliminated, separable operator"
    monkeypatch.setattr(_eliminated, "separable", lambda reduced: None)
    other = minimize_equality(**problem.arguments(), tol=1e-9)
    assert other.lin_solver == "eliminated, matched factor"
    np.testing.assert_allclose(res.x, other.x, atol=1e-7)


def test_sparse_derivatives_come_through_scipy():
    given = elliptic_control(31).arguments()
    ours = minimize_equality(**given, tol=1e-9)
    res = scipy.optimize.minimize(
        given.pop("fun"), given.pop("x0"), **given, method=minimize_equality, tol=1e-9
    )
    assert res.success and res.lin_solver == "eliminated, separable operator"
    np.testing.assert_array_equal(res.x, ours.x)
