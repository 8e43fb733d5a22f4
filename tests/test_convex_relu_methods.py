"""Sampled directions and gated ReLU: optimality recomputed, and the order of the programs."""

import numpy as np
import pytest

import refopt
from refopt.convex_relu import _master
from refopt.problems import relu_instance

RNG = np.random.default_rng(4)
X = RNG.standard_normal((50, 4))
X[3] = 0.0
TARGETS = np.abs(X[:, 0]) - np.maximum(X[:, 1] + X[:, 2], 0) + 0.1 * RNG.standard_normal(50)
LABELS = np.where(TARGETS > -0.3, 1.0, -1.0)
LOSSES = ("squared", "logistic", "hinge")


def data(loss):
    return X, TARGETS if loss == "squared" else LABELS


def loss_value(loss, z, y):
    if loss == "squared":
        return 0.5 * ((z - y) ** 2).sum()
    margins = y * z
    return (np.maximum(0, 1 - margins) if loss == "hinge" else np.logaddexp(0, -margins)).sum()


def conjugate(loss, r, y):
    """f* from its definition; r in its domain."""
    if loss == "squared":
        return 0.5 * r @ r + r @ y
    t = -y * r
    assert t.min() >= 0 and t.max() <= 1
    if loss == "hinge":
        return -t.sum()
    t = np.clip(t, 1e-300, 1 - 1e-16)
    return (t * np.log(t) + (1 - t) * np.log(1 - t)).sum()


def relative_gap(loss, value, r, y, largest, beta):
    """Of `value` and the dual bound at r, whose largest slope is `largest`."""
    most = beta / largest
    best = np.clip(-(r @ y) / (r @ r), 0, most) if loss == "squared" else min(1.0, most)
    return (value + conjugate(loss, best * r, y)) / value


@pytest.mark.parametrize("n_gates", [20, 200])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_of_sampled_directions_solve_a_lasso(loss, n_gates):
    features, y = data(loss)
    res = refopt.fit_convex_relu(
        features, y, beta=0.7, loss=loss, method="scp", n_gates=n_gates, rng=0, tol=1e-8
    )
    assert res.success and res.gap_kind == "sampled" and res.lower_bound is None
    np.testing.assert_allclose(np.linalg.norm(res.gates, axis=0), 1, rtol=1e-12)
    V, W = res.x
    alpha = np.sum(res.gates * (V - W), axis=0)
    np.testing.assert_allclose(V - W, res.gates * alpha, atol=1e-14)
    Phi = np.maximum(features @ res.gates, 0)
    lasso = loss_value(loss, Phi @ alpha, y) + 0.7 * np.abs(alpha).sum()
    network = refopt.relu_network_objective(features, y, res.W1, res.w2, beta=0.7, loss=loss)
    assert res.fun == pytest.approx(lasso, rel=1e-12) == res.fun_convex
    assert res.fun == pytest.approx(network, rel=1e-12)
    assert res.w2.size == np.count_nonzero(alpha) < min(40, n_gates)  # sparse
    largest = np.abs(Phi.T @ res.r).max()
    assert relative_gap(loss, lasso, res.r, y, largest, 0.7) <= 1.01e-8


@pytest.mark.parametrize("gates", [5, 40])
@pytest.mark.parametrize("loss", LOSSES)
def test_gated_networks_are_optimal_and_keep_their_predictions_as_relu(loss, gates):
    features, y = data(loss)
    D, _ = refopt.relu_patterns(features, n=gates, rng=2)
    res = refopt.fit_convex_relu(
        features, y, beta=0.7, loss=loss, method="gated", gates=D, tol=1e-8
    )
    assert res.success and res.gap_kind == "gated" and res.violation <= 1e-12
    U = res.x[0] - res.x[1]
    z = (D * (features @ U)).sum(1)
    np.testing.assert_allclose(np.maximum(features @ res.W1, 0) @ res.w2, z, atol=1e-12)
    value = loss_value(loss, z, y) + 0.7 * np.linalg.norm(U, axis=0).sum()
    assert res.fun_convex == pytest.approx(value, rel=1e-10)
    largest = np.linalg.norm(features.T @ (D * res.r[:, None]), axis=0).max()
    assert relative_gap(loss, value, res.r, y, largest, 0.7) <= 1.01e-8
    network = refopt.relu_network_objective(features, y, res.W1, res.w2, beta=0.7, loss=loss)
    assert res.fun == pytest.approx(network, rel=1e-12) and res.fun > value


@pytest.mark.parametrize("loss", LOSSES)
def test_gated_is_below_the_cones_and_these_are_below_single_directions(loss):
    features, y = data(loss)
    G = RNG.standard_normal((4, 25))
    options = {"beta": 0.7, "loss": loss, "tol": 1e-9, "gates": G}
    gated, sampled, scp = (
        refopt.fit_convex_relu(features, y, method=method, **options)
        for method in ("gated", "auto", "scp")
    )
    assert gated.fun_convex < sampled.dual and sampled.fun_convex < scp.dual
    # a fresh direction is a bound for networks too, never more
    every = refopt.certify_network(
        features, y, scp.W1, scp.w2, beta=0.7, loss=loss, kind="exact", rng=0
    )
    assert every.lower_bound <= sampled.fun_convex


