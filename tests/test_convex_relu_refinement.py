"""Refinement and certificates: bounds that no network passes, networks that reach them."""

import itertools
import math

import numpy as np
import pytest

import refopt
from refopt.convex_relu._network import LOSSES, random_network, train
from refopt.problems import relu_instance, relu_spirals
from refopt_backends import resolve

XOR = np.array([[*x, 1.0] for x in itertools.product((-1.0, 1.0), repeat=2)])
XOR_LABELS = XOR[:, 0] * XOR[:, 1]


def trained(problem, seed, maxiter=300, m=30):
    X, y, loss = problem.X, problem.y, LOSSES[problem.loss]()
    start = random_network(X, m, np.random.default_rng(seed))
    return train(X, y, problem.beta, loss, *start, maxiter=maxiter)


def objective(problem, W1, w2):
    z = np.maximum(problem.X @ W1, 0) @ w2
    decay = 0.5 * problem.beta * (np.sum(W1**2) + np.sum(w2**2))
    return 0.5 * np.sum((z - problem.y) ** 2) + decay


def test_spirals_are_solved_to_a_rigorous_bound():
    problem = relu_spirals(60)
    X, y, beta = problem.X, problem.y, problem.beta
    res = refopt.fit_convex_relu(X, y, beta=beta, refine=10, tol=1e-5, rng=0)
    assert res.success and res.gap_kind == "global-exact" and res.gap <= 1e-5
    assert res.lower_bound <= res.fun
    # the bound once more, from r alone
    _, values, _, exact = refopt.price_gates(X, res.r, rng=0)
    scale = min(-(res.r @ y) / (res.r @ res.r), beta / float(values[0]))
    bound = -scale * (res.r @ y) - 0.5 * scale**2 * (res.r @ res.r)
    assert exact and bound == pytest.approx(res.lower_bound, rel=1e-8)
    assert objective(problem, res.W1, res.w2) == pytest.approx(res.fun, rel=1e-9)
    assert (np.diff(res.history["net"]) <= 0).all()
    for seed in range(3):
        assert res.lower_bound <= objective(problem, *trained(problem, seed))


@pytest.mark.parametrize(
    ("loss", "optimum"),
    [
        ("squared", 2 * math.sqrt(2) * 0.3 - 0.09),
        ("hinge", 2 * math.sqrt(2) * 0.3),
        ("logistic", 2.067071165),
    ],
)
def test_exclusive_or_reaches_its_known_optimum(loss, optimum):
    res = refopt.fit_convex_relu(XOR, XOR_LABELS, beta=0.3, loss=loss, refine=10, tol=1e-6, rng=1)
    assert res.fun == pytest.approx(optimum, rel=1e-5)
    assert res.lower_bound <= optimum * (1 + 1e-9)


def test_points_on_a_line_reach_their_known_optimum():
    problem = relu_instance("line")
    res = refopt.fit_convex_relu(
        problem.X, problem.y, beta=problem.beta, refine=10, tol=1e-6, rng=0
    )
    assert res.success and res.fun == pytest.approx(1.05399703, rel=1e-6)


def test_large_weight_decay_gives_the_empty_network():
    res = refopt.fit_convex_relu(XOR, XOR_LABELS, beta=10.0, refine=3, rng=0)
    assert res.success and res.w2.size == 0 and res.fun == pytest.approx(2.0)
    assert res.lower_bound == pytest.approx(2.0)


def test_one_seed_is_one_run_and_maxiter_and_callbacks_are_kept_to():
    problem = relu_spirals(40)
    seen = []

    def stop(intermediate_result):
        seen.append(intermediate_result.gap)
        raise StopIteration

    options = {"beta": problem.beta, "tol": 1e-12, "rng": 3}
    one = refopt.fit_convex_relu(problem.X, problem.y, refine=1, **options)
    two = refopt.fit_convex_relu(problem.X, problem.y, refine=1, **options)
    assert one.status == 1 and one.nit == 1
    np.testing.assert_array_equal(one.W1, two.W1)
    res = refopt.fit_convex_relu(problem.X, problem.y, refine=9, callback=stop, **options)
    assert res.status == 2 and len(seen) == 1


def test_certificate_of_any_network_is_below_every_network():
    problem = relu_spirals(50)
    X, y, beta = problem.X, problem.y, problem.beta
    networks = [trained(problem, seed, maxiter) for seed, maxiter in ((0, 10), (1, 100), (2, 800))]
    values = [objective(problem, *net) for net in networks]
    for net, value in zip(networks, values, strict=True):
        res = refopt.certify_network(X, y, *net, beta=beta, n_starts=20, rng=0)
        assert res.fun <= value * (1 + 1e-12)
        assert res.gap_kind == "global-exact"
        assert 0 <= res.lower_bound <= min(values)
        r = np.maximum(X @ net[0], 0) @ net[1] - y
        conjugate = 0.5 * r @ r + r @ y
        assert res.lower_bound >= min(1.0, beta / res.psi) * -conjugate * (1 - 1e-8)


def test_the_dual_value_at_a_stationary_network_is_its_objective():
    problem = relu_spirals(40)
    fit = refopt.fit_convex_relu(problem.X, problem.y, beta=problem.beta, tol=1e-7, rng=0)
    W1, w2 = fit.W1, fit.w2
    r = np.maximum(problem.X @ W1, 0) @ w2 - problem.y
    value = objective(problem, W1, w2)
    assert -(0.5 * r @ r + r @ problem.y) == pytest.approx(value, rel=1e-5)
    res = refopt.certify_network(problem.X, problem.y, W1, w2, beta=problem.beta, rng=0)
    excess = max(0.0, res.psi / problem.beta - 1)
    assert res.gap <= excess / (1 + excess) + 1e-5


