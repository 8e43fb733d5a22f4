"""When an anchored method starts anew from where it is."""

import math
from dataclasses import dataclass
from typing import Any

from refopt import _validate

_LARGE_DROP, _DROP = 0.2, 0.8


@dataclass
class Restart:
    """The adaptive rule, a fixed period, or never.

    With the residual r, that of the last restart r0, k steps since and K in all, the
    adaptive rule restarts if r <= 0.2 r0, if r <= 0.8 r0 and r grows again, or if
    k >= share K + least. Where the first step after a restart is the method's own,
    because the anchor is the point itself, such steps go on while r <= plain r0.
    """

    rule: Any
    share: float = 0.36
    least: int = 10
    plain: float = 0.0
    count: int = 0
    before: int = 0
    origin: float = math.inf
    previous: float = math.inf

    def due(self, r: float, k: int) -> bool:
        """Whether to restart at a point of residual r, k steps after the last restart."""
        if self.rule is None:
            return False
        if k == 0:
            self.origin = self.previous = r
            return False
        if self.rule == "adaptive" and k == 1 and r <= self.plain * self.origin:
            self.before += 1
            self.origin = self.previous = r
            return True
        if self.rule == "adaptive":
            grows, self.previous = r > self.previous, r
            now = (
                r <= _LARGE_DROP * self.origin
                or (r <= _DROP * self.origin and grows)
                or k >= self.share * (self.before + k) + self.least
            )
        else:
            now = k >= self.rule
        if now:
            self.count, self.before = self.count + 1, self.before + k
            self.origin = self.previous = r
        return now


def restart_rule(restart: Any) -> Any:
    """The argument `restart`."""
    if restart is None or (isinstance(restart, str) and restart == "adaptive"):
        return restart
    if isinstance(restart, str):
        raise ValueError(f"restart must be 'adaptive', None or a period, got {restart!r}")
    return _validate.count(restart, "restart", least=1)