def test_a_set_of_tumours_in_a_few_steps():
    problem = relu_instance("breast-cancer")
    options = {"beta": problem.beta, "tol": 1e-8}
    gated = refopt.fit_convex_relu(
        problem.X, problem.y, method="gated", gates=problem.gates, **options
    )
    scp = refopt.fit_convex_relu(problem.X, problem.y, method="scp", rng=0, **options)
    assert scp.success and gated.success and max(scp.nit, gated.nit) < 15
    assert gated.fun_convex < 52.6138919  # the optimum within the cones


def test_nothing_to_fit_gives_the_zero_network():
    for method in ("scp", "gated"):
        large = refopt.fit_convex_relu(X, TARGETS, beta=1e4, method=method, rng=0)
        assert large.success and large.nit == 0 and large.w2.size == 0
        empty = refopt.fit_convex_relu(np.zeros((4, 2)), np.ones(4), beta=1, method=method, rng=0)
        assert empty.success and empty.w2.size == 0 and empty.fun == 2.0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"method": "scp", "gate_kind": "all"}, "gate_kind must be 'gaussian' or 'conv'"),
        ({"method": "scp", "gates": np.ones((50, 2), bool)}, "gates must be directions"),
        ({"method": "scp", "gates": np.ones((3, 2))}, r"gates must have shape \(4, P\)"),
        ({"method": "gated", "epsilon": 0.1}, "epsilon must be 0 with method 'gated'"),
        ({"method": "scp", "refine": 3}, "refine must be 0"),
        ({"method": "gated", "gates": np.eye(50, 1) < 1}, "gates must be patterns that a direc"),
    ],
)
def test_what_the_methods_do_not_take_is_refused(change, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        refopt.fit_convex_relu(**{"X": X, "y": TARGETS, "beta": 1.0} | change)


@pytest.mark.parametrize("change", [{}, {"method": "gated"}])
def test_pruning_keeps_predictions_with_neurons_of_independent_outputs(change):
    options = {"beta": 0.05, "bias": True, "rng": 0} | change
    rows = slice(20)  # fewer than there are neurons
    whole, fewer = (
        refopt.fit_convex_relu(X[rows], TARGETS[rows], **options, prune=prune)
        for prune in (False, True)
    )
    features = np.c_[X[rows], np.ones(20)]
    z, outputs = (np.maximum(features @ res.W1, 0) * res.w2 for res in (whole, fewer))
    np.testing.assert_allclose(z.sum(1), outputs.sum(1), atol=1e-9)
    assert fewer.fun <= whole.fun * (1 + 1e-10)
    assert fewer.w2.size < whole.w2.size
    assert np.linalg.matrix_rank(outputs, tol=1e-13) == fewer.w2.size <= 20


def test_directions_of_an_earlier_result_are_taken_at_length_one():
    sampled = refopt.fit_convex_relu(X, TARGETS, beta=1.0, refine=0, n_gates=20, rng=0)
    options = {"beta": 1.0, "method": "scp", "tol": 1e-8}
    res = refopt.fit_convex_relu(X, TARGETS, x0=sampled, **options)
    direct = refopt.fit_convex_relu(X, TARGETS, gates=sampled.gates, **options)
    assert res.success and res.fun == pytest.approx(direct.fun, rel=1e-7)
    assert res.fun == pytest.approx(res.fun_convex, rel=1e-9)
    refined = refopt.fit_convex_relu(X, TARGETS, beta=1.0, refine=1, m_init=5, rng=0)
    with pytest.raises(ValueError, match="x0 must be a result with directions"):
        refopt.fit_convex_relu(X, TARGETS, x0=refined, **options)


def test_what_a_user_may_mean_is_taken_or_named():
    paper = refopt.fit_convex_relu(X, TARGETS, beta=1.0, splitting="paper", maxiter=3, rng=0)
    assert paper.nit == 3 and "primal_residual" in paper.history
    with pytest.raises(ValueError, match=r"patterns must be boolean$"):
        refopt.fit_convex_relu(X, TARGETS, beta=1.0, gates=(X[:, :2] > 0).astype(int))


def test_the_method_that_is_chosen_returns_its_penalty(monkeypatch):
    monkeypatch.setattr(_master, "_FACTORISED", 0)  # all programs are large
    res = refopt.fit_convex_relu(X, TARGETS, beta=1.0, refine=0, n_gates=5, tol=1e-2, rng=0)
    assert res.rho == res.history["mu"][-1]
    refined = refopt.fit_convex_relu(X, TARGETS, beta=1.0, refine=1, m_init=5, maxiter=0, rng=0)
    assert refined.rho is None and "(heuristic, an estimate)" in refined.message
