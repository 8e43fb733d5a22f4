"""Lanczos' method, data of Ritz vectors, deflation."""

import numpy as np
import pytest

import pressure_systems
from refopt import PoissonGrid, deep_conjugate_direction, deflated_cg, lanczos, ritz_dataset
from refopt.deep_conjugate._lanczos import ritz_vectors


def box_eigenvalues(shape):
    """Of a closed box without obstacles: sums of 2 - 2 cos(pi k / n)."""
    modes = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in shape]
    return np.sort((modes[0][:, None, None] + modes[1][:, None] + modes[2]).ravel())


def test_the_tridiagonal_matrix_is_that_of_the_basis():
    A, b = pressure_systems.spd()
    Q, alpha, beta = lanczos(A, b, 20)
    np.testing.assert_allclose(Q.T @ Q, np.eye(20), atol=1e-13)
    T = np.diag(alpha) + np.diag(beta, 1) + np.diag(beta, -1)
    np.testing.assert_allclose(Q.T @ A @ Q, T, atol=1e-9)
    np.testing.assert_allclose(Q[:, 0], b / np.linalg.norm(b), atol=1e-15)


def test_all_steps_find_all_eigenvalues():
    shape = (3, 4, 5)  # rounding brings the second of equal ones, in time
    A = PoissonGrid(np.ones(shape, int))
    expected = box_eigenvalues(shape)
    theta, Y = ritz_vectors(A, np.random.default_rng(0).standard_normal(A.n), A.n)
    np.testing.assert_allclose(theta, expected, atol=1e-8)
    np.testing.assert_allclose(A.tocsr() @ Y, Y * theta, atol=1e-7)


def test_an_exhausted_space_ends_early():
    v = np.zeros(6)
    v[[1, 4]] = 1.0
    Q, alpha, beta = lanczos(np.diag(np.arange(6.0)), v, 6)
    assert Q.shape == (6, 2) and alpha.size == 2 and beta.size == 1
    assert lanczos(np.eye(3), np.ones(3), 3)[1].tolist() == pytest.approx([1.0])


def test_samples_have_norm_one_and_the_lower_end_stands_out():
    A = PoissonGrid(np.ones((4, 5, 7), int))
    b = ritz_dataset(A, 3000, n_lanczos=60, rng=0, dtype=np.float64)
    np.testing.assert_allclose(np.linalg.norm(b, axis=1), 1.0, atol=1e-12)
    assert abs(b.sum(1)).max() < 1e-9  # in the range: no part of the null space
    start = A.matvec(np.random.default_rng(0).standard_normal(A.n))
    theta, Y = ritz_vectors(A, start, 60)
    rms = np.sqrt(((b @ Y) ** 2).mean(0))
    low = np.arange(theta.size) < round(0.55 * theta.size)
    assert rms[low][1:].min() / rms[~low].max() > 7
    assert rms[low][1:].mean() / rms[~low].mean() == pytest.approx(9, rel=0.05)
    assert ritz_dataset(A, 3, n_lanczos=5, rng=0).dtype == np.float32


@pytest.mark.parametrize("form", ["grid", "sparse", "dense"])
def test_deflation_solves_in_fewer_steps(form):
    A, stored, b = pressure_systems.system("smoke", 14)
    matrix = {"grid": A, "sparse": stored, "dense": stored.toarray()}[form]
    x, res = deflated_cg(matrix, b, rtol=1e-6, full_output=True)
    plain = deep_conjugate_direction(matrix, b, rtol=1e-6, full_output=True)[1]
    assert res.success and np.linalg.norm(b - stored @ x) <= 1e-6 * np.linalg.norm(b)
    assert res.nit < 0.7 * plain.nit
    assert deflated_cg(matrix, b, n_ritz=0)[1] == 0


def test_deflation_knows_the_null_space_of_a_grid():
    A = PoissonGrid(np.ones((6, 7, 8), int))
    b = np.random.default_rng(0).standard_normal(A.n)
    x, res = deflated_cg(A, b, full_output=True)
    assert res.success and abs(x.mean()) < 1e-12 and res.b_removed > 0


def test_what_is_wrong_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^v0 must not be zero"):
        lanczos(np.eye(3), np.zeros(3), 2)
    with pytest.raises(ValueError, match=r"^m must be at least 1"):
        lanczos(np.eye(3), np.ones(3), 0)
    with pytest.raises(ValueError, match=r"^low_fraction must be at most 1"):
        ritz_dataset(np.eye(3), low_fraction=2)
    with pytest.raises(ValueError, match=r"^dtype must be float32 or float64"):
        ritz_dataset(np.eye(3), dtype=int)
    with pytest.raises(ValueError, match="n_lanczos must be at least 1, got 0"):
        ritz_dataset(np.eye(3), n_lanczos=0)
    with pytest.raises(ValueError, match="low_weight must be positive where low_fraction is 1"):
        ritz_dataset(np.eye(3), low_weight=0, low_fraction=1)
    with pytest.raises(ValueError, match="A must not be zero"):
        ritz_dataset(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="A must be positive semidefinite, got"):
        ritz_dataset(-np.eye(3))
