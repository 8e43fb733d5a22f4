"""Adversarial training: the convex program whose neurons keep their gates under attack.

    min sum_k phi_k(q_k) + beta sum_j ||u_j||,   q_k = sum_j sigma_j d_kj u_j,
    (S_j X u_j)_k >= epsilon ||(u_j)_J||_p*  for all k

phi_k(q) is the worst loss of the linear prediction (x_k + delta)'q. Every feasible point
is a network with this worst loss. Alternating directions, with copies of U (its norms),
U_J and tau (an epigraph), S X U and tau (margins), F U and Q_J (the losses).
"""

from collections.abc import Generator
from typing import Any

from refopt._driver import Iterate
from refopt.convex_relu import _robust_losses
from refopt.convex_relu._admm import CHECK_EVERY, _norm
from refopt.convex_relu._interior_point import relative_gap
from refopt.convex_relu._program import Program, row_norms
from refopt.convex_relu._robust_norms import DualNorm, margin_projection
from refopt_backends import cholesky

_ETA = 30.0
_KAPPA = 4.0
_ADAPTED = 8_000
_PERCEPTRON = 1_000


class _System:
    """U K + kappa_y B U diag(J) + kappa_z F'F U = R, B = signed signed'."""

    def __init__(self, program: Program, K: Any, on: Any, kappa_z: float, kappa_y: float):
        xp, X = program.xp, program.X
        self.program = program
        c, self.H = xp.linalg.eigh(program.signed @ program.signed.T)
        self.inverse = xp.linalg.inv(K + kappa_y * c[:, None, None] * (on * xp.eye(X.shape[1])))
        mixed = self.H.T @ program.signed
        M = xp.eye(X.shape[0]) / kappa_z
        for a, inverse in zip(mixed, self.inverse, strict=True):
            M = M + (a[:, None] * X) @ inverse @ (a[:, None] * X).T
        root = xp.linalg.inv(cholesky(M))
        self.M_inverse = root.T @ root

    def _uncoupled(self, R):
        xp = self.program.xp
        return self.H @ xp.matmul((self.H.T @ R)[:, None, :], self.inverse)[:, 0, :]

    def solve(self, R: Any) -> Any:
        """U."""
        first = self._uncoupled(R)
        p = self.M_inverse @ self.program.predict(first @ self.program.X.T)
        return first - self._uncoupled(self.program.pull(p))


def robust_directions(program: Program, directions: Any, norm: Any, epsilon: float) -> Any:
    """Directions with margins under attack, one per column; zero where none was found."""
    xp, X, S = program.xp, program.X, program.S
    g = xp.take(directions, program.of, axis=0)
    g = g / row_norms(xp, g)[:, None]
    size = xp.sqrt(xp.max(xp.sum(X * X, axis=1)))
    rows = xp.arange(g.shape[0])
    for _ in range(_PERCEPTRON):
        margins = S * (g @ X.T) - epsilon * norm(g)[:, None]
        worst = xp.argmin(margins, axis=1)
        least = margins[rows, worst]
        bad = least <= 1e-3 * size * row_norms(xp, g)
        if not bool(xp.any(bad)):
            break
        ascent = S[rows, worst][:, None] * X[worst, :] - epsilon * norm.slope(g)
        g = g + xp.where(bad, 1.0, 0.0)[:, None] * ascent / size
    margins = S * (g @ X.T) - epsilon * norm(g)[:, None]
    inside = xp.min(margins, axis=1) > 0
    return xp.where(inside[:, None], g, xp.zeros_like(g))


