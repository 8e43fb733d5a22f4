"""Convex programs of ReLU networks on CuPy arrays: NumPy's numbers, and never a trip to the host.

Every test runs twice: on a CUDA device (``pytest -m gpu``), and on any machine
over the stand-in for CuPy of ``cuda_on_cpu``.
"""

import numpy as np
import pytest

import refopt

rng = np.random.default_rng(0)
X = rng.standard_normal((24, 3))
Y = np.maximum(X[:, 0], 0) - np.maximum(X[:, 1] - 0.3, 0)
CLASSES = np.where(Y > 0, 1.0, -1.0)
GATES = rng.standard_normal((4, 9))

FITS = {
    "interior point": {"tol": 1e-9},
    "logistic": {"tol": 1e-8, "loss": "logistic"},
    "hinge": {"tol": 1e-8, "loss": "hinge"},
    "admm": {"tol": 1e-4, "method": "admm", "maxiter": 60},
    "admm, few patterns": {"tol": 1e-4, "method": "admm", "gates": GATES[:, :2], "maxiter": 60},
    "paper": {"tol": 1e-3, "method": "admm", "splitting": "paper", "rho": 1.0, "maxiter": 30},
    "robust": {"tol": 1e-2, "epsilon": 0.02, "loss": "hinge", "maxiter": 20},
    "robust, l2": {"tol": 1e-2, "epsilon": 0.02, "p": 2, "maxiter": 20},
    "drawn": {"tol": 1e-6, "gates": None, "n_gates": 10, "rng": 0},
}


def options(name):
    given = {"beta": 0.3, "bias": True, "gates": GATES, "loss": "squared"} | FITS[name]
    return given, Y if given["loss"] == "squared" else CLASSES


@pytest.mark.parametrize("name", FITS)
def test_a_fit_on_the_device_is_the_fit_on_the_host(cupy, name):
    given, y = options(name)
    host = refopt.fit_convex_relu(X, y, **given)
    gates = given["gates"] if given["gates"] is None else cupy.asarray(given["gates"])
    device = refopt.fit_convex_relu(cupy.asarray(X), cupy.asarray(y), **given | {"gates": gates})
    assert device.backend == "cupy" and device.status == host.status and device.nit == host.nit
    for key in ("x", "W1", "w2", "r", "multipliers", "patterns"):
        assert type(device[key]) is cupy.ndarray, key
        assert device[key].dtype == host[key].dtype
    np.testing.assert_allclose(device.fun, host.fun, rtol=1e-7)
    np.testing.assert_allclose(device.dual, host.dual, rtol=1e-7)
    np.testing.assert_allclose(device.r.get(), host.r, atol=1e-5)
    np.testing.assert_array_equal(device.patterns.get(), host.patterns)
