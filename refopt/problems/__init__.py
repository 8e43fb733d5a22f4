"""Seeded problem generators and small bundled data.

The same instances serve the tests, the benchmarks and the documentation.
Importing this package loads NumPy only.
"""

from .colours import colour_images, colour_transfer
from .digits import digit_image, load_digits
from .optima import TRANSPORT_OPTIMA
from .transport import (
    TransportProblem,
    assign,
    cloud2,
    cloud50,
    digits,
    gaussian_grid,
    gaussian_grid_cost,
    ladder,
    rect,
    transport_instance,
)

__all__ = [
    "TRANSPORT_OPTIMA",
    "TransportProblem",
    "assign",
    "cloud2",
    "cloud50",
    "colour_images",
    "colour_transfer",
    "digit_image",
    "digits",
    "gaussian_grid",
    "gaussian_grid_cost",
    "ladder",
    "load_digits",
    "rect",
    "transport_instance",
]
