"""Entropic transport: ascent, derivatives, duality and the Newton matrix, each by its formula."""

import numpy as np
import pytest

import entropic
from refopt import (
    lyapunov,
    marginal_error,
    round_to_polytope,
    sinkhorn,
    sinkhorn_newton,
    transport_plan,
)
from refopt.problems import transport_instance
from refopt_backends import resolve


def kl(p, q):
    """Generalised Kullback-Leibler divergence."""
    return np.sum(p * np.log(p / q) - p + q)


# Ascent


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("assign-500", {}),
        ("assign-500", {"eps_scaling": None}),
        ("digits-l1-100-205", {}),
        ("digits-l2-20-45-nobg", {}),
        ("digits-l2-20-45-nobg", {"eps_scaling": None}),
        ("cloud2-800-1e-5", {}),
        ("cloud50-800-1e-4", {}),
        ("rect-600-350-1e-3", {}),
        ("rect-600-350-1e-3", {"sparsify": "none"}),
        ("cloud2-200-1e-3", {"sparsify": "topk", "density": 0.05}),
        ("cloud2-200-1e-3", {"linsolve": "dense"}),
    ],
)
def test_every_iteration_raises_the_dual_function(name, options):
    problem = transport_instance(name)
    res = sinkhorn_newton(problem.C, problem.a, problem.b, reg=problem.reg, **options)
    reg, fun, err = (res.history[key] for key in ("reg", "fun", "marginal_error"))
    # Far from the answer a pass may leave out entries and digits that matter little there.
    size = np.abs(problem.C).max()
    slack = np.where(err[:-1] > 1e-3, 1e-3 * reg[:-1] + 1e-6 * size, 1e-10 * reg[:-1])
    same_stage = reg[1:] == reg[:-1]
    assert same_stage.sum() > 5
    assert (np.diff(fun) >= -slack - 1e-13 * size)[same_stage].all()


def test_newton_steps_gain_what_armijo_asks_and_record_their_length():
    problem = transport_instance("digits-l1-20-45")
    history = sinkhorn_newton(problem.C, problem.a, problem.b, reg=problem.reg).history
    alpha, kind = history["alpha"], history["kind"]
    assert set(kind) == {0, 1, 2}
    assert (alpha >= 0).all()
    assert (alpha[kind == 2] == 1).mean() > 0.3  # the unit step is the rule
    assert (np.diff(history["reg"]) <= 0).all()
    assert history["reg"][-1] == problem.reg


def test_a_sinkhorn_iteration_gains_reg_times_the_divergences_of_its_marginals():
    rng = np.random.default_rng(0)
    n, m, reg = 30, 20, 0.05
    C, a, b = rng.random((n, m)), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    points = []

    def keep(intermediate_result):
        points.append(intermediate_result)

    res = sinkhorn(C, a, b, reg=reg, eps_scaling=None, maxiter=25, tol=0, callback=keep)
    values = [lyapunov(p.f, p.g, C, a, b, reg) for p in points]
    np.testing.assert_allclose(values, res.history["fun"][1:], rtol=0, atol=1e-14)
    for before, after, gain in zip(points, points[1:], np.diff(values), strict=False):
        P = entropic.plan(C, before.f, before.g, reg)
        np.testing.assert_allclose(P.sum(axis=1), a, rtol=1e-12)
        c = P.sum(axis=0)
        half = before.g + reg * np.log(b / c)
        g_gain = lyapunov(before.f, half, C, a, b, reg) - lyapunov(before.f, before.g, C, a, b, reg)
        assert g_gain == pytest.approx(reg * kl(b, c), abs=1e-14)
        r = entropic.plan(C, before.f, half, reg).sum(axis=1)
        assert gain == pytest.approx(reg * (kl(b, c) + kl(a, r)), abs=2e-14)
        np.testing.assert_allclose(np.ptp(after.g - half), 0, atol=1e-13)


# The dual function


@pytest.fixture
def point():
    """A cost, unequal masses and potentials away from the solution."""
    rng = np.random.default_rng(1)
    n, m, reg = 6, 5, 0.3
    C, a, b = rng.random((n, m)), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    f, g = 0.2 * rng.standard_normal(n) - 0.5, 0.2 * rng.standard_normal(m)
    return C, a, b, reg, f, g


def test_the_dual_function_and_the_error_are_their_formulas(point):
    C, a, b, reg, f, g = point
    expected = entropic.dual(C, a, b, f, g, reg)
    assert lyapunov(f, g, C, a, b, reg) == pytest.approx(expected, rel=1e-13)
    expected = entropic.marginal_error(C, a, b, f, g, reg)
    assert marginal_error(f, g, C, a, b, reg) == pytest.approx(expected, rel=1e-13)


