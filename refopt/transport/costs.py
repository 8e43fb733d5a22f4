"""Costs between two weighted sets: a stored matrix, or points and a metric."""

import math

import numpy as np

from refopt import _validate
from refopt._namespace import HoldsNamespace
from refopt_backends import resolve
from refopt_backends.reference.transport import cost_rows

METRICS = ("sqeuclidean", "euclidean", "cityblock")
DTYPES = (None, "float32", "float64")
_SAMPLED_ROWS = 16


class PointCloudCost:
    r"""Cost between two point clouds that is evaluated where it is needed, never stored.

    .. math:: C_{ij} = \mathrm{scale} \cdot d(x_i, y_j)

    Accepted by every function of this package wherever a cost matrix is. A
    pass over all pairs costs about `d` more operations per pair than with a
    stored matrix, and no memory beyond the points.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Points of the rows.
    Y : array_like, shape (m, d)
        Points of the columns.
    metric : {"sqeuclidean", "euclidean", "cityblock"}, optional
        ``sum_k (x_k - y_k)^2``, its square root, or ``sum_k |x_k - y_k|``.
    scale : float, optional
        Positive factor, for example one over the largest cost.
    dtype : {None, "float32"}, optional
        Round the points to single precision first; the solvers work in double
        precision on whatever they are.

    Raises
    ------
    ValueError
        Points that are not two-dimensional arrays of one width, not finite,
        or empty; an unknown metric; a scale that is not positive.
    TypeError
        Points that are complex, no numbers, or of two libraries.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt import PointCloudCost
    >>> C = PointCloudCost(np.eye(3), np.zeros((2, 3)), metric="cityblock")
    >>> C.shape
    (3, 2)
    >>> C.toarray()[0]
    array([1., 1.])
    """

    def __init__(self, X, Y, metric="sqeuclidean", scale=1.0, dtype=None):
        X, Y = _validate.as_array(X, "X"), _validate.as_array(Y, "Y")
        xp, _ = resolve(X, Y, backend="reference", names=("X", "Y"))
        self.metric = _validate.choice(metric, "metric", METRICS)
        self.scale = _validate.positive(scale, "scale")
        dtype = _validate.choice(dtype if dtype is None else str(np.dtype(dtype)), "dtype", DTYPES)
        self.X, self.Y = (self._points(xp, P, name, dtype) for P, name in ((X, "X"), (Y, "Y")))
        if self.X.shape[1] != self.Y.shape[1]:
            raise ValueError(
                f"Y must have as many columns as X, {self.X.shape[1]}, got {self.Y.shape[1]}"
            )
        width = 2.0 * max(float(xp.max(xp.abs(P))) for P in (self.X, self.Y))
        farthest = width if self.metric == "cityblock" else width * width
        if not math.isfinite(self.scale * self.X.shape[1] * farthest):
            raise ValueError(f"X and Y must have finite distances, got entries up to {width / 2}")

    @staticmethod
    def _points(xp, P, name, dtype):
        P = _validate.real_array(xp, P, name, 2)
        if dtype == "float32":
            P = xp.astype(P, xp.float32)
        if P.shape[0] == 0 or P.shape[1] == 0:
            raise ValueError(f"{name} must hold at least one point, got shape {tuple(P.shape)}")
        return xp.astype(_validate.all_finite(xp, P, name), xp.float64)  # the cost's own copy

    @property
    def shape(self):
        """Number of rows and columns."""
        return (int(self.X.shape[0]), int(self.Y.shape[0]))

    @property
    def T(self):
        """The cost with rows and columns exchanged."""
        return PointCloudCost(self.Y, self.X, self.metric, self.scale)

    def __getitem__(self, rows):
        """Rows of the matrix, for a slice or an array of indices.

        Parameters
        ----------
        rows : slice or array of int

        Returns
        -------
        array, shape (len(rows), m)
        """
        xp, _ = resolve(self.X, backend="reference")
        some = isinstance(rows, slice)
        X = self.X[rows, :] if some else xp.take(self.X, xp.asarray(rows), axis=0)
        return cost_rows((X, *self.arguments[1:]), slice(None))

    def toarray(self):
        """The whole matrix.

        Returns
        -------
        array, shape (n, m)
        """
        return self[:]

    @property
    def arguments(self):
        """The cost as kernels take it."""
        return (self.X, self.Y, METRICS.index(self.metric), self.scale)

    def __repr__(self):
        n, m = self.shape
        return f"PointCloudCost({n} x {m}, d={self.X.shape[1]}, {self.metric!r}, {self.scale:g})"


