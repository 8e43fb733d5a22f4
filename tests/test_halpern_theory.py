"""What the theory of Halpern's iteration and of its variance-reduced kin promises."""

import itertools
import math

import numpy as np
import pytest

import refopt
from refopt.halpern import AffineVI, BilinearGame, RowLinear
from refopt.halpern._page import paper_anchor, paper_probability
from refopt.problems import ouyang_xu, policeman_burglar, row_sum
from refopt.proximal import Product, project_box, project_simplex


def _rotation(angle):
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def at(res, epochs):
    """The residual at the first point known after so many epochs."""
    history = res.history
    return history["residual"][np.searchsorted(history["nfev"], epochs)]


# The classical iteration


@pytest.mark.parametrize("seed", range(6))
def test_lieders_bound_holds_at_every_step(seed):
    rng = np.random.default_rng(seed)
    if seed % 2:  # an orthogonal map and a projection: nonexpansive, fixed point 0
        Q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
        T = lambda x: np.clip(Q @ x, -2, 0.5)
    else:
        turn = _rotation(rng.uniform(0.01, 3))
        T = lambda x: turn @ x
    x0 = rng.standard_normal(6 if seed % 2 else 2)
    for restart in (None, "adaptive"):
        res = refopt.halpern_fixed_point(T, x0, tol=0.0, maxiter=300, restart=restart)
        k = np.arange(1, res.history["residual"].size)
        if restart is None:
            bound = 2 * np.linalg.norm(x0) / (k + 1)
            assert np.all(res.history["residual"][1:] <= bound * (1 + 1e-12))
        np.testing.assert_allclose(res.residual, np.linalg.norm(res.x - T(res.x)), atol=1e-150)


@pytest.mark.parametrize("k", [1, 5, 10, 50])
def test_lieders_bound_is_attained_by_a_rotation(k):
    turn = _rotation(math.pi / (k + 1))
    res = refopt.halpern_fixed_point(lambda x: turn @ x, [1.0, 0.0], tol=0.0, maxiter=k)
    np.testing.assert_allclose(res.history["residual"][k], 2 / (k + 1), rtol=1e-12)


def test_the_reflected_iteration_of_a_projection_stays_nonexpansive():
    rng = np.random.default_rng(0)
    x0 = rng.standard_normal(40)
    res = refopt.halpern_fixed_point(project_simplex, x0, reflected=True, tol=1e-3)
    assert res.success
    distance = np.linalg.norm(x0 - project_simplex(x0))
    # |x - R x| = 2 |x - T x| for the reflection R, which Lieder's bound is for
    k = np.arange(1, res.history["residual"].size)
    assert np.all(res.history["residual"][1:] <= distance / (k + 1) * (1 + 1e-9))


def test_a_custom_anchor_and_a_fixed_period():
    seen = []
    turn = _rotation(0.1)
    res = refopt.halpern_fixed_point(
        lambda x: turn @ x, [1.0, 0.0], anchor=lambda k: seen.append(k) or 1 / (k + 2),
        restart=7, tol=0.0, maxiter=20,
    )  # fmt: skip
    assert seen[:9] == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    assert res.nrestart == 2


# PAGE


LINEAR = AffineVI(
    np.array([[3.0, 1, 0, 0], [-1, 2, 0, 1], [0, 0, 1, 0], [0, -1, 0, 2]]), np.ones(4)
)


def test_one_component_gives_the_deterministic_iteration_exactly():
    F = AffineVI(LINEAR.M, LINEAR.q, [[0, 1, 2, 3]])
    res = refopt.vr_halpern(F, np.ones(4), restart=None, tol=0.0, maxiter=30, rng=0, L=6.0)
    u0, u = np.ones(4), np.ones(4)
    for k in range(30):
        lam = paper_anchor(k)
        u = lam * u0 + (1 - lam) * u - F.full(u) / 6.0
    residuals = res.history["residual"]
    np.testing.assert_allclose(residuals[30], np.linalg.norm(F.full(u)), rtol=1e-12)
    assert res.ncomp == 31 + 1  # and the recomputed residual


@pytest.mark.parametrize("options", [{"batch_size": 40}, {"prob": 1.0}])
def test_full_batches_and_certain_renewal_are_deterministic(options):
    F = row_sum(40, 3).operator()
    options = {"sampling": "uniform", "restart": None, "tol": 0.0, "maxiter": 25} | options
    one, two = (refopt.vr_halpern(F, np.zeros(6), rng=seed, **options) for seed in (0, 1))
    np.testing.assert_array_equal(one.history["residual"], two.history["residual"])
    assert one.history["nfev"][-1] == 26


def test_the_probabilities_of_renewal_are_the_papers():
    n = 500
    p = paper_probability(n)
    root = math.sqrt(n)
    assert p(0) == p(1) == 1.0
    for k in range(2, 100):
        expected = 4 / (k + 4) if k - 1 <= root else 4 / (root + 5)
        np.testing.assert_allclose(p(k), expected, rtol=1e-15)


