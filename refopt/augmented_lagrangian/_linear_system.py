"""The linear system A x = b of the sketching solvers, dense or in compressed rows."""

import math
from typing import Any

from refopt import _validate
from refopt._namespace import HoldsNamespace
from refopt_backends import resolve

EXTREME = 50  # orders of magnitude from 1, beyond which A is scaled
SMALL = 4096  # entries of A below which no compiler is woken


class LinearSystem(HoldsNamespace):
    """A x = b in double precision.

    Attributes
    ----------
    xp, kernels
        Namespace and kernel table.
    A : array or None
        The matrix (N, n), if dense.
    rows : tuple or None
        (values, columns, starts) of the compressed rows, if sparse.
    b : array, shape (N,)
    shape : (int, int)
    dtype : dtype
        What a solution is returned in.
    unit, b_unit : float
        Powers of two that the user's A and b were divided by: squares of entries neither
        overflow nor vanish.
    """

    def __init__(self, xp, kernels, A, b, dtype, unit=1.0, b_unit=1.0):
        self.xp, self.kernels, self.b, self.dtype = xp, kernels, b, dtype
        self.unit, self.b_unit = unit, b_unit
        self.shape = tuple(A.shape)
        self._matrix = A
        self.A: Any = None
        self.rows: Any = None
        if hasattr(A, "nnz"):
            columns = xp.astype(A.indices, xp.int32, copy=False)
            self.rows = A.data, columns, xp.astype(A.indptr, xp.int64, copy=False)
        else:
            self.A = A

    def taken(self, x: Any) -> Any:
        """The user's x as it is here, in double precision."""
        return self.xp.astype(x, self.xp.float64, copy=True) * self.unit / self.b_unit

    def returned(self, x: Any) -> Any:
        """An x as the user sees it, an array of its own."""
        return self.xp.astype(x / self.unit * self.b_unit, self.dtype, copy=False)

    def times(self, x: Any) -> Any:
        """A x."""
        return self._matrix @ x

    def transposed_times(self, r: Any) -> Any:
        """A' r."""
        return self._matrix.T @ r

    def residual(self, x: Any) -> Any:
        """A x - b."""
        return self._matrix @ x - self.b

    def some_rows(self, index: Any) -> Any:
        """Rows of A as a dense array."""
        if self.A is not None:
            return self.xp.take(self.A, index, axis=0)
        return self._matrix[index].toarray()

    def gram(self) -> Any:
        """A A', dense."""
        product = self._matrix @ self._matrix.T
        return product if self.A is not None else product.toarray()

    def row_squares(self) -> Any:
        """|A_i|^2."""
        if self.A is not None:
            return self.xp.sum(self.A * self.A, axis=1)
        squares = type(self._matrix)(
            (self._matrix.data**2, self._matrix.indices, self._matrix.indptr), shape=self.shape
        )
        return squares @ self.xp.ones(self.shape[1])

    def transposed(self, b: Any) -> "LinearSystem":
        """A' y = b."""
        if self.A is None:
            A = self._matrix.T.tocsr()
        else:
            A = _validate.real_array(self.xp, self.A.T, "A'", 2)
        return LinearSystem(self.xp, self.kernels, A, b, self.dtype)

    def sweep(self, weights: Any, x: Any, previous: Any, index: Any, momentum: float) -> Any:
        """Kaczmarz steps, see the kernels `rk_sweep_dense` and `rk_sweep_csr`."""
        rest = self.b, weights, x, previous, self.xp.asarray(index), momentum
        if self.A is not None:
            return self.kernels.rk_sweep_dense(self.A, *rest)
        return self.kernels.rk_sweep_csr(*self.rows, *rest)

    def product_pass(self, v: Any, u: Any, alpha: float) -> tuple[Any, Any]:
        """p = A v - alpha u and A'p."""
        if self.A is not None:
            return self.kernels.product_pass(self.A, v, u, alpha)
        p = self._matrix @ v - alpha * u
        return p, self._matrix.T @ p

    def toarray(self) -> Any:
        """A, dense."""
        return self.A if self.A is not None else self._matrix.toarray()

    def count_sketch(self, buckets: Any, signs: Any, size: int) -> Any:
        """S A for the S that adds row i to rows buckets[i, :] with signs[i, :]."""
        buckets, signs = self.xp.asarray(buckets), self.xp.asarray(signs)
        if self.A is not None:
            return self.kernels.count_sketch(self.A, buckets, signs, size)
        return self.kernels.count_sketch_csr(*self.rows, self.shape[1], buckets, signs, size)


def take_system(A: Any, b: Any, backend: str | None) -> LinearSystem:
    """Check A and b and bring them to double precision.

    Raises
    ------
    TypeError, ValueError
        A or b has another shape, is not real, not finite or empty.
    """
    sparse = hasattr(A, "tocsr") and hasattr(A, "nnz")
    if not sparse:
        A = _validate.as_array(A, "A")
    elif A.ndim != 2:
        raise ValueError(f"A must be 2-dimensional, got shape {tuple(A.shape)}")
    b = _validate.as_array(b, "b")
    matrix = A.tocsr() if sparse else A
    values = matrix.data if sparse else matrix
    small = values.size < SMALL
    xp, kernels = resolve(values, b, backend=backend, small=small, names=("A", "b"))
    kind = _validate.dtype_name(values)
    numbers = _double(xp, values, "A", 1 if sparse else 2)
    if 0 in matrix.shape:
        raise ValueError(f"A must have rows and columns, got shape {tuple(matrix.shape)}")
    numbers, unit = _scaled(xp, numbers)
    if sparse:
        matrix = type(matrix)((numbers, matrix.indices, matrix.indptr), shape=matrix.shape)
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
    else:
        matrix = numbers
    b = _double(xp, b, "b", 1)
    if b.shape[0] != matrix.shape[0]:
        raise ValueError(f"b must have one entry per row of A, {matrix.shape[0]}, got {b.shape[0]}")
    b, b_unit = _scaled(xp, b)
    dtype = xp.float32 if kind == "float32" else xp.float64
    return LinearSystem(xp, kernels, matrix, b, dtype, unit, b_unit)


def take_start(system: LinearSystem, x0: Any) -> Any:
    """The start as a new array, zero for None."""
    xp, n = system.xp, system.shape[1]
    if x0 is None:
        return xp.zeros(n, dtype=xp.float64)
    x0 = _validate.as_array(x0, "x0")
    resolve(system.b, x0, backend=system.kernels.name, names=("b", "x0"))
    x = system.taken(_double(xp, x0, "x0", 1))
    if x.shape[0] != n:
        raise ValueError(f"x0 must have one entry per column of A, {n}, got {x.shape[0]}")
    return x


def _scaled(xp, v):
    """v over a power of two, and that number: 1 unless entries are extreme."""
    largest = float(xp.max(xp.abs(v))) if v.shape[0] else 0.0
    if not largest or abs(math.log10(largest)) <= EXTREME:
        return v, 1.0
    unit = math.ldexp(1.0, math.frexp(largest)[1] - 1)
    return v / unit, unit


def _double(xp, value, name, ndim):
    value = _validate.real_array(xp, value, name, ndim)
    return xp.astype(_validate.all_finite(xp, value, name), xp.float64, copy=False)
