"""Adversarial training: the convex program whose neurons keep their gates under attack.

    min sum_k phi_k(q_k) + beta sum_j ||u_j||,   q_k = sum_j sigma_j d_kj u_j,
    (S_j X u_j)_k >= epsilon ||(u_j)_J||_p*  for all k

phi_k(q) is the worst loss of the linear prediction (x_k + delta)'q. Every feasible point
is a network with this worst loss. An interior point method: each column, and each sample
with its q_k, is a small cone program (`_cone_blocks`), and one system couples them.
"""

from collections.abc import Generator
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt.convex_relu import _robust_losses
from refopt.convex_relu._cone_blocks import ConeBlocks, advance
from refopt.convex_relu._interior_point import relative_gap
from refopt.convex_relu._newton_systems import Pairs
from refopt.convex_relu._program import Program, row_norms, triangle
from refopt.convex_relu._robust_norms import DualNorm, epigraph
from refopt_backends import cholesky

_DIRECTION_STEPS = 60
_SHIFT = 1e-14  # of the trace, added to matrices that rounding may leave indefinite
_LEAST_MARGIN = 1e-10  # half the square of margins over the rows' lengths


def robust_directions(xp: Any, X: Any, masks: Any, epsilon: float, p: float, on: Any) -> Any:
    """A central direction with margins under attack for each pattern; zero where there is none.

    The minimiser of ||g||^2/2 less the logarithms of margins, from an interior point of
    max theta - ||g||^2/2, S X g - epsilon ||g_J||_p* >= theta, whose optimum has theta > 0 if
    and only if there are such directions.

    Parameters
    ----------
    X : array, shape (n, d)
    masks : bool array, shape (P, n)
    epsilon, p, on
        As of `robust_interior_point`.

    Returns
    -------
    y : array, shape (P, d + local)
        g and the local variables of its epigraph, see `Epigraph`.
    """
    (n, d), P = X.shape, masks.shape[0]
    norm = epigraph(xp, p, on)
    m = norm.size + 1
    size = float(xp.max(row_norms(xp, X)))
    A = margins(xp, X / size, masks, epsilon / size, norm)
    A[:, :n, -1] = -1.0
    y = xp.zeros((P, m))
    y[:, d:-1] = 1.0
    y[:, -1] = -1.0 - epsilon / size * float(xp.sum(norm.value))
    blocks = ConeBlocks(xp, y, A, xp.zeros(A.shape[:2]), norm.cones, d, 1.0)
    curvature, gradient = xp.zeros((P, m)), xp.zeros((P, m))
    curvature[:, :d], gradient[:, -1] = 1.0, -1.0
    found = xp.zeros((P, m - 1))
    for _ in range(_DIRECTION_STEPS):
        new = (blocks.y[:, -1] > _LEAST_MARGIN) & xp.all(found == 0, axis=1)
        found = xp.where(new[:, None], blocks.y[:, :-1], found)
        if bool(xp.all(xp.any(found != 0, axis=1))) or blocks.products() <= 1e-13 * blocks.degree:
            break
        rest = gradient + curvature * blocks.y - blocks.pull(blocks.z, blocks.duals)
        if not advance([blocks], [rest], [curvature], _Apart(xp)):
            break
    inside = xp.nonzero(xp.any(found != 0, axis=1))[0]
    if not inside.shape[0]:
        return found
    y = found[inside, :]
    y = y * (n**0.5 / row_norms(xp, y[:, :d]))[:, None]
    A, curvature = blocks.A[inside, :, :-1], curvature[inside, :-1]
    blocks = ConeBlocks(xp, y, A, xp.zeros(A.shape[:2]), norm.cones, d, 1.0)
    for _ in range(_DIRECTION_STEPS):
        rest = curvature * blocks.y - blocks.pull(blocks.z, blocks.duals)
        if not advance([blocks], [rest], [curvature], _Apart(xp), 1.0):
            break
        if float(xp.max(xp.abs(blocks.s * blocks.z - 1))) < 0.1:
            break
    found[inside, :] = blocks.y
    return found


def margins(xp: Any, X: Any, masks: Any, epsilon: float, norm: Any) -> Any:
    """Inequalities of columns (u, local, one more): margins under attack, the epigraph's."""
    (P, n), d = masks.shape, X.shape[1]
    A = xp.zeros((P, n + norm.rows.shape[0], norm.size + 1))
    A[:, :n, :d] = (2 * xp.astype(masks, xp.float64) - 1)[:, :, None] * X
    A[:, :n, :] -= epsilon * norm.value
    A[:, n:, :] = norm.rows
    return A


class _Apart:
    """Blocks that nothing couples."""

    def __init__(self, xp: Any):
        self.xp = xp

    def factorise(self, H):
        self.H = H
        return cholesky(H) is not None

    def solve(self, force):
        return [self.xp.linalg.solve(self.H, force[:, :, None])[:, :, 0]]


