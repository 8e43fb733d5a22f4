"""Local maximisers of ``h(u) = q'(X u)_+`` on the unit sphere, from many starts at once.

Directions are the rows of U. Rows of X with q_k > 0 bend h upwards, those with q_k < 0
downwards: h is a difference of convex functions.
"""

from typing import Any

import numpy as np

from refopt.convex_relu._gates import on_host
from refopt_backends import namespace_of

_HALVINGS = 11
_TRIED, _FEWEST = 2, 40  # steps of all starts; how many are not thinned out further
_RTOL = 1e-12  # an increase of h below this share is none


def prices(X: Any, q: Any, U: Any) -> Any:
    """h at every row of U."""
    xp = namespace_of(X)
    H = U @ X.T
    return xp.maximum(H, xp.zeros_like(H)) @ q


def normalised(W: Any) -> Any:
    """Rows of length 1; zero rows stay."""
    xp = namespace_of(W)
    norms = xp.sqrt(xp.sum(W * W, axis=1))
    return W / xp.where(norms > 0, norms, xp.ones_like(norms))[:, None]


def arc(X: Any, q: Any, U: Any, maxiter: int = 40) -> Any:
    """Move towards c/||c||, the maximiser if the cell had no end, as far as h increases."""
    xp = namespace_of(X)
    U = normalised(U)
    value = prices(X, q, U)
    for _ in range(maxiter):
        H = U @ X.T
        C = normalised(xp.where(H > 0, q, xp.zeros_like(q)) @ X)
        new, best, waiting = U, value, xp.ones_like(value) > 0
        for halving in range(_HALVINGS + 1):
            trial = normalised(U + 0.5**halving * (C - U))
            height = prices(X, q, trial)
            found = waiting & (height > value + _RTOL * xp.abs(value))
            new = xp.where(found[:, None], trial, new)
            best = xp.where(found, height, best)
            waiting = waiting & ~found
            if not bool(xp.any(waiting)):
                break
        if bool(xp.all(waiting)):
            break
        U, value = new, best
    return U


def dca(X: Any, q: Any, U: Any, kernels: Any, maxiter: int = 60, thin: bool = False) -> Any:
    """Linearise the convex part at U, maximise the rest exactly: a box least squares problem.

    With g the sum of q_k x_k over q_k > 0, x_k'u > 0 the next u is w/||w||,
    w = g - sum a_k x_k, a the minimiser of ||w|| over 0 <= a_k <= -q_k. h never falls, and a
    fixed point satisfies the optimality condition of a local maximiser.
    """
    xp = namespace_of(X)
    U = normalised(U)
    upper = xp.maximum(-q, xp.zeros_like(q))
    gains = xp.maximum(q, xp.zeros_like(q))
    H = U @ X.T
    A = xp.where(H > 0, upper, xp.zeros_like(upper))
    value = prices(X, q, U)
    moving = xp.arange(U.shape[0])
    for step in range(maxiter):
        H = xp.take(U, moving, axis=0) @ X.T
        G = xp.where(H > 0, gains, xp.zeros_like(gains)) @ X
        W, multipliers = kernels.box_least_squares(X, upper, G, xp.take(A, moving, axis=0))
        W = normalised(W)
        height = prices(X, q, W)
        risen = height > xp.take(value, moving) * (1 + _RTOL)
        if thin and step >= _TRIED and height.shape[0] > _FEWEST:  # the lower half is left behind
            risen = risen & (height >= xp.sort(height)[height.shape[0] // 2])
        risen = xp.nonzero(risen)[0]
        moving = xp.take(moving, risen)
        if not moving.shape[0]:
            break
        U[moving, :], A[moving, :] = W[risen, :], multipliers[risen, :]
        value[moving] = height[risen]
    return U


def pivot(X: Any, q: Any, U: Any, kernels: Any, maxiter: int = 100) -> Any:
    """Maximise within a cell, then cross those of its walls behind which h is larger.

    In the cell of signs S the maximiser is p/||p||, p = c - sum A_k S_k x_k nearest to zero
    over A >= 0; a wall with A_k > 0 and A_k + q_k > 0 is crossed.
    """
    xp = namespace_of(X)
    U = normalised(U)
    for b in range(U.shape[0]):
        U[b, :] = _pivot_one(xp, X, q, U[b, :], kernels, maxiter)
    return U


def _pivot_one(xp, X, q, u, kernels, maxiter):
    S = xp.where(X @ u >= 0, xp.ones_like(q), -xp.ones_like(q))
    best, value = u, float(prices(X, q, u[None, :])[0])
    new, A = _in_cell(xp, X, q, S, kernels)
    for _ in range(maxiter):
        height = float(prices(X, q, new[None, :])[0])
        if height > value * (1 + _RTOL):
            best, value = new, height
        gain = on_host(xp.where(A > 0, A + q, xp.zeros_like(q)))
        crossing = np.argsort(-gain, kind="stable")[: int(np.sum(gain > 0))].tolist()
        if not crossing:
            break
        for walls in (crossing, *([k] for k in crossing)):
            T = xp.asarray(S, copy=True)
            for k in walls:
                T[k] = -T[k]
            new, beyond = _in_cell(xp, X, q, T, kernels)
            if float(prices(X, q, new[None, :])[0]) > value * (1 + _RTOL):
                S, A = T, beyond
                break
        else:
            break
    return best


def _in_cell(xp, X, q, S, kernels):
    """The maximiser of h in the closed cell of signs S, and the multipliers of its walls."""
    c = xp.where(S > 0, q, xp.zeros_like(q)) @ X
    walls = S[:, None] * X
    W, A = kernels.box_least_squares(
        walls, xp.full_like(q, xp.inf), -c[None, :], xp.zeros_like(q)[None, :]
    )
    return normalised(-W)[0, :], A[0, :]
