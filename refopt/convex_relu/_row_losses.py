"""The losses as interior point methods see them: z = grad f*(r), one relation per sample.

Each object holds r and whatever else the loss has. A Newton step along the central path
is h o dr = dz + e.
"""

from typing import Any

from refopt.convex_relu._program import Program

_LEAST_SHARE = 0.1  # of t, and of 1 - t, left by a step
_LEAST, _EPS = 1e-18, 2.0**-52  # t and 1 - t are no less


def longest_step(xp: Any, x: Any, dx: Any) -> float:
    """The largest step along dx that keeps x >= 0."""
    most = float(xp.max(-dx / x))
    return 1 / most if most > 0 else float("inf")


class SquaredRows:
    """r = z - y."""

    pairs = 0

    def __init__(self, program: Program, r: Any, mu: float):
        self.xp, self.y, self.r = program.xp, program.y, r

    def weights(self) -> Any:
        """h, the second derivatives of f*."""
        return self.xp.ones_like(self.r)

    def offset(self, z: Any) -> Any:
        """e of a step that closes the relation."""
        return z - self.y - self.r

    def complementarity(self) -> float:
        """Sum of the products that tend to zero."""
        return 0.0

    def correct(self, target: float, offset: Any, affine: Any) -> Any:
        """e with products aimed at `target`, corrected by the affine step."""
        return offset

    def complete(self, dr: Any) -> tuple:
        """The step of everything from that of r."""
        return (dr,)

    def room(self, step: tuple) -> float:
        """The longest step."""
        return float("inf")

    def move(self, alpha: float, step: tuple) -> None:
        """Take the step."""
        self.r = self.r + alpha * step[0]


class LogisticRows(SquaredRows):
    """y z = log((1 - t)/t) with r = -y t."""

    def weights(self):
        t = -self.y * self.r
        return 1 / (t * (1 - t))

    def offset(self, z):
        t = -self.y * self.r
        return z - self.y * self.xp.log((1 - t) / t)

    def room(self, step):
        t, dt = -self.y * self.r, -self.y * step[0]
        return min(longest_step(self.xp, t, dt), longest_step(self.xp, 1 - t, -dt))


class ShortenedLogisticRows(LogisticRows):
    """For methods that take the slopes F'r anew at each step: t goes its own way.

    There is no barrier for t. Where a Newton step leaves (0, 1) it goes part of the way to the
    end, and no other variable is held back.
    """

    def room(self, step):
        return float("inf")

    def move(self, alpha, step):
        t = -self.y * self.r
        moved = t - alpha * self.y * step[0]
        moved = self.xp.clip(moved, _LEAST_SHARE * t, 1 - _LEAST_SHARE * (1 - t))
        self.r = -self.y * self.xp.clip(moved, _LEAST, 1 - _EPS)


class HingeRows(SquaredRows):
    """p = xi + y z - 1 >= 0 and xi >= 0, with t p = (1 - t) xi = mu and r = -y t."""

    pairs = 2

    def __init__(self, program, r, mu):
        super().__init__(program, r, mu)
        t = -self.y * r
        self.p, self.xi = mu / t, mu / (1 - t)

    def weights(self):
        t = -self.y * self.r
        self.t = t
        return self.p / t + self.xi / (1 - t)

    def offset(self, z):
        self.t = -self.y * self.r
        return self.y * (self.y * z + self.xi - 1 - self.p)

    def complementarity(self):
        t = -self.y * self.r
        return float(t @ self.p + (1 - t) @ self.xi)

    def correct(self, target, offset, affine):
        t = self.t
        low, high = target - self.p * t, target - self.xi * (1 - t)
        if affine is not None:
            dr, dp, dxi = affine
            low, high = low + self.y * dr * dp, high - self.y * dr * dxi
        self.low, self.high = low, high
        return offset + self.y * (high / (1 - t) - low / t)

    def complete(self, dr):
        dt = -self.y * dr
        dxi = (self.high + self.xi * dt) / (1 - self.t)
        return dr, (self.low - self.p * dt) / self.t, dxi

    def room(self, step):
        dr, dp, dxi = step
        t, dt = -self.y * self.r, -self.y * dr
        pairs = (t, dt), (1 - t, -dt), (self.p, dp), (self.xi, dxi)
        return min(longest_step(self.xp, x, dx) for x, dx in pairs)

    def move(self, alpha, step):
        dr, dp, dxi = step
        self.r = self.r + alpha * dr
        self.p, self.xi = self.p + alpha * dp, self.xi + alpha * dxi


ROWS = {"Squared": SquaredRows, "Logistic": LogisticRows, "Hinge": HingeRows}
SHORTENED_ROWS = ROWS | {"Logistic": ShortenedLogisticRows}