def robust_admm(
    program: Program, directions: Any, epsilon: float, p: float, on: Any, relax: float = 1.6
) -> Generator[Iterate, None, tuple[int, str] | None]:
    """Iterate, an `Iterate` for every `CHECK_EVERY` steps.

    Parameters
    ----------
    program : Program
    directions : array, shape (P, d)
        Inside the cones of the patterns.
    epsilon : float
        Radius of the attacks.
    p : float
        Their norm, 2 or infinity.
    on : array, shape (d,)
        1 for features that may be perturbed, else 0.
    relax : float
        Over-relaxation.

    Yields
    ------
    Iterate
        ``x`` is (U, z, sigma, A) as of `interior_point`, sigma the slopes along x_k.
    """
    xp, X, S, y, beta = program.xp, program.X, program.S, program.y, program.beta
    name, norm = type(program.loss).__name__, DualNorm(xp, p, on)
    C, n, d = program.size
    trace = float(xp.sum(X * X))
    eta, omega, rho = _ETA * d / trace, 1.0, beta
    wz = _KAPPA * n / (C / 2 * trace)
    wy = wz * trace / n / d
    K = xp.eye(d) * (1 + omega * on) + eta * X.T @ X
    system = _System(program, K, on, wz, wy)
    inner = robust_directions(program, directions, norm, epsilon)
    weights = 1.0, omega, omega, eta, eta, wz, wy
    copies = [xp.zeros((C, d)), xp.zeros((C, d)), xp.zeros(C), xp.zeros((C, n)), xp.zeros(C),
              xp.zeros(n), xp.zeros((n, d))]  # fmt: skip
    duals = [xp.zeros_like(x) for x in copies]
    t, best, dual, k = xp.zeros(n), None, 0.0, 0
    while True:
        U = _feasible(program, norm, epsilon, copies[0], inner)
        z, Q = program.predict(U @ X.T), program.signed.T @ U
        value = _robust_losses.worst(xp, name, z, epsilon * norm(Q), y, program.loss)
        value += beta * float(xp.sum(row_norms(xp, U)))
        sigma, h = rho * wz * duals[5], rho * wy * duals[6]
        A = xp.maximum(-rho * eta * duals[3], xp.zeros((C, n)))
        R = sigma[:, None] * X + h
        slopes = program.signed @ R - program.pull_cone(A)
        distances = row_norms(xp, norm.shrink(slopes, epsilon * xp.sum(A, axis=1)))
        largest = float(xp.max(distances))
        most = beta / largest if largest > 0 else float("inf")
        bound = _robust_losses.dual_value(xp, name, sigma, t, y, most, program.loss)
        if best is None or value < best[0]:
            best = value, U, z
        if k == 0 or bound >= dual:
            dual, certificate = bound, (sigma, A)
        record = {"dual": dual, "mu": float(rho)}
        gap = relative_gap(best[0], dual)
        yield Iterate(x=(*best[1:], *certificate), fun=best[0], error=gap, record=record)
        for _ in range(CHECK_EVERY):
            k += 1
            V, Y, te, s, tc, zc, Yq = (x - m for x, m in zip(copies, duals, strict=True))
            rest = V + omega * on * Y + eta * program.pull_cone(s)
            rest = rest + wz * program.pull(zc) + wy * (program.signed @ (on * Yq))
            U = system.solve(rest)
            T = (omega * te + eta * tc) / (omega + eta)
            XU = U @ X.T
            images = [U, on * U, T, S * XU, T, program.predict(XU), on * (program.signed.T @ U)]
            moved = [
                relax * x + (1 - relax) * c + m
                for x, c, m in zip(images, copies, duals, strict=True)
            ]
            old, copies = copies, [program.kernels.group_soft(moved[0], beta / rho)[0]]
            copies += norm.epigraph(moved[1], moved[2])
            copies += margin_projection(xp, moved[3], moved[4], epsilon)
            zc, Yq, t = _robust_losses.proximal(
                xp, name, norm, moved[5], moved[6], y, epsilon, rho * wz, rho * wy
            )
            copies += [zc, Yq]
            duals = [m - c for m, c in zip(moved, copies, strict=True)]
        if k < _ADAPTED:
            primal = _norm(weights, [a - b for a, b in zip(images, copies, strict=True)])
            change = _norm(weights, [a - b for a, b in zip(copies, old, strict=True)])
            size, force = max(_norm(weights, images), _norm(weights, copies)), _norm(weights, duals)
            if min(primal, change, size, force) > 0:
                c = (primal / size / (change / force)) ** 0.5
                if not 0.67 <= c <= 1.5:
                    c = min(max(c, 0.2), 5.0)
                    rho, duals = rho * c, [m / c for m in duals]


def _feasible(program, norm, epsilon, V, inner):
    """V moved to margins under attack, zero where no direction has any."""
    xp, X, S = program.xp, program.X, program.S
    possible = xp.any(inner != 0, axis=1)
    margins = S * (inner @ X.T) - epsilon * norm(inner)[:, None]
    margins = xp.where(possible[:, None], margins, xp.ones_like(margins))
    need = epsilon * norm(V)[:, None] - S * (V @ X.T)
    shift = xp.max(need / margins, axis=1)
    shift = xp.where(shift > 0, shift * (1 + 1e-12), xp.zeros_like(shift))
    both = xp.zeros(program.masks.shape[0])
    for sigma in (1.0, -1.0):
        mine = xp.nonzero((program.sign == sigma) & possible)[0]
        both[program.of[mine]] = xp.maximum(both[program.of[mine]], shift[mine])
    U = V + xp.take(both, program.of)[:, None] * inner
    return xp.where(possible[:, None], U, xp.zeros_like(U))
