"""What every public function keeps to, by one table with an entry for each."""

import contextlib
import importlib
import inspect
import io
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

import refopt
from refopt_backends import is_array, namespace_of

# Whole numbers, so that every dtype holds them exactly; enough of them for the
# compiled kernels to be chosen.
N, M = 70, 65
_rng = np.random.default_rng(0)
C = _rng.integers(0, 9, (N, M)).astype(float)
X, Y = _rng.integers(0, 9, (N, 2)).astype(float), _rng.integers(0, 9, (M, 2)).astype(float)
A, B = np.full(N, float(M)), np.full(M, float(N))
F, G = -_rng.integers(20, 30, N).astype(float), _rng.integers(0, 5, M).astype(float)
PROBLEM = {"C": C, "a": A, "b": B}
CLOUDS = {"X": X, "Y": Y, "a": A, "b": B}
REG = 2.0
# A path, and labels at its ends and in between.
EDGES = np.eye(300, k=1) + np.eye(300, k=-1)
EDGES_2 = np.eye(300, k=2) + np.eye(300, k=-2)
PATH, ENDS = 4.0 * np.eye(300) - EDGES, np.arange(300) % 13 == 0
# Large enough for a second iteration.
Q = 4.0 * np.eye(640) - np.eye(640, k=1) - np.eye(640, k=-1)
Q_LINEAR = _rng.integers(-9, 9, 640).astype(float)
TALL = _rng.integers(-4, 5, (720, 640)) * (_rng.random((720, 640)) < 0.05) + 9.0 * np.eye(720, 640)
TALL_SIDE = _rng.integers(-9, 20, 720).astype(float)
WIDE = _rng.integers(-9, 10, (80, 600)).astype(float)
WIDE_SIDE = WIDE[:, :60].sum(1) + _rng.integers(-50, 51, 80)
ROWS = _rng.integers(-4, 5, (90, 6)).astype(float)
LABELS = np.where(ROWS @ np.array([1, -2, 1, 0, 1, 1]) + _rng.integers(-4, 5, 90) > 0, 1.0, -1.0)
MANY_ROWS = _rng.integers(-4, 5, (800, 6)).astype(float)
LONG = _rng.integers(-9, 10, 5000).astype(float)
CELLS = _rng.integers(0, 3, (6, 7, 5)).astype(float)
WIDE_ROWS = np.tile(ROWS, (1, 8))  # enough entries for the compiled kernels
CIRCLE = {
    "type": "eq",
    "fun": lambda x: x[:1] ** 2 - 4.0,
    "jac": lambda x: 2.0 * x[:1, None] * beside(x, np.eye(1, x.size)),
}

FACES = tuple(np.ones(np.add((6, 7, 5), axis)) for axis in np.eye(3, dtype=int))


def beside(x, array):
    """An array of the host, in the library of x."""
    elsewhere = is_array(x) and not isinstance(x, np.ndarray)
    return namespace_of(x).asarray(array) if elsewhere else array


@dataclass
class Entry:
    """One public function: arrays to call it with, and what to compare of the result."""

    call: Callable
    arrays: dict = field(default_factory=dict)
    values: Callable = lambda result: [result]
    solver: bool = False
    prints: bool = False
    positional: tuple = ()  # arguments before the options that are no arrays


def _solution(res):
    return [res.f, res.g, res.fun, res.cost]


def _plan(C, a, b):
    res = refopt.sinkhorn_newton(C, a, b, reg=REG)
    return refopt.transport_plan(res), refopt.transport_plan(res, sparse=True).toarray()


def _product(C, V):
    return refopt.plan_matvec(refopt.sinkhorn_newton(C, reg=REG), V)


def _gradients(X, Y, a, b):
    res = refopt.sinkhorn_newton(refopt.PointCloudCost(X, Y), a, b, reg=REG)
    return [*refopt.ot_gradients(res, ("a", "b", "C", "X", "Y")).values()]


def _register():
    refopt.register_backend("table_test", dict)
    return "table_test" in refopt.available_backends()


def _use():
    with refopt.use_backend("numpy") as table:
        return table.name


def _progress():
    with refopt.ProgressBar(disable=True) as bar:
        return refopt.sinkhorn([[0.0, 1.0], [1.0, 0.0]], reg=REG, callback=bar).fun


