"""Sketch-and-project: limits, rates, agreement of backends, refusals."""

import numpy as np
import pytest
from scipy import sparse

import refopt
from refopt.augmented_lagrangian._sketches import BLOCKS, SINGLE

KINDS = (*SINGLE, *BLOCKS)


def system(N, n, seed=0, zero_rows=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((N, n)) + 4.0 * np.eye(N, n)
    if zero_rows:
        A[rng.permutation(N)[:zero_rows]] = 0.0
    return A, A @ rng.standard_normal(n), rng.standard_normal(n)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(50, 12), (12, 50), (1, 1), (1, 7)])
def test_the_limit_is_the_projection_of_the_start(kind, shape):
    A, b, x0 = system(*shape)
    x, info = refopt.sketch_project(A, b, x0, sketch=kind, rtol=1e-9, rng=0)
    assert info.converged
    assert np.linalg.norm(A @ x - b) <= 1e-9 * np.linalg.norm(b)
    projection = x0 + np.linalg.pinv(A) @ (b - A @ x0)
    if kind != "coordinate" or shape[0] >= shape[1]:
        np.testing.assert_allclose(x, projection, atol=1e-7)


def test_kaczmarz_contracts_at_the_expected_rate():
    # E |x_k - x*|^2 <= (1 - s_min^2 / |A|_F^2)^k |x_0 - x*|^2 with row-norm sampling
    A, b, x0 = system(30, 10, seed=3)
    A *= np.geomspace(1, 5, 30)[:, None]
    b = b * np.geomspace(1, 5, 30)
    solution, s = np.linalg.lstsq(A, b, rcond=None)[0], np.linalg.svd(A, compute_uv=False)
    steps = 200
    bound = (1 - (s[-1] ** 2 / (s**2).sum())) ** steps
    errors = []
    for seed in range(20):
        options = {"sampling": "rownorm", "maxiter": steps, "check_every": steps, "rtol": 0.0}
        x, _ = refopt.sketch_project(A, b, x0, rng=seed, **options)
        errors.append(((x - solution) ** 2).sum())
    assert np.mean(errors) <= bound * ((x0 - solution) ** 2).sum()


@pytest.mark.parametrize("kind", ["block", "block_gaussian", "subsample"])
def test_a_block_of_all_rows_is_exact_in_one_step(kind):
    A, b, x0 = system(8, 20)
    x, info = refopt.sketch_project(
        A, b, x0, sketch=kind, block_size=8, maxiter=1, rtol=1e-12, rng=0
    )
    assert info.converged and info.nit == 1
    np.testing.assert_allclose(x, x0 + np.linalg.pinv(A) @ (b - A @ x0), atol=1e-12)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("kind", KINDS)
def test_backends_and_forms_of_the_matrix_make_the_same_run(kind, form):
    A, b, x0 = system(40, 15, zero_rows=3)
    options = {"sketch": kind, "maxiter": 60, "rng": 5, "rtol": 0.0, "momentum": 0.0}
    expected, info = refopt.sketch_project(A, b, x0, backend="numpy", **options)
    for backend in ("numpy", "numba"):
        x, other = refopt.sketch_project(form(A), b, x0, backend=backend, **options)
        np.testing.assert_allclose(x, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
        assert other.nit == info.nit == 60
        assert other.row_actions == info.row_actions


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_index_types_of_compressed_rows_do_not_matter(backend):
    A, b, _ = system(40, 15)
    matrix = sparse.csr_array(A)
    wide = sparse.csr_array(
        (matrix.data, matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)), A.shape
    )
    one = refopt.sketch_project(matrix, b, rng=0, backend=backend)[0]
    np.testing.assert_array_equal(refopt.sketch_project(wide, b, rng=0, backend=backend)[0], one)


@pytest.mark.parametrize("sampling", ["shuffle", "uniform", "rownorm"])
@pytest.mark.parametrize("kind", ["kaczmarz", "block", "coordinate"])
def test_every_sampling_converges_and_repeats_itself(kind, sampling):
    A, b, _ = system(40, 15, zero_rows=3)
    runs = [refopt.sketch_project(A, b, sketch=kind, sampling=sampling, rng=1) for _ in range(2)]
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    assert runs[0][1].converged


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_momentum_and_relaxation_keep_the_limit(form):
    A, b, x0 = system(12, 40)
    x, info = refopt.sketch_project(
        form(A), b, x0, momentum=0.3, omega=0.8, rtol=1e-10, rng=0, backend="numba"
    )
    assert info.converged
    np.testing.assert_allclose(x, x0 + np.linalg.pinv(A) @ (b - A @ x0), atol=1e-8)


