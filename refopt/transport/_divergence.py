"""The Sinkhorn divergence: entropic transport without its bias."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _status, _validate
from refopt._driver import Iterate
from refopt.transport._newton import Effort, schedule
from refopt.transport._problem import TransportProblem
from refopt.transport._result import finish, run
from refopt.transport._solve import sinkhorn_newton
from refopt.transport._sparsify import entry_bounds
from refopt.transport.costs import PointCloudCost
from refopt_backends.reference.conjugate_gradients import conjugate_gradients

_NEWTON_BELOW = 0.1  # marginal error from which Newton steps take over
_TRIALS = 20


@dataclass(frozen=True)
class SymmetricPoint:
    """A potential f = g of a symmetric problem, and T(f) of a half-step."""

    f: Any
    g: Any
    half_step: Any
    r: Any  # P1
    eps: float
    err: float


class Symmetric:
    """OT(a, a) in one potential: D(f) = 2 <a, f> - eps sum P."""

    def __init__(self, problem):
        self.xp, self.kernels = problem.xp, problem.kernels
        self.cost, self.a, self.mass = problem.cost.arguments, problem.a, problem.mass
        self.npasses = 0

    def at(self, f, eps, guess=None):
        """T(f)_i = eps (log a_i - LSE_j((f_j - C_ij)/eps)), and P1 = a exp((f - T(f))/eps)."""
        xp = self.xp
        half_step, _ = self.kernels.semidual_pass(self.cost, f, self.a, eps, guess)
        self.npasses += 1
        r = self.a * xp.exp(xp.minimum((f - half_step) / eps, 600.0))
        err = 2.0 * float(xp.sum(xp.abs(r - self.a)))
        return SymmetricPoint(f, f, half_step, r, eps, err)

    def value(self, point):
        xp = self.xp
        dual = 2.0 * float(xp.sum(self.a * point.f)) - point.eps * float(xp.sum(point.r))
        return self.mass * (dual + point.eps * math.log(self.mass))

    def newton_step(self, point):
        """(diag(P1) + P) d = eps (a - P1): definite, since P_ii > 0."""
        share = min(1e-3, max(0.03 * point.err, 1e-10))
        n = self.a.shape[0]
        bounds = entry_bounds(self.xp, share, self.a, self.a)
        entries = self.kernels.select_entries(
            self.cost, point.f, point.f, point.eps, *bounds, n * n
        )
        self.npasses += 1
        d, ncg, _ = conjugate_gradients(
            lambda v: point.r * v + self.kernels.entries_product(entries, v, False),
            point.r,
            self.a - point.r,
            1e-2 * math.sqrt(point.err),
            200,
        )
        return point.eps * d, ncg


def symmetric_sinkhorn(dual, stages, effort):
    """Averaged half-steps f <- (f + T(f))/2, then Newton steps on one potential.

    Yields
    ------
    Iterate
        With ``x = SymmetricPoint``.
    """
    point = dual.at(dual.xp.zeros_like(dual.a), stages[0][0])
    yield _iterate(dual, point, stages)
    for eps, target in stages:
        if point.eps != eps:
            point = dual.at(point.f, eps, point.half_step)
            if point.err <= target:  # settled before the stage begins
                yield _iterate(dual, point, stages)
        while point.err > target:
            new = None
            if point.err < _NEWTON_BELOW:
                d, ncg = dual.newton_step(point)
                effort.newton += 1
                effort.cg += ncg
                new = _line_search(dual, point, d)
            if new is None:
                f = 0.5 * (point.f + point.half_step)
                new = dual.at(f, eps, point.half_step)
                effort.sinkhorn += 1
                if point.err < _NEWTON_BELOW and new.err >= point.err:
                    return _status.STALLED, ""
            point = new
            yield _iterate(dual, point, stages)
    return None


def _line_search(dual, point, d):
    """Halve the step until the error falls."""
    alpha = 1.0
    for _ in range(_TRIALS):
        new = dual.at(point.f + alpha * d, point.eps, point.half_step)
        if math.isfinite(new.err) and new.err < (1.0 - 0.1 * alpha) * point.err:
            return new
        alpha *= 0.5
    return None


def _iterate(dual, point, stages):
    final = point.eps == stages[-1][0]
    return Iterate(point, dual.value(point), point.err, {"reg": point.eps}, final)


def sinkhorn_divergence(
    X,
    Y,
    a=None,
    b=None,
    *,
    reg,
    metric="sqeuclidean",
    debias=True,
    tol=1e-9,
    maxiter=500,
    callback=None,
    disp=False,
    backend=None,
):
    r"""Debiased entropic transport distance between two weighted point clouds.

    .. math:: S(a, b) = \mathrm{OT}(a, b)
              - \tfrac12 \bigl(\mathrm{OT}(a, a) + \mathrm{OT}(b, b)\bigr)

    with OT the value of `sinkhorn_newton`'s problem. Nonnegative, zero for
    equal measures, and it metrises weak convergence for these metrics.

    Each of the three problems stops when
    :math:`\|P 1 - a\|_1 + \|P^T 1 - b\|_1 \le \mathrm{tol} \cdot \sum a`. The
    value then is exact to about ``tol`` times the size of the potentials.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Points of the first cloud.
    Y : array_like, shape (m, d)
        Points of the second cloud.
    a, b : array_like, shape (n,) and (m,), optional
        Masses of equal sum; uniform by default.
    reg : float
        Regularisation in the units of the metric.
    metric : {"sqeuclidean", "euclidean", "cityblock"}, optional
        Ground cost, see `PointCloudCost`. The n x m costs are never stored.
    debias : bool, optional
        False leaves out the two self terms.
    tol : float, optional
        Largest marginal error of each problem, relative to the mass.
    maxiter : int, optional
        Largest number of iterations of each problem.
    callback : callable, optional
        As in `sinkhorn_newton`, for all three problems one after another.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``fun`` (S), ``x`` (the potentials f - f_aa and g - g_bb concatenated,
        the derivatives of S in a and b along directions that keep the sums),
        ``f``, ``g``, ``success`` (of all problems), ``status`` and ``message``
        (of the first that failed), ``nit``, ``nfev``, ``marginal_error`` (the
        largest), ``history`` (time, fun, marginal_error, reg and ``problem``:
        0 for (a, b), 1 for (a, a), 2 for (b, b)), ``backend``, ``reg``, and the
        results ``cross``, ``within_x``, ``within_y``.

    Raises
    ------
    ValueError
        As `sinkhorn_newton` and `PointCloudCost`.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    See Also
    --------
    sinkhorn_newton : The value without the self terms, and the plan.

    Notes
    -----
    OT(a, a) has one potential f = g: averaged half-steps, which contract by
    1/2 for these positive definite kernels, then Newton steps with the well
    conditioned matrix diag(P1) + P. Memory: O(n + m) and the kept entries.

    References
    ----------
    .. [1] J. Feydy, T. Sejourne, F.-X. Vialard, S. Amari, A. Trouve, G. Peyre,
       Interpolating between optimal transport and MMD using Sinkhorn
       divergences, AISTATS 2019, arXiv:1810.08278.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> X = np.random.default_rng(0).random((40, 2))
    >>> shifted = refopt.sinkhorn_divergence(X, X + 0.1, reg=0.05)
    >>> bool(abs(shifted.fun - 0.02) < 1e-8)  # |0.1, 0.1|^2, whatever reg is
    True
    """
    C = PointCloudCost(X, Y, metric)
    tol = _validate.nonnegative(tol, "tol")
    maxiter = _validate.count(maxiter, "maxiter")
    options = {"tol": tol, "maxiter": maxiter, "callback": callback, "disp": disp}
    cross = sinkhorn_newton(C, a, b, reg=reg, backend=backend, **options)
    parts = [cross]
    problem = cross._problem
    if debias:
        for points, mass in ((C.X, problem.user_a), (C.Y, problem.user_b)):
            if parts[-1].status == _status.CALLBACK_STOP:
                break
            parts.append(_self_transport(points, mass, reg, metric, backend, options))
    return _collected(parts, problem, debias)


def _self_transport(points, mass, reg, metric, backend, options):
    """OT(a, a)."""
    cost = PointCloudCost(points, points, metric)
    problem = TransportProblem(cost, mass, mass, reg, backend=backend)
    dual, effort = Symmetric(problem), Effort()
    stages = schedule(problem.reg, problem.cost.spread, options["tol"], "auto")
    algorithm = symmetric_sinkhorn(dual, stages, effort)
    outcome = run(problem, algorithm, **(options | {"tol": 0.9 * options["tol"]}))
    return finish(problem, outcome, effort, options["tol"], dual.npasses)


def _collected(parts, problem, debias):
    """One result from those of the two or three problems."""
    xp = problem.xp
    cross = parts[0]
    f, g, fun = cross.f, cross.g, cross.fun
    if debias and len(parts) == 3:
        # Symmetric potentials are equal up to the gauge: their mean is f = g.
        f, g = (
            p - xp.where(xp.isfinite(p), 0.5 * (q.f + q.g), 0.0)
            for p, q in ((f, parts[1]), (g, parts[2]))
        )
        fun -= 0.5 * (parts[1].fun + parts[2].fun)
    failed = next((p for p in parts if not p.success), cross)
    keys = ("time", "fun", "marginal_error", "reg")
    history = {key: _joined([p.history[key] for p in parts]) for key in keys}
    history["problem"] = _joined([[k] * len(p.history["time"]) for k, p in enumerate(parts)])
    return OptimizeResult(
        x=xp.concat([f, g]),
        f=f,
        g=g,
        fun=fun,
        success=all(p.success for p in parts),
        status=failed.status,
        message=failed.message,
        nit=sum(p.nit for p in parts),
        nfev=sum(p.nfev for p in parts),
        marginal_error=max(p.marginal_error for p in parts),
        history=history,
        backend=cross.backend,
        reg=problem.reg,
        cross=cross,
        within_x=parts[1] if len(parts) > 1 else None,
        within_y=parts[2] if len(parts) > 2 else None,
    )


def _joined(columns):
    return np.concatenate([np.asarray(c, dtype=float) for c in columns])
