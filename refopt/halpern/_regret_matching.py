"""Predictive regret matching plus, for matrix games."""

from collections.abc import Generator
from typing import Any

from refopt._driver import Iterate
from refopt.halpern._game import Game, middle

CHECK = 50  # steps between looks at the gap, which make one iteration


def regret_matching(
    game: Game, x: Any, y: Any, check: int = CHECK
) -> Generator[Iterate, None, Any]:
    """Alternating steps; strategies proportional to predicted regrets, averages weighted by k^2.

    Parameters
    ----------
    game : Game
    x, y : array
        Used while there are no regrets.
    check : int
        Steps between looks at the gap.

    Yields
    ------
    Iterate
        After every `check` steps: x is the pair of averages, fun the value, error the gap.
    """
    xp = game.xp
    Rx, Ry = xp.zeros_like(x), xp.zeros_like(y)
    px, py, X, Y, k = Rx, Ry, Rx, Ry, 0
    while True:
        for _ in range(check):
            k += 1
            x = _proportional(xp, Rx + px, x)
            u = game.row_payoffs(x)
            py = u - y @ u
            Ry = _positive(xp, Ry + py)
            y = _proportional(xp, Ry + py, y)
            v = game.column_payoffs(y)
            px = x @ v - v
            Rx = _positive(xp, Rx + px)
            share = k * k / (k * (k + 1) * (2 * k + 1) / 6)  # of the new in the sum of squares
            X, Y = X + share * (x - X), Y + share * (y - Y)
        most, least = game.bounds(X, Y)
        yield Iterate(x=(X, Y), fun=middle(most, least), error=most - least)


def _positive(xp, v):
    return xp.where(v > 0, v, xp.zeros_like(v))


def _proportional(xp, regrets, otherwise):
    """A strategy proportional to the positive regrets; the last one if there are none."""
    q = _positive(xp, regrets)
    total = float(xp.sum(q))
    return q / total if total > 0 else otherwise
