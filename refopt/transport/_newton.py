"""Damped sparse Newton ascent on the semi-dual, with eps-scaling."""

import math
from dataclasses import dataclass

from refopt import _status
from refopt._driver import Iterate
from refopt.transport._feasibility import blocked
from refopt.transport._stagnation import Stagnation, rounding_level
from refopt_backends import cumulative_sum

# Continuation: eps from _START * spread(C) down to reg. A stage ends at a marginal
# error of _STAGE_TARGET, of _FINE_TARGET where eps < _FINE_FROM * spread(C): there
# mass that is still misplaced would have far to go later. The last ends at tol/2.
_START = 0.05
_STAGE_TARGET = 0.05
_FINE_FROM, _FINE_TARGET = 1e-3, 0.005
_RATIO = 2.5
_MOST_RUNGS = 1e5  # times reg: potentials of a higher start would be too coarse at reg

_FIRST_RADIUS, _LEAST_RADIUS, _MOST_RADIUS = 30.0, 0.5, 1e8
_LEAST_SHIFT = 1e-300  # so that no diagonal entry underflows
_ARMIJO = 1e-4
_STAGNATION, _CARE = 0.5, 0.05
_TRIALS = 12
_DOUBLINGS = 20
_DIRECT_SIZE = 64  # m x m systems up to here are factorised at once
_MOST_DENSE = 6000  # and up to here where conjugate gradients give up
_ROUGH_FROM = 0.03  # marginal error from which single precision will do for the next pass
_PATIENCE = 3  # failed steps in a row before the run counts as stalled
_STALL_WINDOW = 20  # steps at rounding level that do not halve the error


@dataclass
class Effort:
    """What a run took, counted as it goes."""

    newton: int = 0
    sinkhorn: int = 0
    cg: int = 0
    factorisations: int = 0


@dataclass(frozen=True)
class Options:
    """The parameters of `sinkhorn_newton` that steer a Newton step."""

    threshold: float = 0.03
    sparsify: str = "safe"
    density: float | None = None
    linsolve: str = "auto"
    cg_maxiter: int = 400
    warmup: int = 1


def schedule(reg, spread, tol, eps_scaling):
    """The stages as a list of (eps, target)."""
    stages = []
    if eps_scaling is not None:
        eps = min(_START * spread, _MOST_RUNGS * reg)
        while eps > reg:
            stages.append((eps, _STAGE_TARGET if eps >= _FINE_FROM * spread else _FINE_TARGET))
            eps /= _RATIO if eps_scaling == "auto" else eps_scaling
    return [*stages, (reg, 0.5 * tol)]


def semidual_newton(dual, g, stages, options, effort):
    """Generator of the iterates of the default method.

    Parameters
    ----------
    dual : SemiDual
    g : array, shape (m,)
    stages : list of (eps, target)
    options : Options
    effort : Effort
        Counts are added to it.

    Yields
    ------
    Iterate
        With ``x = Point``.
    """
    point = dual.at(g, *stages[0])
    yield _iterate(dual, point, stages, "start")
    for eps, target in stages:
        if point.eps != eps:
            point = dual.at(point.g, eps, target, f_guess=point.f, rough=True)
            if point.err <= target:  # settled before the stage begins
                yield _iterate(dual, point, stages, "start")
        for _ in range(options.warmup if point.err > target else 0):
            point = dual.at(dual.sinkhorn_step(point), eps, target, point.f, _rough(point))
            effort.sinkhorn += 1
            yield _iterate(dual, point, stages, "sinkhorn")
        radius, care, failures = _FIRST_RADIUS, 1.0, 0
        stagnation = Stagnation(_STALL_WINDOW, _STAGNATION)
        while point.err > target:
            # The shift |r|/radius bounds the step: S is an M-matrix, so the
            # maximum principle gives |d|_inf <= radius.
            residual = dual.b - point.c
            shift = dual.xp.abs(residual) / radius + 1e-15 * point.c + _LEAST_SHIFT
            S = _matrix(dual, point, shift, target, options)
            d, ncg = _solve(dual, S, residual, care * _forcing(point.err, target), options, effort)
            d = eps * _compress(dual.xp, d)
            new, alpha = _line_search(dual, point, d, target)
            if new is not None and care < 1.0 and alpha == 1.0:
                new, alpha = _go_on(dual, point, new, d, target)
            effort.newton += 1
            if alpha >= 1.0:
                radius = min(4.0 * radius, _MOST_RADIUS)
            else:
                radius = max(radius / 4.0, _LEAST_RADIUS)
            step = {"alpha": alpha, "nnz": S.nnz, "dropped": S.dropped, "ncg": ncg}
            if new is None:  # no ascent along d
                new = dual.at(dual.sinkhorn_step(point), eps, target, f_guess=point.f)
                effort.sinkhorn += 1
                failures = failures + 1 if new.err >= point.err else 0
            elif new.err < 0.5 * point.err:
                failures = 0
            # A small residual in the norm of CG can still be the whole error.
            stagnant = alpha >= 1.0 and new.err > _STAGNATION * point.err
            care = max(_CARE * care, 1e-6) if stagnant else 1.0
            point = new
            yield _iterate(dual, point, stages, "newton", **step)
            ended = stagnation.reached(dual.xp, point, eps)
            if ended or failures >= _PATIENCE:
                rounded = point.err <= rounding_level(dual.xp, point.f, point.g, eps)
                detail = "Potentials this large allow no smaller error." if rounded else ""
                return _status.STALLED, detail
            if reason := blocked(dual, point, effort.newton):
                return _status.INFEASIBLE, reason
    return _status.STALLED, ""  # not reached: the driver stops at the last target


