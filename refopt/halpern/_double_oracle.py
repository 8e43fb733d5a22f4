"""The double oracle: equilibria of few strategies, without passes over the whole matrix."""

from collections.abc import Generator
from typing import Any

from refopt._driver import Iterate
from refopt.halpern import _game
from refopt.halpern._game import Game, middle
from refopt.halpern._interior_point import interior_point

_SUBGAME_GAP = 1e-13  # relative to the entries
_SUBGAME_ITERATIONS = 40
_ADDED = 2  # strategies of each player in one round


def double_oracle(
    game: Game, rows: list[int], columns: list[int], *, largest: int
) -> Generator[Iterate, None, Any]:
    """Equilibria of growing sub-games, each enlarged by best responses to the last.

    Parameters
    ----------
    game : Game
    rows, columns : list of int
        The first sub-game, not empty.
    largest : int
        Give up when a player has more strategies than that in the sub-game.

    Yields
    ------
    Iterate
        x is the pair (x, y), fun the value, error the gap.
    """
    xp = game.xp
    while max(len(rows), len(columns)) <= largest:
        own_rows, own_columns = xp.asarray(rows), xp.asarray(columns)
        x, y = _equilibrium(game, own_rows, own_columns)
        row_payoffs = game.some_columns(own_columns) @ x + game.r
        column_payoffs = game.some_rows(own_rows).T @ y + game.c
        pair = game.spread(x, own_columns, 1), game.spread(y, own_rows, 0)
        most, least = game.bounds(*pair, row_payoffs, column_payoffs)
        yield Iterate(x=pair, fun=middle(most, least), error=most - least)
        better_rows = _best(xp, row_payoffs, rows)
        better_columns = _best(xp, -column_payoffs, columns)
        if not (better_rows or better_columns):
            return None  # rounding: the sub-game has all best responses
        rows, columns = rows + better_rows, columns + better_columns
    return None


def first_strategies(game: Game, A: Any) -> tuple[list[int], list[int]]:
    """The row of largest minimum and the column of least maximum of A, the game's payoffs."""
    xp = game.xp
    if game.sparse:  # best responses to uniform play
        x, y = game.uniform()
        return [int(xp.argmax(game.row_payoffs(x)))], [int(xp.argmin(game.column_payoffs(y)))]
    return [int(xp.argmax(xp.min(A, axis=1)))], [int(xp.argmin(xp.max(A, axis=0)))]


def _equilibrium(game, rows, columns):
    """Both strategies of a sub-game."""
    xp = game.xp
    part = game.block(rows, columns)
    if min(part.shape) == 1:
        x, y = xp.zeros(part.shape[1]), xp.zeros(part.shape[0])
        x[xp.argmin(xp.max(part, axis=0))] = 1.0
        y[xp.argmax(xp.min(part, axis=1))] = 1.0
        return x, y
    sub = _game.take_in(xp, game.kernels, part, True)
    best: Any = None
    for count, iterate in enumerate(interior_point(sub, *sub.uniform(), use_polish=True)):
        best = iterate if best is None or iterate.error < best.error else best
        if best.error <= _SUBGAME_GAP * sub.scale or count == _SUBGAME_ITERATIONS:
            break
    return best.x


def _best(xp, payoffs, known):
    """The best responses that are not known yet and beat all that are."""
    level = float(xp.max(payoffs[xp.asarray(known)]))
    count = int(xp.sum(xp.astype(payoffs > level, xp.int64)))
    if count == 0:
        return []
    order = xp.argsort(-payoffs)[: min(count, _ADDED)]
    return [int(k) for k in order]
