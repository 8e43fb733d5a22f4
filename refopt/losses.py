"""Losses of linear predictions: small objects without state.

A loss is a sum over samples of l(z_i, y_i), convex in the prediction z. Each
has, for arrays of any library,

* ``value(z, y)``, the sum, a float;
* ``gradient(z, y)``, the slopes dl/dz, in the shape of z;
* ``curvature(z, y)``, the second derivatives d2l/dz2, in the shape of z (for
  `Multinomial` the class probabilities, from which they follow);
* ``conjugate(s, y)``, the sum of sup_z s z - l(z, y), a float: the dual of
  min l(A x, y) + h(x) is max -conjugate(s, y) - h*(-A's);
* ``dual_scale(s, y)``, the t >= 0 for which ``-conjugate(t s, y)`` is largest.
"""

import math
from typing import Any

from refopt_backends import namespace_of

__all__ = ["Hinge", "Logistic", "Multinomial", "Squared"]


def expit(t: Any) -> Any:
    """1 / (1 + exp(-t)), accurate at both ends."""
    xp = namespace_of(t)
    e = xp.exp(-xp.abs(t))
    return xp.where(t >= 0, 1 / (1 + e), e / (1 + e))


def entropy(q: Any) -> Any:
    """q log q, 0 at 0."""
    xp = namespace_of(q)
    return q * xp.log(xp.where(q > 0, q, xp.ones_like(q)))


class Squared:
    """Half the squared distance: l(z, y) = (z - y)^2 / 2."""

    largest_curvature = 1.0
    quadratic = True

    def value(self, z: Any, y: Any) -> float:
        """1/2 ||z - y||^2."""
        r = z - y
        return 0.5 * float(r @ r)

    def gradient(self, z: Any, y: Any) -> Any:
        """z - y."""
        return z - y

    def curvature(self, z: Any, y: Any) -> Any:
        """Ones."""
        return namespace_of(z).ones_like(z)

    def conjugate(self, s: Any, y: Any) -> float:
        """||s||^2 / 2 + s'y."""
        return 0.5 * float(s @ s) + float(s @ y)

    def dual_scale(self, s: Any, y: Any) -> float:
        """-s'y / ||s||^2."""
        square = float(s @ s)
        return max(0.0, -float(s @ y) / square) if square > 0 else 1.0


class Logistic:
    """Logistic loss of labels -1 and +1: l(z, y) = log(1 + exp(-y z))."""

    largest_curvature = 0.25
    quadratic = False

    def value(self, z: Any, y: Any) -> float:
        """The sum of log(1 + exp(-y z))."""
        xp = namespace_of(z)
        return float(xp.sum(xp.logaddexp(xp.zeros_like(z), -y * z)))

    def gradient(self, z: Any, y: Any) -> Any:
        """-y expit(-y z)."""
        return -y * expit(-y * z)

    def curvature(self, z: Any, y: Any) -> Any:
        """expit(z) expit(-z)."""
        return expit(z) * expit(-z)

    def conjugate(self, s: Any, y: Any) -> float:
        """The sum of q log q + (1 - q) log(1 - q) with q = -s y in [0, 1]."""
        xp = namespace_of(s)
        q = xp.clip(-s * y, 0.0, 1.0)
        return float(xp.sum(entropy(q) + entropy(1 - q)))

    def dual_scale(self, s: Any, y: Any) -> float:
        """1: slopes are taken as they are, or shorter."""
        return 1.0


class Hinge:
    """Hinge loss of labels -1 and +1: l(z, y) = max(0, 1 - y z).

    Not smooth: its gradient is a subgradient, and solvers go to its dual.
    """

    largest_curvature = math.inf
    quadratic = False

    def value(self, z: Any, y: Any) -> float:
        """The sum of max(0, 1 - y z)."""
        xp = namespace_of(z)
        return float(xp.sum(xp.maximum(1 - y * z, xp.zeros_like(z))))

    def gradient(self, z: Any, y: Any) -> Any:
        """-y where y z < 1, else 0."""
        xp = namespace_of(z)
        return xp.where(y * z < 1, -y, xp.zeros_like(z))

    def curvature(self, z: Any, y: Any) -> Any:
        """Zeros."""
        return namespace_of(z).zeros_like(z)

    def conjugate(self, s: Any, y: Any) -> float:
        """The sum of s y, for -s y in [0, 1]."""
        return float(s @ y)

    def dual_scale(self, s: Any, y: Any) -> float:
        """1: slopes are taken as they are, or shorter."""
        return 1.0


class Multinomial:
    """Softmax loss of K classes: l(z, c) = log sum_k exp(z_k) - z_c.

    z has one row per sample and one column per class; y is the indicator
    matrix of the classes, in the shape of z.
    """

    largest_curvature = 0.5
    quadratic = False

    def value(self, z: Any, y: Any) -> float:
        """The sum of log sum_k exp(z_k) - z_c."""
        xp = namespace_of(z)
        top = xp.max(z, axis=1, keepdims=True)
        shifted = z - top  # both terms are shifted, so that nothing large cancels
        logs = xp.log(xp.sum(xp.exp(shifted), axis=1))
        return float(xp.sum(logs - xp.sum(y * shifted, axis=1)))

    def gradient(self, z: Any, y: Any) -> Any:
        """Probabilities minus indicators."""
        return self.curvature(z, y) - y

    def curvature(self, z: Any, y: Any) -> Any:
        """Probabilities P; the Hessian of a sample is diag(P) - P P'."""
        xp = namespace_of(z)
        e = xp.exp(z - xp.max(z, axis=1, keepdims=True))
        return e / xp.sum(e, axis=1, keepdims=True)

    def conjugate(self, s: Any, y: Any) -> float:
        """The sum of P log P with P = s + y, whose rows are probabilities."""
        xp = namespace_of(s)
        return float(xp.sum(entropy(xp.clip(s + y, 0.0, 1.0))))

    def dual_scale(self, s: Any, y: Any) -> float:
        """1: slopes are taken as they are, or shorter."""
        return 1.0
