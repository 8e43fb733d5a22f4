"""Operators with compiled components: rows, columns, games, logistic losses."""

from refopt.halpern._column_operators import AffineVI, QuadraticMinimax
from refopt.halpern._components import FiniteSumOperator
from refopt.halpern._game_operator import BilinearGame
from refopt.halpern._logistic_operator import LogisticSaddle
from refopt.halpern._row_operator import RowLinear

__all__ = [
    "AffineVI",
    "BilinearGame",
    "FiniteSumOperator",
    "LogisticSaddle",
    "QuadraticMinimax",
    "RowLinear",
]
