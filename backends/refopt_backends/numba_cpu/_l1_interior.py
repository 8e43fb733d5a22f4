"""L1 problems with a Gram matrix by an interior-point method, where nonzeros change too often.

With w = u - v and the slacks a = penalty - h, b = penalty + h of h = q - G w,

    u, v, a, b >= 0,    u_j a_j = v_j b_j = mu -> 0,

by Mehrotra's predictor and corrector: one factorisation of I + D G D per
iteration, D^2 = u / a + v / b, whatever columns depend on others. Some 15 to 25
iterations tell the nonzeros, after which Newton steps are the better way.
"""

import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit
from refopt_backends.numba_cpu._l1_newton import cholesky, solve

PATIENCE = 4.0  # factorisations of the whole G that Newton steps may spend first
FINISH = 1e-8  # accuracy beside the penalty from there on: the right nonzeros give it at once
_ITERATIONS = 40
_ENOUGH = 1e-3  # complementarity beside the penalty that tells the nonzeros
_SHARE = 0.995  # of the way to the boundary
_ROUNDING = 1e-16  # pivots are 1 and more


@jit(fastmath=FAST)
def interior_point(G, q, penalty, w, positive):
    """Put into w the nonzeros that the method finds, if that is better. The factorisations."""
    k = q.size
    curvature, largest = np.diag(G).copy(), np.max(np.abs(q))
    u = np.full(k, largest / np.max(curvature))
    v = u.copy()
    h = q.copy()
    if positive:
        v[:] = 0.0
        h -= np.dot(G, u)
    a = np.maximum(penalty - h, 0.0) + largest
    b = np.ones(k) if positive else np.maximum(penalty + h, 0.0) + largest
    sides = 1 if positive else 2
    best, least = u - v, np.inf
    factored, skipped = 0, np.zeros(k, np.bool_)
    while factored < _ITERATIONS:
        off_a, off_b = penalty - h - a, penalty + h - b
        if positive:
            off_b[:] = 0.0
        worst = 0.0
        for j in range(k):
            worst = max(worst, abs(off_a[j]), min(u[j] * curvature[j], a[j]))
            worst = max(worst, abs(off_b[j]), min(v[j] * curvature[j], b[j]))
        if worst < least:
            least = worst
            for j in range(k):
                up, down = u[j] * curvature[j] > a[j], v[j] * curvature[j] > b[j]
                best[j] = u[j] - v[j] if up or down else 0.0
        # Rounding ends the descent where mu is small beside it.
        if worst <= _ENOUGH * np.max(penalty) or not worst <= 100.0 * least:
            break
        D = np.sqrt(u / a + v / b)
        L = np.empty((k, k))
        for i in range(k):
            row, to = G[i], L[i]
            for j in range(k):
                to[j] = D[i] * row[j] * D[j]
            to[i] += 1.0
        cholesky(L, skipped, _ROUNDING)
        factored += 1
        mu = u @ a + v @ b
        to_u, to_v = -u * a, -v * b
        du, dv, da, db, _ = _step(G, L, D, u, v, a, b, off_a, off_b, to_u, to_v, positive)
        t = min(1.0, _room(u, du), _room(v, dv), _room(a, da), _room(b, db))
        after = (u + t * du) @ (a + t * da) + (v + t * dv) @ (b + t * db)
        center = mu / (sides * k) * (after / mu) ** 3
        to_u += center - du * da
        if not positive:
            to_v += center - dv * db
        du, dv, da, db, change = _step(G, L, D, u, v, a, b, off_a, off_b, to_u, to_v, positive)
        t = min(1.0, _SHARE * min(_room(u, du), _room(v, dv), _room(a, da), _room(b, db)))
        u += t * du
        v += t * dv
        a += t * da
        b += t * db
        h -= t * change
    _keep_the_better(G, q, penalty, w, best)
    return factored


@jit(fastmath=FAST)
def _step(G, L, D, u, v, a, b, off_a, off_b, to_u, to_v, positive):
    """The Newton step with u da + a du = to_u, v db + b dv = to_v, and the slacks' errors undone.

    Returns du, dv, da, db and G (du - dv).
    """
    wanted = ((to_u - u * off_a) / a - (to_v - v * off_b) / b) / D
    z = wanted.copy()
    solve(L, z)
    rest = wanted - z - D * np.dot(G, D * z)
    solve(L, rest)
    change = np.dot(G, D * (z + rest))
    da, db = off_a + change, off_b - change
    if positive:
        db[:] = 0.0
    return (to_u - u * da) / a, (to_v - v * db) / b, da, db, change


@jit(fastmath=FAST)
def _room(x, dx):
    """The largest t with x + t dx >= 0."""
    t = np.inf
    for j in range(x.size):
        if x[j] + t * dx[j] < 0.0:
            t = -x[j] / dx[j]
    return t


@jit(fastmath=FAST)
def _keep_the_better(G, q, penalty, w, new):
    """w <- new where the quadratic with its penalty is less there."""
    step = new - w
    rise = 0.5 * (step @ np.dot(G, step)) - step @ (q - np.dot(G, w))
    for j in range(w.size):
        rise += penalty[j] * (abs(new[j]) - abs(w[j]))
    if rise < 0.0:
        w[:] = new
