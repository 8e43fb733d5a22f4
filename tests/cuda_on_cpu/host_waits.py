"""What one iteration on a device costs beside its arithmetic, counted over the stand-in.

``PYTHONPATH=.:backends:tests python -m cuda_on_cpu.host_waits`` prints the table of the guide's
page on backends: how often the host waits for the device, how many kernels refopt launches, and
how many operations of CuPy on whole arrays there are, each of which is one launch or more.
"""

import tempfile
from pathlib import Path

import numpy as np

import refopt
from cuda_on_cpu import harness
from refopt.problems import gaussian_game, pressure_scene, row_sum, swirl_velocity

rng = np.random.default_rng(0)
CELLS, VELOCITY = pressure_scene("smoke", 13), swirl_velocity(13)
C, POINTS = rng.random((40, 30)), (rng.random((40, 2)), rng.random((30, 2)))
X = rng.standard_normal((60, 90))
Y = X[:, :9].sum(1) + rng.standard_normal(60)
CLASSES = np.where(Y > 0, 1.0, -1.0)
TALL = rng.standard_normal((80, 60)) + rng.standard_normal((80, 1))
SUM = row_sum(40, 3, decay=1.0, seed=5)


def _pressure(model, form=lambda A: A):
    def run(cupy, most):
        cells = cupy.asarray(CELLS)
        A = refopt.PoissonGrid(cells)
        b = refopt.poisson_rhs(cells, tuple(map(cupy.asarray, VELOCITY)))
        options = {"rtol": 0.0, "maxiter": most, "full_output": True}
        return refopt.deep_conjugate_direction(form(A), b, model(), **options)[1]

    return run


def _inclusion(method):
    def run(cupy, most):
        fun = refopt.halpern.RowLinear(*map(cupy.asarray, (SUM.a, SUM.b, SUM.u, SUM.v)))
        return refopt.solve_vi(fun, cupy.zeros(6), method=method, tol=0.0, maxiter=most, rng=0)

    return run


def _sphere(cupy, most):
    A = cupy.asarray(X[:, :60] @ X[:, :60].T)
    sphere = {"type": "eq", "fun": lambda x: x @ x - 1.0, "jac": lambda x: 2.0 * x}
    return refopt.minimize_equality(
        lambda x: x @ A @ x, cupy.asarray(Y), jac=lambda x: 2.0 * (A @ x),
        hess=lambda x: 2.0 * A, constraints=sphere, tol=1e-14, maxiter=most,
    )  # fmt: skip


def _of(function, *arrays, **options):
    """A run of a function that takes arrays of the host's, brought to the device."""

    def run(cupy, most):
        given = [cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in arrays]
        result = function(*given, **{"maxiter": most} | options)
        return result[1] if isinstance(result, tuple) else result

    return run


def _points(X, Y, **options):
    return refopt.sinkhorn_newton(refopt.PointCloudCost(X, Y), **options)


NET = {"n_gates": 9, "rng": 0, "beta": 0.3, "refine": 0}
RUNS = {  # what, fewer and more iterations
    "`deep_conjugate_direction`": (_pressure(lambda: None), 5, 15),
    "the same, matrix in compressed rows": (_pressure(lambda: None, lambda A: A.tocsr()), 5, 15),
    "the same, `MultilevelNet`": (_pressure(refopt.MultilevelNet), 2, 5),
    "the same, `DCDMNet`": (_pressure(lambda: refopt.load_model("dcdm-cnn-8ch")), 2, 4),
    "`sinkhorn`": (_of(refopt.sinkhorn, C, reg=0.1, tol=0.0), 10, 60),
    "`sinkhorn_newton`": (_of(refopt.sinkhorn_newton, C, reg=1e-3, tol=1e-14), 2, 6),
    "the same, points": (_of(_points, *POINTS, reg=1e-3, tol=1e-14), 2, 6),
    "`solve_vi`, `eag`": (_inclusion("eag"), 10, 60),
    "`solve_vi`, `vr-halpern`": (_inclusion("vr-halpern"), 10, 60),
    "`solve_vi`, `inexact-halpern`": (_inclusion("inexact-halpern"), 10, 60),
    "`matrix_game`, `interior-point`": (
        _of(refopt.matrix_game, gaussian_game(30, 45, 7), method="interior-point", tol=0.0), 3, 8,
    ),
    "`matrix_game`, `rhpdhg`": (
        _of(refopt.matrix_game, gaussian_game(30, 45, 7), method="rhpdhg", tol=0.0), 3, 8,
    ),
    "`lasso`": (_of(refopt.lasso, X, Y, 3.0, tol=1e-15), 2, 5),
    "`l1_logistic`": (_of(refopt.l1_logistic, X, CLASSES, 2.0, tol=1e-15), 2, 5),
    "`logistic`": (_of(refopt.logistic, X, CLASSES, 0.5, tol=1e-15), 2, 5),
    "`softmax`": (_of(refopt.softmax, X, CLASSES, 0.5, tol=1e-15), 2, 5),
    "`box_qp`": (_of(refopt.box_qp, TALL.T @ TALL, TALL[0], (0, 0.05), tol=1e-15), 1, 3),
    "`svm_dual`": (_of(refopt.svm_dual, X, CLASSES, tol=1e-15), 2, 5),
    "`minimize_equality`, dense": (_sphere, 2, 6),
    "`sketch_project`": (_of(refopt.sketch_project, TALL, TALL[:, 0], rtol=0.0, rng=0), 10, 60),
    "`fit_convex_relu`": (_of(refopt.fit_convex_relu, X[:, :5], Y, tol=0.0, **NET), 3, 8),
    "`fit_convex_relu`, `admm`": (
        _of(refopt.fit_convex_relu, X[:, :5], Y, tol=0.0, method="admm", **NET), 10, 60,
    ),
}  # fmt: skip
KINDS = ("waits", "kernels", "operations")


def per_iteration(cupy, name):
    """Waits, kernels and operations of an iteration: the difference of two lengths of a run."""
    run, fewer, more = RUNS[name]
    ends = []
    for most in (fewer, more):
        cupy.counts.clear()
        nit = run(cupy, most).nit
        ends.append(np.array([nit, *(cupy.counts[kind] for kind in KINDS)]))
    nit, *counts = ends[1] - ends[0]
    return [float(count / nit) for count in counts]


def main():
    print("| iteration of | the host waits | kernels | operations of CuPy |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, harness.stand_in(Path(folder)) as cupy:
        for name in RUNS:
            cells = " | ".join(f"{count:.1f}" for count in per_iteration(cupy, name))
            print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
