"""The generators give the published instances: draw order, sizes, masses, data."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from refopt.problems import (
    TRANSPORT_OPTIMA,
    cloud2,
    colour_images,
    colour_transfer,
    digit_image,
    gaussian_grid,
    gaussian_grid_cost,
    ladder,
    load_digits,
    pressure_scene,
    rect,
    swirl_velocity,
    transport_instance,
)

SHAPES = {
    "assign-30": (30, 30),
    "assign-30-e4000": (30, 30),
    "digits-l1-20-45": (784, 784),
    "digits-l2-20-45": (784, 784),
    "digits-l2-20-45-e4000": (784, 784),
    "digits-l1-20-45-nobg": (784, 784),
    "digits-l1-250-811-nobg-e100": (784, 784),
    "cloud2-40-1e-3": (40, 40),
    "cloud50-40-1e-4": (40, 40),
    "rect-60-35-1e-3": (60, 35),
    "ladder-20-1e-5": (20, 20),
}


@pytest.mark.parametrize("name", SHAPES)
def test_instance_is_a_balanced_problem_of_its_name(name):
    problem = transport_instance(name)
    assert problem.name == name
    assert problem.C.shape == problem.shape == SHAPES[name]
    assert problem.C.min() >= 0
    assert problem.a.min() >= 0 and problem.b.min() >= 0
    assert problem.a.sum() == pytest.approx(1, abs=1e-14)
    assert problem.b.sum() == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("name", SHAPES)
def test_points_metric_and_scale_reproduce_the_cost(name):
    problem = transport_instance(name)
    if problem.X is None:
        assert name.startswith("assign")
        return
    offsets = problem.X[:, None, :] - problem.Y[None, :, :]
    distance = {"sqeuclidean": np.square, "cityblock": np.abs}[problem.metric](offsets).sum(-1)
    np.testing.assert_allclose(problem.C, problem.scale * distance, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SHAPES)
def test_a_seed_fixes_the_instance(name):
    first, again, other = (transport_instance(name, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.C, again.C)
    np.testing.assert_array_equal(first.a, again.a)
    assert np.array_equal(first.C, other.C) == name.startswith("digits")


def test_regularisation_is_absolute_for_eta_and_relative_for_rel():
    assert transport_instance("assign-30").reg == 1 / 1200
    assert transport_instance("digits-l2-20-45-e4000").reg == 1 / 4000
    for name in ("cloud2-40-1e-3", "cloud50-40-1e-3", "rect-60-35-1e-3"):
        problem = transport_instance(name)
        assert problem.reg == 1e-3 * problem.C.max()


@pytest.mark.parametrize(
    "name",
    ["assign", "digits-l3-1-2", "cloud3-40-1e-3", "cloud2-40", "rect-60-1e-3", "cloud2-40-1e-3-x"],
)
def test_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match="rect-N-M-REL"):
        transport_instance(name)


@pytest.mark.parametrize("name", TRANSPORT_OPTIMA)
def test_every_published_optimum_belongs_to_an_instance(name):
    assert transport_instance(name).name == name


def test_ladder_has_its_published_cost_and_linear_programme_value():
    problem = ladder(200, 1e-3)
    assert problem.C.max() == pytest.approx(1.724336383800, abs=5e-13)
    rows, columns = linear_sum_assignment(problem.C)
    assert problem.C[rows, columns].mean() == pytest.approx(6.976438084e-03, abs=5e-13)


def test_rect_has_duplicated_points_and_tiny_masses():
    problem = rect(600, 350, 1e-3)
    assert len(np.unique(problem.X, axis=0)) == 600 - 60
    assert 1e-12 <= min(problem.a.min(), problem.b.min()) < 1e-6


def test_digits_background_decides_about_zero_masses():
    assert transport_instance("digits-l1-20-45").a.min() == pytest.approx(0.01 / 784 / 1.01)
    bare = transport_instance("digits-l1-20-45-nobg")
    # the sizes that remain once empty pixels are dropped
    assert (np.count_nonzero(bare.a), np.count_nonzero(bare.b)) == (674, 541)


def test_cloud_without_matrix_has_the_same_points_and_regularisation():
    dense, lazy = cloud2(300, 1e-3), cloud2(300, 1e-3, dense=False)
    assert lazy.C is None
    np.testing.assert_array_equal(lazy.X, dense.X)
    np.testing.assert_array_equal(lazy.Y, dense.Y)
    assert lazy.reg == pytest.approx(dense.reg, rel=1e-14)


def test_gaussian_grid_has_its_closed_form_cost():
    # Plain scaling suffices: reg is large and the grid is coarse but spectrally accurate.
    problem = gaussian_grid(n=141, reg=1.0)
    K = np.exp(-problem.C / problem.reg)
    v = np.ones(problem.b.size)
    for _ in range(200):
        u = problem.a / (K @ v)
        v = problem.b / (K.T @ u)
    cost = u @ (K * problem.C) @ v
    assert cost == pytest.approx(gaussian_grid_cost(reg=1.0), abs=1e-10)


def test_bundled_digits_are_scikit_learns():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    images, labels = load_digits()
    np.testing.assert_array_equal(images, theirs.images[:1000])
    np.testing.assert_array_equal(labels, theirs.target[:1000])


def test_bundled_digits_cannot_be_overwritten():
    images, _ = load_digits()
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_enlarged_digit_keeps_its_corners_and_range():
    image = digit_image(20)
    original = load_digits()[0][20]
    assert image.shape == (28, 28)
    assert image.min() >= 0 and image.max() <= original.max()
    np.testing.assert_allclose(
        image[[0, 0, -1, -1], [0, -1, 0, -1]], original[[0, 0, -1, -1], [0, -1, 0, -1]]
    )


def test_digit_outside_the_extract_is_refused():
    with pytest.raises(ValueError, match="999"):
        digit_image(1000)


def test_colour_images_are_two_different_palettes_in_range():
    sunset, forest = colour_images(48, 64)
    assert sunset.shape == forest.shape == (48, 64, 3)
    assert min(sunset.min(), forest.min()) >= 0 and max(sunset.max(), forest.max()) <= 1
    red, green = 0, 1
    assert sunset[..., red].mean() > sunset[..., green].mean()
    assert forest[..., green].mean() > forest[..., red].mean()


def test_colour_transfer_draws_its_points_from_the_images():
    problem = colour_transfer(30, 20)
    assert problem.C.shape == (30, 20)
    for points, image in zip((problem.X, problem.Y), colour_images(), strict=True):
        pixels = {tuple(pixel) for pixel in image.reshape(-1, 3)}
        assert all(tuple(point) in pixels for point in points)


def test_importing_the_problems_loads_neither_scipy_parts_nor_numba():
    code = (
        "import sys, refopt.problems\n"
        "print([m for m in ('scipy.ndimage', 'scipy.spatial', 'numba') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["box", "room", "smoke", "dam", "porous", "walls"])
def test_scenes_are_cells_with_walls_and_their_fluid_reaches_air(kind):
    cells = pressure_scene(kind, (17, 12, 15), 3)
    assert cells.shape == (17, 12, 15) and cells.dtype == np.int8
    assert set(np.unique(cells)) <= {0, 1, 2}
    assert np.array_equal(cells, pressure_scene(kind, (17, 12, 15), 3))
    if kind == "box":
        return
    assert not (cells[0] == 1).any() and not (cells[:, :, 0] == 1).any()
    labels, count = ndimage.label(cells)
    assert set(np.unique(labels[cells == 1])) <= set(np.unique(labels[cells == 2])), count


def test_scenes_of_no_kind_or_shape_are_refused():
    with pytest.raises(ValueError, match=r"^kind must be 'box', .* got 'sea'"):
        pressure_scene("sea", 8)
    for shape in ((8, 8), 0, (8, 8, 2.5)):
        with pytest.raises(ValueError, match=r"^shape must be a positive integer or three"):
            pressure_scene("room", shape)


def test_velocities_live_on_the_faces():
    u = swirl_velocity((5, 6, 7))
    assert [a.shape for a in u] == [(6, 6, 7), (5, 7, 7), (5, 6, 8)]
    assert all(np.array_equal(a, b) for a, b in zip(u, swirl_velocity((5, 6, 7)), strict=True))
