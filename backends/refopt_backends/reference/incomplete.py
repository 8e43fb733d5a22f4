"""Conjugate gradients with an incomplete factor, in words of the Array-API standard.

With A = L + D + L', L strictly lower, the preconditioner is
M = (L + P) P^-1 (L + P)' of a diagonal P. Scaled on both sides by P^-1/2 so that
P = 1, conjugate gradients run on

    (1 + L)^-1 A (1 + L')^-1 = T + (1 + L)^-1 (1 + (D - 2) T),   T = (1 + L')^-1,

which takes one sweep back and one forth, no more than a product with A [1]_.

References
----------
.. [1] S. C. Eisenstat, Efficient implementation of a class of preconditioned
   conjugate gradient methods, SIAM J. Sci. Stat. Comput. 2(1), 1981.
.. [2] I. Gustafsson, A class of first order factorization methods, BIT 18, 1978.
"""

from dataclasses import dataclass
from typing import Any

from refopt_backends._array_functions import diagonal_of
from refopt_backends._home import namespace_of

LEAST = 1e-15  # pivot, in units of the diagonal entry


@dataclass(frozen=True)
class Factor:
    """Attributes: ``lower`` (m, m), 1 + L; ``scale`` (m,), P^-1/2; ``excess`` (m,), D - 2."""

    lower: Any
    scale: Any
    excess: Any


def incomplete_factor(system, moved):
    """P_i = D_i - sum_{j<i} A_ij^2/P_j - moved sum_{j<i} |A_ij|/P_j sum_{k>j, k!=i} |A_jk|."""
    A = system.matrix
    xp = namespace_of(A)
    n = A.shape[0]
    d = diagonal_of(A)
    V = xp.abs(A - xp.eye(n) * d)
    later = xp.sum(xp.triu(V), axis=1)
    P = xp.asarray(d, copy=True)
    for i in range(n):
        v = V[i, :i]
        P[i] -= xp.sum(v * (v + moved * (later[:i] - v)) / P[:i])
        P[i] = xp.maximum(P[i], LEAST * d[i])
    scale = 1.0 / xp.sqrt(P)
    L = xp.tril(-V) * scale[:, None] * scale[None, :]
    return Factor(L + xp.eye(n), scale, d / P - 2.0)


def incomplete_cg_start(factor, R):
    """The residual of the scaled problem."""
    xp = namespace_of(R)
    return xp.linalg.solve(factor.lower, (factor.scale * R).T).T


def incomplete_cg_steps(factor, X, R, D, beta, steps):
    """So many steps for each row; D is the last direction, and beta its share in the next."""
    xp = namespace_of(X)
    lower, g = factor.lower, factor.excess
    fall, rho = xp.zeros_like(beta), xp.sum(R * R, axis=1)
    for step in range(int(xp.max(steps)) if steps.shape[0] else 0):
        on = (step < steps)[:, None]
        D = xp.where(on, R + beta[:, None] * D, D)
        T = xp.linalg.solve(lower.T, D.T).T
        curvature = xp.sum(T * (2.0 * D + g * T), axis=1)
        alpha = xp.where(on[:, 0], _ratio(xp, rho, curvature), 0.0)
        X = X + alpha[:, None] * factor.scale * T
        R = R - alpha[:, None] * (T + xp.linalg.solve(lower, (D + g * T).T).T)
        fall = fall + 0.5 * alpha * rho
        new = xp.sum(R * R, axis=1)
        beta = xp.where(on[:, 0], _ratio(xp, new, rho), beta)
        rho = new
    true = (R @ lower.T) / factor.scale
    return X, R, D, beta, xp.sum(true * true, axis=1), fall


def _ratio(xp, a, b):
    return xp.where(b > 0, a / xp.where(b > 0, b, 1.0), 0.0)
