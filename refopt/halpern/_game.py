"""A zero-sum matrix game as its solvers see it."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refopt._namespace import HoldsNamespace
from refopt_backends import host_numbers


@dataclass
class Effort:
    """What a run spends: products with B or B', Cholesky factorisations."""

    products: int = 0
    factorisations: int = 0


class Game(HoldsNamespace):
    """min over x, max over y of y'Ax, where A = B + 1c' + r1'.

    On simplices a term 1c' or r1' only adds to the payoffs, never to the
    curvature: every step length depends on B alone.

    Attributes
    ----------
    xp : module
    kernels : KernelTable
    matrix : array or sparse matrix, shape (m, n)
        B, with means of 0 over rows and columns, if A is dense; else A.
    c : array, shape (n,)
    r : array, shape (m,)
    size : (int, int)
        m and n.
    entries : int
        What one product costs.
    scale : float
        The largest absolute entry of A.
    centred : bool
        Whether step lengths are those of B.
    effort : Effort
        What was spent so far; shared with the swapped game.
    """

    def __init__(self, xp, kernels, matrix, c, r, scale, centred, effort=None):
        self.xp, self.kernels, self.matrix = xp, kernels, matrix
        self.c, self.r, self.scale, self.centred = c, r, scale, centred
        m, n = self.size = tuple(int(k) for k in matrix.shape)
        self.effort = Effort() if effort is None else effort
        self.sparse = hasattr(matrix, "tocsr")
        self.entries = matrix.nnz if self.sparse else m * n
        self.transposed = matrix.T.tocsr() if self.sparse else matrix.T

    def times(self, v: Any) -> Any:
        """B v, (m,)."""
        self.effort.products += 1
        return self.matrix @ v

    def transposed_times(self, u: Any) -> Any:
        """B'u, (n,)."""
        self.effort.products += 1
        return self.transposed @ u

    def row_payoffs(self, x: Any) -> Any:
        """A x without its part c'x, which is the same for all rows: B x + r, (m,)."""
        return self.times(x) + self.r

    def column_payoffs(self, y: Any) -> Any:
        """A'y without its part r'y: B'y + c, (n,)."""
        return self.transposed_times(y) + self.c

    def bounds(self, x: Any, y: Any, rows: Any = None, columns: Any = None) -> tuple[float, float]:
        """max A x and min A'y, bounds of the value; from the payoffs of x and y if at hand."""
        rows = self.row_payoffs(x) if rows is None else rows
        columns = self.column_payoffs(y) if columns is None else columns
        xp = self.xp
        upper, lower = host_numbers(xp.max(rows) + self.c @ x, xp.min(columns) + self.r @ y)
        return upper, lower

    def uniform(self) -> tuple[Any, Any]:
        """Both strategies uniform."""
        m, n = self.size
        return self.xp.full(n, 1.0 / n), self.xp.full(m, 1.0 / m)

    def weighted_gram(self, d: Any) -> Any:
        """B diag(d) B', (m, m), for d >= 0."""
        root = self.xp.sqrt(d)
        if self.sparse:
            half = self.matrix.multiply(root[None, :]).tocsr()
            return (half @ half.T).toarray()
        half = self.matrix * root[None, :]
        return half @ half.T

    def block(self, rows: Any, columns: Any) -> Any:
        """A restricted to some rows and columns, dense."""
        part = self.some_rows(rows)
        part = part[:, columns] if self.sparse else self.xp.take(part, columns, axis=1)
        part = part.toarray() if self.sparse else part
        return part + self.c[columns][None, :] + self.r[rows][:, None]

    def some_rows(self, rows: Any) -> Any:
        """Rows of B."""
        return self.matrix[rows] if self.sparse else self.xp.take(self.matrix, rows, axis=0)

    def some_columns(self, columns: Any) -> Any:
        """Columns of B."""
        if self.sparse:
            return self.transposed[columns].T
        return self.xp.take(self.matrix, columns, axis=1)

    def spread(self, weights: Any, places: Any, axis: int) -> Any:
        """A strategy of all rows (axis 0) or columns (1) that is zero elsewhere."""
        full = self.xp.zeros(self.size[axis])
        full[places] = weights
        return full

    def swapped(self) -> "Game":
        """The game of -A', where the players have changed places."""
        matrix = -self.transposed
        terms = -self.r, -self.c
        return Game(self.xp, self.kernels, matrix, *terms, self.scale, self.centred, self.effort)

    def norm(self, iterations: int = 60) -> float:
        """The spectral norm, of B if centred, by power iterations and a margin of 1 %."""
        xp = self.xp
        off = _without_mean if self.centred else lambda v: v
        v = off(xp.asarray(np.random.default_rng(0).standard_normal(self.size[1])))
        longest = length = _length(v)
        for _ in range(iterations):
            if length == 0.0:
                return 0.0
            u = off(self._raw(v / length, by_rows=True))
            longest = _length(u)
            if longest == 0.0:
                return 0.0
            v = off(self._raw(u / longest, by_rows=False))
            length = _length(v)
        return 1.01 * max(longest, length)

    def _raw(self, v, *, by_rows):
        """A v or A'v for a v that is no strategy."""
        if by_rows:
            return self.times(v) + float(self.c @ v) + self.r * float(self.xp.sum(v))
        return self.transposed_times(v) + float(self.r @ v) + self.c * float(self.xp.sum(v))


def middle(most: float, least: float) -> float:
    """Of two bounds of the value: an estimate of it."""
    return 0.5 * (most + least)


def _without_mean(v):
    return v - v.sum() / v.shape[0]


def _length(v):
    return math.sqrt(float(v @ v))


def take_in(xp: Any, kernels: Any, A: Any, centre: bool) -> Game:
    """The game of a payoff matrix in double precision.

    Parameters
    ----------
    xp : module
    kernels : KernelTable
    A : array or sparse matrix of compressed rows, shape (m, n)
    centre : bool
        Whether to take row and column terms off; a sparse A keeps them, and
        only its step lengths are those of the centred matrix.

    Returns
    -------
    Game
    """
    m, n = A.shape
    c, r = xp.zeros(n), xp.zeros(m)
    if hasattr(A, "tocsr"):
        scale = float(abs(A.data).max()) if A.nnz else 0.0
        return Game(xp, kernels, A, c, r, scale, centre)
    scale = max(float(xp.max(A)), -float(xp.min(A)))
    if centre:
        c = xp.sum(A, axis=0) / m
        B = A - c[None, :]
        r = xp.sum(B, axis=1) / n
        B -= r[:, None]
        if max(float(xp.max(B)), -float(xp.min(B))) <= 1e-13 * scale:  # only rounding is left
            B = xp.zeros_like(B)
        A = B
    return Game(xp, kernels, A, c, r, scale, centre)
