"""The Newton system by sketch-and-project."""

import math
from typing import Any

from refopt.augmented_lagrangian._linear_system import LinearSystem
from refopt.augmented_lagrangian._sketches import BLOCKS, SINGLE
from refopt.augmented_lagrangian.linear_solvers._system import KKTSystem, SolveInfo

KINDS = (*SINGLE, *BLOCKS)
SWEEPS = 5  # over the rows, between two looks at the residual


class SketchedSystem:
    """K d = rhs for one matrix, solved as far as asked and from where it stands.

    Parameters
    ----------
    xp, kernels
        Namespace and kernel table.
    K : array, shape (N, N)
    rhs : array, shape (N,)
    kind, sampling : str
        As of `sketch_project`.
    block_size : int or None
    rng : numpy.random.Generator

    Attributes
    ----------
    d : array
        Zero at first.
    residual : float
        Norm of ``K d - rhs``.
    steps : int
        Taken so far.
    """

    def __init__(self, xp, kernels, K, rhs, *, kind, sampling, block_size, rng):
        self._system = LinearSystem(xp, kernels, K, rhs, xp.float64)
        options: dict[str, Any] = {"sampling": sampling, "omega": 1.0, "momentum": 0.0}
        N = K.shape[0]
        self._rule: Any
        if kind in SINGLE:
            self._rule = SINGLE[kind](self._system, rng, **options)
        else:
            size = min(N, max(1, N // 2), 64) if block_size is None else min(block_size, N)
            self._rule = BLOCKS[kind](self._system, rng, size=size, **options)
        self._each = -(-SWEEPS * N // self._rule.rows)
        self.d = xp.zeros(N, dtype=xp.float64)
        self.residual = math.sqrt(float(rhs @ rhs))
        self.steps = 0

    def advance(self, target: float, limit: int) -> None:
        """Step until the residual is at most `target`, or `limit` steps were taken."""
        previous, taken = self.d, 0
        while self.residual > target and taken < limit:
            count = min(self._each, limit - taken)
            self.d, previous = self._rule.advance(self.d, previous, count)
            taken += count
            r = self._system.residual(self.d)
            self.residual = math.sqrt(float(r @ r))
        self.steps += taken


class Sketched:
    """A solver by sketches: ``solve(system, rhs, tol, state) -> d, info``, K stored as an array.

    K is scaled to rows and columns of similar size first.
    """

    def __init__(self, kind, kernels, rng, limit):
        self._kind, self._kernels, self._rng, self._limit = kind, kernels, rng, limit

    def __call__(
        self, system: KKTSystem, rhs: Any, tol: float, state: dict
    ) -> tuple[Any, SolveInfo]:
        """Step until the relative residual is `tol`, or the limit of steps is reached."""
        xp, K = system.xp, system.dense
        scale = xp.sqrt(xp.max(xp.abs(K), axis=1))
        scale = 1.0 / xp.where(scale > 0, scale, xp.ones_like(scale))
        inner = SketchedSystem(
            xp, self._kernels, scale[:, None] * K * scale, scale * rhs, kind=self._kind,
            sampling="shuffle", block_size=None, rng=self._rng,
        )  # fmt: skip
        # |K d - rhs| <= max(1/scale) times the norm of the scaled residual
        target = tol * math.sqrt(float(rhs @ rhs)) * float(xp.min(scale))
        inner.advance(target, self._limit)
        d = scale * inner.d
        state["lin_solver"] = self._kind
        return d, SolveInfo(system.relative_residual(d, rhs), inner.steps)


class ExactSystem:
    """The same by a factorisation, for comparison."""

    steps = 0

    def __init__(self, xp, K, rhs):
        self.d = xp.linalg.solve(K, rhs)
        r = K @ self.d - rhs
        self.residual = math.sqrt(float(r @ r))

    def advance(self, target: float, limit: int) -> None:
        """Nothing is left to do."""
