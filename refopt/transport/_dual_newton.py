"""Sinkhorn with sparse Newton iterations (SNS) as published: both potentials, top-k Hessian.

Tang, Shavlovsky, Rahmanian, Tardini, Thekumparampil, Xiao, Ying, ICLR 2024. The
Lyapunov potential is D(f, g) = <a, f> + <b, g> - reg sum P up to a constant.
"""

import math
from dataclasses import dataclass
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt.transport._feasibility import blocked
from refopt.transport._sparsify import entry_bounds, entry_count, largest_entries
from refopt.transport._stagnation import Stagnation
from refopt_backends.reference.conjugate_gradients import conjugate_gradients

_CG_RTOL = 1e-8
_TRIALS = 30
_PATIENCE = 3  # failed steps without progress between them before the run counts as stalled
_STALL_WINDOW = 20  # steps at rounding level that do not halve the error
_ROUNDING = 1e-14
_MOST_GROWTH = 300.0  # of log P in one step: beyond, D is hopelessly low and P may overflow


@dataclass(frozen=True)
class DualPoint:
    """D at (f, g) and the marginals r = P1, c = P'1."""

    f: Any
    g: Any
    r: Any
    c: Any
    fun: float
    err: float


class Dual:
    """D and its derivatives."""

    def __init__(self, problem):
        self.xp, self.kernels = problem.xp, problem.kernels
        self.cost, self.a, self.b = problem.cost.arguments, problem.a, problem.b
        self.reg, self.mass = problem.reg, problem.mass
        self.allowed = problem.cost.allowed
        self.npasses = 0

    def at(self, f, g):
        xp = self.xp
        r, c, _ = self.kernels.plan_marginals(self.cost, f, g, self.reg)
        self.npasses += 1
        fun = float(xp.sum(self.a * f) + xp.sum(self.b * g) - self.reg * xp.sum(r))
        err = float(xp.sum(xp.abs(r - self.a)) + xp.sum(xp.abs(c - self.b)))
        return DualPoint(f, g, r, c, fun, err)

    def sinkhorn_step(self, g):
        """f <- f + reg (log a - log P1), then g <- g + reg (log b - log P'1)."""
        f, _ = self.kernels.semidual_pass(self.cost, g, self.a, self.reg)
        self.npasses += 2
        return f, self.kernels.column_potential(self.cost, f, self.b, self.reg)

    def sparse_plan(self, point, options):
        """Entries of P that the sparsified Hessian keeps."""
        n, m = self.a.shape[0], self.b.shape[0]
        args = self.cost, point.f, point.g, self.reg
        self.npasses += 1
        if options.sparsify == "safe":
            share = min(max(options.threshold * point.err, 1e-10), 1e-3)
            bounds = entry_bounds(self.xp, share, self.a, self.b)
            return self.kernels.select_entries(*args, *bounds, n * m)
        density = 1.0 if options.sparsify == "none" else options.density
        return largest_entries(self.xp, self.kernels, *args, entry_count(n, m, density))

    def newton_direction(self, point, entries, options):
        """[diag(r) P; P' diag(c)] dz = reg (a - r, b - c), P sparse, by CG."""
        xp, n = self.xp, self.a.shape[0]
        diagonal = xp.maximum(xp.concat([point.r, point.c]), 1e-300)  # masses may underflow

        def product(z):
            u, v = z[:n], z[n:]
            Pv = self.kernels.entries_product(entries, v, False)
            Pu = self.kernels.entries_product(entries, u, True)
            return diagonal * z + xp.concat([Pv, Pu])

        gradient = xp.concat([self.a - point.r, self.b - point.c])
        dz, ncg, _ = conjugate_gradients(product, diagonal, gradient, _CG_RTOL, options.cg_maxiter)
        return self.reg * dz[:n], self.reg * dz[n:], ncg


def sparse_newton_sinkhorn(dual, g, options, effort):
    """Algorithm of the paper: `options.warmup` Sinkhorn iterations, then Newton.

    Yields
    ------
    Iterate
        With ``x = DualPoint``.
    """
    f, _ = dual.kernels.semidual_pass(dual.cost, g, dual.a, dual.reg)
    point = dual.at(f, g)
    yield _iterate(dual, point)
    for _ in range(options.warmup):  # stage 1
        point = dual.at(*dual.sinkhorn_step(point.g))
        effort.sinkhorn += 1
        yield _iterate(dual, point, kind=1)
    failures, stagnation = 0, Stagnation(_STALL_WINDOW, 0.5)
    while True:  # stage 2
        entries = dual.sparse_plan(point, options)
        df, dg, ncg = dual.newton_direction(point, entries, options)
        new, alpha = _backtrack(dual, point, df, dg)
        effort.newton += 1
        effort.cg += ncg
        dropped = max(float(dual.xp.sum(point.r) - dual.xp.sum(entries.coo()[2])), 0.0)
        if new is None:  # too early for Newton, which the paper leaves to the user's N1
            new = dual.at(*dual.sinkhorn_step(point.g))
            effort.sinkhorn += 1
            failures = failures + 1 if new.err >= point.err else 0
        elif new.err < 0.5 * point.err:
            failures = 0
        point = new
        yield _iterate(dual, point, 2, alpha, entries.nnz, dropped, ncg)
        if stagnation.reached(dual.xp, point, dual.reg):
            return _status.STALLED, "Potentials this large allow no smaller error."
        stalled = failures >= _PATIENCE
        if reason := blocked(dual, point, 0 if stalled else effort.newton):
            return _status.INFEASIBLE, reason
        if stalled:
            return _status.STALLED, "More warm-up or a larger density may help."


def _backtrack(dual, point, df, dg):
    """Halve alpha until D rises; at rounding level, until the error falls."""
    xp = dual.xp
    rounding = _ROUNDING * float(
        xp.sum(dual.a * xp.abs(point.f)) + xp.sum(dual.b * xp.abs(point.g)) + dual.reg
    )
    growth = (float(xp.max(df)) + float(xp.max(dg))) / dual.reg
    alpha = 1.0
    for _ in range(_TRIALS):
        if alpha * growth <= _MOST_GROWTH:
            new = dual.at(point.f + alpha * df, point.g + alpha * dg)
            gain = new.fun - point.fun
            if math.isfinite(new.err) and (
                gain > rounding or (gain >= -rounding and new.err < point.err)
            ):
                return new, alpha
        alpha *= 0.5
    return None, 0.0


def _iterate(dual, point, kind=0, alpha=1.0, nnz=0, dropped=0.0, ncg=0):
    record = {"reg": dual.reg, "alpha": alpha, "nnz": nnz, "dropped": dropped}
    record |= {"ncg": ncg, "kind": kind}
    fun = dual.mass * (point.fun + dual.reg * math.log(dual.mass))
    return Iterate(point, fun, point.err, record)
