"""Where an array lives: the library it belongs to, told by its exact type.

``isinstance`` would let subclasses slip through whose meaning differs, as that
of masked arrays does.
"""

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np


class Home(NamedTuple):
    """Where an array's data lives: its library's root package and namespace."""

    library: str
    xp: Any


NUMPY = Home("numpy", np)
_homes: dict[type, Home] = dict.fromkeys((bool, int, float, complex, list, tuple), NUMPY)
_homes[np.ndarray] = NUMPY


def home_of(array, position=0, names=None):
    """Home of `array`, or a TypeError that names it."""
    return _homes.get(type(array)) or _find_home(array, position, names)


def _find_home(array, position, names):
    """Home of an array whose type was not seen before."""
    cls = type(array)
    package = cls.__module__.partition(".")[0]
    if package == "cupy":
        home = Home("cupy", import_module("cupy"))
    elif isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            where = called(position, names)
            raise TypeError(
                f"{where} is a masked array with masked entries, whose meaning here is unclear; "
                "pass array.filled(value) or the entries that count"
            )
        return NUMPY  # not remembered: the next one may be masked
    elif package == "numpy":
        home = NUMPY
    elif isinstance(array, np.ndarray):
        raise TypeError(
            f"{called(position, names)} is a {cls.__module__}.{cls.__qualname__}, a subclass of "
            "numpy.ndarray with a meaning of its own; pass numpy.asarray(x) if that may be dropped"
        )
    else:
        xp = _namespace(array)
        if xp is None:
            where, kind = called(position, names), f"{cls.__module__}.{cls.__qualname__}"
            raise TypeError(f"{where} must be an array of an Array-API library, got {kind}")
        home = Home(root_of(xp), xp)
    _homes[cls] = home
    return home


def _namespace(array):
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    try:  # libraries that follow the standard through array-api-compat, as PyTorch
        from array_api_compat import array_namespace

        return array_namespace(array)
    except (ImportError, TypeError):
        return None


def namespace_of(array):
    """The array's namespace; CuPy's arrays do not tell it themselves."""
    return home_of(array).xp


def is_array(x):
    """Whether `x` is an array of some library, not a number or a list."""
    if isinstance(x, np.generic):
        return False
    return hasattr(x, "__array_namespace__") or type(x).__module__.partition(".")[0] == "cupy"


def root_of(xp):
    """Root package of a namespace, as "torch" of ``array_api_compat.torch``."""
    return xp.__name__.removeprefix("array_api_compat.").partition(".")[0]


def called(position, names):
    """What an argument is called in messages."""
    return names[position] if names else f"argument {position + 1}"


def libraries(arrays, names):
    """The arguments with their libraries, for messages."""
    return ", ".join(
        f"{called(i, names)} ({home_of(a, i, names).library})"
        for i, a in enumerate(arrays)
        if a is not None
    )
