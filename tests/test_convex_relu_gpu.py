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
    "paper, blocks": {
        "tol": 1e-3,
        "method": "admm",
        "splitting": "paper",
        "u_solver": "rbcd",
        "maxiter": 2,
        "rng": 0,
    },
    "paper, Newton": {
        "tol": 1e-3,
        "method": "admm",
        "splitting": "paper",
        "loss": "logistic",
        "maxiter": 10,
    },
    "admm, pcg": {"tol": 1e-4, "method": "admm", "u_solver": "pcg", "maxiter": 3},
    "admm, cholesky": {"tol": 1e-4, "method": "admm", "u_solver": "cholesky", "maxiter": 3},
    "robust": {"tol": 1e-6, "epsilon": 0.02, "loss": "hinge"},
    "robust, l1": {"tol": 1e-6, "epsilon": 0.02, "p": 1},
    "robust, l2": {"tol": 1e-6, "epsilon": 0.02, "p": 2, "loss": "logistic"},
    "sampled directions": {"tol": 1e-6, "method": "scp", "gates": None, "n_gates": 20, "rng": 0},
    "gated": {"tol": 1e-6, "method": "gated"},
    "drawn": {"tol": 1e-6, "gates": None, "n_gates": 10, "refine": 0, "rng": 0},
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
        if host[key] is not None:
            assert type(device[key]) is cupy.ndarray, key
            assert device[key].dtype == host[key].dtype
    np.testing.assert_allclose(device.fun, host.fun, rtol=1e-7)
    np.testing.assert_allclose(device.dual, host.dual, rtol=1e-7)
    np.testing.assert_allclose(device.r.get(), host.r, atol=1e-5)
    np.testing.assert_array_equal(device.patterns.get(), host.patterns)


def test_refinement_prices_and_bounds(cupy):
    fit = {"beta": 0.3, "bias": True, "refine": 3, "m_init": 9, "rng": 0}
    host = refopt.fit_convex_relu(X, Y, **fit)
    device = refopt.fit_convex_relu(cupy.asarray(X), cupy.asarray(Y), **fit)
    assert device.success and device.gap_kind == host.gap_kind
    for key in ("x", "W1", "w2", "r", "patterns"):
        assert type(device[key]) is cupy.ndarray, key
    np.testing.assert_allclose(device.fun, host.fun, rtol=1e-6)
    np.testing.assert_allclose(device.lower_bound, host.lower_bound, rtol=1e-4)

    with_ones = np.hstack([X, np.ones((24, 1))])
    network = with_ones, Y, host.W1, host.w2
    on_device = [cupy.asarray(a) for a in network]
    for kind in ("dca", "arc", "pivot"):
        start = {"rng": 0, "kind": kind, "n_starts": 4}
        mine = refopt.price_gates(*on_device[:1], cupy.asarray(host.r), **start)
        expected = refopt.price_gates(with_ones, host.r, **start)
        assert type(mine.U) is cupy.ndarray
        np.testing.assert_allclose(mine.values.get()[0], expected.values[0], rtol=1e-9)
        np.testing.assert_allclose(mine.U.get()[:, 0], expected.U[:, 0], atol=1e-6)
    mine = refopt.certify_network(*on_device, beta=0.3, rng=0)
    expected = refopt.certify_network(*network, beta=0.3, rng=0)
    assert type(mine.U) is cupy.ndarray
    np.testing.assert_allclose([mine.fun, mine.psi], [expected.fun, expected.psi], rtol=1e-9)
    for attack, p in (("corners", np.inf), ("pgd", 2), ("pgd", 1)):
        attack = {"epsilon": 0.1, "rng": 0, "attack": attack, "p": p}
        mine = refopt.adversarial_loss(*on_device, **attack)
        np.testing.assert_allclose(mine, refopt.adversarial_loss(*network, **attack), rtol=1e-9)


def test_a_path_on_the_device(cupy):
    betas, draw = [1.0, 0.3], {"n_gates": 6, "bias": True, "refine": 0, "rng": 0}
    host = refopt.convex_relu_path(X, Y, betas, **draw)
    device = refopt.convex_relu_path(cupy.asarray(X), cupy.asarray(Y), betas, **draw)
    np.testing.assert_allclose([r.fun for r in device], [r.fun for r in host], rtol=1e-7)
    assert all(type(r.W1) is cupy.ndarray for r in device)


def test_several_outputs_and_a_start_on_the_device(cupy):
    outputs, fit = np.stack([Y, X[:, 2]], axis=1), {"beta": 0.3, "refine": 0, "tol": 1e-7}
    host = refopt.fit_convex_relu(X, outputs, gates=GATES[:3], **fit)
    data = cupy.asarray(X), cupy.asarray(outputs)
    device = refopt.fit_convex_relu(*data, gates=cupy.asarray(GATES[:3]), **fit)
    assert type(device.W1) is cupy.ndarray and device.w2.shape == host.w2.shape
    np.testing.assert_allclose(device.fun, host.fun, rtol=1e-6)
    again = {"beta": 0.3, "method": "admm", "tol": 1e-2, "maxiter": 60}
    gates = cupy.asarray(GATES[:3])
    first = refopt.fit_convex_relu(data[0], cupy.asarray(Y), gates=gates, **again)
    second = refopt.fit_convex_relu(data[0], cupy.asarray(Y), x0=first, **again)
    assert second.success and second.nit <= first.nit


def test_nothing_moves_between_host_and_device_in_silence(cupy):
    on, W = cupy.asarray, (np.ones((3, 1)), np.ones(1))
    for call in (
        lambda: refopt.fit_convex_relu(X, Y, beta=1.0, backend="cupy"),
        lambda: refopt.fit_convex_relu(on(X), Y, beta=1.0),
        lambda: refopt.fit_convex_relu(on(X), on(Y), beta=1.0, gates=GATES[:3]),
        lambda: refopt.fit_convex_relu(on(X), on(Y), beta=1.0, backend="numba"),
        lambda: refopt.price_gates(on(X), Y),
        lambda: refopt.certify_network(on(X), on(Y), *W, beta=1.0),
        lambda: refopt.adversarial_loss(on(X), on(Y), *W, epsilon=1.0),
        lambda: refopt.relu_network_objective(X, Y, on(W[0]), W[1], beta=1.0),
    ):
        with pytest.raises(TypeError, match="cupy"):
            call()


def test_callbacks_see_arrays_of_the_device(cupy):
    for refine in (0, 2):
        seen = []
        refopt.fit_convex_relu(
            cupy.asarray(X), cupy.asarray(Y), beta=0.3, refine=refine, n_gates=5, rng=0,
            callback=seen.append,
        )  # fmt: skip
        assert seen and all(type(r["W1" if refine else "x"]) is cupy.ndarray for r in seen)