def _problem(problem):
    x = problem.model.xp.full(problem.shape, 0.25)
    return [problem.fun(x), problem.grad(x), problem.lipschitz(), problem.dual_gap(x)]


def _on_sphere(x0, **options):
    """f = sum (x - 1)^2 + x_1 x_2 on the sphere of radius 3."""
    sphere = {"type": "eq", "fun": lambda x: x @ x - 9.0, "jac": lambda x: 2.0 * x}
    return refopt.minimize_equality(
        lambda x: ((x - 1.0) ** 2).sum() + x[0] * x[1], x0, constraints=sphere, **options
    )


def _merit(x, l):
    squares = {"type": "eq", "fun": lambda x: x[:3] ** 2 - 4.0}
    return refopt.exact_augmented_lagrangian(lambda x: x.sum(), squares).value(x, l)


def _rows(a):
    return refopt.halpern.RowLinear(a, p=beside(a, np.arange(800.0) % 7), mu=1.0)


TABLE = {
    "sinkhorn": Entry(
        lambda C, a, b, **o: refopt.sinkhorn(C, a, b, reg=REG, **o),
        PROBLEM, _solution, solver=True,
    ),
    "sinkhorn_newton": Entry(
        lambda C, a, b, **o: refopt.sinkhorn_newton(C, a, b, reg=REG, **o),
        PROBLEM, _solution, solver=True,
    ),
    "sinkhorn_divergence": Entry(
        lambda X, Y, a, b, **o: refopt.sinkhorn_divergence(X, Y, a, b, reg=REG, **o),
        CLOUDS, lambda res: [res.f, res.g, res.fun], solver=True,
    ),
    "PointCloudCost": Entry(
        lambda X, Y: refopt.PointCloudCost(X, Y, "cityblock"),
        {"X": X, "Y": Y}, lambda cost: [cost.toarray(), cost.T.toarray(), cost[:3], cost.X],
    ),
    "lyapunov": Entry(
        lambda f, g, C, a, b: refopt.lyapunov(f, g, C, a, b, REG), {"f": F, "g": G} | PROBLEM
    ),
    "marginal_error": Entry(
        lambda f, g, C, a, b: refopt.marginal_error(f, g, C, a, b, REG), {"f": F, "g": G} | PROBLEM
    ),
    "transport_plan": Entry(_plan, PROBLEM, list),
    "plan_matvec": Entry(_product, {"C": C, "V": Y}),
    "round_to_polytope": Entry(
        lambda P, a, b: refopt.round_to_polytope(P, a, b), {"P": C, "a": A, "b": B}
    ),
    "ot_gradients": Entry(_gradients, CLOUDS, list),
    "box_qp": Entry(
        lambda Q, c, **o: refopt.box_qp(Q, c, (-2.0, 1.5), **o),
        {"Q": Q, "c": Q_LINEAR}, lambda res: [res.x, res.fun], solver=True, positional=("bounds",),
    ),
    "nnls": Entry(
        lambda A, b, **o: refopt.nnls(A, b, **o),
        {"A": TALL, "b": TALL_SIDE}, lambda res: [res.x, res.fun], solver=True,
    ),
    "logistic": Entry(
        lambda X, y, **o: refopt.logistic(X, y, 0.5, **o),
        {"X": WIDE_ROWS, "y": LABELS}, lambda res: [res.x, res.fun],
        solver=True, positional=("l2",),
    ),
    "softmax": Entry(
        lambda X, labels, **o: refopt.softmax(X, labels, 0.5, l1=0.1, **o),
        {"X": WIDE_ROWS, "labels": LABELS}, lambda res: [res.x, res.fun], solver=True,
        positional=("l2",),
    ),
    "lasso": Entry(
        lambda X, y, **o: refopt.lasso(X, y, 30.0, **o),
        {"X": WIDE, "y": WIDE_SIDE}, lambda res: [res.x, res.fun], solver=True,
        positional=("lam",),
    ),
    "lasso_path": Entry(
        lambda X, y, **o: refopt.lasso_path(X, y, n_lams=5, eps=0.05, **o),
        {"X": WIDE, "y": WIDE_SIDE}, lambda res: [res.coefs, *map(float, res.lams)],
    ),
    "elastic_net": Entry(
        lambda X, y, **o: refopt.elastic_net(X, y, 30.0, 5.0, **o),
        {"X": WIDE, "y": WIDE_SIDE}, lambda res: [res.x, res.fun],
    ),
    "l1_logistic": Entry(
        lambda X, y, **o: refopt.l1_logistic(X, y, 2.0, **o),
        {"X": WIDE, "y": np.where(WIDE_SIDE > 0, 1.0, -1.0)}, lambda res: [res.x, res.fun],
        solver=True, positional=("lam",),
    ),
    "svm_dual": Entry(
        lambda X, y, **o: refopt.svm_dual(X, y, 0.5, **o),
        {"X": ROWS, "y": LABELS}, lambda res: [res.primal], solver=True, positional=("C",),
    ),
    "LeastSquares": Entry(
        lambda A, b: refopt.LeastSquares(A, b, l1=1.0), {"A": TALL, "b": TALL_SIDE}, _problem
    ),
    "Logistic": Entry(
        lambda A, y: refopt.Logistic(A, y, l2=1.0), {"A": WIDE_ROWS, "y": LABELS}, _problem
    ),
    "Softmax": Entry(
        lambda A, labels: refopt.Softmax(A, labels, l2=1.0),
        {"A": WIDE_ROWS, "labels": LABELS}, _problem,
    ),
    "Quadratic": Entry(
        lambda A, b: refopt.Quadratic(A, b, l1=1.0), {"A": Q, "b": Q_LINEAR}, _problem
    ),
    "SVMDual": Entry(
        lambda A, y: refopt.SVMDual(A, y, 0.5), {"A": ROWS, "y": LABELS}, _problem
    ),
    "minimize_bcd": Entry(
        lambda A, b, **o: refopt.minimize_bcd(
            refopt.LeastSquares(A, b, l1=300.0), **{"block_size": 150} | o
        ),
        {"A": WIDE, "b": WIDE_SIDE}, lambda res: [res.x, res.fun], solver=True,
        positional=("problem", "x0"),
    ),
    "select_block": Entry(
        lambda g, L, **o: refopt.select_block(g, L, 3, **o),
        {"g": TALL_SIDE, "L": abs(TALL_SIDE) + 1},
    ),
    "identify_active_set": Entry(
        lambda x, g: refopt.identify_active_set(
            x, g, refopt.LeastSquares(beside(g, TALL), beside(g, TALL_SIDE), l1=1.0)
        ),
        {"x": TALL[0], "g": TALL[1]},
    ),
    "forest_factor": Entry(lambda A: refopt.forest_factor(A).pivots, {"A": PATH}),
    "forest_partition": Entry(lambda A: refopt.forest_partition(A), {"A": PATH}),
    "forest_solve": Entry(lambda A, b: refopt.forest_solve(A, b), {"A": PATH, "b": PATH[0]}),
    "red_black_partition": Entry(lambda A: refopt.red_black_partition(A), {"A": PATH}),
    "label_propagation": Entry(
        lambda W, labels, rng=0, **o: refopt.label_propagation(
            W, labels, beside(W, ENDS), rng=rng, **{"method": "random-tree"} | o
        ),
        {"W": EDGES + EDGES_2, "labels": np.arange(300.0) % 9}, lambda res: [res.x, res.fun],
    ),
    "halpern_fixed_point": Entry(
        lambda x0, **o: refopt.halpern_fixed_point(
            lambda x: 1.0 - 0.5 * x, x0, **{"restart": "adaptive"} | o
        ),
        {"x0": LONG}, lambda res: [res.x], solver=True, positional=("T",),
    ),
    "vr_halpern": Entry(
        lambda a, x0, **o: refopt.vr_halpern(_rows(a), x0, **{"rng": 0} | o),
        {"a": MANY_ROWS, "x0": np.arange(6.0)}, lambda res: [res.x], solver=True,
        positional=("fun",),
    ),
    "inexact_halpern": Entry(
        lambda a, x0, **o: refopt.inexact_halpern(_rows(a), x0, **{"rng": 0} | o),
        {"a": MANY_ROWS, "x0": np.arange(6.0)}, lambda res: [res.x], solver=True,
        positional=("fun",),
    ),
    "solve_vi": Entry(
        lambda a, x0, **o: refopt.solve_vi(_rows(a), x0, **{"rng": 0} | o),
        {"a": MANY_ROWS, "x0": np.arange(6.0)}, lambda res: [res.x], solver=True,
        positional=("fun",),
    ),
    "minimax": Entry(
        lambda x0, y0, **o: refopt.minimax(
            lambda x, y, i=None: 2.0 * x + y, lambda x, y, i=None: x - 2.0 * y - 3.0, x0, y0,
            **{"n_components": 4, "method": "eg", "L": 4.0} | o,
        ),
        {"x0": LONG, "y0": -LONG}, lambda res: [res.x, res.y], solver=True,
        positional=("grad_x", "grad_y"),
    ),
    "matrix_game": Entry(
        lambda A, **o: refopt.matrix_game(A, **o),
        {"A": C}, lambda res: [res.x, res.y, res.value], solver=True,
    ),
    "deep_conjugate_direction": Entry(
        lambda A, b, **o: refopt.deep_conjugate_direction(A, b, **o), {"A": Q, "b": Q_LINEAR},
        lambda res: [res[0]],
    ),
    "deflated_cg": Entry(
        lambda A, b, **o: refopt.deflated_cg(A, b, **o), {"A": Q, "b": Q_LINEAR},
        lambda res: [res[0]],
    ),
    "lanczos": Entry(
        lambda A, v0: refopt.lanczos(A, v0, 9), {"A": Q, "v0": Q_LINEAR}, list
    ),
    "ritz_dataset": Entry(
        lambda A, rng=0, **o: refopt.ritz_dataset(
            A, 4, n_lanczos=9, rng=rng, dtype=np.float64, **o
        ),
        {"A": Q},
    ),
    "poisson_rhs": Entry(
        lambda cells, **o: refopt.poisson_rhs(cells, [beside(cells, u) for u in FACES], **o),
        {"cells": CELLS},
    ),
    "project": Entry(
        lambda cells, **o: refopt.project(cells, [beside(cells, u) for u in FACES], **o),
        {"cells": CELLS}, lambda res: list(res[0]),
    ),
    "PoissonGrid": Entry(
        lambda cells: refopt.PoissonGrid(cells), {"cells": CELLS},
        lambda A: [A.cells, A.degree, A.diagonal(), *A.components()],
    ),
    "minimize_equality": Entry(
        _on_sphere, {"x0": np.arange(1.0, 7.0)}, lambda res: [res.x, res.fun, res.multipliers],
        solver=True, positional=("fun", "args", "unknown"),
    ),
    "exact_augmented_lagrangian": Entry(_merit, {"x": np.arange(1.0, 7.0), "l": np.arange(3.0)}),
    "adasketch_newton": Entry(
        lambda x0, **o: refopt.adasketch_newton(
            lambda x: x @ x - x.sum(), x0, jac=lambda x: 2.0 * x - 1.0,
            hess=lambda x: 2.0 * beside(x, np.eye(x.size)), constraints=CIRCLE,
            **{"rng": 0, "lin_solver": "direct"} | o,
        ),
        {"x0": np.arange(3.0, 8.0)}, lambda res: [res.x], solver=True,
        positional=("fun", "args", "unknown"),
    ),
    "MultilevelNet": Entry(
        lambda: refopt.MultilevelNet(), values=lambda net: [net.params]
    ),
    "load_model": Entry(
        lambda: refopt.load_model("poisson-multilevel"), values=lambda net: [net.params]
    ),
    "DCDMNet": Entry(
        lambda **o: refopt.DCDMNet(**{"channels": 2, "rng": 0} | o), values=lambda net: [net.params]
    ),
    "train_direction_network": Entry(
        lambda **o: refopt.train_direction_network(
            refopt.DCDMNet(channels=2, rng=0), refopt.PoissonGrid(np.ones((4, 4, 4))),
            **{"n_samples": 8, "rng": 0} | o,
        ),
        values=lambda res: [res.x, res.history["fun"]],
    ),
    "sketch_project": Entry(
        lambda A, b, **o: refopt.sketch_project(A, b, **{"rng": 0, "maxiter": 200} | o),
        {"A": WIDE[:, ::4], "b": WIDE_SIDE}, lambda result: [result[0]],
    ),
    "sketch_lstsq": Entry(
        lambda A, b, **o: refopt.sketch_lstsq(A, b, **{"rng": 0} | o),
        {"A": TALL[:, :80], "b": TALL_SIDE}, lambda result: [result[0]],
    ),
    "price_gates": Entry(
        lambda X, r, **o: refopt.price_gates(X, r, **{"n_starts": 9, "rng": 0} | o),
        {"X": ROWS, "r": LABELS}, lambda found: [found.values],
    ),
    "certify_network": Entry(
        lambda X, y, W1, w2, **o: refopt.certify_network(
            X, y, W1, w2, **{"beta": 9.0, "n_starts": 9, "rng": 0} | o
        ),
        {"X": ROWS, "y": LABELS, "W1": ROWS[:6, :3], "w2": ROWS[6, :3]},
        lambda res: [res.fun, res.lower_bound, res.psi],
    ),
    "dual_bound": Entry(
        lambda X, y, r, **o: refopt.dual_bound(
            X, y, r, **{"beta": 9.0, "n_starts": 9, "rng": 0} | o
        ),
        {"X": ROWS, "y": LABELS, "r": -LABELS},
    ),
    "relu_network_objective": Entry(
        lambda X, y, W1, w2: refopt.relu_network_objective(X, y, W1, w2, beta=9.0),
        {"X": ROWS, "y": LABELS, "W1": ROWS[:6, :3], "w2": ROWS[6, :3]},
    ),
    "adversarial_loss": Entry(
        lambda X, y, W1, w2, **o: refopt.adversarial_loss(
            X, y, W1, w2, **{"epsilon": 0.5, "rng": 0} | o
        ),
        {"X": ROWS[:9], "y": LABELS[:9], "W1": ROWS[:6, :3], "w2": ROWS[6, :3]},
    ),
    "fit_convex_relu": Entry(
        # Refinement trains a network first, which rounding may lead to other patterns.
        lambda X, y, **o: refopt.fit_convex_relu(
            X, y, **{"beta": 9.0, "n_gates": 9, "refine": 0, "rng": 0} | o
        ),
        {"X": WIDE_ROWS[:, :20], "y": LABELS}, lambda res: [res.x, res.fun, res.W1],
        solver=True,
    ),
    "convex_relu_path": Entry(
        lambda X, y, **o: refopt.convex_relu_path(
            X, y, [9.0, 20.0], **{"n_gates": 9, "refine": 0, "rng": 0} | o
        ),
        {"X": WIDE_ROWS[:, :20], "y": LABELS}, lambda path: [res.x for res in path],
    ),
    "relu_patterns": Entry(
        lambda X, **o: refopt.relu_patterns(X, **{"n": 9, "rng": 0} | o), {"X": ROWS}, list
    ),
    "all_relu_patterns": Entry(lambda X: refopt.all_relu_patterns(X), {"X": ROWS[:9, :3]}),
    "sampled_gates_bound": Entry(lambda: refopt.sampled_gates_bound(100, 0.1, 0.05)),
    "available_backends": Entry(lambda: refopt.available_backends()),
    "register_backend": Entry(_register),
    "use_backend": Entry(_use),
    "ProgressBar": Entry(_progress),
    "show_versions": Entry(lambda: refopt.show_versions(), prints=True),
    "warmup": Entry(lambda: refopt.warmup("numpy", families=()), values=lambda seconds: []),
}  # fmt: skip

