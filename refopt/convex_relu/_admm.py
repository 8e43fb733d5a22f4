"""Alternating directions with every part of the objective on a copy of its own.

    U = V (weight 1),   S_j X u_j = s_j (weight eta),   F U = z (weight kappa)

with one penalty rho: the system for U knows neither the loss nor rho, which adapts for
free. Copies have closed forms: soft thresholds of groups, positive parts, the loss's
proximal map.
"""

import math
from collections.abc import Generator
from typing import Any

from refopt._driver import Iterate
from refopt.convex_relu._interior_point import relative_gap
from refopt.convex_relu._program import Program, row_norms
from refopt.convex_relu._proximal_losses import PROXIMAL
from refopt_backends import euclidean_norm

CHECK_EVERY = 20
_ADAPTED = 20_000  # steps after which rho stays as it is, so that the iteration converges
_ETA = 30.0
_KAPPA = 4.0


def admm(
    program: Program,
    directions: Any,
    u_step: Any,
    *,
    rho: float | None = None,
    eta: float | None = None,
    kappa: float | None = None,
    relax: float = 1.8,
    adapt: bool = True,
    start: tuple | None = None,
) -> Generator[Iterate, None, tuple[int, str] | None]:
    """Iterate, an `Iterate` for every `CHECK_EVERY` steps.

    Parameters
    ----------
    program : Program
    directions : array, shape (P, d)
        Directions inside the patterns' cones, which make iterates feasible.
    u_step : type
        One of `U_STEPS`.
    rho, eta, kappa : float, optional
        Penalty and weights.
    relax : float
        Over-relaxation, between 0 and 2.
    adapt : bool
        Whether rho follows the ratio of the residuals.
    start : tuple, optional
        (U, z, r, A) to begin with, all duals included.

    Yields
    ------
    Iterate
        As of `interior_point`; ``net`` is the objective of the network with the columns V,
        the residuals are those of copies and of their steps, weighted.
    """
    xp, kernels, X, beta = program.xp, program.kernels, program.X, program.beta
    C, n, d = program.size
    trace = float(xp.sum(X * X))
    eta = _ETA * d / trace if eta is None else eta
    kappa = _KAPPA * n / (C / 2 * trace) if kappa is None else kappa
    rho = beta if rho is None else rho
    system = u_step(program, eta, kappa)
    prox = PROXIMAL[type(program.loss).__name__]
    inner = xp.take(directions, program.of, axis=0)
    margins = program.S * (inner @ X.T)

    V, L = xp.zeros((C, d)), xp.zeros((C, d))
    h = xp.zeros((C, n))  # slacks s = max(h, 0), their duals nu = min(h, 0)
    T = xp.zeros((C, n))  # S o (s - nu)
    z = system.copy(V, xp.zeros(n))
    mu, r = xp.zeros_like(z), program.loss.gradient(xp.zeros(n), program.y)
    if start is not None:
        V, zh, r, A = start
        L = (program.pull_cone(A) - program.pull(r)) / rho
        h = xp.maximum(program.S * (V @ X.T), xp.zeros_like(h)) - A / (rho * eta)
        T = program.S * xp.abs(h)
        z, mu = system.copy(V, zh), r / (rho * kappa)
        mu = mu if z.ndim == 1 else mu[:, None] * X
    best, dual, k, primal, moved = None, 0.0, 0, 0.0, 0.0
    weights = 1.0, kappa, eta
    while True:
        feasible, value = feasible_columns(program, V, inner, margins)
        A = -rho * eta * xp.minimum(h, xp.zeros_like(h))
        bound = program.dual_value(r, program.pull(r) - program.pull_cone(A))
        if best is None or value < best[0]:
            best = value, feasible, program.predict(feasible @ X.T)
        if k == 0 or bound >= dual:
            dual, certificate = bound, (r, A)
        gap = relative_gap(best[0], dual)
        record = {"dual": dual, "mu": float(rho), "net": network_value(program, V)}
        record |= {"primal_residual": primal, "dual_residual": moved}
        yield Iterate(x=(*best[1:], *certificate), fun=best[0], error=gap, record=record)
        for _ in range(CHECK_EVERY):
            k += 1
            B = V - L + eta * (T @ X) + kappa * system.adjoint(z - mu)
            U = system.solve(B)
            T = U @ X.T
            zh, squares = kernels.slack_pass(T, program.masks, program.of, program.sign, h, relax)
            yh = system.copy(U, zh)
            old = V, z
            V, L = kernels.group_soft(relax * U + (1 - relax) * V + L, beta / rho)
            y_ = relax * yh + (1 - relax) * z + mu
            z, r = system.proximal(prox, y_, rho * kappa)
            mu = y_ - z
        cones = [float(x) ** 0.5 for x in squares]
        primal = _norm(weights, (U - V, yh - z, cones[0]))
        moved = _norm(weights, (V - old[0], z - old[1], cones[1]))
        if adapt and k < _ADAPTED:
            size = max(_norm(weights, (U, yh, cones[2])), _norm(weights, (V, z, cones[3])))
            duals = _norm(weights, (L, mu, cones[4]))
            if min(primal, moved, size, duals) > 0:
                c = math.sqrt(primal / size / (moved / duals))
                if not 0.67 <= c <= 1.5:
                    c = min(max(c, 0.2), 5.0)
                    T = T + program.S * ((1 - 1 / c) * xp.minimum(h, xp.zeros_like(h)))
                    h = xp.where(h < 0, h / c, h)
                    rho, L, mu = rho * c, L / c, mu / c


def network_value(program: Program, V: Any) -> float:
    """The objective of the network with the columns V, whether or not in their cones."""
    xp = program.xp
    active = V @ program.X.T
    active = xp.maximum(active, xp.zeros_like(active))
    z = xp.sum(program.sign[:, None] * active, axis=0)
    return program.value(V, z)


def _norm(weights, parts):
    """The norm of parts: arrays, or norms that are known."""
    norms = (part if isinstance(part, float) else euclidean_norm(part) for part in parts)
    return math.sqrt(sum(w * norm**2 for w, norm in zip(weights, norms, strict=True)))


def feasible_columns(program, V, inner, margins):
    """V moved into the cones, both columns of a pattern alike, and its value.

    A common shift of v_i and w_i changes no prediction. For squares the best multiple.
    """
    xp = program.xp
    need = xp.max(-(program.S * (V @ program.X.T)) / margins, axis=1)
    need = xp.maximum(need, xp.zeros_like(need))
    shift = xp.zeros(program.masks.shape[0])
    for sigma in (1.0, -1.0):
        mine = xp.nonzero(program.sign == sigma)[0]
        shift[program.of[mine]] = xp.maximum(shift[program.of[mine]], need[mine])
    U = V + xp.take(shift, program.of)[:, None] * inner
    if program.loss.quadratic:
        z = program.predict(U @ program.X.T)
        norms = program.beta * float(xp.sum(row_norms(xp, U)))
        square = float(z @ z)
        scale = max(0.0, float(z @ program.y) - norms) / square if square > 0 else 0.0
        U = scale * U
    return U, program.value(U, program.predict(U @ program.X.T))
