"""Intake of what operators are made of."""

from typing import Any

import numpy as np

from refopt import _validate


def numbers(xp: Any, value: Any, name: str, ndim: int) -> Any:
    """A real array whose entries can be multiplied."""
    return _validate.moderate(xp, _validate.real_array(xp, value, name, ndim), name)


def matrix(xp: Any, value: Any, name: str) -> Any:
    """A finite matrix with entries."""
    value = numbers(xp, value, name, 2)
    if value.size == 0:
        raise ValueError(f"{name} must have rows and columns, got shape {tuple(value.shape)}")
    return value


def square(xp: Any, value: Any, size: int, name: str) -> Any:
    """A matrix of size rows and columns."""
    value = matrix(xp, value, name)
    if tuple(value.shape) != (size, size):
        raise ValueError(f"{name} must have shape ({size}, {size}), got {tuple(value.shape)}")
    return value


def column(xp: Any, value: Any, size: int, name: str, dtype: Any) -> Any:
    """A vector of a length, zeros for None."""
    if value is None:
        return xp.zeros(size, dtype=dtype)
    value = numbers(xp, value, name, 1)
    if value.shape[0] != size:
        raise ValueError(f"{name} must have {size} entries, got {value.shape[0]}")
    return xp.astype(value, dtype, copy=True)


def on_host(xp: Any, value: Any) -> np.ndarray:
    """A NumPy copy."""
    if hasattr(value, "get"):
        return np.asarray(value.get())
    return np.array([float(v) for v in value]) if xp.__name__ != "numpy" else np.asarray(value)
