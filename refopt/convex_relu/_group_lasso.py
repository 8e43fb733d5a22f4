"""Sums of norms without constraints: min f(sum_j F_j u_j) + beta sum_j ||u_j||.

A primal-dual interior point method (Mehrotra's) for norms ||u_j|| <= t_j with duals
(beta, c_j), c_j = F_j'r, and the loss as z = grad f*(r). Groups of one entry make it the
lasso. A step solves one system, of the samples or of all unknowns, whichever are fewer:

    (diag(h) + F H^-1 F') dr = e + F H^-1 b     or     (H + F'diag(1/h) F) du = b - F'(e/h)
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _driver, _status
from refopt._driver import Iterate
from refopt.convex_relu import _row_losses, _second_order_cones
from refopt.convex_relu._interior_point import relative_gap
from refopt.convex_relu._program import row_norms
from refopt.convex_relu._recovery import pruned
from refopt.convex_relu._second_order_cones import Scaling

_BACK_OFF = 0.99  # of the longest step
_LEAST_STEP = 1e-4
_REFINED = 1e-12  # relative residual at which refinement of a linear solution ends
_REFINEMENTS = 3


@dataclass(frozen=True)
class Groups:
    """What both programs share; a subclass has the products with F.

    Attributes
    ----------
    y : array, shape (n,)
    beta : float
    loss : object of `refopt.losses`
    """

    xp: Any
    kernels: Any
    y: Any
    beta: float
    loss: Any

    def value(self, U: Any, z: Any) -> float:
        """The objective."""
        return self.loss.value(z, self.y) + self.beta * float(self.xp.sum(row_norms(self.xp, U)))

    def dual_value(self, r: Any, slopes: Any) -> float:
        """A lower bound from r in the domain of f* and its slopes F'r."""
        largest = float(self.xp.max(row_norms(self.xp, slopes))) if slopes.size else 0.0
        most = self.beta / largest if largest > 0 else float("inf")
        scale = min(self.loss.dual_scale(r, self.y), most)
        return -self.loss.conjugate(scale * r, self.y)


@dataclass(frozen=True)
class Solution:
    """Groups u_j as rows of U, z = F U, the dual point r, bounds, and the run."""

    U: Any
    z: Any
    r: Any
    value: float
    dual: float
    outcome: _driver.Outcome


def solve_groups(
    program: Any, view: Any, *, tol: float, start: tuple | None = None, **driver: Any
) -> Solution:
    """Solve a program of groups.

    Parameters
    ----------
    program : Groups
        With `size`, `predict`, `pull`, `rows_matrix` and `dense`.
    view : callable
        From U to the x that a callback sees.
    tol : float
        Of the relative gap.
    start : tuple, optional
        U and r to begin with; r may be None.
    **driver
        For `_driver.run`.

    Returns
    -------
    Solution
    """

    def shown(iterate, nit):
        dual = iterate.record["dual"]
        x = view(iterate.x[0])
        return OptimizeResult(x=x, fun=iterate.fun, dual=dual, gap=iterate.error, nit=nit)

    # Half of the tolerance is left to pruning, which small weights beside kinks need.
    outcome = _driver.run(
        interior_point(program, start), tol=0.5 * tol, measure="gap", view=shown, **driver
    )
    U, z, r = outcome.best.x
    value, dual = program.value(U, z), program.dual_value(r, program.pull(r))
    most = max(value, min((1 + 0.1 * tol) * value, dual / (1 - tol))) if tol < 1 else value
    U = pruned(program.xp, U, lambda U: program.value(U, program.predict(U)), most)
    z = program.predict(U)
    value = program.value(U, z)
    return Solution(U, z, r, value, dual, outcome)


def interior_point(
    program: Any, start: tuple | None = None
) -> Generator[Iterate, None, tuple[int, str] | None]:
    """Follow the central path, from the zero network.

    Parameters
    ----------
    program : Groups
    start : tuple, optional
        U and r (or None) to begin with; the path is the same, bounds are no worse.

    Yields
    ------
    Iterate
        ``x`` is (U, z, r), the error the relative gap of best values.
    """
    xp, (C, n, d) = program.xp, program.size
    best = program.loss.value(xp.zeros(n), program.y), xp.zeros((C, d)), xp.zeros(n)
    certificate = program.loss.gradient(best[2], program.y)
    dual = program.dual_value(certificate, program.pull(certificate))
    gap = relative_gap(best[0], dual)
    if gap <= 1e-15:
        yield Iterate((*best[1:], certificate), best[0], 0.0, {"dual": dual, "mu": 0.0})
        return 0, "The zero network is optimal."
    if start is not None:
        U, r = start
        z = program.predict(U)
        r = program.loss.gradient(z, program.y) if r is None else r
        value, bound = program.value(U, z), program.dual_value(r, program.pull(r))
        if value < best[0]:
            best = value, U, z
        if bound > dual:
            dual, certificate = bound, r
        gap = relative_gap(best[0], dual)
    path = _Path(program)
    while True:
        record = {"dual": dual, "mu": path.mu()}
        yield Iterate((*best[1:], certificate), best[0], gap, record)
        if not path.advance():
            return _status.STALLED, "Rounding allows no further step."
        value, r = program.value(path.U, path.z), path.rows.r
        bound = program.dual_value(r, path.c)
        if value < best[0]:
            best = value, path.U, path.z
        if bound > dual:
            dual, certificate = bound, r
        gap = relative_gap(best[0], dual)


