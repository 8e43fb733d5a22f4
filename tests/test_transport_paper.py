"""The published algorithm, Sinkhorn with sparse Newton iterations, and its parameters.

Iteration counts of X. Tang et al., ICLR 2024, at the same set-ups; counts are
asserted with room, never times.
"""

import itertools

import numpy as np
import pytest

import entropic
from refopt import sinkhorn, sinkhorn_newton, transport_plan
from refopt.problems import assign, transport_instance


def paper(problem, **options):
    options.setdefault("preset", "paper")
    return sinkhorn_newton(problem.C, problem.a, problem.b, reg=problem.reg, **options)


def checked(problem, **options):
    res = paper(problem, **options)
    entropic.assert_solved(res, problem.C, problem.a, problem.b, problem.reg)
    return res


# Claims of the paper


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_assignment_takes_forty_iterations(seed):
    res = checked(assign(500, seed=seed))
    assert res.nit <= 40  # the paper: 20 + 9
    assert res.nsinkhorn == 20


def test_plain_scaling_takes_thousands_of_iterations_there():
    problem = assign(500)
    res = sinkhorn(problem.C, reg=problem.reg, eps_scaling=None, maxiter=3000)
    assert res.status == 1
    assert res.marginal_error > 1e-6


@pytest.mark.parametrize("name", ["digits-l2-20-45", "digits-l2-100-205", "digits-l2-20-45-nobg"])
def test_image_pairs_take_forty_iterations_where_enough_entries_are_kept(name):
    problem = transport_instance(name)
    res = checked(problem, density=30 / 784)
    assert res.nit <= 40


def test_image_pairs_need_more_entries_than_assignment():
    problem = transport_instance("digits-l2-100-205")
    few = paper(problem, density=2 / 784, maxiter=60)
    assert not few.success
    assert few.marginal_error > 1e-6


def test_convergence_is_superlinear_in_the_end():
    errors = checked(assign(500)).history["marginal_error"][20:]
    assert errors[-1] / errors[-2] < 0.05
    assert errors[-1] / errors[-2] < 0.1 * errors[1] / errors[0]


# Parameters


def test_the_preset_is_its_parameters():
    problem = assign(120)
    parts = {"formulation": "dual", "sparsify": "topk", "eps_scaling": None, "warmup": 20}
    one, two = checked(problem), checked(problem, preset=None, **parts)
    np.testing.assert_array_equal(one.x, two.x)
    assert one.nit == two.nit


@pytest.mark.parametrize("warmup", [2, 5, 35])
def test_warmup_is_the_number_of_sinkhorn_iterations(warmup):
    res = paper(assign(120), warmup=warmup, maxiter=60)
    kind = res.history["kind"]
    assert (kind[1 : warmup + 1] == 1).all() and (kind[warmup + 1 :] == 2).all()
    assert res.nsinkhorn == warmup
    assert res.nnewton == res.nit - warmup


def test_the_first_stage_is_sinkhorns_iteration():
    problem = transport_instance("rect-60-40-1e-2")
    seen = []
    paper(problem, warmup=8, maxiter=8, callback=seen.append)
    start = entropic.inner(problem.b, seen[0].g)
    assert abs(start) < 1e-12
    for before, after in itertools.pairwise(seen):
        P = entropic.plan(problem.C, before.f, before.g, problem.reg)
        f = before.f + problem.reg * np.log(problem.a / P.sum(axis=1))
        P = entropic.plan(problem.C, f, before.g, problem.reg)
        g = before.g + problem.reg * np.log(problem.b / P.sum(axis=0))
        np.testing.assert_allclose(
            after.f[:, None] + after.g, f[:, None] + g, rtol=0, atol=1e-12 * np.abs(f).max()
        )


