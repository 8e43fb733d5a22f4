"""Intake of arguments: the only place that rejects input.

Every message names the argument, what it must be and what it was.
"""

import math
import operator
from typing import Any

import numpy as np

from refopt_backends import is_array

LARGEST = 1e120  # entries whose products are finite


def as_array(value: Any, name: str) -> Any:
    """Lists and numbers become NumPy arrays; arrays of any library stay."""
    if isinstance(value, np.matrix):  # whose methods keep two dimensions
        return np.asarray(value)
    if isinstance(value, np.ma.MaskedArray) and not np.ma.is_masked(value):
        return np.asarray(value)
    if is_array(value):
        return value
    if hasattr(value, "toarray"):
        raise TypeError(f"{name} must be a dense array, got the sparse {type(value).__name__}")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, got nested lists of uneven length") from error


def dtype_name(value: Any) -> str:
    """Name of an array's dtype without its library, as "float64"; "" of what is no array."""
    dtype = getattr(value, "dtype", "")
    return str(getattr(dtype, "name", dtype)).rpartition(".")[-1]


def real_array(xp: Any, value: Any, name: str, ndim: int, *, keep_order: bool = False) -> Any:
    """`value` in float32 or float64, C-contiguous, not copied without need.

    Parameters
    ----------
    xp : module
        The array namespace.
    value : array
    name : str
        For messages.
    ndim : int
        Required number of dimensions.
    keep_order : bool
        Leave Fortran order as it is.

    Returns
    -------
    array
        float32 as it came, any other real type as float64. Values are not
        looked at.

    Raises
    ------
    TypeError
        Complex numbers or no numbers at all.
    ValueError
        Another number of dimensions.
    """
    kind = dtype_name(value)
    if kind.startswith("complex"):
        raise TypeError(f"{name} must be real, got dtype {kind}")
    if not kind.startswith(("float", "int", "uint", "bool")):
        raise TypeError(f"{name} must hold real numbers, got dtype {kind}")
    if value.ndim != ndim:
        raise ValueError(
            f"{name} must be {ndim}-dimensional, got {value.ndim} dimensions of shape "
            f"{tuple(value.shape)}"
        )
    # NumPy's bytes may be in another order: float32 is converted too.
    value = xp.astype(value, xp.float32 if kind == "float32" else xp.float64, copy=False)
    flags = getattr(value, "flags", None)
    if flags is None or flags.c_contiguous or (keep_order and flags.f_contiguous):
        return value
    return xp.ascontiguousarray(value)


def all_finite(xp: Any, value: Any, name: str) -> Any:
    """`value` if it has neither NaN nor infinity, else a ValueError with the first place."""
    if value.size == 0:
        return value
    if not (math.isfinite(float(xp.min(value))) and math.isfinite(float(xp.max(value)))):
        raise ValueError(
            f"{name} must be finite, got {first_place(xp, value, ~xp.isfinite(value))}"
        )
    return value


def moderate(xp: Any, value: Any, name: str, most: float = LARGEST) -> Any:
    """`value` if it is finite and no entry exceeds `most`, else a ValueError with the first place.

    For functions that square and multiply what they are given in the units it came in.
    """
    if value.size and not (float(xp.min(value)) >= -most and float(xp.max(value)) <= most):
        all_finite(xp, value, name)
        where = first_place(xp, value, (value > most) | (value < -most))
        raise ValueError(
            f"{name} must have entries of at most {most:g} in absolute value, so that products "
            f"of them are finite, got {where}: choose larger units"
        )
    return value


def first_place(xp: Any, value: Any, mask: Any) -> str:
    """The first entry under the mask and its place, in words."""
    where = tuple(int(index[0]) for index in xp.nonzero(mask))
    return f"{float(value[where])} at {list(where)}"


def positive(value: Any, name: str, hint: str = "") -> float:
    """A finite number above zero."""
    number = real_number(value, name)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be positive and finite, got {value!r}{hint}")
    return number


def nonnegative(value: Any, name: str) -> float:
    """A finite number, zero allowed."""
    number = real_number(value, name)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be nonnegative and finite, got {value!r}")
    return number


def real_number(value: Any, name: str) -> float:
    """A Python float."""
    if isinstance(value, complex | str | bytes) or value is None:
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a real number, got {value!r}") from error


def count(value: Any, name: str, least: int = 0) -> int:
    """An integer of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} must be an integer, got {value!r}") from error
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def display(value: Any) -> bool | int:
    """What `disp` takes: a truth value, or every how many iterations to print."""
    return bool(value) if isinstance(value, bool | np.bool_) else count(value, "disp")


def choice(value: Any, name: str, options: tuple) -> Any:
    """One of the options."""
    if not any(type(value) is type(option) and value == option for option in options):
        known = ", ".join(map(repr, options))
        raise ValueError(f"{name} must be one of {known}, got {value!r}")
    return value