WITH_ARRAYS = [name for name, entry in TABLE.items() if entry.arrays]
SOLVERS = [name for name, entry in TABLE.items() if entry.solver]
ARGUMENTS = [(name, argument) for name in WITH_ARRAYS for argument in TABLE[name].arrays]


@pytest.fixture(autouse=True)
def _no_backend_stays(monkeypatch):
    from refopt_backends import _select

    for name in ("_tables", "_registered"):
        monkeypatch.setattr(_select, name, dict(getattr(_select, name)))


def public(module):
    """Names of a module's public functions and classes."""
    objects = {name: getattr(module, name) for name in module.__all__}
    return [name for name, thing in objects.items() if callable(thing)]


def call(name, **changes):
    """Call an entry with some arrays or options changed."""
    return TABLE[name].call(**TABLE[name].arrays | changes)


def assert_same(name, actual, expected, rtol=1e-9):
    for ours, theirs in zip(TABLE[name].values(actual), TABLE[name].values(expected), strict=True):
        if isinstance(theirs, np.ndarray | float):
            scale = np.abs(theirs).max()
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * scale)
        else:
            assert ours == theirs


def test_every_public_callable_has_an_entry():
    assert sorted(public(refopt)) == sorted(TABLE)


# Calls


@pytest.mark.parametrize("name", TABLE)
def test_defaults_work_in_silence_and_repeat_themselves(name, capfd):
    one, two = call(name), call(name)
    out, err = capfd.readouterr()
    assert bool(out) == TABLE[name].prints and err == ""
    assert_same(name, one, two, rtol=0)


