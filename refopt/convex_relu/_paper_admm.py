"""The paper's alternating directions for the squared loss, literally.

u is a copy of (v, w), s >= 0 are slacks, lam and nu scaled duals, rho one fixed penalty:

    u   <- (I + F'F/rho + G'G)^-1 (F'y/rho + v - lam + G'(s - nu))
    v_i <- (1 - (beta/rho)/||u_i + lam_i||)_+ (u_i + lam_i),   s <- (G u + nu)_+
    lam <- lam + gamma (u - v),   nu <- nu + gamma (G u - s)

The system has 2 d P unknowns; G_j'G_j = X'X makes it one of n.
"""

from collections.abc import Generator
from typing import Any

from refopt._driver import Iterate
from refopt.convex_relu._admm import _feasible
from refopt.convex_relu._interior_point import relative_gap
from refopt.convex_relu._program import Program
from refopt.convex_relu._u_steps import Hadamard


def paper_admm(
    program: Program, directions: Any, *, rho: float = 1.0, gamma_ratio: float = 1.0
) -> Generator[Iterate, None, tuple[int, str] | None]:
    """Iterate, an `Iterate` for every step.

    Parameters
    ----------
    program : Program
        Of the squared loss.
    directions : array, shape (P, d)
        Inside the cones of the patterns.
    rho : float
        The penalty.
    gamma_ratio : float
        The step of the duals over rho.

    Yields
    ------
    Iterate
        As of `interior_point`.
    """
    xp, X, S, y = program.xp, program.X, program.S, program.y
    C, n, d = program.size
    system = Hadamard(program, 1.0, 1.0 / rho)
    inner = xp.take(directions, program.of, axis=0)
    margins = S * (inner @ X.T)
    constant = program.pull(y) / rho
    v, lam = xp.zeros((C, d)), xp.zeros((C, d))
    s, nu = xp.zeros((C, n)), xp.zeros((C, n))
    r, best, dual = -y, None, 0.0
    while True:
        feasible, value = _feasible(program, v, inner, margins)
        A = xp.maximum(-rho * nu, xp.zeros_like(nu))
        bound = program.dual_value(r, program.pull(r) - program.pull_cone(A))
        if best is None or value < best[0]:
            best = value, feasible, program.predict(feasible @ X.T)
        if bound >= dual:
            dual, certificate = bound, (r, A)
        record = {"dual": dual, "mu": rho}
        error = relative_gap(best[0], dual)
        yield Iterate(x=(*best[1:], *certificate), fun=best[0], error=error, record=record)
        u = system.solve(constant + v - lam + program.pull_cone(s - nu))
        Xu = u @ X.T
        v, _ = program.kernels.group_soft(u + lam, program.beta / rho)
        s = xp.maximum(S * Xu + nu, xp.zeros_like(nu))
        lam = lam + gamma_ratio * (u - v)
        nu = nu + gamma_ratio * (S * Xu - s)
        r = program.predict(Xu) - y
