"""Separable penalties h(x) = sum_i h_i(x_i): each owns its prox and its optimality measure.

Every penalty has, for arrays of any library,

* ``values(x)`` and ``value(x)``: h_i(x_i), and their sum;
* ``changes(x, new)``: h_i(new_i) - h_i(x_i), where the difference of two values
  would lose what is small beside them;
* ``prox(v, step)``: the minimiser of h_i(t) + (t - v_i)^2 / (2 step_i), with
  exact zeros and exact bounds;
* ``distance(x, g)``: dist(-g_i, dh_i(x_i)), the least subgradient of f + h in
  absolute value, zero everywhere where x is optimal;
* ``active(x)``: whether x_i lies at a kink or bound;
* ``face(x, g)``: intervals [lower_i, upper_i] around x_i on which h_i is
  linear, and its slope there; at a kink the side to which f + h descends;
* ``conjugate(v, l2)``: sup_t v_i t - h_i(t) - l2/2 t^2;
* ``take(index)``: the penalty of some coordinates.
"""

import math
from typing import Any

from refopt_backends import namespace_of

__all__ = ["L1", "Box", "NonnegativeL1", "Zero"]


class Penalty:
    """What the penalties share."""

    smooth = False

    def values(self, x: Any) -> Any:
        """h_i(x_i)."""
        raise NotImplementedError

    def changes(self, x: Any, new: Any) -> Any:
        """h_i(new_i) - h_i(x_i)."""
        return self.values(new) - self.values(x)

    def value(self, x: Any) -> float:
        """The sum of h_i(x_i)."""
        return float(namespace_of(x).sum(self.values(x)))


class Zero(Penalty):
    """No penalty."""

    smooth = True

    def values(self, x: Any) -> Any:
        """Zeros."""
        return namespace_of(x).zeros_like(x)

    def prox(self, v: Any, step: Any) -> Any:
        """v."""
        return v

    def distance(self, x: Any, g: Any) -> Any:
        """|g|."""
        return namespace_of(g).abs(g)

    def active(self, x: Any) -> Any:
        """Nowhere."""
        return x != x

    def face(self, x: Any, g: Any) -> tuple[Any, Any, Any]:
        """The whole line."""
        zero = namespace_of(x).zeros_like(x)
        return zero - math.inf, zero + math.inf, zero

    def conjugate(self, v: Any, l2: float) -> Any:
        """v^2 / (2 l2), or infinite where v is not zero."""
        xp = namespace_of(v)
        if l2 > 0:
            return v * v / (2 * l2)
        return xp.where(v == 0, xp.zeros_like(v), xp.full_like(v, math.inf))

    def take(self, index: Any) -> "Zero":
        """Itself."""
        return self


class L1(Penalty):
    """h_i(t) = w_i |t|.

    Parameters
    ----------
    weights : float or array, shape (p,)
        Nonnegative, one for all coordinates or one for each.
    """

    def __init__(self, weights: Any):
        self.weights = weights

    def values(self, x: Any) -> Any:
        """w_i |x_i|."""
        return self.weights * namespace_of(x).abs(x)

    def changes(self, x: Any, new: Any) -> Any:
        """w_i sign(x_i) (new_i - x_i) on one side of zero."""
        xp = namespace_of(x)
        along = xp.sign(x) * (new - x)
        return self.weights * xp.where(x * new > 0, along, xp.abs(new) - xp.abs(x))

    def prox(self, v: Any, step: Any) -> Any:
        """The soft threshold."""
        xp = namespace_of(v)
        shrunk = xp.abs(v) - step * self.weights
        return xp.where(shrunk > 0, xp.sign(v) * shrunk, xp.zeros_like(v))

    def distance(self, x: Any, g: Any) -> Any:
        """|g_i + w_i sign(x_i)|, or max(|g_i| - w_i, 0) at zero."""
        xp = namespace_of(x)
        inside = xp.abs(g) - self.weights
        at_zero = xp.where(inside > 0, inside, xp.zeros_like(g))
        return xp.where(x == 0, at_zero, xp.abs(g + self.weights * xp.sign(x)))

    def active(self, x: Any) -> Any:
        """Where x is zero."""
        return x == 0

    def face(self, x: Any, g: Any) -> tuple[Any, Any, Any]:
        """The orthant of x; at zero that of -g where |g_i| > w_i, else the point itself."""
        xp = namespace_of(x)
        zero = xp.zeros_like(x)
        moves = xp.where(xp.abs(g) > self.weights, -xp.sign(g), zero)
        sign = xp.where(x == 0, moves, xp.sign(x))
        lower = xp.where(sign < 0, zero - math.inf, zero)
        upper = xp.where(sign > 0, zero + math.inf, zero)
        return lower, upper, self.weights * sign

    def conjugate(self, v: Any, l2: float) -> Any:
        """max(|v_i| - w_i, 0)^2 / (2 l2), or infinite where |v_i| > w_i."""
        xp = namespace_of(v)
        excess = xp.abs(v) - self.weights
        excess = xp.where(excess > 0, excess, xp.zeros_like(v))
        if l2 > 0:
            return excess * excess / (2 * l2)
        return xp.where(excess > 0, xp.full_like(v, math.inf), excess)

    def take(self, index: Any) -> "L1":
        """The penalty of some coordinates."""
        return L1(_of(self.weights, index))


