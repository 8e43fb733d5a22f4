"""The matrix as iterations use it: products in the space that they work in."""

from typing import Any

from refopt import _validate
from refopt.deep_conjugate._poisson_grid import PoissonGrid
from refopt_backends import resolve

# Stored entries, or cells, below which the compiler is not woken.
SMALL = 20_000


class MatrixOperator:
    """A matrix with a product: an array, compressed rows or a LinearOperator.

    Attributes
    ----------
    xp, kernels
        Namespace and kernels of the iteration.
    n : int
    grid : None
    """

    grid: PoissonGrid | None = None

    def __init__(self, A: Any, xp: Any, kernels: Any):
        self.A, self.xp, self.kernels = A, xp, kernels
        self.n = int(A.shape[0])

    def enter(self, v: Any) -> Any:
        """A user's vector, in an array of its own, as iterations hold it."""
        return self.xp.asarray(v, dtype=self.xp.float64, copy=True)

    def leave(self, v: Any) -> Any:
        """The way back, in an array of its own."""
        return self.xp.asarray(v, copy=True)

    def zeros(self) -> Any:
        return self.xp.zeros(self.n, dtype=self.xp.float64)

    def product(self, v: Any) -> Any:
        """A v in an array of its own."""
        return self.xp.asarray(self.A @ v, dtype=self.xp.float64, copy=True)

    def conjugate(self, z: Any, beta: float, d: Any, g: Any) -> tuple[float, float]:
        """d <- z + beta d and g <- A d in place; d'g and d'd."""
        c, dd = self.kernels.matrix_conjugate(self.A, z, beta, d, g)
        return float(c), float(dd)


class GridOperator:
    """A `PoissonGrid`; vectors are padded fields."""

    def __init__(self, grid: PoissonGrid, xp: Any, kernels: Any):
        self.grid, self.xp, self.kernels = grid, xp, kernels
        self.n = grid.n

    def enter(self, v: Any) -> Any:
        return self.grid.pad(v, self.xp.float64)

    def leave(self, v: Any) -> Any:
        return self.grid.unpad(v)

    def zeros(self) -> Any:
        return self.xp.zeros(self.grid.types.shape, dtype=self.xp.float64)

    def product(self, v: Any) -> Any:
        g = self.grid
        return self.kernels.poisson_apply(g.degree, g.face_weights, v, g.scale)

    def conjugate(self, z: Any, beta: float, d: Any, g: Any) -> tuple[float, float]:
        grid = self.grid
        c, dd = self.kernels.poisson_conjugate(
            grid.degree, grid.face_weights, grid.scale, z, beta, d, g
        )
        return float(c), float(dd)


def as_operator(
    A: Any, b: Any, backend: str | None = None, *, name: str = "A", check: bool = False
) -> MatrixOperator | GridOperator:
    """The operator for a user's matrix, which goes with the array b.

    Parameters
    ----------
    A : PoissonGrid, array, sparse matrix or LinearOperator
    b : array
        Of the library that the iteration works in.
    backend : str, optional
    name : str
        Of A, for messages.
    check : bool
        Whether an array or a sparse matrix must be symmetric.

    Raises
    ------
    TypeError, ValueError
        `A` is nothing with a product, or not square, complex, not finite, not symmetric.
    """
    names = (name, "b")
    if isinstance(A, PoissonGrid):
        small = A.types.size < SMALL
        return GridOperator(A, *resolve(A.types, b, backend=backend, small=small, names=names))
    kind = _validate.dtype_name(A)
    if kind.startswith("complex"):
        raise TypeError(f"{name} must be real, got dtype {kind}")
    if hasattr(A, "tocsr"):
        A = A.tocsr()
        xp, kernels = resolve(A.data, b, backend=backend, small=A.nnz < SMALL, names=names)
        _square(A, name)
        _validate.moderate(xp, A.data, f"stored values of {name}")
        A = A.astype(xp.float64)
        if check and A.nnz:
            _symmetric(float(abs(A - A.T).max()), float(abs(A).max()), name)
        return MatrixOperator(A, xp, kernels)
    if hasattr(A, "matvec") and hasattr(A, "shape"):
        _square(A, name)
        small = A.shape[0] < SMALL
        xp, kernels = resolve(b, backend=backend, small=small, names=("b",))
        return MatrixOperator(A if hasattr(A, "__matmul__") else _Product(A), xp, kernels)
    A = _validate.as_array(A, name)
    xp, kernels = resolve(A, b, backend=backend, small=A.size < SMALL, names=names)
    A = _validate.real_array(xp, A, name, 2)
    _square(A, name)
    A = xp.astype(_validate.moderate(xp, A, name), xp.float64, copy=False)
    if check and A.size:
        _symmetric(float(xp.max(xp.abs(A - A.T))), float(xp.max(xp.abs(A))), name)
    return MatrixOperator(A, xp, kernels)


class _Product:
    """An object with a method `matvec`, as one with a product."""

    def __init__(self, A):
        self.shape, self.matvec = A.shape, A.matvec

    def __matmul__(self, v):
        return self.matvec(v)


def _square(A, name):
    if len(A.shape) != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"{name} must be a square matrix, got shape {tuple(A.shape)}")


def _symmetric(difference, size, name):
    if difference > 1e-8 * size:
        raise ValueError(
            f"{name} must be symmetric, got entries that differ from the transpose's by "
            f"{difference:.3g}"
        )
