"""Operators that are averages of components: the protocol, and users' functions in its form."""

import inspect
import math
from typing import Any

import numpy as np

from refopt import _validate
from refopt._namespace import HoldsNamespace


class NotANumber(ArithmeticError):
    """An operator returned NaN at a point of moderate size."""


class FiniteSumOperator(HoldsNamespace):
    r"""The mean :math:`F(u) = \frac1n \sum_{i=1}^n F_i(u)` of n cheap operators.

    A subclass has the attributes below, `full` and `batch`; it may replace
    `batch_diff` where a difference costs less than two values, and `lipschitz`
    where a constant is known.

    Attributes
    ----------
    xp : module
        Namespace of its arrays.
    n : int
        Number of components.
    shape : tuple
        (d,), of u and of F(u).
    weights : ndarray, shape (n,), or None
        Probabilities for importance sampling, on the host.
    arrays : tuple
        Its arrays, by which the backend is chosen.
    form : tuple or None
        Of operators with linear components: what compiled loops take, see
        ``refopt_backends/reference/finite_sums.py``.
    mu : float
        Components contain mu u, which `form` leaves out.
    """

    n: int
    shape: tuple[int, ...]
    weights: Any = None
    arrays: tuple = ()
    form: Any = None
    mu: float = 0.0
    kernels: Any = None

    def __init_subclass__(cls):
        """Methods of a subclass mean what they mean here."""
        for name, method in vars(cls).items():
            if callable(method) and method.__doc__ is None and hasattr(FiniteSumOperator, name):
                method.__doc__ = getattr(FiniteSumOperator, name).__doc__

    def full(self, u):
        """Return F(u).

        Parameters
        ----------
        u : array, shape (d,)
            A point.

        Returns
        -------
        array, shape (d,)
            A new array.
        """
        raise NotImplementedError

    def batch(self, u, index, weights=None):
        """Return the mean of ``weights[k] * F_i(u)``, i = index[k].

        Parameters
        ----------
        u : array, shape (d,)
            A point.
        index : array of int64, shape (b,)
            Components.
        weights : array, shape (b,), optional
            Factors; ones by default.

        Returns
        -------
        array, shape (d,)
            A new array.
        """
        raise NotImplementedError

    def batch_diff(self, u, v, index, weights=None):
        """Return the mean of ``weights[k] * (F_i(u) - F_i(v))``, i = index[k].

        Parameters
        ----------
        u, v : array, shape (d,)
            Two points.
        index : array of int64, shape (b,)
            Components.
        weights : array, shape (b,), optional
            Factors; ones by default.

        Returns
        -------
        array, shape (d,)
            A new array.
        """
        return self.batch(u, index, weights) - self.batch(v, index, weights)

    def lipschitz(self, sampling):
        """Return a constant L, None where it is not known.

        Parameters
        ----------
        sampling : {"full", "uniform", "importance"} or array, shape (n,)
            "full": of F; else on average over the components drawn by this law:
            of cocoercivity where the components have it, of Lipschitz continuity
            otherwise.

        Returns
        -------
        float or None
            The constant.
        """
        return None

    def laws(self, sampling):
        """Return how indices are drawn.

        Parameters
        ----------
        sampling : {"uniform", "importance"} or array, shape (n,)
            The law of components.

        Returns
        -------
        list of (int, ndarray or None)
            For each index that a component needs: the number of choices and their
            probabilities, None for uniform ones.
        """
        if isinstance(sampling, str) and sampling == "uniform":
            return [(self.n, None)]
        return [(self.n, self.weights if isinstance(sampling, str) else sampling)]

    def gap(self, u, g):
        """Return a duality gap, None where there is none, NaN outside the set.

        Parameters
        ----------
        u : array, shape (d,)
            A point.
        g : array, shape (d,)
            The value F(u).

        Returns
        -------
        float or None
            The gap.
        """
        return None


class Whole(FiniteSumOperator):
    """A user's ``F(u)`` as a sum of one component."""

    def __init__(self, fun, like, xp):
        self.fun, self.xp, self.n, self.shape = fun, xp, 1, tuple(like.shape)

    def full(self, u):
        return returned(self.xp, self.fun(self.xp.asarray(u, copy=True)), u)

    def batch(self, u, index, weights=None):
        return self.full(u)


