"""Preconditioned conjugate gradients on half of a grid's cells, with the multilevel network.

The iteration is that of `_directions.preconditioned`; a kernel does a whole step in the form
that suits it, in float32 where rounding is harmless. Residuals that have converged are
recomputed from x in float64, and where the true one is too large the iteration begins anew
from it, now with rounding errors relative to what is left.
"""

import math
from collections.abc import Generator
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt.deep_conjugate._directions import preconditioned
from refopt.deep_conjugate._nullspace import NullSpace, null_space
from refopt.deep_conjugate._system import NOT_FINITE, LinearSystem, System, dot

# Restarts in a row that need not halve the true residual, before it is called stalled.
PATIENCE = 2


class GridSystem(System):
    """A x = b on a `PoissonGrid` whose weights are 1; b, and x where asked for, are vectors.

    Parameters
    ----------
    operator : GridOperator
    hierarchy
        Of the kernel ``vcycle_setup``.
    b : array, shape (n,)
    x0 : array, shape (n,), optional
    """

    def __init__(self, operator: Any, hierarchy: Any, b: Any, x0: Any | None):
        super().__init__(operator)
        self.b_norm = math.sqrt(dot(b, b))
        self.x0, self.start_energy = None, 0.0
        if x0 is not None and self.b_norm > 0.0:
            self.x0, r = x0, b - operator.grid.matvec(x0)
            self.nfev += 1
            self.start_energy = -0.5 * (dot(x0, b) + dot(x0, r))
            b = r
        self.energy, self.rr = self.start_energy, dot(b, b)
        self.state = operator.kernels.vcycle_cg_start(hierarchy, b, operator.grid.scale)

    def solution(self) -> Any:
        """x as a vector."""
        x = self.operator.kernels.vcycle_cg_solution(self.state)
        return x if self.x0 is None else self.x0 + x

    def verified(self) -> tuple[float, float]:
        """The norm of b - A x and x'Ax/2 - b'x, both from x."""
        rr, energy = self.operator.kernels.vcycle_cg_residual(self.state)
        self.nfev += 1
        return math.sqrt(rr), self.start_energy + energy


class GridIteration:
    """Conjugate gradients with a `BoundNet`, by whole steps where its kernels know the matrix.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Any):
        self.model = model

    def system(self, operator: Any, b: Any, x0: Any | None, nullspace: NullSpace) -> System:
        """The system in the form that the iteration needs."""
        bound, grid = self.model.bound, operator.grid
        whole = bound.A is grid and grid.face_weights is None and bound.kernels is operator.kernels
        if not nullspace.trivial:
            return LinearSystem(operator, b, x0, nullspace)
        floating = null_space("auto", operator, b)
        if floating.trivial and whole and operator.n:
            return GridSystem(operator, bound.hierarchy, b, x0)
        system = LinearSystem(operator, b, x0, floating)
        system.keep_removed()  # as the user said that there is no null space
        return system

    def __call__(self, system: System) -> Generator[Iterate, None, Any]:
        if isinstance(system, GridSystem):
            return conjugate_gradients(system)
        return preconditioned(system, self.model, 1)


def conjugate_gradients(system: GridSystem) -> Generator[Iterate, None, Any]:
    """Steps for the driver."""
    kernels, state = system.operator.kernels, system.state
    best, failures = math.inf, 0
    yield system.iterate()
    while True:
        rr = math.inf
        while not math.sqrt(rr) <= system.tau:
            rr, drop = kernels.vcycle_cg_step(state)
            system.nit += 1
            system.nfev += 1
            system.n_model += 1
            system.known = None
            if not (math.isfinite(rr) and math.isfinite(drop)):
                return NOT_FINITE
            system.energy -= 0.5 * drop
            system.rr = rr
            if not math.sqrt(rr) <= system.tau:
                yield system.iterate(drop)
                if rr == 0.0 or drop <= 0.0:
                    break
        norm, system.energy = system.known = system.verified()
        system.rr = norm * norm
        failures = 0 if norm <= 0.5 * best else failures + 1
        best = min(best, norm)
        system.n_restart += norm > system.tau
        yield system.iterate(drop)
        if failures >= PATIENCE:
            return _status.STALLED, ""
        kernels.vcycle_cg_restart(state)
