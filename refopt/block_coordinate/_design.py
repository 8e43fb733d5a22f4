"""The data matrix X of a problem, dense or sparse, by columns."""

import sys
from functools import cached_property
from typing import Any

from refopt import _validate
from refopt._namespace import HoldsNamespace
from refopt.block_coordinate._indices import spread
from refopt_backends import KernelTable, resolve

_ROUNDING = 2.0**-50  # part of a column that centring leaves if it was constant


def take_in(
    X: Any,
    *others: Any,
    backend: str | None,
    small: bool = False,
    names: tuple[str, ...],
    any_order: bool = False,
    least_rows: int = 1,
    most: float = sys.float_info.max,
) -> tuple[Any, KernelTable, "Design"]:
    """Resolve the backend and take in the data matrix.

    Parameters
    ----------
    X : array or sparse matrix, shape (n, p)
        NumPy's or CuPy's in C or Fortran order, or one of SciPy's or CuPy's
        sparse classes. Double precision in Fortran order and in compressed
        columns is used in place, everything else is copied once.
    *others : array or None
        Further arrays of the problem, for the dispatch only.
    backend, small
        As for `resolve`.
    names : tuple of str
        What X and the others are called in messages.
    any_order : bool
        Leave a dense X in C order as it is, for solvers that never visit its columns.
    least_rows : int
        0 where a matrix without rows is a problem.
    most : float
        Largest absolute value of an entry, for solvers that square them as they are.

    Returns
    -------
    xp : module
    kernels : KernelTable
    design : Design

    Raises
    ------
    TypeError, ValueError
        X is not two-dimensional, not real, not finite or has no rows.
    """
    name = names[0]
    if is_sparse(X):
        if X.ndim != 2:
            raise ValueError(f"{name} must be 2-dimensional, got shape {tuple(X.shape)}")
        matrix = X.tocsc()
        xp, kernels = resolve(matrix.data, *others, backend=backend, small=small, names=names)
        return xp, kernels, _with_rows(_sparse(xp, X, matrix, name, most), name, least_rows)
    X = _validate.as_array(X, name)
    xp, kernels = resolve(X, *others, backend=backend, small=small, names=names)
    return xp, kernels, _with_rows(_dense(xp, X, name, any_order, most), name, least_rows)


def is_sparse(X: Any) -> bool:
    """Whether X is a sparse matrix of SciPy or CuPy."""
    return hasattr(X, "tocsc") and hasattr(X, "nnz")


def _with_rows(design, name, least_rows):
    if design.shape[0] < least_rows:
        raise ValueError(f"{name} must have at least one row, got shape {design.shape}")
    return design


def _dense(xp, X, name, any_order, most):
    kind = _validate.dtype_name(X)
    X = _validate.real_array(xp, X, name, 2, keep_order=True)
    columns = _validate.moderate(xp, xp.astype(X, xp.float64, copy=False), name, most).T
    flags = getattr(columns, "flags", None)
    if flags is not None and not (flags.c_contiguous or any_order):
        columns = xp.ascontiguousarray(columns)
    return DenseDesign(xp, columns, kind)


