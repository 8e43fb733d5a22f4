"""Least squares by a sketch: answers, iterations whatever the condition, rank, refusals."""

import numpy as np
import pytest
from scipy import sparse

import refopt
from refopt.augmented_lagrangian._sketch_lstsq import SKETCHES


def tall(N, n, condition, seed=0):
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((N, n)))[0]
    V = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A = (U * np.geomspace(1.0, 1.0 / condition, n)) @ V.T
    return A, A @ rng.standard_normal(n) + 1e-8 * rng.standard_normal(N)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("sketch", SKETCHES)
def test_the_solution_is_that_of_lapack_at_a_condition_of_a_million(sketch, backend):
    A, b = tall(3000, 30, 1e6)
    x, info = refopt.sketch_lstsq(A, b, sketch=sketch, rng=0, backend=backend)
    expected = np.linalg.lstsq(A, b, rcond=None)[0]
    assert info.converged
    assert np.linalg.norm(x - expected) <= 1e-9 * np.linalg.norm(expected)


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6, 1e9, 1e12])
@pytest.mark.parametrize("sketch", SKETCHES)
def test_the_iterations_do_not_grow_with_the_condition(sketch, condition):
    A, b = tall(2000, 20, condition)
    _, info = refopt.sketch_lstsq(A, b, sketch=sketch, rtol=1e-12, rng=0)
    assert info.converged and info.nit <= 60


def test_a_few_rows_of_great_weight_do_not_break_the_sketch():
    rng = np.random.default_rng(0)
    A = 1e-3 * rng.standard_normal((4000, 60))
    A[:60] = 1e4 * np.eye(60)
    _, info = refopt.sketch_lstsq(A, rng.standard_normal(4000), rng=0)
    assert info.converged and info.nit <= 60


@pytest.mark.parametrize("sketch", ["countsketch", "gaussian"])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_sparse_matrices_give_the_same(sketch, backend):
    A, b = tall(500, 10, 10.0)
    A = A * (np.random.default_rng(1).random(A.shape) < 0.5)
    one = refopt.sketch_lstsq(A, b, sketch=sketch, rng=0, backend=backend)[0]
    two = refopt.sketch_lstsq(sparse.csc_array(A), b, sketch=sketch, rng=0, backend=backend)[0]
    np.testing.assert_allclose(two, one, rtol=1e-10)


def test_without_full_rank_the_shortest_solution_is_found():
    A, b = tall(800, 12, 10.0)
    A[:, 3] = A[:, 4]
    A[:, 5] = 0.0
    x, info = refopt.sketch_lstsq(A, b, rng=0)
    assert info.rank == 10 and info.converged
    np.testing.assert_allclose(x, np.linalg.lstsq(A, b, rcond=None)[0], atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (6, 5), (300, 1)])
def test_small_and_square_matrices_are_solved(shape):
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal(shape), rng.standard_normal(shape[0])
    x, info = refopt.sketch_lstsq(A, b, rng=0)
    assert info.converged
    np.testing.assert_allclose(x, np.linalg.lstsq(A, b, rcond=None)[0], rtol=1e-7)


def test_zero_matrices_and_zero_right_hand_sides_are_solved_by_zero():
    for A, b in ((np.zeros((9, 2)), np.ones(9)), (np.ones((9, 2)), np.zeros(9))):
        x, info = refopt.sketch_lstsq(A, b, rng=0)
        assert info.converged and not x.any()


def test_one_seed_gives_one_run_and_single_precision_stays():
    A, b = tall(500, 10, 10.0)
    one, two = (refopt.sketch_lstsq(A, b, rng=7)[0] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    x, info = refopt.sketch_lstsq(A.astype(np.float32), b.astype(np.float32), rng=7)
    assert x.dtype == np.float32 and info.converged


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sketch": "dct"}, "sketch must be one of"),
        ({"oversampling": 1.0}, "oversampling must be above 1"),
        ({"A": np.ones((2, 5)), "b": np.ones(2)}, "A must have at least as many rows as columns"),
        ({"A": sparse.eye_array(9), "sketch": "srht"}, "sketch must not be 'srht'"),
        ({"maxiter": -1}, "maxiter must be at least 0"),
    ],
)
def test_bad_input_is_refused_by_name(options, message):
    arguments = {"A": np.eye(9, 3), "b": np.ones(9)} | options
    with pytest.raises(ValueError, match=message):
        refopt.sketch_lstsq(**arguments)


def test_a_residual_that_is_rounding_is_called_so():
    A = np.random.default_rng(0).standard_normal((200, 10))
    _, info = refopt.sketch_lstsq(A, A @ np.ones(10), rtol=0.0, rng=0)
    assert info.converged and "relative residual" in info.message


@pytest.mark.parametrize(
    ("unit", "size"), [(1e-170, 1.0), (1e170, 1.0), (1.0, 1e-170), (1e-300, 1e-300)]
)
def test_extreme_units_change_nothing_but_the_unit_of_x(unit, size):
    A, b = tall(500, 12, 1e2)
    x, info = refopt.sketch_lstsq(unit * A, size * b, rng=0)
    assert info.converged
    np.testing.assert_allclose(x * (unit / size), np.linalg.lstsq(A, b)[0], rtol=1e-6)
