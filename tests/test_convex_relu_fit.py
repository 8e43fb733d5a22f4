"""`fit_convex_relu`: known optima, orders between programs, invariances, bad input."""

import itertools

import numpy as np
import pytest

import refopt
from refopt.problems import relu_instance

RNG = np.random.default_rng(5)
X = RNG.standard_normal((40, 3))
Y = np.maximum(X[:, 0], 0) - np.abs(X[:, 1]) + 0.1 * RNG.standard_normal(40)


def objective(X, y, res, beta):
    """P_net of squared loss from the definition."""
    z = np.maximum(X @ res.W1, 0) @ res.w2
    return 0.5 * ((z - y) ** 2).sum() + 0.5 * beta * ((res.W1**2).sum() + (res.w2**2).sum())


def test_the_global_optimum_of_a_line_is_known():
    line = np.c_[np.arange(-2.0, 4.0), np.ones(6)]
    y = [1, 0, -1, 0, 1, 2]
    res = refopt.fit_convex_relu(line, y, beta=0.5, gate_kind="all", tol=1e-9)
    assert res.patterns.shape == (6, 11)
    assert res.fun == pytest.approx(1.148854349, abs=2e-9)
    assert res.gap_kind == "global-exact" and res.lower_bound <= res.fun
    again = refopt.fit_convex_relu(line[:, :1], y, beta=0.5, gate_kind="all", bias=True, tol=1e-9)
    assert again.fun == pytest.approx(res.fun, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "optimum"),
    [
        ("breast-cancer", 52.6138919),
        ("breast-cancer-hinge", 56.7199757),
        ("spirals", 35.9735232),
        ("line", 1.05399703),
    ],
)
def test_optima_of_instances_are_reached(name, optimum):
    problem = relu_instance(name)
    res = refopt.fit_convex_relu(
        problem.X, problem.y, beta=problem.beta, loss=problem.loss, gates=problem.gates, tol=1e-7
    )
    assert res.success and res.violation <= 1e-12
    assert res.fun_convex == pytest.approx(optimum, rel=3e-7)
    assert res.dual <= optimum * (1 + 1e-8)


@pytest.mark.parametrize(("n", "d", "cells"), [(8, 2, 16), (8, 3, 58), (20, 3, 382)])
def test_the_number_of_all_patterns(n, d, cells):
    data = np.random.default_rng(1).standard_normal((n, d))
    data[-1] = -data[:-1].sum(0)  # no direction has all samples on one side
    D = refopt.all_relu_patterns(data)
    assert D.shape[1] == cells
    sampled, G = refopt.relu_patterns(data, n=2000, rng=0)
    np.testing.assert_array_equal(data @ G >= 0, sampled)
    all_of_them = {column.tobytes() for column in D.T}
    assert len(all_of_them) == D.shape[1]
    assert all(column.tobytes() in all_of_them for column in sampled.T)


def test_the_network_has_the_value_of_the_program():
    res = refopt.fit_convex_relu(X, Y, beta=0.5, refine=0, rng=0, tol=1e-8)
    assert res.fun == pytest.approx(objective(X, Y, res, 0.5), rel=1e-12)
    assert res.fun == pytest.approx(res.fun_convex, rel=1e-9)
    np.testing.assert_allclose(np.linalg.norm(res.W1, axis=0), np.abs(res.w2), rtol=1e-12)


def test_more_patterns_never_raise_the_optimum():
    D, _ = refopt.relu_patterns(X, n=60, rng=1)
    values = [
        refopt.fit_convex_relu(X, Y, beta=0.5, gates=D[:, :P], tol=1e-9).fun_convex
        for P in (1, 5, 20, D.shape[1])
    ]
    exact = refopt.fit_convex_relu(X, Y, beta=0.5, gate_kind="all", tol=1e-5)
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(values))
    assert exact.lower_bound <= values[-1]


