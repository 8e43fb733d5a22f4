"""What a newcomer meets: ``python -m refopt``, versions, warm-up, progress, pictures."""

import io
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fresh_python
import refopt
import refopt_backends
from refopt import __main__ as command
from refopt import plot, problems
from refopt._demos import control, halpern, pressure, relu, sparse_regression, transport

SMALL = (
    partial(transport.point_cloud, n=120),
    partial(transport.assignment, n=90),
)


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Give the plain method no more than a test has."""
    monkeypatch.setattr(transport, "_PLAIN_SECONDS", 0.2)
    monkeypatch.setattr(sparse_regression, "_SPLIT_SECONDS", 0.2)


def table(text):
    """The lines below the titles, up to the blank one."""
    lines = text.splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("problem "))
    return lines[first], lines[first + 1 : lines.index("", first)]


# python -m refopt


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_command_prints_an_aligned_table_and_returns_0(backend, capsys):
    assert command.main(["--backend", backend], demos=SMALL) == 0
    out, err = capsys.readouterr()
    titles, rows = table(out)
    assert " ".join(titles.split()) == "problem backend iterations error gap time/s beside it"
    assert len(rows) == len(SMALL)
    for row in rows:
        for title in ("backend", "beside it"):  # left-aligned columns begin under their title
            at = titles.index(title)
            assert row[at - 1] == " " and row[at] != " "
        for title in ("iterations", "error", "gap", "time/s"):  # numbers end under theirs
            at = titles.index(title) + len(title)
            float(row[:at].split()[-1])
            assert row[at] == " "
        assert f" {backend} " in row
    assert f"{len(rows)} of {len(rows)} certificates hold" in out
    assert refopt.__version__ in out
    assert "compiled" in err


def test_digits_are_among_the_demos():
    row = transport.digits("numpy", "l2")
    assert row.holds and row.error <= 1e-9 and "plain Sinkhorn" in row.other
    assert command.DEMOS[0].func is transport.digits


def test_the_pressure_is_certified_outside_the_solver(monkeypatch):
    row = pressure.smoke("numpy", size=16)
    assert row.holds and 0 < row.gap <= 1e-9 and row.error <= 1e-9
    assert "SciPy's cg" in row.other and row.iterations < 20
    solve = refopt.deep_conjugate_direction

    def careless(*args, **options):
        x, result = solve(*args, **options)
        return 1.001 * x, result

    monkeypatch.setattr(refopt, "deep_conjugate_direction", careless)
    row = pressure.smoke("numpy", size=16)
    assert not row.holds and row.gap > 1e-5


@pytest.mark.parametrize(("demo", "classes"), [("digit_from_digits", False), ("malignant", True)])
def test_sparse_regression_is_certified_outside_the_solver(demo, classes, monkeypatch):
    monkeypatch.setattr(sparse_regression, "_SPLIT_SECONDS", 0.1)
    row = getattr(sparse_regression, demo)("numpy")
    assert row.holds and 0 <= row.gap <= 1e-9 and row.error <= 1e-9
    assert "L-BFGS-B" in row.other
    solver = "l1_logistic" if classes else "lasso"
    solve = getattr(refopt, solver)

    def careless(*args, **options):
        result = solve(*args, **options)
        result.x = 1.0001 * result.x
        return result

    monkeypatch.setattr(refopt, solver, careless)
    assert not getattr(sparse_regression, demo)("numpy").holds


def test_the_certificates_of_the_demos_are_bounds():
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((20, 30)), np.where(rng.random(20) < 0.5, -1.0, 1.0)
    for certificate, lam in (
        (sparse_regression.lasso_certificate, 3.0),
        (sparse_regression.logistic_certificate, 1.0),
    ):
        for w in rng.standard_normal((5, 30)):
            gap, error = certificate(X, y, lam, w)
            assert gap > 1e-3 and error > 1e-3
    # (the Lasso of an orthonormal design is known: soft thresholding)
    w = np.sign(y) * 0.25
    assert max(sparse_regression.lasso_certificate(np.eye(20), y, 0.75, w)) <= 1e-15


def test_a_network_is_certified_outside_the_solver(monkeypatch):
    row = relu.network("numpy", rows=60)
    assert row.holds and 0 <= row.gap <= 1e-6 and row.error <= 1e-9
    assert "SciPy's L-BFGS, 5 starts: 0.0" in row.other
    solve = refopt.fit_convex_relu

    def careless(*args, **options):
        result = solve(*args, **options)
        result.r = 1.001 * result.r
        result.w2 = 1.001 * result.w2
        return result

    monkeypatch.setattr(refopt, "fit_convex_relu", careless)
    row = relu.network("numpy", rows=60)
    assert not row.holds and row.error > 1e-9


def test_a_wrong_strategy_is_not_certified(monkeypatch):
    solve = refopt.matrix_game

    def careless(*args, **options):
        result = solve(*args, **options)
        result.x = 0.999 * result.x + 0.001 / result.x.size
        return result

    assert halpern.game("numpy", 30, 40).holds
    monkeypatch.setattr(refopt, "matrix_game", careless)
    assert not halpern.game("numpy", 30, 40).holds


def test_the_control_is_certified_outside_the_solver(monkeypatch):
    row = control.elliptic("numpy", size=10)
    assert row.holds and row.error <= 1e-9 and "trust-constr" in row.other
    solve = refopt.minimize_equality

    def careless(*args, **options):
        result = solve(*args, **options)
        result.x = result.x + 1e-6
        return result

    monkeypatch.setattr(refopt, "minimize_equality", careless)
    assert not control.elliptic("numpy", size=10).holds


@pytest.mark.slow
def test_the_module_runs_as_a_command():
    roots = [str(Path(p.__file__).resolve().parents[1]) for p in (refopt, refopt_backends)]
    done = subprocess.run(
        [sys.executable, "-m", "refopt"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(roots)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert len(table(done.stdout)[1]) == len(command.DEMOS)


def test_a_wrong_solution_is_not_certified(monkeypatch, capsys):
    solve = refopt.sinkhorn_newton

    def careless(*args, **options):
        result = solve(*args, **options)
        result.g = result.g + 1e-6 * np.arange(result.g.size) / result.g.size
        return result

    monkeypatch.setattr(refopt, "sinkhorn_newton", careless)
    assert command.main(["--backend", "numpy"], demos=SMALL) == 1
    assert capsys.readouterr().out.count("CERTIFICATE FAILS") == len(SMALL)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--backend", "abacus"], "'abacus'"),
        (["--plot", "no/such/folder/picture.png"], "no/such/folder"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_bad_arguments_end_with_code_2_and_say_why(arguments, text, capsys):
    with pytest.raises(SystemExit) as end:
        command.main(arguments, demos=SMALL)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert text in err and out == ""


def test_the_command_draws_a_picture(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    file = tmp_path / "picture.png"
    demos = (*SMALL, partial(transport.digits, norm="l2"))
    demos = (*demos, sparse_regression.digit_from_digits, sparse_regression.malignant)
    assert command.main(["--backend", "numpy", "--plot", str(file)], demos) == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    assert str(file) in capsys.readouterr().out


# Versions and warm-up


def test_show_versions_says_what_a_bug_report_needs():
    stream = io.StringIO()
    refopt.show_versions(stream)
    facts = dict(line.split(maxsplit=1) for line in stream.getvalue().splitlines())
    assert facts["refopt"].startswith(refopt.__version__)
    assert facts["refopt_backends"].startswith(refopt.__version__)
    assert facts["numpy"] == np.__version__
    assert facts["backends"] == ", ".join(refopt.available_backends())
    assert {"Python", "scipy", "numba", "cupy", "platform", "processors"} <= facts.keys()


def test_show_versions_imports_no_array_library():
    code = "import io, sys, refopt; refopt.show_versions(io.StringIO()); print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in fresh_python.run(code).split()}
    assert not loaded & {"numba", "cupy", "scipy", "matplotlib"}


def test_warmup_returns_seconds_and_keeps_to_the_backend():
    with refopt.use_backend("numpy"):
        assert 0 < refopt.warmup() < 300
    assert refopt.warmup("numpy", families=[]) < 1


@pytest.mark.parametrize(
    ("arguments", "text"), [(("abacus",), "'abacus'"), (("numpy", "alchemy"), "'alchemy'")]
)
def test_warmup_names_what_it_does_not_know(arguments, text):
    with pytest.raises(ValueError, match=text):
        refopt.warmup(*arguments)


@pytest.mark.slow
def test_after_warmup_the_solvers_compile_nothing():
    code = """
