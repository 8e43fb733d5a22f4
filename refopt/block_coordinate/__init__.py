"""Block coordinate descent."""

from ._box import box_qp
from ._forests import (
    ForestFactor,
    forest_factor,
    forest_partition,
    forest_solve,
    red_black_partition,
)
from ._l1_logistic import l1_logistic
from ._label_propagation import label_propagation
from ._lasso import elastic_net, lasso, lasso_path
from ._smooth_logistic import logistic
from ._nnls import nnls
from ._softmax import softmax
from ._svm import svm_dual

__all__ = [
    "ForestFactor",
    "box_qp",
    "elastic_net",
    "forest_factor",
    "forest_partition",
    "forest_solve",
    "l1_logistic",
    "label_propagation",
    "lasso",
    "lasso_path",
    "logistic",
    "red_black_partition",
    "nnls",
    "softmax",
    "svm_dual",
]
