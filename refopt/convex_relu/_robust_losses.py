"""Worst losses of linear predictions under perturbations, sample by sample.

For z = x'q and b = epsilon ||q_J||_p* the worst loss is (|z - y| + b)^2/2, that of the
margin y z - b for losses of margins: an increasing function of e >= the inequalities'
right-hand sides below.
"""

from typing import Any

from refopt.losses import expit


def worst(xp: Any, name: str, z: Any, b: Any, y: Any, loss: Any) -> float:
    """The sum over samples."""
    if name == "Squared":
        e = xp.abs(z - y) + b
        return 0.5 * float(e @ e)
    return loss.value(y * z - b, xp.ones_like(z))


def inequalities(xp: Any, name: str, X: Any, y: Any, norm: Any) -> tuple[Any, Any]:
    """B (n, 1 or 2, m), b with B (q, local, e) + b >= 0, those of the loss first.

    Squared e >= |z - y| + norm; logistic e >= norm - y z; hinge e >= 1 + norm - y z, e >= 0.
    """
    (n, d), m = X.shape, norm.shape[0]
    B, b = xp.zeros((n, 1 if name == "Logistic" else 2, m)), xp.zeros((n, 2))
    B[:, :, -1] = 1.0
    if name == "Squared":
        B[:, 0, :d], B[:, 1, :d] = -X, X
        B -= norm
        return B, xp.stack([y, -y], axis=1)
    B[:, 0, :d] = y[:, None] * X
    B[:, 0, :] -= norm
    b[:, 0] = -1.0
    return (B, xp.zeros((n, 1))) if name == "Logistic" else (B, b)


def objective(xp: Any, name: str, e: Any) -> tuple[Any, Any]:
    """First and second derivatives of the loss as a function of e."""
    if name == "Squared":
        return e, xp.ones_like(e)
    if name == "Hinge":
        return xp.ones_like(e), xp.zeros_like(e)
    t = expit(e)
    return t, t * (1 - t)


def multipliers(xp: Any, name: str, r: Any, y: Any, mu: float) -> tuple[Any, Any, Any]:
    """Those of slopes r along x in the interior, t, and e of that slope."""
    if name == "Squared":
        t = xp.sqrt(r * r + 4 * mu)
        return xp.stack([0.5 * (t + r), 0.5 * (t - r)], axis=1), t, t
    t = -y * r
    if name == "Hinge":
        return xp.stack([t, 1 - t], axis=1), t, mu / (1 - t)
    return t[:, None], t, xp.log(t / (1 - t))


def slopes(xp: Any, name: str, z: Any, y: Any) -> tuple[Any, Any]:
    """t and sigma, the slopes of the loss and along x, of the inequalities' multipliers z."""
    if name == "Squared":
        above, below = z[:, 0], z[:, 1]
        return above + below, above - below
    t = xp.clip(z[:, 0], 0.0, 1.0)
    return t, -y * t


def dual_value(xp: Any, name: str, sigma: Any, t: Any, y: Any, most: float, loss: Any) -> float:
    """The best dual value of multiples of (sigma, t) up to `most`."""
    if name == "Squared":
        square, linear = float(t @ t), -float(sigma @ y)
        scale = min(max(linear / square, 0.0) if square > 0 else 0.0, most)
        return scale * linear - 0.5 * scale**2 * square
    t = xp.clip(min(1.0, most) * t, 0.0, 1.0)
    return -loss.conjugate(-t, xp.ones_like(t))
