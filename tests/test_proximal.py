"""Projections and proximal maps: optimal by their conditions, idempotent, nonexpansive."""

import functools
import pickle
from itertools import pairwise

import array_api_strict
import numpy as np
import pytest

from refopt import _proximal_maps, proximal
from refopt.proximal import (
    Product,
    project_affine,
    project_ball,
    project_box,
    project_hyperplane,
    project_l1_ball,
    project_nonneg,
    project_simplex,
    project_soc,
    prox_l1,
    prox_zero,
)
from refopt_backends import resolve

RNG = np.random.default_rng(3)
D = 30
LOWER, UPPER, NORMAL = -RNG.random(D), RNG.random(D), RNG.standard_normal(D)
A = RNG.standard_normal((4, D))
A[3] = A[0] - 2 * A[1]  # of rank 3
B = A @ np.ones(D)
PROJECTIONS = {
    "box": functools.partial(project_box, lower=LOWER, upper=UPPER),
    "orthant": project_nonneg,
    "ball": functools.partial(project_ball, radius=2.0, center=NORMAL),
    "1-norm ball": functools.partial(project_l1_ball, radius=1.5),
    "simplex": project_simplex,
    "hyperplane": functools.partial(project_hyperplane, a=NORMAL, beta=0.7),
    "affine": project_affine(A, B),
    "cone": project_soc,
    "product": Product([(slice(0, 12), project_simplex), (slice(12, 20), project_soc)]),
}
# Where a linear function is largest over the set near a point, to test (v - p)'(z - p) <= 0.
VECTORS = [RNG.standard_normal(D) * s for s in (1e-3, 0.3, 1.0, 30.0) for _ in range(10)]


@pytest.mark.parametrize("name", PROJECTIONS)
def test_projections_satisfy_the_variational_inequality(name):
    project = PROJECTIONS[name]
    members = [project(v) for v in VECTORS]
    for v, p in zip(VECTORS, members, strict=True):
        scale = 1 + np.linalg.norm(v)
        for z in members:
            assert (v - p) @ (z - p) <= 1e-12 * scale * (scale + np.linalg.norm(z))


@pytest.mark.parametrize("name", PROJECTIONS)
def test_projections_are_idempotent_and_nonexpansive(name):
    project = PROJECTIONS[name]
    for u, v in pairwise(VECTORS):
        p, q = project(u), project(v)
        np.testing.assert_allclose(project(p), p, rtol=0, atol=1e-12 * (1 + abs(p).max()))
        assert np.linalg.norm(p - q) <= np.linalg.norm(u - v) * (1 + 1e-12)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_points_of_the_set_are_returned_as_copies(name):
    p = PROJECTIONS[name](VECTORS[-1])
    again = PROJECTIONS[name](p)
    np.testing.assert_allclose(again, p, rtol=0, atol=1e-12 * (1 + abs(p).max()))
    assert not np.shares_memory(again, p)


def test_members_of_the_sets():
    for v in VECTORS:
        assert np.all(PROJECTIONS["box"](v) >= LOWER) and np.all(PROJECTIONS["box"](v) <= UPPER)
        assert np.linalg.norm(PROJECTIONS["ball"](v) - NORMAL) <= 2 * (1 + 1e-14)
        assert abs(PROJECTIONS["1-norm ball"](v)).sum() <= 1.5 * (1 + 1e-12)
        np.testing.assert_allclose(PROJECTIONS["hyperplane"](v) @ NORMAL, 0.7, atol=1e-12)
        np.testing.assert_allclose(A @ PROJECTIONS["affine"](v), B, atol=1e-11)
        cone = PROJECTIONS["cone"](v)
        assert np.linalg.norm(cone[1:]) <= cone[0] * (1 + 1e-14)
        np.testing.assert_array_equal(PROJECTIONS["product"](v)[20:], v[20:])


def test_the_three_cases_of_the_cone():
    np.testing.assert_array_equal(project_soc([5.0, 3.0, 4.0]), [5, 3, 4])
    np.testing.assert_array_equal(project_soc([-5.0, 3.0, 4.0]), [0, 0, 0])
    np.testing.assert_allclose(project_soc([0.0, 3.0, 4.0]), [2.5, 1.5, 2.0], rtol=1e-15)
    np.testing.assert_array_equal(project_soc([-1.0]), [0.0])


def test_soft_thresholding_by_its_subgradient():
    weight = np.arange(D) / 10.0
    for v in VECTORS:
        p = prox_l1(v, 0.5, weight)
        slope = (v - p) / 0.5
        np.testing.assert_allclose(slope[p != 0], (weight * np.sign(p))[p != 0], atol=1e-12)
        assert np.all(abs(slope[p == 0]) <= weight[p == 0] * (1 + 1e-12))
        np.testing.assert_array_equal(prox_zero(v, 1.0), v)


def test_huge_and_tiny_numbers_keep_their_norm():
    for size in (1e300, 1e-300):
        p = project_ball(size * np.array([3.0, 4.0]), radius=0.5 * size)
        np.testing.assert_allclose(p, size * np.array([0.3, 0.4]), rtol=1e-14)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_single_precision_stays(name):
    v = VECTORS[12].astype(np.float32)
    p = PROJECTIONS[name](v)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p, PROJECTIONS[name](v.astype(float)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "project",
    [
        project_nonneg,
        project_soc,
        project_l1_ball,
        project_ball,
        functools.partial(project_box, lower=-0.1, upper=0.2),
        functools.partial(prox_l1, step=0.1),
        Product([(slice(0, 9), project_simplex)]),
    ],
)
def test_other_array_libraries(project):
    v = VECTORS[25]
    ours = project(array_api_strict.asarray(v))
    np.testing.assert_allclose(np.asarray(ours), project(v), rtol=0, atol=1e-14)


