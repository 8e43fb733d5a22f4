"""Pricing: directions of neurons that would lower the objective most."""

import math
from typing import Any, NamedTuple

import numpy as np

from refopt import _rng, _validate
from refopt.convex_relu._ascents import arc, dca, normalised, pivot, prices
from refopt.convex_relu._gates import SMALL_PRICED, on_host
from refopt.convex_relu._intake import features
from refopt.convex_relu._sweeps import WORK, cells_bound, largest_price
from refopt_backends import namespace_of, resolve

SIDES = {"positive": -1.0, "negative": 1.0}
KINDS = ("auto", "exact", "dca", "arc", "pivot")

_EXACT_ROWS = 2000
_EXACT_RANK = 3
_APART = math.cos(0.02)  # directions nearer than this angle are one


class GatePrices(NamedTuple):
    """Directions and their prices, the highest first."""

    U: Any
    values: Any
    sides: np.ndarray
    exact: bool


def price_gates(X, r, *, side="both", kind="auto", n_starts=200, starts=None, rng=None,
                backend=None):  # fmt: skip
    """Search the directions u in which a neuron lowers the objective fastest.

    For the slopes r of the loss at the predictions of a network this maximises
    ``h(u) = q'(X u)_+`` over the unit sphere, with q = -r for neurons of
    positive output weight and q = r for those of negative. A neuron t u of that side
    changes the objective at the rate ``beta - h(u)``; where no h exceeds beta, the
    network is globally optimal among all numbers of neurons.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Rows; a column of ones if the network has biases.
    r : array_like, shape (n,)
        Slopes of the loss, the gradient in the predictions.
    side : {"both", "positive", "negative"}, default "both"
        Signs of the output weights.
    kind : {"auto", "exact", "dca", "arc", "pivot"}, default "auto"
        ``"exact"`` visits all cells of the arrangement of the lines ``x_k'u = 0``, about
        n^(rank - 1) of them. The others climb from many points: ``"dca"`` by differences of
        convex functions, ``"pivot"`` from cell to cell; ``"arc"`` turns towards the maximiser
        that the current cell would have without its walls. ``"auto"`` is exact up to rank 3 and
        2000 rows, else ``"dca"``.
    n_starts : int, default 200
        Random starts, and as many rows of X with random signs, besides `starts`, of searches
        that are not exact.
    starts : array_like, shape (d, m), optional
        Further starts, as the neurons of a network.
    rng : None, int or numpy.random.Generator
        For the starts.
    backend : str, optional
        As everywhere.

    Returns
    -------
    U : array, shape (d, k)
        Different directions of length 1, highest price first; local maximisers where
        `kind` is not ``"arc"``.
    values : array, shape (k,)
        ``h`` of each, positive. None is above beta at a global optimum.
    sides : ndarray of int, shape (k,)
        +1 for a positive output weight, -1 for a negative.
    exact : bool
        Whether the first value is the largest of all.

    Raises
    ------
    ValueError
        Wrong shapes, NaN, an unknown `side` or `kind`, or ``"exact"`` where
        n^rank exceeds 2^24.
    TypeError
        Complex numbers, or arrays of several libraries.

    Notes
    -----
    No method of polynomial cost in d is known. One DCA step is a box least squares problem
    in R^d, solved by an active set; one arc step costs two products with X. Memory is
    n n_starts numbers.

    References
    ----------
    .. [1] M. Pilanci, T. Ergen, "Neural Networks are Convex Regularizers", ICML 2020,
       arXiv 2002.10553; its dual constraint is what is maximised.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt import price_gates
    >>> X = np.array([[1.0, 1], [2, 1], [-1, 1]])
    >>> U, values, sides, exact = price_gates(X, np.array([-1.0, -1, 1]))
    >>> exact, int(sides[0]), round(float(values[0]), 6)
    (True, 1, 3.605551)
    """
    X, r, xp, kernels = intake(X, r, backend)
    _validate.choice(side, "side", ("both", *SIDES))
    _validate.choice(kind, "kind", KINDS)
    n_starts = _validate.count(n_starts, "n_starts")
    rng = _rng.generator(rng)
    given = None
    if starts is not None:
        given = _validate.real_array(xp, _validate.as_array(starts, "starts"), "starts", 2)
        if given.shape[0] != X.shape[1]:
            raise ValueError(
                f"starts must have {X.shape[1]} rows, one per column of X, got {given.shape[0]}"
            )
        given = xp.astype(_validate.all_finite(xp, given, "starts"), xp.float64)
    asked = SIDES if side == "both" else {side: SIDES[side]}
    searcher = Pricer(X, kind, n_starts, kernels)
    found = [(-sign, *searcher(sign * r, given, rng)) for sign in asked.values()]
    sides = np.concatenate([np.full(len(values), int(sign)) for sign, _, values in found])
    values = np.concatenate([values for _, _, values in found])
    order = np.argsort(-values, kind="stable")
    U = xp.concat([U for _, U, _ in found], axis=0)
    U = xp.take(U, xp.asarray(order), axis=0)
    return GatePrices(xp.asarray(U.T, copy=True), xp.asarray(values[order]), sides[order],
                      searcher.exact)  # fmt: skip


