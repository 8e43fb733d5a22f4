"""Proximal maps of losses, sample by sample: argmin_z l(z, y) + (z - q)^2 / (2 g)."""

from typing import Any

from refopt.losses import expit

_STEPS = 60


def squared(xp: Any, q: Any, y: Any, g: Any) -> Any:
    """(q + g y)/(1 + g)."""
    return (q + g * y) / (1 + g)


def hinge(xp: Any, q: Any, y: Any, g: Any) -> Any:
    """y times: m = y q where m >= 1, else min(m + g, 1)."""
    m = y * q
    return y * xp.where(m >= 1, m, xp.minimum(m + g, xp.ones_like(m)))


def logistic(xp: Any, q: Any, y: Any, g: Any) -> Any:
    """y (m + g t) with t = expit(-(m + g t)), by Newton's method within a bracket."""
    m = y * q
    low, high = xp.zeros_like(m), expit(-m)
    t = 0.5 * high
    for step in range(_STEPS):
        e = expit(-(m + g * t))
        off = t - e
        low, high = xp.where(off < 0, t, low), xp.where(off > 0, t, high)
        done = xp.abs(off) <= 1e-15
        if bool(xp.all(done)):
            break
        # Newton's iteration alone may jump between the ends for ever
        new = t - off / (1 + g * e * (1 - e))
        inside = (new > low) & (new < high) & (step % 3 < 2)
        new = xp.where(inside, new, 0.5 * (low + high))
        t = xp.where(done, t, new)
    return y * (m + g * t)


PROXIMAL = {"Squared": squared, "Logistic": logistic, "Hinge": hinge}
