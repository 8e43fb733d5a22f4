"""Saddle points and monotone sums: a worst-case quadratic program, rows of data.

Random numbers come from `numpy.random.RandomState`, whose stream NumPy keeps as it is.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["QuadraticSaddle", "RowSum", "ouyang_xu", "row_sum"]


@dataclass(frozen=True, eq=False)
class QuadraticSaddle:
    """The Lagrangian of a quadratic program with as many equations as unknowns.

    ``min 1/2 x'Hx - h'x`` subject to ``A x = b``, with the operator
    ``F(x, y) = (H x - h - A'y, A x - b)``.

    Parameters
    ----------
    name : str
        Generator and size.
    H, A : ndarray, shape (n, n)
        The matrices; H = 2 A'A.
    h, b : ndarray, shape (n,)
        The linear term and the right-hand side.
    start : ndarray, shape (2 n,)
        Where the paper's experiment begins.
    """

    name: str
    H: np.ndarray
    A: np.ndarray
    h: np.ndarray
    b: np.ndarray
    start: np.ndarray

    def fun(self, u):
        """F(u) in O(n), by the structure of A.

        Parameters
        ----------
        u : ndarray, shape (2 n,)
            The pair (x, y).

        Returns
        -------
        ndarray, shape (2 n,)
            A new array.
        """
        n = self.b.size
        x, y = u[:n], u[n:]
        Ax = _product(x)
        return np.concatenate([_transposed(2.0 * Ax - y) - self.h, Ax - self.b])

    def operator(self):
        """The operator with one component for each pair of an x and a y.

        Returns
        -------
        refopt.halpern.QuadraticMinimax
            Dense.
        """
        from refopt.halpern import QuadraticMinimax

        return QuadraticMinimax(self.H, -self.A, p=-self.h, q=-self.b)

    @property
    def solution(self):
        """The saddle point, by a dense solve."""
        n = self.b.size
        zero = np.zeros((n, n))
        M = np.block([[self.H, -self.A.T], [self.A, zero]])
        return np.linalg.solve(M, np.concatenate([self.h, self.b]))


def ouyang_xu(n=200):
    """Build the quadratic program on which methods of first order are slow.

    A has ones on the antidiagonal and -1 before them, divided by 4; H = 2 A'A;
    b = 1/4; h is 1/4 in its last entry. The saddle point of n = 200 has the norm
    1639, and the start, 1/n everywhere, the residual 3.5444.

    Parameters
    ----------
    n : int, default 200
        Number of unknowns and of equations.

    Returns
    -------
    QuadraticSaddle
        With dense matrices, and F in O(n).

    References
    ----------
    .. [1] Y. Ouyang, Y. Xu, "Lower complexity bounds of first-order methods for
       convex-concave bilinear saddle-point problems", Mathematical Programming 185, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.problems import ouyang_xu
    >>> problem = ouyang_xu(200)
    >>> print(f"{np.linalg.norm(problem.fun(problem.start)):.4f}")
    3.5444
    """
    A = _matrix(n)
    h = np.zeros(n)
    h[-1] = 0.25
    b = np.full(n, 0.25)
    return QuadraticSaddle(f"ouyang-xu-{n}", 2.0 * A.T @ A, A, h, b, np.full(2 * n, 1.0 / n))


def _matrix(n):
    A = np.zeros((n, n))
    rows = np.arange(n)
    A[rows, n - 1 - rows] = 0.25
    A[rows[:-1], n - 2 - rows[:-1]] = -0.25
    return A


def _product(x):
    """A x: x reversed less its next entry, over 4."""
    y = x[::-1].copy()
    y[:-1] -= x[-2::-1]
    return 0.25 * y


def _transposed(y):
    """A'y; A is symmetric."""
    return _product(y)


@dataclass(frozen=True, eq=False)
class RowSum:
    """Rows of data for a sum of monotone operators.

    ``F_i(x, y) = (a_i (s + t - u_i), b_i (t - s - v_i))`` with ``s = a_i'x`` and
    ``t = b_i'y``: on average cocoercive with L = 2 where all rows have norm 1.

    Parameters
    ----------
    name : str
        Sizes, decay and, after ``@``, the seed.
    a, b : ndarray, shape (n, d)
        Rows.
    u, v : ndarray, shape (n,)
        Right-hand sides.
    """

    name: str
    a: np.ndarray
    b: np.ndarray
    u: np.ndarray
    v: np.ndarray

    def operator(self):
        """The sum with compiled components.

        Returns
        -------
        refopt.halpern.RowLinear
            Of n components.
        """
        from refopt.halpern import RowLinear

        return RowLinear(self.a, self.b, self.u, self.v)

    def batch(self, z, index=None):
        """The mean of components in NumPy, as a user would write it.

        Parameters
        ----------
        z : ndarray, shape (2 d,)
            The pair (x, y).
        index : ndarray of int, optional
            Components; all by default.

        Returns
        -------
        ndarray, shape (2 d,)
            A new array.
        """
        a, b, u, v = self.a, self.b, self.u, self.v
        if index is not None:
            a, b, u, v = a[index], b[index], u[index], v[index]
        d = a.shape[1]
        s, t = a @ z[:d], b @ z[d:]
        return np.concatenate([(s + t - u) @ a, (t - s - v) @ b]) / s.size


def row_sum(n=2000, d=24, decay=2.0, seed=31):
    """Draw rows whose columns fall off as powers, and right-hand sides with noise.

    Parameters
    ----------
    n, d : int
        Number of rows, and of columns of each of the two blocks.
    decay : float, default 2
        Column j is scaled by ``(j + 1) ** -decay`` before rows are normalised: the
        larger, the worse conditioned.
    seed : int, default 31
        Seed of `numpy.random.RandomState`.

    Returns
    -------
    RowSum
        With rows of norm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.problems import row_sum
    >>> problem = row_sum(100, 5)
    >>> problem.name, bool(np.allclose(np.linalg.norm(problem.a, axis=1), 1))
    ('row-sum-100-5-2@31', True)
    """
    random = np.random.RandomState(seed)
    scales = (np.arange(d) + 1.0) ** -decay
    a, b = random.randn(n, d) * scales, random.randn(n, d) * scales
    p, q, e, f = random.randn(d), random.randn(d), random.randn(n), random.randn(n)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    u, v = a @ p + b @ q + 0.1 * e, b @ q - a @ p + 0.1 * f
    return RowSum(f"row-sum-{n}-{d}-{decay:g}@{seed}", a, b, u, v)
