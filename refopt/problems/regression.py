"""Regression and classification instances: many sparse columns, correlated columns, tiny columns.

Every generator is a function of its sizes and its seed only. NumPy does not
promise the same draws in every version: compare ``X.T @ y`` before an optimum.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "RegressionProblem",
    "correlated",
    "dataset_a",
    "dataset_b",
    "dataset_c",
    "lars_adversarial",
]


@dataclass(frozen=True, eq=False)
class RegressionProblem:
    """A data matrix and what is to be predicted from its rows.

    Parameters
    ----------
    name : str
        Generator, sizes and, after ``@``, the seed.
    X : ndarray or scipy.sparse.csc_array, shape (n, p)
        Data matrix.
    y : ndarray, shape (n,)
        Real numbers, signs -1 and +1, or class numbers 0, 1, ...
    w : ndarray, shape (p,) or (p, k), or None
        The coefficients that y was drawn with, where it was drawn.
    """

    name: str
    X: Any
    y: np.ndarray
    w: np.ndarray | None = None

    @property
    def shape(self):
        """Number of rows and columns of X."""
        return self.X.shape

    @property
    def lasso_lam_max(self):
        """The smallest lam for which ``1/2 ||X w - y||^2 + lam ||w||_1`` is least at w = 0."""
        return float(np.abs(self.X.T @ self.y).max())

    @property
    def logistic_lam_max(self):
        """The smallest lam for which ``sum log(1 + exp(-y X w)) + lam ||w||_1`` is least at 0."""
        return self.lasso_lam_max / 2


def dataset_a(n=1000, p=10000, seed=0, sparse=False):
    """Draw least squares with badly scaled, sparse columns.

    Columns are normal with mean 1 times a normal scale ten times larger, of
    which a fraction ``10 log(n) / n`` of the entries remains. A tenth of the
    true coefficients are not zero; the noise has variance 1.

    Parameters
    ----------
    n, p : int
        Number of rows and columns.
    seed : int, default 0
        Seed of `numpy.random.default_rng`.
    sparse : bool, default False
        Whether X is a CSC array. The numbers are the same; while they are
        drawn there is a dense matrix anyway.

    Returns
    -------
    RegressionProblem
        With the true coefficients.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, "Let's Make Block Coordinate Descent Converge
       Faster", JMLR 23(131), 2022, section 5 (the recipe of its dataset A).

    Examples
    --------
    >>> from refopt.problems import dataset_a
    >>> problem = dataset_a(200, 1000)
    >>> problem.name, problem.shape, problem.y.shape
    ('dataset-a-200-1000@0', (200, 1000), (200,))
    """
    rng, X = _scaled_columns(n, p, seed)
    w = _sparse_normal(rng, p)
    y = X @ w + rng.standard_normal(n)
    return RegressionProblem(f"dataset-a-{n}-{p}@{seed}", _stored(X, sparse), y, w)


def dataset_b(n=1000, p=10000, seed=0, sparse=False):
    """Draw two classes from the columns of `dataset_a`, with a tenth of the labels flipped.

    Parameters
    ----------
    n, p : int
        Number of rows and columns. With p > n the classes are separable
        whatever the labels.
    seed : int, default 0
        Seed of the columns; the labels use the next one.
    sparse : bool, default False
        Whether X is a CSC array.

    Returns
    -------
    RegressionProblem
        With ``y`` of -1 and +1, and the coefficients that the labels had before flipping.

    Examples
    --------
    >>> from refopt.problems import dataset_b
    >>> sorted(set(dataset_b(100, 200).y))
    [np.float64(-1.0), np.float64(1.0)]
    """
    _, X = _scaled_columns(n, p, seed)
    rng = np.random.default_rng(seed + 1)
    w = _sparse_normal(rng, p)
    y = np.where(X @ w >= 0, 1.0, -1.0) * np.where(rng.random(n) < 0.1, -1.0, 1.0)
    return RegressionProblem(f"dataset-b-{n}-{p}@{seed}", _stored(X, sparse), y, w)


def dataset_c(n=1000, p=1000, k=50, seed=0, sparse=False):
    """Draw k classes from the columns of `dataset_a`, with noise of variance 1 in every score.

    Parameters
    ----------
    n, p : int
        Number of rows and columns.
    k : int, default 50
        Number of classes.
    seed : int, default 0
        Seed of the columns; the labels use the next one.
    sparse : bool, default False
        Whether X is a CSC array.

    Returns
    -------
    RegressionProblem
        With ``y`` of class numbers 0 to k - 1 and ``w`` of shape (p, k).

    Examples
    --------
    >>> from refopt.problems import dataset_c
    >>> problem = dataset_c(100, 30, k=4)
    >>> problem.w.shape, int(problem.y.max())
    ((30, 4), 3)
    """
    _, X = _scaled_columns(n, p, seed)
    rng = np.random.default_rng(seed + 1)
    w = rng.standard_normal((p, k))
    y = np.argmax(X @ w + rng.standard_normal((n, k)), axis=1)
    return RegressionProblem(f"dataset-c-{n}-{p}-{k}@{seed}", _stored(X, sparse), y, w)


def correlated(n, p, rho=0.6, seed=27):
    """Draw least squares whose neighbouring columns have correlation rho.

    Columns are a stationary autoregression of order 1. A fifth as many true
    coefficients as ``min(n, p)`` are not zero; the noise has a third of the
    signal's norm.

    Parameters
    ----------
    n, p : int
        Number of rows and columns.
    rho : float, default 0.6
        Correlation, between -1 and 1.
    seed : int, default 27
        Seed of `numpy.random.default_rng`.

    Returns
    -------
    RegressionProblem
        With X in Fortran order and the true coefficients.

    Examples
    --------
    >>> from refopt.problems import correlated
    >>> problem = correlated(50, 200, rho=0.9)
    >>> problem.name, int((problem.w != 0).sum())
    ('correlated-50-200-0.9@27', 10)
    """
    if not -1 < rho < 1:
        raise ValueError(f"rho must be between -1 and 1; got {rho!r}")
    rng = np.random.default_rng(seed)
    X = np.empty((n, p), order="F")
    X[:, 0] = column = rng.standard_normal(n)
    for j in range(1, p):
        column = rho * column + np.sqrt(1 - rho**2) * rng.standard_normal(n)
        X[:, j] = column
    w = np.zeros(p)
    count = max(1, int(0.2 * min(n, p)))
    values = rng.standard_normal(count)  # before their places
    w[rng.choice(p, count, replace=False)] = values
    signal, noise = X @ w, rng.standard_normal(n)
    y = signal + noise * np.linalg.norm(signal) / np.linalg.norm(noise) / 3
    return RegressionProblem(f"correlated-{n}-{p}-{rho:g}@{seed}", X, y, w)


def lars_adversarial(n=100):
    """Build a triangular matrix on which paths of solutions have very many pieces.

    ``X[i, j] = 2 d[j]`` above the diagonal and ``d[j]`` on it, with the scales
    d falling from ``1e-3 / n`` to ``1e-8 / n``; y = 1. Relative to
    ``1/2 ||y||^2`` nearly nothing can be gained, so judge answers by the
    optimality conditions.

    Parameters
    ----------
    n : int, default 100
        Number of rows and of columns.

    Returns
    -------
    RegressionProblem
        With a dense upper triangular X.

    Examples
    --------
    >>> from refopt.problems import lars_adversarial
    >>> X = lars_adversarial(4).X
    >>> (X / X.diagonal()).round(12)
    array([[1., 2., 2., 2.],
           [0., 1., 2., 2.],
           [0., 0., 1., 2.],
           [0., 0., 0., 1.]])
    """
    scales = np.logspace(-3, -8, n) / n
    X = np.triu(np.full((n, n), 2.0), 1) + np.eye(n)
    return RegressionProblem(f"lars-adversarial-{n}", X * scales, np.ones(n))


def _scaled_columns(n, p, seed):
    """Return the generator after its draws, and the matrix of datasets A, B and C."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    X += 1
    X *= 10 * rng.standard_normal(p)
    X *= rng.random((n, p)) < 10 * np.log(n) / n
    return rng, X


def _sparse_normal(rng, p):
    return rng.standard_normal(p) * (rng.random(p) < 0.1)


def _stored(X, sparse):
    if not sparse:
        return X
    from scipy.sparse import csc_array

    return csc_array(X)
