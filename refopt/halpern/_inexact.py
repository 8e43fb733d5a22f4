"""Halpern's iteration on the resolvent, computed inexactly: the paper's Algorithm 2."""

import math

from refopt.halpern._components import returned
from refopt.halpern._restart import Restart
from refopt.halpern._variance_reduced import component_steps, reflected_steps, snapshot_step

_C, _INNER = 42.0, 19.0  # of the theory's number of inner steps


def classical_anchor(k):
    """lam_k = 1/(k + 2)."""
    return 1.0 / (k + 2.0)


def theory_steps(n, eta, L):
    """M_k = ceil(42 (n + sqrt(n) (eta L + 1)) log(19 (k + 2)))."""
    scale = _C * (n + math.sqrt(n) * (eta * L + 1.0))
    return lambda k: math.ceil(scale * math.log(_INNER * (k + 2.0)))


def inexact_resolvent(problem, u, step, anchor, inner, restart):
    """v_k ~ J_{eta (F + G)}(u_k) by `inner`; u_{k+1} = lam_k u_0 + (1 - lam_k) v_k."""
    restart = Restart(restart)
    u0, k, nstep = u, 0, 0
    while True:
        g = problem.F(u)
        point = problem.point(u, g, nstep, restart.count)
        yield point
        if restart.due(point.residual, k):
            u0, k = u, 0
        v, count = inner(problem, u, g, step.eta, k)
        lam = anchor(k)
        u = lam * u0 + (1.0 - lam) * v
        k, nstep = k + 1, nstep + count


class VarianceReducedForwardReflected:
    """Inner solver of 0 in F(v) + (v - u)/eta + G(v), a fixed number of steps.

    With Fhat(v) = eta F(v) + v - u of the paper and gamma as there:
    v <- J(alpha v + (1 - alpha) w - gamma [Fhat(w) + Fhat_i(v) - Fhat_i(previous w)]),
    w <- v with probability p = 1/n.
    """

    def __init__(self, steps, L, factor, eta, indices, coins):
        self.steps, self.L, self.factor, self.first = steps, L, factor, eta
        self.indices, self.coins = indices, coins

    def __call__(self, problem, u, g, eta, k):
        """v and the number of steps."""
        n = problem.n
        p = 1.0 / n
        factor = self.factor * min(1.0, eta / self.first)  # shortened with the outer step
        gamma = eta * factor * snapshot_step(n) / (eta * self.L + 1.0)
        left = total = max(1, int(self.steps(k)))
        v = w = before = u
        while left:
            count = min(left, int(self.coins.geometric(p)))
            index, factors = self.indices.one_by_one(count)
            shifted = g + (w - u) / eta
            v = reflected_steps(
                problem, before, w, shifted, v, gamma, 1.0 - p, index, factors, 1.0 / eta
            )
            left -= count
            before = w
            if left:
                w, g = v, problem.F(v)
        return v, total


class LooplessSVRG:
    """Inner solver by L-SVRG from u on, a number of snapshots; for cocoercive F."""

    def __init__(self, snapshots, L, indices, coins):
        self.snapshots, self.L = snapshots, L
        self.indices, self.coins = indices, coins

    def __call__(self, problem, u, g, eta, k):
        """v and the number of steps."""
        inner_eta = 1.0 / (4.0 * (self.L + 1.0 / eta))
        v, total = u, 0
        for snapshot in range(self.snapshots):
            w = v
            g = g if snapshot == 0 else problem.F(w)
            count = int(self.coins.geometric(1.0 / problem.n))
            index, factors = self.indices.one_by_one(count)
            shifted = g + (w - u) / eta
            v = component_steps(problem, w, shifted, v, inner_eta, 1.0, index, factors, 1.0 / eta)
            total += count
        return v, total


class GivenSolver:
    """A user's inner solver ``inner(u, g, eta, k)``, which returns v."""

    def __init__(self, fun):
        self.fun = fun

    def __call__(self, problem, u, g, eta, k):
        """v and a count of one."""
        u, g = (problem.xp.asarray(part, copy=True) for part in (u, g))
        return returned(problem.xp, self.fun(u, g, eta, k), u, "inner"), 1
