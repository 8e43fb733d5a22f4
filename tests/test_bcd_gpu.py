"""Block coordinate descent on CuPy arrays: NumPy's numbers, and never a trip to the host.

Every test runs twice: on a CUDA device (``pytest -m gpu``), and on any machine
over the stand-in for CuPy of ``cuda_on_cpu``.
"""

import itertools
import runpy
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import catalogue
import refopt
from cuda_on_cpu import harness
from refopt.block_coordinate import LeastSquares, Logistic, Quadratic, Softmax, SVMDual
from refopt.block_coordinate._combinations import UPDATES
from refopt.block_coordinate._selection import NAMES

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 90))
Y = X[:, :9].sum(1) + rng.standard_normal(60)
CLASSES = np.where(Y > 0, 1.0, -1.0)
WEIGHTS = rng.uniform(0.5, 2, 60)
TALL = rng.standard_normal((80, 60)) + rng.standard_normal((80, 1))
SHARES = TALL.T @ rng.standard_normal(80)

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
    "dependent columns": lambda m: refopt.elastic_net(
        m(np.hstack([X, X[:, :9]])), m(Y), 2.0, 1e-3, tol=1e-12
    ),
    "smooth logistic": lambda m: refopt.logistic(m(X), m(CLASSES), 0.5, tol=1e-12),
    "softmax": lambda m: refopt.softmax(m(X), m(np.digitize(Y, [-2, 2])), 0.5, tol=1e-12),
    "nnls": lambda m: refopt.nnls(m(TALL), m(Y[:1].repeat(80)), tol=1e-12),
    # Newton steps alone go round in circles here.
    "box": lambda m: refopt.box_qp(m(TALL.T @ TALL), m(SHARES), (0, 0.05), tol=1e-12),
    "svm": lambda m: refopt.svm_dual(m(X), m(CLASSES), tol=1e-10),
}


@pytest.mark.parametrize("name", SOLVES)
def test_a_solve_on_the_device_is_the_solve_on_the_host(cupy, name):
    host, device = SOLVES[name](lambda x: x), SOLVES[name](cupy.asarray)
    assert device.success and device.backend == "cupy"
    assert type(device.x) is cupy.ndarray and type(device.active) is cupy.ndarray
    assert device.x.dtype == host.x.dtype
    tolerance = {"single": 1e-4, "svm": 1e-5}.get(name, 1e-7)
    np.testing.assert_allclose(device.x.get(), host.x, atol=tolerance)
    np.testing.assert_allclose(device.fun, host.fun, rtol=1e-5 if name == "single" else 1e-10)
    if "intercept" in host:
        intercept = device.intercept.get() if name == "softmax" else device.intercept
        np.testing.assert_allclose(intercept, host.intercept, atol=tolerance)


@pytest.mark.skipif(bool(harness.unavailable()), reason=harness.unavailable() or "there is g++")
@pytest.mark.parametrize("name", ["lasso", "box"])
def test_the_host_waits_for_few_numbers(compiled, name):
    with harness.stand_in(compiled) as cupy:
        assert SOLVES[name](cupy.asarray).success
        waits = cupy.counts["waits"]
    assert 10 < waits < 250  # the readable kernels wait for every coordinate


def test_more_nonzeros_than_rows_end_certified(cupy):
    wide = np.hstack([X, X])
    lam = 1e-3 * np.abs(X.T @ Y).max()
    for positive in (False, True):
        res = refopt.lasso(cupy.asarray(wide), cupy.asarray(Y), lam, positive=positive, tol=1e-12)
        assert res.success and res.nchol < 1000
        expected = refopt.lasso(X, Y, lam, positive=positive, tol=1e-12)
        np.testing.assert_allclose(res.fun, expected.fun, rtol=1e-9)