VARIANTS = {
    "float32": lambda x: x.astype(np.float32),
    "int64": lambda x: x.astype(np.int64),
    "int32": lambda x: x.astype(np.int32),
    "int8": lambda x: x.astype(np.int8),
    "Fortran order": np.asfortranarray,
    "every second entry": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "negative strides": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "lists": lambda x: x.tolist(),
    "mask without entries": lambda x: np.ma.array(x, mask=False),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_the_form_of_the_arrays_does_not_matter(name, variant):
    arrays = {key: VARIANTS[variant](x) for key, x in TABLE[name].arrays.items()}
    # single precision is solved to a gap of 1e-6, which leaves more room to x
    tolerance = 1e-4 if variant == "float32" else 1e-8
    assert_same(name, TABLE[name].call(**arrays), call(name), tolerance)


# Where another method than the table's is for devices, or the solution is not the only one.
ON_DEVICE = {"label_propagation": {"method": "auto"}, "fit_convex_relu": {"refine": 0, "tol": 1e-8}}


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_arrays_of_a_device_are_worked_on_there_or_refused(cupy, name):
    arrays = {key: cupy.asarray(x) for key, x in TABLE[name].arrays.items()}
    if "lies on a device" in getattr(refopt, name).__doc__:
        with pytest.raises(TypeError, match="of cupy: graphs are worked on by the CPU"):
            TABLE[name].call(**arrays)
        return
    options = ON_DEVICE.get(name, {})
    found, expected = TABLE[name].call(**arrays, **options), call(name, **options)
    pairs = zip(TABLE[name].values(found), TABLE[name].values(expected), strict=True)
    for ours, theirs in pairs:
        if isinstance(theirs, np.ndarray):
            assert type(ours) is cupy.ndarray
        # both end within their tolerances only
        ours, theirs = (np.asarray(x, dtype=float) for x in (cupy.asnumpy(ours), theirs))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-3 * np.abs(theirs).max())


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_arrays_are_neither_modified_nor_required_to_be_writeable(name):
    arrays = {key: x.copy() for key, x in TABLE[name].arrays.items()}
    for x in arrays.values():
        x.flags.writeable = False
    # read-only arrays have compiled kernels of their own, which may round differently
    assert_same(name, TABLE[name].call(**arrays), call(name), 1e-12)
    arrays = {key: np.asfortranarray(x.copy()) for key, x in TABLE[name].arrays.items()}
    TABLE[name].call(**arrays)
    for key, x in arrays.items():
        np.testing.assert_array_equal(x, TABLE[name].arrays[key])


