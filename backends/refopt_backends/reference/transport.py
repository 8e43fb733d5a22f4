"""Kernels of entropic optimal transport, in words of the Array-API standard.

Entries and the Newton matrix are dense here: n x m arrays with zeros where
nothing is kept. The compiled backends store compressed rows.
"""

import math
from dataclasses import dataclass
from typing import Any

from refopt_backends._array_functions import cumulative_sum
from refopt_backends._home import namespace_of
from refopt_backends.reference.conjugate_gradients import conjugate_gradients

# Rows of a point-cloud cost are formed in blocks of about this many entries.
_BLOCK_ENTRIES = 2**20


@dataclass(frozen=True)
class Entries:
    """Some entries of the plan, with their cost.

    Attributes
    ----------
    shape : tuple of int
        Of the plan.
    nnz : int
        Number of entries.
    """

    cost: Any  # (n, m), +inf where nothing is kept
    plan: Any  # (n, m), 0 where nothing is kept
    sampled: bool = False  # a thinning that stands for the whole plan

    @property
    def shape(self):
        return self.cost.shape

    @property
    def nnz(self):
        xp = namespace_of(self.cost)
        return int(xp.count_nonzero(xp.isfinite(self.cost)))

    def coo(self):
        """Row and column indices and plan values, sorted by row."""
        xp = namespace_of(self.cost)
        rows, columns = xp.nonzero(xp.isfinite(self.cost))
        return rows, columns, self.plan[xp.isfinite(self.cost)]


@dataclass(frozen=True)
class NewtonMatrix:
    """S v = extra v + sum_i P_i. (v - avg_i v), a graph Laplacian plus a diagonal.

    Attributes
    ----------
    nnz : int
        Number of plan entries kept.
    dropped : float
        Mass of the plan entries that were not kept.
    extra, diagonal : array, shape (m,)
        What was put on the diagonal, ``S 1``; the diagonal of S.
    """

    plan: Any  # (n, m)
    row_sums: Any  # (n,), 1 in empty rows
    extra: Any
    diagonal: Any
    nnz: int
    dropped: float


def cost_rows(cost, rows):
    """Rows of a cost as a float64 array."""
    if len(cost) == 1:
        xp = namespace_of(cost[0])
        return xp.astype(cost[0][rows, :], xp.float64)
    X, Y, metric, scale = cost
    xp = namespace_of(X)
    D = xp.zeros((X[rows, :].shape[0], Y.shape[0]), dtype=xp.float64)
    for k in range(X.shape[1]):  # a coordinate at a time: no n x m x d array
        t = X[rows, k][:, None] - Y[:, k][None, :]
        D = D + (xp.abs(t) if metric == 2 else t * t)
    return scale * (xp.sqrt(D) if metric == 1 else D)