import numpy as np, refopt
from refopt_backends.numba_cpu import _transport_rows, _transport_sparse

def compiled():
    return {
        (module.__name__, name): len(kernel.signatures)
        for module in (_transport_rows, _transport_sparse)
        for name, kernel in vars(module).items()
        if name.endswith(("_serial", "_parallel"))
    }

refopt.warmup("numba")
before = compiled()
rng = np.random.default_rng(3)
for n, m in ((100, 90), (700, 800)):
    points = refopt.PointCloudCost(rng.random((n, 2)), rng.random((m, 2)), "cityblock")
    C = points.toarray()
    for cost in (points, C, C.astype(np.float32), np.asfortranarray(C)):
        for reg in (1e-1, 1e-3):
            res = refopt.sinkhorn_newton(cost, reg=reg)
            refopt.sinkhorn(cost, reg=reg, maxiter=5)
            refopt.transport_plan(res, sparse=True), refopt.plan_matvec(res, np.ones((m, 3)))
            res.gap
print([key for key, count in compiled().items() if count > before[key]])
"""
    assert fresh_python.run(code, timeout=600).strip() == "[]"


@pytest.mark.slow
def test_after_warmup_regression_and_labels_compile_nothing():
    code = """
import importlib, pkgutil
import numpy as np, refopt
from scipy.sparse import csc_array, csr_array
from refopt_backends import numba_cpu

