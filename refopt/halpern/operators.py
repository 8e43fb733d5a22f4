"""Operators with compiled components: rows, columns, games, logistic losses."""

from functools import partial
from typing import Any

import numpy as np

from refopt import _validate
from refopt.halpern._components import FiniteSumOperator, power_norm
from refopt.proximal import Product, project_simplex
from refopt_backends import resolve

__all__ = [
    "AffineVI",
    "BilinearGame",
    "FiniteSumOperator",
    "LogisticSaddle",
    "QuadraticMinimax",
    "RowLinear",
]


class RowLinear(FiniteSumOperator):
    r"""Components with one row of data each, linear in the unknowns.

    .. math::
        F_i(x, y) = \bigl(a_i\,(c_{11} s + c_{12} t - p_i),\;
        b_i\,(c_{21} s + c_{22} t - q_i)\bigr) + \mu\,(x, y),
        \qquad s = a_i^T x, \; t = b_i^T y .

    Without `b`: :math:`F_i(x) = a_i (a_i^T x - p_i) + \mu x`, least squares.

    Parameters
    ----------
    a : array_like, shape (n, d1)
        Rows for the first block of unknowns.
    b : array_like, shape (n, d2), optional
        Rows for the second block.
    p, q : array_like, shape (n,), optional
        Right-hand sides; 0 by default.
    coupling : array_like, shape (2, 2), optional
        The matrix c with a positive semidefinite symmetric part;
        ``[[1, 1], [-1, 1]]`` by default.
    mu : float, optional
        Strong monotonicity added to every component, mu >= 0.

    Raises
    ------
    ValueError
        Wrong shapes, NaN, a negative mu.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    With sampling probabilities proportional to :math:`|a_i|^2 + |b_i|^2` at most:
    one component costs a read of its rows, O(d1 + d2), in compiled loops.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.halpern import RowLinear
    >>> F = RowLinear(np.array([[1.0, 0.0], [0.0, 2.0]]), p=[1.0, 2.0])
    >>> [float(v) for v in F.full(np.array([1.0, 1.0]))]
    [0.0, 0.0]
    """

    def __init__(self, a, b=None, p=None, q=None, *, coupling=None, mu=0.0):
        optional = {"b": b, "p": p, "q": q, "coupling": coupling}
        given = {k: None if v is None else _validate.as_array(v, k) for k, v in optional.items()}
        given["a"] = _validate.as_array(a, "a")
        self.xp = xp = resolve(*(given[k] for k in "abpq"), names=tuple("abpq"), small=True)[0]
        a = _matrix(xp, given["a"], "a")
        self.n, split = a.shape
        blocks = [a]
        if given["b"] is not None:
            b = _matrix(xp, given["b"], "b")
            if b.shape[0] != self.n:
                raise ValueError(f"b must have {self.n} rows, as a, got {b.shape[0]}")
            blocks.append(xp.astype(b, a.dtype, copy=False))
        self.rows = xp.concat(blocks, axis=1)
        if coupling is None:
            coupling = np.array([[1.0, 1.0], [-1.0, 1.0]])
        else:
            coupling = np.asarray(_numbers(np, given["coupling"], "coupling", 2), dtype=float)
            if coupling.shape != (2, 2):
                raise ValueError(f"coupling must have shape (2, 2), got {coupling.shape}")
        self.coupling = tuple(map(float, coupling.ravel()))
        self.p = _column(xp, given["p"], self.n, "p", a.dtype)
        self.q = _column(xp, given["q"], self.n, "q", a.dtype)
        self.mu = _validate.nonnegative(mu, "mu")
        self.split, self.shape = split, (self.rows.shape[1],)
        self.form = ("rows", self.rows, split, self.coupling)
        self.arrays = (self.rows,)
        first, second = self._squares()
        self.sizes = _host(xp, xp.maximum(first, second))
        total = float(self.sizes.sum())
        self.weights = self.sizes / total if total > 0 else None
        u, v = self.rows[:, :split], self.rows[:, split:]
        self.constant = -xp.concat([self.p @ u, self.q @ v]) / self.n

    def _squares(self):
        xp, s = self.xp, self.split
        squares = xp.astype(self.rows, xp.float64, copy=False) ** 2
        return xp.sum(squares[:, :s], axis=1), xp.sum(squares[:, s:], axis=1)

    def _combined(self, rows, z, weights):
        """rows' C rows z, weighted, over the number of rows."""
        xp, s = self.xp, self.split
        c11, c12, c21, c22 = self.coupling
        first, second = rows[:, :s] @ z[:s], rows[:, s:] @ z[s:]
        alpha, beta = c11 * first + c12 * second, c21 * first + c22 * second
        if weights is not None:
            alpha, beta = alpha * weights, beta * weights
        return xp.concat([alpha @ rows[:, :s], beta @ rows[:, s:]]) / rows.shape[0]

    def full(self, u):
        return self._combined(self.rows, u, None) + self.constant + self.mu * u

    def batch(self, u, index, weights=None):
        xp, s = self.xp, self.split
        rows = xp.take(self.rows, index, axis=0)
        p, q = xp.take(self.p, index), xp.take(self.q, index)
        p, q = (p, q) if weights is None else (p * weights, q * weights)
        constant = xp.concat([p @ rows[:, :s], q @ rows[:, s:]]) / index.shape[0]
        mean = 1.0 if weights is None else float(xp.mean(weights))
        return self._combined(rows, u, weights) - constant + (self.mu * mean) * u

    def batch_diff(self, u, v, index, weights=None):
        z = u - v
        mean = 1.0 if weights is None else float(self.xp.mean(weights))
        if self.kernels is None:
            rows = self.xp.take(self.rows, index, axis=0)
            return self._combined(rows, z, weights) + (self.mu * mean) * z
        return self.kernels.batch_rows_diff(self.form, z, index, weights) + (self.mu * mean) * z

    def lipschitz(self, sampling):
        factor = _cocoercivity(self.coupling) if self.split < self.shape[0] else self.coupling[0]
        if isinstance(sampling, str) and sampling == "full":
            s, (c11, c12, c21, c22), xp = self.split, self.coupling, self.xp
            turned = RowLinear.__new__(RowLinear)
            turned.__dict__.update(self.__dict__, coupling=(c11, c21, c12, c22))
            start = xp.asarray(np.random.default_rng(0).standard_normal(self.shape[0]))
            start = xp.astype(start, self.rows.dtype)
            if s == self.shape[0]:
                c12 = c21 = 0.0
            norm = power_norm(
                lambda v: self._combined(self.rows, v, None),
                lambda v: turned._combined(self.rows, v, None),
                start, xp,
            )  # fmt: skip
            return norm + self.mu
        q = self._probabilities(sampling)
        if q is None:
            return factor * float(self.sizes.max()) + self.mu
        used = self.sizes > 0
        return factor * float((self.sizes[used] / (self.n * q[used])).max()) + self.mu

    def _probabilities(self, sampling):
        if isinstance(sampling, str):
            return self.weights if sampling == "importance" else None
        return sampling


