"""Training of the multilevel network's numbers, under the constraint that keeps it definite."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

from refopt.deep_conjugate._multilevel import HAND, largest_factor
from refopt.deep_conjugate._poisson_grid import PoissonGrid
from refopt_backends import resolve

STEPS = 5  # of the iteration, unrolled
MARGIN = 0.9  # of the sweeps' polynomials on (0, 1]
FREE = np.ones((3, 4), dtype=bool)
FREE[0, 1] = False  # the finest level has one sweep


def train_multilevel(
    problems: Sequence[tuple[PoissonGrid, Any]], *, start: Any = HAND, maxfev: int = 2000
) -> np.ndarray:
    """Parameters that reduce residuals fastest, by a simplex search.

    Parameters
    ----------
    problems : sequence of (PoissonGrid, array)
        Grids with weights 1, and right-hand sides.
    start : array, shape (3, 4)
    maxfev : int
        Evaluations: an iteration of STEPS steps on each problem.

    Returns
    -------
    array, shape (3, 4)
    """
    _, kernels = resolve(problems[0][0].types)

    def loss(free):
        params = np.zeros((3, 4))
        params[FREE] = free
        excess = sum(max(0.0, largest_factor(w1, w2) - MARGIN) for w1, w2, _, _ in params)
        if excess > 0.0 or params[:, 2:].min() <= 0.0:
            return 1.0 + excess
        rates = []
        for A, b in problems:
            hierarchy = kernels.vcycle_setup(A.types, A.degree, A.dirichlet, None, params)
            state = kernels.vcycle_cg_start(hierarchy, b, A.scale)
            for _ in range(STEPS):
                rr, _ = kernels.vcycle_cg_step(state)
            rates.append(math.log10(rr / float(np.sum(b * b))) / (2 * STEPS))
        return float(np.mean(rates))

    begin = np.array(start, dtype=np.float64)[FREE]
    simplex = np.vstack([begin, begin * (1.0 + 0.1 * np.eye(begin.size))])
    options = {"maxfev": maxfev, "initial_simplex": simplex, "adaptive": True}
    found = minimize(loss, begin, method="Nelder-Mead", options=options)
    params = np.zeros((3, 4))
    params[FREE] = found.x
    return params