class Box(Penalty):
    """h_i(t) = c_i t for lower_i <= t <= upper_i, infinite elsewhere.

    Parameters
    ----------
    lower, upper : float or array, shape (p,)
        Bounds, possibly infinite.
    slope : float or array, shape (p,)
        The c_i.
    """

    def __init__(self, lower: Any = -math.inf, upper: Any = math.inf, slope: Any = 0.0):
        self.lower, self.upper, self.slope = lower, upper, slope

    def values(self, x: Any) -> Any:
        """c_i x_i, infinite out of bounds."""
        xp = namespace_of(x)
        outside = (x < self.lower) | (x > self.upper)
        return xp.where(outside, xp.full_like(x, math.inf), self.slope * x)

    def changes(self, x: Any, new: Any) -> Any:
        """c_i (new_i - x_i) within the bounds."""
        xp = namespace_of(x)
        outside = (new < self.lower) | (new > self.upper)
        return xp.where(outside, xp.full_like(x, math.inf), self.slope * (new - x))

    def project(self, x: Any) -> Any:
        """The nearest point within the bounds."""
        return _clip(x, *self._bounds(x))

    def prox(self, v: Any, step: Any) -> Any:
        """The projection of v - step c."""
        return self.project(v - step * self.slope)

    def distance(self, x: Any, g: Any) -> Any:
        """|g_i + c_i|, without the part that pushes against a bound."""
        xp = namespace_of(x)
        G = g + self.slope
        G = xp.where((x <= self.lower) & (G > 0), xp.zeros_like(G), G)
        return xp.abs(xp.where((x >= self.upper) & (G < 0), xp.zeros_like(G), G))

    def active(self, x: Any) -> Any:
        """Where x is at a bound."""
        return (x <= self.lower) | (x >= self.upper)

    def face(self, x: Any, g: Any) -> tuple[Any, Any, Any]:
        """The box itself."""
        zero = namespace_of(x).zeros_like(x)
        lower, upper = self._bounds(x)
        return lower, upper, zero + self.slope

    def conjugate(self, v: Any, l2: float) -> Any:
        """The value at the best t: v - c over l2, kept within the bounds."""
        xp = namespace_of(v)
        v = v - self.slope
        lower, upper = self._bounds(v)
        if l2 > 0:
            t = _clip(v / l2, lower, upper)
            return v * t - 0.5 * l2 * t * t
        t = xp.where(v > 0, upper, lower)
        return v * xp.where(v == 0, xp.zeros_like(t), t)

    def take(self, index: Any) -> "Box":
        """The penalty of some coordinates."""
        return Box(_of(self.lower, index), _of(self.upper, index), _of(self.slope, index))

    def _bounds(self, like):
        zero = namespace_of(like).zeros_like(like)
        return zero + self.lower, zero + self.upper


class NonnegativeL1(Box):
    """h_i(t) = w_i t for t >= 0, infinite for t < 0.

    Parameters
    ----------
    weights : float or array, shape (p,)
        Nonnegative, one for all coordinates or one for each.
    """

    def __init__(self, weights: Any):
        super().__init__(0.0, math.inf, weights)
        self.weights = weights


def _clip(x, lower, upper):
    xp = namespace_of(x)
    return xp.minimum(xp.maximum(x, lower), upper)


def _of(parameter, index):
    """Entries of an array; a number stands for all."""
    return parameter if isinstance(parameter, int | float) else parameter[index]