def _cocoercivity(coupling):
    """The least L with |C z|^2 <= L <C z, z> for all z in the plane, infinite if there is none."""
    C = np.array(coupling).reshape(2, 2)
    S = (C + C.T) / 2
    values, vectors = np.linalg.eigh(S)
    if values[0] <= 1e-14 * abs(values[1]):
        return float(np.linalg.norm(C, 2))
    root = vectors / np.sqrt(values)
    return float(np.linalg.norm(C @ root, 2) ** 2)


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
        self.M = _matrix(xp, M, "M")
        d = self.M.shape[0]
        if self.M.shape[1] != d:
            raise ValueError(f"M must be square, got shape {tuple(self.M.shape)}")
        self.q = _column(xp, q, d, "q", self.M.dtype)
        places = np.arange(d)[:, None] if blocks is None else np.asarray(blocks)
        if places.ndim != 2 or not np.array_equal(np.sort(places, axis=None), np.arange(d)):
            raise ValueError(
                f"blocks must hold each of the {d} coordinates once, in an array of shape (n, s)"
            )
        self.n, self.shape = places.shape[0], (d,)
        self.places = xp.asarray(places.astype(np.int64))
        self.columns = xp.asarray(self.M.T, copy=True)
        if hasattr(xp, "ascontiguousarray"):
            self.columns = xp.ascontiguousarray(self.columns)
        self.form = ("columns", self.columns, self.places)
        self.arrays = (self.M,)
        squares = _host(xp, xp.sum(xp.astype(self.M, xp.float64) ** 2, axis=0))
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
            start = xp.asarray(np.random.default_rng(0).standard_normal(self.shape[0]))
            start = xp.astype(start, self.M.dtype)
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
        R = _matrix(xp, given["R"], "R")
        m, n = R.shape
        P = _square(xp, given["P"], n, "P")
        Q = given["Q"]
        Q = xp.zeros((m, m), dtype=P.dtype) if Q is None else _square(xp, Q, m, "Q")
        top, bottom = xp.concat([P, R.T], axis=1), xp.concat([-R, Q], axis=1)
        linear = [
            _column(xp, given["p"], n, "p", P.dtype), _column(xp, given["q"], m, "q", P.dtype)
        ]  # fmt: skip
        pairs = np.stack([np.arange(n), n + np.arange(n)], axis=1) if m == n else None
        super().__init__(xp.concat([top, bottom], axis=0), xp.concat(linear), pairs)
        self.sizes_of = (n, m)


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
            _numbers(xp, by_rows.data, "A", 1)
            self.A, self.At, dtype = by_rows, by_columns.T, xp.float64
            squares = by_rows.multiply(by_rows)
            rows, columns = (np.asarray(squares.sum(axis=k)).ravel() for k in (1, 0))
            self.arrays = (by_rows.data,)
        else:
            A = _validate.as_array(A, "A")
            self.xp = xp = resolve(A, c, r, names=("A", "c", "r"), small=True)[0]
            self.A = _matrix(xp, A, "A")
            self.At, dtype = xp.asarray(self.A.T, copy=True), self.A.dtype
            if hasattr(xp, "ascontiguousarray"):
                self.At = xp.ascontiguousarray(self.At)
            squares = xp.astype(self.A, xp.float64) ** 2
            rows, columns = (_host(xp, xp.sum(squares, axis=k)) for k in (1, 0))
            self.arrays = (self.A,)
        m, n = self.A.shape
        self.split, self.n, self.shape = n, max(m, n), (m + n,)
        self.c = _column(xp, c, n, "c", dtype)
        self.r = _column(xp, r, m, "r", dtype)
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
        if sampling == "importance" and self.weights is not None:
            return [(m, self.weights[0]), (n, self.weights[1])]
        if m == n:
            return [(n, None if isinstance(sampling, str) else sampling)]
        return [(m, None), (n, None)]

    def lipschitz(self, sampling):
        (m, n), xp = self.A.shape, self.xp
        if isinstance(sampling, str) and sampling == "full":
            start = xp.asarray(np.random.default_rng(0).standard_normal(n))
            start = xp.astype(start, self.c.dtype)
            return power_norm(lambda v: self.A @ v, lambda v: self.At @ v, start, xp)
        if isinstance(sampling, str) and sampling == "importance":
            return float(self.row_sizes.sum()) ** 0.5
        if isinstance(sampling, str):
            return max(m * float(self.row_sizes.max()), n * float(self.column_sizes.max())) ** 0.5
        sizes = np.maximum(self.row_sizes, self.column_sizes)
        return float((sizes[sizes > 0] / np.asarray(sampling)[sizes > 0]).max()) ** 0.5

    def gap(self, u, g):
        xp, n = self.xp, self.split
        worst = float(xp.max(-g[n:])) + float(xp.sum(self.c * u[:n]))
        return worst - float(xp.min(g[:n])) - float(xp.sum(self.r * u[n:]))


