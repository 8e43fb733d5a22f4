"""What is installed here, and compiling it ahead of time."""

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import refopt
import refopt_backends
from refopt import _validate
from refopt_backends import available_backends, resolve

# Import name -> the distributions that may bring it.
_LIBRARIES = {
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "numba": ("numba",),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
    "array-api-compat": ("array-api-compat",),
}


def show_versions(file=None):
    """Print what a bug report should contain.

    Versions of Python, refopt and the array libraries, the platform, the
    processors that this process may use, the thread settings of its
    environment and the backends. Nothing is imported to find out.

    Parameters
    ----------
    file : text stream, optional
        Where to print; standard output by default.

    Examples
    --------
    >>> import refopt
    >>> refopt.show_versions()  # doctest: +ELLIPSIS
    Python            3...
    """
    for name, value in _facts().items():
        print(f"{name:<17} {value}", file=file)


def _facts():
    facts = {
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "refopt": f"{refopt.__version__} in {Path(refopt.__file__).parent}",
        "refopt_backends": (
            f"{refopt_backends.__version__} in {Path(refopt_backends.__file__).parent}"
        ),
    }
    facts |= {name: _installed(names) for name, names in _LIBRARIES.items()}
    facts["platform"] = f"{platform.platform()}, {platform.machine()}"
    facts["processors"] = _processors()
    facts["backends"] = ", ".join(available_backends())
    return facts


def _installed(distributions):
    found = []
    for name in distributions:
        try:
            found.append(version(name) + (f" ({name})" if len(distributions) > 1 else ""))
        except PackageNotFoundError:
            continue
    return ", ".join(found) or "not installed"


def _processors():
    """Count of processors, and what limits the threads on them."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [f"{k}={os.environ[k]}" for k in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
              if k in os.environ]  # fmt: skip
    numba = sys.modules.get("numba")
    if numba is not None:
        limits.append(f"numba uses {numba.get_num_threads()} threads")
    return ", ".join([str(usable), *limits])


def warmup(backend=None, families=None):
    """Compile the kernels of a backend now rather than at the first calls.

    Solves small problems through the public functions, in every combination
    that makes a kernel of its own: double and single precision costs, stored
    and point clouds, small enough for one thread and large enough for all,
    dense and sparse data matrices.
    Compiled kernels are kept on disk, so that this is slow once only. What only
    problems of some hundred million pairs need is left to them.

    Parameters
    ----------
    backend : str, optional
        As everywhere; by default that of the innermost `use_backend`, else the
        compiled kernels for NumPy arrays.
    families : sequence of str, optional
        Which families of problems, of "transport", "block_coordinate", "halpern",
        "augmented_lagrangian", "deep_conjugate" and "convex_relu"; by default all.

    Returns
    -------
    float
        Seconds taken.

    Raises
    ------
    ValueError
        The backend or a family is unknown.
    ImportError
        The backend's library is not installed.

    Examples
    --------
    >>> import refopt
    >>> refopt.warmup("numpy") < 60  # has nothing to compile
    True
    """
    families = tuple(_FAMILIES) if families is None else families
    families = (families,) if isinstance(families, str) else families
    for family in families:
        _validate.choice(family, "families", tuple(_FAMILIES))
    xp, kernels = resolve(backend=backend)
    began = time.perf_counter()
    for family in families:
        _FAMILIES[family](xp, kernels.name)
    return time.perf_counter() - began


# Sizes below and above the work from which kernels use all threads: of a plan
# without zeros, and of one with about a tenth of its entries.
_FULL = ((30, 20), (340, 300))
_SPARSE = (100, 900)


def _warm_transport(xp, backend):
    rng = np.random.default_rng(0)
    for n, m in _FULL:
        X, Y = xp.asarray(rng.random((n, 2))), xp.asarray(rng.random((m, 2)))
        points = refopt.PointCloudCost(X, Y)
        C = points.toarray()
        for cost in (C, xp.astype(C, xp.float32), points):
            _solve_transport(xp, cost, backend)
        refopt.sinkhorn_divergence(X, Y, reg=0.1, backend=backend)
    for n in _SPARSE:
        line = xp.reshape(xp.linspace(0.0, 1.0, n), (n, 1))
        start = xp.zeros(2 * n)
        cost = refopt.PointCloudCost(line, line)
        refopt.sinkhorn_newton(cost, reg=7e-5, x0=start, maxiter=5, backend=backend)


def _solve_transport(xp, cost, backend):
    """Once through everything that can be done with one cost."""
    n, m = cost.shape
    options = {"reg": 0.1, "backend": backend}
    refopt.sinkhorn(cost, maxiter=3, **options)
    refopt.sinkhorn_newton(cost, maxiter=3, preset="paper", **options)
    refopt.sinkhorn_newton(cost, linsolve="dense", **options)
    res = refopt.sinkhorn_newton(cost, linsolve="cg", **options)
    refopt.marginal_error(res.f, res.g, cost, None, None, res.reg, backend=backend)
    refopt.transport_plan(res)
    refopt.transport_plan(res, sparse=True)
    refopt.plan_matvec(res, xp.ones(m))
    refopt.plan_matvec(res, xp.ones(n), transpose=True)
    assert res.gap < 1  # computing it uses kernels of its own


def _warm_block_coordinate(xp, backend):
    """Classes, a regression and a graph, dense and where NumPy's arrays are sparse."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 90)) * (rng.random((60, 90)) < 0.3)
    y = np.where(X[:, 0] + X[:, 1] > 0, 1.0, -1.0)
    for design in (np.asfortranarray(X), X):
        _solve_block_coordinate(xp.asarray(design), xp.asarray(y), backend)
    if backend in _KNOWS_SCIPY:
        from scipy.sparse import csc_array, eye_array

        _solve_block_coordinate(csc_array(X), y, backend)
        # Many nonzeros: no Gram matrix.
        refopt.lasso(eye_array(300, format="csc"), np.ones(300), 0.5, backend=backend)
        _label_graphs(backend)


