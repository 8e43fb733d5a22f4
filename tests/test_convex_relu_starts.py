"""Warm starts end at a solution; several outputs are so many problems; refinement by default."""

import numpy as np
import pytest

import refopt

RNG = np.random.default_rng(11)
X = RNG.standard_normal((50, 3))
Y = np.c_[np.abs(X[:, 0]) - X[:, 1], np.maximum(X[:, 2], 0), np.zeros(50)]
LABELS = np.where(Y[:, :2] > 0.3, 1.0, -1.0)
G = RNG.standard_normal((3, 15))
WAYS = {
    "interior point": {"gates": G},
    "alternating directions": {"gates": G, "method": "admm", "tol": 1e-3},
    "paper": {"gates": G, "method": "admm", "splitting": "paper", "rho": 3.0, "tol": 0.1},
    "directions": {"gates": G, "method": "scp"},
    "gated": {"gates": G, "method": "gated"},
    "drawn": {"n_gates": 15, "refine": 0, "rng": 3},
    "all": {"gate_kind": "all", "tol": 1e-3},  # of a few samples
    "refined": {"tol": 1e-6, "rng": 0},
}


@pytest.mark.parametrize("way", WAYS)
def test_at_a_solution_the_run_ends_at_the_first_check(way):
    options, rows = {"beta": 0.5} | WAYS[way], slice(12 if way == "all" else 50)
    res = refopt.fit_convex_relu(X[rows], Y[rows, 0], **options)
    assert res.success and res.nit > 0
    again = refopt.fit_convex_relu(X[rows], Y[rows, 0], **options, x0=res)
    assert again.success and again.nit == 0
    assert again.fun == pytest.approx(res.fun, rel=1e-12)
    if way != "refined":  # which keeps patterns in use only
        np.testing.assert_array_equal(again.patterns, res.patterns)


def test_an_array_is_certified_by_multipliers_of_its_own():
    for loss, y in (("squared", Y[:, 0]), ("logistic", LABELS[:, 0])):
        options = {"beta": 0.5, "loss": loss, "gates": G}
        res = refopt.fit_convex_relu(X, y, **options, tol=1e-12)
        again = refopt.fit_convex_relu(X, y, **options, x0=res.x, tol=1e-4)
        assert again.nit == 0 and again.gap <= 1e-4
        assert again.dual <= res.fun_convex
    # a poor point is no obstacle, nor is one outside the cones
    poor = RNG.standard_normal(res.x.shape)
    third = refopt.fit_convex_relu(X, y, **options, x0=poor, tol=1e-8)
    assert third.success and third.violation <= 1e-12
    assert third.fun == pytest.approx(res.fun, rel=1e-7)


def test_a_start_over_other_patterns_keeps_those_in_common():
    options = {"beta": 0.5, "method": "admm", "tol": 1e-3}
    few = refopt.fit_convex_relu(X, Y[:, 0], gates=G, **options)
    more = np.c_[RNG.standard_normal((3, 5)), G[:, ::-1]]
    cold = refopt.fit_convex_relu(X, Y[:, 0], gates=more, **options)
    warm = refopt.fit_convex_relu(X, Y[:, 0], gates=more, x0=few, **options)
    assert warm.success and warm.patterns.shape == cold.patterns.shape
    assert warm.history["fun"][0] <= few.fun_convex * (1 + 1e-9)
    assert warm.nit < cold.nit


def test_alternating_directions_go_on_along_a_path():
    options = {"gates": G, "method": "admm", "tol": 1e-3}
    betas = (1.0, 0.9, 0.8)
    path = refopt.convex_relu_path(X, Y[:, 0], betas, **options)
    cold = [refopt.fit_convex_relu(X, Y[:, 0], beta=beta, **options) for beta in betas]
    for one, other in zip(path[1:], cold[1:], strict=True):
        assert one.history["gap"][0] < 0.3 * other.history["gap"][0]
        assert one.success and one.fun_convex == pytest.approx(other.fun_convex, rel=2e-3)


def test_a_refined_path_begins_with_the_network_before():
    path = refopt.convex_relu_path(X, Y[:, 0], (1.0, 0.5), rng=0, tol=1e-6)
    cold = refopt.fit_convex_relu(X, Y[:, 0], beta=0.5, rng=0, tol=1e-6)
    assert all(res.success and res.gap_kind == "global-exact" for res in path)
    assert path[1].fun == pytest.approx(cold.fun, rel=2e-6)


