"""Matrix games: known values, certificates recomputed outside, invariances, and every end."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

import refopt
from refopt.problems import (
    gaussian_game,
    low_rank_game,
    nemirovski_1,
    nemirovski_2,
    policeman_burglar,
    uniform_game,
)

EXACT = ("auto", "interior-point", "double-oracle", "rhpdhg")
SLOW = ("prm+", "eg", "eag", "forb", "vr-eg", "vr-halpern", "inexact-halpern")


def gap_of(A, x, y):
    """The gap of strategies in plain NumPy, which must be strategies."""
    assert x.min() >= 0 and y.min() >= 0
    np.testing.assert_allclose([x.sum(), y.sum()], 1.0, rtol=0, atol=1e-12)
    return (A @ x).max() - (A.T @ y).min()


def assert_solved(A, res, tol=1e-8):
    gap = gap_of(A, res.x, res.y)
    scale = max(abs(A).max(), 1e-300)
    assert res.success and res.status == 0, res.message
    assert -1e-12 * scale <= gap <= tol
    np.testing.assert_allclose(res.gap, gap, rtol=0, atol=1e-14 * scale)
    assert res.fun == res.value
    assert abs(res.value - res.y @ (A @ res.x)) <= gap + 1e-14 * scale


def lp_value(A):
    """The value by SciPy's linear programming."""
    m, n = A.shape
    cost = np.append(np.zeros(n), 1.0)
    rows = np.hstack([A, -np.ones((m, 1))])
    found = linprog(
        cost, rows, np.zeros(m), np.append(np.ones((1, n)), 0)[None, :], [1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )  # fmt: skip
    return found.fun


# -- known answers ----------------------------------------------------------------------


@pytest.mark.parametrize("method", EXACT)
def test_rock_paper_scissors(method):
    A = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    res = refopt.matrix_game(A, method=method, x0=[1.0, 0, 0], y0=[0, 1.0, 0])
    assert_solved(A, res)
    np.testing.assert_allclose(np.append(res.x, res.y), 1 / 3, atol=1e-7)


@pytest.mark.parametrize("method", EXACT)
def test_two_by_two_games_have_a_formula(method):
    rng = np.random.default_rng(3)
    for _ in range(10):
        a, d = rng.uniform(1, 3, 2)
        b, c = rng.uniform(-2, 0.5, 2)  # below both: no pure saddle point
        A = np.array([[a, b], [c, d]])
        res = refopt.matrix_game(A, method=method, tol=1e-10)
        assert_solved(A, res, 1e-10)
        np.testing.assert_allclose(res.value, (a * d - b * c) / (a + d - b - c), atol=1e-10)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.0])
def test_nemirovski_1_is_pure(exponent):
    n = 50
    res = refopt.matrix_game(nemirovski_1(n, exponent))
    np.testing.assert_allclose(res.value, (n / (2 * n - 1)) ** exponent, atol=1e-12)
    assert res.x.argmax() == 0 and res.y.argmax() == n - 1
    np.testing.assert_allclose([res.x.max(), res.y.max()], 1.0)


