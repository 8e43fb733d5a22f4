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
    if system.xp is not np:
        return _by_eigenvalues(K, rhs, system.xp)
    factor, pivots, failed = lapack.dsytrf(K, lower=1)
    if failed:  # an exactly zero pivot
        return np.full(K.shape[0], math.nan), SolveInfo(math.inf, inertia=(-1, -1))

    def again(rhs):
        return lapack.dsytrs(factor, pivots, rhs, lower=1)[0]

    # Pivots of order 2, marked by a minus in pairs, have an eigenvalue of either sign.
    size = K.shape[0]
    signs = zip(pivots.tolist(), factor.diagonal().tolist(), strict=True)
    negative = sum(1 if pivot < 0 else 2 * (value < 0.0) for pivot, value in signs) // 2
    d = again(rhs)
    Kd = K.dot(d)
    residual = rhs - Kd
    relres = _relative(residual, rhs)
    if tol < relres < 1.0:
        d = d + again(residual)
        Kd = K.dot(d)
        relres = _relative(rhs - Kd, rhs)
    return d, SolveInfo(relres, inertia=(size - negative, negative), again=again, product=Kd)


def _by_eigenvalues(K, rhs, xp):
    """Where no symmetric factorisation is at hand: the inertia from the eigenvalues."""
    eigenvalues, Q = xp.linalg.eigh(K)
    if not bool(xp.all(xp.abs(eigenvalues) > 0.0)):
        return xp.full(K.shape[0], math.nan), SolveInfo(math.inf, inertia=(-1, -1))

    def again(rhs):
        d = Q @ ((Q.T @ rhs) / eigenvalues)
        return d + Q @ ((Q.T @ (rhs - K @ d)) / eigenvalues)

    d = again(rhs)
    positive = int(xp.sum(eigenvalues > 0.0))
    relres = _relative(rhs - K @ d, rhs)
    return d, SolveInfo(relres, inertia=(positive, K.shape[0] - positive), again=again)


def _relative(residual, rhs):
    error, size = float(residual.dot(residual)), float(rhs.dot(rhs))
    if not math.isfinite(error):
        return math.inf
    return math.sqrt(error / size) if size else math.sqrt(error)