def intake(X, r, backend):
    """Rows and slopes in double precision, their namespace and kernels."""
    X, r = _validate.as_array(X, "X"), _validate.as_array(r, "r")
    small = getattr(X, "size", 0) < SMALL_PRICED
    xp, kernels = resolve(X, r, backend=backend, small=small, names=("X", "r"))
    X = features(xp, X)
    r = _validate.moderate(xp, _validate.real_array(xp, r, "r", 1), "r")
    if not X.size:
        raise ValueError(f"X must have rows and columns, got shape {tuple(X.shape)}")
    if r.shape[0] != X.shape[0]:
        raise ValueError(f"r must have one entry per row of X, {X.shape[0]}, got {r.shape[0]}")
    return xp.astype(X, xp.float64, copy=False), xp.astype(r, xp.float64, copy=False), xp, kernels


class Pricer:
    """A search for high prices over the same rows, for many q.

    Directions are searched in the row space of X: d may exceed its rank.

    Parameters
    ----------
    X : array, shape (n, d)
    kind : str
        See `price_gates`.
    n_starts : int
    kernels : KernelTable

    Attributes
    ----------
    exact : bool
        Whether the largest value it finds is the largest of all.
    """

    def __init__(self, X, kind, n_starts, kernels):
        self.xp = namespace_of(X)
        self.X, self.n_starts, self.kernels = X, n_starts, kernels
        _, spread, turn = self.xp.linalg.svd(X, full_matrices=False)
        least = float(spread[0]) * max(X.shape) * 2.3e-16
        self.rank = max(1, int(self.xp.sum(self.xp.astype(spread > least, self.xp.int64))))
        self.basis = turn[: self.rank, :]  # of the row space
        work = cells_bound(X.shape[0], self.rank) * X.shape[0]
        if kind == "exact" and work > WORK and self.rank > _EXACT_RANK:
            raise ValueError(
                f"kind must be 'dca', 'arc' or 'pivot' for {X.shape[0]} rows of rank {self.rank}: "
                f"there are about {work / X.shape[0]:.0e} cells"
            )
        few = self.rank <= _EXACT_RANK and X.shape[0] <= _EXACT_ROWS
        self.exact = kind == "exact" or (kind == "auto" and few)
        self.kind = "dca" if kind in ("auto", "exact") else kind

    def __call__(self, q, given, rng, quick=False):
        """Directions as rows and their prices on the host, for h(u) = q'(X u)_+.

        If `quick`, from half the starts, of which those that stay low are given up, and
        never exactly.
        """
        xp, X = self.xp, self.X @ self.basis.T
        exact = self.exact and not quick
        starts = [] if given is None else [given.T @ self.basis.T]
        if exact:  # the maximiser is known; others are for those who want several
            u, value = largest_price(on_host(X), on_host(q))
            if value > 0:
                starts.append(xp.asarray(u)[None, :])
        count = min(self.n_starts, 50) if exact else self.n_starts // (1 + quick)
        starts.append(xp.asarray(rng.standard_normal((count, self.rank))))
        rows = xp.asarray(rng.permutation(X.shape[0])[:count])
        signs = xp.asarray(rng.choice([-1.0, 1.0], rows.shape[0]))
        starts.append(signs[:, None] * xp.take(X, rows, axis=0))
        U = self._ascend(X, q, normalised(xp.concat(starts, axis=0)), quick)
        if exact and value > 0:
            U = xp.concat([xp.asarray(u)[None, :], U], axis=0)
        return self._best_apart(X, q, U)

    def _ascend(self, X, q, U, quick):
        if self.kind == "arc":
            return arc(X, q, U)
        if self.kind == "pivot":
            return pivot(X, q, U, self.kernels)
        return dca(X, q, U, self.kernels, thin=quick)

    def _best_apart(self, X, q, U):
        """Different directions in the user's coordinates, highest first."""
        xp = self.xp
        values, directions = on_host(prices(X, q, U)), on_host(U)
        kept: list[int] = []
        for b in np.argsort(-values, kind="stable"):
            if values[b] <= 0:
                break
            if not kept or (directions[kept] @ directions[b]).max() < _APART:
                kept.append(int(b))
        index = xp.asarray(np.array(kept, dtype=np.int64))
        return xp.take(U, index, axis=0) @ self.basis, values[kept]