@pytest.mark.parametrize("n", [20, 120])
def test_nemirovski_2_mixes_the_ends_and_the_middle(n):
    res = refopt.matrix_game(nemirovski_2(n))
    value = ((n / 2) ** 2 + (n / 2 + 1) ** 2) / (2 * (2 * n - 1) ** 2)
    np.testing.assert_allclose(res.value, value, atol=1e-8)
    assert set(np.nonzero(res.y > 1e-3)[0]) == {0, n - 1}
    assert set(np.nonzero(res.x > 1e-3)[0]) == {n // 2 - 1, n // 2}
    linear = refopt.matrix_game(nemirovski_2(n, 1.0), tol=1e-10)
    np.testing.assert_allclose(linear.value, (n + 1) / (2 * (2 * n - 1)), atol=1e-10)


@pytest.mark.parametrize(
    ("n", "seed", "value", "house"),
    [
        (500, 1, 0.0018914828380037, 242),
        (800, 12, 0.00261519807080908, 490),
        (50, 1, 0.012664599, None),
    ],
)
def test_policeman_and_burglar(n, seed, value, house):
    res = refopt.matrix_game(policeman_burglar(n, seed), tol=1e-10)
    np.testing.assert_allclose(res.value, value, atol=1e-9)
    if house is not None:
        assert res.x.argmax() == house and res.x.max() > 1 - 1e-6


RANDOM = {
    "gaussian": (gaussian_game(40, 60, 21), -0.0470294062037626, 28),
    "uniform": (uniform_game(60, 40, 23), 0.0160752766532472, 22),
    "low rank": (low_rank_game(60, 60, 3, 0.1, 25), -0.00195196597233103, 33),
}


@pytest.mark.parametrize("method", ["auto", "interior-point", "double-oracle"])
@pytest.mark.parametrize("name", RANDOM)
def test_random_games_are_solved_to_rounding(name, method):
    A, value, support = RANDOM[name]
    res = refopt.matrix_game(A, method=method, tol=1e-12)
    assert_solved(A, res, 1e-12)
    np.testing.assert_allclose(res.value, value, rtol=0, atol=1e-13)
    assert np.count_nonzero(res.x) == np.count_nonzero(res.y) == support


@pytest.mark.parametrize("seed", range(6))
def test_values_are_those_of_linear_programming(seed):
    rng = np.random.default_rng(seed)
    m, n = rng.integers(2, 60, 2)
    A = rng.integers(-4, 5, (m, n)) * (rng.random((m, n)) < 0.6)  # ties and zeros
    for method in EXACT:
        res = refopt.matrix_game(A, method=method, tol=1e-7)
        assert_solved(A, res, 1e-7)
        np.testing.assert_allclose(res.value, lp_value(A), atol=1e-7)


@pytest.mark.parametrize("method", SLOW)
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_slow_methods_get_there(method, form):
    A = gaussian_game(12, 9, 4)
    tol = 0.1 if method in ("vr-halpern", "inexact-halpern") else 2e-3
    res = refopt.matrix_game(form(A), method=method, tol=tol, maxiter=4000, rng=1)
    assert_solved(A, res, tol)
    assert method in res.message
    assert abs(res.value - refopt.matrix_game(A).value) <= res.gap


# -- invariances ------------------------------------------------------------------------

A = gaussian_game(30, 45, 7)
STRATEGIES = refopt.matrix_game(A, tol=1e-12)


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("shift", [3.0, -1e5])
def test_a_shift_moves_the_value_and_nothing_else(shift, method):
    res = refopt.matrix_game(A + shift, method=method, tol=1e-10 * abs(shift))
    np.testing.assert_allclose(res.value - shift, STRATEGIES.value, atol=1e-10 * abs(shift))
    np.testing.assert_allclose(res.x, STRATEGIES.x, atol=1e-6)
    np.testing.assert_allclose(res.y, STRATEGIES.y, atol=1e-6)


@pytest.mark.parametrize("centre", [True, False])
def test_row_and_column_terms(centre):
    rng = np.random.default_rng(5)
    for B in (A + rng.standard_normal(45), A + rng.standard_normal((30, 1))):
        res = refopt.matrix_game(B, centre=centre)
        assert_solved(B, res)
        np.testing.assert_allclose(res.value, lp_value(B), atol=1e-8)


@pytest.mark.parametrize("method", EXACT)
def test_players_may_change_places(method):
    res = refopt.matrix_game(-A.T, method=method, tol=1e-10)
    np.testing.assert_allclose(res.value, -STRATEGIES.value, atol=1e-10)
    np.testing.assert_allclose(res.x, STRATEGIES.y, atol=1e-7)
    np.testing.assert_allclose(res.y, STRATEGIES.x, atol=1e-7)


@pytest.mark.parametrize("method", EXACT)
def test_permutations(method):
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(30), rng.permutation(45)
    res = refopt.matrix_game(A[rows][:, columns], method=method, tol=1e-10)
    np.testing.assert_allclose(res.x, STRATEGIES.x[columns], atol=1e-7)
    np.testing.assert_allclose(res.y, STRATEGIES.y[rows], atol=1e-7)


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("scale", [1e-100, 1e-6, 1e6, 1e100])
def test_units(method, scale):
    res = refopt.matrix_game(A * scale, method=method, tol=0.0, rtol=1e-10)
    assert res.success
    np.testing.assert_allclose(res.value / scale, STRATEGIES.value, atol=1e-9)


def test_centred_and_raw_steps_are_the_same_iteration():
    from refopt.halpern._game import take_in
    from refopt.halpern._restarted_halpern import _Epoch, _Steps
    from refopt_backends import resolve

    B = A + np.random.default_rng(0).standard_normal(45)
    runs = []
    for centre in (True, False):
        game = take_in(*resolve(B, backend="numpy"), B, centre)
        epoch = _Epoch(game, *game.uniform(), _Steps(0.02))
        epoch.advance(200)
        runs.append((epoch.x_new, epoch.y_new))
    for one, other in zip(*runs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)


def test_the_step_is_that_of_the_centred_matrix():
    from refopt.halpern._game import take_in
    from refopt_backends import resolve

    B = policeman_burglar(120)
    centred = B - B.mean(0) - B.mean(1)[:, None] + B.mean()
    norms = [np.linalg.norm(C, 2) for C in (centred, B)]
    assert norms[1] > 10 * norms[0]
    for form in (np.asarray, sp.csr_array):
        for centre, norm in zip((True, False), norms, strict=True):
            game = take_in(*resolve(B, backend="numpy"), form(B), centre)
            assert norm * 0.999 <= game.norm() <= norm * 1.011


# -- forms, backends, edges -------------------------------------------------------------


@pytest.mark.parametrize("method", EXACT)
def test_sparse_games_are_the_dense_ones(method):
    B = sp.random_array((80, 110), density=0.1, rng=np.random.default_rng(2), format="csr")
    B.data -= 0.5
    res = refopt.matrix_game(B, method=method)
    assert_solved(B.toarray(), res)
    np.testing.assert_allclose(res.value, lp_value(B.toarray()), atol=1e-8)


def test_a_large_sparse_game_is_not_made_dense():
    n = 40_000  # 13 GB if it were dense, or a block of it
    B = sp.diags_array([np.full(n, 2.0), np.ones(n - 1)], offsets=[0, 1], format="csr")
    for method in ("auto", "rhpdhg", "prm+"):
        res = refopt.matrix_game(B, method=method, maxiter=2, tol=1e-9)
        assert res.status in (0, 1) and 0 <= res.gap < 1e-3


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("method", [*EXACT, "prm+"])
def test_backends_agree(name, method):
    A = RANDOM[name][0]
    options = {"method": method, "maxiter": 15, "tol": 1e-9}
    one, two = (refopt.matrix_game(A, backend=b, **options) for b in ("numpy", "numba"))
    assert (one.backend, two.backend) == ("numpy", "numba")
    assert one.status == two.status
    np.testing.assert_allclose(one.value, two.value, atol=1e-8)
    np.testing.assert_allclose(one.x, two.x, atol=1e-6)


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize(
    "game",
    [
        [[4.0]], [[3.0, 1.0, 2.0]], [[3.0], [1.0], [2.0]], np.full((6, 4), 2.5), np.zeros((3, 3)),
        np.arange(4.0)[:, None] - np.arange(5.0), np.repeat(gaussian_game(9, 12, 3), 3, axis=0),
        np.repeat(gaussian_game(12, 9, 3), 3, axis=1), np.eye(7), [[1, 2], [3, 4]],
        1e-300 * gaussian_game(5, 4, 1),
    ],
)  # fmt: skip
def test_small_and_degenerate_games(game, method):
    res = refopt.matrix_game(game, method=method)
    assert_solved(np.asarray(game, dtype=float), res)


@pytest.mark.parametrize("method", SLOW)
@pytest.mark.parametrize(
    "game",
    [
        [[3.0, 1.0, 2.0]], [[3.0], [1.0], [2.0]], np.arange(4.0)[:, None] - np.arange(5.0),
        [[1.0, -1.0], [-1.0, 1.0]], np.zeros((2, 3)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("unit", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_small_games_in_any_unit_by_slow_methods(game, method, unit, form):
    A = unit * np.asarray(game)
    res = refopt.matrix_game(form(A), method=method, tol=0.0, rtol=1e-3, maxiter=2000, rng=0)
    assert_solved(A, res, 1e-3 * abs(A).max())


def test_single_precision_is_kept_and_says_what_it_can_reach():
    single = A.astype(np.float32)
    res = refopt.matrix_game(single)
    assert res.x.dtype == res.y.dtype == np.float32
    assert res.success and res.gap <= 1e-6 * abs(A).max()
    np.testing.assert_allclose(res.value, STRATEGIES.value, atol=1e-5)


# -- starts and ends --------------------------------------------------------------------


def test_a_solution_as_start_is_recognised():
    res = refopt.matrix_game(A, x0=STRATEGIES.x, y0=STRATEGIES.y)
    assert res.success and res.nit == 0


def test_the_supports_of_a_near_game_solve_it_at_once():
    B = A + 1e-6 * gaussian_game(30, 45, 8)
    res = refopt.matrix_game(B, x0=STRATEGIES.x, y0=STRATEGIES.y, tol=1e-10)
    assert_solved(B, res, 1e-10)
    assert res.nit == 1


@pytest.mark.parametrize("method", [*EXACT, *SLOW])
def test_maxiter_0_gives_the_start_with_its_gap(method):
    x0, y0 = np.eye(45)[3], np.eye(30)[5]
    res = refopt.matrix_game(A, method=method, x0=x0, y0=y0, maxiter=0)
    assert res.status == 1 and not res.success and res.nit == 0
    np.testing.assert_array_equal(res.x, x0)
    np.testing.assert_array_equal(res.y, y0)
    np.testing.assert_allclose(res.gap, A[:, 3].max() - A[5].min())


@pytest.mark.parametrize("method", [*EXACT, *SLOW])
def test_every_end_is_told_and_the_best_pair_returned(method):
    seen = []

    def stop(intermediate_result):
        seen.append(intermediate_result)
        if len(seen) == 2:
            raise StopIteration

    res = refopt.matrix_game(A, method=method, callback=stop, tol=1e-13, rng=0)
    assert res.status == 2 and "callback" in res.message and len(seen) == 2
    assert {"x", "y", "fun", "value", "gap", "nit"} <= seen[0].keys()
    assert res.gap <= min(s.gap for s in seen) * (1 + 1e-9)
    assert refopt.matrix_game(A, method=method, maxiter=2, tol=1e-13, rng=0).status == 1
    timed = refopt.matrix_game(A, method=method, time_limit=1e-9, tol=1e-15, rng=0)
    assert timed.status == 6 and timed.nit <= 2


@pytest.mark.parametrize("method", EXACT)
def test_a_tolerance_below_rounding_ends(method):
    res = refopt.matrix_game(uniform_game(40, 60, 3), method=method, tol=1e-25)
    assert res.status in (0, 3)
    assert 0 <= abs(res.gap) <= 1e-13


@pytest.mark.parametrize("method", [*EXACT, *SLOW])
def test_callbacks_by_keyword_and_what_is_none(method):
    seen = []

    def keep(*, intermediate_result):
        seen.append(intermediate_result.gap)

    res = refopt.matrix_game(A, method=method, callback=keep, maxiter=3, tol=1e-13, rng=0)
    np.testing.assert_array_equal(seen, res.history["gap"][1:])
    with pytest.raises(TypeError, match="callback must be callable, got int"):
        refopt.matrix_game(A, method=method, callback=3)


def test_history():
    res = refopt.matrix_game(A, method="rhpdhg", polish=False)
    assert res.nit == res.history["gap"].size - 1 > 3
    assert {"time", "fun", "gap"} == res.history.keys()
    assert res.nfev >= 40 * res.nit


def test_polish_never_makes_a_gap_larger():
    for seed in range(5):
        A = gaussian_game(20, 25, seed)
        for method in ("interior-point", "rhpdhg"):
            with_it, without = (
                refopt.matrix_game(A, method=method, polish=p, maxiter=12, tol=1e-15).gap
                for p in (True, False)
            )
            assert with_it <= without * (1 + 1e-9) + 1e-15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"A": [[1.0, np.inf]]}, "A must be finite"),
        ({"A": np.zeros((0, 3))}, "A must have a row and a column"),
        ({"A": [1.0, 2.0]}, "A must be 2-dimensional"),
        ({"A": sp.csr_array([[1.0, np.nan]])}, "A must be finite"),
        ({"x0": [1.0]}, "x0 must have 45 entries, got 1"),
        ({"y0": np.ones(30)}, "y0 must be nonnegative with sum 1"),
        ({"x0": 2 * np.eye(45)[0] - np.eye(45)[1]}, "x0 must be nonnegative with sum 1"),
        ({"method": "simplex"}, "method must be one of 'auto'"),
        ({"tol": -1.0}, "tol must be nonnegative"),
        ({"rtol": -1.0}, "rtol must be nonnegative"),
        ({"maxiter": -1}, "maxiter must be at least 0"),
        ({"time_limit": 0.0}, "time_limit must be positive"),
        ({"backend": "abacus"}, "backend"),
    ],
)
def test_bad_input_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        refopt.matrix_game(**{"A": A} | options)


def test_complex_payments_are_refused():
    for wrong in ([[1j]], sp.csr_array([[1j]])):
        with pytest.raises(TypeError, match="A must be real"):
            refopt.matrix_game(wrong)