def compiled():
    modules = [importlib.import_module(found.name) for found in
               pkgutil.iter_modules(numba_cpu.__path__, numba_cpu.__name__ + ".")]
    return {
        (module.__name__, name): len(kernel.signatures)
        for module in modules
        for name, kernel in vars(module).items()
        if hasattr(kernel, "signatures")
    }

refopt.warmup("numba", "block_coordinate")
before = compiled()
rng = np.random.default_rng(3)
X = rng.standard_normal((200, 400)) * (rng.random((200, 400)) < 0.1)
y = np.where(X[:, :5].sum(axis=1) > 0, 1, -1)
for A in (X, np.asfortranarray(X), csc_array(X), csr_array(X), X.astype(np.float32)):
    for ratio in (0.3, 0.02):
        refopt.lasso(A, y, ratio * abs(X.T @ y).max(), backend="numba")
        refopt.l1_logistic(A, y, ratio * abs(X.T @ y).max() / 2, backend="numba")
    refopt.svm_dual(A, y, backend="numba")
    refopt.nnls(A, y, backend="numba")
print([key for key, count in compiled().items() if count > before[key]])
"""
    assert fresh_python.run(code, timeout=600).strip() == "[]"


@pytest.mark.slow
def test_after_warmup_networks_compile_nothing():
    code = """
import numpy as np, refopt
from refopt.problems import relu_instance
from refopt_backends.numba_cpu import convex_relu, gate_pricing

def compiled():
    return {
        (module.__name__, name): len(kernel.signatures)
        for module in (convex_relu, gate_pricing)
        for name, kernel in vars(module).items()
        if hasattr(kernel, "signatures")
    }