def test_an_affine_set_of_another_library():
    onto = project_affine(array_api_strict.asarray(A), array_api_strict.asarray(B))
    p = onto(array_api_strict.asarray(VECTORS[20]))
    np.testing.assert_allclose(np.asarray(p), PROJECTIONS["affine"](VECTORS[20]), atol=1e-12)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_solvers_use_the_same_map_without_looking_at_values(name):
    xp, kernels = resolve(VECTORS[0], backend="numpy")
    bound = _proximal_maps.resolvent(PROJECTIONS[name], xp, kernels)
    for v in VECTORS:
        np.testing.assert_allclose(bound(v, 0.3), PROJECTIONS[name](v), rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("place", [0, 3, slice(None)])
def test_a_vector_that_is_no_number_does_not_become_one(place, backend):
    v = VECTORS[7].copy()
    v[place] = np.nan
    xp, kernels = resolve(v, backend=backend)
    for name in ("simplex", "1-norm ball", "ball", "cone", "box"):
        p = _proximal_maps.resolvent(PROJECTIONS[name], xp, kernels)(v, 1.0)
        assert not np.isfinite(p).all(), name


def test_separable_maps_are_known_to_compiled_loops():
    like = VECTORS[0]
    xp, kernels = resolve(like, backend="numpy")
    parts = [
        (slice(0, 5), functools.partial(project_box, lower=-0.1)),
        (slice(5, 9), project_nonneg),
        (slice(9, 20), functools.partial(prox_l1, weight=2.0)),
    ]
    prox = Product(parts)
    weights, lower, upper = _proximal_maps.separable(prox, xp, like)
    expected = _proximal_maps.resolvent(prox, xp, kernels)(like, 0.2)
    soft = np.sign(like) * np.maximum(abs(like) - 0.2 * weights, 0)
    np.testing.assert_array_equal(np.clip(soft, lower, upper), expected)
    for other in (project_soc, lambda v: v, Product([(slice(0, 3), project_simplex)])):
        assert _proximal_maps.separable(other, xp, like) is None


def test_a_users_function_is_a_projection_or_a_map_of_a_step():
    v = np.full(3, 2.0, dtype=np.float32)
    xp, kernels = resolve(v, backend="numpy")
    for prox, expected in ((lambda v: v / 2, 1.0), (lambda v, t: np.float64(t) * v, 0.6)):
        p = _proximal_maps.resolvent(prox, xp, kernels)(v, 0.3)
        np.testing.assert_allclose(p, expected, rtol=1e-6)
        assert p.dtype == np.float32


def test_a_users_function_may_return_one_array_again_and_again():
    buffer = np.zeros(2)
    xp, kernels = resolve(buffer, backend="numpy")
    onto = _proximal_maps.resolvent(lambda v: np.clip(v, 0, 1, out=buffer), xp, kernels)
    first, second = onto(np.array([3.0, 0.5]), 1.0), onto(np.array([-3.0, 0.25]), 1.0)
    np.testing.assert_array_equal(first, [1.0, 0.5])
    np.testing.assert_array_equal(second, [0.0, 0.25])


@pytest.mark.parametrize("wrong", [lambda v: v[:1], lambda v: 0.5, lambda v: v[None, :]])
def test_a_users_function_of_another_shape_is_refused(wrong):
    v = np.ones(3)
    xp, kernels = resolve(v, backend="numpy")
    with pytest.raises(ValueError, match=r"prox must return an array of shape \(3,\), got"):
        _proximal_maps.resolvent(wrong, xp, kernels)(v, 1.0)


def test_they_can_be_pickled():
    for prox in PROJECTIONS.values():
        again = pickle.loads(pickle.dumps(prox))
        np.testing.assert_array_equal(again(VECTORS[3]), prox(VECTORS[3]))


def test_bad_input_is_refused_by_name():
    v = VECTORS[0]
    cases = (
        (lambda: project_box(v, 1.0, 0.0), "lower must not exceed upper"),
        (lambda: project_box(v, np.ones(3)), "lower must be a number or have 30 entries"),
        (lambda: project_box(v, np.nan), "lower must not be NaN"),
        (lambda: project_ball(v, 0.0), "radius must be positive"),
        (lambda: project_ball(v, 1.0, np.ones(2)), "center must have 30 entries"),
        (lambda: project_l1_ball(v, -1.0), "radius must be positive"),
        (lambda: project_hyperplane(v, 0.0 * v, 1.0), "a must not be zero"),
        (lambda: project_affine([[1.0], [1.0]], [0.0, 1.0]), "b must lie in the range of A"),
        (lambda: project_affine(A, B)(v[:3]), "v must have 30 entries"),
        (lambda: project_affine(A, B[:2]), "b must have one entry per row"),
        (lambda: prox_l1(v, 0.0), "step must be positive"),
        (lambda: prox_l1(v, 1.0, -1.0), "weight must not be negative"),
        (lambda: prox_l1(v, 1.0, np.nan), "weight must not be negative"),
        (lambda: prox_l1(v, 1.0, np.ones(2)), "weight must have 30 entries"),
    )
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="parts must be pairs"):
        Product([project_box])
    for name in proximal.__all__:
        if name not in ("Product", "project_affine"):
            rest = {"project_hyperplane": (v, 1.0), "prox_l1": (1.0,), "prox_zero": (1.0,)}
            with pytest.raises(ValueError, match="v must be finite"):
                getattr(proximal, name)(np.where(v > 0, np.nan, v), *rest.get(name, ()))
