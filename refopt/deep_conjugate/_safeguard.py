"""Conjugate directions of a model that may be wrong: about no more iterations than without it.

For the drop ``(r'd)^2/(d'Ad)`` of the squared A-norm of the error that a direction d brings, a
model's direction is taken if it brings 1.2 times the drop of s, the residual made A-orthogonal
to the window. Else the step is along s. After a second failure in a row the window is emptied,
and conjugate gradients begin; the model is asked again, ever more seldom while it fails, and
comes back once its direction brings as much as the last ten steps together: an accidental
success would destroy what these have built up.
"""

import math
from typing import Any, NamedTuple

from refopt.deep_conjugate._directions import STALLED, Window
from refopt.deep_conjugate._system import dot

FACTOR = 1.2  # of the drop along s
LAST = 10  # drops of conjugate gradients that the model's must outweigh
TRIES, PAUSE = 3, 10  # failures before the first pause; its length, doubled each time


class Step(NamedTuple):
    """A direction d with g = A d, c = d'g, u = r'd; what of A forbids it, if anything."""

    d: Any
    g: Any
    c: float
    u: float
    ended: tuple[int, str] | None

    @property
    def drop(self):
        return self.u * self.u / self.c


def guarded(system, model, n_orth):
    """The paper's iteration for any model, with the safeguard.

    The window for conjugate gradients holds one direction at least, also if `n_orth` is 0.
    """
    window = Window(n_orth)
    follows_model, paused, pause, fails = True, 0, PAUSE, 0
    mixed = False  # the window holds the model's directions
    drops: list[float] = []
    yield system.iterate()
    while True:
        called = paused == 0
        s = _along_residual(system, window)
        step = s
        accepted = False
        if called and not s.ended and (proposed := _along_model(system, model, window)):
            needed = FACTOR * s.drop if follows_model else max(FACTOR * s.drop, sum(drops[-LAST:]))
            accepted = proposed.drop >= needed
        if accepted:
            step = proposed
            follows_model, mixed, fails = True, True, 0
            window.size = n_orth
        else:
            fails += 1
            if follows_model and fails > 1:
                if mixed:
                    window.clear()
                    s = _along_residual(system, window)
                window.size = max(n_orth, 1)
                drops, follows_model, mixed = [], False, False
            if s.ended:
                return s.ended
            step = s
            drops.append(s.drop)
            system.n_fallback += 1
            if not called:
                paused -= 1
            elif fails >= TRIES:
                paused, pause = pause, 2 * pause
        window.keep(step.d, step.g, step.c)
        if system.step(step.u / step.c, step.d, step.g, step.drop):
            window.clear()
        yield system.iterate(step.drop, accepted)
        if system.stalled:
            return STALLED


def _along_residual(system, window):
    d = window.conjugate(system.operator.xp.asarray(system.r, copy=True))
    g, c, dd = system.apply(d)
    return Step(d, g, c, dot(system.r, d), system.verdict(c, dd))


def _along_model(system, model, window):
    """The model's step, None where it proposes nothing that reduces the error."""
    d = model.propose(system)
    if d is None:
        return None
    d = window.conjugate(d)
    g, c, _ = system.apply(d)
    step = Step(d, g, c, dot(system.r, d), None)
    return step if c > 0 and math.isfinite(c) and math.isfinite(step.u) else None
