"""Functions of the Array-API standard that not every library has, or has by that name.

CuPy 14 is the one that lacks them; where a library follows the standard, its own are called.
"""

from contextlib import nullcontext
from importlib import import_module
from typing import Any

from refopt_backends._home import home_of, namespace_of


def cumulative_sum(x: Any, axis: int | None = None) -> Any:
    """As in the standard; NumPy before 2.1 and CuPy before 14.2 call it otherwise."""
    xp = namespace_of(x)
    if hasattr(xp, "cumulative_sum"):
        return xp.cumulative_sum(x, axis=axis)
    return xp.cumsum(x, axis=axis)


def diagonal_of(A: Any) -> Any:
    """The diagonal of a matrix."""
    xp = namespace_of(A)
    return xp.linalg.diagonal(A) if hasattr(xp.linalg, "diagonal") else A.diagonal()


def euclidean_norm(x: Any) -> float:
    """The Euclidean norm of all entries."""
    xp = namespace_of(x)
    if hasattr(xp.linalg, "vector_norm"):
        return float(xp.linalg.vector_norm(x))
    return float(xp.linalg.norm(xp.reshape(x, (-1,))))


def host_numbers(*values: Any) -> list[float]:
    """Numbers of the host for several arrays of one entry each: the host waits once for all."""
    xp = namespace_of(values[0])
    if xp.__name__ == "cupy":
        return xp.stack([xp.reshape(value, ()) for value in values]).tolist()
    return [float(value) for value in values]


def unique_values(x: Any) -> Any:
    """The different values, in ascending order where the library sorts them."""
    xp = namespace_of(x)
    return xp.unique_values(x) if hasattr(xp, "unique_values") else xp.unique(x)


def cholesky(H: Any) -> Any:
    """The lower factor L of H = L L', None if there is none."""
    home = home_of(H)
    # CuPy returns half a factor, without NaN, unless it is told to raise.
    strict = import_module("cupyx").errstate(linalg="raise") if home.library == "cupy" else None
    try:
        with strict or nullcontext():
            return home.xp.linalg.cholesky(H)
    except Exception as error:  # every library has a class of its own, by this name
        if type(error).__name__ != "LinAlgError":
            raise
        return None
