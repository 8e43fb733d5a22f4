"""Whether rounding allows no smaller error."""

import math


def rounding_level(xp, f, g, eps):
    """Errors that the rounding of f + g - C can cause, generously."""
    largest = float(xp.max(xp.abs(f))) + float(xp.max(xp.abs(g)))
    return 1e-13 * (1.0 + largest / eps)


class Stagnation:
    """At rounding level, and no progress for a number of iterations.

    Which of its last bits an error gains or loses from one iteration to the next depends on
    the processor: only an error below `factor` times the least so far is progress.

    Attributes
    ----------
    least : float
        The error that counts.
    since : int
        Iterations since it was reached.
    """

    def __init__(self, window, factor=1.0):
        self.window, self.factor = window, factor
        self.least, self.since = math.inf, 0

    def reached(self, xp, point, eps):
        """Note the error of the next iterate; whether the run is at its end."""
        if point.err < self.factor * self.least:
            self.least, self.since = point.err, 0
        else:
            self.since += 1
        if self.since < self.window:
            return False
        return point.err <= rounding_level(xp, point.f, point.g, eps)