def test_scaling_rotation_and_order_of_samples_do_not_matter():
    D, G = refopt.relu_patterns(X, n=20, rng=1)
    res = refopt.fit_convex_relu(X, Y, beta=0.5, gates=G, tol=1e-10)
    scaled = refopt.fit_convex_relu(100 * X, Y, beta=50.0, gates=G, tol=1e-10)
    Q = np.linalg.qr(RNG.standard_normal((3, 3)))[0]
    turned = refopt.fit_convex_relu(X @ Q, Y, beta=0.5, gates=Q.T @ G, tol=1e-10)
    order = RNG.permutation(40)
    shuffled = refopt.fit_convex_relu(X[order], Y[order], beta=0.5, gates=G, tol=1e-10)
    for other in (scaled, turned, shuffled):
        assert other.fun == pytest.approx(res.fun, rel=1e-9)
    doubled = refopt.fit_convex_relu(X, Y, beta=0.5, gates=np.c_[D, D], tol=1e-10)
    assert doubled.patterns.shape == D.shape and doubled.fun == pytest.approx(res.fun, rel=1e-9)


def test_bounds_enclose_the_optimum_at_every_iteration():
    options = {"beta": 0.5, "n_gates": 30, "refine": 0, "rng": 0}
    best = refopt.fit_convex_relu(X, Y, **options, tol=1e-10).fun
    seen = []
    refopt.fit_convex_relu(X, Y, **options, callback=seen.append)
    assert len(seen) > 5
    for res in seen:
        assert res.dual <= best * (1 + 1e-12) and best <= res.fun * (1 + 1e-12)


def test_large_weight_decay_leaves_nothing():
    res = refopt.fit_convex_relu(X, Y, beta=1e4, rng=0)
    assert res.success and res.nit == 0 and res.w2.size == 0
    assert res.fun == 0.5 * Y @ Y
    nothing = refopt.fit_convex_relu(X, Y, beta=1.0, gates=np.zeros((40, 2), bool))
    assert nothing.success and nothing.w2.size == 0 and "No pattern" in nothing.message


def test_a_path_shares_its_patterns():
    path = refopt.convex_relu_path(X, Y, [2.0, 0.5, 0.1], n_gates=20, refine=0, rng=3, bias=True)
    assert all(np.array_equal(res.patterns, path[0].patterns) for res in path)
    assert path[0].fun > path[1].fun > path[2].fun


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"beta": 0.0}, "beta must be positive"),
        ({"beta": -1.0}, "beta must be positive"),
        ({"y": Y[:-1]}, "y must have one entry per row of X, 40, got 39"),
        ({"loss": "hinge"}, "y must hold labels -1 and"),
        ({"loss": "absolute"}, "loss must be one of"),
        ({"n_gates": 0}, "n_gates must be at least 1"),
        ({"gate_kind": "uniform"}, "gate_kind must be one of"),
        ({"gates": np.ones((2, 4))}, "gates must have shape"),
        ({"gates": np.ones((3, 4), bool)}, "gates must be patterns of shape"),
        ({"gates": np.full((3, 4), np.nan)}, "gates must be finite"),
        ({"gates": RNG.random((40, 2)) < 0.5}, "gates must be patterns that a direction has"),
        ({"method": "simplex"}, "method must be one of"),
        ({"rho": 0.0}, "rho must be positive"),
        ({"eta": -1.0}, "eta must be positive"),
        ({"kappa": np.inf}, "kappa must be positive"),
        ({"relax": 2.0}, "relax must be below 2"),
        ({"epsilon": -0.1}, "epsilon must be nonnegative"),
        ({"p": 3}, "p must be 1, 2 or infinity"),
        ({"perturb_mask": [True]}, "perturb_mask must have 3 entries"),
        ({"tol": -1.0}, "tol must be nonnegative"),
    ],
)
def test_bad_input_is_refused_by_name(change, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        refopt.fit_convex_relu(**{"X": X, "y": Y, "beta": 1.0} | change)
