"""Block coordinate descent."""

from ._box import box_qp
from ._forests import (
    ForestFactor,
    forest_factor,
    forest_partition,
    forest_solve,
    red_black_partition,
)
from ._label_propagation import label_propagation
from ._smooth_logistic import logistic
from ._nnls import nnls
from ._svm import svm_dual

__all__ = [
    "ForestFactor",
    "box_qp",
    "forest_factor",
    "forest_partition",
    "forest_solve",
    "label_propagation",
    "logistic",
    "red_black_partition",
    "nnls",
    "svm_dual",
]
