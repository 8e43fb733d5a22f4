"""The convex program of a two-layer ReLU network over given activation patterns.

Columns j are the copies of patterns that the program has: v_i for output weights
above zero, w_i for those below. A column is a row u_j of U (C, d); X U' and all that
belongs to rows of X is stored transposed, one contiguous row per column.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refopt import losses

_BLOCK = 1_000_000  # numbers of a temporary array

LOSSES: dict[str, Any] = {
    "squared": losses.Squared,
    "logistic": losses.Logistic,
    "hinge": losses.Hinge,
}


@dataclass(frozen=True)
class Program:
    """min over u_j in K_j of f(sum_j sigma_j D_j X u_j) + beta sum_j ||u_j||.

    Attributes
    ----------
    X : array, shape (n, d)
    y : array, shape (n,)
    beta : float
    loss : object of `refopt.losses`
    masks : bool array, shape (P, n)
        Patterns, one per row.
    of : int array, shape (C,)
        The pattern of each column.
    sign : array, shape (C,)
        sigma_j, 1 for columns v and -1 for columns w.
    constant : float
        Loss of samples of zeros, which no network changes and which are left out.
    """

    xp: Any
    kernels: Any
    X: Any
    y: Any
    beta: float
    loss: Any
    masks: Any
    of: Any
    sign: Any
    constant: float = 0.0
    S: Any = field(init=False, repr=False)
    signed: Any = field(init=False, repr=False)

    def __post_init__(self):
        xp = self.xp
        D = xp.astype(xp.take(self.masks, self.of, axis=0), xp.float64)
        object.__setattr__(self, "S", 2 * D - 1)
        object.__setattr__(self, "signed", self.sign[:, None] * D)

    @property
    def size(self):
        """Number of columns, samples, features."""
        return self.of.shape[0], self.X.shape[0], self.X.shape[1]

    def total(self, part: Any) -> Any:
        """A sum over samples from that over these samples, which are all there are."""
        return part

    def predict(self, XU: Any) -> Any:
        """z = F U, from X U' transposed."""
        return self.xp.sum(self.signed * XU, axis=0)

    def apply(self, U: Any) -> Any:
        """F U, without X U'."""
        return self.xp.sum((self.signed.T @ U) * self.X, axis=1)

    def pull(self, r: Any) -> Any:
        """F'r: sigma_j X'D_j r, a row per column."""
        return self.signed @ (r[:, None] * self.X)

    def pull_cone(self, A: Any) -> Any:
        """G'A: X'S_j a_j, a row per column."""
        return (self.S * A) @ self.X

    def value(self, U: Any, z: Any) -> float:
        """The objective."""
        norms = float(self.xp.sum(row_norms(self.xp, U)))
        return self.loss.value(z, self.y) + self.beta * norms + self.constant

    def dual_value(self, r: Any, slopes: Any) -> float:
        """A lower bound from r in the domain of f* and slopes F'r - G'A of some A >= 0."""
        largest = float(self.xp.max(row_norms(self.xp, slopes))) if slopes.size else 0.0
        most = self.beta / largest if largest > 0 else np.inf
        scale = min(self.loss.dual_scale(r, self.y), most)
        return self.constant - self.loss.conjugate(scale * r, self.y)

    def violation(self, XU: Any) -> float:
        """The largest violation of a cone's inequality."""
        return max(0.0, -float(self.xp.min(self.S * XU)))

    def split(self, U: Any) -> Any:
        """V and W as the rows of an array (2, P, d), zero where there is no column."""
        xp = self.xp
        both = xp.zeros((2, self.masks.shape[0], self.X.shape[1]))
        for side, sigma in enumerate((1.0, -1.0)):
            mine = xp.nonzero(self.sign == sigma)[0]
            both[side, self.of[mine], :] = U[mine, :]
        return both


def row_norms(xp: Any, U: Any) -> Any:
    """Euclidean norms of the rows."""
    return xp.sqrt(xp.sum(U * U, axis=-1))


def columns(xp: Any, sides: Any) -> tuple[Any, Any]:
    """Pattern and sign of each column: v where ``sides[0]``, then w where ``sides[1]``."""
    v, w = (xp.nonzero(side)[0] for side in sides)
    return xp.concat([v, w]), xp.concat([xp.ones(v.shape[0]), -xp.ones(w.shape[0])])


def weighted_grams(xp: Any, X: Any, weights: Any) -> Any:
    """X' diag(w) X for every row w of `weights`: one product with the pairs of columns of X."""
    low, high, place = triangle(xp, X.shape[1])
    grams = xp.zeros((weights.shape[0], low.shape[0]))
    for rows, pairs in column_pairs(xp, X, low, high):
        grams = grams + weights[:, rows] @ pairs
    return xp.reshape(xp.take(grams, xp.reshape(place, (-1,)), axis=1), (-1, *place.shape))


def triangle(xp: Any, d: int) -> tuple[Any, Any, Any]:
    """Pairs (a, b), a >= b, of d columns, and the place (d, d) of each pair among them."""
    low, high = np.tril_indices(d)
    place = np.zeros((d, d), int)
    place[low, high] = place[high, low] = np.arange(low.size)
    return xp.asarray(low), xp.asarray(high), xp.asarray(place)


def column_pairs(xp: Any, X: Any, low: Any, high: Any) -> Iterator[tuple[slice, Any]]:
    """The products of pairs of columns, a block of rows at a time."""
    block = max(1, _BLOCK // low.shape[0])
    for start in range(0, X.shape[0], block):
        rows = slice(start, start + block)
        yield rows, xp.take(X[rows, :], low, axis=1) * xp.take(X[rows, :], high, axis=1)