# A cost refers to its points, which it never writes to.
@pytest.mark.parametrize("name", [name for name in WITH_ARRAYS if name != "PointCloudCost"])
def test_results_share_no_memory_with_the_arguments(name):
    arrays = {key: x.copy() for key, x in TABLE[name].arrays.items()}
    values = TABLE[name].values(TABLE[name].call(**arrays))
    for value in values:
        for x in arrays.values():
            assert not np.shares_memory(np.asarray(value), x)


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_results_can_be_pickled(name):
    result = call(name)
    assert_same(name, pickle.loads(pickle.dumps(result)), result, 0)


# Refusals


def _nan(x):
    return np.where(np.arange(x.size).reshape(x.shape) == 1, np.nan, x)


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_nan_is_refused_by_name(name, argument):
    with pytest.raises(ValueError, match=rf"^{argument} must"):
        call(name, **{argument: _nan(TABLE[name].arrays[argument])})


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_refused_by_name(name, argument, dtype):
    with pytest.raises(TypeError, match=rf"^{argument} must be real, got dtype {dtype}"):
        call(name, **{argument: TABLE[name].arrays[argument].astype(dtype)})


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_masked_entries_are_refused_by_name(name, argument):
    x = np.ma.array(TABLE[name].arrays[argument])
    x[0] = np.ma.masked
    with pytest.raises(TypeError, match=rf"^{argument} is a masked array"):
        call(name, **{argument: x})


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_empty_arrays_are_refused(name, argument):
    x = TABLE[name].arrays[argument]
    with pytest.raises(ValueError, match=r"^\w+ must "):
        call(name, **{argument: np.empty((0,) * x.ndim)})
    with pytest.raises(ValueError, match=r"^\w+ must "):
        call(name, **{argument: []})


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_another_number_of_dimensions_is_refused(name, argument):
    x = TABLE[name].arrays[argument]
    if argument == "V":
        x = x[:, :, None]
    for wrong in (x[..., None, None], x.ravel()[0]):
        with pytest.raises(ValueError, match=rf"^{argument} must "):
            call(name, **{argument: wrong})


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
@pytest.mark.parametrize("wrong", [None, "text", {}, object()], ids=str)
def test_what_is_no_array_is_refused(name, argument, wrong):
    no_masses = (
        "round_to_polytope", "nnls", "forest_solve", "LeastSquares", "Quadratic", "minimize_bcd",
        "vr_halpern", "inexact_halpern", "solve_vi", "deep_conjugate_direction", "deflated_cg",
        "sketch_project", "sketch_lstsq",
    )  # fmt: skip
    if wrong is None and argument in "ab" and name not in no_masses:
        call(name, **{argument: None})  # uniform masses
        return
    with pytest.raises((TypeError, ValueError), match=rf"^{argument} must "):
        call(name, **{argument: wrong})


