"""Whole solvers on the stand-in's arrays: the numbers of NumPy, and never a trip to the host."""

import numpy as np
import pytest

rng = np.random.default_rng(1)
C, X, Y = rng.random((40, 30)), rng.random((40, 2)), rng.random((30, 2))
A = rng.dirichlet(np.ones(40))
A[3] = 0
A /= A.sum()

SOLVES = {
    "matrix": lambda T, move: T.sinkhorn_newton(move(C), reg=1e-2),
    "small reg": lambda T, move: T.sinkhorn_newton(move(C), reg=1e-4),
    "single precision": lambda T, move: T.sinkhorn_newton(move(C.astype("f4")), reg=1e-2),
    "empty bin": lambda T, move: T.sinkhorn_newton(move(C), move(A), reg=1e-2),
    "points": lambda T, move: T.sinkhorn_newton(T.PointCloudCost(move(X), move(Y)), reg=1e-2),
    "scaling": lambda T, move: T.sinkhorn(move(C), reg=1e-1),
    "two-block": lambda T, move: T.sinkhorn_newton(
        move(C), reg=1e-2, formulation="dual", sparsify="topk"
    ),
}


@pytest.mark.parametrize("name", SOLVES)
def test_a_solve_on_the_device_is_the_solve_on_the_host(cupy, name):
    from refopt import transport

    host = SOLVES[name](transport, lambda x: x)
    device = SOLVES[name](transport, cupy.asarray)
    assert device.success
    assert device.backend == "cupy"
    assert type(device.x) is cupy.ndarray
    np.testing.assert_allclose(float(device.fun), float(host.fun), rtol=1e-9)
    plan = transport.transport_plan(device)
    assert type(plan) is cupy.ndarray
    np.testing.assert_allclose(plan.get(), transport.transport_plan(host), atol=1e-8)
    np.testing.assert_allclose(float(device.primal), float(host.primal), rtol=1e-9)


def test_the_divergence_on_the_device_is_that_on_the_host(cupy):
    from refopt.transport import sinkhorn_divergence

    host = sinkhorn_divergence(X, Y, reg=1e-2)
    device = sinkhorn_divergence(cupy.asarray(X), cupy.asarray(Y), reg=1e-2)
    np.testing.assert_allclose(float(device.fun), float(host.fun), rtol=1e-9)
