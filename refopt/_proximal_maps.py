"""The proximal maps as solvers call them: no look at values, and parameters bound once.

A map is ``map(xp, kernels, v, step, *parameters)``; `resolvent` binds one to what a
user gives as `prox`.
"""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

from refopt import _validate


def box(xp: Any, kernels: Any, v: Any, step: float, lower: Any = None, upper: Any = None) -> Any:
    """Entries into [lower, upper]."""
    if lower is not None:
        v = xp.maximum(v, xp.asarray(lower, dtype=v.dtype))
    return v if upper is None else xp.minimum(v, xp.asarray(upper, dtype=v.dtype))


def nonnegative(xp: Any, kernels: Any, v: Any, step: float) -> Any:
    """Negative entries to zero."""
    return xp.where(v > 0, v, xp.zeros_like(v))


def ball(
    xp: Any, kernels: Any, v: Any, step: float, radius: float = 1.0, center: Any = None
) -> Any:
    """The nearest point of a Euclidean ball."""
    off = v if center is None else v - center
    length = norm(xp, off)
    if length <= radius:
        return v
    off = (radius / length) * off
    return off if center is None else center + off


def l1_ball(xp: Any, kernels: Any, v: Any, step: float, radius: float = 1.0) -> Any:
    """The nearest point with |p|_1 <= radius: the simplex met by the absolute values."""
    size = xp.abs(v)
    if float(xp.sum(size)) <= radius:
        return v
    return xp.sign(v) * kernels.project_simplex(size, radius, None)[0]


def simplex(xp: Any, kernels: Any, v: Any, step: float, radius: float = 1.0) -> Any:
    """The nearest point of {p >= 0, sum p = radius}."""
    return kernels.project_simplex(v, radius, None)[0]


def hyperplane(xp: Any, kernels: Any, v: Any, step: float, a: Any, beta: float) -> Any:
    """The nearest point with a'p = beta."""
    square = float(xp.sum(a * a))
    return v if square == 0 else v - ((float(xp.sum(a * v)) - beta) / square) * a


def second_order_cone(xp: Any, kernels: Any, v: Any, step: float) -> Any:
    """The nearest point of {(t, x): |x| <= t}."""
    t, x = float(v[0]), v[1:]
    length = norm(xp, x)
    if length <= t:
        return v
    if length <= -t:
        return xp.zeros_like(v)
    height = 0.5 * (t + length)
    return xp.concat([xp.full(1, height, dtype=v.dtype), (height / length) * x])


def l1(xp: Any, kernels: Any, v: Any, step: float, weight: Any = 1.0) -> Any:
    """Entries nearer to zero by step * weight, to zero at most."""
    threshold = step * weight
    return xp.where(v > threshold, v - threshold, xp.where(v < -threshold, v + threshold, 0.0 * v))


def identity(xp: Any, kernels: Any, v: Any, step: float) -> Any:
    """v itself."""
    return v


def norm(xp: Any, v: Any) -> float:
    """The Euclidean norm, summed in double precision."""
    wide = xp.astype(v, xp.float64, copy=False)
    largest = float(xp.max(xp.abs(wide))) if v.shape[0] else 0.0
    if not (largest > 1e150 or 0.0 < largest < 1e-150):
        return math.sqrt(float(xp.sum(wide * wide)))
    if not math.isfinite(largest):
        return largest
    wide = wide / largest
    return largest * math.sqrt(float(xp.sum(wide * wide)))


# Public function -> map; refopt.proximal fills it, so that it need not be imported here.
MAPS: dict[Any, Callable] = {}


def resolvent(prox: Any, xp: Any, kernels: Any) -> Callable[[Any, float], Any]:
    """What a user gives as `prox`, as a function of a vector and a step.

    Functions of `refopt.proximal`, also with parameters bound by `functools.partial`,
    become their maps: they do not look for NaN in every step. Any other callable is a
    projection if it can be called with one argument, else a proximal map of two.
    """
    if prox is None:
        return lambda v, step: v
    function, args, keywords = _unbound(prox)
    if function in MAPS:
        bound = MAPS[function]
        return lambda v, step: bound(xp, kernels, v, step, *args, **keywords)
    if hasattr(prox, "_bind"):  # Product and the affine projection
        return prox._bind(xp, kernels)
    if not callable(prox):
        raise TypeError(f"prox must be callable or None, got {type(prox).__name__}")
    call = prox if takes_step(prox) else lambda v, step: prox(v)
    return lambda v, step: _mapped(xp, call(v, step), v)


def _mapped(xp, value, v):
    """What a user's map returned, as an array of our own, like v."""
    value = _validate.as_array(value, "the value of prox")
    if tuple(value.shape) != tuple(v.shape):
        raise ValueError(
            f"prox must return an array of shape {tuple(v.shape)}, got {tuple(value.shape)}"
        )
    value = _validate.real_array(xp, value, "the value of prox", v.ndim)
    return xp.asarray(value, dtype=v.dtype, copy=True)


def takes_step(prox: Callable) -> bool:
    """Whether a callable needs a second argument, the step."""
    try:
        parameters = inspect.signature(prox).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        p for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty
    ]
    return len(needed) >= 2


def separable(prox: Any, xp: Any, like: Any) -> tuple[Any, Any, Any] | None:
    """(weights, lower, upper) if prox is clip(soft(v, step * weights), lower, upper).

    Parameters
    ----------
    prox
        As in `resolvent`.
    xp : module
    like : array, shape (d,)

    Returns
    -------
    tuple of array, shape (d,), or None
        None for other maps.
    """
    parts = _parts(prox)
    if parts is None:
        return None
    full = lambda number: xp.full(like.shape[0], number, dtype=like.dtype)
    weights, lower, upper = full(0.0), full(-math.inf), full(math.inf)
    for where, part in parts:
        function, args, keywords = _unbound(part)
        kind = MAPS.get(function)
        if kind is identity or part is None:
            continue
        if kind is nonnegative:
            lower[where] = full(0.0)[where]
        elif kind is box:
            bounds = dict(zip(("lower", "upper"), args, strict=False)) | keywords
            if bounds.get("lower") is not None:
                lower[where] = full(1.0)[where] * xp.asarray(bounds["lower"], dtype=like.dtype)
            if bounds.get("upper") is not None:
                upper[where] = full(1.0)[where] * xp.asarray(bounds["upper"], dtype=like.dtype)
        elif kind is l1:
            weight = args[0] if args else keywords.get("weight", 1.0)
            weights[where] = full(1.0)[where] * xp.asarray(weight, dtype=like.dtype)
        else:
            return None
    return weights, lower, upper


def _parts(prox):
    """[(slice, map)] of a product, of a single map as well."""
    parts = getattr(prox, "parts", None)
    if parts is None:
        return [(slice(None), prox)]
    return None if any(hasattr(part, "parts") for _, part in parts) else parts


def _unbound(prox):
    """Function, arguments and keywords of a `functools.partial`."""
    args: tuple = ()
    keywords: dict = {}
    while isinstance(prox, functools.partial):
        args, keywords = prox.args + args, prox.keywords | keywords
        prox = prox.func
    try:
        hash(prox)
    except TypeError:
        return None, (), {}
    return prox, args, keywords


def simplices(prox: Any, size: int) -> list[slice] | None:
    """The slices of a product of simplices that covers all entries, None of other maps."""
    parts = _parts(prox) or []
    if any(MAPS.get(_unbound(part)[0]) is not simplex for _, part in parts):
        return None
    covered = sum(len(range(*where.indices(size))) for where, _ in parts)
    return [where for where, _ in parts] if covered == size else None