# Solvers


@pytest.mark.parametrize("name", SOLVERS)
def test_options_are_keywords_with_common_names(name):
    parameters = inspect.signature(getattr(refopt, name)).parameters
    known = (*TABLE[name].arrays, *TABLE[name].positional)
    options = [p for p in parameters.values() if p.name not in known]
    assert all(p.kind is p.KEYWORD_ONLY for p in options)
    defaults = {p.name: p.default for p in options}
    common = {"callback": None, "disp": False, "backend": None}
    assert {key: defaults.get(key, "missing") for key in common} == common
    assert defaults["tol"] > 0 and defaults["maxiter"] > 0


@pytest.mark.parametrize("name", SOLVERS)
def test_results_have_the_common_fields(name):
    res = call(name)
    common = ["x", "fun", "success", "status", "message", "nit", "nfev", "history", "backend"]
    for key in common:
        assert key in res
        assert res[key] is getattr(res, key)
    assert res.success is True and res.status == 0
    assert type(res.fun) is float and type(res.nit) is int and type(res.nfev) in (int, float)
    assert isinstance(res.message, str) and res.message.startswith("Converged")
    assert res.backend == "numba"
    for key, column in res.history.items():
        assert isinstance(column, np.ndarray) and column.ndim == 1, key
    assert "time" in res.history and "fun" in res.history
    assert len({column.size for column in res.history.values()}) == 1