# Backends of NumPy arrays, which take SciPy's sparse ones.
_KNOWS_SCIPY = ("numba", "numpy")


def _solve_block_coordinate(X, y, backend):
    """Once through everything that can be done with one data matrix."""
    options = {"backend": backend}
    lam = 0.05 * float(abs(X.T @ y).max())
    refopt.lasso(X, y, lam, **options)
    refopt.lasso(X, y, lam, positive=True, fit_intercept=True, **options)
    refopt.elastic_net(X, y, lam, 0.1, **options)
    refopt.lasso_path(X, y, n_lams=3, **options)
    refopt.l1_logistic(X, y, 0.1 * lam, **options)
    refopt.l1_logistic(X, y, 0.1 * lam, fit_intercept=True, **options)
    refopt.logistic(X, y, 1.0, **options)
    refopt.softmax(X, y, 1.0, **options)
    refopt.softmax(X, y, 1.0, l1=lam, **options)
    refopt.nnls(X, y, **options)
    refopt.svm_dual(X, y, **options)
    refopt.box_qp(X.T @ X, -(X.T @ y), (-0.1, 0.1), **options)


def _label_graphs(backend):
    """The kernels of graphs: a lattice, another graph, forests."""
    for problem in (refopt.problems.lattice(12, 12, 10), refopt.problems.two_moons(150, 10)):
        labelled = problem.mask.copy()
        labelled[np.setdiff1d(np.arange(labelled.size), problem.nodes)] = True
        for method in ("ic-cg", "multilevel", "tree-cg", "red-black"):
            refopt.label_propagation(
                problem.W, problem.labels, labelled, method=method, maxiter=20, backend=backend
            )


def _warm_halpern(xp, backend):
    """Rows and columns, with and without constraints, in double and single precision."""
    from refopt.halpern import AffineVI, BilinearGame, RowLinear
    from refopt.proximal import project_nonneg

    rng = np.random.default_rng(0)
    rows, M, A = rng.random((30, 4)), np.eye(4) + rng.random((4, 4)), rng.random((5, 3))
    for dtype in (np.float64, np.float32):
        put = lambda array, dtype=dtype: xp.asarray(array.astype(dtype))
        operators = (RowLinear(put(rows)), RowLinear(put(rows), put(rows)), AffineVI(put(M)))
        for operator in (*operators, BilinearGame(put(A))):
            for method in ("l-svrg", "vr-eg", "vr-forb", "vr-halpern"):
                for prox in (None, project_nonneg):
                    refopt.solve_vi(
                        operator, xp.ones(operator.shape[0]), prox=prox, method=method, maxfev=20,
                        tol=0.0, rng=0, backend=backend,
                    )  # fmt: skip
    _solve_games(xp, backend)


