"""Training against perturbations: known optima, and attacks that never exceed the value."""

import itertools
import math

import numpy as np
import pytest

import refopt
from refopt.convex_relu._cone_blocks import ConeBlocks, advance
from refopt.convex_relu._robust import robust_directions
from refopt.convex_relu._robust_norms import DualNorm

XOR = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
XOR_Y = XOR[:, 0] * XOR[:, 1]
RNG = np.random.default_rng(4)


def worst_objective(res, X, y, beta, loss, epsilon, p):
    """By attacks at the corners, or at many angles; the last feature is a bias."""
    if p == 1:
        deltas = epsilon * np.vstack([np.eye(2), -np.eye(2)])
    elif math.isinf(p):
        deltas = epsilon * np.array(list(itertools.product((-1, 1), repeat=2)))
    else:
        angles = np.linspace(0, 2 * np.pi, 2001)
        deltas = epsilon * np.c_[np.cos(angles), np.sin(angles)]
    inside = deltas[:, None, :] * RNG.random((len(deltas), 3, 1))
    deltas = np.concatenate([deltas, inside.reshape(-1, 2)])
    worst = 0.0
    for x, target in zip(X, y, strict=True):
        rows = np.c_[x[:2] + deltas, np.ones(len(deltas))]
        z = np.maximum(rows @ res.W1, 0) @ res.w2
        worst += {
            "squared": 0.5 * (z - target) ** 2,
            "hinge": np.maximum(0, 1 - target * z),
            "logistic": np.logaddexp(0, -target * z),
        }[loss].max()
    return worst + 0.5 * beta * ((res.W1**2).sum() + (res.w2**2).sum())


@pytest.mark.parametrize(
    ("loss", "p", "optimum"),
    [
        ("squared", math.inf, 0.91424445),
        ("hinge", math.inf, 1.0527904),
        ("logistic", math.inf, 2.30550),
        ("squared", 2, 0.86389202),
        ("hinge", 2, 0.98522574),
        ("logistic", 2, 2.2329634),
    ],
)
def test_optima_of_xor_are_known_and_no_attack_exceeds_them(loss, p, optimum):
    res = refopt.fit_convex_relu(
        XOR, XOR_Y, beta=0.3, loss=loss, gate_kind="all", bias=True, epsilon=0.1, p=p, tol=1e-8
    )
    assert res.success and res.gap_kind == "robust-sampled" and res.lower_bound is None
    digits = 1e-5 if (loss, p) == ("logistic", math.inf) else 2e-8 * optimum
    assert res.fun == pytest.approx(optimum, abs=digits)
    worst = worst_objective(res, XOR, XOR_Y, 0.3, loss, 0.1, p)
    assert worst == pytest.approx(res.fun, abs=2e-6)
    assert worst <= res.fun + 1e-9


@pytest.mark.parametrize("p", [1, 2, math.inf])
@pytest.mark.parametrize("loss", ["squared", "hinge", "logistic"])
def test_random_data_reach_small_gaps_and_no_attack_exceeds_the_value(loss, p):
    X = RNG.standard_normal((60, 2))
    y = X[:, 0] + np.abs(X[:, 1])
    y = y if loss == "squared" else np.where(y > np.median(y), 1.0, -1.0)
    res = refopt.fit_convex_relu(
        X, y, beta=0.5, loss=loss, n_gates=30, rng=0, bias=True, epsilon=0.02, p=p, tol=1e-7
    )
    assert res.success and res.nit < 60
    # the certificate again: R_k = sigma_k x_k + h_k is not returned, its value is bounded
    assert 0 <= res.fun - res.dual <= 1e-7 * res.fun
    worst = worst_objective(res, X, y, 0.5, loss, 0.02, p)
    assert res.fun - 1e-4 * res.fun <= worst <= res.fun + 1e-9
    rows, S = np.c_[X, np.ones(60)], 2 * res.patterns[None] - 1
    sizes = np.linalg.norm(res.x[:, :2], {1: np.inf, 2: 2, math.inf: 1}[p], axis=1)
    assert (S * np.einsum("nd,sdp->snp", rows, res.x) >= 0.02 * sizes[:, None] - 1e-12).all()


def test_the_norm_of_attacks_orders_the_values():
    X = RNG.standard_normal((40, 3))
    y = np.sign(X[:, 0] + 0.1)
    options = {"beta": 0.5, "loss": "logistic", "n_gates": 12, "rng": 0, "epsilon": 0.05}
    values = [refopt.fit_convex_relu(X, y, p=p, **options, tol=1e-7) for p in (1, 2, math.inf)]
    assert values[0].fun < values[1].dual and values[1].fun < values[2].dual


