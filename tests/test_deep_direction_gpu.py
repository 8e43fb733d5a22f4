"""Pressure systems on CuPy arrays: NumPy's numbers, and never a trip to the host.

Every test runs twice: on a CUDA device (``pytest -m gpu``), and on any machine
over the stand-in for CuPy of ``cuda_on_cpu``.
"""

import numpy as np
import pytest

import refopt
from refopt import MultilevelNet, PoissonGrid, deep_conjugate_direction
from refopt.problems import pressure_scene, swirl_velocity

CELLS, VELOCITY = pressure_scene("smoke", 9), swirl_velocity(9)
OPTIONS = {"rtol": 1e-8, "full_output": True}


def on_device(cupy):
    """The grid and its right-hand side."""
    cells, velocity = cupy.asarray(CELLS), tuple(cupy.asarray(u) for u in VELOCITY)
    return PoissonGrid(cells), refopt.poisson_rhs(cells, velocity)


@pytest.mark.parametrize("model", ["none", "multilevel", "network", "diagonal", "garbage"])
def test_a_grid_on_the_device_is_the_grid_on_the_host(cupy, model):
    models = {
        "none": lambda A: None,
        "multilevel": lambda A: MultilevelNet(),
        "network": lambda A: refopt.load_model("dcdm-cnn-8ch"),
        "diagonal": lambda A: lambda r: r / A.diagonal(),
        "garbage": lambda A: lambda r: A.xp.sign(r),
    }
    host, device = (PoissonGrid(CELLS), refopt.poisson_rhs(CELLS, VELOCITY)), on_device(cupy)
    runs = [deep_conjugate_direction(A, b, models[model](A), **OPTIONS) for A, b in (host, device)]
    (x, expected), (y, res) = runs
    assert res.backend == "cupy" and type(y) is cupy.ndarray and res.success
    assert abs(res.nit - expected.nit) <= 1
    np.testing.assert_allclose(y.get(), x, atol=1e-6 * np.abs(x).max())


def test_stored_matrices_of_the_device(cupy):
    A, b = on_device(cupy)
    stored, host = A.tocsr(), PoissonGrid(CELLS).tocsr()
    np.testing.assert_array_equal(stored.get().toarray(), host.toarray())
    expected = deep_conjugate_direction(host, b.get(), **OPTIONS)[1]
    for form in (stored, stored.toarray(), A.aslinearoperator()):
        x, res = deep_conjugate_direction(form, b, check=True, **OPTIONS)
        assert res.success and res.nit == expected.nit and res.backend == "cupy"
        np.testing.assert_allclose(x.get(), expected.x, atol=1e-6 * np.abs(expected.x).max())
    assert refopt.deflated_cg(stored, b, n_ritz=4, n_lanczos=20)[1] == 0
    M = MultilevelNet().setup(A).aspreconditioner()
    assert deep_conjugate_direction(stored, b, M, **OPTIONS)[1].nit < 12


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_projections(cupy, weighted, dimensions):
    shape = (9, 6, 8)[:dimensions]
    rng = np.random.default_rng(dimensions)
    cells = rng.choice(3, size=shape, p=(0.2, 0.7, 0.1))
    faces = [tuple(n + (a == axis) for a, n in enumerate(shape)) for axis in range(dimensions)]
    velocity, weights = ([rng.random(f) for f in faces] for _ in range(2))
    put = lambda arrays: tuple(cupy.asarray(a) for a in arrays)
    host = {"coefficient": tuple(weights)} if weighted else {}
    device = {"coefficient": put(weights)} if weighted else {}
    expected, info = refopt.project(cells, tuple(velocity), rtol=1e-10, **host)
    for model in (None, MultilevelNet()):
        given = cupy.asarray(cells), put(velocity)
        found, res = refopt.project(*given, rtol=1e-10, model=model, full_output=True, **device)
        assert info == 0 and res.success and res.backend == "cupy"
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.get(), other, atol=1e-7)


def test_rooms_without_air(cupy):
    A = PoissonGrid(cupy.ones((5, 6, 7), dtype=cupy.int8))
    b = cupy.asarray(np.random.default_rng(0).standard_normal(A.n))
    for form, nullspace in ((A, "auto"), (A.tocsr(), "constant"), (A.tocsr(), cupy.ones((A.n, 1)))):
        x, res = deep_conjugate_direction(form, b, nullspace=nullspace, **OPTIONS)
        assert res.success and abs(float(x.mean())) < 1e-12
        assert res.b_removed == pytest.approx(abs(b.get().sum()) / np.sqrt(A.n))


def test_nothing_goes_between_host_and_device_unasked(cupy):
    A, b = on_device(cupy)
    for system in ((A, b.get()), (PoissonGrid(CELLS), b)):
        with pytest.raises(TypeError, match="arrays of different libraries: A"):
            deep_conjugate_direction(*system)
    with pytest.raises(TypeError, match="what model returns"):
        deep_conjugate_direction(A, b, lambda r: r.get())
