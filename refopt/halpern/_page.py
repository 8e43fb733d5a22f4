"""Halpern's iteration with recursive variance reduction: the paper's Algorithm 1."""

import math

from refopt.halpern._restart import Restart

_MOST = 20.0  # chunks end after this many times the expected number of steps


def paper_anchor(k):
    """lam_k = 2/(k + 4)."""
    return 2.0 / (k + 4.0)


def paper_probability(n):
    """p_k = 1 for k <= 1, then the larger of 4/(k + 4) and 4/(sqrt(n) + 5)."""
    return lambda k: 1.0 if k <= 1 else min(1.0, max(4.0 / (k + 4.0), 4.0 / (math.sqrt(n) + 5.0)))


def paper_batch(n):
    """b = max(1, floor(sqrt(n)))."""
    return max(1, math.isqrt(n))


def anchored_page(problem, u, step, anchor, probability, batch, indices, coins, restart):
    """Steps with an estimate g of F(u), exact where it is renewed.

    with probability p_k:  g = F(u_k)
    otherwise:             g = g + mean over a batch of F_i(u_k) - F_i(u_{k-1})
    u_{k+1} = J(lam_k u_0 + (1 - lam_k) u_k - eta g)
    """
    restart = Restart(restart, share=0.5, least=20)
    u0, k, nstep = u, 0, 0  # k counts from the last restart
    while True:
        g = problem.F(u)
        point = problem.point(u, g, nstep, restart.count)
        yield point
        if restart.due(point.residual, k):
            u0, k = u, 0
        previous, u = u, problem.anchored(u0, u, g, anchor(k), step.eta)
        k, nstep = k + 1, nstep + 1
        length = _steps_without_renewal(coins, probability, nstep)
        if length:
            index, factors = indices.draw(length, batch)
            lams = [anchor(k + t) for t in range(length)]
            u = _recursive_steps(problem, u, previous, g, u0, lams, step.eta, index, factors)
            k, nstep = k + length, nstep + length


def _steps_without_renewal(coins, probability, k):
    length = 0
    while coins.random() >= probability(k + length):
        length += 1
        if length * probability(k + length) > _MOST:
            break
    return length


def _recursive_steps(problem, u, previous, g, u0, lams, eta, index, factors):
    if problem.compiled:
        problem.ncomp += 2 * index.shape[0] * index.shape[1]
        lams = problem.xp.asarray(lams)
        return problem.kernels.page_rows_steps(
            problem.operator.form, problem.operator.mu, u, previous, g, u0, lams, eta,
            problem.separable, index, factors,
        )[0]  # fmt: skip
    for t, lam in enumerate(lams):
        weights = None if factors is None else factors[t, ...]
        g = g + problem.difference(u, previous, index[t, ...], weights)
        previous, u = u, problem.anchored(u0, u, g, lam, eta)
    return u