def test_features_that_are_not_perturbed_cost_nothing():
    X = RNG.standard_normal((30, 2))
    y = np.abs(X[:, 0])
    options = {"beta": 0.3, "n_gates": 10, "refine": 0, "rng": 0, "tol": 1e-7}
    nominal = refopt.fit_convex_relu(X, y, **options)
    for p in (1, 2, math.inf):
        res = refopt.fit_convex_relu(X, y, **options, epsilon=0.3, p=p, perturb_mask=[False, False])
        assert res.fun == pytest.approx(nominal.fun, rel=3e-7)


def test_larger_attacks_cost_more_and_none_is_the_program_without():
    X = RNG.standard_normal((20, 2))
    y = X[:, 0] + np.abs(X[:, 1])
    options = {"beta": 0.5, "n_gates": 12, "rng": 0, "bias": True, "refine": 0}
    nominal = refopt.fit_convex_relu(X, y, **options, tol=1e-6)
    before = nominal.dual
    for epsilon in (1e-4, 0.02, 0.1):
        res = refopt.fit_convex_relu(X, y, **options, epsilon=epsilon, tol=1e-6)
        assert res.success and res.fun >= before
        assert worst_objective(res, X, y, 0.5, "squared", epsilon, math.inf) <= res.fun + 1e-9
        before = res.dual
        if epsilon == 1e-4:
            assert res.fun == pytest.approx(nominal.fun, rel=2e-3)


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_shrinkage_meets_its_optimality_conditions(p):
    norm = DualNorm(np, p, np.array([1.0, 1, 1, 0]))
    U, t = 3 * RNG.standard_normal((50, 4)), 2 * RNG.random(50)
    V = norm.shrink(U, t)
    H = U - V
    assert (H[:, 3] == 0).all()
    order = {1.0: 1, 2.0: 2, math.inf: np.inf}[p]
    assert (np.linalg.norm(H[:, :3], order, axis=1) <= t + 1e-12).all()
    np.testing.assert_allclose((H * V).sum(1), t * norm(V), atol=1e-12)  # a subgradient


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_directions_have_margins_where_any_has(p):
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    masks = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1]], bool)  # nothing has the last
    on = np.ones(2)
    for epsilon, possible in ((0.1, [True, True, False]), (2.0, [False, False, False])):
        g = robust_directions(np, X, masks, epsilon, p, on)[:, :2]
        assert (g.any(1) == possible).all()
        least = ((2 * masks - 1) * (g @ X.T)).min(1) - epsilon * DualNorm(np, p, on)(g)
        assert (least[possible] > 0).all()


def test_blocks_of_cones_solve_projections():
    # min ||x - c||^2/2 over x >= 0, and over ||x|| <= t with t <= 1 as t's price
    c = RNG.standard_normal((8, 3))

    class Apart:
        def factorise(self, H):
            self.H = H
            return True

        def solve(self, force):
            return [np.linalg.solve(self.H, force[:, :, None])[:, :, 0]]

    A = np.broadcast_to(np.eye(4)[:3], (8, 3, 4))
    y = np.ones((8, 4)) * [1, 1, 1, 2]
    blocks = ConeBlocks(np, y, A, np.zeros((8, 3)), [(3, np.arange(3))], 3, 1.0)
    curvature = np.ones((8, 4)) * [1, 1, 1, 0]
    for _ in range(40):
        gradient = np.c_[blocks.y[:, :3] - c, np.full(8, 0.2)]
        if blocks.products() < 1e-12:
            break
        assert advance(
            [blocks], [gradient - blocks.pull(blocks.z, blocks.duals)], [curvature], Apart()
        )
    x = np.maximum(c, 0)
    size = np.linalg.norm(x, axis=1, keepdims=True)
    expected = np.maximum(1 - 0.2 / np.maximum(size, 1e-300), 0) * x
    np.testing.assert_allclose(blocks.y[:, :3], expected, atol=1e-6)


def test_alternating_directions_do_not_train_against_attacks():
    with pytest.raises(ValueError, match=r"^epsilon must be 0 with method 'admm'"):
        refopt.fit_convex_relu(XOR, XOR_Y, beta=0.3, epsilon=0.1, method="admm")
