"""The pressure matrix, stored and not stored, and what is known about it."""

import numpy as np
import pytest
from scipy import fft, ndimage, sparse

from refopt import PoissonGrid, poisson_rhs
from refopt.problems import pressure_scene, swirl_velocity

# Scene, shape and seed: cells of fluid, norm of the right-hand side.
CHECKS = {
    ("box", 32, 5): (32_768, 111.2106129),
    ("smoke", 32, 5): (25_705, 105.7006303),
    ("dam", 32, 5): (9_970, 65.83035898),
    ("porous", 32, 5): (18_987, 106.0083753),
    ("walls", 32, 5): (23_520, 115.7258992),
    ("smoke", 64, 5): (227_561, 302.4178003),
    ("dam", 64, 5): (90_725, 190.1350777),
    ("porous", 64, 5): (167_593, 294.2689933),
    ("walls", 64, 5): (204_290, 331.9318461),
    ("smoke", (70, 90, 54), 7): (290_237, 341.9071311),
    ("dam", (59, 53, 67), 8): (77_541, 176.0825077),
    ("porous", (47, 61, 53), 9): (94_862, 235.4171344),
}


@pytest.mark.parametrize(("kind", "shape", "seed"), CHECKS)
def test_scenes_have_the_published_numbers_of_cells_and_norms(kind, shape, seed):
    cells, outside = pressure_scene(kind, shape, seed), "air" if kind == "box" else "solid"
    A = PoissonGrid(cells, outside=outside)
    b = poisson_rhs(cells, swirl_velocity(shape), outside=outside)
    n, norm = CHECKS[kind, shape, seed]
    assert A.n == n and np.linalg.norm(b) == pytest.approx(norm, rel=1e-9)
    assert A.components()[1].all()


def test_walls_at_another_spacing():
    cells = pressure_scene("walls", 64, spacing=8)
    b = poisson_rhs(cells, swirl_velocity(64))
    assert b.size == 211_854 and np.linalg.norm(b) == pytest.approx(331.6432959, rel=1e-9)


def some_cells(shape, seed=0):
    return np.random.default_rng(seed).choice(3, size=shape, p=(0.25, 0.6, 0.15))


def some_faces(shape, seed=1):
    rng = np.random.default_rng(seed)
    sizes = [tuple(n + (a == axis) for a, n in enumerate(shape)) for axis in range(len(shape))]
    return tuple(rng.random(size) * (rng.random(size) < 0.8) for size in sizes)


def literal(cells, outside, h=1.0, coefficient=None):
    """The matrix cell by cell, as its formula stands."""
    beyond = {"solid": 0, "air": 2}[outside]
    index = np.full(cells.shape, -1)
    index[cells == 1] = np.arange((cells == 1).sum())
    A = np.zeros((index.max() + 1,) * 2)
    for place in np.argwhere(cells == 1):
        i = index[tuple(place)]
        for axis in range(cells.ndim):
            for step in (0, 1):
                other = place.copy()
                other[axis] += 2 * step - 1
                inside = (other >= 0).all() and (other < cells.shape).all()
                kind = cells[tuple(other)] if inside else beyond
                face = place.copy()
                face[axis] += step
                w = 1.0 if coefficient is None else coefficient[axis][tuple(face)]
                A[i, i] += (kind != 0) * w
                if kind == 1:
                    A[i, index[tuple(other)]] -= w
    return A / h**2


SHAPES = [(1,), (13,), (7, 5), (1, 9), (6, 7, 5), (3, 1, 11), (1, 1, 1)]


