"""Derivatives as arrays, sparse matrices or operators, put together."""

import copy
from functools import reduce
from importlib import import_module
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from refopt import _validate

_DOUBLE = np.dtype(float)  # one object, however an array came to it


def matrix(value: Any, xp: Any, name: str = "hess") -> Any:
    """A derivative as a float array of two dimensions, a sparse matrix or an operator.

    A copy: functions may write into one array, and return it, time and again. The indices of
    compressed rows and columns are not copied: a matrix of another pattern has arrays of its own.

    Raises
    ------
    TypeError
        A matrix or an operator of SciPy where arrays are CuPy's.
    """
    if xp.__name__ == "cupy" and type(value).__module__.startswith("scipy"):
        kind = type(value).__name__
        raise TypeError(
            f"{name} must return arrays, matrices or operators of CuPy, got SciPy's {kind}"
        )
    if type(value) is np.ndarray and value.dtype is _DOUBLE and value.ndim == 2:
        return value.copy()
    if is_sparse(value):
        if value.format in ("csr", "csc") and value.dtype == float:
            return with_data(value, value.data.copy())
        return value.astype(float, copy=True)
    if is_operator(value):
        return value
    value = vector(value, xp, name)
    return value.reshape((1, -1)) if value.ndim < 2 else value


def vector(value: Any, xp: Any, name: str) -> Any:
    """A copy of what the user's function `name` has returned, an array of real numbers.

    Raises
    ------
    TypeError
        Complex numbers, or what is no number.
    """
    if type(value) is np.ndarray and value.dtype is _DOUBLE:
        return value.copy()
    value = xp.asarray(value)
    kind = _validate.dtype_name(value)
    if not kind.startswith(("bool", "int", "uint", "float")):
        raise TypeError(f"{name} must return real numbers, got dtype {kind}")
    return xp.astype(value, xp.float64, copy=True)


def of_shape(A: Any, shape: tuple[int, ...], name: str) -> Any:
    """`A`, what the user's function `name` has returned, if it has the shape."""
    if A.shape != shape:
        raise ValueError(f"{name} must return shape {shape}, got {tuple(A.shape)}")
    return A


def with_data(pattern: Any, data: Any) -> Any:
    """A sparse matrix that shares its index arrays with another one."""
    new = copy.copy(pattern)  # the constructor would look through the indices
    new.data = data
    return new


def is_sparse(value: Any) -> bool:
    """Whether it is a sparse matrix of SciPy or CuPy."""
    return type(value) is not np.ndarray and hasattr(value, "toarray")


def is_operator(value: Any) -> bool:
    """Whether it is known by its products only."""
    return type(value) is not np.ndarray and hasattr(value, "matvec")


def stack(parts: list, xp: Any) -> Any:
    """Matrices with equally many columns, one upon the other."""
    if len(parts) == 1:
        return parts[0]
    if any(map(is_operator, parts)):
        return _stacked(parts)
    if any(map(is_sparse, parts)):
        sparse = sparse_library(next(filter(is_sparse, parts)))
        return sparse.vstack([sparse.csr_matrix(G) for G in parts]).tocsr()
    return xp.concatenate(parts)


def total(parts: list, xp: Any = np) -> Any:
    """Their sum, None if there are none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    if len(parts) == 2 and type(parts[0]) is type(parts[1]) is np.ndarray:
        return parts[0] + parts[1]
    if any(map(is_operator, parts)):
        whole = symmetric_operator(lambda v: sum(H @ v for H in parts), parts[0].shape[0], xp)
        made_of_rows = [H for H in parts if hasattr(H, "rows")]
        if len(made_of_rows) == 1:
            (one,) = made_of_rows
            whole.rows, whole.weights = one.rows, one.weights
            whole.rest = total([H for H in parts if H is not one], xp)
        return whole
    if any(map(is_sparse, parts)) and not all(map(is_sparse, parts)):
        parts = [H.toarray() if is_sparse(H) else H for H in parts]
    return reduce(_plus, parts)


def restrict(A: Any, rows: Any = None, columns: Any = None) -> Any:
    """Some rows and columns, given by their indices; None stands for all."""
    if not is_operator(A):
        A = A if rows is None else A[rows]
        return A if columns is None else A[:, columns]
    _not_on_device([A])
    shape = tuple(
        size if kept is None else kept.shape[0]
        for size, kept in zip(A.shape, (rows, columns), strict=True)
    )
    return LinearOperator(
        shape,
        matvec=lambda v: _kept(A @ _spread(v, columns, A.shape[1]), rows),
        rmatvec=lambda u: _kept(A.T @ _spread(u, rows, A.shape[0]), columns),
        dtype=float,
    )


def dense(A: Any, xp: Any) -> Any:
    """As an array; of an operator by its products with the unit vectors."""
    if is_sparse(A):
        return A.toarray()
    return A @ xp.eye(A.shape[1]) if is_operator(A) else A


def squared_norm(A: Any) -> float:
    """The sum of squared entries; 0 for what is known by its products only."""
    if is_operator(A):
        return 0.0
    return float((A.multiply(A) if is_sparse(A) else A * A).sum())


def _plus(A, B):
    """A + B, by entries where both are stored alike."""
    if getattr(A, "format", "") == getattr(B, "format", "") == "csr" and A.nnz == B.nnz:
        pairs = (A.indptr, B.indptr), (A.indices, B.indices)
        if all(a is b or bool((a == b).all()) for a, b in pairs):
            return with_data(A, A.data + B.data)
    return A + B


def _not_on_device(parts):
    if any(type(A).__module__.startswith("cupy") for A in parts):
        raise TypeError(
            "constraints must return CSR matrices, not operators, where several are put together "
            "or variables are fixed on CuPy arrays"
        )


def _kept(v, indices):
    return v if indices is None else v[indices]


def _spread(v, indices, size):
    if indices is None:
        return v
    whole = np.zeros(size)
    whole[indices] = np.ravel(v)
    return whole


def _stacked(parts):
    _not_on_device(parts)
    operators = [aslinearoperator(G) for G in parts]
    ends = np.cumsum([G.shape[0] for G in operators])
    return LinearOperator(
        (int(ends[-1]), operators[0].shape[1]),
        matvec=lambda v: np.concatenate([G.matvec(np.ravel(v)) for G in operators]),
        rmatvec=lambda u: sum(
            G.rmatvec(part)
            for G, part in zip(operators, np.split(np.ravel(u), ends[:-1]), strict=True)
        ),
        dtype=float,
    )


def symmetric_operator(product: Any, n: int, xp: Any) -> Any:
    """A symmetric matrix that is known by its products, of SciPy or CuPy."""
    home = "cupyx.scipy" if xp.__name__ == "cupy" else "scipy"
    kind = import_module(f"{home}.sparse.linalg").LinearOperator
    return kind((n, n), matvec=product, rmatvec=product, dtype=float)


def sparse_library(matrix: Any) -> Any:
    """``scipy.sparse``, or ``cupyx.scipy.sparse``, by the kind of a matrix."""
    return import_module(f"{_home(matrix)}.sparse")


def sparse_linalg(matrix: Any) -> Any:
    """Its ``linalg``."""
    return import_module(f"{_home(matrix)}.sparse.linalg")


def _home(matrix):
    library = type(matrix).__module__.partition(".")[0]
    return "scipy" if library in ("scipy", "numpy") else "cupyx.scipy"
