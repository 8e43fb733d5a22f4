"""Monotone inclusions on CuPy arrays: the same runs as on the host's.

Every test runs twice: on a CUDA device (``pytest -m gpu``), and on any machine
over the stand-in for CuPy of ``cuda_on_cpu``.
"""

import numpy as np
import pytest

import refopt
from refopt.halpern import AffineVI, BilinearGame, LogisticSaddle, RowLinear
from refopt.problems import row_sum
from refopt.proximal import Product, project_affine, project_nonneg, project_simplex, project_soc

METHODS = ["forward", "eg", "eag", "forb", "popov", "fbf"]
METHODS += ["vr-eg", "vr-forb", "l-svrg", "vr-halpern", "inexact-halpern"]
PROBLEM = row_sum(40, 3, decay=1.0, seed=5)


def rows(xp):
    return RowLinear(*map(xp.asarray, (PROBLEM.a, PROBLEM.b, PROBLEM.u, PROBLEM.v)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("prox", [None, project_nonneg], ids=["free", "orthant"])
def test_every_method_takes_the_same_steps(cupy, method, prox):
    options = {"method": method, "tol": 0.0, "maxfev": 12, "rng": 0, "prox": prox}
    ours = refopt.solve_vi(rows(cupy), cupy.zeros(6), **options)
    theirs = refopt.solve_vi(rows(np), np.zeros(6), backend="numpy", **options)
    assert ours.backend == "cupy"
    np.testing.assert_allclose(ours.x.get(), theirs.x, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(ours.history["nfev"], theirs.history["nfev"])


def operators(xp):
    rng = np.random.default_rng(0)
    M, A, X = (xp.asarray(rng.standard_normal(shape)) for shape in ((6, 6), (3, 3), (3, 3)))
    simplex = Product([(slice(0, 3), project_simplex), (slice(3, 6), project_simplex)])
    labels = xp.asarray(np.array([1.0, -1.0, 1.0]))
    yield AffineVI(M @ M.T + M - M.T, xp.ones(6), np.arange(6).reshape(3, 2)), None
    yield BilinearGame(A), simplex
    logistic = LogisticSaddle(X, labels)
    yield logistic, logistic.prox


@pytest.mark.parametrize("method", ["eag", "vr-eg", "vr-halpern"])
@pytest.mark.parametrize("number", range(3))
def test_operators(cupy, method, number):
    results = []
    for xp in (cupy, np):
        operator, prox = list(operators(xp))[number]
        start = xp.full(6, 1.0 / 3.0)
        backend = None if xp is cupy else "numpy"
        results.append(
            refopt.solve_vi(
                operator,
                start,
                prox=prox,
                method=method,
                tol=0.0,
                maxfev=10,
                rng=0,
                L=5.0,
                backend=backend,
            )
        )
    np.testing.assert_allclose(results[0].x.get(), results[1].x, rtol=0, atol=1e-10)
    for law in ("full", "uniform", "importance"):
        pair = [next(iter(operators(xp)))[0].lipschitz(law) for xp in (cupy, np)]
        np.testing.assert_allclose(pair[0], pair[1], rtol=1e-10)


def test_users_functions(cupy):
    turn = cupy.asarray([[0.0, -1.0], [1.0, 0.0]])
    res = refopt.halpern_fixed_point(lambda x: turn @ x, cupy.ones(2), tol=1e-2)
    assert res.success and res.backend == "cupy"
    res = refopt.minimax(
        lambda x, y: x + y, lambda x, y: x - y - 2.0, cupy.ones(1), cupy.ones(1), tol=1e-4
    )
    np.testing.assert_allclose([float(res.x[0]), float(res.y[0])], [1.0, -1.0], atol=1e-3)
    a = cupy.asarray(PROBLEM.a)

    def batch(u, index=None):
        part = a if index is None else cupy.take(a, index, axis=0)
        return (part @ u - 1.0) @ part / part.shape[0]

    res = refopt.solve_vi(batch, cupy.zeros(3), n_components=40, method="vr-halpern", rng=0)
    assert res.success and isinstance(res.x, cupy.ndarray)


def test_projections(cupy):
    A = np.random.default_rng(1).standard_normal((2, 5))
    v = np.random.default_rng(2).standard_normal(5)
    on_host = (project_affine(A, np.ones(2)), project_soc, refopt.proximal.project_l1_ball)
    on_device = (
        project_affine(cupy.asarray(A), cupy.ones(2)), project_soc, refopt.proximal.project_l1_ball,
    )  # fmt: skip
    for ours, theirs in zip(on_device, on_host, strict=True):
        np.testing.assert_allclose(ours(cupy.asarray(v)).get(), theirs(v), atol=1e-10)


def test_arrays_of_two_libraries_are_refused(cupy):
    with pytest.raises(TypeError, match="arrays of different libraries"):
        refopt.solve_vi(rows(cupy), np.zeros(6))
