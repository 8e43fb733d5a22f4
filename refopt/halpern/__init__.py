"""Monotone inclusions and saddle points: Halpern iterations, variance reduction.

.. autosummary::

    solve_vi
    minimax
    vr_halpern
    inexact_halpern
    halpern_fixed_point
    matrix_game
    BilinearGame
    QuadraticMinimax
    AffineVI
    RowLinear
    LogisticSaddle
    FiniteSumOperator
"""

from ._anchored import inexact_halpern, vr_halpern
from ._fixed_point import halpern_fixed_point
from ._matrix_game import matrix_game
from ._solve import minimax, solve_vi
from .operators import (
    AffineVI,
    BilinearGame,
    FiniteSumOperator,
    LogisticSaddle,
    QuadraticMinimax,
    RowLinear,
)

__all__ = [
    "AffineVI",
    "BilinearGame",
    "FiniteSumOperator",
    "LogisticSaddle",
    "QuadraticMinimax",
    "RowLinear",
    "halpern_fixed_point",
    "inexact_halpern",
    "matrix_game",
    "minimax",
    "solve_vi",
    "vr_halpern",
]