def _sparse(xp, X, matrix, name, most):
    kind = _validate.dtype_name(X)
    values = _validate.real_array(xp, matrix.data, f"the data of {name}", 1)
    values = _validate.moderate(xp, xp.astype(values, xp.float64, copy=False), name, most)
    if values is not matrix.data:
        matrix = type(matrix)((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    if not matrix.has_canonical_format:
        matrix = matrix.copy() if matrix is X else matrix
        matrix.sum_duplicates()
    return SparseDesign(xp, matrix, kind)


class Design(HoldsNamespace):
    """An n x p matrix in double precision.

    Attributes
    ----------
    xp : module
    shape : (int, int)
        n rows and p columns.
    entries : int
        Number of stored entries: what one product with X costs.
    dtype : dtype
        That of the user's matrix, float32 or float64: what results have.
    """

    def __init__(self, xp, shape, entries, kind):
        self.xp, self.shape, self.entries = xp, tuple(shape), int(entries)
        self.dtype = xp.float32 if kind == "float32" else xp.float64
        self._kind = kind

    def times(self, w: Any) -> Any:
        """X w, or X W of a matrix W."""
        raise NotImplementedError

    def transposed_times(self, r: Any) -> Any:
        """X' r, or X' R of a matrix R."""
        raise NotImplementedError

    def squared_norms(self) -> Any:
        """The squared Euclidean norms of the columns, (p,)."""
        raise NotImplementedError

    def take(self, index: Any) -> "Design":
        """Some columns, as a design of their own (a copy)."""
        raise NotImplementedError

    def gram(self, weights: Any = None) -> Any:
        """X'X, or X' diag(weights) X, dense, (p, p)."""
        raise NotImplementedError

    def weighted_squares(self, weights: Any) -> Any:
        """The diagonal of X' diag(weights) X, (p,)."""
        raise NotImplementedError

    def scaled_rows(self, scale: Any) -> "Design":
        """diag(scale) X, a copy."""
        raise NotImplementedError

    def constant(self, level: Any) -> Any:
        """Mask of the columns that are multiples of `level`, up to rounding, (p,)."""
        raise NotImplementedError


class DenseDesign(Design):
    """Attributes: ``columns``, (p, n) contiguous, the transpose of X."""

    def __init__(self, xp, columns, kind="float64"):
        super().__init__(xp, columns.shape[::-1], columns.shape[0] * columns.shape[1], kind)
        self.columns = columns

    def times(self, w):
        return self.columns.T @ w

    def transposed_times(self, r):
        return self.columns @ r

    def squared_norms(self):
        if hasattr(self.xp, "vecdot"):
            return self.xp.vecdot(self.columns, self.columns)
        return self.xp.einsum("ij,ij->i", self.columns, self.columns)

    def take(self, index):
        return DenseDesign(self.xp, self.xp.take(self.columns, index, axis=0), self._kind)

    def gram(self, weights=None):
        weighted = self.columns if weights is None else self.columns * weights[None, :]
        return weighted @ self.columns.T

    def weighted_squares(self, weights):
        return (self.columns * self.columns) @ weights

    def scaled_rows(self, scale):
        return DenseDesign(self.xp, self.columns * scale[None, :], self._kind)

    def centred(self, weights):
        """X - 1 m', a copy, and m, the means under weights of sum one.

        Rows of weight zero become zero, and what rounding leaves of constant columns.
        """
        xp = self.xp
        means = self.columns @ weights
        columns = self.columns - means[:, None]
        rest = columns @ weights  # rounding of the means
        columns -= rest[:, None]
        columns *= xp.astype(weights > 0, xp.float64)[None, :]
        left = xp.maximum(xp.max(columns, axis=1), -xp.min(columns, axis=1))
        columns *= xp.astype(left > _ROUNDING * xp.abs(means), xp.float64)[:, None]
        return DenseDesign(xp, columns, self._kind), means + rest

    def constant(self, level):
        return self.squared_norms() == 0  # as `centred` leaves them


class SparseDesign(Design):
    """Attributes: ``matrix``, compressed columns of SciPy or CuPy, sorted, no entry twice."""

    def __init__(self, xp, matrix, kind="float64"):
        super().__init__(xp, matrix.shape, matrix.nnz, kind)
        self.matrix = matrix

    def times(self, w):
        return self.matrix @ w

    def transposed_times(self, r):
        return self.matrix.T @ r

    def squared_norms(self):
        squares = type(self.matrix)(
            (self.matrix.data**2, self.matrix.indices, self.matrix.indptr), shape=self.shape
        )
        return squares.T @ self.xp.ones(self.shape[0])

    def take(self, index):
        return SparseDesign(self.xp, self.matrix[:, index], self._kind)

    def gram(self, weights=None):
        right = self.matrix if weights is None else self.scaled_rows(weights).matrix
        return (self.matrix.T @ right).toarray()

    def weighted_squares(self, weights):
        squares = type(self.matrix)(
            (self.matrix.data**2, self.matrix.indices, self.matrix.indptr), shape=self.shape
        )
        return squares.T @ weights

    def scaled_rows(self, scale):
        values = self.matrix.data * scale[self.matrix.indices]
        matrix = type(self.matrix)(
            (values, self.matrix.indices, self.matrix.indptr), shape=self.shape
        )
        return SparseDesign(self.xp, matrix, self._kind)

    def constant(self, level):
        xp, (n, p) = self.xp, self.shape
        lengths = self.matrix.indptr[1:] - self.matrix.indptr[:-1]
        full = xp.nonzero(lengths == n)[0]
        columns = xp.reshape(self.matrix[:, full].data, (-1, n))
        left = columns
        for _ in range(2):  # the second time without the rounding of the first
            left = left - (left @ level)[:, None] * level[None, :]
        small = xp.max(xp.abs(left), axis=1) <= _ROUNDING * xp.max(xp.abs(columns), axis=1)
        return (lengths == 0) | (spread(xp, full, xp.astype(small, xp.float64), p) > 0)

    @cached_property
    def by_columns(self):
        """(values, rows, starts) with 32-bit rows and 64-bit starts, for compiled kernels."""
        return _typed(self.xp, self.matrix)

    @cached_property
    def by_rows(self):
        """The same of the compressed rows: (values, columns, starts)."""
        return _typed(self.xp, self.matrix.tocsr())


def _typed(xp, matrix):
    return (
        xp.astype(matrix.data, xp.float64, copy=False),
        xp.astype(matrix.indices, xp.int32, copy=False),
        xp.astype(matrix.indptr, xp.int64, copy=False),
    )
