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
from refopt.deep_conjugate._system import NOT_FINITE, LinearSystem, dot

# Restarts in a row that need not halve the true residual, before it is called stalled.
PATIENCE = 2


def conjugate_gradients(system: LinearSystem, hierarchy: Any) -> Generator[Iterate, None, Any]:
    """Steps for the driver; x is written when somebody asks for it.

    Parameters
    ----------
    system : LinearSystem
        On a `PoissonGrid` whose weights are 1.
    hierarchy
        Of the kernel ``vcycle_setup``.
    """
    kernels, scale = system.operator.kernels, system.operator.grid.scale
    best, failures = math.inf, 0
    yield system.iterate()
    while True:
        state = kernels.vcycle_cg_start(hierarchy, system.r, scale)

        def add(x, state=state):
            kernels.vcycle_cg_add(state, x)

        rr = math.inf
        while not math.sqrt(rr) <= system.tau:
            rr, drop = kernels.vcycle_cg_step(state)
            system.pending, system.is_true = add, False
            system.nit += 1
            system.nfev += 1
            system.n_model += 1
            if not (math.isfinite(rr) and math.isfinite(drop)):
                return NOT_FINITE
            system.energy -= 0.5 * drop
            system.rr = rr
            if not math.sqrt(rr) <= system.tau:
                yield system.iterate(drop)
                if rr == 0.0 or drop <= 0.0:
                    break
        system.r[...] = system.true_residual()
        system.is_true = True
        system.rr = dot(system.r, system.r)
        norm = math.sqrt(system.rr)
        failures = 0 if norm <= 0.5 * best else failures + 1
        best = min(best, norm)
        system.n_restart += norm > system.tau
        yield system.iterate(drop)
        if failures >= PATIENCE:
            return _status.STALLED, ""
