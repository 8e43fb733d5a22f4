"""Equilibria from their supports."""

from typing import Any

from refopt.halpern._game import Game

_LARGEST = 2000  # support of a sparse game, whose block is made dense


def polish(game: Game, rows: Any, columns: Any) -> tuple[Any, Any] | None:
    """The pair of strategies on given supports of one size that makes all payoffs there equal.

    Parameters
    ----------
    game : Game
    rows, columns : array of int, shape (k,)
        Supports of y and of x.

    Returns
    -------
    x, y : array, shapes (n,) and (m,)
        None if the supports differ in size or are too large, the equations are
        singular or a weight is negative beyond rounding. The caller checks the gap.
    """
    xp = game.xp
    k = rows.shape[0]
    if k == 0 or k != columns.shape[0] or (game.sparse and k > _LARGEST):
        return None
    part = game.block(rows, columns)
    x, y = _equal_payoffs(xp, part), _equal_payoffs(xp, part.T)
    if x is None or y is None:
        return None
    return game.spread(x, columns, 1), game.spread(y, rows, 0)


def _equal_payoffs(xp, part):
    """Weights w >= 0 of sum 1 with all entries of `part` w equal."""
    k = part.shape[0]
    scale = float(xp.max(xp.abs(part))) or 1.0
    bordered = xp.zeros((k + 1, k + 1))
    bordered[:k, :k] = part / scale
    bordered[:k, k] = -1.0
    bordered[k, :k] = 1.0
    right = xp.zeros((k + 1, 1))
    right[k] = 1.0
    try:
        w = xp.linalg.solve(bordered, right)[:k, 0]
    except Exception as error:  # every library has a class of its own, by this name
        if type(error).__name__ != "LinAlgError":
            raise
        return None
    if not (bool(xp.all(xp.isfinite(w))) and float(xp.min(w)) > -1e-9):
        return None
    w = xp.where(w > 0, w, xp.zeros_like(w))
    return w / xp.sum(w)