@pytest.mark.parametrize("way", WAYS)
def test_outputs_are_problems_of_their_own(way):
    options, rows = {"beta": 0.5} | WAYS[way], slice(12 if way == "all" else 50)
    features, targets = X[rows], Y[rows]
    res = refopt.fit_convex_relu(features, targets, **options)
    P, m = res.patterns.shape[1], res.w2.shape[0]
    assert res.success and res.x.shape == (3, 2, 3, P) and res.w2.shape == (m, 3)
    assert (np.count_nonzero(res.w2, axis=1) == 1).all() and not res.w2[:, 2].any()
    whole = refopt.relu_network_objective(features, targets, res.W1, res.w2, beta=0.5)
    assert res.fun == pytest.approx(whole, rel=1e-12)
    z = np.maximum(features @ res.W1, 0) @ res.w2
    U = res.x[:, 0] - res.x[:, 1]
    if way != "refined":  # whose network may be better than the program's
        np.testing.assert_allclose((res.patterns * (features @ U)).sum(2).T, z, atol=1e-9)
    for c in (0, 1):
        one = refopt.fit_convex_relu(features, targets[:, c], **options)
        assert res.outputs[c].fun == pytest.approx(one.fun, rel=2 * options.get("tol", 1e-4))
        assert res.gaps[c] == res.outputs[c].gap <= options.get("tol", 1e-4)
    assert res.gap <= max(res.gaps)
    again = refopt.fit_convex_relu(features, targets, **options, x0=res)
    assert again.success and again.nit == 0


def test_labels_by_columns_are_one_against_the_rest():
    res = refopt.fit_convex_relu(X, LABELS, beta=0.5, loss="hinge", gates=G)
    for c in (0, 1):
        one = refopt.fit_convex_relu(X, LABELS[:, c], beta=0.5, loss="hinge", gates=G)
        np.testing.assert_allclose(res.x[c], one.x, atol=1e-12)
    assert res.dual == sum(one.dual for one in res.outputs) <= res.fun_convex
    single = refopt.fit_convex_relu(X, LABELS[:, :1], beta=0.5, loss="hinge", gates=G)
    assert single.x.shape[0] == 1 and single.w2.shape[1] == 1


def test_callbacks_are_told_the_output_and_stop_all():
    seen = []

    def stop(intermediate_result):
        seen.append(intermediate_result.output)
        if intermediate_result.output == 1:
            raise StopIteration

    res = refopt.fit_convex_relu(X, Y, beta=0.5, gates=G, callback=stop)
    assert res.status == 2 and not res.success and set(seen) == {0, 1} and seen.count(1) == 1
    assert res.outputs[0].success and "Outputs without success: [1" in res.message


def test_patterns_are_refined_where_none_are_given():
    res = refopt.fit_convex_relu(X, Y[:, 0], beta=0.5, rng=0)
    assert res.success and res.gap_kind == "global-exact"
    assert res.n_rounds == len(res.rounds) == res.nit >= 1
    assert res.rounds[-1].keys() == {"P", "net", "lower_bound", "psi"}
    assert res.rounds[-1]["lower_bound"] == res.lower_bound
    same = refopt.fit_convex_relu(X, Y[:, 0], beta=0.5, rng=0, refine=10)
    assert same.fun == res.fun
    for change in ({"refine": 0}, {"gates": G}, {"method": "admm"}, {"method": "scp"}):
        plain = refopt.fit_convex_relu(X, Y[:, 0], beta=0.5, rng=0, tol=1e-2, **change)
        assert plain.gap_kind == "sampled" and plain.n_rounds == 0 and plain.rounds == []
        assert plain.psi is None and plain.fun >= res.lower_bound
    robust = refopt.fit_convex_relu(X, Y[:, 0], beta=9.0, rng=0, epsilon=0.01, tol=1e-1)
    assert robust.gap_kind == "robust-sampled"


@pytest.mark.parametrize(
    ("x0", "text"),
    [
        (np.zeros((2, 3, 4)), "x0 must have shape"),
        (np.zeros((2, 4, 15)), "x0 must have shape"),
        (np.zeros((3, 15)), "x0 must be 3-dimensional"),
        (np.full((2, 3, 15), np.nan), "x0 must be finite"),
        (refopt.fit_convex_relu(X[:9], Y[:9, 0], beta=1.0, gates=G), "x0 must"),
        (refopt.fit_convex_relu(X[:, :2], Y[:, 0], beta=1.0, gates=G[:2]), "x0 must"),
    ],
)
def test_starts_of_other_problems_are_refused(x0, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        refopt.fit_convex_relu(X, Y[:, 0], beta=1.0, gates=G, x0=x0)
    with pytest.raises(ValueError, match=r"^x0 must"):
        refopt.fit_convex_relu(X, Y, beta=1.0, gates=G, x0=x0)


@pytest.mark.parametrize(
    ("betas", "error", "text"),
    [
        (0.1, TypeError, "^betas must be a sequence of numbers, got 0.1$"),
        ([], ValueError, "^betas must have at least one entry, got none$"),
        ([1.0, 0.0], ValueError, "^betas must be positive"),
    ],
)
def test_a_path_names_weights_it_cannot_take(betas, error, text):
    with pytest.raises(error, match=text):
        refopt.convex_relu_path(X, Y[:, 0], betas)