def test_objective_takes_the_least_scaling_of_each_neuron():
    W1, w2 = np.array([[3.0, 0.0], [4.0, 1.0], [0.0, 0.0]]), np.array([2.0, -1.0])
    z = np.maximum(XOR @ W1, 0) @ w2
    expected = {
        "squared": 0.5 * np.sum((z - XOR_LABELS) ** 2),
        "logistic": np.log1p(np.exp(-XOR_LABELS * z)).sum(),
        "hinge": np.maximum(1 - XOR_LABELS * z, 0).sum(),
    }
    for loss, value in expected.items():
        ours = refopt.relu_network_objective(XOR, XOR_LABELS, W1, w2, beta=0.1, loss=loss)
        assert ours == pytest.approx(value + 0.1 * (10 + 1))
        scaled = refopt.relu_network_objective(XOR, XOR_LABELS, W1 * 7, w2 / 7, beta=0.1, loss=loss)
        assert scaled == pytest.approx(ours)


@pytest.mark.parametrize("p", [1, 2, np.inf])
def test_attacks_of_the_xor_network_reach_its_known_worst_case(p):
    # z = (|x1 + x2| - |x1 - x2|)/2 is linear within the ball
    W1 = np.array([[1.0, -1, 1, -1], [1, -1, -1, 1], [0, 0, 0, 0]])
    w2 = np.array([0.5, 0.5, -0.5, -0.5])
    epsilon = 0.1
    worst = 4 * {1: epsilon, 2: epsilon, np.inf: epsilon}[p]
    for attack in ("corners", "pgd"):
        loss = refopt.adversarial_loss(
            XOR, XOR_LABELS, W1, w2, epsilon=epsilon, p=p, loss="hinge", attack=attack, rng=0
        )
        assert loss == pytest.approx(worst, rel=1e-3)
        assert loss <= worst * (1 + 1e-9)


def test_attacks_grow_with_the_radius_and_leave_the_constant_column():
    rng = np.random.default_rng(0)
    W1, w2 = rng.standard_normal((3, 5)), rng.standard_normal(5)
    mask = np.array([True, True, False])
    values = [
        refopt.adversarial_loss(
            XOR, XOR_LABELS, W1, w2, epsilon=e, attack="corners", perturb_mask=mask
        )
        for e in (0.0, 0.05, 0.1)
    ]
    assert values[0] < values[1] < values[2]
    default = refopt.adversarial_loss(XOR, XOR_LABELS, W1, w2, epsilon=0.1, attack="corners")
    assert default == values[2]
    plain = refopt.relu_network_objective(XOR, XOR_LABELS, W1, w2, beta=0.0)
    assert values[0] == pytest.approx(plain)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"epsilon": -1.0}, "epsilon must be nonnegative"),
        ({"p": 3}, "p must be one of"),
        ({"perturb_mask": [True]}, "perturb_mask must be 3 booleans"),
        ({"attack": "fgsm"}, "attack must be one of"),
        ({"loss": "absolute"}, "loss must be one of"),
        ({"w2": np.ones(2)}, "w2 must have shape"),
        ({"y": np.ones(3)}, "y must have one entry per row"),
        ({"loss": "hinge", "y": np.zeros(4)}, "y must hold labels -1 and"),
    ],
)
def test_bad_arguments_of_attacks_are_refused(changes, text):
    network = {"W1": np.ones((3, 4)), "w2": np.ones(4)}
    with pytest.raises(ValueError, match=text):
        refopt.adversarial_loss(**{"X": XOR, "y": XOR_LABELS, "epsilon": 0.1} | network | changes)


@pytest.mark.parametrize(
    "changes", [{"epsilon": 0.1}, {"splitting": "paper", "method": "admm"}, {"method": "admm"}]
)
def test_refinement_is_refused_where_it_has_no_meaning(changes):
    with pytest.raises(ValueError, match="refine must be 0"):
        refopt.fit_convex_relu(XOR, XOR_LABELS, beta=0.3, refine=2, **changes)


@pytest.mark.parametrize("missed", [1, 3])
def test_a_bound_above_a_network_is_never_returned(monkeypatch, missed):
    """Searches that miss the highest price make bounds too high, which networks disprove."""
    from refopt.convex_relu import _refine

    problem = relu_spirals(60)
    calls, honest = [], _refine._priced

    def missing(pricer, r, *args):
        psi, directions, signs = honest(pricer, r, *args)
        calls.append(psi)
        return (psi if len(calls) > 2 * missed else 0.2 * psi), directions, signs

    monkeypatch.setattr(_refine, "_priced", missing)
    X, y, beta = problem.X, problem.y, problem.beta
    run = _refine.refine(
        X, y, beta=beta, loss="squared", tol=1e-5, kernels=resolve(X)[1],
        rng=np.random.default_rng(0), kind="dca",
    )  # fmt: skip
    states = [iterate.x for iterate, _ in zip(run, range(8), strict=False)]
    assert len(calls) > 2 * missed
    assert all(state.lower_bound <= state.net for state in states)
    assert states[0].gap > 1e-3  # nor taken for the network's value
    optimum = refopt.fit_convex_relu(X, y, beta=beta, refine=10, tol=1e-6, rng=0).fun
    assert states[-1].lower_bound <= optimum * (1 + 1e-6)
    assert states[-1].lower_bound == pytest.approx(optimum, rel=1e-4)