def _solve_games(xp, backend):
    """Dense games, and sparse ones where NumPy's arrays are."""
    A = np.random.default_rng(1).standard_normal((60, 70))
    games = [xp.asarray(A)]
    if backend in _KNOWS_SCIPY:
        from scipy.sparse import csr_array

        games.append(csr_array(A))
    for game in games:
        for method in ("auto", "rhpdhg", "prm+"):
            refopt.matrix_game(game, method=method, tol=1e-3, backend=backend)


def _warm_augmented_lagrangian(xp, backend):
    """Sketches of dense matrices, and of sparse ones where NumPy's arrays are."""
    A = np.random.default_rng(0).standard_normal((30, 4))
    b = xp.asarray(A @ np.ones(4))
    matrices = [xp.asarray(A)]
    if backend in _KNOWS_SCIPY:
        from scipy.sparse import csr_array

        matrices.append(csr_array(A))
    for matrix in matrices:
        for options in ({}, {"momentum": 0.1}, {"sketch": "greedy"}):
            refopt.sketch_project(matrix, b, maxiter=20, rng=0, backend=backend, **options)
        refopt.sketch_lstsq(matrix, b, rng=0, backend=backend)


def _warm_deep_conjugate(xp, backend):
    """Faces of weight 1 and others, networks, stored matrices."""
    with refopt_backends.use_backend(backend):
        for size in (8, 40, 85) if backend == "numba" else (8,):  # one level, one thread, all
            cells = refopt.problems.pressure_scene("smoke", size)
            u = tuple(xp.asarray(v) for v in refopt.problems.swirl_velocity(size))
            cells, weights = xp.asarray(cells), tuple(xp.full(v.shape, 0.5) for v in u)
            for coefficient in (None, weights):
                for model in (None, refopt.MultilevelNet(), refopt.MultilevelNet().setup):
                    _project(cells, u, coefficient, model)
                scene = refopt.problems.pressure_scene("porous", size, cutoff=100.0)
                _project(xp.asarray(scene), u, coefficient, refopt.MultilevelNet())  # coarse graphs
            if size == 8:
                _solve_pressure(xp, refopt.PoissonGrid(cells).tocsr(), None)
        if backend == "numba":  # as many entries as all threads are woken for
            from scipy.sparse import eye_array, kron

            blocks = kron(eye_array(66_000), np.eye(8) + 1.0, format="csr")
            _solve_pressure(xp, blocks, None)
        for size in (8, 36) if backend == "numba" else (8,):
            room = refopt.PoissonGrid(xp.ones((size,) * 3, dtype=xp.int8))  # touches no air
            net = refopt.DCDMNet(channels=8, rng=0)
            _solve_pressure(xp, room, net)
            net.backward(net.forward(xp.ones((size,) * 3, dtype=xp.float32)))


def _project(cells, u, coefficient, model):
    """A linear network in an iteration of its own, and as any other callable."""
    if model is not None and not hasattr(model, "setup"):
        model = model(refopt.PoissonGrid(cells, coefficient=coefficient)).__call__
    refopt.project(cells, u, coefficient=coefficient, model=model, maxiter=2)


def _solve_pressure(xp, A, model):
    b = xp.astype(xp.arange(A.shape[0]), xp.float64)
    refopt.deep_conjugate_direction(A, b, model, maxiter=2)


def _warm_convex_relu(xp, backend):
    """Networks for regression and classes, from programs of both sizes, and prices."""
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((40, 5)), np.where(rng.random(40) < 0.5, -1.0, 1.0)
    X, y, G = xp.asarray(X), xp.asarray(labels), rng.standard_normal((5, 12))
    fit = {"beta": 0.3, "maxiter": 2, "rng": 0, "backend": backend}
    for count in (3, 12):  # few patterns, and more equations than samples
        gates = {"gates": xp.asarray(np.ascontiguousarray(G[:, :count]))}
        for loss in ("squared", "logistic", "hinge"):
            refopt.fit_convex_relu(X, y, loss=loss, **gates, **fit)
        for method in ("admm", "gated"):
            refopt.fit_convex_relu(X, y, method=method, **gates, **fit)
    refopt.fit_convex_relu(X, y, method="scp", n_gates=9, **fit)
    refopt.fit_convex_relu(X, y, epsilon=0.01, n_gates=9, **fit)
    refopt.fit_convex_relu(X, y, refine=1, m_init=5, **fit)


_FAMILIES = {
    "transport": _warm_transport,
    "block_coordinate": _warm_block_coordinate,
    "halpern": _warm_halpern,
    "augmented_lagrangian": _warm_augmented_lagrangian,
    "deep_conjugate": _warm_deep_conjugate,
    "convex_relu": _warm_convex_relu,
}
