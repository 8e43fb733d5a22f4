"""Methods of one or two full evaluations per step, as generators of points.

Each yields the point where it knows F. J is the resolvent, lam the anchor's weight;
a step that does not suit the displacement is taken again with a smaller eta.
"""

import itertools

from refopt.halpern._restart import Restart

_PLAIN = 0.999  # what a step without an anchor must multiply the residual with to be repeated


def forward(problem, u, step):
    """u <- J(u - eta F(u)), for cocoercive F; eta < 2/L."""
    F, J = problem.F, problem.J
    g = F(u)
    for nstep in itertools.count():
        yield problem.point(u, g, nstep)
        new = J(u - step.eta * g, step.eta)
        new_g = F(new)
        step.accepts(problem.xp, new - u, new_g - g)
        u, g = new, new_g


def extragradient(problem, u, step):
    """h = J(u - eta F(u)), u <- J(u - eta F(h)); eta < 1/L."""
    F, J = problem.F, problem.J
    for nstep in itertools.count():
        g = F(u)
        yield problem.point(u, g, nstep)
        while True:
            h = J(u - step.eta * g, step.eta)
            gh = F(h)
            if step.accepts(problem.xp, h - u, gh - g):
                break
        u = J(u - step.eta * gh, step.eta)


def anchored_extragradient(problem, u, step, anchor, restart):
    """a = lam u0 + (1 - lam) u, h = J(a - eta F(u)), u <- J(a - eta F(h)); eta < 1/L."""
    F, J = problem.F, problem.J
    restart = Restart(restart, plain=_PLAIN)
    u0, k, nstep = u, 0, 0
    while True:
        g = F(u)
        point = problem.point(u, g, nstep, restart.count)
        yield point
        if restart.due(point.residual, k):
            u0, k = u, 0
        lam = anchor(k)
        a = lam * u0 + (1 - lam) * u
        while True:
            h = J(a - step.eta * g, step.eta)
            gh = F(h)
            if step.accepts(problem.xp, h - u, gh - g):
                break
        u = J(a - step.eta * gh, step.eta)
        k, nstep = k + 1, nstep + 1


def forward_reflected(problem, u, step):
    """u <- J(u - eta (2 F(u) - F(previous u))); eta < 1/(2L)."""
    F, J = problem.F, problem.J
    g = before = F(u)
    for nstep in itertools.count():
        yield problem.point(u, g, nstep)
        new = J(u - step.eta * (2.0 * g - before), step.eta)
        new_g = F(new)
        step.accepts(problem.xp, new - u, new_g - g)
        u, g, before = new, new_g, g


def popov(problem, u, step):
    """h = J(u - eta F(previous h)), u <- J(u - eta F(h)); eta < 1/(3L).

    Yields h, where F is known.
    """
    F, J = problem.F, problem.J
    h, g = u, F(u)
    yield problem.point(h, g)
    for nstep in itertools.count(1):
        new = J(u - step.eta * g, step.eta)
        new_g = F(new)
        step.accepts(problem.xp, new - h, new_g - g)
        h, g = new, new_g
        u = J(u - step.eta * g, step.eta)
        yield problem.point(h, g, nstep)


def forward_backward_forward(problem, u, step):
    """h = J(u - eta F(u)), u <- h - eta (F(h) - F(u)); eta < 1/L.

    Yields h, where F is known too: u may lie outside the set.
    """
    F, J = problem.F, problem.J
    g = F(u)
    yield problem.point(u, g)
    for nstep in itertools.count(1):
        while True:
            h = J(u - step.eta * g, step.eta)
            gh = F(h)
            if step.accepts(problem.xp, h - u, gh - g):
                break
        yield problem.point(h, gh, nstep)
        u = h - step.eta * (gh - g)
        g = F(u)