def _iterate(dual, point, stages, kind, alpha=1.0, nnz=0, dropped=0.0, ncg=0):
    record = {
        "reg": point.eps,
        "alpha": alpha,
        "nnz": nnz,
        "dropped": dropped,
        "ncg": ncg,
        "kind": {"start": 0, "sinkhorn": 1, "newton": 2}[kind],
    }
    final = point.eps == stages[-1][0]
    return Iterate(point, dual.value(point), point.err, record, final)


def _rough(point):
    """Whether the next error will probably be large."""
    return point.err > _ROUGH_FROM


def _matrix(dual, point, shift, target, options):
    """The sparsified Newton matrix by the chosen rule."""
    if options.sparsify == "none":
        return dual.newton_matrix(point, 0.0, shift, target)
    if options.sparsify == "topk":
        return dual.newton_matrix_of_largest(point, options.density, shift)
    threshold = min(max(options.threshold * point.err, 1e-10), 1e-3)
    return dual.newton_matrix(point, threshold, shift, target)


def _forcing(err, target):
    """Relative residual of a Newton system: superlinear, but no more than the target needs."""
    return min(0.1, max(1e-6, 0.1 * math.sqrt(err), 0.2 * target / err))


def _solve(dual, S, residual, rtol, options, effort):
    """S d = residual, in units of eps; the number of CG iterations."""
    m = dual.m
    if options.linsolve == "dense" or (options.linsolve == "auto" and m <= _DIRECT_SIZE):
        effort.factorisations += 1
        return dual.kernels.newton_dense(S, residual), 0
    d, ncg, converged = dual.kernels.newton_cg(S, residual, rtol, options.cg_maxiter)
    effort.cg += ncg
    if not converged and options.linsolve == "auto" and m <= _MOST_DENSE:
        effort.factorisations += 1
        d = dual.kernels.newton_dense(S, residual)
    return d, ncg


def _compress(xp, d):
    """Replace each gap t between neighbouring values of d by asinh(t).

    Where a weak edge of the plan's graph carries the imbalance r of a cluster,
    Newton asks for a shift r/w and the right one is log(r/w). The result is a
    nondecreasing function of d, so that (Ld)'d' >= 0 for every graph Laplacian
    L: an ascent direction stays one, and small smooth steps stay as they are.
    """
    order = xp.argsort(d)
    values = xp.take(d, order)
    gaps = xp.concat([xp.zeros_like(values[:1]), xp.asinh(values[1:] - values[:-1])])
    compressed = xp.take(cumulative_sum(gaps), xp.argsort(order))
    return compressed - xp.mean(compressed)


def _line_search(dual, point, d, target):
    """The first alpha of 1, .4, .16, .064, .0256, then tenths, with enough ascent.

    Returns the new point, or None, and alpha, or 0.
    """
    xp = dual.xp
    slope = float(xp.sum((dual.b - point.c) * d))
    rounding = 1e-13 * float(xp.sum(dual.a * xp.abs(point.f)) + xp.sum(dual.b * xp.abs(point.g)))
    alpha = 1.0
    for trial in range(_TRIALS if 0.0 < slope < math.inf else 0):
        new = dual.at(point.g + alpha * d, point.eps, target, point.f, _rough(point))
        gain = new.fun - point.fun
        if math.isfinite(new.err) and (
            gain >= _ARMIJO * alpha * slope or (abs(gain) <= rounding and new.err < point.err)
        ):
            return new, alpha
        alpha *= 0.4 if trial < 4 else 0.1
    return None, 0.0


def _go_on(dual, point, new, d, target):
    """Double a full step while F rises.

    A cluster of the plan's graph that no edge ties to the rest may have to
    travel far until it meets the next one, and the error is the same meanwhile.
    """
    alpha = 1.0
    for _ in range(_DOUBLINGS):
        further = dual.at(point.g + 2.0 * alpha * d, point.eps, target, f_guess=new.f)
        if not (math.isfinite(further.err) and further.fun > new.fun):
            break
        new, alpha = further, 2.0 * alpha
    return new, alpha