def test_the_papers_potential_differs_by_reg_times_the_mass(point):
    C, a, b, reg, f, g = point
    x, y, eta = f + reg, g, 1 / reg
    theirs = -np.exp(eta * (x[:, None] + y - C) - 1).sum() / eta + a @ x + b @ y
    assert theirs == pytest.approx(lyapunov(f, g, C, a, b, reg) + reg * a.sum(), rel=1e-13)


def test_the_gradient_is_what_the_marginals_lack(point):
    C, a, b, reg, f, g = point
    P = entropic.plan(C, f, g, reg)
    gradient = np.concatenate([a - P.sum(axis=1), b - P.sum(axis=0)])

    def D(z):
        return lyapunov(z[: f.size], z[f.size :], C, a, b, reg)

    z, h = np.concatenate([f, g]), 1e-3
    for k, slope in enumerate(gradient):  # five-point differences, error h^4
        e = h * (np.arange(z.size) == k)
        numeric = (8 * (D(z + e) - D(z - e)) - (D(z + 2 * e) - D(z - 2 * e))) / (12 * h)
        assert slope == pytest.approx(numeric, abs=1e-8)


def test_the_hessian_is_minus_the_plan_in_blocks_over_reg(point):
    C, a, b, reg, f, g = point
    P = entropic.plan(C, f, g, reg)
    hessian = -np.block([[np.diag(P.sum(axis=1)), P], [P.T, np.diag(P.sum(axis=0))]]) / reg

    def D(z):
        return lyapunov(z[: f.size], z[f.size :], C, a, b, reg)

    z, h = np.concatenate([f, g]), 2e-3
    rng = np.random.default_rng(2)
    for d in rng.standard_normal((10, z.size)):
        d = d / np.linalg.norm(d)
        near = D(z + h * d) - 2 * D(z) + D(z - h * d)
        far = D(z + 2 * h * d) - 2 * D(z) + D(z - 2 * h * d)
        numeric = (16 * near - far) / (12 * h**2)
        assert d @ hessian @ d == pytest.approx(numeric, rel=1e-5, abs=1e-7)
    gauge = np.r_[np.ones(f.size), -np.ones(g.size)]
    np.testing.assert_allclose(hessian @ gauge, 0, atol=1e-14)


def test_potentials_without_mass_take_no_part():
    C = np.array([[0.0, 1.0], [2.0, 0.5], [1.0, 1.0]])
    a, b = np.array([0.4, 0.0, 0.6]), np.array([0.5, 0.5])
    f, g = np.array([0.1, -np.inf, 0.2]), np.array([0.0, 0.3])
    with_it = lyapunov(f, g, C, a, b, 0.2)
    assert with_it == pytest.approx(lyapunov(f[::2], g, C[::2], a[::2], b, 0.2), rel=1e-14)
    assert np.isfinite(marginal_error(f, g, C, a, b, 0.2))


# Duality


@pytest.mark.parametrize("name", ["assign-300", "digits-l2-20-45-nobg", "cloud2-300-1e-4"])
def test_primal_and_dual_values_enclose_the_optimum(name):
    problem = transport_instance(name)
    C, a, b, reg = problem.C, problem.a, problem.b, problem.reg
    res = sinkhorn_newton(C, a, b, reg=reg)
    P = round_to_polytope(transport_plan(res), a, b)
    size = np.abs(C).max()
    assert res.primal == pytest.approx(entropic.primal(C, P, reg), abs=1e-12 * size)
    assert res.gap == res.primal - res.fun
    assert -1e-12 * size <= res.gap <= 1e-8 * size


def test_a_rough_answer_says_so_by_its_gap():
    problem = transport_instance("cloud2-300-1e-3")
    gaps = [
        sinkhorn(problem.C, reg=problem.reg, tol=tol, maxiter=50_000).gap
        for tol in (1e-2, 1e-4, 1e-6)
    ]
    assert gaps[0] > gaps[1] > gaps[2] >= 0
    exact = sinkhorn_newton(problem.C, reg=problem.reg)
    rough = sinkhorn(problem.C, reg=problem.reg, tol=1e-2)
    assert rough.fun <= exact.fun + 1e-12 and exact.fun <= rough.primal + 1e-12


def test_no_potentials_exceed_and_no_plan_undercuts_the_optimum(point):
    C, a, b, reg, _, _ = point
    best = sinkhorn_newton(C, a, b, reg=reg, tol=1e-13)
    rng = np.random.default_rng(3)
    for _ in range(50):
        f = best.f + 0.1 * rng.standard_normal(a.size)
        g = best.g + 0.1 * rng.standard_normal(b.size)
        assert lyapunov(f, g, C, a, b, reg) < best.fun
        P = round_to_polytope(entropic.plan(C, f, g, reg), a, b)
        assert entropic.primal(C, P, reg) > best.fun


# The Newton matrix in Laplacian form


