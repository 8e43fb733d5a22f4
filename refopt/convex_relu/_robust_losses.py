"""Worst losses of linear predictions under perturbations, sample by sample.

For z = x'q and b = epsilon ||q_J||_p* the worst loss is (|z - y| + b)^2/2, that of the
margin y z - b for losses of margins.
"""

from typing import Any

from refopt.losses import expit

_BISECTIONS = 55


def worst(xp: Any, name: str, z: Any, b: Any, y: Any, loss: Any) -> float:
    """The sum over samples."""
    if name == "Squared":
        e = xp.abs(z - y) + b
        return 0.5 * float(e @ e)
    return loss.value(y * z - b, xp.ones_like(z))


def proximal(
    xp: Any, name: str, norm: Any, z0: Any, Y0: Any, y: Any, epsilon: float, wz: float, wy: float
) -> tuple[Any, Any, Any]:
    """argmin of worst loss(z, epsilon ||Y||) + wz/2 |z - z0|^2 + wy/2 ||Y - Y0||^2, and t.

    Given the slope t of the loss both parts are explicit, and t solves an equation in
    which one side rises and the other falls.
    """

    def parts(t):
        if name == "Squared":
            a = z0 - y
            z = y + xp.sign(a) * xp.maximum(xp.abs(a) - t / wz, xp.zeros_like(a))
        else:
            z = z0 + y * t / wz
        return z, norm.shrink(Y0, epsilon * t / wy)

    def excess(t):
        z, Y = parts(t)
        b = epsilon * norm(Y)
        if name == "Squared":
            return xp.abs(z - y) + b - t
        m = y * z - b
        return 1 - m if name == "Hinge" else expit(-m) - t

    low = xp.zeros_like(z0)
    high = excess(low) if name == "Squared" else xp.ones_like(z0)
    for _ in range(_BISECTIONS):
        t = 0.5 * (low + high)
        up = excess(t) > 0
        low, high = xp.where(up, t, low), xp.where(up, high, t)
    t = 0.5 * (low + high)
    return *parts(t), t


def dual_value(xp: Any, name: str, sigma: Any, t: Any, y: Any, most: float, loss: Any) -> float:
    """The best dual value of multiples of (sigma, t) up to `most`."""
    if name == "Squared":
        square, linear = float(t @ t), -float(sigma @ y)
        scale = min(max(linear / square, 0.0) if square > 0 else 0.0, most)
        return scale * linear - 0.5 * scale**2 * square
    t = xp.clip(min(1.0, most) * t, 0.0, 1.0)
    return -loss.conjugate(-t, xp.ones_like(t))
