"""Data of extreme size: the answer of ordinary units, or an honest status, and no warning."""

import numpy as np
import pytest

import refopt

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5))
Y = (X[:, 0] + RNG.standard_normal(40) > 0).astype(int)
LABELS = RNG.integers(0, 3, 40)
A, B = RNG.random((30, 6)), RNG.random(30)


@pytest.mark.parametrize("size", [1e150, 1e200, 1e300])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("relative", [0.0, 1e-2])
@pytest.mark.parametrize(("solve", "labels"), [(refopt.logistic, Y), (refopt.softmax, LABELS)])
def test_heavy_samples(solve, labels, relative, intercept, size):
    options = {"fit_intercept": intercept}
    plain = solve(X, labels, relative, **options)
    seen = []
    res = solve(
        X, labels, relative * size, sample_weight=np.full(40, size), callback=seen.append, **options
    )
    assert res.success
    np.testing.assert_allclose(res.x, plain.x, rtol=1e-3, atol=1e-4)
    assert res.fun == pytest.approx(plain.fun * size, rel=1e-6)
    assert seen[-1].fun == pytest.approx(res.fun, rel=1e-12)
    assert res.history["fun"][-1] == pytest.approx(res.fun, rel=1e-12)
    honest = solve(X, labels, 1.0, sample_weight=np.full(40, size), **options)
    assert honest.success or honest.status == 3


@pytest.mark.parametrize(
    ("of_A", "of_b"),
    [(1, 1e150), (1, 1e300), (1e-200, 1), (1e-120, 1), (1e200, 1e200), (1e-300, 1e-300)],
)
def test_least_squares_of_any_size(of_A, of_b):
    plain = refopt.nnls(A, B)
    res = refopt.nnls(A * of_A, B * of_b)
    assert res.success
    np.testing.assert_allclose(res.x * (of_A / of_b), plain.x, rtol=1e-9, atol=1e-14)
    assert res.rnorm == pytest.approx(plain.rnorm * of_b, rel=1e-9)


def test_least_squares_whose_answer_is_no_number():
    with pytest.raises(ValueError, match="A must be larger"):
        refopt.nnls(A * 1e-200, B * 1e200)


@pytest.mark.parametrize("rule", ["gs", "gsd", "gsl", "gsq", "gs-q", "gs-r", "gs-s"])
@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200, 1e300])
def test_selection_compares_gradients_of_any_size(rule, size):
    block = refopt.select_block([2.0 * size, 3.0 * size], [1, 1], 1, rule, H=np.eye(2))
    assert block.tolist() == [1]
    assert refopt.select_block([size, 2e-3 * size], [1, 1], 1, rule, H=np.eye(2)).tolist() == [0]


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_cubic_steps_on_data_of_any_size(size):
    from refopt.block_coordinate import Logistic

    plain = refopt.minimize_bcd(Logistic(X, Y), update="cubic")
    res = refopt.minimize_bcd(Logistic(X * size, Y), update="cubic")
    np.testing.assert_allclose(res.x * size, plain.x, rtol=1e-3)
    assert res.success


@pytest.mark.parametrize("intercept", [False, True])
def test_heavy_samples_beside_an_l1_penalty(intercept):
    weights = np.full(40, 1e200)
    plain = refopt.l1_logistic(X, Y, 1.0, fit_intercept=intercept)
    res = refopt.l1_logistic(X, Y, 1e200, sample_weight=weights, fit_intercept=intercept)
    assert res.success
    np.testing.assert_allclose(res.x, plain.x, rtol=1e-3, atol=1e-5)
    assert refopt.l1_logistic(X, Y, 1.0, sample_weight=weights, fit_intercept=intercept).status == 3
