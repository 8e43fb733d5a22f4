"""Entropic transport: what each option of the solvers does, seen from outside."""

import numpy as np
import pytest

import entropic
from refopt import sinkhorn, sinkhorn_newton
from refopt.problems import transport_instance


@pytest.fixture(scope="module")
def problem():
    return transport_instance("rect-200-150-1e-3")


def solve(problem, solver=sinkhorn_newton, **options):
    return solver(problem.C, problem.a, problem.b, reg=problem.reg, **options)


def checked(problem, **options):
    res = solve(problem, **options)
    entropic.assert_solved(res, problem.C, problem.a, problem.b, problem.reg)
    return res


# Continuation in the regularisation


def stages(res):
    """The regularisations of a run, each once, in order."""
    reg = res.history["reg"]
    return reg[np.r_[True, np.diff(reg) != 0]]


@pytest.mark.parametrize("solver", [sinkhorn, sinkhorn_newton])
def test_the_ladder_comes_down_from_a_twentieth_of_the_spread(problem, solver):
    reg = stages(solve(problem, solver, maxiter=2000))
    spread = np.ptp(problem.C)
    assert reg[0] == pytest.approx(0.05 * spread)
    assert reg[-1] == problem.reg
    assert len(reg) > 3 and (np.diff(reg) < 0).all()


@pytest.mark.parametrize("ratio", [2.0, 5, 100.0])
def test_eps_scaling_is_the_ratio_between_stages(problem, ratio):
    reg = stages(solve(problem, sinkhorn, maxiter=5000, eps_scaling=ratio))
    steps = reg[:-1] / reg[1:]
    np.testing.assert_allclose(steps[:-1], ratio, rtol=1e-12)
    assert steps[-1] <= ratio * (1 + 1e-12)


@pytest.mark.parametrize("solver", [sinkhorn, sinkhorn_newton])
def test_without_continuation_there_is_one_stage(problem, solver):
    assert stages(solve(problem, solver, maxiter=50, eps_scaling=None)).tolist() == [problem.reg]


def test_a_start_or_a_large_reg_needs_no_continuation(problem):
    res = checked(problem)
    assert stages(solve(problem, x0=res.x)).tolist() == [problem.reg]
    large = 0.1 * np.ptp(problem.C)
    res = sinkhorn_newton(problem.C, problem.a, problem.b, reg=large)
    assert stages(res).tolist() == [large]


def test_continuation_saves_iterations_where_reg_is_small():
    small = transport_instance("cloud2-200-1e-4")
    with_it = sinkhorn_newton(small.C, reg=small.reg)
    without = sinkhorn_newton(small.C, reg=small.reg, eps_scaling=None)
    assert with_it.success
    assert with_it.nit < without.nit or not without.success


# Newton steps


def test_warmup_is_the_number_of_sinkhorn_iterations_of_a_stage(problem):
    res = checked(problem, warmup=3, eps_scaling=None)
    assert (res.history["kind"][1:4] == 1).all()
    assert res.nsinkhorn >= 3
    res = checked(problem, warmup=0, eps_scaling=None)
    assert res.history["kind"][1] == 2


def test_a_higher_threshold_keeps_fewer_entries(problem):
    kept = []
    for threshold in (1e-4, 0.03, 1.0):
        res = checked(problem, threshold=threshold, eps_scaling=None)
        newton = res.history["kind"] == 2
        kept.append(res.history["nnz"][newton][0])
    assert kept[0] >= kept[1] >= kept[2] and kept[0] > kept[2]


def test_no_sparsification_keeps_what_is_above_nothing(problem):
    res = checked(problem, sparsify="none")
    newton = res.history["kind"] == 2
    assert (res.history["dropped"][newton] <= 1e-5).all()  # a pass may be in single precision


def test_linear_systems_are_solved_the_way_that_is_asked(problem):
    dense = checked(problem, linsolve="dense")
    assert dense.ncg == 0 and dense.nfactor == dense.nnewton > 0
    cg = checked(problem, linsolve="cg")
    assert cg.nfactor == 0 and cg.ncg == cg.history["ncg"].sum() > 0
    np.testing.assert_allclose(dense.f, cg.f, rtol=0, atol=1e-7)


def test_conjugate_gradients_that_give_up_are_replaced_by_a_factorisation(problem):
    res = checked(problem, cg_maxiter=2)
    assert res.nfactor > 0
    given_up = solve(problem, cg_maxiter=2, linsolve="cg")
    assert given_up.nfactor == 0
    assert (given_up.history["ncg"] <= 2).all()
    assert np.isfinite(given_up.x).all()


def test_counts_of_effort_add_up(problem):
    res = checked(problem)
    kind = res.history["kind"]
    assert res.nnewton == (kind == 2).sum()
    assert res.nsinkhorn >= (kind == 1).sum()
    assert res.nit == kind.size - 1
    assert res.nfev <= 2 * res.nit + 60  # a step seldom takes a second pass


@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-12])
def test_the_tolerance_is_met_and_not_by_far(problem, tol):
    res = solve(problem, tol=tol)
    entropic.assert_solved(res, problem.C, problem.a, problem.b, problem.reg, tol=tol)
    rough = solve(problem, sinkhorn, tol=1e-3, maxiter=20_000)
    assert 1e-4 < rough.marginal_error <= 1e-3


def test_the_tolerance_is_relative_to_the_mass(problem):
    one = solve(problem, sinkhorn, tol=1e-4, maxiter=20_000)
    mass = 1e6
    two = sinkhorn(
        problem.C, mass * problem.a, mass * problem.b, reg=problem.reg, tol=1e-4, maxiter=20_000
    )
    assert abs(two.nit - one.nit) <= 1
    assert two.marginal_error == pytest.approx(mass * one.marginal_error, rel=0.1)
