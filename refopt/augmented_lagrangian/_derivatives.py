"""Derivatives that the user did not give: differences, and quasi-Newton matrices."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refopt import _validate

_ORDINARY = 1e3  # curvatures of which, and of its inverse, the identity is a fair first guess
SCHEMES = ("2-point", "3-point", "cs")
_STEPS = {"2-point": 1 / 2, "3-point": 1 / 3, "cs": 1 / 2}  # powers of the rounding unit


def relative_step(given: Any, n: int, xp: Any, name: str = "finite_diff_rel_step") -> Any:
    """The relative step of differences that a user has given, a number or an array; or None."""
    if given is None or (isinstance(given, float) and 0.0 < given < math.inf):
        return given
    step = _validate.as_array(given, name)
    if step.ndim > 1 or step.shape not in ((), (1,), (n,)):
        raise ValueError(f"{name} must be a number or have shape ({n},), got {tuple(step.shape)}")
    step = _validate.real_array(xp, step, name, step.ndim)
    if not bool(xp.all((step > 0) & xp.isfinite(step))):
        raise ValueError(f"{name} must be positive and finite, got {given!r:.60}")
    return step


def difference(
    fun: Callable, x: Any, at_x: Any, xp: Any, *, scheme: str = "2-point", rel_step: Any = None
) -> Any:
    """The Jacobian of ``fun`` by differences.

    Parameters
    ----------
    fun : callable
        ``fun(x)``, an array of shape (k,).
    x : array, shape (n,)
    at_x : array, shape (k,)
        ``fun(x)``.
    xp : module
        The array namespace.
    scheme : {"2-point", "3-point", "cs"}
        Forward, central, complex step.
    rel_step : float or array, optional
        The step over max(1, abs(x)).

    Returns
    -------
    array, shape (k, n)
    """
    if not bool(xp.all(xp.isfinite(at_x))):
        return xp.full((at_x.shape[0], x.shape[0]), math.nan)
    relative = float(np.finfo(np.float64).eps) ** _STEPS[scheme] if rel_step is None else rel_step
    step = relative * xp.maximum(1.0, xp.abs(x))
    if scheme == "2-point":  # away from zero: logarithms and roots lie on that side
        step = xp.where(x < 0, -step, step)
    step = (x + step) - x  # what the rounded sum has added
    columns = []
    for i in range(x.shape[0]):
        h = float(step[i])
        if scheme == "cs":
            moved = xp.astype(x, xp.complex128)
            moved[i] += 1j * h
            columns.append(xp.imag(fun(moved)) / h)
            continue
        moved = xp.asarray(x, copy=True)
        moved[i] += h
        there = fun(moved)
        if scheme == "2-point":
            columns.append((there - at_x) / h)
        else:
            moved[i] -= 2 * h
            columns.append((there - fun(moved)) / (2 * h))
    return xp.stack(columns, axis=1)


class DampedBFGS:
    """Powell's damped BFGS matrix: it stays positive definite whatever the curvature.

    The first pair sets the scale, ``y'y / y's``.
    """

    def __init__(self, n, xp):
        self.matrix = xp.eye(n)
        self._fresh = True

    def begin(self, x, gradient):
        """Another multiple of the identity where its step is nothing beside x, or far too long."""
        scale = math.sqrt(float(gradient @ gradient)) / max(1.0, math.sqrt(float(x @ x)))
        if scale > 0.0 and not 1 / _ORDINARY < scale < _ORDINARY:
            self.matrix = self.matrix * scale

    def update(self, s, y):
        """Take the pair of a step and the change of the gradient along it."""
        ss, sy = float(s @ s), float(s @ y)
        if not (ss > 0 and math.isfinite(sy)):
            return
        if self._fresh:
            yy = float(y @ y)
            scale = yy / sy if sy > 1e-8 * math.sqrt(ss * yy) else math.sqrt(yy / ss)
            if scale > 0:
                self.matrix = self.matrix * (scale / float(self.matrix[0, 0]))
                self._fresh = False
        Bs = self.matrix @ s
        sBs = float(s @ Bs)
        if sy < 0.2 * sBs:
            share = 0.8 * sBs / (sBs - sy)
            y = share * y + (1 - share) * Bs
            sy = 0.2 * sBs
        if sBs > 0 and sy > 0:
            self.matrix = self.matrix - (Bs[:, None] * Bs) / sBs + (y[:, None] * y) / sy


class RankOne:
    """The symmetric matrix of rank-one updates, of any inertia, for a part of H.

    Curvature of constraints has either sign, which a positive definite matrix cannot follow.
    """

    def __init__(self, n, xp):
        self.matrix = xp.zeros((n, n))

    def update(self, s, y):
        """Take the pair of a step and the change of the gradient along it."""
        r = y - self.matrix @ s
        ss, sr, rr = float(s @ s), float(s @ r), float(r @ r)
        if math.isfinite(rr) and abs(sr) > 1e-8 * math.sqrt(ss * rr):
            self.matrix = self.matrix + (r[:, None] * r) / sr


class RankOneOrBFGS:
    """A rank-one matrix, and a damped BFGS matrix where that has the wrong inertia.

    Rank-one updates find curvatures in fewer steps; far from the solution they may be wild. They
    add to what is known of H, for which ``partly`` stands; the definite matrix is all of H.
    """

    def __init__(self, n, xp, partly):
        self._free, self._definite = RankOne(n, xp), DampedBFGS(n, xp)
        self._partly, self._fresh = partly, not partly

    @property
    def matrix(self):
        """The present approximation."""
        return self._definite.matrix if self._fresh else self._free.matrix

    @property
    def definite(self):
        """The one that is positive definite."""
        return self._definite.matrix

    def begin(self, x, gradient):
        """As of the definite one."""
        self._definite.begin(x, gradient)

    def update(self, s, y, whole):
        """Take a step and the change of the gradient along it: of the unknown part, of all."""
        self._definite.update(s, whole)
        self._free.update(s, y)
        self._fresh = False

    def doubt(self):
        """Go on with the definite matrix; whether that is a change."""
        if self._partly:
            return False
        changed = self.matrix is not self._definite.matrix
        self._free.matrix = self._definite.matrix
        return changed


class Strategy:
    """A `scipy.optimize.HessianUpdateStrategy` as the solvers see quasi-Newton matrices."""

    def __init__(self, n, strategy):
        self._strategy = strategy
        strategy.initialize(n, "hess")

    def begin(self, x, gradient):
        """Nothing: the strategy has a scale of its own."""

    @property
    def matrix(self):
        """The present approximation."""
        return self._strategy.get_matrix()

    def update(self, s, y, whole):
        """Take the pair of a step and the change of the gradient of the unknown part along it."""
        self._strategy.update(s, y)


class Both:
    """A function that returns its value and its derivative, evaluated once per point."""

    def __init__(self, fun):
        self._fun, self._x = fun, None

    def _at(self, x, args):
        if self._x is None or not bool((self._x == x).all()):
            self._x = x.copy()
            result = self._fun(x, *args)
            if not (isinstance(result, tuple | list) and len(result) == 2):
                raise TypeError(
                    "jac=True asks for functions that return value and derivative, got "
                    f"{type(result).__name__}"
                )
            self._result = result
        return self._result

    def value(self, x, *args):
        return self._at(x, args)[0]

    def derivative(self, x, *args):
        return self._at(x, args)[1]
