"""Sparse regression on CuPy arrays: NumPy's numbers, and never a trip to the host.

Every test runs twice: on a CUDA device (``pytest -m gpu``), and on any machine
over the stand-in for CuPy of ``cuda_on_cpu``.
"""

import numpy as np
import pytest

import refopt
from cuda_on_cpu import harness
from test_transport_gpu import no_device

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 90))
Y = X[:, :9].sum(1) + rng.standard_normal(60)
CLASSES = np.where(Y > 0, 1.0, -1.0)
WEIGHTS = rng.uniform(0.5, 2, 60)

SOLVES = {
    "lasso": lambda m: refopt.lasso(m(X), m(Y), 8.0, tol=1e-12),
    "Fortran order": lambda m: refopt.lasso(m(np.asfortranarray(X)), m(Y), 8.0, tol=1e-12),
    "positive": lambda m: refopt.lasso(m(X), m(Y), 8.0, positive=True, tol=1e-12),
    "intercept": lambda m: refopt.lasso(
        m(X), m(Y), 8.0, fit_intercept=True, sample_weight=m(WEIGHTS), tol=1e-12
    ),
    "start": lambda m: refopt.lasso(m(X), m(Y), 8.0, x0=m(X[0] / 99), l2=1.0, tol=1e-12),
    "single": lambda m: refopt.lasso(m(X.astype(np.float32)), m(Y.astype(np.float32)), 8.0),
    "elastic net": lambda m: refopt.elastic_net(m(X), m(Y), 8.0, 3.0, tol=1e-12),
    "path": lambda m: refopt.lasso_path(m(X), m(Y), n_lams=4, eps=0.1, tol=1e-12),
    "logistic": lambda m: refopt.l1_logistic(m(X), m(CLASSES), 2.0, tol=1e-12),
    "logistic, intercept": lambda m: refopt.l1_logistic(
        m(X), m(CLASSES), 2.0, fit_intercept=True, sample_weight=m(WEIGHTS), tol=1e-12
    ),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(params=["stand-in", pytest.param("device", marks=pytest.mark.gpu)])
def cupy(request, compiled):
    if reason := harness.unavailable() if request.param == "stand-in" else no_device():
        pytest.skip(reason)
    if request.param == "device":
        import cupy

        yield cupy
    else:
        with harness.stand_in(compiled) as cupy:
            yield cupy


@pytest.mark.parametrize("name", SOLVES)
def test_a_solve_on_the_device_is_the_solve_on_the_host(cupy, name):
    host, device = SOLVES[name](lambda x: x), SOLVES[name](cupy.asarray)
    assert device.success and device.backend == "cupy"
    assert type(device.x) is cupy.ndarray and type(device.active) is cupy.ndarray
    assert device.x.dtype == host.x.dtype
    tolerance = 1e-4 if name == "single" else 1e-7
    np.testing.assert_allclose(device.x.get(), host.x, atol=tolerance)
    np.testing.assert_allclose(device.fun, host.fun, rtol=1e-5 if name == "single" else 1e-10)
    np.testing.assert_allclose(device.intercept, host.intercept, atol=tolerance)


@pytest.mark.parametrize("name", ["lasso", "l1_logistic"])
def test_nothing_moves_between_host_and_device_in_silence(cupy, name):
    solve, on = getattr(refopt, name), cupy.asarray
    for call in (
        lambda: solve(X, CLASSES, 2.0, backend="cupy"),
        lambda: solve(on(X), CLASSES, 2.0),
        lambda: solve(X, on(CLASSES), 2.0),
        lambda: solve(on(X), on(CLASSES), 2.0, weights=np.ones(90)),
        lambda: solve(on(X), on(CLASSES), 2.0, x0=np.ones(90)),
        lambda: solve(on(X), on(CLASSES), 2.0, backend="numba"),
    ):
        with pytest.raises(TypeError):
            call()


def test_the_callback_sees_arrays_of_the_device(cupy):
    seen = []
    refopt.lasso(cupy.asarray(X), cupy.asarray(Y), 1.0, callback=seen.append)
    assert seen and all(type(r.x) is cupy.ndarray for r in seen)


@pytest.mark.gpu
@pytest.mark.skipif(bool(no_device()), reason=no_device() or "there is one")
@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix"])
def test_sparse_matrices_of_the_device(kind):
    import cupy
    from cupyx.scipy import sparse

    thin = X * (np.abs(X) > 1)
    given = getattr(sparse, kind)(cupy.asarray(thin))
    for options in ({}, {"fit_intercept": True}):
        res = refopt.lasso(given, cupy.asarray(Y), 5.0, tol=1e-12, **options)
        expected = refopt.lasso(thin, Y, 5.0, tol=1e-12, **options)
        np.testing.assert_allclose(res.x.get(), expected.x, atol=1e-7)
        res = refopt.l1_logistic(given, cupy.asarray(CLASSES), 2.0, tol=1e-12, **options)
        expected = refopt.l1_logistic(thin, CLASSES, 2.0, tol=1e-12, **options)
        np.testing.assert_allclose(res.x.get(), expected.x, atol=1e-6)