@pytest.mark.parametrize("name", SOLVERS)
def test_maxiter_0_evaluates_the_start_and_says_so(name):
    res = call(name, maxiter=0)
    assert res.status == 1 and res.success is False
    assert res.nit == 0
    assert "iteration limit" in res.message
    assert np.isfinite(res.x).all() and np.isfinite(res.fun)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_end_has_its_status(name):
    def stop(intermediate_result):
        raise StopIteration

    assert call(name, maxiter=1).status == 1
    stopped = call(name, callback=stop)
    assert stopped.status == 2 and stopped.success is False
    assert stopped.nit == 1 and "callback" in stopped.message
    assert call(name, tol=0.0).status in (0, 1, 3)


@pytest.mark.parametrize("name", SOLVERS)
def test_callbacks_are_called_as_scipy_calls_them(name):
    by_keyword, by_position = [], []

    def keyword(*, intermediate_result):
        by_keyword.append(intermediate_result)

    def position(xk):
        by_position.append(xk)

    res = call(name, callback=keyword)
    call(name, callback=position)
    assert len(by_keyword) == len(by_position) == res.nit
    for one, two in zip(by_keyword, by_position, strict=True):
        assert {"x", "fun", "nit"} <= one.keys()
        np.testing.assert_array_equal(one.x, two.x)
    # each got its own copy, that stays what it was: iterates differ
    assert len({r.x.tobytes() for r in by_keyword}) >= min(2, res.nit)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_callback_that_writes_into_what_it_gets_changes_nothing(name):
    def vandal(intermediate_result):
        for value in intermediate_result.values():
            if isinstance(value, np.ndarray):
                value[...] = np.nan

    assert_same(name, call(name, callback=vandal), call(name), 0)


