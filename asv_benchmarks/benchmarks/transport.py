"""Entropic optimal transport."""

from timeit import Timer

import numpy as np

import refopt
from refopt.problems import transport_instance
from refopt_backends import resolve

from .common import BACKENDS, Benchmark, to_backend, wait

INSTANCES = ["assign-800", "digits-l1-20-45", "cloud2-800-1e-4", "cloud50-800-1e-3"]


class SinkhornNewton(Benchmark):
    """The default solver, to a marginal error of 1e-9."""

    params = (INSTANCES, BACKENDS)
    param_names = ("instance", "backend")

    def setup(self, instance, backend):
        super().setup(instance, backend)
        problem = transport_instance(instance)
        self.backend, self.reg = backend, problem.reg
        self.C, self.a, self.b = (
            to_backend(array, backend) for array in (problem.C, problem.a, problem.b)
        )
        self.res = self.solve()

    def solve(self):
        res = refopt.sinkhorn_newton(
            self.C, self.a, self.b, reg=self.reg, tol=1e-9, backend=self.backend
        )
        wait(self.backend)
        return res

    def time_solve(self, instance, backend):
        self.solve()

    def peakmem_solve(self, instance, backend):
        self.solve()

    def track_iterations(self, instance, backend):
        return self.res.nit

    def track_newton_steps(self, instance, backend):
        return self.res.nnewton

    def track_passes(self, instance, backend):
        return self.res.nfev

    track_passes.unit = "reads of C"

    def track_cg_iterations(self, instance, backend):
        return self.res.ncg

    def track_accuracy(self, instance, backend):
        error = refopt.transport.marginal_error(
            self.res.f, self.res.g, self.C, self.a, self.b, self.reg
        )
        return float(error)

    track_accuracy.unit = "marginal error"


class FusedPass(Benchmark):
    """The kernel that every iteration is made of, at the optimal potentials."""

    params = (["assign-800", "cloud2-800-1e-2", "cloud2-800-1e-4"], BACKENDS)
    param_names = ("instance", "backend")

    def setup(self, instance, backend):
        super().setup(instance, backend)
        problem = transport_instance(instance)
        C, a, b = (to_backend(array, backend) for array in (problem.C, problem.a, problem.b))
        res = refopt.sinkhorn_newton(C, a, b, reg=problem.reg, backend=backend)
        _, kernels = resolve(C, backend=backend)

        def one_pass():
            kernels.semidual_pass((C,), res.g, a, problem.reg, res.f)
            wait(backend)

        one_pass()
        self.one_pass, self.entries = one_pass, C.size

    def track_nanoseconds_per_entry(self, instance, backend):
        return min(Timer(self.one_pass).repeat(15, number=1)) / self.entries * 1e9

    track_nanoseconds_per_entry.unit = "ns"


class Call(Benchmark):
    """What a public call costs on a 10 x 10 problem."""

    params = (["sinkhorn", "sinkhorn_newton"], BACKENDS)
    param_names = ("solver", "backend")

    def setup(self, solver, backend):
        super().setup(solver, backend)
        self.C = to_backend(np.random.default_rng(1).random((10, 10)), backend)
        self.solver = getattr(refopt, solver)
        self.solver(self.C, reg=0.05, backend=backend)

    def time_overhead(self, solver, backend):
        self.solver(self.C, reg=0.05, maxiter=0, backend=backend)

    def time_solve(self, solver, backend):
        self.solver(self.C, reg=0.05, backend=backend)
