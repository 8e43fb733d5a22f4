"""The projection on the simplex: optimal, exact, and the same from any guess."""

import numpy as np
import pytest

from refopt.proximal import project_simplex

RNG = np.random.default_rng(8)
VECTORS = {
    "one entry": np.array([-3.0]),
    "ties": np.repeat([0.3, 0.1, -0.4], 5),
    "all equal": np.full(300, 7.0),
    "normal": RNG.standard_normal(1000),
    "far away": 1e6 + RNG.standard_normal(500),
    "on the simplex": RNG.dirichlet(np.ones(50)),
    "a vertex": np.eye(40)[3],
    "huge": np.array([1e300, 1e300, -1e300, 0.0]),
    "tiny": np.array([1e-300, 0.0, -1e-300]),
    "large spread": np.geomspace(1e-12, 1e12, 600),
}


def by_sorting(v, radius=1.0):
    """The textbook's projection."""
    falling = np.sort(v - v.max())[::-1]
    thresholds = (np.cumsum(falling) - radius) / np.arange(1, v.size + 1)
    tau = thresholds[np.nonzero(falling > thresholds)[0][-1]]
    return np.maximum(v - v.max() - tau, 0)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("name", VECTORS)
def test_it_satisfies_the_optimality_conditions(name, backend):
    v = VECTORS[name]
    for radius in (1.0, 0.01, 30.0):
        p = project_simplex(v, radius, backend=backend)
        np.testing.assert_allclose(p.sum(), radius, rtol=1e-12)
        assert p.min() >= 0
        off = (v - v.max()) - p  # constant where p > 0, and no larger elsewhere
        tau = off[p > 0].max()
        # multipliers are as exact as the difference from the largest entry
        np.testing.assert_allclose(off[p > 0], tau, rtol=0, atol=1e-13 * max(radius, 1))
        assert np.all(off[p == 0] <= tau + 1e-13 * max(radius, 1))
        np.testing.assert_allclose(p, by_sorting(v, radius), rtol=0, atol=1e-12 * radius)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("tau0", [1e9, -1e9, 0.0, np.inf, -np.inf])
def test_the_guess_does_not_change_the_answer(tau0, backend):
    for v in VECTORS.values():
        p = project_simplex(v, tau0=tau0, backend=backend)
        np.testing.assert_allclose(p, by_sorting(v), rtol=0, atol=1e-12)


def test_the_threshold_is_the_one_of_the_answer():
    v = VECTORS["normal"]
    p, tau = project_simplex(v, return_threshold=True)
    np.testing.assert_allclose(np.maximum(v - tau, 0), p, rtol=0, atol=1e-14)


def test_it_is_idempotent_and_nonexpansive():
    for v in VECTORS.values():
        p = project_simplex(v)
        np.testing.assert_allclose(project_simplex(p), p, rtol=0, atol=1e-15)
    for _ in range(50):
        u, v = 0.2 * RNG.standard_normal((2, 300))
        moved = np.linalg.norm(project_simplex(u) - project_simplex(v))
        assert moved <= np.linalg.norm(u - v) * (1 + 1e-12)


def test_single_precision_is_kept_and_summed_in_double():
    v = RNG.standard_normal(100000).astype(np.float32)
    p = project_simplex(v)
    assert p.dtype == np.float32
    exact = by_sorting(v.astype(float))
    np.testing.assert_allclose(p, exact, rtol=0, atol=1e-7 * exact.max())


def test_bad_input_is_refused_by_name():
    for v, message in (
        ([], "v must have at least one entry"),
        ([[1.0]], "v must be 1-dimensional"),
        ([1.0, np.nan], "v must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            project_simplex(v)
    with pytest.raises(TypeError, match="v must be real"):
        project_simplex([1j])
    with pytest.raises(ValueError, match="radius must be positive"):
        project_simplex([1.0], -1.0)
    with pytest.raises(ValueError, match="tau0 must be a number"):
        project_simplex([1.0], tau0=np.nan)