refopt.warmup("numba", "convex_relu")
before = compiled()
p = relu_instance("breast-cancer")
fit = {"beta": p.beta, "tol": 1e-2, "rng": 0, "maxiter": 3}
for options in (
    {}, {"loss": "logistic"}, {"loss": "hinge"}, {"method": "admm"}, {"gates": p.gates},
    {"n_gates": 5, "method": "admm"}, {"method": "scp"}, {"method": "gated"},
    {"refine": 1, "m_init": 20}, {"epsilon": 0.001, "n_gates": 5},
):
    refopt.fit_convex_relu(p.X, p.y, **fit | options)
refopt.fit_convex_relu(np.asfortranarray(p.X), p.y, **fit)
refopt.price_gates(p.X, p.y, rng=0, n_starts=5)
print([key for key, count in compiled().items() if count > before[key]])
"""
    assert fresh_python.run(code, timeout=600).strip() == "[]"


@pytest.mark.slow
def test_after_warmup_sums_of_operators_compile_nothing():
    code = """
import numpy as np, refopt
from refopt.halpern import AffineVI, RowLinear
from refopt.proximal import project_nonneg, prox_l1
from refopt_backends.numba_cpu import finite_sums

def compiled():
    kernels = {k: v for k, v in vars(finite_sums).items() if hasattr(v, "signatures")}
    return {name: len(kernel.signatures) for name, kernel in kernels.items()}

refopt.warmup("numba", "halpern")
before = compiled()
rng = np.random.default_rng(3)
for dtype in (np.float64, np.float32):
    a = rng.random((900, 8)).astype(dtype)
    for F in (RowLinear(a), RowLinear(a, a), AffineVI(np.eye(70, dtype=dtype))):
        for method in ("l-svrg", "vr-eg", "vr-forb", "vr-halpern", "inexact-halpern"):
            for prox in (None, project_nonneg, prox_l1):
                for law in ("uniform", "importance"):
                    start = np.ones(F.shape[0])
                    refopt.solve_vi(F, start, prox=prox, method=method, sampling=law, maxfev=20)
print([key for key, count in compiled().items() if count > before[key]])
"""
    assert fresh_python.run(code, timeout=600).strip() == "[]"


@pytest.mark.slow
def test_after_warmup_pressure_systems_compile_nothing():
    code = """
import numpy as np, refopt
from refopt import problems
from refopt_backends.numba_cpu import _coarse_grids, conjugate, convolution, poisson, vcycle

def compiled():
    return {
        (module.__name__, name): len(kernel.signatures)
        for module in (_coarse_grids, conjugate, convolution, poisson, vcycle)
        for name, kernel in vars(module).items()
        if hasattr(kernel, "signatures")
    }

refopt.warmup("numba", "deep_conjugate")
before = compiled()
for size in (12, 40, 88):
    u = problems.swirl_velocity(size)
    for kind in ("smoke", "porous", "dam", "box"):
        cells = problems.pressure_scene(kind, size)
        weights = tuple(np.full(v.shape, 2.0) for v in u)
        for coefficient in (None, weights):
            for model in (None, refopt.MultilevelNet()):
                refopt.project(
                    cells, u, coefficient=coefficient, model=model, maxiter=4, backend="numba"
                )
grid = refopt.PoissonGrid(problems.pressure_scene("smoke", 32))
b = np.sin(np.arange(grid.n))
for model in (None, np.sign, refopt.load_model("dcdm-cnn-8ch")):
    refopt.deep_conjugate_direction(grid, b, model, maxiter=3, n_orth=4, backend="numba")
