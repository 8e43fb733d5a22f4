"""Problems of extreme size, solved in other units: powers of two, so that nothing is rounded."""

import math
from typing import Any

from refopt import _driver

_LEAST, _LARGEST = 1e-100, 1e100  # sizes whose squares and products need no other unit
_KEPT = 100  # 2^100 of gradients
_TINY = 1e-305
_MOST = 1000  # of the exponent: 2^k and 2^-k are finite


def exponent(xp: Any, values: Any) -> int:
    """k such that the largest of |values| / 2^k is near 1; 0 where squares are safe as it is."""
    size = float(xp.max(xp.abs(values))) if values.size else 0.0
    if size == 0.0 or not math.isfinite(size) or _LEAST <= size <= _LARGEST:
        return 0
    return max(-_MOST, min(_MOST, math.frexp(size)[1]))


def design_entries(design: Any) -> Any:
    """The stored entries of a design."""
    return design.columns if hasattr(design, "columns") else design.matrix.data


def large(xp: Any, weights: Any, certified: bool) -> int:
    """The unit of sample weights: k > 0 if they are so large that squares overflow, else 0.

    Without a certificate gradients are compared with 1, and must stay large.
    """
    k = max(exponent(xp, weights), 0)
    return k if certified or not k else k - _KEPT


def scaled(values: Any, k: int) -> Any:
    """values * 2^k, in two factors where one is not finite."""
    if k == 0:
        return values
    half = k // 2
    return values * 2.0**half * 2.0 ** (k - half)


def penalty_in_units(value: float, k: int) -> float:
    """value / 2^k, positive if value is."""
    return max(math.ldexp(value, -k), _TINY) if value > 0 else 0.0


def solve_in_units(
    solve: Any, callback: Any, x: int = 0, fun: int = 0, absolute: tuple = ()
) -> Any:
    """The result of ``solve(callback)`` with x in units of 2^x and F in those of 2^fun.

    `absolute` names what else has the unit of F.
    """
    tell = None if callback is None else _driver.by_position(callback)

    def restore(result):
        result.x = scaled(result.x, x)
        for key in ("fun", *absolute):
            if result.get(key) is not None:
                result[key] = _number(result[key], fun)
        if "rnorm" in result:
            result.rnorm = math.ldexp(result.rnorm, fun // 2)
        return result

    watch = None if tell is None else lambda result: tell(restore(result))
    result = restore(solve(watch))
    for key in ("fun", *absolute):
        if key in (result.get("history") or {}):
            column = result.history[key]
            column[:] = [_number(float(value), fun) for value in column]
    return result


def _number(value, k):
    """value * 2^k, infinite beyond the largest number."""
    try:
        return math.ldexp(value, k)
    except OverflowError:
        return math.copysign(math.inf, value)
