"""One call, one answer: NumPy, Numba, any Array-API library, one thread or two."""

import threading

import array_api_strict
import numpy as np
import pytest

import entropic
from refopt import (
    PointCloudCost,
    lyapunov,
    marginal_error,
    ot_gradients,
    plan_matvec,
    round_to_polytope,
    sinkhorn,
    sinkhorn_divergence,
    sinkhorn_newton,
    transport_plan,
    use_backend,
)
from refopt.problems import cloud2, transport_instance

SHAPES = [(25, 20), (90, 70), (30, 150)]


def problem(n, m, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, m)), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))


def zero_masses(C, a, b):
    a, b = a.copy(), b.copy()
    a[[1, -1]] = b[0] = 0
    return C, a / a.sum(), b / b.sum()


def forbidden(C, a, b):
    C = np.where(np.random.default_rng(1).random(C.shape) < 0.3, np.inf, C)
    C[0], C[:, 0] = 1, 1
    a, b = a.copy(), b.copy()
    a[0] = b[0] = 2
    return C, a / a.sum(), b / b.sum()


DATA = {
    "plain": lambda *p: p,
    "zero masses": zero_masses,
    "forbidden pairs": forbidden,
    "mass 30": lambda C, a, b: (C, 30 * a, 30 * b),
    "float32": lambda C, a, b: (C.astype("f4"), a, b),
    "Fortran": lambda C, a, b: (np.asfortranarray(C), a, b),
}
CALLS = {
    "newton": lambda *p, **o: sinkhorn_newton(*p, reg=0.03, tol=1e-13, **o),
    "cg": lambda *p, **o: sinkhorn_newton(*p, reg=0.03, tol=1e-13, linsolve="cg", **o),
    "dense": lambda *p, **o: sinkhorn_newton(*p, reg=0.03, tol=1e-13, linsolve="dense", **o),
    "all entries": lambda *p, **o: sinkhorn_newton(*p, reg=0.03, tol=1e-13, sparsify="none", **o),
    "dual": lambda *p, **o: sinkhorn_newton(
        *p, reg=0.03, tol=1e-13, formulation="dual", density=0.5, **o
    ),
    "sinkhorn": lambda *p, **o: sinkhorn(*p, reg=0.1, tol=1e-13, **o),
}


def close(actual, expected, atol=1e-11):
    present = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(actual), present)
    np.testing.assert_allclose(actual[present], expected[present], rtol=0, atol=atol)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numpy_and_numba_agree(call, data, shape):
    arguments = DATA[data](*problem(*shape))
    one, two = (CALLS[call](*arguments, backend=name) for name in ("numpy", "numba"))
    assert (one.backend, two.backend) == ("numpy", "numba")
    assert one.success and two.success
    close(two.f, one.f)  # both in the gauge sum(b g) = 0
    close(two.g, one.g)
    assert two.fun == pytest.approx(one.fun, rel=1e-12)
    assert two.cost == pytest.approx(one.cost, rel=1e-11)
    close(transport_plan(two), transport_plan(one), 1e-11 * arguments[1].sum())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("data", ["plain", "zero masses", "forbidden pairs", "float32"])
def test_any_array_api_library_gives_numpys_answer(call, data):
    arguments = DATA[data](*problem(25, 20))
    one = CALLS[call](*arguments, backend="numpy")
    two = CALLS[call](*(array_api_strict.asarray(x.copy()) for x in arguments))
    assert two.backend == "reference"
    for name in ("x", "f", "g"):
        assert type(two[name]) is type(array_api_strict.ones(1))
    close(np.asarray(two.f), one.f)
    assert two.fun == pytest.approx(one.fun, rel=1e-12)
    assert all(type(column) is np.ndarray for column in two.history.values())


def test_everything_around_the_solvers_takes_any_array_api_library():
    asarray = array_api_strict.asarray
    rng = np.random.default_rng(2)
    X, Y = rng.random((12, 2)), rng.random((15, 2))
    _, a, b = problem(12, 15)

    def results(move):
        C = PointCloudCost(move(X), move(Y))
        res = sinkhorn_newton(C, move(a), move(b), reg=0.05, tol=1e-13)
        yield from (res.f, res.g, res.primal, C.toarray(), C[2:5], C[move(np.array([3, 1]))])
        yield transport_plan(res)
        yield plan_matvec(res, move(b))
        yield plan_matvec(res, move(X), transpose=True)
        yield round_to_polytope(transport_plan(res), move(a), move(b))
        yield from ot_gradients(res, ("a", "b", "C", "X", "Y")).values()
        yield lyapunov(res.f, res.g, C, move(a), move(b), 0.05)
        yield marginal_error(res.f, res.g, C, None, None, 0.05)
        warm = sinkhorn_newton(C, move(a), move(b), reg=0.05, x0=res.x)
        yield warm.nit
        yield sinkhorn_newton(C, reg=0.05, prior=move(np.outer(a, b))).f
        divergence = sinkhorn_divergence(move(X), move(Y), move(a), move(b), reg=0.05)
        yield from (divergence.fun, divergence.f, divergence.g)

    with use_backend("numpy"):
        expected = list(results(lambda x: x))
    for ours, theirs in zip(results(asarray), expected, strict=True):
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=1e-9)


