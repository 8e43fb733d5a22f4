"""The filter of Wächter and Biegler: pairs of ``|c|`` and f that no later point may be behind."""

GAMMA = 1e-5  # margin of a filter entry, and of progress against the present point
ARMIJO = 1e-4
_LARGEST, _SMALLEST = 1e2, 1e-4  # of |c|, over max(1, |c(x_0)|)
_RISE = 1e4  # of f in one step, over max(10, |f|), that no progress of |c| is worth


class Filter:
    """What points were reached, by violation ``|c|`` and objective.

    Parameters
    ----------
    violation : float
        At the start.
    """

    def __init__(self, violation: float):
        self._entries: list[tuple[float, float]] = []
        self._largest = _LARGEST * max(1.0, violation)
        self._smallest = _SMALLEST * max(1.0, violation)

    def step(self, violation, f, slope, alpha, new_violation, new_f) -> str:
        """How a step of length alpha makes progress: "f", "c" or "" for not at all.

        Parameters
        ----------
        violation, f : float
            At the present point.
        slope : float
            The derivative of f along the direction.
        alpha, new_violation, new_f : float
            Length of the trial step, and what it leads to.
        """
        rises = new_f - f > _RISE * max(10.0, abs(f))
        if rises or new_violation > self._largest or self._behind(new_violation, new_f):
            return ""
        descends = slope < 0.0 and alpha * (-slope) ** 2.3 > violation**1.1
        enough = new_f <= f + ARMIJO * alpha * slope + 1e-15 * abs(f)
        if descends and violation <= self._smallest:
            return "f" if enough else ""
        if descends and enough:
            return "f"
        progress = new_violation <= (1 - GAMMA) * violation or new_f <= f - GAMMA * violation
        return "c" if progress else ""

    def add(self, violation: float, f: float):
        """No later point may be behind this one."""
        new = ((1 - GAMMA) * violation, f - GAMMA * violation)
        kept = [(t, v) for t, v in self._entries if t < new[0] or v < new[1]]
        self._entries = [*kept, new]

    def _behind(self, violation, f):
        return any(violation >= t and f >= v for t, v in self._entries)