class LogisticSaddle(FiniteSumOperator):
    r"""Logistic regression against the worst weights of its rows.

    .. math::
        \min_w \max_{p \in \Delta} \; \sum_i p_i \log(1 + e^{-y_i x_i^T w})
        + \tfrac{\lambda}{2} \|w\|^2 - \tfrac{\kappa n}{2} \|p - 1/n\|^2

    Rows that are hard get more weight, the more so the smaller :math:`\kappa`
    is; large :math:`\kappa` is ordinary logistic regression. The unknowns are
    :math:`u = (w, \sqrt n\, p)`, which balances their scales; solve with the
    attributes `prox` and `start`, and take u apart with `split`. Component i
    holds row i and weight i.

    Parameters
    ----------
    X : array_like, shape (n, d)
        The rows.
    labels : array_like, shape (n,)
        -1 and +1.
    lam : float, optional
        The penalty of w, > 0.
    kappa : float, optional
        The penalty of uneven weights, > 0.

    Attributes
    ----------
    prox : Product
        The projection that belongs to p in the simplex.
    start : array, shape (d + n,)
        w = 0 and equal weights.

    Raises
    ------
    ValueError
        Wrong shapes, NaN, other labels, parameters that are not positive.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    Lipschitz on the set of feasible points only: solvers estimate their constant.

    References
    ----------
    .. [1] H. Namkoong, J. Duchi, Variance-based regularization with convex
       objectives, NeurIPS 2017 (for the problem).

    Examples
    --------
    >>> import refopt
    >>> from refopt.halpern import LogisticSaddle
    >>> F = LogisticSaddle([[1.0], [2.0], [-1.0]], [1.0, 1.0, 1.0], lam=0.1)
    >>> w, p = F.split(refopt.solve_vi(F, F.start, prox=F.prox, tol=1e-8).x)
    >>> [round(float(t), 3) for t in p]
    [0.307, 0.262, 0.432]
    """

    def __init__(self, X, labels, lam=1e-2, kappa=1.0):
        X, labels = _validate.as_array(X, "X"), _validate.as_array(labels, "labels")
        self.xp = xp = resolve(X, labels, names=("X", "labels"), small=True)[0]
        X = _matrix(xp, X, "X")
        self.n, self.d = X.shape
        labels = _column(xp, labels, self.n, "labels", X.dtype)
        if not bool(xp.all(xp.abs(labels) == 1)):
            raise ValueError("labels must be -1 and +1, got others")
        self.lam, self.kappa = _validate.positive(lam, "lam"), _validate.positive(kappa, "kappa")
        self.Z = X * labels[:, None]
        self.shape, self.arrays = (self.d + self.n,), (self.Z,)
        squares = _host(xp, xp.sum(xp.astype(self.Z, xp.float64) ** 2, axis=1))
        self.weights = (1.0 + squares) / (1.0 + squares).sum()
        self.root = self.n**0.5
        simplex = partial(project_simplex, radius=self.root)
        self.prox = Product([(slice(self.d, self.d + self.n), simplex)])
        equal = xp.full(self.n, 1.0 / self.root, dtype=X.dtype)
        self.start = xp.concat([xp.zeros(self.d, dtype=X.dtype), equal])

    def split(self, u):
        """Return the weights of the columns and those of the rows.

        Parameters
        ----------
        u : array, shape (d + n,)
            A point.

        Returns
        -------
        w : array, shape (d,)
            Coefficients.
        p : array, shape (n,)
            Weights of the rows, of sum 1 at a feasible point.
        """
        return u[: self.d], u[self.d :] / self.root

    def full(self, u):
        xp, w, q = self.xp, u[: self.d], u[self.d :]
        loss, slope = _logistic(xp, self.Z @ w)
        first = (q * slope) @ self.Z / self.root + self.lam * w
        return xp.concat([first, self.kappa * (q - 1.0 / self.root) - loss / self.root])

    def batch(self, u, index, weights=None):
        xp, n, w = self.xp, self.n, u[: self.d]
        q = xp.take(u[self.d :], index)
        Z = xp.take(self.Z, index, axis=0)
        loss, slope = _logistic(xp, Z @ w)
        scale = xp.ones_like(q) if weights is None else weights
        scale = scale / index.shape[0]
        first = (self.root * scale * q * slope) @ Z + float(xp.sum(scale)) * self.lam * w
        second = xp.zeros_like(u[self.d :])
        values = n * scale * (self.kappa * (q - 1.0 / self.root) - loss / self.root)
        for k in range(index.shape[0]):  # an index may occur twice
            second[int(index[k])] += values[k]
        return xp.concat([first, second])


