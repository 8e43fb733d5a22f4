"""Monotone inclusions with finite sums."""

from timeit import Timer

import numpy as np

import refopt
from refopt import problems
from refopt.halpern import RowLinear
from refopt.problems import row_sum
from refopt_backends import resolve

from .common import BACKENDS, Benchmark, to_backend, wait

METHODS = ["l-svrg", "vr-eg", "vr-halpern", "inexact-halpern", "eag", "forward"]


def _operator(backend, n=2000, d=24):
    problem = row_sum(n, d, decay=1.0)
    return RowLinear(
        *(to_backend(x, backend) for x in (problem.a, problem.b, problem.u, problem.v))
    )


class Sum(Benchmark):
    """2000 components of 48 unknowns to a residual of 1e-3."""

    params = (METHODS, BACKENDS)
    param_names = ("method", "backend")

    def setup(self, method, backend):
        super().setup(method, backend)
        if backend != "numba" and method in ("l-svrg", "vr-eg", "inexact-halpern"):
            raise NotImplementedError("steps with one component are for compiled loops")
        self.method, self.backend = method, backend
        self.operator, self.start = _operator(backend), to_backend(np.zeros(48), backend)
        self.res = self.solve()

    def solve(self):
        res = refopt.solve_vi(
            self.operator, self.start, method=self.method, tol=1e-3, maxfev=3000, rng=0,
            backend=self.backend,
        )  # fmt: skip
        wait(self.backend)
        return res

    def time_solve(self, method, backend):
        self.solve()

    def peakmem_solve(self, method, backend):
        self.solve()

    def track_epochs(self, method, backend):
        return self.res.nfev

    track_epochs.unit = "component evaluations / n"

    def track_accuracy(self, method, backend):
        return self.res.residual

    track_accuracy.unit = "residual"


class Steps(Benchmark):
    """What one component costs inside a compiled loop: 10 000 rows of 50 numbers."""

    params = (["svrg_rows_steps", "vr_eg_rows_steps"], BACKENDS)
    param_names = ("kernel", "backend")

    def setup(self, kernel, backend):
        super().setup(kernel, backend)
        operator = _operator(backend, 10_000, 25)
        _, kernels = resolve(operator.rows, backend=backend)
        steps = getattr(kernels, kernel)
        w, g = (to_backend(np.full(50, value), backend) for value in (0.0, 1e-3))
        self.count = 50_000 if backend == "numba" else 50
        index = np.random.default_rng(0).integers(10_000, size=self.count)
        index = to_backend(index, backend)

        def run():
            steps(operator.form, 0.0, w, g, w, 0.125, 1.0, (), index, None)
            wait(backend)

        run()
        self.run = run

    def track_nanoseconds_per_component(self, kernel, backend):
        return min(Timer(self.run).repeat(15, number=1)) / self.count * 1e9

    track_nanoseconds_per_component.unit = "ns"


class Games(Benchmark):
    """Games of 400 strategies each, to a gap of 1e-9 of the largest entry."""

    params = (["gaussian", "low rank", "policeman and burglar"], BACKENDS)
    param_names = ("game", "backend")

    def setup(self, game, backend):
        super().setup(game, backend)
        draw = {
            "gaussian": lambda: problems.gaussian_game(400, 400),
            "low rank": lambda: problems.low_rank_game(400, 400),
            "policeman and burglar": lambda: problems.policeman_burglar(400),
        }
        self.A, self.backend = to_backend(draw[game](), backend), backend
        self.res = self.solve()

    def solve(self):
        res = refopt.matrix_game(self.A, tol=0.0, rtol=1e-9, backend=self.backend)
        wait(self.backend)
        return res

    def time_solve(self, game, backend):
        self.solve()

    def peakmem_solve(self, game, backend):
        self.solve()

    def track_iterations(self, game, backend):
        return self.res.nit

    def track_accuracy(self, game, backend):
        return self.res.gap

    track_accuracy.unit = "gap"


class FixedPoint(Benchmark):
    """A thousand steps of the classical iteration on a map of 100 numbers."""

    params = (BACKENDS,)
    param_names = ("backend",)

    def setup(self, backend):
        super().setup(backend)
        Q = np.linalg.qr(np.random.default_rng(0).standard_normal((100, 100)))[0]
        self.Q, self.start = to_backend(Q, backend), to_backend(np.ones(100), backend)
        self.backend = backend
        self.time_solve(backend)

    def time_solve(self, backend):
        refopt.halpern_fixed_point(
            lambda x: self.Q @ x, self.start, tol=0.0, maxiter=1000, backend=self.backend
        )
