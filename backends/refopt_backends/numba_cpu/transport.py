"""Kernels of entropic optimal transport, compiled for the CPU."""

from dataclasses import dataclass

import numpy as np

from refopt_backends.numba_cpu import _transport_rows as rows
from refopt_backends.numba_cpu import _transport_sparse as sparse
from refopt_backends.numba_cpu._jit import run_parallel, threads_for
from refopt_backends.reference.conjugate_gradients import conjugate_gradients

_NONE = np.empty((0, 0))

# A pair takes about half a nanosecond: that many weigh as much as one element of
# the work by which threads are woken. On a busy machine they wake slowly.
_PAIRS_PER_ELEMENT = 64


@dataclass(frozen=True)
class Entries:
    """Some entries of the plan in compressed rows; see the reference."""

    shape: tuple
    indptr: np.ndarray
    indices: np.ndarray  # uint32: no test for negative indices, so loops vectorise
    cost: np.ndarray
    plan: np.ndarray
    sampled: bool = False

    @property
    def nnz(self):
        return self.indices.size

    def coo(self):
        i = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        return i, self.indices.astype(np.int64), self.plan


@dataclass(frozen=True)
class NewtonMatrix:
    """S v = extra v + sum_i W_i q_i. (v - q_i. v); see the reference."""

    rows: tuple  # indptr, indices, q
    columns: tuple  # indptr, indices, W_i q_ij, and 1/sum_j q_ij of each row
    W: np.ndarray
    extra: np.ndarray
    diagonal: np.ndarray
    dropped: float

    @property
    def nnz(self):
        return self.rows[1].size


def _unpacked(cost):
    """C, X, Y', metric, scale, with the parts that a cost lacks empty."""
    if len(cost) == 1:
        return cost[0], _NONE, _NONE, 0, 1.0
    X, Y, metric, scale = cost
    return _NONE, X, np.ascontiguousarray(Y.T), metric, float(scale)


def _work(cost):
    pairs = cost[0].size if len(cost) == 1 else cost[0].shape[0] * cost[1].shape[0]
    return pairs // _PAIRS_PER_ELEMENT


def semidual_pass(cost, g, a, reg, f_guess=None):
    # LSE_j(g_j - C_ij) of the guess is a shift as good as the row maximum, and is known.
    shift = np.full(a.size, np.nan) if f_guess is None else reg * np.log(a) - f_guess
    args = (*_unpacked(cost), g, a, reg, shift)
    return run_parallel(_work(cost), rows.semidual_parallel, rows.semidual_serial, *args)


def semidual_estimate(cost, g, a, reg, f_guess):
    if len(cost) == 1 and cost[0].dtype == np.float32:
        shift = reg * np.log(a) - f_guess
        args = (cost[0], g.astype(np.float32), a, reg, shift)
        f, c = run_parallel(_work(cost), rows.estimate_parallel, rows.estimate_serial, *args)
        # Beyond single precision's range, or a bad guess: the exact pass.
        if np.isfinite(f.sum()) and c.min() > 1e-30:
            return f, c.astype(np.float64)
    return semidual_pass(cost, g, a, reg, f_guess)


def column_potential(cost, f, b, reg):
    return rows.column_potential_serial(*_unpacked(cost), f, np.log(b), reg)


def plan_marginals(cost, f, g, reg):
    args = (*_unpacked(cost), f, g, reg)
    return run_parallel(_work(cost), rows.marginals_parallel, rows.marginals_serial, *args)


def plan_product(cost, f, g, reg, V, transpose):
    Vt = np.ascontiguousarray(V.T)
    out = rows.product_serial(*_unpacked(cost), f, g, reg, Vt, transpose)
    return np.ascontiguousarray(out.T) if transpose else out


def plan_rows(cost, f, g, reg):
    return rows.plan_serial(*_unpacked(cost), f, g, reg)


def select_entries(cost, f, g, reg, floor, ceiling, limit):
    args = (*_unpacked(cost), f, g, reg, reg * np.log(floor), reg * np.log(ceiling), limit)
    found = run_parallel(_work(cost), rows.select_parallel, rows.select_serial, *args)
    if found[0][-1] > limit:
        return None
    return Entries((f.size, g.size), *found)


def sample_entries(cost, f, g, reg, a, per_row):
    room = min(per_row + 2, g.size)
    args = (*_unpacked(cost), f, g, reg, a, float(per_row), room)
    found = run_parallel(_work(cost), rows.sample_parallel, rows.sample_serial, *args)
    indptr, indices, plan = found
    return Entries((f.size, g.size), indptr, indices, np.empty(0), plan, sampled=True)


def entries_pass(entries, g, a, reg, f_guess):
    shift = reg * np.log(a) - f_guess
    args = (entries.indptr, entries.indices, entries.cost, g, a, reg, shift)
    work = entries.nnz // _PAIRS_PER_ELEMENT
    f, c, plan = run_parallel(work, sparse.entries_parallel, sparse.entries_serial, *args)
    return f, c, Entries(entries.shape, entries.indptr, entries.indices, entries.cost, plan)


def entries_product(entries, v, transpose):
    out = np.zeros(entries.shape[1 if transpose else 0])
    sparse.product_serial(entries.indptr, entries.indices, entries.plan, v, out, transpose)
    return out


def newton_matrix(entries, a, b, c, threshold, shift):
    *rows, W, extra, diagonal, dropped = sparse.newton_rows(
        entries.indptr, entries.indices, entries.plan, a, b, c, threshold, shift, entries.sampled
    )
    columns = sparse.newton_columns(*rows, W, c.size)
    return NewtonMatrix(tuple(rows), columns, W, extra, diagonal, dropped)


def newton_product(matrix, v):
    args = (*matrix.rows, *matrix.columns, matrix.extra, v)
    twins = sparse.newton_product_parallel, sparse.newton_product_serial
    return run_parallel(matrix.nnz // _PAIRS_PER_ELEMENT, *twins, *args)


def newton_cg(matrix, rhs, rtol, maxiter):
    if threads_for(matrix.nnz // _PAIRS_PER_ELEMENT) > 1:
        return conjugate_gradients(
            lambda v: newton_product(matrix, v), matrix.diagonal, rhs, rtol, maxiter
        )
    args = (*matrix.rows, *matrix.columns, matrix.extra, matrix.diagonal)
    return sparse.newton_cg_serial(*args, rhs, rtol, maxiter)


def newton_dense(matrix, rhs):
    from scipy.linalg import lapack  # slow to import, seldom needed

    S = sparse.newton_matrix_dense(*matrix.rows, matrix.W, matrix.extra)
    nudge = 1e-15 * matrix.diagonal.mean()
    # S.T is Fortran-ordered, as LAPACK wants it; its upper triangle is S's lower.
    factor, failed = lapack.dpotrf(S.T, lower=0, clean=0)
    for _ in range(10):
        if not failed:
            return lapack.dpotrs(factor, rhs, lower=0)[0]
        S[np.diag_indices_from(S)] += nudge
        nudge *= 100.0
        factor, failed = lapack.dpotrf(S.T, lower=0, clean=0)
    return rhs / matrix.diagonal