def _row_blocks(cost):
    n, m = cost[0].shape[0], cost[1].shape[0] if len(cost) > 1 else 1
    step = n if len(cost) == 1 else max(1, _BLOCK_ENTRIES // max(m, 1))
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def _log_sum_exp(Z, axis):
    xp = namespace_of(Z)
    top = xp.max(Z, axis=axis, keepdims=True)
    return xp.squeeze(top, axis=axis) + xp.log(xp.sum(xp.exp(Z - top), axis=axis))


def semidual_pass(cost, g, a, reg, f_guess=None):
    """f_i = reg (log a_i - LSE_j((g_j - C_ij)/reg)),  c = P'1 with P1 = a."""
    xp = namespace_of(g)
    f, c = [], xp.zeros_like(g)
    for rows in _row_blocks(cost):
        Z = (g[None, :] - cost_rows(cost, rows)) / reg
        E = xp.exp(Z - xp.max(Z, axis=1, keepdims=True))
        s = xp.sum(E, axis=1)
        f.append(reg * (xp.log(a[rows]) - xp.log(s) - xp.max(Z, axis=1)))
        c = c + xp.sum((a[rows] / s)[:, None] * E, axis=0)
    return xp.concat(f), c


def semidual_estimate(cost, g, a, reg, f_guess):
    """semidual_pass; a backend may compute it in single precision where C is float32."""
    return semidual_pass(cost, g, a, reg, f_guess)


def column_potential(cost, f, b, reg):
    """g_j = reg (log b_j - LSE_i((f_i - C_ij)/reg))."""
    xp = namespace_of(f)
    total = None  # log-sum-exp over the blocks seen so far
    for rows in _row_blocks(cost):
        block = _log_sum_exp((f[rows][:, None] - cost_rows(cost, rows)) / reg, axis=0)
        total = block if total is None else xp.logaddexp(total, block)
    return reg * (xp.log(b) - total)


def plan_marginals(cost, f, g, reg):
    """Row sums, column sums and <P, C> of P = exp((f + g - C)/reg)."""
    xp = namespace_of(g)
    r, c, t = [], xp.zeros_like(g), 0.0
    for rows in _row_blocks(cost):
        C = cost_rows(cost, rows)
        P = _plan(f[rows], g, C, reg)
        r.append(xp.sum(P, axis=1))
        c = c + xp.sum(P, axis=0)
        t += float(xp.sum(P * xp.where(P > 0, C, 0.0)))  # 0 * inf is not 0
    return xp.concat(r), c, t


def _plan(f, g, C, reg):
    # Clamped: exp of anything beyond is infinite and would only warn.
    xp = namespace_of(C)
    return xp.exp(xp.minimum((f[:, None] + g[None, :] - C) / reg, 700.0))


def plan_product(cost, f, g, reg, V, transpose):
    """P V, or P' V, for P = exp((f + g - C)/reg)."""
    xp = namespace_of(g)
    blocks = _row_blocks(cost)
    plans = (_plan(f[rows], g, cost_rows(cost, rows), reg) for rows in blocks)
    if not transpose:
        return xp.concat([P @ V for P in plans])
    out = xp.zeros((g.shape[0], V.shape[1]), dtype=xp.float64)
    for rows, P in zip(blocks, plans, strict=True):
        out = out + P.T @ V[rows, :]
    return out


def plan_rows(cost, f, g, reg):
    """The plan itself."""
    xp = namespace_of(g)
    return xp.concat([_plan(f[rows], g, cost_rows(cost, rows), reg) for rows in _row_blocks(cost)])


def select_entries(cost, f, g, reg, floor, ceiling, limit):
    """The entries with P_ij >= min(floor_i, ceiling_j); None if more than limit."""
    xp = namespace_of(g)
    C = xp.concat([cost_rows(cost, rows) for rows in _row_blocks(cost)])
    P = plan_rows(cost, f, g, reg)
    kept = (P >= xp.minimum(floor[:, None], ceiling[None, :])) & xp.isfinite(C)
    if int(xp.count_nonzero(kept)) > limit:
        return None
    return Entries(xp.where(kept, C, math.inf), xp.where(kept, P, 0.0))


def sample_entries(cost, f, g, reg, a, per_row):
    """Systematic sampling: along a row, an entry is kept where a running sum of its
    probabilities, p_ij per_row, passes an integer. The start of the sum differs by row."""
    xp = namespace_of(g)
    C = xp.concat([cost_rows(cost, rows) for rows in _row_blocks(cost)])
    chance = per_row * plan_rows(cost, f, g, reg) / a[:, None]
    large = chance >= 1.0
    start = 0.6180339887498949 * xp.arange(1, a.shape[0] + 1, dtype=xp.float64)
    start = (start - xp.floor(start))[:, None]
    steps = xp.where(large, 0.0, chance)
    after = start + cumulative_sum(steps, axis=1)
    drawn = ~large & (xp.floor(after) > xp.floor(after - steps))
    plan = xp.where(large, chance, xp.astype(drawn, xp.float64)) * (a / per_row)[:, None]
    return Entries(xp.where(large | drawn, C, math.inf), plan, True)


def entries_pass(entries, g, a, reg, f_guess):
    """semidual_pass over the entries; every row must keep one."""
    f, c = semidual_pass((entries.cost,), g, a, reg)
    return f, c, Entries(entries.cost, _plan(f, g, entries.cost, reg))


def entries_product(entries, v, transpose):
    """P v, or P' v."""
    return (entries.plan.T if transpose else entries.plan) @ v


def newton_matrix(entries, a, b, c, threshold, shift):
    """S = diag(c) - P' diag(1/a) P without the subtraction that cancels.

    Sampled entries stand for the whole plan: then c_j counts half in r_j.
    With W_i the sum of the kept entries of row i and r_j = c_j less the kept
    entries of column j:  S v = (r + shift) v + sum_ij P_ij (v_j - P_i. v / W_i).
    """
    xp = namespace_of(c)
    P = entries.plan
    P = xp.where(threshold * xp.minimum(a[:, None], b[None, :]) < P, P, 0.0)
    W = xp.sum(P, axis=1)
    W = xp.where(W > 0, W, 1.0)
    # Of a sample nothing was dropped, but a column that it missed needs a hold.
    expected = 0.5 * c if entries.sampled else c
    dropped = xp.maximum(expected - xp.sum(P, axis=0), 0.0)
    extra = dropped + shift
    # The rest of a row, W_i - P_ij, cancels for the row's dominant entry.
    column = xp.arange(c.shape[0])[None, :]
    dominant = column == xp.argmax(P, axis=1)[:, None]
    rest_of_dominant = xp.sum(xp.where(dominant, 0.0, P), axis=1)[:, None]
    rest = xp.where(dominant, rest_of_dominant, W[:, None] - P)
    diagonal = extra + xp.sum(P * rest / W[:, None], axis=0)
    kept = int(xp.count_nonzero(P))
    return NewtonMatrix(P, W, extra, diagonal, kept, float(xp.sum(dropped)))


def newton_product(matrix, v):
    """S v."""
    P = matrix.plan
    average = (P @ v) / matrix.row_sums
    xp = namespace_of(v)
    return matrix.extra * v + xp.sum(P * (v[None, :] - average[:, None]), axis=0)


def newton_cg(matrix, rhs, rtol, maxiter):
    """S d = rhs by conjugate gradients, with the diagonal of S as preconditioner."""
    return conjugate_gradients(
        lambda v: newton_product(matrix, v), matrix.diagonal, rhs, rtol, maxiter
    )


def newton_dense(matrix, rhs):
    """Cholesky; the diagonal is the sum of the off-diagonal weights and extra."""
    xp = namespace_of(rhs)
    P = matrix.plan
    m = rhs.shape[0]
    weights = P.T @ (P / matrix.row_sums[:, None])
    weights = xp.where(xp.eye(m, dtype=xp.bool), 0.0, weights)
    S = xp.eye(m) * (xp.sum(weights, axis=1) + matrix.extra)[:, None] - weights
    # Rounding can leave a matrix with tiny `extra` not quite definite.
    nudge = 1e-15 * float(xp.sum(xp.abs(matrix.diagonal))) / m
    for _ in range(10):
        try:
            return _cholesky_solve(S, rhs)
        except (ArithmeticError, ValueError, RuntimeError):  # LinAlgError is a ValueError
            S = S + nudge * xp.eye(m)
            nudge *= 100.0
    return rhs / matrix.diagonal


def _cholesky_solve(S, rhs):
    xp = namespace_of(rhs)
    L = xp.linalg.cholesky(S)
    y = xp.linalg.solve(L, rhs[:, None])
    x = xp.linalg.solve(L.T, y)[:, 0]
    if not bool(xp.all(xp.isfinite(x))):
        raise ArithmeticError
    return x
