"""One point of the iteration with all that was evaluated there."""

import math
from typing import Any

import numpy as np

from refopt.augmented_lagrangian._operators import is_operator, is_sparse

_FEW = 12  # numbers that Python goes through faster than NumPy


class Point:
    """x, l and the functions there, never changed after it is made.

    Products are written ``a.dot(b)`` where they are made in every step: of a few numbers, ``a @ b``
    takes twice as long.

    Attributes
    ----------
    x, l : array
        Variables, multipliers.
    f : float
    c : array
    g, G : array
        Gradient of f, Jacobian of c.
    gL : array
        ``g + G'l``.
    cc, gg : float
        Squared Euclidean norms of c and gL.
    units : array or None
        Of the rows of c and G, see `EqualityProblem`; the measures are of the user's c.
    """

    __slots__ = ("G", "_measure", "c", "cc", "f", "g", "gL", "gg", "l", "units", "x")

    def __init__(self, x: Any, l: Any, f: float, c: Any, g: Any, G: Any, units: Any = None):
        self.units = units
        self.x, self.l, self.f, self.c, self.g, self.G = x, l, f, c, g, G
        self.gL = g + G.T.dot(l) if c.shape[0] else g
        self.cc, self.gg = float(c.dot(c)), float(self.gL.dot(self.gL))
        self._measure: tuple[float, float] | None = None

    def with_multipliers(self, l: Any) -> "Point":
        """The same x with other multipliers."""
        return Point(self.x, l, self.f, self.c, self.g, self.G, self.units)

    @property
    def kkt(self) -> float:
        """Euclidean norm of the KKT residual r = (gL; c)."""
        return math.sqrt(self.cc + self.gg)

    @property
    def finite(self) -> bool:
        """Whether no function or derivative was NaN or infinite."""
        return math.isfinite(self.f) and math.isfinite(self.cc) and math.isfinite(self.gg)

    @property
    def finite_jacobian(self) -> bool:
        """Whether G is; where l is zero, gL does not tell."""
        if is_operator(self.G):
            return True
        return math.isfinite(float(abs(self.G.data if is_sparse(self.G) else self.G).sum()))

    def broken_parts(self) -> str:
        """Which functions are not finite, in words."""
        parts = {
            "fun": math.isfinite(self.f),
            "the constraints": math.isfinite(self.cc),
            "jac": bool((self.g == self.g).all()) and math.isfinite(float(abs(self.g).sum())),
        }
        names = [name for name, finite in parts.items() if not finite]
        return " and ".join(names or ["the Jacobian of the constraints"])

    def measure(self) -> tuple[float, float]:
        """max abs(gL) over max(1, max abs(g)), and max abs(c)."""
        if self._measure is None:
            optimality = _largest(self.gL) / max(1.0, _largest(self.g))
            c = self.c if self.units is None else self.units * self.c
            self._measure = optimality, _largest(c)
        return self._measure

    def optimality(self) -> float:
        """max abs(gL) over max(1, max abs(g))."""
        return self.measure()[0]

    def violation(self) -> float:
        """max abs(c)."""
        return self.measure()[1]

    def error(self) -> float:
        """The stopping measure: the larger one of optimality and violation."""
        return max(self.measure())


def _largest(v):
    if not v.shape[0]:
        return 0.0
    if type(v) is np.ndarray and v.shape[0] <= _FEW:
        return max(map(abs, v.tolist()))
    return max(float(v.max()), -float(v.min()))


def evaluate(problem: Any, x: Any, l: Any) -> Point:
    """Everything at x."""
    return complete(problem, x, l, *problem.values(x))


def complete(problem: Any, x: Any, l: Any, f: float, c: Any) -> Point:
    """The point where f and c are known."""
    g, G = problem.derivatives(x, f, c)
    return Point(x, l, f, c, g, G, problem.units)
