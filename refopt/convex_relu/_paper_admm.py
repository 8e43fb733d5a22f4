"""The paper's alternating directions, literally.

u is a copy of (v, w), s >= 0 are slacks, lam and nu scaled duals, rho one fixed penalty:

    u   <- argmin f(F u) + rho/2 ||u - v + lam||^2 + rho/2 ||G u - s + nu||^2
    v_i <- (1 - (beta/rho)/||u_i + lam_i||)_+ (u_i + lam_i),   s <- (G u + nu)_+
    lam <- lam + gamma (u - v),   nu <- nu + gamma (G u - s)

For the squared loss u solves (I + F'F/rho + G'G) u = F'y/rho + v - lam + G'(s - nu), a system
of 2 d P unknowns; G_j'G_j = X'X makes it one of n. Newton's method solves a sequence of them
for another differentiable loss, and `BlockDescent` is the paper's solver for any.
"""

from collections.abc import Generator
from typing import Any

from refopt._driver import Iterate
from refopt.convex_relu._admm import feasible_columns, network_value
from refopt.convex_relu._interior_point import relative_gap
from refopt.convex_relu._program import Program, row_norms
from refopt.convex_relu._rbcd import BlockDescent
from refopt.convex_relu._u_steps import conjugate_gradients
from refopt_backends import euclidean_norm

_FIRST, _DECAY = 1e-2, 0.9  # relative residual of the subproblem, and from one to the next
_LEAST = 1e-12
_NEWTON_STEPS, _HALVINGS = 50, 40


class _Linear:
    """The system of the squared loss."""

    def __init__(self, program: Program, rho: float, u_step: Any):
        self.program = program
        self.system = u_step(program, 1.0, 1.0 / rho)
        self.constant = program.pull(program.y) / rho

    def solve(self, B: Any, U: Any) -> tuple[Any, Any]:
        """U and F U."""
        U = self.system.solve(self.constant + B)
        return U, self.program.apply(U)


class _Newton:
    """Newton's method with conjugate gradients on n equations, to a residual that decreases.

    A step solves rho U K + F' diag(h) F U = -gradient, K = I + X'X, by
    (rho + h^1/2 F K^-1 F' h^1/2) p = h^1/2 F K^-1 gradient.
    """

    def __init__(self, program: Program, rho: float):
        xp, X = program.xp, program.X
        self.program, self.rho, self.tol = program, rho, _FIRST
        self.K = xp.eye(X.shape[1]) + X.T @ X
        self.K_inverse = xp.linalg.inv(self.K)

    def solve(self, B: Any, U: Any) -> tuple[Any, Any]:
        """U and F U."""
        program, rho, xp = self.program, self.rho, self.program.xp
        loss, y = program.loss, program.y
        z = program.apply(U)
        value = loss.value(z, y)
        for _ in range(_NEWTON_STEPS):
            r = loss.gradient(z, y)
            pull = U @ self.K - B
            g = program.pull(r) + rho * pull
            if euclidean_norm(g) <= self.tol * (euclidean_norm(program.pull(r)) + 1e-300):
                break
            root = xp.sqrt(loss.curvature(z, y))

            def product(p, root=root):
                return rho * p + root * program.apply(program.pull(root * p) @ self.K_inverse)

            b = root * program.apply(g @ self.K_inverse)
            p = conjugate_gradients(product, b, xp.zeros_like(z), 0.1 * self.tol)
            dU = (program.pull(root * p) - g) @ self.K_inverse / rho
            dz, slope = program.apply(dU), float(xp.sum(g * dU))
            bend = float(xp.sum(dU * (dU @ self.K)))
            step = 1.0
            for _ in range(_HALVINGS):
                new = loss.value(z + step * dz, y)
                along = rho * step * (float(xp.sum(pull * dU)) + 0.5 * step * bend)
                if new - value + along <= 1e-4 * step * slope:
                    break
                step *= 0.5
            else:
                break
            U, z, value = U + step * dU, z + step * dz, new
        self.tol = max(_LEAST, _DECAY * self.tol)
        return U, z


def paper_admm(
    program: Program,
    directions: Any,
    u_step: Any,
    *,
    rho: float = 1.0,
    gamma_ratio: float = 1.0,
    rng: Any = None,
) -> Generator[Iterate, None, tuple[int, str] | None]:
    """Iterate, an `Iterate` for every step.

    Parameters
    ----------
    program : Program
        Of a differentiable loss.
    directions : array, shape (P, d)
        Inside the cones of the patterns.
    u_step : type
        Of `U_STEPS` for the squared loss; `BlockDescent`.
    rho : float
        The penalty.
    gamma_ratio : float
        The step of the duals over rho.
    rng : Generator, optional
        Of `BlockDescent`.

    Yields
    ------
    Iterate
        As of `interior_point`. ``primal_residual`` is the larger of ||u - v|| and
        ||G u - s||; ``dual_residual`` the largest of ||F'grad f(F u) + rho (lam + G'nu)|| and
        the distances of rho lam_i to the subgradients of beta ||v_i||.
    """
    xp, X, S, y, beta = program.xp, program.X, program.S, program.y, program.beta
    C, n, d = program.size
    if u_step is BlockDescent:
        inner: Any = BlockDescent(program, rho, rng)
    else:
        inner = _Linear(program, rho, u_step) if program.loss.quadratic else _Newton(program, rho)
    inside = xp.take(directions, program.of, axis=0)
    margins = S * (inside @ X.T)
    u, v, lam = xp.zeros((C, d)), xp.zeros((C, d)), xp.zeros((C, d))
    s, nu, Gu = xp.zeros((C, n)), xp.zeros((C, n)), xp.zeros((C, n))
    r, best, dual = program.loss.gradient(xp.zeros(n), y), None, 0.0
    while True:
        feasible, value = feasible_columns(program, v, inside, margins)
        A = xp.maximum(-rho * nu, xp.zeros_like(nu))
        forces = program.pull(r)
        bound = program.dual_value(r, forces - program.pull_cone(A))
        if best is None or value < best[0]:
            best = value, feasible, program.predict(feasible @ X.T)
        if bound >= dual:
            dual, certificate = bound, (r, A)
        balance = forces + rho * (lam + program.pull_cone(nu))
        record = {
            "dual": dual,
            "mu": rho,
            "net": network_value(program, v),
            "primal_residual": max(euclidean_norm(u - v), euclidean_norm(Gu - s)),
            "dual_residual": max(euclidean_norm(balance), _off_subgradient(xp, v, rho * lam, beta)),
        }
        error = relative_gap(best[0], dual)
        yield Iterate(x=(*best[1:], *certificate), fun=best[0], error=error, record=record)
        u, z = inner.solve(v - lam + program.pull_cone(s - nu), u)
        Gu = S * (u @ X.T)
        v, _ = program.kernels.group_soft(u + lam, beta / rho)
        s = xp.maximum(Gu + nu, xp.zeros_like(nu))
        lam = lam + gamma_ratio * (u - v)
        nu = nu + gamma_ratio * (Gu - s)
        r = program.loss.gradient(z, y)


def _off_subgradient(xp, v, force, beta):
    """The norm of the distances of forces to the subgradients of beta ||v_i||."""
    sizes = row_norms(xp, v)
    safe = xp.where(sizes > 0, sizes, xp.ones_like(sizes))
    moving = row_norms(xp, beta * v / safe[:, None] - force)
    still = xp.maximum(row_norms(xp, force) - beta, xp.zeros_like(sizes))
    return euclidean_norm(xp.where(sizes > 0, moving, still))