def _logistic(xp: Any, z: Any) -> tuple[Any, Any]:
    """log(1 + exp(-z)) and its derivative, without overflow."""
    small = xp.exp(-xp.abs(z))
    loss = xp.log1p(small) + xp.maximum(-z, xp.zeros_like(z))
    return loss, -xp.where(z > 0, small, xp.ones_like(z)) / (1.0 + small)


def _numbers(xp: Any, value: Any, name: str, ndim: int) -> Any:
    return _validate.all_finite(xp, _validate.real_array(xp, value, name, ndim), name)


def _matrix(xp: Any, value: Any, name: str) -> Any:
    value = _numbers(xp, value, name, 2)
    if value.size == 0:
        raise ValueError(f"{name} must have rows and columns, got shape {tuple(value.shape)}")
    return value


def _square(xp: Any, value: Any, size: int, name: str) -> Any:
    value = _matrix(xp, value, name)
    if tuple(value.shape) != (size, size):
        raise ValueError(f"{name} must have shape ({size}, {size}), got {tuple(value.shape)}")
    return value


def _column(xp: Any, value: Any, size: int, name: str, dtype: Any) -> Any:
    if value is None:
        return xp.zeros(size, dtype=dtype)
    value = _numbers(xp, value, name, 1)
    if value.shape[0] != size:
        raise ValueError(f"{name} must have {size} entries, got {value.shape[0]}")
    return xp.astype(value, dtype, copy=True)


def _host(xp: Any, value: Any) -> np.ndarray:
    """A NumPy copy."""
    if hasattr(value, "get"):
        return np.asarray(value.get())
    return np.array([float(v) for v in value]) if xp.__name__ != "numpy" else np.asarray(value)
