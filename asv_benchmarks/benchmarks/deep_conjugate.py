"""Pressure systems on grids of cells."""

import numpy as np

import refopt
from refopt import problems
from refopt_backends import resolve

from .common import BACKENDS, Benchmark, to_backend, wait

RTOL = 1e-6


class Pressure(Benchmark):
    """Smoke in a room with obstacles, to 1e-6."""

    params = (["grid", "stored", "sign"], [24, 64], BACKENDS)
    param_names = ("form", "size", "backend")

    def setup(self, form, size, backend):
        super().setup(form, size, backend)
        if size > 24 and form == "sign":
            raise NotImplementedError("a useless model is timed on the small scene")
        self.backend = backend
        cells = problems.pressure_scene("smoke", size)
        b = refopt.poisson_rhs(cells, problems.swirl_velocity(size))
        self.A, self.b = refopt.PoissonGrid(to_backend(cells, backend)), to_backend(b, backend)
        if form == "stored":
            self.A = self.A.tocsr()
        self.model = np.sign if form == "sign" else None
        self.res = self.solve()

    def solve(self):
        _, res = refopt.deep_conjugate_direction(
            self.A, self.b, self.model, rtol=RTOL, full_output=True, backend=self.backend
        )
        wait(self.backend)
        return res

    def time_solve(self, form, size, backend):
        self.solve()

    def peakmem_solve(self, form, size, backend):
        self.solve()

    def track_iterations(self, form, size, backend):
        return self.res.nit

    track_iterations.unit = "iterations"

    def track_accuracy(self, form, size, backend):
        return self.res.residual / float(np.linalg.norm(_on_host(self.b)))

    track_accuracy.unit = "|b - A x| / |b|"


def _on_host(x):
    """A NumPy array."""
    return x.get() if hasattr(x, "get") else x


class Convolution(Benchmark):
    """Convolutions of 3 x 3 x 3 in single precision, and their derivatives."""

    params = (
        ["conv3d_forward", "conv3d_backward_data", "conv3d_backward_weights"],
        [8, 16],
        BACKENDS,
    )
    param_names = ("kernel", "channels", "backend")

    def setup(self, kernel, channels, backend):
        super().setup(kernel, channels, backend)
        rng = np.random.default_rng(0)
        shapes = (channels, 32, 32, 32), (channels, channels, 3, 3, 3), (channels,)
        x, W, bias = (
            to_backend(rng.standard_normal(s).astype(np.float32), backend) for s in shapes
        )
        _, kernels = resolve(x, backend=backend)
        self.args = {
            "conv3d_forward": (x, W, bias, True, None),
            "conv3d_backward_data": (x, W),
            "conv3d_backward_weights": (x, x),
        }[kernel]
        self.call = getattr(kernels, kernel)
        self.call(*self.args)

    def time_kernel(self, kernel, channels, backend):
        self.call(*self.args)
        wait(backend)