@pytest.fixture(params=["numpy", "numba"])
def newton(request):
    """The kernels, a plan with P1 = a, and S for a threshold and shift as a dense matrix."""

    class Newton:
        kernels = resolve(backend=request.param)[1]
        # Numba keeps the weights of the rows in single precision.
        rounding = 1e-13 if request.param == "numpy" else 1e-6

        def __init__(self, seed, spread=1.0, n=40, m=25, reg=0.05):
            rng = np.random.default_rng(seed)
            self.C = spread * rng.random((n, m))
            self.a, self.b = rng.dirichlet(np.full(n, 0.3)) + 1e-12, rng.dirichlet(np.ones(m))
            self.reg, self.m = reg, m
            g = 0.1 * rng.standard_normal(m)
            self.f, self.c = self.kernels.semidual_pass((self.C,), g, self.a, reg)
            self.P = entropic.plan(self.C, self.f, g, reg)
            tiny = 1e-250
            floors = np.full(n, tiny), np.full(m, tiny)
            args = (self.C,), self.f, g, reg, *floors, n * m
            self.entries = self.kernels.select_entries(*args)

        def matrix(self, threshold, shift):
            args = self.entries, self.a, self.b, self.c, threshold, shift
            return self.kernels.newton_matrix(*args)

        def dense(self, matrix):
            columns = [self.kernels.newton_product(matrix, e) for e in np.eye(self.m)]
            return np.stack(columns, axis=1)

        @property
        def exact(self):
            return np.diag(self.c) - self.P.T @ (self.P / self.a[:, None])

    return Newton


def test_with_every_entry_it_is_the_schur_complement(newton):
    case = newton(0)
    S = case.dense(case.matrix(0.0, np.zeros(case.m)))
    np.testing.assert_allclose(S, case.exact, rtol=0, atol=case.rounding * case.c.max())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spread", [1.0, 20.0])
def test_it_is_a_laplacian_plus_a_diagonal_for_every_threshold(newton, seed, spread):
    case = newton(seed, spread)
    rng = np.random.default_rng(seed)
    threshold = 10 ** rng.uniform(-6, 0.3)
    shift = 1e-8 * case.c
    matrix = case.matrix(threshold, shift)
    S = case.dense(matrix)
    scale = case.c.max()
    np.testing.assert_allclose(S, S.T, rtol=0, atol=max(1e-15, 0.1 * case.rounding) * scale)
    least = np.linalg.eigvalsh(0.5 * (S + S.T)).min()
    assert least >= (-1e-15 if case.rounding < 1e-9 else -1e-8) * scale
    np.testing.assert_allclose(S.sum(axis=1), matrix.extra, rtol=0, atol=case.rounding * scale)
    np.testing.assert_allclose(np.diag(S), matrix.diagonal, rtol=1e-5, atol=1e-15 * scale)
    off_diagonal = S - np.diag(np.diag(S))
    assert (off_diagonal <= 1e-16 * scale).all()
    # what is dropped lies on the diagonal, column by column
    kept = case.P > threshold * np.minimum(case.a[:, None], case.b)
    dropped = np.where(kept, 0.0, case.P).sum(axis=0)
    np.testing.assert_allclose(matrix.extra, dropped + shift, rtol=1e-9, atol=1e-14 * scale)
    assert matrix.dropped == pytest.approx(dropped.sum(), abs=1e-13)
    assert matrix.nnz == kept.sum()


@pytest.mark.parametrize("seed", range(5))
def test_the_error_of_truncation_is_bounded(newton, seed):
    case = newton(seed)
    threshold = 10 ** np.random.default_rng(seed).uniform(-3, 0)
    S = case.dense(case.matrix(threshold, np.zeros(case.m)))
    kept = case.P > threshold * np.minimum(case.a[:, None], case.b)
    u = np.where(kept, 0.0, case.P).sum(axis=1) / case.a
    dropped = np.where(kept, 0.0, case.P).sum(axis=0)
    bound = (2 * (np.where(kept, case.P, 0.0) * u[:, None]).sum(axis=0) + dropped).max()
    assert dropped.sum() > 0
    error = np.abs(S - case.exact).sum(axis=1).max()
    assert error <= bound * (1 + 1e-9) + case.rounding * case.c.max()


def test_both_solvers_of_the_newton_system_solve_it(newton):
    case = newton(1, spread=3.0)
    matrix = case.matrix(1e-4, 1e-6 * case.c)
    rhs = np.random.default_rng(4).standard_normal(case.m)
    rhs -= rhs.mean()
    d, iterations, converged = case.kernels.newton_cg(matrix, rhs, 1e-10, 500)
    assert converged and 0 < iterations <= 500
    for solution in (d, case.kernels.newton_dense(matrix, rhs)):
        residual = case.kernels.newton_product(matrix, solution) - rhs
        assert np.abs(residual).max() <= 1e-5 * np.abs(rhs).max()
    _, iterations, converged = case.kernels.newton_cg(matrix, rhs, 1e-14, 2)
    assert not converged and iterations == 2
