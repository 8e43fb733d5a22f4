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
from ._minimize import minimize_bcd
from ._nnls import nnls
from ._select_block import identify_active_set, select_block
from ._smooth_logistic import logistic
from ._softmax import softmax
from ._svm import svm_dual
from .problems import LeastSquares, Logistic, Quadratic, Softmax, SVMDual

__all__ = [
    "ForestFactor",
    "LeastSquares",
    "Logistic",
    "Quadratic",
    "SVMDual",
    "Softmax",
    "box_qp",
    "elastic_net",
    "forest_factor",
    "forest_partition",
    "forest_solve",
    "identify_active_set",
    "l1_logistic",
    "label_propagation",
    "lasso",
    "lasso_path",
    "logistic",
    "minimize_bcd",
    "nnls",
    "red_black_partition",
    "select_block",
    "softmax",
    "svm_dual",
]
