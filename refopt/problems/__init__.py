"""Seeded problem generators and small bundled data.

The same instances serve the tests, the benchmarks and the documentation.
Importing this package loads NumPy only.
"""

from .breast_cancer import breast_cancer
from .colours import colour_images, colour_transfer
from .constrained_logistic import (
    constrained_logistic,
    constrained_logistic_dense,
    constrained_logistic_sparse,
)
from .digits import digit_from_others, digit_image, load_digits
from .elliptic_control import elliptic_control
from .equality import EqualityProblem
from .games import (
    gaussian_game,
    low_rank_game,
    nemirovski_1,
    nemirovski_2,
    policeman_burglar,
    uniform_game,
)
from .graphs import GraphProblem, lattice, two_moons
from .kkt import kkt_system
from .optima import (
    LASSO_LAM_MAX,
    LASSO_OPTIMA,
    NONNEGATIVE_LASSO_OPTIMA,
    TRANSPORT_OPTIMA,
)
from .pressure import pressure_scene, swirl_velocity
from .regression import (
    RegressionProblem,
    correlated,
    dataset_a,
    dataset_b,
    dataset_c,
    lars_adversarial,
)
from .relu import RELU_INSTANCES, ReLUProblem, relu_instance, relu_spirals, relu_teacher
from .s2mpj import s2mpj_names, s2mpj_problem
from .saddle import QuadraticSaddle, RowSum, ouyang_xu, row_sum
from .textbook_equality import TEXTBOOK_EQUALITY, textbook_equality
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
    "RELU_INSTANCES",
    "TEXTBOOK_EQUALITY",
    "TRANSPORT_OPTIMA",
    "EqualityProblem",
    "GraphProblem",
    "QuadraticSaddle",
    "ReLUProblem",
    "RegressionProblem",
    "RowSum",
    "TransportProblem",
    "assign",
    "breast_cancer",
    "cloud2",
    "cloud50",
    "colour_images",
    "colour_transfer",
    "constrained_logistic",
    "constrained_logistic_dense",
    "constrained_logistic_sparse",
    "correlated",
    "dataset_a",
    "dataset_b",
    "dataset_c",
    "digit_from_others",
    "digit_image",
    "digits",
    "elliptic_control",
    "gaussian_game",
    "gaussian_grid",
    "gaussian_grid_cost",
    "kkt_system",
    "ladder",
    "lars_adversarial",
    "lattice",
    "load_digits",
    "low_rank_game",
    "nemirovski_1",
    "nemirovski_2",
    "ouyang_xu",
    "policeman_burglar",
    "pressure_scene",
    "rect",
    "relu_instance",
    "relu_spirals",
    "relu_teacher",
    "row_sum",
    "s2mpj_names",
    "s2mpj_problem",
    "swirl_velocity",
    "textbook_equality",
    "transport_instance",
    "two_moons",
    "uniform_game",
]