class MatrixCost(HoldsNamespace):
    """A stored cost matrix, checked. +inf entries are forbidden pairs."""

    def __init__(self, xp, C, lowest, highest, allowed=None):
        self.xp, self.C, self.lowest, self.highest = xp, C, lowest, highest
        self.allowed = allowed  # None: all pairs

    @property
    def shape(self):
        return (int(self.C.shape[0]), int(self.C.shape[1]))

    @property
    def T(self):
        allowed = None if self.allowed is None else self.allowed.T
        return MatrixCost(self.xp, self.C.T, self.lowest, self.highest, allowed)

    @property
    def arguments(self):
        return (self.C,)

    @property
    def spread(self):
        return self.highest - self.lowest

    @property
    def magnitude(self):
        return max(abs(self.lowest), abs(self.highest))

    def take(self, rows, columns):
        """The cost between some rows and columns (index arrays, or None for all)."""
        xp, C, allowed = self.xp, self.C, self.allowed
        for axis, index in ((0, rows), (1, columns)):
            if index is not None:
                C = xp.take(C, index, axis=axis)
                allowed = None if allowed is None else xp.take(allowed, index, axis=axis)
        return MatrixCost(xp, C, self.lowest, self.highest, allowed)

    def rows(self, index):
        """Some rows as a float64 array."""
        return self.xp.astype(self.xp.take(self.C, index, axis=0), self.xp.float64)

    def by_rows(self):
        """The same cost with rows contiguous in memory."""
        flags = getattr(self.C, "flags", None)
        if flags is None or flags.c_contiguous:
            return self
        C = self.xp.ascontiguousarray(self.C)
        return MatrixCost(self.xp, C, self.lowest, self.highest, self.allowed)


class LazyCost(HoldsNamespace):
    """A point cloud as the solvers see it."""

    allowed = None

    def __init__(self, xp, points):
        self.xp, self.points = xp, points

    @property
    def shape(self):
        return self.points.shape

    @property
    def T(self):
        return LazyCost(self.xp, self.points.T)

    @property
    def arguments(self):
        return self.points.arguments

    @property
    def spread(self):
        """Estimated from a few rows: it only sets where continuation starts."""
        n = self.shape[0]
        rows = self.xp.asarray(np.unique(np.linspace(0, n - 1, min(n, _SAMPLED_ROWS)).astype(int)))
        sample = self.points[rows]
        return float(self.xp.max(sample)) - float(self.xp.min(sample))

    def take(self, rows, columns):
        X, Y = self.points.X, self.points.Y
        X = X if rows is None else self.xp.take(X, rows, axis=0)
        Y = Y if columns is None else self.xp.take(Y, columns, axis=0)
        return LazyCost(self.xp, PointCloudCost(X, Y, self.points.metric, self.points.scale))

    def rows(self, index):
        return self.points[index]

    def by_rows(self):
        return self


def as_cost(xp, C):
    """A checked cost from what the user passed as `C`.

    Raises
    ------
    ValueError, TypeError
        As the public functions document for `C`.
    """
    if isinstance(C, PointCloudCost):
        return LazyCost(xp, C)
    if getattr(C, "ndim", None) == 1:
        raise ValueError(
            "C must be the two-dimensional cost, got a one-dimensional array; the cost comes "
            "first here: sinkhorn_newton(C, a, b, reg=reg)"
        )
    C = _validate.real_array(xp, C, "C", 2, keep_order=True)
    if 0 in C.shape:
        raise ValueError(f"C must have rows and columns, got shape {tuple(C.shape)}")
    lowest, highest = float(xp.min(C)), float(xp.max(C))
    if math.isfinite(lowest) and math.isfinite(highest):
        return MatrixCost(xp, C, lowest, highest)
    if math.isnan(lowest) or math.isnan(highest):
        raise ValueError(f"C must not hold NaN, got {_validate.first_place(xp, C, xp.isnan(C))}")
    if lowest == -math.inf:
        raise ValueError("C must be above -inf; only +inf, a forbidden pair, may be infinite")
    allowed = xp.isfinite(C)
    if not bool(xp.any(allowed)):
        raise ValueError("C must have a finite entry, got +inf only")
    highest = float(xp.max(xp.where(allowed, C, lowest)))
    return MatrixCost(xp, C, lowest, highest, allowed)
