"""Seeded problem generators and small bundled data.

The same instances serve the tests, the benchmarks and the documentation.
Importing this package loads NumPy only.
"""

from .breast_cancer import breast_cancer
from .colours import colour_images, colour_transfer
from .digits import digit_from_others, digit_image, load_digits
from .games import (
    gaussian_game,
    low_rank_game,
    nemirovski_1,
    nemirovski_2,
    policeman_burglar,
    uniform_game,
)
from .graphs import GraphProblem, lattice, two_moons
from .optima import (
    LASSO_LAM_MAX,
    LASSO_OPTIMA,
    NONNEGATIVE_LASSO_OPTIMA,
    TRANSPORT_OPTIMA,
)
from .regression import (
    RegressionProblem,
    correlated,
    dataset_a,
    dataset_b,
    dataset_c,
    lars_adversarial,
)
from .saddle import QuadraticSaddle, RowSum, ouyang_xu, row_sum
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
    "LASSO_LAM_MAX",
    "LASSO_OPTIMA",
    "NONNEGATIVE_LASSO_OPTIMA",
    "TRANSPORT_OPTIMA",
    "GraphProblem",
    "QuadraticSaddle",
    "RegressionProblem",
    "RowSum",
    "TransportProblem",
    "assign",
    "breast_cancer",
    "cloud2",
    "cloud50",
    "colour_images",
    "colour_transfer",
    "correlated",
    "dataset_a",
    "dataset_b",
    "dataset_c",
    "digit_from_others",
    "digit_image",
    "digits",
    "gaussian_game",
    "gaussian_grid",
    "gaussian_grid_cost",
    "ladder",
    "lars_adversarial",
    "lattice",
    "load_digits",
    "low_rank_game",
    "nemirovski_1",
    "nemirovski_2",
    "ouyang_xu",
    "policeman_burglar",
    "rect",
    "row_sum",
    "transport_instance",
    "two_moons",
    "uniform_game",
]
