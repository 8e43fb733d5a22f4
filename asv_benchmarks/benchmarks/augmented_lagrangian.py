"""Equality constraints: Newton systems, sketches."""

import numpy as np

import refopt
from refopt.problems import constrained_logistic_sparse, elliptic_control
from refopt_backends import resolve

from .common import BACKENDS, Benchmark, to_backend, wait


class Control:
    """Control of an elliptic equation on an N x N grid, without help."""

    params = (40, 120)
    param_names = ("N",)
    timeout = 300

    def setup(self, N):
        self.arguments = elliptic_control(N).arguments()
        self.res = refopt.minimize_equality(**self.arguments, tol=1e-9)

    def time_solve(self, N):
        refopt.minimize_equality(**self.arguments, tol=1e-9)

    def peakmem_solve(self, N):
        refopt.minimize_equality(**self.arguments, tol=1e-9)

    def track_iterations(self, N):
        return self.res.inner_nit

    track_iterations.unit = "conjugate gradient iterations"

    def track_accuracy(self, N):
        return max(self.res.optimality, self.res.constr_violation)


class Logistic:
    """Logistic regression on a sphere, rows of few entries."""

    params = (80,)
    param_names = ("d",)

    def setup(self, d):
        self.arguments = constrained_logistic_sparse(10_000, d, 10, 12).arguments()
        refopt.minimize_equality(**self.arguments)

    def time_solve(self, d):
        refopt.minimize_equality(**self.arguments)


class Sweep(Benchmark):
    """Kaczmarz steps on a dense matrix of N rows and columns."""

    params = ([70, 280], BACKENDS)
    param_names = ("N", "backend")

    def setup(self, N, backend):
        super().setup(N, backend)
        self.backend = backend
        rng = np.random.default_rng(0)
        A, b, x = rng.standard_normal((N, N)), rng.standard_normal(N), np.zeros(N)
        arrays = (A, b, 1.0 / (A * A).sum(1), x, x, rng.integers(N, size=5 * N))
        self.args = (*(to_backend(a, backend) for a in arrays), 0.0)
        self.kernels = resolve(self.args[0], backend=backend)[1]
        self.kernels.rk_sweep_dense(*self.args)

    def time_sweep(self, N, backend):
        self.kernels.rk_sweep_dense(*self.args)
        wait(self.backend)


class LeastSquares(Benchmark):
    """10 000 x 40 at condition 1e6."""

    params = (["countsketch", "srht", "gaussian"], BACKENDS)
    param_names = ("sketch", "backend")

    def setup(self, sketch, backend):
        super().setup(sketch, backend)
        rng = np.random.default_rng(0)
        A = rng.standard_normal((10_000, 40)) * np.geomspace(1.0, 1e-6, 40)
        self.args = to_backend(A, backend), to_backend(rng.standard_normal(10_000), backend)
        self.options = {"sketch": sketch, "rng": 0, "backend": backend}
        self.info = refopt.sketch_lstsq(*self.args, **self.options)[1]

    def time_solve(self, sketch, backend):
        refopt.sketch_lstsq(*self.args, **self.options)

    def track_iterations(self, sketch, backend):
        return self.info.nit
