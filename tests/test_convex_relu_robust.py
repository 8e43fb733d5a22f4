"""Training against perturbations: known optima, and attacks that never exceed the value."""

import itertools
import math

import numpy as np
import pytest

import refopt
from refopt.convex_relu._robust_norms import DualNorm, margin_projection

XOR = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
XOR_Y = XOR[:, 0] * XOR[:, 1]
RNG = np.random.default_rng(4)


def worst_objective(res, X, y, beta, loss, epsilon, p):
    """By attacks at the corners, or at many angles; the last feature is a bias."""
    if math.isinf(p):
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
    tol = 8e-2 if loss == "hinge" else 3e-3  # corners of the hinge are slow
    res = refopt.fit_convex_relu(
        XOR, XOR_Y, beta=0.3, loss=loss, gate_kind="all", bias=True, epsilon=0.1, p=p, tol=tol
    )
    assert res.success and res.gap_kind == "robust-sampled" and res.lower_bound is None
    assert res.dual <= optimum + 1e-6 and optimum - 1e-6 <= res.fun <= optimum * (1 + 1.1 * tol)
    worst = worst_objective(res, XOR, XOR_Y, 0.3, loss, 0.1, p)
    assert worst == pytest.approx(res.fun, abs=2e-6)
    assert worst <= res.fun + 1e-9


def test_larger_attacks_cost_more_and_none_is_the_program_without():
    X = RNG.standard_normal((20, 2))
    y = X[:, 0] + np.abs(X[:, 1])
    options = {"beta": 0.5, "n_gates": 12, "rng": 0, "bias": True}
    nominal = refopt.fit_convex_relu(X, y, **options, tol=1e-6)
    before = nominal.dual
    for epsilon in (1e-4, 0.02, 0.1):
        res = refopt.fit_convex_relu(X, y, **options, epsilon=epsilon, tol=1e-3)
        assert res.success and res.fun >= before
        assert worst_objective(res, X, y, 0.5, "squared", epsilon, math.inf) <= res.fun + 1e-9
        before = res.dual
        if epsilon == 1e-4:
            assert res.fun == pytest.approx(nominal.fun, rel=2e-3)


@pytest.mark.parametrize("p", [2.0, math.inf])
def test_projections_meet_their_optimality_conditions(p):
    norm = DualNorm(np, p, np.array([1.0, 1, 1, 0]))
    Y = 3 * RNG.standard_normal((50, 4)) * norm.on
    tau = 3 * RNG.standard_normal(50)
    P, t = norm.epigraph(Y, tau)
    assert (norm(P) <= t + 1e-12).all()
    # the difference is in the polar cone, and orthogonal to the projection
    dual = np.linalg.norm(Y - P, axis=1) if p == 2 else np.abs(Y - P).max(1)
    assert (dual <= t - tau + 1e-12).all()
    np.testing.assert_allclose((P * (Y - P)).sum(1) + t * (tau - t), 0, atol=1e-11)
    s, new = margin_projection(np, Y, tau, 0.3)
    assert (s >= 0.3 * new[:, None] - 1e-12).all()
    np.testing.assert_allclose((s * (Y - s)).sum(1) + new * (tau - new), 0, atol=1e-11)
    np.testing.assert_allclose(tau - new, 0.3 * (s - Y).sum(1), atol=1e-11)
