"""Which step along a direction is taken; Jacobians are evaluated where a step is taken only.

M at a trial point needs the Jacobian there. Its part ``eta2/2 |gL|^2`` is foreseen to first order
instead, ``gL + alpha u``, which leaves value and slope at alpha = 0 as they are: a trial is
rejected, or chosen, by f and c alone, and M is tested when the Jacobian is known.

A step is taken for one of three reasons: Armijo's condition on M, progress in the filter of
``(|c|, f)``, or a smaller KKT residual. The theory page says what this guarantees.
"""

import math
from typing import Any, NamedTuple

from refopt.augmented_lagrangian._filter import Filter
from refopt.augmented_lagrangian._merit import Direction, merit
from refopt.augmented_lagrangian._point import Point, complete

SHORTEST = 1e-6
_PATIENCE = 0.125  # the shortest step at which M is waited for when the filter takes a longer one
_CORRECTIONS = 4
_FALL = 0.99  # of |c| by a correction, for another one to follow


class Trial(NamedTuple):
    """f and c somewhere, and why the step there may be taken: "M", "f", "c", "r" or ""."""

    x: Any
    l: Any
    f: float
    c: Any
    cc: float
    alpha: float
    reason: str


class Search:
    """The line searches of one run: what they remember is the filter and what M has reached."""

    def __init__(self, problem, start: Point, beta: float):
        self._problem, self._beta = problem, beta
        self._filter = Filter(math.sqrt(start.cc))
        self._lowest: Point | None = None  # of the points taken for M alone

    def step(self, point: Point, d: Direction, again, eta1, eta2, slope, progress):
        """The next point and the step length, ``None, 0.0`` if there is none.

        Parameters
        ----------
        point : Point
        d : Direction
        again : callable or None
            Solves the Newton system with another right-hand side.
        eta1, eta2, slope : float
            Penalties, and the slope of M with them.
        progress : float
            A KKT residual that is reason enough for the full step.
        """
        self._point, self._d, self._etas = point, d, (eta1, eta2)
        self._value, self._slope = merit(point, eta1, eta2), slope
        self._violation, self._f_slope = math.sqrt(point.cc), float(point.g.dot(d.dx))
        self._progress = progress
        alpha, fallback = 1.0, None
        while alpha >= SHORTEST:
            dx, dl = (d.dx, d.dl) if alpha == 1.0 else (alpha * d.dx, alpha * d.dl)
            trials = [self._trial(point.x + dx, point.l + dl, alpha)]
            if alpha == 1.0 and again is not None:
                trials += self._corrected(trials[0], again)
            for trial in trials:
                if trial.reason in ("M", "r"):
                    new = self._taken(trial)
                    if new is not None:
                        return new, trial.alpha
                elif trial.reason and fallback is None:
                    fallback = trial
            if fallback is not None and alpha <= _PATIENCE:
                new = self._taken(fallback)
                if new is not None:
                    return new, fallback.alpha
                fallback = None
            alpha *= 0.5
        return None, 0.0

    def restored(self, old: Point):
        """Restoration has begun at a point, to which no step may lead back."""
        self._filter.add(math.sqrt(old.cc), old.f)

    def _trial(self, x, l, alpha):
        f, c = self._problem.values(x)
        cc = float(c.dot(c))
        if not (math.isfinite(f) and math.isfinite(cc)):
            return Trial(x, l, f, c, math.inf, alpha, "")
        eta1, eta2 = self._etas
        foreseen = f + float(l.dot(c)) + 0.5 * (eta1 * cc + eta2 * self._d.foreseen(alpha))
        if foreseen <= self._target(alpha):
            reason = "M"
        elif alpha == 1.0 and math.sqrt(cc) <= self._progress:
            reason = "r"
        else:
            reason = self._progress_in_filter(f, cc, alpha)
        return Trial(x, l, f, c, cc, alpha, reason)

    def _target(self, alpha):
        """What Armijo's condition asks of M, up to rounding."""
        return self._value + self._beta * alpha * self._slope + 1e-14 * abs(self._value)

    def _progress_in_filter(self, f, cc, alpha):
        return self._filter.step(
            self._violation, self._point.f, self._f_slope, alpha, math.sqrt(cc), f
        )

    def _corrected(self, trial, again):
        """Second-order corrections of a full step that violates the constraints more."""
        point, n, violation = self._point, self._problem.n, self._violation
        c = point.c
        for _ in range(_CORRECTIONS):
            if trial.reason == "M" or not violation <= math.sqrt(trial.cc) < math.inf:
                break
            c = c + trial.c
            p = again(-self._problem.xp.concatenate((point.gL, c)))
            before = trial.cc
            trial = self._trial(point.x + p[:n], point.l + p[n:], 1.0)
            yield trial
            if not trial.cc <= _FALL**2 * before:
                break

    def _taken(self, trial):
        """The point with its Jacobian, None if it is not to be taken after all."""
        x, l, f, c = trial[:4]
        new = complete(self._problem, x, l, f, c)
        if not new.finite:
            return None
        known = trial.reason in ("f", "c")
        reason = trial.reason if known else self._progress_in_filter(f, new.cc, trial.alpha)
        if not reason:
            if new.kkt <= self._progress and trial.alpha == 1.0:
                return new
            if not self._lower(new, trial.alpha):
                return None
            self._lowest = new
        elif reason == "c":
            self._filter.add(self._violation, self._point.f)
        return new

    def _lower(self, new, alpha):
        """Whether M has fallen enough, also against what steps for M alone have reached."""
        value, target = merit(new, *self._etas), self._target(alpha)
        if self._lowest is not None:
            lowest = merit(self._lowest, *self._etas)
            target = min(target, lowest + self._beta * alpha * self._slope + 1e-14 * abs(lowest))
        return value <= target
