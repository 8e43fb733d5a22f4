"""Twenty-six textbook problems with equality constraints."""

from math import asin, pi, sqrt
from typing import Any

from . import _textbook_large as large
from . import _textbook_small as small

__all__ = ["TEXTBOOK_EQUALITY", "textbook_equality"]

_ONES = [1.0] * 5
_A, _B = asin(sqrt(1 / 4.2)), asin(sqrt(5 / 7.2))

# name: class, x0, x_opt, multipliers, f_opt
_PROBLEMS: dict[str, Any] = {
    "HS6": (small.HS6, [-1.2, 1], [1, 1], [0], 0.0),
    "HS7": (small.HS7, [2, 2], [0, sqrt(3)], [1 / (2 * sqrt(3))], -sqrt(3)),
    "HS8": (small.HS8, [2, 1], [4.601594918, 1.955843607], [0, 0], -1.0),
    "HS9": (small.HS9, [0, 0], [-3, -4], [-pi / 96], -0.5),
    "HS26": (small.HS26, [-2.6, 2, 2], [1, 1, 1], [0], 0.0),
    "HS27": (small.HS27, [2, 2, 2], [-1, 1, 0], [0.04], 0.04),
    "HS28": (small.HS28, [-4, 1, 1], [0.5, -0.5, 0.5], [0], 0.0),
    "HS39": (small.HS39, [2] * 4, [1, 1, 0, 0], [-1, -1], -1.0),
    "HS40": (
        small.HS40,
        [0.8] * 4,
        [2 ** (-1 / 3), 2 ** (-1 / 2), 2 ** (-11 / 12), 2 ** (-1 / 4)],
        [0.5, -0.471937156, 0.353553391],
        -0.25,
    ),
    "HS42": (
        small.HS42,
        [1] * 4,
        [2, 2, 0.6 * sqrt(2), 0.8 * sqrt(2)],
        [-2, 2.535533906],
        28 - 10 * sqrt(2),
    ),
    "HS46": (large.HS46, [sqrt(2) / 2, 1.75, 0.5, 2, 2], _ONES, [0, 0], 0.0),
    "HS47": (large.HS47, [2, sqrt(2), -1, 2 - sqrt(2), 0.5], _ONES, [0, 0, 0], 0.0),
    "HS48": (large.HS48, [3, 5, -3, 2, -2], _ONES, [0, 0], 0.0),
    "HS49": (large.HS49, [10, 7, 2, -3, 0.8], _ONES, [0, 0], 0.0),
    "HS50": (large.HS50, [35, -31, 11, 5, -5], _ONES, [0, 0, 0], 0.0),
    "HS51": (large.HS51, [2.5, 0.5, 2, -1, 0.5], _ONES, [0, 0, 0], 0.0),
    "HS52": (
        large.HS52,
        [2] * 5,
        [-33 / 349, 11 / 349, 180 / 349, -158 / 349, 11 / 349],
        [3.277936963, 2.905444126, -7.747851003],
        1859 / 349,
    ),
    "HS56": (
        large.HS56,
        [1, 1, 1, _A, _A, _A, _B],
        [2.4, 1.2, 1.2, asin(sqrt(4 / 7)), asin(sqrt(2 / 7)), asin(sqrt(2 / 7)), pi / 2],
        [0, 0, 0, 1.44],
        -3.456,
    ),
    "HS61": (
        small.HS61,
        [0] * 3,
        [5.326770136, -2.118998632, 3.210464225],
        [-0.887684088, -1.737777205],
        -143.646142198,
    ),
    "HS77": (
        large.HS77,
        [2] * 5,
        [1.16617219, 1.182111389, 1.380257043, 1.506036274, 0.610920196],
        [-0.085539597, -0.031878398],
        0.24150512879,
    ),
    "HS78": (
        large.HS78,
        [-2, 1.5, 2, -1, -1],
        [-1.71714357, 1.59570969, 1.827245753, -0.763643078, -0.763643078],
        [0.744445931, -0.70357519, 0.096805525],
        -2.91970040896,
    ),
    "HS79": (
        large.HS79,
        [2] * 5,
        [1.191127456, 1.362603165, 1.472817932, 1.635016619, 1.679081436],
        [-0.038821049, -0.016726517, -0.000287328],
        0.0787768208711,
    ),
    "HS100LNP": (
        large.HS100LNP,
        [1, 2, 0, 4, 0, 1, 1],
        [
            2.330499373,
            1.951372373,
            -0.477541392,
            4.365726234,
            -0.624486971,
            1.038131019,
            1.594226712,
        ],
        [-1.139719959, -0.368614517],
        680.630057374,
    ),
    "MARATOS": (small.Maratos, [1.1, 0.1], [1, 0], [0.499999], -1.0),
    "BYRDSPHR": (
        small.ByrdSphere,
        [5, 0.0001, -0.0001],
        [0.5, sqrt(4.375), sqrt(4.375)],
        [0.619522861, -0.380477139],
        -0.5 - 2 * sqrt(4.375),
    ),
    "GENHS28": (
        large.GenHS28,
        [-4] + [1] * 9,
        [
            0.164212225,
            -0.052047609,
            0.313294331,
            0.141819649,
            0.134355457,
            0.196489812,
            0.157554973,
            0.162800081,
            0.172281622,
            0.164212225,
        ],
        [
            -0.224329231,
            -0.298164212,
            -0.163405285,
            -0.241274965,
            -0.241274965,
            -0.163405285,
            -0.298164212,
            -0.224329231,
        ],
        0.927173693766,
    ),
}

#: Names that `textbook_equality` knows.
TEXTBOOK_EQUALITY = tuple(_PROBLEMS)


def textbook_equality(name):
    """Build a textbook problem with equality constraints.

    Two to ten variables, one to eight constraints, derivatives by hand. Known
    solutions have nine digits; a problem may have others. At the solutions of HS26,
    HS46, HS47 and HS49 the Hessian of the Lagrangian is singular on the tangent space;
    at the starts of HS61 and BYRDSPHR the Jacobian is singular, or nearly so.

    Parameters
    ----------
    name : str
        One of `TEXTBOOK_EQUALITY`.

    Returns
    -------
    EqualityProblem
        With a solution, its multipliers and its value.

    Raises
    ------
    ValueError
        For an unknown name.

    References
    ----------
    .. [1] W. Hock, K. Schittkowski, "Test Examples for Nonlinear Programming Codes",
       Lecture Notes in Economics and Mathematical Systems 187, Springer, 1981.

    Examples
    --------
    >>> from refopt.problems import textbook_equality
    >>> problem = textbook_equality("HS39")
    >>> problem.n, problem.m, problem.f_opt
    (4, 2, -1.0)
    >>> problem.error(problem.x_opt)
    0.0
    """
    if name not in _PROBLEMS:
        raise ValueError(f"name must be one of {', '.join(_PROBLEMS)}, was {name!r}")
    kind, x0, x_opt, multipliers, f_opt = _PROBLEMS[name]
    return kind(name, x0, len(multipliers), x_opt=x_opt, multipliers=multipliers, f_opt=f_opt)
