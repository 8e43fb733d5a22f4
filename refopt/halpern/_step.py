"""The step: from a constant, along displacements, or by halving where it was wrong."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refopt._proximal_maps import norm

_GROWTH = 1.1
_LEAST_CUT = 0.5
_PROBES = 8
_SAMPLE = 32


@dataclass
class Step:
    """A step eta that stays below limit / L.

    Attributes
    ----------
    eta : float
    limit : float
        The largest stable eta L.
    shrinks, grows : bool
        Whether it may be cut, or raised, where displacements show another L.
    """

    eta: float
    limit: float
    shrinks: bool = False
    grows: bool = False

    def accepts(self, xp: Any, du: Any, dF: Any) -> bool:
        """Whether eta suits a displacement; cuts it if not."""
        if not self.shrinks:
            return True
        moved, changed = norm(xp, du), norm(xp, dF)
        if not (moved > 0 and changed > 0 and math.isfinite(changed)):
            return True
        allowed = self.limit * moved / changed
        if self.eta > allowed * (1 + 1e-9):
            self.eta = max(_LEAST_CUT * self.eta, 0.95 * allowed)
            return False
        if self.grows:
            self.eta = min(_GROWTH * self.eta, 0.95 * allowed)
        return True


def probe(problem: Any, u: Any, g: Any, sampling: Any) -> tuple[float, float, float]:
    """Secant estimates of Lipschitz constants, by finite differences from u, where F is g.

    Of F, by a power iteration; and, at its last direction d, for the components on
    average: of continuity, and the L of mean |F_i d|^2 <= L <F d, d>.
    """
    xp, operator = problem.xp, problem.operator
    generator = np.random.default_rng(0)
    length = 1e-3 * (1.0 + norm(xp, u))
    d = xp.asarray(generator.standard_normal(u.shape[0]), dtype=u.dtype)
    if norm(xp, g) > 0:
        d = g / norm(xp, g) + 0.1 * d / norm(xp, d)
    largest, average, cocoercive = 0.0, 0.0, 0.0
    for _ in range(_PROBES):
        size = norm(xp, d)
        if size == 0:
            break
        d = (length / size) * d
        moved = problem.J(u + d, 1e-12) - u if problem.constrained else d
        away = norm(xp, moved)
        if away == 0:
            break
        change = problem.F(u + moved) - g
        largest = max(largest, norm(xp, change) / away)
        d, last = change, moved
    if sampling is not None and largest > 0:
        count = min(_SAMPLE, operator.n)
        index = generator.choice(operator.n, count, replace=False)
        square = 0.0
        for i in index:
            part = problem.difference(u + last, u, xp.asarray([int(i)]), None)
            square += norm(xp, part) ** 2 / count
        average = max(math.sqrt(square) / norm(xp, last), largest)
        inner = float(xp.sum(change * last))
        cocoercive = square / inner if inner * operator.n * largest > square else average
    return largest or 1.0, average or 1.0, max(cocoercive, average) or 1.0