@pytest.mark.parametrize("kind", ["kaczmarz", "greedy", "block"])
def test_inconsistent_systems_are_told_and_point_to_least_squares(kind):
    A, b, _ = system(60, 10)
    b = b + np.random.default_rng(1).standard_normal(60)
    _, info = refopt.sketch_project(A, b, sketch=kind, rng=0)
    assert not info.converged and info.status == 3
    assert "inconsistent" in info.message and "sketch_lstsq" in info.message
    assert info.nit > 0


def test_zero_rows_are_skipped_and_contradict_other_values():
    A, b, _ = system(30, 10, zero_rows=4)
    assert refopt.sketch_project(A, b, rng=0)[1].converged
    b[np.flatnonzero(~A.any(1))] = 1.0
    assert not refopt.sketch_project(A, b, rng=0)[1].converged


def test_a_right_hand_side_of_zero_projects_onto_the_null_space():
    A, _, x0 = system(6, 9)
    x, info = refopt.sketch_project(A, np.zeros(6), rng=0)
    assert info.converged and info.nit == 0 and not x.any()
    x, info = refopt.sketch_project(A, np.zeros(6), x0, rtol=1e-10, rng=0)
    np.testing.assert_allclose(x, x0 - np.linalg.pinv(A) @ (A @ x0), atol=1e-8)


def test_coordinate_descent_reaches_least_squares():
    A, b, _ = system(60, 10)
    b = b + np.random.default_rng(1).standard_normal(60)
    x, _ = refopt.sketch_project(A, b, sketch="coordinate", maxiter=4000, rng=0)
    np.testing.assert_allclose(x, np.linalg.lstsq(A, b, rcond=None)[0], atol=1e-10)


def test_single_precision_stays_so():
    A, b, _ = system(50, 12)
    x, info = refopt.sketch_project(A.astype(np.float32), b.astype(np.float32), rng=0)
    assert x.dtype == np.float32 and info.converged


def test_callbacks_see_copies_and_may_stop():
    A, b, _ = system(40, 40)
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        intermediate_result.x[:] = np.nan
        if len(seen) == 3:
            raise StopIteration

    x, info = refopt.sketch_project(A, b, rtol=1e-12, check_every=7, rng=0, callback=callback)
    assert info.status == 2 and info.nit == 21 and np.isfinite(x).all()
    assert [r.nit for r in seen] == [7, 14, 21]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sketch": "kaczmar"}, ValueError, "sketch must be one of"),
        ({"sampling": "all"}, ValueError, "sampling must be one of"),
        ({"momentum": 1.0}, ValueError, r"momentum must be in \[0, 1\)"),
        ({"momentum": 0.1, "sketch": "greedy"}, ValueError, "momentum must be 0"),
        ({"omega": 2.0}, ValueError, r"omega must be in \(0, 2\)"),
        ({"block_size": 0, "sketch": "block"}, ValueError, "block_size must be"),
        (
            {"block_size": 9, "sketch": "block"},
            ValueError,
            "block_size must be between 1 and the 5",
        ),
        ({"x0": np.ones(2)}, ValueError, "x0 must have one entry per column of A, 3"),
        ({"rtol": -1.0}, ValueError, "rtol must be nonnegative"),
        ({"check_every": 0}, ValueError, "check_every must be at least 1"),
        ({"A": sparse.csr_array(np.eye(5, 3) * 1j)}, TypeError, "A must be real"),
        ({"A": sparse.csr_array((5, 0))}, ValueError, "A must have rows and columns"),
        ({"b": np.ones(4)}, ValueError, "b must have one entry per row of A, 5"),
    ],
)
def test_bad_input_is_refused_by_name(options, error, message):
    arguments = {"A": np.eye(5, 3), "b": np.ones(5)} | options
    with pytest.raises(error, match=message):
        refopt.sketch_project(**arguments)


@pytest.mark.parametrize(
    ("unit", "size"), [(1e-170, 1.0), (1e170, 1.0), (1.0, 1e-170), (1e-300, 1e-300)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_extreme_units_change_nothing_but_the_unit_of_x(kind, unit, size):
    A, b, _ = system(12, 12)
    plain, known = refopt.sketch_project(A, b, sketch=kind, rng=0, backend="numpy")
    x, info = refopt.sketch_project(unit * A, size * b, sketch=kind, rng=0, backend="numpy")
    assert info.converged and known.converged
    np.testing.assert_allclose(x * (unit / size), plain, rtol=1e-3, atol=1e-4)
    assert info.residual_norm <= 1e-6 * size * np.linalg.norm(b)