class Batches(FiniteSumOperator):
    """A user's ``F(u, index)``, the mean over some components, all for ``index=None``."""

    def __init__(self, fun, n, like, xp):
        self.fun, self.xp, self.n, self.shape = fun, xp, n, tuple(like.shape)

    def full(self, u):
        return returned(self.xp, self.fun(self.xp.asarray(u, copy=True), None), u)

    def batch(self, u, index, weights=None):
        if weights is None:
            return returned(self.xp, self.fun(self.xp.asarray(u, copy=True), index), u)
        total = 0.0
        for k in range(index.shape[0]):
            one = self.fun(self.xp.asarray(u, copy=True), index[k : k + 1])
            total = total + weights[k] * returned(self.xp, one, u)
        return total / index.shape[0]


class Components(FiniteSumOperator):
    """A user's ``F(u, i, out)``, which writes one component; compiled loops if it is compiled."""

    def __init__(self, fun, n, like, xp, kernels):
        self.fun, self.xp, self.n, self.shape = fun, xp, n, tuple(like.shape)
        self.kernels = kernels
        self.everything = xp.arange(n)

    def full(self, u):
        return self.batch(u, self.everything)

    def batch(self, u, index, weights=None):
        return returned(self.xp, self.kernels.component_mean(self.fun, u, index, weights), u)


def take_operator(fun: Any, n_components: Any, like: Any, xp: Any, kernels: Any) -> Any:
    """What a user gives as `fun`, as a `FiniteSumOperator` of vectors like `like`."""
    if isinstance(fun, FiniteSumOperator):
        if n_components is not None and n_components != fun.n:
            raise ValueError(f"n_components must be {fun.n}, that of fun, got {n_components}")
        if fun.shape != tuple(like.shape):
            raise ValueError(f"x0 must have shape {fun.shape}, that of fun, got {like.shape}")
        return fun
    if not callable(fun):
        raise TypeError(f"fun must be callable or an operator, got {type(fun).__name__}")
    if n_components is None:
        return Whole(fun, like, xp)
    n = _validate.count(n_components, "n_components", least=1)
    if _arguments(fun) == 3:
        return Components(fun, n, like, xp, kernels)
    return Batches(fun, n, like, xp)


def _arguments(fun):
    """Number of arguments that a function needs."""
    try:
        parameters = inspect.signature(getattr(fun, "py_func", fun)).parameters.values()
    except (TypeError, ValueError):
        return 2
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is inspect.Parameter.empty for p in parameters)


def returned(xp: Any, value: Any, u: Any, name: str = "fun") -> Any:
    """What a user's function returned, as an array of our own, like u."""
    value = _validate.as_array(value, f"the value of {name}")
    if tuple(value.shape) != tuple(u.shape):
        raise ValueError(
            f"{name} must return an array of shape {tuple(u.shape)}, got {tuple(value.shape)}"
        )
    value = _validate.real_array(xp, value, f"the value of {name}", u.ndim)
    value = xp.asarray(value, dtype=u.dtype, copy=True)
    if bool(xp.any(xp.isnan(value))) and float(xp.max(xp.abs(u))) < 1e100:
        raise NotANumber(f"{name} returned NaN at a finite point")
    return value


def power_norm(product: Any, transposed: Any, start: Any, xp: Any, steps: int = 60) -> float:
    """1.01 times the largest singular value, by power iteration on M'M."""
    v, size = start, 0.0
    for _ in range(steps):
        length = math.sqrt(float(xp.sum(v * v)))
        if length == 0:
            return size
        image = product(v / length)
        size = max(size, math.sqrt(float(xp.sum(image * image))))
        v = transposed(image)
    return 1.01 * size


def random_start(xp: Any, size: int, dtype: Any) -> Any:
    """A vector to begin power iterations with, always the same."""
    return xp.asarray(np.random.default_rng(0).standard_normal(size), dtype=dtype)
