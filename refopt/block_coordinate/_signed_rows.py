"""The rows z_i = y_i x_i of a classification problem, a matrix Z kept by rows."""

from typing import Any

import numpy as np

from refopt import _validate
from refopt.block_coordinate._design import DenseDesign, SparseDesign, is_sparse, take_in
from refopt_backends import KernelTable


def take_in_rows(X: Any, *others: Any, backend: str | None, names: tuple[str, ...]) -> tuple:
    """Backend and X' as a design: compressed rows and C order are used in place.

    Returns
    -------
    xp : module
    kernels : KernelTable
    transposed : Design
        X', (p, n).
    """
    if not is_sparse(X):
        X = _validate.as_array(X, names[0])
        if isinstance(X, np.ma.MaskedArray) and not np.ma.is_masked(X):
            X = np.asarray(X)
    if X.ndim != 2 or X.shape[0] == 0 or X.shape[1] == 0:
        xp, kernels, design = take_in(
            X, *others, backend=backend, names=names, most=_validate.LARGEST
        )
        return xp, kernels, DenseDesign(xp, xp.zeros(design.shape), _kind(design, xp))
    try:
        return take_in(X.T, *others, backend=backend, names=names, most=_validate.LARGEST)
    except (TypeError, ValueError):
        take_in(
            X, *others, backend=backend, names=names, most=_validate.LARGEST
        )  # whose message speaks of X as it is
        raise


def _kind(design, xp):
    return "float32" if design.dtype == xp.float32 else "float64"


class SignedRows:
    """The matrix Z = diag(y) X.

    Parameters
    ----------
    kernels : KernelTable
    transposed : Design
        Z', (p, n).

    Attributes
    ----------
    shape : (int, int)
        n and p.
    transposed : Design
    """

    def __init__(self, kernels: KernelTable, transposed: Any):
        self.kernels, self.transposed, self.xp = kernels, transposed, transposed.xp
        self.shape = transposed.shape[::-1]
        self.entries = transposed.entries

    @classmethod
    def of(cls, kernels: KernelTable, design: Any, y: Any) -> "SignedRows":
        """Z from X' and the signs."""
        xp = design.xp
        if isinstance(design, DenseDesign):
            return cls(kernels, DenseDesign(xp, design.columns * y[:, None]))
        matrix = design.matrix
        if xp is np:
            signs = np.repeat(y, np.diff(matrix.indptr))
        else:  # CuPy repeats by a number only
            places = xp.arange(matrix.nnz)
            signs = y[xp.searchsorted(matrix.indptr, places, side="right") - 1]
        scaled = type(matrix)(
            (matrix.data * signs, matrix.indices, matrix.indptr), shape=matrix.shape
        )
        return cls(kernels, SparseDesign(xp, scaled))

    def margins(self, w):
        """Z w."""
        return self.kernels.transposed_product(self.transposed, w)

    def combine(self, a):
        """Z' a."""
        return self.transposed.times(a)

    def squared_norms(self):
        """The squared norms of the rows."""
        return self.transposed.squared_norms()

    def take(self, index):
        """Some rows."""
        return SignedRows(self.kernels, self.transposed.take(index))

    def row_gram(self):
        """Z Z'."""
        if isinstance(self.transposed, DenseDesign):
            return self.transposed.gram()
        return self.kernels.weighted_gram(self.transposed, self.xp.ones(self.shape[1]))

    def column_gram(self):
        """Z' Z."""
        if isinstance(self.transposed, DenseDesign):
            return self.transposed.columns.T @ self.transposed.columns
        return self.kernels.weighted_gram(_Turned(self.transposed), self.xp.ones(self.shape[0]))


class _Turned:
    """A sparse design's transpose, as the kernel of the weighted Gram matrix reads it."""

    def __init__(self, design):
        self.design, self.shape = design, design.shape[::-1]

    @property
    def by_rows(self):
        return self.design.by_columns

    def gram(self, weights):
        matrix = self.design.matrix
        return (matrix @ matrix.T).toarray()  # of unit weights
