"""Least-squares multipliers."""

from typing import Any

import numpy as np
from scipy.linalg import lapack

from refopt.augmented_lagrangian._operators import is_operator, is_sparse, sparse_library
from refopt.augmented_lagrangian.linear_solvers import KKTSystem
from refopt.augmented_lagrangian.linear_solvers._elimination import (
    csr,
    on_host,
    own_variables,
)

RANK = 1e-10  # singular values below it, relative to the largest, are zero


def least_squares(problem: Any, g: Any, G: Any, solve: Any, state: dict) -> Any:
    """argmin ``|G'l + g|``, of least norm where there are many.

    Dense: by singular values. Where every constraint has a variable of its own, those that solve
    that variable's equation. Else from ``[[I, G'], [G, 0]] (z, l) = (-g, 0)``.
    """
    xp = problem.xp
    n, m = problem.n, problem.m
    if not m:
        return xp.zeros(0)
    if not (is_sparse(G) or is_operator(G)):
        U, s, Vt = singular_values(xp, G, full_matrices=False)
        return -(U @ (_inverses(xp, s) * (Vt @ g)))
    if is_sparse(G):
        rows = csr(G)
        controls, places = own_variables(on_host(rows))
        state["own variables"] = G, controls, places
        if controls is not None:
            return -g[xp.asarray(controls)] / rows.data[xp.asarray(places)]
    rhs = xp.concatenate((-g, xp.zeros(m)))
    return solve(_unit_system(problem, G), rhs, 1e-10, state)[0][n:]


def least_norm(problem: Any, G: Any, c: Any, solve: Any, state: dict) -> Any:
    """argmin ``|v|`` with ``G v = c``, in the least-squares sense; the same system and ways."""
    xp, n = problem.xp, problem.n
    if not (is_sparse(G) or is_operator(G)):
        U, s, Vt = singular_values(xp, G, full_matrices=False)
        return (_inverses(xp, s) * (c @ U)) @ Vt
    rhs = xp.concatenate((xp.zeros(n), c))
    return solve(_unit_system(problem, G), rhs, 1e-10, state)[0][:n]


def _unit_system(problem, G):
    n, xp = problem.n, problem.xp
    return KKTSystem(sparse_library(G).eye(n, format="csr") if is_sparse(G) else xp.eye(n), G, xp)


def null_space(xp: Any, G: Any) -> Any:
    """An orthonormal basis of the null space of a dense G, as columns."""
    if not G.shape[0]:
        return xp.eye(G.shape[1])
    _, s, Vt = singular_values(xp, G)
    rank = int((s > RANK * s[0]).sum())
    return Vt[rank:].T


def singular_values(xp: Any, G: Any, full_matrices: bool = True) -> tuple[Any, Any, Any]:
    """``xp.linalg.svd``; LAPACK itself for NumPy, whose call costs more than a small matrix."""
    if xp is np:
        U, s, Vt, failed = lapack.dgesdd(G, full_matrices=full_matrices)
        if not failed:
            return U, s, Vt
    return xp.linalg.svd(G, full_matrices=full_matrices)


def _inverses(xp, s):
    if float(s[-1]) > RANK * float(s[0]):
        return 1.0 / s
    keep = s > RANK * max(float(s[0]), 1e-300)
    return xp.where(keep, 1.0 / xp.where(keep, s, 1.0), 0.0)


def eigenvalues(xp: Any, A: Any) -> Any:
    """``xp.linalg.eigvalsh``, likewise."""
    if xp is np:
        values, _, failed = lapack.dsyevd(A, compute_v=0)
        if not failed:
            return values
    return xp.linalg.eigvalsh(A)
