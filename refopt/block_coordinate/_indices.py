"""Index sets as arrays of any library."""

from typing import Any


def largest(xp: Any, key: Any, count: int) -> Any:
    """Indices of the `count` largest entries, in no order, in linear time where the library can."""
    size = key.shape[0]
    if count >= size:
        return xp.arange(size)
    if count <= 0:
        return xp.arange(0)
    if hasattr(xp, "argpartition"):
        return xp.argpartition(key, size - count)[size - count :]
    return xp.argsort(key, descending=True)[:count]


def spread(xp: Any, index: Any, values: Any, size: int) -> Any:
    """The vector with `values` at the places `index`, each named once, and zeros elsewhere."""
    out = xp.zeros(size, dtype=values.dtype)
    if index.shape[0] == 0:
        return out
    if hasattr(xp, "argpartition"):  # NumPy and CuPy write to places; the standard does not
        out[index] = values
        return out
    order = xp.argsort(index)
    index, values = xp.take(index, order), xp.take(values, order)
    everything = xp.arange(size)
    place = xp.searchsorted(index, everything)
    place = xp.where(place < index.shape[0], place, xp.zeros_like(place))
    return xp.where(xp.take(index, place) == everything, xp.take(values, place), out)