def test_a_sparse_plan_needs_a_library_that_has_sparse_matrices():
    res = sinkhorn_newton(array_api_strict.asarray([[0.0, 1.0], [1.0, 0.0]]), reg=0.1)
    with pytest.raises((TypeError, AttributeError, NotImplementedError), match="sparse"):
        transport_plan(res, sparse=True)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cityblock"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_point_clouds_agree(metric, shape):
    rng = np.random.default_rng(3)
    X, Y = rng.random((shape[0], 3)), rng.random((shape[1], 3))
    C = PointCloudCost(X, Y, metric, 2.0)
    one, two = (sinkhorn_newton(C, reg=0.05, tol=1e-13, backend=k) for k in ("numpy", "numba"))
    close(two.f, one.f)
    V = rng.random((shape[1], 2))
    close(plan_matvec(two, V), plan_matvec(one, V), 1e-12)
    few = [transport_plan(r, sparse=True, drop=1e-3).toarray() for r in (one, two)]
    close(few[1], few[0], 1e-11)


@pytest.mark.parametrize("debias", [True, False])
def test_divergences_agree(debias):
    rng = np.random.default_rng(4)
    X, Y = rng.random((80, 2)), rng.random((70, 2))
    one, two = (
        sinkhorn_divergence(X, Y, reg=0.01, debias=debias, backend=k) for k in ("numpy", "numba")
    )
    assert two.fun == pytest.approx(one.fun, abs=1e-10)
    assert (one.backend, two.backend) == ("numpy", "numba")


def test_the_backend_is_chosen_by_size_block_and_argument():
    small, large = problem(20, 20), problem(90, 70)
    assert sinkhorn_newton(*small, reg=0.1).backend == "numpy"
    assert sinkhorn_newton(*large, reg=0.1).backend == "numba"
    with use_backend("numpy"):
        assert sinkhorn_newton(*large, reg=0.1).backend == "numpy"
        assert sinkhorn_newton(*large, reg=0.1, backend="numba").backend == "numba"


# Threads


@pytest.fixture
def two_threads():
    """numba.set_num_threads, with the number restored afterwards."""
    numba = pytest.importorskip("numba")
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("Numba was started with one thread")
    before = numba.get_num_threads()
    yield numba.set_num_threads
    numba.set_num_threads(before)


@pytest.mark.parametrize("name", ["assign-500", "digits-l2-20-45", "rect-600-350-1e-3"])
@pytest.mark.parametrize("solver", [sinkhorn_newton, sinkhorn])
def test_one_thread_and_two_give_the_same_numbers(two_threads, name, solver):
    p = transport_instance(name)
    results = []
    for count in (1, 2):
        two_threads(count)
        results.append(solver(p.C, p.a, p.b, reg=p.reg, maxiter=60))
    one, two = results
    scale = np.abs(one.f).max()
    np.testing.assert_allclose(two.f, one.f, rtol=0, atol=1e-13 * scale)
    assert two.nit == one.nit


def test_one_thread_and_two_agree_on_points(two_threads):
    p = cloud2(600, 1e-3, dense=False)
    results = []
    for count in (1, 2):
        two_threads(count)
        res = sinkhorn_newton(PointCloudCost(p.X, p.Y), reg=p.reg)
        results.append((res.f, plan_matvec(res, p.Y), res.gap))
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=1e-12)


def test_two_threads_repeat_themselves(two_threads):
    p = transport_instance("cloud2-500-1e-3")
    two_threads(2)
    one, two = (sinkhorn_newton(p.C, reg=p.reg) for _ in range(2))
    np.testing.assert_array_equal(one.x, two.x)


def test_four_python_threads_solve_at_once():
    data = [problem(300, 280, seed) for seed in range(4)]
    alone = [sinkhorn_newton(*p, reg=0.01) for p in data]
    together = [None] * 4

    def solve(k):
        together[k] = sinkhorn_newton(*data[k], reg=0.01)

    threads = [threading.Thread(target=solve, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for p, res, expected in zip(data, together, alone, strict=True):
        entropic.assert_solved(res, *p, 0.01)
        np.testing.assert_allclose(res.f, expected.f, rtol=0, atol=1e-9)
