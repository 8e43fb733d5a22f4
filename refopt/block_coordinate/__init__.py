"""Block coordinate descent."""

from ._forests import (
    ForestFactor,
    forest_factor,
    forest_partition,
    forest_solve,
    red_black_partition,
)

__all__ = [
    "ForestFactor",
    "forest_factor",
    "forest_partition",
    "forest_solve",
    "red_black_partition",
]