@pytest.mark.parametrize("b", [1, 2, 3])
def test_the_estimator_is_unbiased_over_all_batches(b):
    rng = np.random.default_rng(1)
    u, v = rng.standard_normal((2, 4))
    batches = [np.array(batch) for batch in itertools.combinations(range(4), b)]
    mean = np.mean([LINEAR.batch_diff(u, v, index) for index in batches], axis=0)
    np.testing.assert_allclose(LINEAR.full(v) + mean, LINEAR.full(u), atol=1e-14)


@pytest.mark.parametrize("operator", [LINEAR, row_sum(12, 2).operator(), BilinearGame(np.eye(3))])
def test_a_batch_of_all_components_is_exact(operator):
    rng = np.random.default_rng(2)
    u, v = rng.standard_normal((2, operator.shape[0]))
    change = operator.batch_diff(u, v, np.arange(operator.n))
    np.testing.assert_allclose(change, operator.full(u) - operator.full(v), atol=1e-14)
    np.testing.assert_allclose(
        operator.batch(u, np.arange(operator.n)), operator.full(u), atol=1e-14
    )


def test_importance_sampling_is_unbiased():
    rng = np.random.default_rng(3)
    for F in (LINEAR, RowLinear(rng.standard_normal((7, 3)), rng.standard_normal((7, 2)))):
        u, v = rng.standard_normal((2, F.shape[0]))
        q = F.weights
        parts = [
            q[i] * F.batch_diff(u, v, np.array([i]), np.array([1 / (F.n * q[i])]))
            for i in range(F.n)
        ]
        np.testing.assert_allclose(sum(parts), F.full(u) - F.full(v), atol=1e-13)


def test_importance_sampling_of_a_game_is_unbiased_over_pairs():
    rng = np.random.default_rng(4)
    A = rng.standard_normal((4, 3))
    A[1] = 0.0
    F = BilinearGame(A)
    (m, q), (n, s) = F.laws("importance")
    assert q[1] == 0.0
    u, v = rng.standard_normal((2, 7))
    total = 0.0
    for i, j in itertools.product(np.flatnonzero(q), range(n)):
        weights = np.array([[1 / (m * q[i]), 1 / (n * s[j])]])
        total = total + q[i] * s[j] * F.batch_diff(u, v, np.array([[i, j]]), weights)
    np.testing.assert_allclose(total, F.full(u) - F.full(v), atol=1e-13)


# Constants


def test_constants_hold_for_random_displacements():
    rng = np.random.default_rng(5)
    rows = RowLinear(rng.standard_normal((30, 3)), rng.standard_normal((30, 4)), mu=0.1)
    game = BilinearGame(rng.standard_normal((6, 6)))
    affine = ouyang_xu(8).operator()
    for F, cocoercive in ((rows, True), (game, False), (affine, False)):
        for law in ("uniform", "importance"):
            L = F.lipschitz(law)
            for _ in range(20):
                u, v = rng.standard_normal((2, F.shape[0]))
                mean = _mean_square(F, u, v, law)
                change = F.full(u) - F.full(v)
                bound = L * change @ (u - v) if cocoercive else L**2 * (u - v) @ (u - v)
                assert mean <= bound * (1 + 1e-9)
                assert np.linalg.norm(change) <= F.lipschitz("full") * np.linalg.norm(u - v)


def _mean_square(F, u, v, law):
    """E |F_i(u) - F_i(v)|^2 over one index, or one pair."""
    laws = F.laws(law)
    choices = itertools.product(*(range(size) for size, _ in laws))
    total = 0.0
    for index in choices:
        q = [1 / size if p is None else p[i] for i, (size, p) in zip(index, laws, strict=True)]
        if not all(q):
            continue
        factors = [[1 / (size * p) for (size, _), p in zip(laws, q, strict=True)]]
        index, factors = np.array([index]), np.array(factors)
        if len(laws) == 1:
            index, factors = index[:, 0], factors[:, 0]
        change = F.batch_diff(u, v, index, factors)
        total += math.prod(q) * change @ change
    return total


def test_the_constants_of_the_worst_case_program():
    problem = ouyang_xu(200)
    F = problem.operator()
    np.testing.assert_allclose(F.lipschitz("full"), 0.80898, rtol=0.02)
    assert F.lipschitz("uniform") <= 8.292
    np.testing.assert_allclose(np.linalg.norm(problem.solution), 1639.13, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(problem.fun(problem.start)), 3.5444, rtol=1e-4)
    u = np.random.default_rng(0).standard_normal(400)
    np.testing.assert_allclose(F.full(u), problem.fun(u), rtol=0, atol=1e-14)
    np.testing.assert_allclose(problem.fun(problem.solution), 0, atol=1e-10)


# Rates


@pytest.mark.parametrize("eta", [1 / 8, 1 / 2, 0.9])
def test_the_residual_of_anchored_extragradient_falls_as_1_over_k(eta):
    F = lambda u: np.array([u[1], -u[0]])
    res = refopt.solve_vi(
        F, [1.0, 0.0], method="eag", step=eta, restart=None, tol=0.0, maxiter=1000, maxfev=1e9
    )
    for k in (10, 100, 1000):
        assert k * res.history["residual"][k] < 10


