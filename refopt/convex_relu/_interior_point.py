"""A primal-dual interior point method for the convex program.

Cone inequalities s_j = S_j X u_j >= 0 have slacks and multipliers a_j, norms ||u_j|| <= t_j
are second-order cones with duals (beta, c_j), c_j = F'r - G'a_j, and the loss enters as
z = grad f*(r). A step eliminates everything but r: each column has a d x d matrix H_j, and

    (diag(h) + sum_j D_j X H_j^-1 X'D_j) dr = right-hand side

is one n x n system for all columns; with many samples r is eliminated instead (see
`_newton_systems`). The start is central and within all cones; only z = grad f*(r) is not met
there, and is approached as the path is followed.
"""

from collections.abc import Generator
from typing import Any

from refopt import _status, losses
from refopt._driver import Iterate
from refopt.convex_relu import _row_losses, _second_order_cones
from refopt.convex_relu._newton_systems import smaller_system
from refopt.convex_relu._program import Program, row_norms, weighted_grams
from refopt.convex_relu._row_losses import longest_step
from refopt.convex_relu._second_order_cones import Scaling

_DUAL_SHARE = 0.5  # of the way to the boundary, ||c_j|| = beta, where the run begins
_BACK_OFF = 0.99  # of the longest step
_REFINED = 1e-12  # relative residual at which refinement of a linear solution ends
_REFINEMENTS = 3
_LEAST_STEP = 1e-4
_GAP_SHARE = 0.5  # of the mean part of the gap: the products aim at no less
_RISE = 3.0  # the most by which one step may raise them, after a start with small columns
_LARGEST_MARGIN = 10.0  # of a column at the start, for the logistic loss


def interior_point(
    program: Program, directions: Any
) -> Generator[Iterate, None, tuple[int, str] | None]:
    """Follow the central path of a program.

    Parameters
    ----------
    program : Program
    directions : array, shape (P, d)
        Central directions of the patterns' cones.

    Yields
    ------
    Iterate
        ``x`` is (U, z, r, A): columns within their cones, their prediction, and the
        dual point. The error is the relative gap of best values.
    """
    path = _Path(program, directions)
    zero = path.U * 0, program.X[:, 0] * 0
    best, dual = (program.value(*zero), *zero), 0.0
    certificate = path.rows.r, path.a
    while True:
        U, z = path.U, program.predict(path.XU)
        slopes = program.pull(path.rows.r) - program.pull_cone(path.a)
        value, bound = program.value(U, z), program.dual_value(path.rows.r, slopes)
        if value < best[0]:
            best = value, U, z
        if bound >= dual:
            dual, certificate = bound, (path.rows.r, path.a)
        gap = relative_gap(best[0], dual)
        record = {"dual": dual, "mu": path.mu()}
        yield Iterate(x=(*best[1:], *certificate), fun=best[0], error=gap, record=record)
        if not path.advance(z, best[0] - dual):
            return _status.STALLED, "Rounding allows no further step."


def relative_gap(value: float, dual: float) -> float:
    """(value - dual)/value, 0 where both are 0."""
    return max(0.0, value - dual) / value if value > 0 else 0.0


