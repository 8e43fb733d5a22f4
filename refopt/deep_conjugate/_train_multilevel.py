"""Training of the multilevel network's numbers, under the constraint that keeps it definite."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

from refopt.deep_conjugate._multilevel import HAND, largest_factor
from refopt.deep_conjugate._poisson_grid import PoissonGrid
from refopt_backends import resolve

MARGIN = 0.9  # of the sweeps' polynomials on (0, 1]
TOL = 1e-6  # relative residual to which iterations are counted
MOST = 14  # iterations that are looked at
GAIN = 0.99  # share of the iterations at the start above which a problem counts once more by half
FREE = np.ones((3, 4), dtype=bool)
FREE[0, 1] = False  # the finest level has one sweep


def train_multilevel(
    problems: Sequence[tuple[PoissonGrid, Any]], *, start: Any = HAND, maxfev: int = 700
) -> np.ndarray:
    """Parameters that need the fewest iterations, by two simplex searches in a row.

    Parameters
    ----------
    problems : sequence of (PoissonGrid, array)
        Grids with weights 1, and right-hand sides.
    start : array, shape (3, 4)
    maxfev : int
        Evaluations of the loss.

    Returns
    -------
    array, shape (3, 4)
    """
    start = np.array(start, dtype=np.float64)
    loss = relative_loss(problems, start)
    free = start[FREE]
    for step in (0.08, -0.04):
        simplex = np.vstack([free, free * (1.0 + step * np.eye(free.size))])
        options = {"maxfev": maxfev // 2, "initial_simplex": simplex, "adaptive": True}
        free = minimize(lambda v: loss(_params(v)), free, method="Nelder-Mead", options=options).x
    return _params(free)


def _params(free):
    params = np.zeros((3, 4))
    params[FREE] = free
    return params


def relative_loss(problems: Any, base: Any) -> Callable[[np.ndarray], float]:
    """The loss, about the share of iterations that parameters take of those that `base` take.

    Problems on which that share is not below GAIN count for more: parameters are to be better
    on all. Where the sweeps' polynomials leave their margin it is above 2.
    """
    _, kernels = resolve(problems[0][0].types)

    def counts(params):
        return np.array([iterations(kernels, A, b, params) for A, b in problems])

    known = counts(np.array(base, dtype=np.float64))

    def loss(params):
        excess = sum(max(0.0, largest_factor(w1, w2) - MARGIN) for w1, w2, _, _ in params)
        if excess > 0.0 or params[:, 2:].min() <= 0.0:
            return 2.0 + excess
        share = counts(params) / known
        return float(np.mean(share) + 0.5 * np.mean(np.maximum(share - GAIN, 0.0)))

    return loss


def iterations(kernels: Any, A: PoissonGrid, b: Any, params: Any, most: int = MOST) -> float:
    """How many steps reduce the residual to TOL, the last one in part."""
    hierarchy = kernels.vcycle_setup(A.types, A.degree, A.dirichlet, None, params)
    state = kernels.vcycle_cg_start(hierarchy, b, A.scale)
    square, goal, before = float(np.sum(b * b)), math.log10(TOL), 0.0
    for step in range(most):
        rr, _ = kernels.vcycle_cg_step(state)
        if not rr > 0.0:
            return float(most)
        now = 0.5 * math.log10(rr / square)
        if now <= goal:
            return step + (goal - before) / (now - before)
        before = now
    return most + before - goal