@pytest.mark.parametrize("name", SOLVERS)
def test_display(name, capfd):
    call(name, disp=False)
    assert capfd.readouterr() == ("", "")
    res = call(name, disp=True)
    lines = capfd.readouterr().out.splitlines()
    runs = sum(re.match(r" +0 ", line) is not None for line in lines)
    assert len(lines) == res.nit + runs  # the start of each run, and every iteration
    call(name, disp=1000)
    assert len(capfd.readouterr().out.splitlines()) == runs


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_backend_is_the_one_asked_for(name, backend):
    one = call(name, backend=backend)
    assert one.backend == backend
    with refopt.use_backend(backend):
        two = call(name)
    assert two.backend == backend
    assert_same(name, one, two, 0)


@pytest.mark.parametrize("name", SOLVERS)
def test_success_is_lost_with_a_tolerance_that_is_not_met(name):
    res = call(name, tol=0.0)
    keys = ("marginal_error", "residual", "gap", "kkt", "optimality")
    error = next(res[key] for key in keys if res.get(key) is not None)
    assert res.success == (error == 0.0)


# Random numbers

# Options with which chance plays a part in the result.
RANDOM = {
    "minimize_bcd": {"selection": "random", "block_size": 5, "maxiter": 3},
    "select_block": {"rule": "random"},
    "solve_vi": {"method": "l-svrg"},
    "minimax": {"method": "l-svrg"},
    "matrix_game": {"method": "vr-eg", "maxiter": 20},
    "minimize_equality": {"lin_solver": "kaczmarz", "tol": 1e-2},
    "adasketch_newton": {"lin_solver": "kaczmarz"},
    "price_gates": {"n_starts": 1},
    "adversarial_loss": {"attack": "pgd"},
}
# Their answer is a maximum, which all starts find here.
MAXIMA = {"certify_network", "dual_bound", "adversarial_loss"}


def test_functions_that_take_rng_obey_it():
    for name in TABLE:
        parameters = inspect.signature(getattr(refopt, name)).parameters
        assert not {"seed", "random_state"} & set(parameters), f"{name}: SPEC 7 says rng"
        if "rng" in parameters:
            chance = RANDOM.get(name, {})
            seeds = (1, np.random.default_rng(1), 2)
            one, two, other = (call(name, rng=seed, **chance) for seed in seeds)
            assert_same(name, one, two, 0)
            if name not in MAXIMA:
                with pytest.raises(AssertionError):
                    assert_same(name, one, other, 0)
            with pytest.raises(TypeError, match="rng must be"):
                call(name, rng="seed")


def test_the_global_random_state_is_left_alone():
    with contextlib.redirect_stdout(io.StringIO()):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        for name in TABLE:
            call(name)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# Docstrings


MODULES = [
    "refopt",
    "refopt.transport",
    "refopt.problems",
    "refopt.plot",
    "refopt.proximal",
    "refopt.halpern",
    "refopt.convex_relu",
    "refopt.deep_conjugate",
    "refopt.augmented_lagrangian",
]
NOT_ASKED = {
    "ES01": "a one-line summary can say all",
    "SA01": "not every function has kin",
    "SA04": "the names in See Also speak",
    "SS05": "takes plurals for verbs: Names of ..., Derivatives of ...",
    "RT03": "a float that the summary names",
    "RT04": "may begin with a dtype, as float32",
}


def docstrings():
    """Full names of all public functions, classes, methods and properties."""
    for module in MODULES:
        for name in public(importlib.import_module(module)):
            thing = getattr(importlib.import_module(module), name)
            yield f"{module}.{name}"
            for part, member in vars(thing).items() if inspect.isclass(thing) else ():
                if not part.startswith("_") and (callable(member) or isinstance(member, property)):
                    yield f"{module}.{name}.{part}"


@pytest.mark.parametrize("name", sorted(docstrings()))
def test_docstrings_are_complete(name):
    validate = pytest.importorskip("numpydoc.validate").validate
    ignored = set(NOT_ASKED)
    if name.count(".") > 1:
        ignored |= {"EX01"}  # methods, generators of problems, pictures
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in ignored]
    assert not errors


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_document_what_they_promise(name):
    text = getattr(refopt, name).__doc__
    for section in ("Parameters", "Returns", "Raises", "Notes", "References", "Examples"):
        assert f"{section}\n    ---" in text, section
    assert "math::" in text  # the problem, and the stopping criterion
    assert "Stops when" in text or "stops when" in text