@pytest.mark.parametrize("outside", ["solid", "air"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_product_and_stored_matrix_are_the_formula(shape, outside, weighted):
    cells = some_cells(shape)
    coefficient = some_faces(shape) if weighted else None
    A = PoissonGrid(cells, h=0.5, outside=outside, coefficient=coefficient)
    expected = literal(cells, outside, 0.5, coefficient)
    assert A.shape == expected.shape
    stored = A.tocsr()
    assert sparse.issparse(stored)
    np.testing.assert_allclose(stored.toarray(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(A.diagonal(), np.diag(expected), rtol=0, atol=1e-12)
    x = np.random.default_rng(2).standard_normal(A.n)
    np.testing.assert_allclose(A.matvec(x), expected @ x, rtol=0, atol=1e-11)
    np.testing.assert_allclose(A @ x, expected @ x, rtol=0, atol=1e-11)
    np.testing.assert_allclose(A.aslinearoperator() @ x, expected @ x, rtol=0, atol=1e-11)
    assert A.matvec(x[:, None]).shape == (A.n, 1)


@pytest.mark.parametrize("kind", ["smoke", "dam", "porous", "walls"])
def test_compiled_product_is_that_of_the_stored_matrix(kind):
    A = PoissonGrid(pressure_scene(kind, (31, 37, 29)))
    x = np.random.default_rng(0).standard_normal(A.n)
    np.testing.assert_allclose(A.matvec(x), A.tocsr() @ x, rtol=0, atol=1e-12 * abs(x).max())


def test_box_with_air_outside_has_the_sine_transform_for_inverse():
    shape = (31, 30, 29)
    A = PoissonGrid(np.ones(shape, int), outside="air")
    x = np.random.default_rng(0).standard_normal(shape)
    modes = [2 - 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1)) for n in shape]
    eigenvalues = modes[0][:, None, None] + modes[1][:, None] + modes[2]
    b = A.to_grid(A.matvec(A.from_grid(x)))
    solved = fft.idstn(fft.dstn(b, type=1) / eigenvalues, type=1)
    np.testing.assert_allclose(solved, x, rtol=0, atol=1e-9)


def test_parts_of_the_fluid_are_those_of_the_cells():
    cells = some_cells((9, 11, 13), 3)
    A = PoissonGrid(cells)
    labels, grounded = A.components()
    expected, count = ndimage.label(cells == 1)
    assert grounded.size == count
    assert np.array_equal(A.from_grid(expected) - 1, labels)
    near_air = ndimage.binary_dilation(cells == 2) & (cells == 1)
    assert np.array_equal(np.unique(expected[near_air]) - 1, np.flatnonzero(grounded))


def test_null_space_is_mapped_to_zero_and_is_orthonormal():
    A = PoissonGrid(some_cells((9, 11, 13), 3))
    N = A.nullspace()
    assert N.shape[1] == (~A.components()[1]).sum() > 1
    np.testing.assert_allclose((N.T @ N).toarray(), np.eye(N.shape[1]), atol=1e-14)
    assert abs(A.tocsr() @ N).max() < 1e-14
    rank = np.linalg.matrix_rank(A.tocsr().toarray())
    assert rank == A.n - N.shape[1]


def test_a_face_of_no_weight_parts_the_fluid():
    faces = (np.array([1.0, 2.0, 0.0, 1.0, 1.0]),)
    labels, grounded = PoissonGrid([1, 1, 1, 1], coefficient=faces, outside="air").components()
    assert labels.tolist() == [0, 0, 1, 1] and grounded.tolist() == [True, True]
    faces[0][0] = 0
    grounded = PoissonGrid([1, 1, 1, 1], coefficient=faces, outside="air").components()[1]
    assert grounded.tolist() == [False, True]


def test_vectors_go_to_the_grid_and_back():
    cells = some_cells((4, 5, 6))
    A = PoissonGrid(cells)
    x = np.arange(1.0, A.n + 1)
    X = A.to_grid(x)
    assert X.shape == cells.shape and (X[cells != 1] == 0).all()
    assert np.array_equal(X.ravel()[A.flat_index], x)
    assert np.array_equal(A.from_grid(X), x)
    assert np.array_equal(A.unpad(A.pad(x)), x)
    assert A.pad(x).shape == (6, 7, 8) and (A.pad(x)[A.types != 1] == 0).all()


def test_single_precision_is_kept_where_asked_for():
    A = PoissonGrid([2, 1, 1, 1], dtype=np.float32)
    assert A.matvec(np.ones(3)).dtype == A.tocsr().dtype == A.diagonal().dtype == np.float32
    assert PoissonGrid([2, 1]).matvec(np.ones(1, np.float32)).dtype == np.float64


def test_no_fluid_is_no_unknowns():
    A = PoissonGrid(np.zeros((3, 4), int))
    assert A.n == 0 and A.matvec(np.empty(0)).shape == (0,) and A.tocsr().shape == (0, 0)
    assert A.components()[0].size == A.components()[1].size == A.nullspace().shape[1] == 0


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        ([1, 3], {}, r"^cells must be 0 \(solid\), 1 \(fluid\) or 2 \(air\), got 3"),
        ([1, np.nan], {}, r"^cells must be 0"),
        ([1, 0.5], {}, r"^cells must be 0"),
        (np.ones((2, 2, 2, 2)), {}, r"^cells must have 1 to 3 dimensions"),
        ([], {}, r"^cells must have 1 to 3 dimensions and not be empty"),
        ([1, 1], {"h": 0}, r"^h must be positive"),
        ([1, 1], {"outside": "water"}, r"^outside must be one of 'solid', 'air'"),
        ([1, 1], {"dtype": int}, r"^dtype must be float32 or float64"),
        ([1, 1], {"coefficient": np.ones(3)}, r"^coefficient must be a tuple of 1 arrays.*got nd"),
        ([1, 1], {"coefficient": (np.ones(2),)}, r"^coefficient\[0\] must have shape \(3,\)"),
        ([1, 1], {"coefficient": ([1, -1, 1],)}, r"^coefficient\[0\] must be at least 0"),
        ([1, 1], {"coefficient": ([1, np.inf, 1],)}, r"^coefficient\[0\] must be finite"),
    ],
)
def test_what_is_no_grid_is_refused_by_name(cells, options, message):
    with pytest.raises(ValueError, match=message):
        PoissonGrid(cells, **options)


def test_vectors_of_another_length_are_refused():
    A = PoissonGrid([2, 1, 1])
    with pytest.raises(ValueError, match=r"^x must have shape \(2,\).*got \(3,\)"):
        A.matvec(np.ones(3))
    with pytest.raises(ValueError, match=r"^X must have the cells' shape \(3,\), got \(2,\)"):
        A.from_grid(np.ones(2))
