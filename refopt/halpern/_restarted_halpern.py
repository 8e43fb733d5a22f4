"""Restarted, reflected Halpern iteration of the primal-dual hybrid gradient map, for games.

One step with step s and primal weight w is the map T,

    x+ = P(x - (s/w) A'y),   y+ = P(y + s w A(2 x+ - x)),

nonexpansive in the norm of |(dx, dy)|^2 = w|dx|^2 + |dy|^2/w - 2 s dy'A dx while s|A| <= 1 on
the directions that occur. The iteration is z <- (k+1)/(k+2) (2 T z - z) + z_0/(k+2).
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from refopt import _status
from refopt._driver import Iterate
from refopt.halpern._game import Game, middle
from refopt.halpern._support_polish import polish

_CHECK = 40  # steps between looks at the residual, which make one iteration
_SUFFICIENT, _NECESSARY, _ARTIFICIAL = 0.2, 0.8, 0.36  # when to restart
_GROWTH = 4.0  # of the step, at a restart
_VIOLATIONS = 1  # of the grown step's bound, then it grows no more
_POLISH_BELOW, _ROUNDING = 1e-2, 1e-15  # gap, relative to the entries


def restarted_halpern(
    game: Game, x: Any, y: Any, *, use_polish: bool
) -> Generator[Iterate, None, Any]:
    """Restart where the residual fell, with a new weight and a longer step.

    Parameters
    ----------
    game : Game
    x, y : array
        Start.
    use_polish : bool
        Whether to solve for the strategies on the supports that show.

    Yields
    ------
    Iterate
        After every 40 steps: x is the pair (x+, y+), fun the value, error the gap.
    """
    xp = game.xp
    norm = game.norm()
    if norm <= 1e-13 * game.scale:  # row and column terms only: pure strategies are best
        pair = xp.zeros_like(x), xp.zeros_like(y)
        pair[0][xp.argmin(game.column_payoffs(y))] = 1.0
        pair[1][xp.argmax(game.row_payoffs(x))] = 1.0
        most, least = game.bounds(*pair)
        yield Iterate(x=pair, fun=middle(most, least), error=most - least)
        return _status.STALLED, ""
    steps = _Steps(0.998 / norm)
    total, next_polish = 0, 0
    while True:
        epoch = _Epoch(game, x, y, steps)
        while not epoch.over(total):
            epoch.advance(1 if epoch.k == 0 else _CHECK - epoch.k % _CHECK)
            if epoch.k == 1:
                continue
            total += _CHECK
            pair, (most, least) = (epoch.x_new, epoch.y_new), epoch.bounds()
            close = most - least <= _POLISH_BELOW * game.scale
            if use_polish and close and total >= next_polish:
                next_polish = total + max(_CHECK, total // 20)
                exact = polish(game, *(xp.nonzero(p)[0] for p in pair[::-1]))
                bounds = (math.inf, 0.0) if exact is None else game.bounds(*exact)
                if bounds[0] - bounds[1] < most - least:
                    pair, (most, least) = exact, bounds
            yield Iterate(x=pair, fun=middle(most, least), error=most - least)
            if most - least <= _ROUNDING * game.scale:
                return _status.STALLED, ""
        x, y = epoch.x_new, epoch.y_new
        steps.renew(epoch)


@dataclass
class _Steps:
    """The step s >= shortest, and the primal weight w, both fixed between restarts."""

    shortest: float

    def __post_init__(self):
        self.s, self.w, self.violations = self.shortest, 1.0, 0

    def renew(self, epoch):
        safe = 0.8 * epoch.limit
        if epoch.violated:
            self.violations += 1
            self.s = max(self.shortest, safe)
        elif self.violations < _VIOLATIONS:
            self.s = max(self.shortest, min(safe, _GROWTH * self.s))
        if self.violations >= _VIOLATIONS:
            self.s = self.shortest
        dx, dy = epoch.x_new - epoch.x_0, epoch.y_new - epoch.y_0
        moved_x, moved_y = math.sqrt(float(dx @ dx)), math.sqrt(float(dy @ dy))
        if min(moved_x, moved_y) > 1e-16:
            self.w = math.sqrt(self.w * moved_y / moved_x)


class _Epoch:
    """The steps from a restart to the next."""

    def __init__(self, game, x, y, steps):
        self.game, self.s, self.w = game, steps.s, steps.w
        self.may_violate = steps.s > steps.shortest
        self.x = self.x_0 = x
        self.y = self.y_0 = y
        self.Ax = self.Ax_0 = game.times(x)
        self.x_new: Any = x
        self.y_new: Any = y
        self.A_ahead: Any = self.Ax
        self.tau_x = self.tau_y = None
        self.k, self.limit = 0, math.inf
        self.first = self.previous = self.residual = math.inf

    def advance(self, count):
        """Some steps, after the last of which the residual is known."""
        game, project, s, w = self.game, self.game.kernels.project_simplex, self.s, self.w
        for _ in range(count):
            if self.k:
                anchor = 1.0 / (self.k + 1)
                self.x = (1 - anchor) * (2 * self.x_new - self.x) + anchor * self.x_0
                self.y = (1 - anchor) * (2 * self.y_new - self.y) + anchor * self.y_0
                self.Ax = (1 - anchor) * self.A_ahead + anchor * self.Ax_0
            gradient = game.transposed_times(self.y) + game.c
            self.x_new, self.tau_x = project(self.x - (s / w) * gradient, 1.0, self.tau_x)
            self.A_ahead = game.times(2 * self.x_new - self.x)
            gradient = self.A_ahead + game.r
            self.y_new, self.tau_y = project(self.y + (s * w) * gradient, 1.0, self.tau_y)
            self.k += 1
        dx, dy = self.x_new - self.x, self.y_new - self.y
        cross = float(dy @ (self.A_new() - self.Ax))
        square = w * float(dx @ dx) + float(dy @ dy) / w
        self.previous, self.residual = self.residual, math.sqrt(max(square - 2 * s * cross, 0.0))
        if self.k == 1:
            self.first = self.residual
        if cross != 0:  # the largest s for which this displacement has a length
            self.limit = min(self.limit, square / (2 * abs(cross)))

    def A_new(self):
        return 0.5 * (self.A_ahead + self.Ax)

    def bounds(self):
        return self.game.bounds(self.x_new, self.y_new, rows=self.A_new() + self.game.r)

    @property
    def violated(self):
        return self.may_violate and self.limit < self.s

    def over(self, total):
        """Whether to restart."""
        if self.k < 2:
            return self.k == 1 and self.violated
        fell = self.residual <= _SUFFICIENT * self.first
        rises = self.residual <= _NECESSARY * self.first and self.residual > self.previous
        return self.violated or fell or rises or self.k >= _ARTIFICIAL * total
