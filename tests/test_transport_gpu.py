"""Entropic transport on CuPy arrays: NumPy's numbers, and never a trip to the host.

Every test runs twice: on a CUDA device (``pytest -m gpu``), and on any machine
over the stand-in for CuPy of ``cuda_on_cpu``.
"""

import numpy as np
import pytest

from refopt import transport

rng = np.random.default_rng(1)
N, M = 40, 30
C, X, Y = rng.random((N, M)), rng.random((N, 2)), rng.random((M, 2))
A, B = rng.dirichlet(np.ones(N)), rng.dirichlet(np.ones(M))
EMPTY = np.where(np.arange(N) == 3, 0.0, A)
EMPTY /= EMPTY.sum()
FORBIDDEN = np.where(rng.random((N, M)) < 0.2, np.inf, C)
FORBIDDEN[:, 0] = C[:, 0]
FORBIDDEN[0] = C[0]
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def newton(C, *masses, **options):
    return transport.sinkhorn_newton(C, *masses, **{"reg": 1e-2, "tol": 1e-11} | options)


def points(metric):
    return lambda move: newton(transport.PointCloudCost(move(X), move(Y), metric=metric))


SOLVES = {
    "matrix": lambda move: newton(move(C), move(A), move(B)),
    "tall": lambda move: newton(move(np.ascontiguousarray(C.T)), move(B), move(A)),
    "columns in a row": lambda move: newton(move(C.T)),
    "small reg": lambda move: newton(move(C), reg=1e-4),
    "float32": lambda move: newton(move(C.astype(np.float32))),
    "empty bin": lambda move: newton(move(C), move(EMPTY)),
    "forbidden pairs": lambda move: newton(move(FORBIDDEN)),
    "mass 3": lambda move: newton(move(C), move(3 * A), move(3 * B)),
    "dense systems": lambda move: newton(move(C), linsolve="dense"),
    "conjugate gradients": lambda move: newton(move(C), linsolve="cg"),
    "sqeuclidean": points("sqeuclidean"),
    "euclidean": points("euclidean"),
    "cityblock": points("cityblock"),
    "scaling": lambda move: transport.sinkhorn(move(C), move(A), move(B), reg=0.1, tol=1e-11),
    "paper": lambda move: newton(move(C), preset="paper"),
    "two-block, largest entries": lambda move: newton(move(C), formulation="dual", sparsify="topk"),
}


def assert_same(cupy, device, host, **tolerance):
    """The same fields: arrays on the device where the host has arrays, and numbers."""
    assert device.keys() == host.keys()
    for name, value in host.items():
        if isinstance(value, np.ndarray):
            assert type(device[name]) is cupy.ndarray, name
            np.testing.assert_allclose(device[name].get(), value, **tolerance, err_msg=name)
    for name in ("fun", "cost", "primal"):
        if name in host:
            np.testing.assert_allclose(float(device[name]), float(host[name]), **CLOSE)


@pytest.mark.parametrize("name", SOLVES)
def test_a_solve_on_the_device_is_the_solve_on_the_host(cupy, name):
    host, device = SOLVES[name](lambda x: x), SOLVES[name](cupy.asarray)
    assert device.success
    assert device.backend == "cupy"
    # Blocks of a nearly unregularised plan hardly hold each other's potentials.
    assert_same(cupy, device, host, atol=1e-7 if host.reg >= 1e-2 else 1e-2)
    plan = transport.transport_plan(device)
    assert type(plan) is cupy.ndarray
    np.testing.assert_allclose(plan.get(), transport.transport_plan(host), **CLOSE)


@pytest.mark.parametrize("metric", ["sqeuclidean", "cityblock"])
def test_thinned_newton_matrices_lead_to_the_same_solution(cupy, monkeypatch, metric):
    monkeypatch.setattr("refopt.transport._semidual._MAX_ENTRIES", 300)
    solve = lambda move: newton(transport.PointCloudCost(move(X), move(Y), metric=metric), reg=0.1)
    host, device = solve(lambda x: x), solve(cupy.asarray)
    assert device.success
    assert_same(cupy, device, host, atol=1e-7)


@pytest.mark.parametrize("debias", [True, False])
def test_the_divergence_on_the_device_is_that_on_the_host(cupy, debias):
    solve = lambda move: transport.sinkhorn_divergence(
        move(X), move(Y), move(A), move(B), reg=1e-2, debias=debias
    )
    host, device = solve(lambda x: x), solve(cupy.asarray)
    assert device.success
    assert_same(cupy, device, host, atol=1e-7)


