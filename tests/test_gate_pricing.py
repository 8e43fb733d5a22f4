"""Prices of directions: exact ones against every cell, searches against exact ones."""

import numpy as np
import pytest

import refopt
from refopt.convex_relu._ascents import arc, dca, normalised, pivot, prices
from refopt.convex_relu._sweeps import largest_price
from refopt_backends import resolve

XP, KERNELS = resolve(backend="numpy")


def over_all_cells(X, q):
    """The largest price by one projection on each cell's cone."""
    best = 0.0
    for mask in refopt.all_relu_patterns(X).T:
        S = np.where(mask, 1.0, -1.0)[:, None] * X
        c = np.where(mask, q, 0.0) @ X
        W, _ = KERNELS.box_least_squares(
            S, np.full(len(q), np.inf), -c[None], np.zeros((1, len(q)))
        )
        best = max(best, float(np.linalg.norm(W)))
    return best


@pytest.mark.parametrize(("n", "d"), [(6, 1), (12, 2), (14, 3), (8, 4)])
@pytest.mark.parametrize("degenerate", [False, True])
def test_sweep_finds_the_largest_price_of_all_cells(n, d, degenerate):
    rng = np.random.default_rng(n + d)
    X, q = rng.standard_normal((n, d)), rng.standard_normal(n)
    if degenerate:
        X[3], X[4], X[5] = -2 * X[2], 0.5 * X[1], 0.0
    u, value = largest_price(X, q)
    assert value == pytest.approx(over_all_cells(X, q), rel=1e-11)
    if value > 0:
        assert np.linalg.norm(u) == pytest.approx(1)
        assert q @ np.maximum(X @ u, 0) == pytest.approx(value, rel=1e-12)


def test_rank_deficient_rows_are_priced_in_their_row_space():
    rng = np.random.default_rng(0)
    X, r = rng.standard_normal((15, 2)) @ rng.standard_normal((2, 5)), rng.standard_normal(15)
    U, values, sides, exact = refopt.price_gates(X, r, n_starts=5, rng=0)
    assert exact
    assert values[0] == pytest.approx(max(over_all_cells(X, q) for q in (r, -r)), rel=1e-9)
    np.testing.assert_allclose(np.linalg.norm(U, axis=0), 1.0)
    found = [-s * r @ np.maximum(X @ u, 0) for s, u in zip(sides, U.T, strict=True)]
    np.testing.assert_allclose(found, values)


@pytest.mark.parametrize("search", [dca, pivot, arc])
def test_searches_climb_and_never_pass_the_exact_price(search):
    rng = np.random.default_rng(1)
    X, q = rng.standard_normal((20, 3)), rng.standard_normal(20)
    U = normalised(rng.standard_normal((10, 3)))
    before = prices(X, q, U)
    found = search(X, q, U.copy(), *(() if search is arc else (KERNELS,)))
    after = prices(X, q, found)
    exact = largest_price(X, q)[1]
    assert (after >= before - 1e-12).all()
    assert after.max() <= exact * (1 + 1e-12)
    if search is not arc:
        assert after.max() == pytest.approx(exact, rel=1e-10)


def test_dca_ends_where_the_optimality_condition_holds():
    rng = np.random.default_rng(2)
    X, q = rng.standard_normal((25, 4)), rng.standard_normal(25)
    for u in dca(X, q, rng.standard_normal((6, 4)), KERNELS):
        H = X @ u
        on = np.abs(H) < 1e-9
        assert (q[on] < 0).all()
        c = np.where((H > 0) & ~on, q, 0) @ X
        h = q @ np.maximum(H, 0)
        a = np.linalg.lstsq(X[on].T, c - h * u, rcond=None)[0]
        np.testing.assert_allclose(c - a @ X[on], h * u, atol=1e-9)
        assert (a >= -1e-9).all() and (a <= -q[on] + 1e-9).all()


def test_box_least_squares_meets_its_optimality_conditions_on_kinks():
    # Many rows through few directions: sets of free coefficients are dependent.
    rng = np.random.default_rng(3)
    X = np.round(rng.standard_normal((60, 5)))
    upper, G = rng.random(60), 20 * rng.standard_normal((4, 5))
    for name in ("numpy", "numba"):
        kernels = resolve(backend=name)[1]
        W, A = kernels.box_least_squares(X, upper, G, np.zeros((4, 60)))
        np.testing.assert_allclose(W, G - A @ X, atol=1e-10)
        slope = W @ X.T
        assert (slope[A < upper - 1e-9] <= 1e-8).all()
        assert (slope[A > 1e-9] >= -1e-8).all()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"side": "left"}, "side must be one of"),
        ({"kind": "power"}, "kind must be one of"),
        ({"n_starts": -1}, "n_starts must be at least 0"),
        ({"r": np.ones(3)}, "r must have one entry per row of X"),
        ({"starts": np.ones((3, 2))}, "starts must have 5 rows"),
        ({"kind": "exact"}, "kind must be 'dca', 'arc' or 'pivot'"),
    ],
)
def test_bad_arguments_are_refused(changes, text):
    X = np.random.default_rng(0).standard_normal((400, 5))
    with pytest.raises(ValueError, match=text):
        refopt.price_gates(**{"X": X, "r": X[:, 0], "n_starts": 2, "rng": 0} | changes)