class _Coupled:
    """Columns u and samples q = F u."""

    def __init__(self, program: Program):
        xp = program.xp
        self.program, self.pairs = program, Pairs(program)
        D = xp.astype(xp.take(program.masks, self.pairs.patterns, axis=0), xp.float64)
        first, second, self.where = triangle(xp, D.shape[0])
        self.together = xp.take(D, first, axis=0) * xp.take(D, second, axis=0)

    def factorise(self, columns, samples):
        xp, (P, _), d = self.program.xp, self.where.shape, columns.shape[1]
        eye = xp.eye(d)
        trace = xp.sum(xp.sum(columns * eye, axis=2), axis=1)
        columns = columns + (_SHIFT * trace)[:, None, None] * eye
        blocks = self.together @ xp.reshape(samples, (-1, d * d))
        blocks = xp.reshape(xp.take(blocks, xp.reshape(self.where, (-1,)), axis=0), (P, P, d, d))
        coupling = xp.reshape(xp.permute_dims(blocks, (0, 2, 1, 3)), (P * d, P * d))
        return self.pairs.factorise(columns, coupling)

    def solve(self, columns, samples):
        du = self.pairs.solve(columns + self.program.signed @ samples)
        return du, self.program.signed.T @ du


def robust_interior_point(
    program: Program, directions: Any, epsilon: float, p: float, on: Any
) -> Generator[Iterate, None, tuple[int, str] | None]:
    """Iterate.

    Parameters
    ----------
    program : Program
    directions : array, shape (P, d)
        Those of `robust_directions`.
    epsilon : float
        Radius of the attacks.
    p : float
        Their norm: 1, 2 or infinity.
    on : array, shape (d,)
        1 for features that may be perturbed, else 0.

    Yields
    ------
    Iterate
        ``x`` is (U, z, sigma, A) as of `interior_point`, sigma the slopes along x_k.
    """
    xp, X, y, beta = program.xp, program.X, program.y, program.beta
    name, norm = type(program.loss).__name__, DualNorm(xp, p, on)
    n, d = X.shape
    columns, samples = _start(program, directions, epsilon, p, on)
    coupling = _Coupled(program)
    best, dual, k = None, 0.0, 0
    while True:
        U = columns.y[:, :d]
        z, Q = program.apply(U), program.signed.T @ U
        value = _robust_losses.worst(xp, name, z, epsilon * norm(Q), y, program.loss)
        value += beta * float(xp.sum(row_norms(xp, U)))
        forces = [-b.pull(b.z, b.duals) for b in (columns, samples)]
        t, sigma = _robust_losses.slopes(xp, name, samples.z, y)
        h = norm.within(forces[1][:, :d] - sigma[:, None] * X, epsilon * t)
        A = columns.z[:, :n]
        slopes = program.signed @ (sigma[:, None] * X + h) - program.pull_cone(A)
        distances = row_norms(xp, norm.shrink(slopes, epsilon * xp.sum(A, axis=1)))
        largest = float(xp.max(distances))
        most = beta / largest if largest > 0 else float("inf")
        bound = _robust_losses.dual_value(xp, name, sigma, t, y, most, program.loss)
        if best is None or value < best[0]:
            best = value, U, z
        if k == 0 or bound >= dual:
            dual, certificate = bound, (sigma, A)
        k += 1
        mu = (columns.products() + samples.products()) / (columns.degree + samples.degree)
        gap = relative_gap(best[0], dual)
        record = {"dual": dual, "mu": mu}
        yield Iterate(x=(*best[1:], *certificate), fun=best[0], error=gap, record=record)
        slope, bend = _robust_losses.objective(xp, name, samples.y[:, -1])
        curvatures = [xp.zeros_like(b.y) for b in (columns, samples)]
        forces[0][:, -1] += beta
        forces[1][:, -1] += slope
        curvatures[1][:, -1] = bend
        if not advance([columns, samples], forces, curvatures, coupling):
            return _status.STALLED, "Rounding allows no further step."


def _start(program, directions, epsilon, p, on):
    """Columns (u, norm's, t), t >= ||u||, and samples (q, norm's, e), e the loss's argument.

    Columns are central. Samples have slopes that exceed no ||u_j||'s weight by half, and
    their inequalities are not met at first.
    """
    xp, X, y, beta = program.xp, program.X, program.y, program.beta
    C, n, d = program.size
    name = type(program.loss).__name__
    norm = epigraph(xp, p, on)
    mu = max(program.loss.value(xp.zeros(n), y), 1e-300) / (C * (n + 1) + 3 * n)
    A = margins(xp, X, xp.take(program.masks, program.of, axis=0), epsilon, norm)
    count = A.shape[1] + len(norm.cones)
    point = (mu * (count + 1) ** 0.5 / beta) * xp.take(directions, program.of, axis=0)
    U = point[:, :d]
    t = row_norms(xp, U) * (1 + 1 / count) ** 0.5
    cones = [*norm.cones, (norm.size, xp.arange(d))]
    columns = ConeBlocks(
        xp, xp.concat([point, t[:, None]], axis=1), A, xp.zeros(A.shape[:2]), cones, d, mu
    )
    Q = program.signed.T @ U
    B, b = _robust_losses.inequalities(xp, name, X, y, epsilon * norm.value)
    B = xp.concat([B, xp.zeros((n, *norm.rows.shape)) + norm.rows], axis=1)
    b = xp.concat([b, xp.zeros((n, norm.rows.shape[0]))], axis=1)
    r = 0.5 * program.loss.gradient(xp.zeros(n), y)
    steepest = float(xp.max(row_norms(xp, program.pull(r))))
    r = r * min(1.0, 0.5 * beta / steepest) if steepest > 0 else r
    z, t, e = _robust_losses.multipliers(xp, name, r, y, mu)
    pushes, local = norm.central(Q, epsilon * t, mu)
    samples = ConeBlocks(
        xp, xp.concat([Q, local, e[:, None]], axis=1), B, b, norm.cones, d, mu,
        xp.concat([z, pushes], axis=1),
    )  # fmt: skip
    return columns, samples