CATALOGUE = {
    "least squares": lambda m, A, b, y: LeastSquares(m(A), m(b)),
    "elastic net": lambda m, A, b, y: LeastSquares(
        m(A), m(b), l1=2.0, l2=0.3, weights=m(catalogue.WEIGHTS)
    ),
    "nonnegative": lambda m, A, b, y: LeastSquares(m(A), m(b), l1=1.0, bounds=(0, None)),
    "logistic": lambda m, A, b, y: Logistic(m(A), m(y), l2=0.1),
    "l1 logistic": lambda m, A, b, y: Logistic(m(A), m(y), l1=1.0),
    "logistic in a box": lambda m, A, b, y: Logistic(
        m(A), m(y), bounds=(-0.1, m(catalogue.WEIGHTS))
    ),
    "softmax": lambda m, A, b, y: Softmax(m(A), m(catalogue.LABELS), l2=0.1),
    "l1 softmax": lambda m, A, b, y: Softmax(m(A), m(catalogue.LABELS), l1=1.0),
    "quadratic": lambda m, A, b, y: Quadratic(m(A.T @ A), m(A.T @ b)),
    "box": lambda m, A, b, y: Quadratic(m(A.T @ A), m(A.T @ b), bounds=(-0.1, 0.2)),
    "svm": lambda m, A, b, y: SVMDual(m(A), m(y), 0.7),
}


@pytest.mark.parametrize("partition", ["variable", "sort", "average-h"])
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_rule_of_the_catalogue_makes_the_iterates_of_the_host(cupy, name, partition):
    data = catalogue.A, catalogue.B, catalogue.Y
    host, device = (CATALOGUE[name](m, *data) for m in (lambda x: x, cupy.asarray))
    options = {"partition": partition, "block_size": 4, "maxiter": 4, "tol": 0, "rng": 0}
    combined = 0
    rules = itertools.chain(
        itertools.product(NAMES, ["auto"]), itertools.product(["random"], UPDATES)
    )
    for selection, update in rules:
        options |= {"selection": selection, "update": update}
        try:
            expected = refopt.minimize_bcd(host, backend="numpy", **options)
        except ValueError:
            continue  # which ones is asked in test_bcd_catalogue_rules
        combined += 1
        found = refopt.minimize_bcd(device, **options)
        assert type(found.x) is cupy.ndarray and found.nit == expected.nit
        np.testing.assert_allclose(found.x.get(), expected.x, atol=1e-10, err_msg=str(options))
        np.testing.assert_allclose(found.history["fun"], expected.history["fun"], rtol=1e-12)
    assert combined >= 8


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


def test_the_benchmark_of_a_path_certifies_both_sides(cupy, capsys):
    file = Path(__file__).parents[1] / "asv_benchmarks/peers/block_coordinate_gpu.py"
    main = runpy.run_path(str(file))["main"]
    assert main(["--rows", "60", "--columns", "300", "--penalties", "4"]) == 0
    cells = [line.split("|") for line in capsys.readouterr().out.splitlines()]
    found = {c[1].strip(): float(c[3]) for c in cells if len(c) > 3 and c[1] in (" GPU ", " CPU ")}
    assert found.keys() == {"GPU", "CPU"}
    assert all(gap <= 1e-8 for gap in found.values())
    if cupy.cuda.Device().mem_info[0] < 2**40:
        assert main(["--rows", "1000000", "--columns", "200000"]) == 1
        assert "GB of device memory are needed" in capsys.readouterr().out


SPARSE = {
    "lasso": lambda A, m: refopt.lasso(A, m(Y), 5.0, tol=1e-12),
    "lasso, many nonzeros": lambda A, m: refopt.lasso(A, m(Y), 0.5, tol=1e-12),
    "lasso, intercept": lambda A, m: refopt.lasso(A, m(Y), 5.0, fit_intercept=True, tol=1e-12),
    "l1 logistic": lambda A, m: refopt.l1_logistic(
        A, m(CLASSES), 2.0, fit_intercept=True, tol=1e-12
    ),
    "logistic": lambda A, m: refopt.logistic(A, m(CLASSES), 0.5, tol=1e-12),
    "softmax": lambda A, m: refopt.softmax(A, m(np.digitize(Y, [-2, 2])), 0.5, tol=1e-12),
    "nnls": lambda A, m: refopt.nnls(A, m(Y), tol=1e-12),
    "svm": lambda A, m: refopt.svm_dual(A, m(CLASSES), tol=1e-10),
    "catalogue": lambda A, m: refopt.minimize_bcd(LeastSquares(A, m(Y), l1=5.0), maxiter=20),
}


