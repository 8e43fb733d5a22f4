"""Conjugate directions: the paper's iteration, and its two linear cases.

Each is a generator for the driver over a `LinearSystem`, in which the numbers of the paper's
steps are kept: 2 a direction, 3 conjugation, 4 exact line search, 5 the step.
"""

import math
from typing import Any

from refopt import _status
from refopt.deep_conjugate._system import dot

STALLED = _status.STALLED, ""


class Window:
    """The last directions d, with A d and d'A d.

    Parameters
    ----------
    size : int
        How many are kept.
    """

    def __init__(self, size: int):
        self.size = size
        self.triples: list[tuple[Any, Any, float]] = []

    def conjugate(self, d: Any) -> Any:
        """d made A-orthogonal to those kept, oldest first (step 3)."""
        for direction, product, curvature in self.triples:
            d = d - (dot(d, product) / curvature) * direction
        return d

    def keep(self, d: Any, g: Any, c: float) -> None:
        self.triples = [*self.triples, (d, g, c)][-self.size :] if self.size else []

    def clear(self) -> None:
        self.triples = []


def conjugate_gradients(system):
    """The iteration with f(r) = r and one direction kept, its products formed in one pass."""
    operator = system.operator
    d, g, beta = operator.zeros(), operator.zeros(), 0.0
    yield system.iterate()
    while True:
        rho = system.rr
        c, dd = system.conjugate(system.r, beta, d, g)
        if ended := system.verdict(c, dd):
            return ended
        restart = system.step(rho / c, d, g, rho * rho / c)
        yield system.iterate(rho * rho / c)
        if system.stalled:
            return STALLED
        beta = 0.0 if restart else system.rr / rho


def preconditioned(system, model, n_orth):
    """The iteration for a linear model, r -> M r with M symmetric positive definite.

    Where M shows that it is not, the step is along the residual, and counted.
    """
    window = Window(n_orth)
    yield system.iterate()
    while True:
        d = model.propose(system)
        accepted = d is not None and dot(system.r, d) > 0
        if accepted:
            d = window.conjugate(d)
            g, c, _ = system.apply(d)
            accepted = math.isfinite(c) and c > 0
        if not accepted:
            system.n_fallback += 1
            d = window.conjugate(system.operator.xp.asarray(system.r, copy=True))
            g, c, dd = system.apply(d)
            if ended := system.verdict(c, dd):
                return ended
        u = dot(system.r, d)
        window.keep(d, g, c)
        if system.step(u / c, d, g, u * u / c):
            window.clear()
        yield system.iterate(u * u / c, accepted)
        if system.stalled:
            return STALLED


def unguarded(system, model, n_orth):
    """The paper's iteration as it stands, for any model."""
    window = Window(n_orth)
    yield system.iterate()
    while True:
        d = model.propose(system)
        if d is None:
            return _status.BREAKDOWN, "The model returned zero or numbers that are not finite."
        d = window.conjugate(d)
        g, c, dd = system.apply(d)
        u = dot(system.r, d)
        if u == 0.0:
            return _status.STALLED, "The model's direction is orthogonal to the residual."
        if ended := system.verdict(c, dd):
            return ended
        window.keep(d, g, c)
        if system.step(u / c, d, g, u * u / c):
            window.clear()
        yield system.iterate(u * u / c)
        if system.stalled:
            return STALLED