class _Path:
    """A point near the central path."""

    def __init__(self, program: Program, directions: Any):
        xp = self.xp = program.xp
        self.program = program
        self.system = smaller_system(program)
        C, n, _ = program.size
        zero = xp.zeros(n)
        loss, y, beta = program.loss, program.y, program.beta
        mu = max(loss.value(zero, y), 1e-300) / (C * (n + 1))
        self.U = (mu * (n + 1) ** 0.5 / beta) * xp.take(directions, program.of, axis=0)
        self.XU = self.U @ program.X.T
        self.rise = float("inf")
        if isinstance(loss, losses.Logistic):  # whose slopes at larger predictions underflow
            share = min(1.0, _LARGEST_MARGIN / float(xp.max(xp.abs(self.XU))))
            mu, self.U, self.XU = share * mu, share * self.U, share * self.XU
            self.rise = _RISE
        self.s = program.S * self.XU
        a = 1 / self.s
        c = -program.pull_cone(a)
        share = (_DUAL_SHARE * beta / row_norms(xp, c))[:, None]
        self.a, self.c = share * a, share * c
        self.t = row_norms(xp, self.U) / _DUAL_SHARE
        r = 0.5 * loss.gradient(zero, y)
        steepest = float(xp.max(row_norms(xp, program.pull(r))))
        r = r * min(1.0, 0.5 * beta / steepest) if steepest > 0 else r
        self.rows = _row_losses.SHORTENED_ROWS[type(loss).__name__](program, r, mu)
        self.products = C * n + C + self.rows.pairs * n

    def mu(self) -> float:
        """The mean of all products that tend to zero."""
        xp = self.xp
        cones = float(xp.sum(self.t)) * self.program.beta + float(xp.sum(self.U * self.c))
        total = float(xp.sum(self.s * self.a)) + cones + self.rows.complementarity()
        return total / self.products

    def advance(self, z: Any, gap: float) -> bool:
        """One predictor-corrector step (Mehrotra); False if there is none.

        Products may tend to zero before r has come near the gradient, and every later step
        is short. They are led back to what the gap between the best values leaves for each.
        """
        xp, program, rows = self.xp, self.program, self.rows
        self.scaling = scaling = Scaling(xp, self.t, self.U, program.beta, self.c)
        self.defect = program.pull(rows.r) - program.pull_cone(self.a) - self.c
        self.offset, self.h = rows.offset(z), rows.weights()
        if not self._factorise():
            return False
        l0, l1 = scaling.lam
        e = rows.correct(0.0, self.offset, None)
        affine = self._direction(1.0, -self.s * self.a, (-l0, -l1), e)
        alpha = min(1.0, self._room(affine))
        sigma = (1 - alpha) ** 3
        mu = self.mu()
        target = sigma * max(mu, min(self.rise * mu, _GAP_SHARE * gap / self.products))
        du, ds, da, dt, dc, dloss, _ = affine
        e0, e1 = scaling.corrected(target, (dt, du), (xp.zeros_like(dt), dc))
        step = self._direction(
            1 - sigma,
            target - self.s * self.a - ds * da,
            (e0 - l0, e1 - l1),
            rows.correct(target, (1 - sigma) * self.offset, dloss),
        )
        alpha = min(1.0, _BACK_OFF * self._room(step))
        while alpha >= _LEAST_STEP and not self._within(alpha, step):
            alpha *= 0.9
        if not alpha >= _LEAST_STEP:
            return False
        self._move(alpha, step)
        return True

    def _factorise(self) -> bool:
        """The matrices H_j, and factors of the system."""
        xp, X = self.xp, self.program.X
        self.weight = self.a / self.s
        H = weighted_grams(xp, X, self.weight) + self.scaling.reduced_matrices()
        eye = xp.eye(X.shape[1])
        trace = xp.sum(xp.sum(H * eye, axis=2), axis=1)
        return self.system.factorise(H + (1e-15 * trace)[:, None, None] * eye, self.h)

    def _direction(self, share, products, cones, e):
        """The Newton step that removes `share` of the defects and aims at products."""
        program, scaling = self.program, self.scaling
        m0, m1 = scaling.divide(*cones)
        along = 2 * scaling.w0 * m0 / scaling.k
        b = m1 + along[:, None] * scaling.w - share * self.defect
        b = b + program.pull_cone(products / self.s)
        du, dr = self._solve(b, e)
        XdU = du @ program.X.T
        ds = program.S * XdU
        da = (products - self.a * ds) / self.s
        dot = self.xp.sum(scaling.w * du, axis=1)
        dt = (scaling.eta**2 * m0 + 2 * scaling.w0 * dot) / scaling.k
        dc = program.pull(dr) - program.pull_cone(da) + share * self.defect
        return du, ds, da, dt, dc, self.rows.complete(dr), XdU

    def _solve(self, b, e):
        """H du + F'dr = b, h dr - F du = e, with iterative refinement."""
        xp, program = self.xp, self.program
        du, dr = self.system.solve(b, e)
        size = float(xp.max(xp.abs(b)))
        for _ in range(_REFINEMENTS):
            inside = (self.weight * (du @ program.X.T)) @ program.X + self.scaling.reduced(du)
            rest = b - inside - program.pull(dr)
            if float(xp.max(xp.abs(rest))) <= _REFINED * size:
                break
            more, r_more = self.system.solve(rest, e - self.h * dr + program.apply(du))
            du, dr = du + more, dr + r_more
        return du, dr

    def _room(self, step):
        """The longest step within all cones."""
        xp = self.xp
        beta = xp.full(self.t.shape[0], self.program.beta)
        du, ds, da, dt, dc, dloss, _ = step
        return min(
            longest_step(xp, self.s, ds),
            longest_step(xp, self.a, da),
            _second_order_cones.longest_step(xp, self.t, self.U, dt, du),
            _second_order_cones.longest_step(xp, beta, self.c, xp.zeros_like(dt), dc),
            self.rows.room(dloss),
        )

    def _within(self, alpha, step):
        """Whether norms are below their bounds after the step, rounding included."""
        xp = self.xp
        du, _, _, dt, dc, _, _ = step
        primal = row_norms(xp, self.U + alpha * du) < self.t + alpha * dt
        dual = row_norms(xp, self.c + alpha * dc) < self.program.beta
        return bool(xp.all(primal & dual))

    def _move(self, alpha, step):
        du, ds, da, dt, dc, dloss, XdU = step
        self.U, self.XU = self.U + alpha * du, self.XU + alpha * XdU
        self.s, self.a = self.s + alpha * ds, self.a + alpha * da
        self.t, self.c = self.t + alpha * dt, self.c + alpha * dc
        self.rows.move(alpha, dloss)
