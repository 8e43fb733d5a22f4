"""Logistic regression with linear equations and a norm constraint."""

import numpy as np
import scipy.sparse as sp

from refopt import _validate
from refopt_backends import resolve

from .equality import EqualityProblem

__all__ = [
    "constrained_logistic",
    "constrained_logistic_dense",
    "constrained_logistic_sparse",
]


def constrained_logistic(X, y, A, b, name="constrained-logistic"):
    """Build a logistic regression whose coefficients lie on a sphere and in an affine space.

    Minimise ``mean_i log(1 + exp(-y_i a_i'x))`` subject to ``A x = b`` and ``||x||^2 = 1``, from
    x = 1. The generators `constrained_logistic_dense` and `constrained_logistic_sparse` draw
    such problems.

    Parameters
    ----------
    X : ndarray or sparse array, shape (N, d)
        Rows a_i.
    y : ndarray, shape (N,)
        Labels -1 and +1.
    A : ndarray, shape (r, d)
        Equations, fewer than d.
    b : ndarray, shape (r,)
        Right-hand sides.
    name : str, optional
        The problem's name.

    Returns
    -------
    EqualityProblem
        n = d, m = r + 1. ``hessp_fun(x, p)`` multiplies by the Hessian of f in O(N d).

    Raises
    ------
    ValueError
        If a shape does not fit, an array is not finite, labels are not -1 and +1, or no point
        of the sphere solves the equations.
    TypeError
        If an array is complex.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.problems import breast_cancer, constrained_logistic
    >>> data = breast_cancer()
    >>> A, b = np.eye(2, 30), np.array([0.1, 0.2])
    >>> problem = constrained_logistic(data.X, data.y, A, b)
    >>> problem.n, problem.m
    (30, 3)
    """
    X = X if sp.issparse(X) else _validate.as_array(X, "X")
    if X.ndim != 2 or X.size == 0:
        raise ValueError(f"X must be 2-dimensional and not empty, got shape {X.shape}")
    entries = X.data if sp.issparse(X) else X
    _validate.all_finite(np, _validate.real_array(np, entries, "X", entries.ndim), "X")
    y, A, b = (
        _validate.all_finite(
            np, _validate.real_array(np, _validate.as_array(array, name), name, ndim), name
        ).astype(float)
        for array, name, ndim in ((y, "y", 1), (A, "A", 2), (b, "b", 1))
    )
    for array, key, shape in (
        (y, "y", X.shape[:1]), (A, "A", (b.size, X.shape[1])), (b, "b", A.shape[:1])
    ):  # fmt: skip
        if array.shape != shape:
            raise ValueError(f"{key} must have shape {shape}, got {array.shape}")
    if not np.isin(y, (-1.0, 1.0)).all():
        raise ValueError(f"y must hold -1 and +1, held {np.unique(y)[:5]}")
    shortest = np.linalg.lstsq(A, b, rcond=None)[0]
    if not shortest @ shortest < 1.0:
        raise ValueError(
            "no x of norm 1 solves A x = b: "
            f"the shortest solution has the norm {np.linalg.norm(shortest):.3g}"
        )
    return _ConstrainedLogistic(name, X, y, A, b)


def constrained_logistic_dense(N, d, decay, seed):
    """Draw a constrained logistic regression with dense rows in rotated, unequal directions.

    Standard deviations fall geometrically from 1 to ``decay`` along d orthogonal directions.
    Ten equations.

    Parameters
    ----------
    N, d : int
        Rows and coefficients.
    decay : float
        The smallest standard deviation.
    seed : int
        Seed of the draws.

    Returns
    -------
    EqualityProblem
        With ``f_opt`` where it is known.

    Raises
    ------
    ValueError
        If the draw is infeasible.

    Examples
    --------
    >>> from refopt.problems import constrained_logistic_dense
    >>> constrained_logistic_dense(500, 40, 0.02, 11).f_opt
    0.6366211245
    """
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = (rng.standard_normal((N, d)) * np.geomspace(1.0, decay, d)) @ Q.T
    return _drawn(f"dense-{N}-{d}-{decay:g}@{seed}", X, rng)


def constrained_logistic_sparse(N, d, k, seed):
    """Draw a constrained logistic regression with k ones in a row, at most.

    Early columns are drawn more often than late ones. Ten equations.

    Parameters
    ----------
    N, d : int
        Rows and coefficients.
    k : int
        Draws of a column for each row; repeated ones count once.
    seed : int
        Seed of the draws.

    Returns
    -------
    EqualityProblem
        With ``f_opt`` where it is known.

    Raises
    ------
    ValueError
        If the draw is infeasible.

    Examples
    --------
    >>> from refopt.problems import constrained_logistic_sparse
    >>> constrained_logistic_sparse(10000, 80, 10, 12).f_opt
    0.6211137382
    """
    rng = np.random.default_rng(seed)
    columns = np.floor(rng.random(N * k) ** 2 * d).astype(np.int64)
    X = sp.csr_array((np.ones(N * k), (np.repeat(np.arange(N), k), columns)), shape=(N, d))
    X.sum_duplicates()
    X.data[:] = 1.0
    return _drawn(f"sparse-{N}-{d}-{k}@{seed}", X, rng)


def _drawn(name, X, rng):
    N, d = X.shape
    w = rng.standard_normal(d)
    w /= np.linalg.norm(w)
    y = np.where(rng.random(N) < 1.0 / (1.0 + np.exp(-5.0 * (X @ w))), 1.0, -1.0)
    A = rng.standard_normal((10, d))
    problem = constrained_logistic(X, y, A, rng.standard_normal(10), name)
    problem.f_opt = _OPTIMA.get(name)
    return problem


class _ConstrainedLogistic(EqualityProblem):
    def __init__(self, name, X, y, A, b):
        super().__init__(name, np.ones(X.shape[1]), A.shape[0] + 1)
        self.X, self.y, self.A, self.b = X, y, A, b
        self._rows = None
        if hasattr(X, "tocsr"):
            X = X.tocsr()
            self._rows = X.data.astype(float), X.indices.astype("i4"), X.indptr.astype("i8")

    def _margins(self, x):
        return self.y * (self.X @ x)

    def fun(self, x):
        return float(np.logaddexp(0.0, -self._margins(x)).mean())

    def grad(self, x):
        return self.X.T @ (-self.y * _sigmoid(-self._margins(x))) / self.y.size

    def _curvature(self, x):
        share = _sigmoid(self._margins(x))
        return share * (1.0 - share) / self.y.size

    def hess_fun(self, x):
        D = self._curvature(x)
        if self._rows is not None:
            return resolve(D)[1].sparse_gram(*self._rows, D, self.n)
        return self.X.T @ (D[:, None] * self.X)

    def hessp_fun(self, x, p):
        """The product of the Hessian of f and p."""
        return self.X.T @ (self._curvature(x) * (self.X @ p))

    def cons(self, x):
        return np.append(self.A @ x - self.b, x @ x - 1.0)

    def jac(self, x):
        return np.vstack([self.A, 2.0 * x])

    def hess_cons(self, x, v):
        return np.diag(np.full(self.n, 2.0 * v[-1]))


def _sigmoid(t):
    return np.exp(-np.logaddexp(0.0, -t))


_OPTIMA = {
    "dense-500-40-0.02@11": 0.6366211245,
    "sparse-10000-80-10@12": 0.6211137382,
    "sparse-30000-200-12@13": 0.6370081414,
    "dense-12000-500-0.02@14": 0.5506333211,
}