@pytest.mark.parametrize(
    ("epochs", "expected"), [(500, 7.2e-2), pytest.param(2000, 2.2e-2, marks=pytest.mark.slow)]
)
def test_the_order_of_the_papers_first_experiment(epochs, expected):
    n = 500
    A = policeman_burglar(n, seed=1)
    prox = Product([(slice(0, n), project_simplex), (slice(n, 2 * n), project_simplex)])
    size, spread = np.linalg.norm(A, 2), np.linalg.norm(A)
    np.testing.assert_allclose([size, spread], [492.33, 493.07], rtol=1e-4)
    start = np.full(2 * n, 1 / n)
    shared = {"prox": prox, "tol": 0.0, "restart": None, "rng": 0, "sampling": "uniform"}
    game = BilinearGame(A)
    eag = refopt.solve_vi(game, start, method="eag", step=5 / size, maxfev=epochs + 10, **shared)
    page = refopt.vr_halpern(game, start, step=5 / spread, maxfev=epochs + 10, **shared)
    np.testing.assert_allclose(eag.history["residual"][0], 0.2141, rtol=1e-3)
    np.testing.assert_allclose(at(eag, epochs), expected, rtol=0.1)
    assert at(page, epochs) < 0.75 * at(eag, epochs)


def second_experiment(epochs, *methods):
    """Residuals of the paper's quadratic program after so many epochs, at the authors' steps."""
    problem = ouyang_xu(200)
    options = {"tol": 1e-14, "maxfev": epochs + 10}
    runs = {
        "eg": {"method": "eg", "step": 0.5},
        "eag": {"method": "eag", "step": 0.3, "restart": None},
        "eag, longer step": {"method": "eag", "step": 0.9 / 0.80898, "restart": None},
        "eag, restarted": {"method": "eag", "step": 0.95 / 0.80898},
    }
    found = {
        name: at(refopt.solve_vi(problem.fun, problem.start, **runs[name], **options), epochs)
        for name in methods
    }
    page = refopt.vr_halpern(
        problem.operator(), problem.start, step=0.3, sampling="uniform", restart=None, rng=0,
        backend="numba", **options,
    )  # fmt: skip
    return found | {"page": at(page, epochs)}


def test_the_order_of_the_papers_second_experiment():
    found = second_experiment(5_000, "eg", "eag")
    assert found["page"] < found["eag"] / 2 < found["eg"] / 2


@pytest.mark.slow
def test_the_order_of_the_papers_second_experiment_in_the_long_run():
    names = "eg", "eag", "eag, longer step", "eag, restarted"
    found = second_experiment(40_000, *names)
    assert found["eg"] > 2.5 and found["eag, longer step"] < 0.1
    assert found["page"] <= found["eag"]
    assert found["eag, restarted"] <= found["eag"] / 1000
    assert found["eag, restarted"] <= found["page"] / 100


def test_one_component_at_a_time_beats_whole_evaluations_tenfold():
    F = row_sum(8000, 20, decay=1.0, seed=32).operator()
    z, options = np.zeros(40), {"tol": 1e-3, "maxfev": 1500}
    svrg = refopt.solve_vi(F, z, method="l-svrg", rng=0, **options)
    assert svrg.success
    for method in ("forward", "eg", "eag", "forb", "popov", "fbf"):
        other = refopt.solve_vi(F, z, method=method, **{**options, "maxfev": 10 * svrg.nfev})
        assert not other.success, method


def test_gains_grow_with_the_number_of_components():
    """The square root of n shows in Algorithm 1, where it can: against the same iteration."""
    gains = []
    for n in (200, 5_000):
        F = row_sum(n, 24).operator()
        L = 1.01 * _cocoercivity(F)
        options = {"tol": 1e-2, "restart": None, "maxfev": 4000}
        page = refopt.vr_halpern(F, np.zeros(48), rng=0, **options)
        whole = refopt.vr_halpern(
            F, np.zeros(48), prob=1.0, step=1 / L, anchor=lambda k: 1 / (k + 2), **options
        )
        gains.append(whole.nfev / page.nfev)
    assert gains[1] > 2 * gains[0] and gains[1] > 1.5, gains


def _cocoercivity(F):
    """The least L with |M z|^2 <= L z'Mz for the mean M of a row sum."""
    d = F.shape[0]
    M = np.stack([F.full(e) - F.full(0 * e) for e in np.eye(d)], axis=1)
    S = np.linalg.cholesky((M + M.T) / 2)
    return np.linalg.norm(np.linalg.solve(S, M.T), 2) ** 2


def test_l_svrg_keeps_to_a_box():
    F = row_sum(300, 4, decay=1.0).operator()
    prox = lambda v: project_box(v, -0.5, 0.5)
    res = refopt.solve_vi(F, np.zeros(8), prox=prox, method="l-svrg", rng=0)
    g = F.full(res.x)
    assert res.success and abs(res.x).max() <= 0.5
    np.testing.assert_allclose(np.clip(res.x - g, -0.5, 0.5), res.x, atol=1e-6)
