"""Many small cone programs of one form side by side, one per row of every array.

Block i has variables y_i = (coupled, local), inequalities s_i = A_i y_i + a_i >= 0 with
multipliers, and second-order cones y_head >= ||y_tail|| with duals. Only the first
variables of blocks are coupled to anything outside; a Newton step eliminates the others.
"""

from collections.abc import Sequence
from typing import Any

from refopt.convex_relu import _second_order_cones
from refopt.convex_relu._program import row_norms
from refopt.convex_relu._row_losses import longest_step
from refopt.convex_relu._second_order_cones import Scaling, determinant

_BACK_OFF = 0.99  # of the longest step
_LEAST_STEP = 1e-6


class ConeBlocks:
    """A point of every block within its cones, and its duals.

    Parameters
    ----------
    xp : module
    y : array, shape (N, m)
        The points; the first `coupled` variables are those seen from outside.
    A, a : array, shape (N, p, m) and (N, p)
    cones : sequence of (int, int array)
        Head and tail of each second-order cone.
    coupled : int
    mu : float
        Products of primal and dual at the start.
    z : array, shape (N, p), optional
        Multipliers; s = mu/z, which then need not be A y + a. By default the reverse.
    """

    def __init__(
        self, xp: Any, y: Any, A: Any, a: Any, cones: Sequence, coupled: int, mu: float,
        z: Any = None,
    ):  # fmt: skip
        self.xp, self.y, self.A, self.a = xp, y, A, a
        self.cones, self.coupled = cones, coupled
        self.z = mu / (self.image(y) + a) if z is None else z
        self.s = mu / self.z
        self.duals = []
        for head, tail in cones:
            t, u = y[:, head], xp.take(y, tail, axis=1)
            det = determinant(xp, t, row_norms(xp, u))
            self.duals.append((mu * t / det, -(mu / det)[:, None] * u))
        self.degree = self.s.size + len(cones) * y.shape[0]

    def image(self, y: Any) -> Any:
        """A y."""
        return self.xp.matmul(self.A, y[:, :, None])[:, :, 0]

    def pull(self, z: Any, duals: Sequence) -> Any:
        """A'z and the cones' duals, as forces on y."""
        xp = self.xp
        force = xp.matmul(z[:, None, :], self.A)[:, 0, :]
        for (head, tail), (t, u) in zip(self.cones, duals, strict=True):
            force[:, head] += t
            force[:, tail] += u
        return force

    def products(self) -> float:
        """The sum of all products that tend to zero."""
        xp, total = self.xp, float(self.xp.sum(self.s * self.z))
        for (head, tail), (t, u) in zip(self.cones, self.duals, strict=True):
            total += float(xp.sum(self.y[:, head] * t))
            total += float(xp.sum(xp.take(self.y, tail, axis=1) * u))
        return total

    def factorise(self, curvature: Any) -> Any:
        """The matrix of every block on its coupled variables; `curvature` (N, m) of objectives."""
        xp, k = self.xp, self.coupled
        m = self.y.shape[1]
        w = self.z / self.s
        H = xp.matmul(xp.permute_dims(self.A, (0, 2, 1)) * w[:, None, :], self.A)
        H = H + curvature[:, :, None] * xp.eye(m)
        self.scalings = []
        for (head, tail), (t, u) in zip(self.cones, self.duals, strict=True):
            primal = self.y[:, head], xp.take(self.y, tail, axis=1)
            scaling = Scaling(xp, *primal, t, u)
            self.scalings.append(scaling)
            place = xp.concat([xp.asarray([head]), tail])
            H[:, place[:, None], place[None, :]] += scaling.inverse_square()
        self.inner, self.mixed = H[:, k:, k:], H[:, k:, :k]
        self.eliminated = xp.linalg.solve(self.inner, self.mixed)
        return H[:, :k, :k] - xp.matmul(xp.permute_dims(self.mixed, (0, 2, 1)), self.eliminated)

    def force(self, rest: Any, share: float, target: float, affine: Any = None) -> Any:
        """The right-hand side of the coupled variables of a step.

        Parameters
        ----------
        rest : array, shape (N, m)
            The gradient of the Lagrangian.
        share : float
            How much of it, and of A y + a - s, the step is to remove.
        target : float
            Products to aim at.
        affine : step, optional
            Whose second order is corrected.
        """
        xp, k = self.xp, self.coupled
        aim = target - self.s * self.z
        if affine is not None:
            aim = aim - affine[1] * affine[2]
        self.gap = share * (self.image(self.y) + self.a - self.s)
        self.aim = aim / self.s - self.z / self.s * self.gap
        self.pushes = []
        for number, scaling in enumerate(self.scalings):
            l0, l1 = scaling.lam
            if affine is None:
                e0, e1 = scaling.divide_by_lambda(xp.full_like(l0, target), xp.zeros_like(l1))
            else:
                head, tail = self.cones[number]
                primal = affine[0][:, head], xp.take(affine[0], tail, axis=1)
                e0, e1 = scaling.corrected(target, primal, affine[3][number])
            self.pushes.append(scaling.divide(e0 - l0, e1 - l1))
        side = self.pull(self.aim, self.pushes) - share * rest
        self.side = side[:, k:]
        inner = xp.matmul(self.side[:, None, :], self.eliminated)[:, 0, :]
        return side[:, :k] - inner

    def complete(self, coupled: Any) -> tuple:
        """The step (dy, ds, dz, dual steps) from that of the coupled variables."""
        xp = self.xp
        local = xp.linalg.solve(self.inner, self.side[:, :, None])[:, :, 0]
        local = local - xp.matmul(self.eliminated, coupled[:, :, None])[:, :, 0]
        dy = xp.concat([coupled, local], axis=1)
        image = self.image(dy)
        ds, dz = image + self.gap, self.aim - self.z / self.s * image
        duals = []
        for (head, tail), scaling, (t, u) in zip(
            self.cones, self.scalings, self.pushes, strict=True
        ):
            inner = scaling.divide(*scaling.divide(dy[:, head], xp.take(dy, tail, axis=1)))
            duals.append((t - inner[0], u - inner[1]))
        return dy, ds, dz, duals

    def room(self, step: tuple) -> float:
        """The longest step within all cones."""
        xp = self.xp
        dy, ds, dz, duals = step
        rooms = [longest_step(xp, self.s, ds), longest_step(xp, self.z, dz)]
        for (head, tail), (t, u), (dt, du) in zip(self.cones, self.duals, duals, strict=True):
            primal = self.y[:, head], xp.take(self.y, tail, axis=1)
            change = dy[:, head], xp.take(dy, tail, axis=1)
            rooms.append(_second_order_cones.longest_step(xp, *primal, *change))
            rooms.append(_second_order_cones.longest_step(xp, t, u, dt, du))
        return min(rooms)

    def move(self, alpha: float, step: tuple) -> None:
        """Take the step."""
        dy, ds, dz, duals = step
        self.y, self.s, self.z = self.y + alpha * dy, self.s + alpha * ds, self.z + alpha * dz
        self.duals = [
            (t + alpha * dt, u + alpha * du)
            for (t, u), (dt, du) in zip(self.duals, duals, strict=True)
        ]


