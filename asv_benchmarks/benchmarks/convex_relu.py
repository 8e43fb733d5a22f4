"""Convex programs of two-layer ReLU networks, their refinement, and prices."""

from timeit import Timer

import numpy as np

import refopt
from refopt.problems import relu_instance
from refopt_backends import resolve

from .common import BACKENDS, Benchmark, to_backend, wait

INSTANCES = ["spirals", "breast-cancer", "breast-cancer-logistic", "breast-cancer-hinge"]


class _Fit(Benchmark):
    """A fit of one of the instances, whose accuracy is its gap."""

    params = (INSTANCES, BACKENDS)
    param_names = ("instance", "backend")

    def setup(self, instance, backend):
        super().setup(instance, backend)
        self.problem = relu_instance(instance)
        self.X, self.y, self.gates = (
            to_backend(a, backend) for a in (self.problem.X, self.problem.y, self.problem.gates)
        )
        self.backend = backend
        self.res = self.solve()

    def fit(self, **options):
        res = refopt.fit_convex_relu(
            self.X, self.y, beta=self.problem.beta, loss=self.problem.loss, rng=0,
            backend=self.backend, **options,
        )  # fmt: skip
        wait(self.backend)
        return res

    def time_solve(self, instance, backend):
        self.solve()

    def peakmem_solve(self, instance, backend):
        self.solve()

    def track_iterations(self, instance, backend):
        return self.res.nit

    track_iterations.unit = "iterations"

    def track_accuracy(self, instance, backend):
        return self.res.gap

    track_accuracy.unit = "relative gap"


class Program(_Fit):
    """The program over 50 to 131 random patterns to a gap of 1e-6, by the interior point method."""

    def solve(self):
        return self.fit(gates=self.gates, tol=1e-6)


class Refinement(_Fit):
    """From L-BFGS to a gap of 1e-4 to the bound of all networks."""

    params = (["breast-cancer", "spirals"], BACKENDS)

    def solve(self):
        return self.fit(refine=10, tol=1e-4)

    def track_objective_over_bound(self, instance, backend):
        return self.res.fun / self.res.lower_bound

    track_objective_over_bound.unit = "ratio"


class Splitting(_Fit):
    """200 steps of alternating directions."""

    params = (["breast-cancer", "spirals"], BACKENDS)

    def solve(self):
        return self.fit(gates=self.gates, method="admm", tol=0.0, maxiter=10)


class Slacks(Benchmark):
    """The pass over slacks of alternating directions, beside its readable text."""

    params = ([(455, 50), (2000, 100)], BACKENDS)
    param_names = ("samples and patterns", "backend")

    def setup(self, size, backend):
        super().setup(size, backend)
        n, P = size
        rng = np.random.default_rng(0)
        masks, of = rng.random((P, n)) < 0.5, np.tile(np.arange(P), 2)
        sign, (XU, h) = np.repeat([1.0, -1.0], P), rng.standard_normal((2, 2 * P, n))
        self.args = [to_backend(a, backend) for a in (XU, masks, of, sign, h)]
        self.backend = backend
        self.kernels = resolve(self.args[0], backend=backend)[1]
        self.run()

    def run(self, kernels=None):
        (kernels or self.kernels).slack_pass(*self.args, 1.8)
        wait(self.backend)

    def time_pass(self, size, backend):
        self.run()

    def track_over_readable(self, size, backend):
        reference = resolve(self.args[0], backend="reference")[1]
        own, other = (
            min(Timer(lambda kernels=kernels: self.run(kernels)).repeat(7, number=1))
            for kernels in (self.kernels, reference)
        )
        return own / other

    track_over_readable.unit = "ratio"


class Prices(Benchmark):
    """Directions for slopes at zero: every cell of three columns, and 200 starts in 31."""

    params = (["spirals", "breast-cancer"], BACKENDS)
    param_names = ("instance", "backend")

    def setup(self, instance, backend):
        super().setup(instance, backend)
        if backend == "numpy" and instance == "breast-cancer":
            raise NotImplementedError("box least squares are for compiled loops")
        problem = relu_instance(instance)
        self.X, self.r = (to_backend(a, backend) for a in (problem.X, -problem.y))
        self.backend = backend
        self.solve()

    def solve(self):
        found = refopt.price_gates(self.X, self.r, n_starts=200, rng=0, backend=self.backend)
        wait(self.backend)
        return found

    def time_prices(self, instance, backend):
        self.solve()

    def track_highest(self, instance, backend):
        return float(self.solve().values[0])

    track_highest.unit = "price"
