"""The operator of a matrix game."""

import math

import numpy as np

from refopt import _validate
from refopt.halpern._components import FiniteSumOperator, power_norm, random_start
from refopt.halpern._operator_data import column, matrix, numbers, on_host
from refopt_backends import resolve


class BilinearGame(FiniteSumOperator):
    r"""The operator of a matrix game with linear terms.

    .. math::
        \min_x \max_y \; y^T A x + c^T x + r^T y, \qquad
        F(x, y) = (A^T y + c,\; -A x - r)

    Component (i, j) holds row i and column j of A; uniform sampling of square
    games takes i = j.

    Parameters
    ----------
    A : array_like or sparse matrix, shape (m, n)
        Payments of x (columns) to y (rows).
    c : array_like, shape (n,), optional
        Linear terms; 0 by default.
    r : array_like, shape (m,), optional
        The other linear terms; 0 by default.

    Raises
    ------
    ValueError
        Wrong shapes, NaN.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    ``n_components`` is max(m, n). A dense matrix is held by rows and by columns.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.halpern import BilinearGame
    >>> F = BilinearGame([[1.0, -1.0], [-1.0, 1.0]])
    >>> F.n, [float(v) for v in F.full(np.full(4, 0.5))]
    (2, [0.0, 0.0, -0.0, -0.0])
    """

    def __init__(self, A, c=None, r=None):
        self.sparse = hasattr(A, "tocsr")
        c = None if c is None else _validate.as_array(c, "c")
        r = None if r is None else _validate.as_array(r, "r")
        if self.sparse:
            by_rows, by_columns = A.tocsr(), A.tocsc()
            self.xp = xp = resolve(by_rows.data, c, r, names=("A", "c", "r"), small=True)[0]
            numbers(xp, by_rows.data, "A", 1)
            self.A, self.At, dtype = by_rows, by_columns.T, xp.float64
            squares = by_rows.multiply(by_rows)
            rows, columns = (np.asarray(squares.sum(axis=k)).ravel() for k in (1, 0))
            self.arrays = (by_rows.data,)
        else:
            A = _validate.as_array(A, "A")
            self.xp = xp = resolve(A, c, r, names=("A", "c", "r"), small=True)[0]
            self.A = matrix(xp, A, "A")
            self.At, dtype = xp.asarray(self.A.T, copy=True), self.A.dtype
            if hasattr(xp, "ascontiguousarray"):
                self.At = xp.ascontiguousarray(self.At)
            squares = xp.astype(self.A, xp.float64) ** 2
            rows, columns = (on_host(xp, xp.sum(squares, axis=k)) for k in (1, 0))
            self.arrays = (self.A,)
        m, n = self.A.shape
        self.split, self.n, self.shape = n, max(m, n), (m + n,)
        self.c = column(xp, c, n, "c", dtype)
        self.r = column(xp, r, m, "r", dtype)
        self.row_sizes, self.column_sizes = rows, columns
        total = float(rows.sum())
        self.weights = (rows / total, columns / total) if total > 0 else None

    def full(self, u):
        x, y = u[: self.split], u[self.split :]
        return self.xp.concat([self.At @ y + self.c, -(self.A @ x) - self.r])

    def _combined(self, z, index, weights):
        xp, (m, n) = self.xp, self.A.shape
        i, j = (index, index) if index.ndim == 1 else (index[:, 0], index[:, 1])
        x, y = xp.take(z[:n], j), xp.take(z[n:], i)
        if weights is not None:
            v, w = (weights, weights) if weights.ndim == 1 else (weights[:, 0], weights[:, 1])
            x, y = w * x, v * y
        if self.sparse:
            return xp.concat(
                [self.A[i].T @ y * (m / i.shape[0]), -(self.At[j].T @ x) * (n / j.shape[0])]
            )
        if self.kernels is not None:
            first = self.kernels.combine_rows(self.A, i, y)
            second = self.kernels.combine_rows(self.At, j, x)
        else:
            first, second = y @ xp.take(self.A, i, axis=0), x @ xp.take(self.At, j, axis=0)
        return xp.concat([first * (m / i.shape[0]), second * (-n / j.shape[0])])

    def batch(self, u, index, weights=None):
        xp = self.xp
        v, w = 1.0, 1.0
        if weights is not None:
            v, w = (weights, weights) if weights.ndim == 1 else (weights[:, 0], weights[:, 1])
            v, w = float(xp.mean(v)), float(xp.mean(w))
        return self._combined(u, index, weights) + xp.concat([w * self.c, -v * self.r])

    def batch_diff(self, u, v, index, weights=None):
        return self._combined(u - v, index, weights)

    def laws(self, sampling):
        m, n = self.A.shape
        if not isinstance(sampling, str):  # of square games
            return [(n, sampling)]
        if sampling == "importance" and self.weights is not None:
            return [(m, self.weights[0]), (n, self.weights[1])]
        return [(n, None)] if m == n else [(m, None), (n, None)]

    def lipschitz(self, sampling):
        (m, n), xp = self.A.shape, self.xp
        if isinstance(sampling, str) and sampling == "full":
            start = random_start(xp, n, self.c.dtype)
            return power_norm(lambda v: self.A @ v, lambda v: self.At @ v, start, xp)
        if isinstance(sampling, str) and sampling == "importance":
            return float(self.row_sizes.sum()) ** 0.5
        if isinstance(sampling, str):
            return max(m * float(self.row_sizes.max()), n * float(self.column_sizes.max())) ** 0.5
        sizes = np.maximum(self.row_sizes, self.column_sizes)
        return float((sizes[sizes > 0] / np.asarray(sampling)[sizes > 0]).max()) ** 0.5

    def gap(self, u, g):
        xp, n = self.xp, self.split
        rounding = 1e-5 if u.dtype == xp.float32 else 1e-9
        for p in (u[:n], u[n:]):
            if not (abs(float(xp.sum(p)) - 1.0) <= rounding and float(xp.min(p)) >= -rounding):
                return math.nan
        worst = float(xp.max(-g[n:])) + float(xp.sum(self.c * u[:n]))
        return worst - float(xp.min(g[:n])) - float(xp.sum(self.r * u[n:]))