def test_a_newton_step_is_that_of_the_sparsified_hessian():
    # One step from a known point, in dense algebra.
    problem = assign(60, eta=60)
    reg, n, density = problem.reg, 60, 0.1
    seen = []
    res = paper(problem, warmup=12, density=density, maxiter=13, callback=seen.append)
    point, new = seen[-2], seen[-1]
    P = entropic.plan(problem.C, point.f, point.g, reg)
    r, c = P.sum(axis=1), P.sum(axis=0)
    count = int(np.ceil(density * n * n))
    M = np.where(np.sort(P.ravel())[-count] <= P, P, 0)
    H = np.block([[np.diag(r), M], [M.T, np.diag(c)]]) / reg
    step = np.linalg.lstsq(H, np.r_[problem.a - r, problem.b - c], rcond=1e-13)[0]
    alpha = res.history["alpha"][-1]
    moved = (new.f - point.f)[:, None] + (new.g - point.g)
    expected = alpha * (step[:n, None] + step[n:])
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert res.history["nnz"][-1] == np.count_nonzero(M)
    assert res.history["dropped"][-1] == pytest.approx(P.sum() - M.sum(), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (50, 80), (80, 50)])
@pytest.mark.parametrize("formulation", ["dual", "semidual"])
def test_density_is_the_share_of_entries_kept(n, m, formulation):
    rng = np.random.default_rng(0)
    C = rng.random((n, m))
    options = {"formulation": formulation, "sparsify": "topk", "reg": 0.05}
    for density in (None, 0.2, 1.0):
        res = sinkhorn_newton(C, density=density, **options)
        assert res.success
        kept = res.history["nnz"][res.history["kind"] == 2]
        expected = 4 * max(n, m) if density is None else np.ceil(density * n * m)
        assert (kept == expected).all()
        assert res.density == pytest.approx(expected / (n * m))


@pytest.mark.parametrize("formulation", ["dual", "semidual"])
@pytest.mark.parametrize("sparsify", ["safe", "topk", "none"])
@pytest.mark.parametrize("linsolve", ["auto", "cg", "dense"])
def test_every_combination_reaches_the_same_answer(formulation, sparsify, linsolve):
    problem = transport_instance("rect-90-70-1e-2")
    options = {"formulation": formulation, "sparsify": sparsify, "linsolve": linsolve}
    res = checked(problem, preset=None, density=0.3, **options)
    best = sinkhorn_newton(problem.C, problem.a, problem.b, reg=problem.reg, tol=1e-12)
    np.testing.assert_allclose(transport_plan(res), transport_plan(best), rtol=0, atol=1e-9)
    assert res.fun == pytest.approx(best.fun, abs=1e-10)


def test_no_sparsification_drops_nothing_and_converges_in_fewer_steps():
    problem = transport_instance("digits-l2-20-45-nobg")
    full = checked(problem, sparsify="none", preset=None, formulation="dual")
    newton = full.history["kind"] == 2
    assert (full.history["dropped"][newton] <= 1e-12).all()
    assert full.nit <= checked(problem, density=30 / 784).nit


def test_the_history_measures_the_sparsity_of_the_hessian():
    problem = transport_instance("cloud50-300-1e-3")
    res = sinkhorn_newton(problem.C, reg=problem.reg)
    newton = res.history["kind"] == 2
    nnz, dropped = res.history["nnz"][newton], res.history["dropped"][newton]
    assert ((nnz > 0) & (nnz <= 300 * 300)).all()
    assert ((dropped >= 0) & (dropped <= 1)).all()
    assert res.density == nnz[-1] / 300**2
    assert res.density < 0.2  # approximately sparse, as the paper's theory says
    assert dropped[-1] < 1e-4


def test_an_exponent_out_of_range_is_rejected_in_silence():
    # One entry per row and column: systems so bad that steps are enormous.
    rng = np.random.default_rng(1)
    for k in range(20):
        C = 10.0 ** rng.uniform(-3, 7) * rng.standard_normal((40, 12))
        a, b = 10.0 ** rng.uniform(-200, 0, 40), 10.0 ** rng.uniform(-200, 0, 12)
        a[k % 40] = b[k % 12] = 1
        res = sinkhorn_newton(C, a / a.sum(), b / b.sum(), reg=1e-4 * np.ptp(C), preset="paper")
        assert np.isfinite(res.x).all() and np.isfinite(res.fun)
        assert res.status in (0, 1, 3)