@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix"])
@pytest.mark.parametrize("name", SPARSE)
def test_sparse_matrices_of_the_device(cupy, name, kind):
    thin = csr_matrix(X * (np.abs(X) > 1))
    device = SPARSE[name](on_device(thin, kind), cupy.asarray)
    host = SPARSE[name](thin, lambda x: x)
    assert device.status == host.status and type(device.x) is cupy.ndarray
    np.testing.assert_allclose(device.x.get(), host.x, atol=1e-6)


MOONS = refopt.problems.two_moons(300, 20, seed=2)
GRIDS = refopt.problems.lattice(12, 10, 15, 1.0)


def on_device(W, kind="csr_matrix"):
    """A sparse matrix of the host, on the device."""
    import cupy

    sparse = import_module("cupyx.scipy.sparse")
    W = W.asformat(kind[:3])
    arrays = tuple(map(cupy.asarray, (W.data, W.indices, W.indptr)))
    return getattr(sparse, kind)(arrays, shape=W.shape)


@pytest.mark.parametrize("problem", [MOONS, GRIDS], ids=["moons", "lattice"])
@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix", "dense"])
def test_labels_of_a_graph_on_the_device(cupy, problem, form):
    W = cupy.asarray(problem.W.toarray()) if form == "dense" else on_device(problem.W, form)
    one, two = cupy.asarray(problem.labels), cupy.asarray(np.outer(problem.labels, [1.0, -2.0]))
    mask = cupy.asarray(problem.mask)
    expected = refopt.label_propagation(problem.W, problem.labels, problem.mask).x
    res = refopt.label_propagation(W, one, mask)
    assert res.success and res.backend == "cupy" and type(res.x) is cupy.ndarray
    np.testing.assert_allclose(res.x.get(), expected, atol=1e-7)
    res = refopt.label_propagation(W, two, mask, method="cg")
    np.testing.assert_allclose(res.x.get(), np.outer(expected, [1.0, -2.0]), atol=1e-7)
    r = problem.b - problem.A @ res.x.get()[problem.nodes, 0]
    assert np.linalg.norm(r) <= 1e-10 * np.linalg.norm(problem.b)


def test_graphs_of_the_device_in_single_precision_and_without_unknowns(cupy):
    W, mask = on_device(GRIDS.W.astype(np.float32)), cupy.asarray(GRIDS.mask)
    labels = cupy.asarray(GRIDS.labels.astype(np.float32))
    res = refopt.label_propagation(W, labels, mask)
    assert res.success and res.x.dtype == np.float32
    expected = refopt.label_propagation(GRIDS.W, GRIDS.labels, GRIDS.mask).x
    np.testing.assert_allclose(res.x.get(), expected, atol=1e-4)
    res = refopt.label_propagation(W, labels, cupy.ones(mask.size, bool))
    assert res.success and res.nit == 0
    np.testing.assert_array_equal(res.x.get(), labels.get())


def test_what_is_refused_of_graphs_on_the_device(cupy):
    W, labels, mask = on_device(GRIDS.W), cupy.asarray(GRIDS.labels), cupy.asarray(GRIDS.mask)
    with pytest.raises(ValueError, match=r"^method must be 'auto' or 'cg' for arrays of a device"):
        refopt.label_propagation(W, labels, mask, method="tree-cg")
    bad = GRIDS.W.tolil()
    bad[0, 1] = 7.0
    with pytest.raises(ValueError, match=r"^W must be symmetric, got 7.0 at \[0, 1\] and 1.0"):
        refopt.label_propagation(on_device(bad.tocsr()), labels, mask)
    with pytest.raises(ValueError, match=r"^W must be nonnegative"):
        refopt.label_propagation(on_device(-GRIDS.W), labels, mask)
    with pytest.raises(ValueError, match=r"^mask must label a node of each component"):
        refopt.label_propagation(W, labels, cupy.zeros(mask.size, bool))
    for call in (
        lambda: refopt.label_propagation(W, GRIDS.labels, mask),
        lambda: refopt.label_propagation(W, labels, GRIDS.mask),
        lambda: refopt.label_propagation(GRIDS.W, labels, mask),
        lambda: refopt.label_propagation(W, labels, mask, backend="numba"),
        lambda: refopt.forest_partition(W),
        lambda: refopt.forest_solve(W, labels),
    ):
        with pytest.raises(TypeError):
            call()
