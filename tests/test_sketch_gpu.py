"""Sketches on CuPy arrays: the same runs as on the host's.

Every test runs twice: on a CUDA device (``pytest -m gpu``), and on any machine
over the stand-in for CuPy of ``cuda_on_cpu``.
"""

from importlib import import_module

import numpy as np
import pytest
from scipy import sparse

import refopt
from refopt.augmented_lagrangian._sketch_lstsq import SKETCHES
from refopt.augmented_lagrangian._sketches import BLOCKS, SINGLE


def system(N, n):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((N, n)) + 4.0 * np.eye(N, n)
    return A, A @ rng.standard_normal(n)


def on_device(cupy, A):
    if not sparse.issparse(A):
        return cupy.asarray(A)
    compressed = import_module("cupyx.scipy.sparse").csr_matrix
    arrays = (cupy.asarray(A.data), cupy.asarray(A.indices), cupy.asarray(A.indptr))
    return compressed(arrays, shape=A.shape)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("kind", [*SINGLE, *BLOCKS])
def test_sketches_take_the_same_steps(cupy, kind, form):
    A, b = system(12, 7)
    options = {"sketch": kind, "maxiter": 15, "rtol": 0.0, "rng": 0}
    x, info = refopt.sketch_project(on_device(cupy, form(A)), cupy.asarray(b), **options)
    expected, theirs = refopt.sketch_project(A, b, backend="numpy", **options)
    assert info.backend == "cupy" and info.nit == theirs.nit
    np.testing.assert_allclose(x.get(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sketch", SKETCHES)
def test_least_squares_are_those_of_the_host(cupy, sketch):
    A, b = system(80, 5)
    x, info = refopt.sketch_lstsq(cupy.asarray(A), cupy.asarray(b), sketch=sketch, rng=0)
    assert info.backend == "cupy" and info.converged
    np.testing.assert_allclose(x.get(), np.linalg.lstsq(A, b, rcond=None)[0], atol=1e-9)


def test_the_newton_steps_of_the_paper_are_those_of_the_host(cupy):
    def run(xp):
        a, row = xp.asarray(np.arange(1.0, 5.0)), xp.asarray(np.eye(1, 4))
        constraint = {
            "type": "eq",
            "fun": lambda x: x[:1] ** 2 - 4.0,
            "jac": lambda x: 2.0 * x[:1, None] * row,
        }
        return refopt.adasketch_newton(
            lambda x: float((x - a) @ (x - a)), a, jac=lambda x: 2.0 * (x - a),
            hess=lambda x: 2.0 * xp.eye(4), constraints=constraint, rng=0, accuracy="checked",
        )  # fmt: skip

    ours, theirs = run(cupy), run(np)
    assert ours.success and ours.backend == "cupy" and ours.nit == theirs.nit
    assert ours.inner_nit == theirs.inner_nit
    np.testing.assert_allclose(ours.x.get(), theirs.x, atol=1e-10)
