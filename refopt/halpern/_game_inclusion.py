"""Matrix games as inclusions, for the methods that the family has for these."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from refopt import _status
from refopt._driver import Iterate, Outcome, listener
from refopt.halpern._game import Game, middle
from refopt.halpern._solve import solve_vi
from refopt.halpern.operators import BilinearGame
from refopt.proximal import Product, project_simplex

METHODS = ("vr-halpern", "inexact-halpern", "eg", "eag", "forb", "vr-eg")
_FULL = ("eg", "eag", "forb")  # every step evaluates the whole operator
_FLAT = 1e-10  # the least norm, relative to the entries: of games of row and column terms only
_NO_LIMIT = 1e18  # of epochs: iterations are counted


def run(
    game: Game,
    method: str,
    x: Any,
    y: Any,
    *,
    tol: float,
    maxiter: int,
    callback: Callable | None,
    view: Callable,
    disp: Any,
    time_limit: float | None,
    rng: Any,
) -> Outcome:
    """`solve_vi` on F(x, y) = (B'y + c, -Bx - r), ended by the gap instead of the residual.

    F is that of entries of at most 1, so that units do not matter.

    Parameters
    ----------
    game : Game
    method : str
        One of `METHODS`.
    x, y : array
        Start.
    tol : float
        Of the gap.
    maxiter, callback, view, disp, time_limit, rng
        As for `_driver.run` and `solve_vi`.

    Returns
    -------
    Outcome
    """
    n = game.size[1]
    watch = _Watch(game, tol, listener(callback, view))
    watch.look(game.xp.concat([x, y]))
    if watch.best.error <= tol or maxiter == 0:
        status = _status.CONVERGED if watch.best.error <= tol else _status.MAXITER
        return watch.outcome(status, "")
    unit = game.scale
    operator = BilinearGame(game.matrix / unit, game.c / unit, game.r / unit)
    simplices = Product([(slice(0, n), project_simplex), (slice(n, None), project_simplex)])
    res = solve_vi(
        operator, game.xp.concat([x, y]), prox=simplices, method=method, tol=0.0,
        L=max(game.norm() / unit, _FLAT) if method in _FULL else None, maxiter=maxiter,
        maxfev=_NO_LIMIT, time_limit=time_limit, callback=watch, disp=disp, rng=rng,
        backend=game.kernels.name,
    )  # fmt: skip
    game.effort.products += round(2 * res.nfev)
    if watch.best.error <= tol:
        return watch.outcome(_status.CONVERGED, "")
    status = _status.STALLED if res.status == _status.CONVERGED else res.status
    return watch.outcome(status, "")


class _Watch:
    """The callback of `solve_vi` that looks at the gap."""

    def __init__(self, game, tol, tell):
        self.game, self.tol, self.tell = game, tol, tell
        self.best: Any = None
        self.nit, self.began = -1, time.perf_counter()
        self.history: dict[str, list[float]] = {"time": [], "fun": [], "gap": []}

    def __call__(self, intermediate_result):
        iterate = self.look(intermediate_result.x)
        if self.tell is not None:
            self.tell(iterate, self.nit)
        if iterate.error <= self.tol:
            raise StopIteration

    def look(self, u):
        """The iterate at u, on both simplices: methods may leave them."""
        n = self.game.size[1]
        x, y = (_on_simplex(self.game.xp, p) for p in (u[:n], u[n:]))
        most, least = self.game.bounds(x, y)
        iterate = Iterate(x=(x, y), fun=middle(most, least), error=most - least)
        self.nit += 1
        values = time.perf_counter() - self.began, iterate.fun, iterate.error
        for column, value in zip(self.history.values(), values, strict=True):
            column.append(value)
        if self.best is None or iterate.error <= self.best.error:
            self.best = iterate
        return iterate

    def outcome(self, status, detail):
        """What the driver would have returned."""
        history = {key: np.array(column) for key, column in self.history.items()}
        return Outcome(self.best, status, detail, self.nit, history)


def _on_simplex(xp, p):
    p = xp.where(p > 0, p, xp.zeros_like(p))
    total = xp.sum(p)
    return p / total if float(total) > 0 else xp.full(p.shape[0], 1.0 / p.shape[0])
