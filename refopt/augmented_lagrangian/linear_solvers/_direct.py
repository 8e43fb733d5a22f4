"""Factorisation of the whole matrix."""

import math
from typing import Any

import numpy as np
from scipy.linalg import lapack

from refopt.augmented_lagrangian.linear_solvers._system import KKTSystem, SolveInfo


def direct(system: KKTSystem, rhs: Any, tol: float, state: dict) -> tuple[Any, SolveInfo]:
    """Solve by a symmetric indefinite factorisation, which tells the inertia.

    A residual above `tol` is refined once.
    """
    K = system.dense
    factor, pivots, info = lapack.dsytrf(K, lower=1)
    if info > 0:  # an exactly zero pivot
        return np.full(K.shape[0], math.nan), SolveInfo(math.inf, inertia=(-1, -1))

    def again(rhs):
        return lapack.dsytrs(factor, pivots, rhs, lower=1)[0]

    # Pivots of order 2, marked by a minus in pairs, have an eigenvalue of either sign.
    single = pivots > 0
    pairs = (K.shape[0] - int(np.count_nonzero(single))) // 2
    negative = int(np.count_nonzero(factor.diagonal()[single] < 0)) + pairs
    d = again(rhs)
    relres = system.relative_residual(d, rhs)
    if tol < relres < 1.0:
        d = d + again(rhs - system.matvec(d))
        relres = system.relative_residual(d, rhs)
    return d, SolveInfo(relres, inertia=(K.shape[0] - negative, negative), again=again)
