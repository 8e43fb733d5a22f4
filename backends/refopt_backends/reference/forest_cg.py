"""Conjugate gradients over forests that cover a graph, in words of the Array-API standard.

With A = L + P + L', P block diagonal with one forest in each block and L strictly
lower by blocks, the preconditioner is the symmetric sweep M = (L + P) P^-1 (L + P)'
over the forests. As with a diagonal P, see incomplete.py, a step needs no product
with A: with W = P V,

    (L + P)^-1 A T = T + (L + P)^-1 (W - P T),   T = (L + P)'^-1 W,

and P T falls off from the sweep. The equations of the first forest are solved at
the start and stay so, for which no further solve is needed, and in the last forest
T = V. With two forests, one solve in each, this is the method of conjugate
gradients on the Schur complement A22 - A21 A11^-1 A12.
"""

from dataclasses import dataclass
from typing import Any

from refopt_backends._home import namespace_of
from refopt_backends.reference.forests import forest_order
from refopt_backends.reference.incomplete import _ratio


@dataclass(frozen=True)
class Blocks:
    """Attributes: ``matrix``, A; ``blocks``, P; ``lower``, L + P; ``first``, a mask (m,)."""

    matrix: Any
    blocks: Any
    lower: Any
    first: Any


def forest_blocks(system, labels):
    """The forests' part P of A; if one of them has a cycle: its nodes."""
    A = system.matrix
    xp = namespace_of(A)
    P = xp.where(labels[:, None] == labels[None, :], A, 0.0)
    L = xp.where(labels[:, None] > labels[None, :], A, 0.0)
    rows, columns = xp.nonzero(P)
    starts = xp.searchsorted(rows, xp.arange(A.shape[0] + 1))
    cycle = forest_order(starts, columns, P[rows, columns])[4]
    return Blocks(A, P, L + P, labels == xp.min(labels)), cycle


def forest_cg_start(factor, X, R):
    """X with the first forest's equations solved, and the residual of the scaled problem."""
    xp = namespace_of(X)
    step = xp.linalg.solve(factor.blocks, xp.where(factor.first, R, 0.0).T).T
    X, R = X + step, xp.where(factor.first, 0.0, R - step @ factor.matrix)
    return X, xp.linalg.solve(factor.lower, R.T).T


def forest_cg_steps(factor, X, R, D, beta, steps):
    """So many steps for each row; D is the last direction, and beta its share in the next."""
    xp = namespace_of(X)
    lower, P = factor.lower, factor.blocks
    fall, rho = xp.zeros_like(beta), xp.sum(R * (R @ P), axis=1)
    for step in range(int(xp.max(steps)) if steps.shape[0] else 0):
        on = (step < steps)[:, None]
        D = xp.where(on, R + beta[:, None] * D, D)
        W = D @ P
        T = xp.linalg.solve(lower.T, W.T).T
        curvature = xp.sum(T * (2.0 * W - T @ P), axis=1)
        alpha = xp.where(on[:, 0], _ratio(xp, rho, curvature), 0.0)
        X = X + alpha[:, None] * T
        R = R - alpha[:, None] * (T + xp.linalg.solve(lower, (W - T @ P).T).T)
        fall = fall + 0.5 * alpha * rho
        new = xp.sum(R * (R @ P), axis=1)
        beta = xp.where(on[:, 0], _ratio(xp, new, rho), beta)
        rho = new
    true = R @ lower.T
    return X, R, D, beta, xp.sum(true * true, axis=1), fall