def advance(
    blocks: Sequence, rests: Sequence, curvatures: Sequence, outside: Any, mu: float | None = None
) -> bool:
    """One predictor-corrector step (Mehrotra) of all blocks; False if there is none.

    Parameters
    ----------
    blocks : sequence of ConeBlocks
    rests, curvatures : sequence of array, shape (N, m)
        Gradients of each block's part of the Lagrangian, second derivatives of its objective.
    outside : object
        ``factorise(*matrices)`` and ``solve(*forces)``, which couple the blocks.
    mu : float, optional
        Take a step to the point of the central path with these products instead.
    """
    matrices = [b.factorise(c) for b, c in zip(blocks, curvatures, strict=True)]
    if not outside.factorise(*matrices):
        return False

    def direction(share, target, affine):
        forces = [
            b.force(rest, share, target, step)
            for b, rest, step in zip(blocks, rests, affine, strict=True)
        ]
        return [b.complete(c) for b, c in zip(blocks, outside.solve(*forces), strict=True)]

    def room(steps):
        return min(b.room(step) for b, step in zip(blocks, steps, strict=True))

    nothing = [None] * len(blocks)
    if mu is None:
        mean = sum(b.products() for b in blocks) / sum(b.degree for b in blocks)
        affine = direction(1.0, 0.0, nothing)
        sigma = (1 - min(1.0, room(affine))) ** 3
        steps = direction(1 - sigma, sigma * mean, affine)
    else:
        steps = direction(1.0, mu, nothing)
    alpha = min(1.0, _BACK_OFF * room(steps))
    if not alpha >= _LEAST_STEP:
        return False
    for b, step in zip(blocks, steps, strict=True):
        b.move(alpha, step)
    return True
