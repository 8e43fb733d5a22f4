"""Affine operators whose components are columns."""

import numpy as np

from refopt import _validate
from refopt.halpern._components import FiniteSumOperator, power_norm, random_start
from refopt.halpern._operator_data import column, matrix, on_host, square
from refopt_backends import resolve


class AffineVI(FiniteSumOperator):
    r"""An affine operator whose components are blocks of columns.

    .. math:: F(u) = M u + q, \qquad F_i(u) = n \, M_{:,B_i} u_{B_i} + q

    Parameters
    ----------
    M : array_like, shape (d, d)
        With a positive semidefinite symmetric part.
    q : array_like, shape (d,), optional
        The constant part; 0 by default.
    blocks : array_like of int, shape (n, s), optional
        The coordinates of each block, each coordinate once; by default every
        coordinate is a block.

    Raises
    ------
    ValueError
        Wrong shapes, NaN, blocks that are no partition.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    Needs 2 d^2 numbers of memory: M by rows and by columns.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.halpern import AffineVI
    >>> F = AffineVI([[1.0, 2.0], [-2.0, 1.0]], [0.0, 1.0])
    >>> [float(v) for v in F.full(np.array([1.0, 1.0]))]
    [3.0, 0.0]
    """

    def __init__(self, M, q=None, blocks=None):
        M = _validate.as_array(M, "M")
        q = None if q is None else _validate.as_array(q, "q")
        self.xp = xp = resolve(M, q, names=("M", "q"), small=True)[0]
        self.M = matrix(xp, M, "M")
        d = self.M.shape[0]
        if self.M.shape[1] != d:
            raise ValueError(f"M must be square, got shape {tuple(self.M.shape)}")
        self.q = column(xp, q, d, "q", self.M.dtype)
        places = np.arange(d)[:, None] if blocks is None else np.asarray(blocks)
        if places.ndim != 2 or not np.array_equal(np.sort(places, axis=None), np.arange(d)):
            raise ValueError(
                f"blocks must hold each of the {d} coordinates once, in an array of shape (n, s), "
                f"got {places.tolist()}"
            )
        self.n, self.shape = places.shape[0], (d,)
        self.places = xp.asarray(places.astype(np.int64))
        self.columns = xp.asarray(self.M.T, copy=True)
        if hasattr(xp, "ascontiguousarray"):
            self.columns = xp.ascontiguousarray(self.columns)
        self.form = ("columns", self.columns, self.places)
        self.arrays = (self.M,)
        squares = on_host(xp, xp.sum(xp.astype(self.M, xp.float64) ** 2, axis=0))
        self.sizes = squares[places].sum(axis=1)
        total = float(self.sizes.sum())
        self.weights = self.sizes / total if total > 0 else None

    def _combined(self, z, index, weights):
        xp = self.xp
        places = xp.take(self.places, index, axis=0)
        parts = xp.reshape(xp.take(z, xp.reshape(places, (-1,))), places.shape)
        if weights is not None:
            parts = parts * weights[:, None]
        columns = xp.take(self.columns, xp.reshape(places, (-1,)), axis=0)
        return xp.reshape(parts, (-1,)) @ columns * (self.n / index.shape[0])

    def full(self, u):
        return self.M @ u + self.q

    def batch(self, u, index, weights=None):
        mean = 1.0 if weights is None else float(self.xp.mean(weights))
        return self._combined(u, index, weights) + mean * self.q

    def batch_diff(self, u, v, index, weights=None):
        if self.kernels is None:
            return self._combined(u - v, index, weights)
        return self.kernels.batch_rows_diff(self.form, u - v, index, weights)

    def lipschitz(self, sampling):
        if isinstance(sampling, str) and sampling == "full":
            xp = self.xp
            start = random_start(xp, self.shape[0], self.M.dtype)
            return power_norm(lambda v: self.M @ v, lambda v: self.columns @ v, start, xp)
        if isinstance(sampling, str) and sampling == "importance":
            return float(self.sizes.sum()) ** 0.5
        if isinstance(sampling, str):
            return (self.n * float(self.sizes.max())) ** 0.5
        used = self.sizes > 0
        return float((self.sizes[used] / np.asarray(sampling)[used]).max()) ** 0.5


class QuadraticMinimax(AffineVI):
    r"""The saddle operator of a convex-concave quadratic.

    .. math::
        \min_x \max_y \; \tfrac12 x^T P x + y^T R x - \tfrac12 y^T Q y + p^T x - q^T y,
        \qquad F(x, y) = (P x + R^T y + p,\; -R x + Q y + q) .

    The Lagrangian of :math:`\min \frac12 x^T H x - h^T x, \; A x = b` is
    ``QuadraticMinimax(H, -A, p=-h, q=-b)``. Component i holds the columns of
    :math:`x_i` and :math:`y_i` where there are as many of either, else one column.

    Parameters
    ----------
    P : array_like, shape (n, n)
        Positive semidefinite.
    R : array_like, shape (m, n)
        The coupling.
    Q : array_like, shape (m, m), optional
        Positive semidefinite; 0 by default.
    p : array_like, shape (n,), optional
        Linear terms; 0 by default.
    q : array_like, shape (m,), optional
        The other linear terms; 0 by default.

    Raises
    ------
    ValueError
        Wrong shapes, NaN.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.halpern import QuadraticMinimax
    >>> F = QuadraticMinimax([[2.0]], [[-1.0]], p=[-1.0], q=[-0.5])
    >>> [float(v) for v in F.full(np.array([0.5, 0.0]))]
    [0.0, 0.0]
    """

    def __init__(self, P, R, Q=None, p=None, q=None):
        optional = {"Q": Q, "p": p, "q": q}
        given = {k: None if v is None else _validate.as_array(v, k) for k, v in optional.items()}
        given |= {"P": _validate.as_array(P, "P"), "R": _validate.as_array(R, "R")}
        xp = resolve(*given.values(), names=tuple(given), small=True)[0]
        R = matrix(xp, given["R"], "R")
        m, n = R.shape
        P = square(xp, given["P"], n, "P")
        Q = given["Q"]
        Q = xp.zeros((m, m), dtype=P.dtype) if Q is None else square(xp, Q, m, "Q")
        top, bottom = xp.concat([P, R.T], axis=1), xp.concat([-R, Q], axis=1)
        linear = [
            column(xp, given["p"], n, "p", P.dtype), column(xp, given["q"], m, "q", P.dtype)
        ]  # fmt: skip
        pairs = np.stack([np.arange(n), n + np.arange(n)], axis=1) if m == n else None
        super().__init__(xp.concat([top, bottom], axis=0), xp.concat(linear), pairs)
        self.sizes_of = (n, m)
