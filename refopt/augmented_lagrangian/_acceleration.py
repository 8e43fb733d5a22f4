"""Slow tails: Anderson acceleration of Newton steps that shrink by a constant factor only.

Where the reduced Hessian is singular at the solution, full Newton steps converge linearly: near
the minimum of a fourth power each one leaves 2/3 of the error. Such steps follow one another in
nearly the same direction, and tell where they lead.
"""

from typing import Any

_SHRINK = 0.45, 0.95  # of a step against the one before
_FIT = 0.1  # of a step may be left by what the one before it foretells
_SHARE = 0.8  # of the way, short of what may be no minimum but a point of inflexion


class Tail:
    """The last points and Newton steps of a run."""

    def __init__(self):
        self._steps: list[Any] = []
        self._wait, self._pause = 0, 1

    def ahead(self, dx: Any) -> Any:
        """The step that the Newton steps so far foretell, None if they do not tell."""
        steps = self._steps
        size = float(dx.dot(dx))
        if steps:
            old, before = steps[-1]
            along = float(dx.dot(old)) / before
            slow = _SHRINK[0] < along < _SHRINK[1]
            if not slow or size - along * along * before > _FIT**2 * size:
                steps.clear()
        steps.append((dx, size))
        if self._wait:
            self._wait -= 1
            return None
        if len(steps) < 3:
            return None
        quick = (dx - along * old) / (1.0 - 1.0 / along)
        slow = dx - quick
        return (1.0 + _SHARE * along / (1.0 - along)) * slow + quick / (1.0 - along * along)

    def taken(self, success: bool) -> None:
        """What has come of it; after a failure the next attempt waits longer."""
        self._steps.clear()
        if success:
            self._pause = 1
        else:
            self._wait, self._pause = self._pause, 2 * self._pause