class _Path:
    """A point near the central path."""

    def __init__(self, program: Any):
        xp = self.xp = program.xp
        self.program, self.of_rows = program, program.size[1] <= program.size[0] * program.size[2]
        C, n, d = program.size
        zero = xp.zeros(n)
        rows = _row_losses.ROWS[type(program.loss).__name__]
        self.pairs = rows.pairs * n + C
        mu = program.loss.value(zero, program.y) / self.pairs
        r = 0.5 * program.loss.gradient(zero, program.y)
        steepest = float(xp.max(row_norms(xp, program.pull(r))))
        r = r * min(1.0, 0.5 * program.beta / steepest)
        self.rows = rows(program, r, mu)
        self.U, self.z, self.c = xp.zeros((C, d)), zero, program.pull(r)
        self.t = xp.full(C, mu / program.beta)
        self.F: Any = None if self.of_rows else program.dense()

    def mu(self) -> float:
        """The mean of all products that tend to zero."""
        cones = float(self.xp.sum(self.t)) * self.program.beta + float(self.xp.sum(self.U * self.c))
        return (cones + self.rows.complementarity()) / self.pairs

    def advance(self) -> bool:
        """One predictor-corrector step; False if there is none."""
        xp, program, rows = self.xp, self.program, self.rows
        self.scaling = scaling = Scaling(xp, self.t, self.U, program.beta, self.c)
        offset, self.h = rows.offset(self.z), rows.weights()
        if not self._factorise():
            return False
        l0, l1 = scaling.lam
        affine = self._direction((-l0, -l1), rows.correct(0.0, offset, None))
        sigma = (1 - min(1.0, self._room(affine))) ** 3
        target = sigma * self.mu()
        du, dt, dc, dloss, _ = affine
        e0, e1 = scaling.corrected(target, (dt, du), (xp.zeros_like(dt), dc))
        step = self._direction(
            (e0 - l0, e1 - l1), rows.correct(target, (1 - sigma) * offset, dloss)
        )
        alpha = min(1.0, _BACK_OFF * self._room(step))
        while alpha >= _LEAST_STEP and not self._within(alpha, step):
            alpha *= 0.9
        if not alpha >= _LEAST_STEP:
            return False
        du, dt, dc, dloss, dz = step
        self.U, self.z = self.U + alpha * du, self.z + alpha * dz
        self.t, self.c = self.t + alpha * dt, self.c + alpha * dc
        rows.move(alpha, dloss)
        return True

    def _factorise(self) -> bool:
        xp, program, scaling = self.xp, self.program, self.scaling
        if self.of_rows:
            M = program.rows_matrix(scaling.eta**2, scaling.w) + xp.eye(program.size[1]) * self.h
        else:
            C = program.size[0]
            M = self.F.T @ (self.F / self.h[:, None])
            blocks = xp.eye(C)[:, None, :, None] * scaling.reduced_matrices()[:, :, None, :]
            M = M + xp.reshape(blocks, M.shape)
        self.factor = program.kernels.spd_factor(M)
        return self.factor is not None

    def _direction(self, cones, e):
        """The Newton step with these aims of the cones, and e of the loss."""
        scaling = self.scaling
        m0, m1 = scaling.divide(*cones)
        b = m1 + (2 * scaling.w0 * m0 / scaling.k)[:, None] * scaling.w
        du, dr = self._solve(b, e)
        dot = self.xp.sum(scaling.w * du, axis=1)
        dt = (scaling.eta**2 * m0 + 2 * scaling.w0 * dot) / scaling.k
        return du, dt, self.program.pull(dr), self.rows.complete(dr), self.program.predict(du)

    def _solve(self, b, e):
        """H du + F'dr = b, h dr - F du = e, with iterative refinement."""
        xp, program = self.xp, self.program
        du, dr = self._solve_once(b, e)
        size = float(xp.max(xp.abs(b)))
        for _ in range(_REFINEMENTS):
            rest = b - self.scaling.reduced(du) - program.pull(dr)
            if float(xp.max(xp.abs(rest))) <= _REFINED * size:
                break
            more, r_more = self._solve_once(rest, e - self.h * dr + program.predict(du))
            du, dr = du + more, dr + r_more
        return du, dr

    def _solve_once(self, b, e):
        program = self.program
        if self.of_rows:
            side = e + program.predict(self._divide(b))
            dr = program.kernels.spd_apply(self.factor, side)
            return self._divide(b - program.pull(dr)), dr
        side = self.xp.reshape(b - program.pull(e / self.h), (-1,))
        du = self.xp.reshape(program.kernels.spd_apply(self.factor, side), b.shape)
        return du, (e + program.predict(du)) / self.h

    def _divide(self, b):
        """H_j^-1 b_j with H_j^-1 = eta_j^2 (I + 2 w_j w_j')."""
        w = self.scaling.w
        dot = self.xp.sum(w * b, axis=1)
        return (self.scaling.eta**2)[:, None] * (b + (2 * dot)[:, None] * w)

    def _room(self, step):
        """The longest step within all cones."""
        xp = self.xp
        beta = xp.full(self.t.shape[0], self.program.beta)
        du, dt, dc, dloss, _ = step
        return min(
            _second_order_cones.longest_step(xp, self.t, self.U, dt, du),
            _second_order_cones.longest_step(xp, beta, self.c, xp.zeros_like(dt), dc),
            self.rows.room(dloss),
        )

    def _within(self, alpha, step):
        """Whether norms are below their bounds after the step, rounding included."""
        xp = self.xp
        du, dt, dc, _, _ = step
        primal = row_norms(xp, self.U + alpha * du) < self.t + alpha * dt
        dual = row_norms(xp, self.c + alpha * dc) < self.program.beta
        return bool(xp.all(primal & dual))
