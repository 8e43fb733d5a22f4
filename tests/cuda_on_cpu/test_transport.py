"""The CUDA kernels of optimal transport against their formulas, at awkward sizes."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

# Rows and columns: one, less than a warp, more than a block, several pieces of a loop.
SIZES = [(1, 1), (3, 200), (200, 3), (70, 65), (150, 130)]
METRICS = ["sqeuclidean", "euclidean", "cityblock"]


@pytest.fixture
def transport(cupy):
    from refopt_backends.cupy_gpu import transport

    return transport


def on_device(cupy, cost):
    return tuple(cupy.asarray(part) if isinstance(part, np.ndarray) else part for part in cost)


def softmax_pass(C, g, a, reg):
    z = (g - C) / reg
    lse = logsumexp(z, axis=1)
    return reg * (np.log(a) - lse), np.sum(a[:, None] * np.exp(z - lse[:, None]), axis=0)


def assert_same_pass(cupy, transport, cost, C, g, a, reg):
    f, c = transport.semidual_pass(on_device(cupy, cost), cupy.asarray(g), cupy.asarray(a), reg)
    expected_f, expected_c = softmax_pass(C, g, a, reg)
    scale = reg + np.abs(C[np.isfinite(C)]).max()
    np.testing.assert_allclose(f.get(), expected_f, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(c.get(), expected_c, rtol=0, atol=1e-12 * a.sum())


def masses_and_potential(rng, n, m):
    return rng.dirichlet(np.full(n, 0.5)) + 1e-300, 0.2 * rng.standard_normal(m)


@pytest.mark.parametrize("reg", [1.0, 1e-2, 1e-5])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_pass_over_a_matrix_with_forbidden_pairs(cupy, transport, n, m, dtype, reg):
    rng = np.random.default_rng(1)
    C = rng.uniform(-1, 1, (n, m))
    C[rng.random((n, m)) < 0.3] = np.inf
    C[:, -1] = rng.random(n)
    C = C.astype(dtype)
    a, g = masses_and_potential(rng, n, m)
    assert_same_pass(cupy, transport, (C,), C.astype(float), g, a, reg)


@pytest.mark.parametrize("d", [1, 2, 16, 17, 50])
@pytest.mark.parametrize("metric", [0, 1, 2])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_pass_over_points(cupy, transport, n, m, metric, d):
    rng = np.random.default_rng(2)
    X, Y = rng.random((n, d)), rng.random((m, d))
    C = 2.5 * cdist(X, Y, METRICS[metric])
    a, g = masses_and_potential(rng, n, m)
    assert_same_pass(cupy, transport, (X, Y, metric, 2.5), C, g, a, 0.01)


def test_a_row_without_a_finite_entry_has_no_plan(cupy, transport):
    C = cupy.asarray([[np.inf, np.inf], [0.0, 1.0]])
    f, c = transport.semidual_pass((C,), cupy.zeros(2), cupy.asarray([0.5, 0.5]), 0.1)
    assert f.get()[0] == np.inf
    np.testing.assert_allclose(c.get().sum(), 0.5)


def test_the_same_input_gives_the_same_bits(cupy, transport):
    rng = np.random.default_rng(3)
    a, g = masses_and_potential(rng, 150, 130)
    args = ((cupy.asarray(rng.random((150, 130))),), cupy.asarray(g), cupy.asarray(a), 1e-3)
    first, second = (transport.semidual_pass(*args) for _ in range(2))
    for x, y in zip(first, second, strict=True):
        np.testing.assert_array_equal(x.get(), y.get())


@pytest.mark.parametrize("per_row", [1, 7, 40, 10**9])
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("m", [1, 31, 32, 33, 200])
def test_a_sampled_row_never_strays_from_the_plan(cupy, transport, m, stored, per_row):
    rng = np.random.default_rng(4)
    n, reg = 70, 0.02
    X, Y, (a, g) = rng.random((n, 2)), rng.random((m, 2)), masses_and_potential(rng, n, m)
    C = cdist(X, Y, "sqeuclidean")
    cost = (C,) if stored else (X, Y, 0, 1.0)
    f, _ = softmax_pass(C, g, a, reg)
    plan = np.exp((f[:, None] + g - C) / reg)
    found = transport.sample_entries(
        on_device(cupy, cost), cupy.asarray(f), cupy.asarray(g), reg, cupy.asarray(a), per_row
    )
    rows, columns, values = (x.get() for x in found.coo())
    assert found.sampled
    assert found.nnz == rows.size
    assert np.bincount(rows, minlength=n).max() <= per_row + 1
    sample = np.zeros((n, m))
    sample[rows, columns] = values
    draw = (a / per_row)[:, None]
    large = plan >= draw * (1 + 1e-9)
    np.testing.assert_allclose(sample[large], plan[large], rtol=1e-9)
    small = sample[~large] / np.broadcast_to(draw, plan.shape)[~large]
    assert np.all((small == 0) | (abs(small - 1) < 1e-8))
    # Up to any column, a row of the sample has the mass of the plan, to one draw.
    assert np.all(abs(np.cumsum(sample - plan, axis=1)) <= draw * (1 + 1e-9))


def test_sampling_draws_every_entry_as_often_as_its_chance(cupy, transport):
    m, n, per_row = 50, 2000, 5  # every row the same, but for where its sum starts
    p = np.random.default_rng(5).dirichlet(np.ones(m))
    a, zeros = cupy.full(n, 1.0 / n), cupy.zeros(n)
    cost = (cupy.asarray(np.tile(-np.log(p / n), (n, 1))),)
    found = transport.sample_entries(cost, zeros, cupy.zeros(m), 1.0, a, per_row)
    mean = transport.entries_product(found, cupy.ones(n), True).get()
    np.testing.assert_allclose(mean, p, atol=2.0 / (n * per_row))


def test_a_long_row_of_many_draws(cupy, transport):
    m, per_row = 9000, 6000
    cost, g = (cupy.full((1, m), np.log(m)),), cupy.zeros(m)
    one = cupy.ones(1)
    found = transport.sample_entries(cost, cupy.zeros(1), g, 1.0, one, per_row)
    assert abs(found.nnz - per_row) <= 1
    gaps = np.diff(found.coo()[1].get())
    assert set(gaps) == {1, 2}