def functions(move):
    """Whatever is done with solutions, by name."""
    stored = newton(move(C), move(A), move(B), tol=1e-12)
    lazy = newton(transport.PointCloudCost(move(X), move(Y)), move(A), move(B), tol=1e-12)
    single = newton(move(C.astype(np.float32)))
    vector, block = np.linspace(-1, 1, M), np.linspace(-1, 1, 3 * N).reshape(N, 3)
    plan = transport.transport_plan(stored)
    yield "plan", plan
    yield "plan of points", transport.transport_plan(lazy)
    yield "P v", transport.plan_matvec(stored, move(vector))
    yield "P v of points", transport.plan_matvec(lazy, move(vector))
    yield "P' V", transport.plan_matvec(stored, move(block), transpose=True)
    yield "P' V of points", transport.plan_matvec(lazy, move(block), transpose=True)
    yield "rounded", transport.round_to_polytope(1.01 * plan, move(A), move(B))
    yield from transport.ot_gradients(stored, wrt=("a", "b", "C")).items()
    yield from transport.ot_gradients(lazy, wrt=("X", "Y")).items()
    yield "single", 1.0 * transport.transport_plan(single).astype(np.float64)
    yield "rows of a cost", transport.PointCloudCost(move(X), move(Y))[2:5]


def test_functions_of_a_solution_stay_on_the_device(cupy):
    pairs = zip(functions(cupy.asarray), functions(lambda x: x), strict=True)
    for (name, device), (_, host) in pairs:
        assert type(device) is cupy.ndarray, name
        tolerance = {"atol": 1e-6} if name == "single" else CLOSE
        np.testing.assert_allclose(device.get(), host, **tolerance, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sparse_plan_is_cupys(cupy, dtype):
    solve = lambda move: newton(move(C.astype(dtype)), move(EMPTY), move(B))
    plans = [transport.transport_plan(solve(m), sparse=True) for m in (cupy.asarray, lambda x: x)]
    device, host = plans
    assert type(device).__module__.startswith("cupyx")
    assert device.shape == host.shape
    assert device.nnz == host.nnz
    tolerance = CLOSE if dtype is np.float64 else {"atol": 1e-6}
    np.testing.assert_allclose(device.get().toarray(), host.toarray(), **tolerance)


def test_the_dual_function_on_the_device_is_that_on_the_host(cupy):
    f, g = rng.standard_normal(N) / 100, rng.standard_normal(M) / 100
    for function in (transport.lyapunov, transport.marginal_error):
        device = function(*map(cupy.asarray, (f, g, C, A, B)), 0.1)
        np.testing.assert_allclose(float(device), float(function(f, g, C, A, B, 0.1)), **CLOSE)


def test_a_solution_starts_the_next_solve(cupy):
    x0 = newton(cupy.asarray(C)).x
    again = newton(cupy.asarray(C), x0=x0)
    assert again.success
    assert again.nit <= 1
    assert type(again.x) is cupy.ndarray


@pytest.mark.parametrize(
    "call",
    [
        lambda on: newton(C, backend="cupy"),
        lambda on: transport.sinkhorn(C, reg=0.1, backend="cupy"),
        lambda on: newton(transport.PointCloudCost(X, Y), backend="cupy"),
        lambda on: transport.sinkhorn_divergence(X, Y, reg=0.1, backend="cupy"),
        lambda on: transport.lyapunov(A, B, C, A, B, 0.1, backend="cupy"),
        lambda on: newton(on(C), A),
        lambda on: newton(C, on(A)),
        lambda on: newton(on(C), backend="numba"),
        lambda on: newton(on(C), x0=np.zeros(N + M)),
        lambda on: transport.plan_matvec(newton(on(C)), np.ones(M)),
        lambda on: transport.round_to_polytope(on(C), A, B),
    ],
)
def test_nothing_moves_between_host_and_device_in_silence(cupy, call):
    with pytest.raises(TypeError):
        call(cupy.asarray)


def test_kernels_agree_with_the_reference(cupy):
    from refopt_backends.testing import conformance

    assert not any(a.inherited for a in conformance("cupy", families=["transport"]))