refopt.deep_conjugate_direction(grid.tocsr(), b, backend="numba")
print([key for key, count in compiled().items() if count > before[key]])
"""
    assert fresh_python.run(code, timeout=600).strip() == "[]"


# Progress


@pytest.fixture
def cost():
    return np.random.default_rng(0).random((20, 15))


def test_the_progress_bar_is_a_callback_that_shows_the_figures(cost):
    pytest.importorskip("tqdm")
    stream = io.StringIO()
    with refopt.ProgressBar(total=100, desc="moving", file=stream) as bar:
        res = refopt.sinkhorn_newton(cost, reg=0.01, callback=bar)
        again = refopt.sinkhorn(cost, reg=0.5, callback=bar)  # starts anew
    bar.close()
    shown = stream.getvalue()
    last = shown.rpartition("\r")[2]
    assert res.success and again.success
    assert f" {again.nit}/100 " in last
    assert "moving" in last and "reg=0.5" in last and "marginal_error=" in last


def test_a_disabled_progress_bar_prints_nothing(cost, capsys):
    pytest.importorskip("tqdm")
    with refopt.ProgressBar(disable=True) as bar:
        assert refopt.sinkhorn_newton(cost, reg=0.01, callback=bar).success
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("library", "extra", "call"),
    [
        ("tqdm", "progress", refopt.ProgressBar),
        ("matplotlib.pyplot", "plot", lambda: plot.convergence(None)),
    ],
)
def test_a_missing_library_is_an_error_that_names_the_extra(library, extra, call, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"refopt\[{extra}\]"):
        call()


# Pictures


@pytest.fixture
def ax(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: pytest.fail("a picture was shown"))
    before = dict(matplotlib.rcParams)
    yield plt.figure().add_subplot()
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


def test_convergence_draws_the_history(ax, cost):
    res = refopt.sinkhorn_newton(cost, reg=0.001)
    assert plot.convergence(res, label="ours") is ax  # the current Axes
    line, circles = ax.lines
    assert ax.get_yscale() == "log" and line.get_label() == "ours"
    np.testing.assert_array_equal(line.get_ydata(), res.history["marginal_error"])
    assert circles.get_xdata().size == np.unique(res.history["reg"]).size
    assert plot.convergence(res, ax, against="time") is ax
    np.testing.assert_array_equal(ax.lines[2].get_xdata(), res.history["time"])
    with pytest.raises(ValueError, match="against"):
        plot.convergence(res, ax, against="hope")


def test_plan_draws_both_clouds_and_the_strongest_couplings(ax):
    X, Y = np.random.default_rng(0).random((2, 30, 3))
    res = refopt.sinkhorn_newton(refopt.PointCloudCost(X, Y), reg=1e-3)
    assert plot.plan(res, X, Y, ax, most=1) is ax
    lines, rows, columns = ax.collections
    i, j = np.unravel_index(refopt.transport_plan(res).argmax(), (30, 30))
    np.testing.assert_allclose(lines.get_segments()[0], [X[i, :2], Y[j, :2]])
    np.testing.assert_array_equal(rows.get_offsets(), X[:, :2])
    np.testing.assert_array_equal(columns.get_offsets(), Y[:, :2])
    with pytest.raises(ValueError, match=r"Y must have shape \(30, 2\)"):
        plot.plan(res, X, Y[:20], ax)


def test_interpolation_leads_from_one_image_to_the_other(ax):
    problem = problems.digits("l2", 20, 45, background=False)
    res = refopt.sinkhorn_newton(problem.C, problem.a, problem.b, reg=1e-2)
    assert plot.interpolation(res, (28, 28), (0, 0.5, 1), ax) is ax
    frames = np.hsplit(ax.images[0].get_array(), 3)
    np.testing.assert_allclose(frames[0].ravel(), problem.a, atol=1e-5)
    np.testing.assert_allclose(frames[2].ravel(), problem.b, atol=1e-5)
    np.testing.assert_allclose([f.sum() for f in frames], 1, atol=1e-3)
    for shape, times, name in (((28, 27), (0,), "shape"), ((28, 28), (1.5,), "times")):
        with pytest.raises(ValueError, match=name):
            plot.interpolation(res, shape, times, ax)
