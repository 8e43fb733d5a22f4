"""Right-hand sides to train on: Ritz vectors, random solutions, residuals of the solver."""

import math
from typing import Any

import numpy as np

from refopt.deep_conjugate._lanczos import weighted_ritz_vectors
from refopt.deep_conjugate._loss import Descent

N_LANCZOS = 400  # steps, or as many as there are unknowns
N_ORTH = 4  # directions that unrolled steps are made conjugate to
RESTART = 0.05  # chance of a replayed run to end before it goes on


class RitzData:
    """Mixtures of Ritz vectors, those of the lower half nine times as much, as `ritz_dataset`."""

    def __init__(self, A, rng):
        self.A = A
        self.theta, Y = weighted_ritz_vectors(A, rng, N_LANCZOS, low_fraction=0.55, low_weight=9.0)
        self.Y = Y.astype(np.float32)

    def rhs(self, rng):
        return self._mixture(rng.standard_normal(self.theta.size))

    def solution(self, rng):
        return self._mixture(rng.standard_normal(self.theta.size) / self.theta)

    def _mixture(self, c):
        return (c.astype(np.float32) @ self.Y).astype(np.float64)


class RandomData:
    """A x for a mixture x of white noise, smoothed noise and noise summed along the axes.

    Each has its share of the energy x'Ax, of up to two orders of magnitude more or less.
    """

    def __init__(self, A, rng):
        self.A = A
        D = A.diagonal()
        self.damping = np.where(D > 0, 0.5 / np.where(D > 0, D, 1.0), 0.0)  # 0 in a cell alone

    def rhs(self, rng):
        return self.A.matvec(self.solution(rng))

    def solution(self, rng):
        white, smooth = rng.standard_normal(self.A.n), rng.standard_normal(self.A.n)
        for _ in range(6):
            smooth = smooth - self.damping * self.A.matvec(smooth)
        X = rng.standard_normal(self.A.cells.shape)
        for axis in range(X.ndim):
            X = np.cumsum(X, axis=axis)
        parts = white, smooth, self.A.from_grid(X - X.mean())
        shares = 10.0 ** rng.uniform(-1, 1, len(parts))
        sizes = [math.sqrt(max(x @ self.A.matvec(x), 0.0)) for x in parts]
        return sum(s / e * x for s, e, x in zip(shares, sizes, parts, strict=True) if e > 0)


class Replay:
    """Residuals of the solver on its way to solutions of both kinds, with a model in training."""

    def __init__(self, A, rng):
        self.data, self.random = RitzData(A, rng), RandomData(A, rng)
        self.run: Any = None

    def descent(self, rng):
        """The run that is under way, or a new one."""
        if self.run is None or self.run.ended or rng.random() < RESTART:
            data = self.data if rng.random() < 0.5 else self.random
            self.run = Descent(data.A, data.solution(rng), N_ORTH)
        return self.run

    def rhs(self, rng):
        """Half of the samples are residuals, half those of `data`."""
        self.replayed = bool(rng.random() < 0.5)
        return self.descent(rng).r if self.replayed else self.data.rhs(rng)

    def told(self, f):
        """The direction found for the last right-hand side: a step of the run, if it was its."""
        if self.replayed:
            self.run.step(f)
