"""Unusual data of fits: the right small answer, or an error that names the argument."""

import numpy as np
import pytest

import refopt

RNG = np.random.default_rng(6)
X = RNG.standard_normal((40, 3))
Y = np.abs(X[:, 0]) - X[:, 1]
LABELS = np.where(Y > 0.2, 1.0, -1.0)
G = RNG.standard_normal((3, 12))
METHODS = ("auto", "admm", "scp", "gated")
ADMM = {"method": "admm", "tol": 1e-3}


def one_row(length, y, beta):
    """The optimum of one sample of this length."""
    free = abs(y) * length <= beta
    return y * y / 2 if free else beta * abs(y) / length - beta**2 / (2 * length**2)


@pytest.mark.parametrize("y", [2.0, -2.0, 0.1])
@pytest.mark.parametrize("refine", [0, 3])
def test_one_sample(y, refine):
    res = refopt.fit_convex_relu(
        [[3.0, 4.0]], [y], beta=1.5, refine=refine, tol=1e-9, rng=0, prune=True
    )
    assert res.success and res.fun == pytest.approx(one_row(5.0, y, 1.5), rel=1e-7)
    assert res.w2.size == (res.fun < y * y / 2)  # one neuron, or none


@pytest.mark.parametrize("method", METHODS)
def test_one_feature_one_pattern(method):
    res = refopt.fit_convex_relu([[2.0]], [3.0], beta=1.0, method=method, gates=[[1.0]], tol=1e-6)
    assert res.success and res.fun_convex == pytest.approx(one_row(2.0, 3.0, 1.0), rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_zero_targets_and_zero_features_give_the_zero_network(method):
    for features, y, optimum in ((X, np.zeros(40), 0.0), (0 * X, Y, 0.5 * Y @ Y)):
        res = refopt.fit_convex_relu(features, y, beta=1.0, method=method, rng=0)
        assert res.success and res.nit == 0 and res.w2.size == 0
        assert res.fun == pytest.approx(optimum)


def test_large_weight_decay_is_seen_at_once_by_every_method():
    # beyond the highest price of the slopes at 0 no neuron pays
    highest = float(refopt.price_gates(X, -Y, rng=0).values[0])
    for method in (*METHODS[:3], "paper"):
        name = {"splitting": "paper", "method": "admm"} if method == "paper" else {"method": method}
        res = refopt.fit_convex_relu(X, Y, beta=3 * highest, rng=0, **name)
        assert res.success and res.nit == 0 and res.w2.size == 0
    refined = refopt.fit_convex_relu(X, Y, beta=1.001 * highest, rng=0)
    assert refined.success and refined.nit == 0 and refined.w2.size == 0
    assert refined.lower_bound == pytest.approx(0.5 * Y @ Y, rel=1e-8)
    less = refopt.fit_convex_relu(X, Y, beta=0.98 * highest, rng=0)
    assert less.w2.size > 0 and less.fun < 0.5 * Y @ Y


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_one_class_is_fitted(loss):
    for labels in (np.ones(40), -np.ones(40)):
        res = refopt.fit_convex_relu(X, labels, beta=0.5, loss=loss, bias=True, rng=0, tol=1e-3)
        assert res.success
        z = np.maximum(np.c_[X, np.ones(40)] @ res.W1, 0) @ res.w2
        assert (labels * z > 0).all()


def test_constant_features_are_a_bias():
    ones = refopt.fit_convex_relu(np.c_[X, np.ones(40)], Y, beta=0.5, rng=0, tol=1e-6)
    bias = refopt.fit_convex_relu(X, Y, beta=0.5, rng=0, tol=1e-6, bias=True)
    assert ones.fun == pytest.approx(bias.fun, rel=1e-12)
    only = refopt.fit_convex_relu(np.ones((40, 1)), Y, beta=0.5, rng=0, tol=1e-8)
    assert only.success and only.w2.size <= 1
    mean, n = Y.mean(), 40  # one neuron, z = c everywhere
    c = np.sign(mean) * max(0.0, abs(mean) - 0.5 / n)
    assert only.fun == pytest.approx(0.5 * ((c - Y) ** 2).sum() + 0.5 * abs(c), rel=1e-7)


@pytest.mark.parametrize("refine", [0, 5])
def test_rows_that_occur_twice_count_twice(refine):
    options = {"rng": 0, "tol": 1e-7, "refine": refine}
    gates = {} if refine else {"gates": G}
    once = refopt.fit_convex_relu(X, Y, beta=0.5, **options, **gates)
    twice = refopt.fit_convex_relu(np.r_[X, X], np.r_[Y, Y], beta=1.0, **options, **gates)
    assert once.success and twice.success
    assert twice.fun == pytest.approx(2 * once.fun, rel=3e-7)


@pytest.mark.parametrize("method", ["auto", "admm", "gated"])
def test_patterns_without_an_active_sample_are_left_out(method):
    D = X @ G >= 0
    options = {"beta": 0.5, "method": method, "tol": 1e-3}
    res = refopt.fit_convex_relu(X, Y, gates=D, **options)
    more = refopt.fit_convex_relu(X, Y, gates=np.c_[np.zeros((40, 2), bool), D], **options)
    assert np.array_equal(more.patterns, res.patterns) and more.fun == res.fun
    none = refopt.fit_convex_relu(X, Y, gates=np.zeros((40, 2), bool), **options)
    assert none.success and none.w2.size == 0 and "No pattern" in none.message


@pytest.mark.parametrize("c", [1e-8, 1e8, 1e150])
@pytest.mark.parametrize("method", [*METHODS, "refined"])
def test_units_of_features_do_not_matter(method, c):
    name = {"rng": 0} if method == "refined" else {"method": method, "gates": G}
    for loss, y in (("squared", Y), ("logistic", LABELS)):
        options = {"loss": loss, "tol": 1e-3, **name}
        res = refopt.fit_convex_relu(X, y, beta=0.5, **options)
        other = refopt.fit_convex_relu(c * X, y, beta=0.5 * c, **options)
        assert other.success and other.nit <= 2 * res.nit + 20
        assert other.fun == pytest.approx(res.fun, rel=2e-3 if method != "gated" else 0.2)
        assert other.fun_convex == pytest.approx(res.fun_convex, rel=2e-3)
        whole = refopt.relu_network_objective(c * X, y, other.W1, other.w2, beta=0.5 * c, loss=loss)
        assert other.fun == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("c", [1e-6, 1e6])
@pytest.mark.parametrize("method", [*METHODS, "refined"])
def test_units_of_targets_do_not_matter(method, c):
    name = {"rng": 0} if method == "refined" else {"method": method, "gates": G}
    res = refopt.fit_convex_relu(X, Y, beta=0.5, tol=1e-3, **name)
    other = refopt.fit_convex_relu(X, c * Y, beta=0.5 * c, tol=1e-3, **name)
    assert other.success
    assert other.fun_convex / c**2 == pytest.approx(res.fun_convex, rel=2e-3)


def test_single_precision_and_other_forms_of_arrays():
    res = refopt.fit_convex_relu(X, Y, beta=0.5, gates=G, tol=1e-3)
    single = refopt.fit_convex_relu(X.astype(np.float32), Y, beta=0.5, gates=G, tol=1e-3)
    assert {single.x.dtype, single.W1.dtype, single.w2.dtype} == {np.dtype(np.float32)}
    assert single.success and single.fun == pytest.approx(res.fun, rel=1e-3)
    frozen = np.asfortranarray(np.repeat(X, 2, axis=0)[::2])
    frozen.flags.writeable = False
    same = refopt.fit_convex_relu(frozen, Y.tolist(), beta=0.5, gates=G.tolist(), tol=1e-3)
    np.testing.assert_allclose(same.x, res.x, atol=1e-9)
    whole = np.round(3 * X).astype(int)
    integers = refopt.fit_convex_relu(whole, np.ones(40, int), beta=1, gates=G, tol=1e-3)
    assert integers.success and integers.x.dtype == np.float64


def test_gates_turned_with_the_features_and_samples_in_another_order():
    Q, order = np.linalg.qr(RNG.standard_normal((3, 3)))[0], RNG.permutation(40)
    for method in METHODS:
        options = {"beta": 0.5, "method": method, "tol": 1e-3 if method == "admm" else 1e-8}
        res = refopt.fit_convex_relu(X, Y, gates=G, **options)
        turned = refopt.fit_convex_relu(X @ Q, Y, gates=Q.T @ G, **options)
        shuffled = refopt.fit_convex_relu(X[order], Y[order], gates=G, **options)
        for other in (turned, shuffled):
            assert other.fun_convex == pytest.approx(res.fun_convex, rel=2 * options["tol"])


BAD = [
    ({"X": X[:, 0]}, ValueError, "X must be 2-dimensional"),
    ({"X": X[:0], "y": Y[:0]}, ValueError, "X must have a row and a column"),
    ({"X": X[:, :0]}, ValueError, "X must have a row and a column"),
    ({"X": np.where(X > 2, np.inf, X)}, ValueError, "X must be finite"),
    ({"X": X + 1j}, TypeError, "X must be real"),
    ({"X": X.astype(str)}, TypeError, "X must hold real numbers"),
    ({"y": Y[:-1]}, ValueError, "y must have one entry per row of X, 40, got 39"),
    ({"y": Y[:, None, None]}, ValueError, "y must be 2-dimensional"),
    ({"y": np.zeros((40, 0))}, ValueError, "y must have an output"),
    ({"y": np.where(Y > 0, np.nan, Y)}, ValueError, "y must be finite"),
    ({"loss": "logistic", "y": (LABELS + 1) / 2}, ValueError, "y must hold labels -1 and"),
    ({"loss": "hinge", "y": LABELS.astype(str)}, TypeError, "y must hold real numbers"),
    ({"loss": "hinge", "y": np.c_[LABELS, Y]}, ValueError, "y must hold labels -1 and"),
    ({"beta": 0}, ValueError, "beta must be positive"),
    ({"beta": np.nan}, ValueError, "beta must be positive and finite"),
    ({"beta": "1"}, TypeError, "beta must be a real number"),
    ({"loss": "softmax"}, ValueError, "loss must be one of"),
    ({"method": "newton"}, ValueError, "method must be one of"),
    ({"splitting": "jacobi"}, ValueError, "splitting must be one of"),
    ({"refine": "always"}, ValueError, "refine must be one of 'auto'"),
    ({"refine": -1}, ValueError, "refine must be at least 0"),
    ({"refine": 1.5}, TypeError, "refine must be an integer"),
    ({"m_init": 0}, ValueError, "m_init must be at least 1"),
    ({"n_gates": 2.0}, TypeError, "n_gates must be an integer"),
    ({"gates": np.ones((3, 2)) * 1j}, TypeError, "gates must be real"),
    ({"gates": np.ones(3)}, ValueError, "gates must be 2-dimensional"),
    ({"maxiter": -1}, ValueError, "maxiter must be at least 0"),
    ({"time_limit": 0}, ValueError, "time_limit must be positive"),
    ({"rng": "seed"}, TypeError, "rng must be"),
    ({"callback": 3}, TypeError, "callback must be callable"),
]


@pytest.mark.parametrize(("change", "error", "text"), BAD)
def test_bad_input_is_refused_by_name(change, error, text):
    with pytest.raises(error, match=f"^{text}"):
        refopt.fit_convex_relu(**{"X": X, "y": Y, "beta": 1.0} | change)


def test_a_bound_from_slopes_of_any_network():
    res = refopt.fit_convex_relu(X, Y, beta=0.5, rng=0, tol=1e-6)
    assert refopt.dual_bound(X, Y, res.r, beta=0.5, rng=0) == pytest.approx(
        res.lower_bound, rel=1e-8
    )
    for loss, y in (("squared", Y), ("logistic", LABELS), ("hinge", LABELS)):
        best = refopt.fit_convex_relu(X, y, beta=0.5, loss=loss, rng=0, tol=1e-5)
        for _ in range(5):
            r = -y * RNG.random(40) if loss != "squared" else RNG.standard_normal(40)
            assert 0 <= refopt.dual_bound(X, y, r, beta=0.5, loss=loss, rng=0) <= best.fun
    for r, text in ((Y[:3], "r must have one entry"), (2 * LABELS, "r must have -y r between")):
        with pytest.raises(ValueError, match=text):
            refopt.dual_bound(X, LABELS, r, beta=0.5, loss="hinge")
