"""Methods with a snapshot w and one component per step."""

import math

from refopt._proximal_maps import norm
from refopt.halpern._components import Components

_LOOK = 10  # steps after which loops look whether numbers are on their way to overflow


def l_svrg(problem, u, step, p, indices, coins):
    """u <- J(u - eta (F(w) + F_i(u) - F_i(w))); w <- u with probability p."""
    nstep = 0
    while True:
        w, g = u, problem.F(u)
        yield problem.point(w, g, nstep)
        count = int(coins.geometric(p))
        u = component_steps(problem, w, g, u, step.eta, 1.0, *indices.one_by_one(count))
        nstep += count


def vr_forb(problem, u, step, p, indices, coins):
    """v <- J(alpha v + (1 - alpha) w - gamma (F(w) + F_i(v) - F_i(previous w)))."""
    w = before = u
    nstep = 0
    while True:
        g = problem.F(w)
        yield problem.point(w, g, nstep)
        count = int(coins.geometric(p))
        u = reflected_steps(problem, before, w, g, u, step.eta, 1.0 - p, *indices.one_by_one(count))
        before, w = w, u
        nstep += count


def vr_eg(problem, u, step, p, indices, coins):
    """h = J(a - gamma F(w)), u <- J(a - gamma (F(w) + F_i(h) - F_i(w))); w <- u at times.

    Here a = alpha u + (1 - alpha) w.
    """
    nstep = 0
    while True:
        w, g = u, problem.F(u)
        yield problem.point(w, g, nstep)
        count = int(coins.geometric(p))
        index, factors = indices.one_by_one(count)
        u = extragradient_steps(problem, w, g, u, step.eta, 1.0 - p, index, factors)
        nstep += count


def component_steps(problem, w, g, u, eta, mix, index, factors, mu=0.0):
    """u <- J(mix u + (1 - mix) w - eta (g + F_i(u) - F_i(w) + mu (u - w))), i in turn."""
    operator, kernels = problem.operator, problem.kernels
    if problem.compiled:
        problem.ncomp += 2 * index.shape[0]
        return kernels.svrg_rows_steps(
            operator.form, operator.mu + mu, w, g, u, eta, mix, problem.separable, index, factors
        )
    if isinstance(operator, Components) and problem.separable is not None:
        problem.ncomp += 2 * index.shape[0]
        return kernels.svrg_component_steps(
            operator.fun, mu, w, g, u, eta, mix, problem.separable, index, factors
        )
    for t in range(index.shape[0]):
        if t % _LOOK == 0 and not _moderate(problem.xp, u):
            break
        change = problem.difference(u, w, *_one(index, factors, t)) + mu * (u - w)
        u = problem.J(mix * u + (1.0 - mix) * w - eta * (g + change), eta)
    return u


def reflected_steps(problem, before, w, g, u, eta, mix, index, factors, mu=0.0):
    """The same; the first step compares with the snapshot before."""
    one = _one(index, factors, 0)
    change = problem.difference(u, before, *one) + mu * (u - before)
    u = problem.J(mix * u + (1.0 - mix) * w - eta * (g + change), eta)
    rest = None if factors is None else factors[1:, ...]
    return component_steps(problem, w, g, u, eta, mix, index[1:, ...], rest, mu)


def extragradient_steps(problem, w, g, u, eta, mix, index, factors):
    """Steps of `vr_eg` with one snapshot."""
    operator = problem.operator
    if problem.compiled:
        problem.ncomp += 2 * index.shape[0]
        return problem.kernels.vr_eg_rows_steps(
            operator.form, operator.mu, w, g, u, eta, mix, problem.separable, index, factors
        )
    for t in range(index.shape[0]):
        if t % _LOOK == 0 and not _moderate(problem.xp, u):
            break
        a = mix * u + (1.0 - mix) * w
        h = problem.J(a - eta * g, eta)
        u = problem.J(a - eta * (g + problem.difference(h, w, *_one(index, factors, t))), eta)
    return u


def snapshot_step(n):
    """sqrt(p (1 - p)) with p = 1/n, the scale of the snapshot methods' steps."""
    p = 1.0 / n
    return math.sqrt(p * (1.0 - p)) if n > 1 else 0.5


def _moderate(xp, u):
    return norm(xp, u) < float(xp.finfo(u.dtype).max) ** 0.5


def _one(index, factors, t):
    one = slice(t, t + 1)
    return index[one, ...], None if factors is None else factors[one, ...]
