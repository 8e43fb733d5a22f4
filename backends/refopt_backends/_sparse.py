"""Sparse matrices of an array's own library, for the user; kernels have forms of their own."""

from importlib import import_module

from refopt_backends._home import home_of

_COMPRESSED_ROWS = {
    "numpy": ("scipy.sparse", "csr_array"),
    "cupy": ("cupyx.scipy.sparse", "csr_matrix"),
}


def sparse_array(values, rows, columns, shape):
    """A matrix in compressed rows from the places and values of its entries.

    Parameters
    ----------
    values, rows, columns : array, shape (k,)
        NumPy's or CuPy's.
    shape : tuple of int

    Returns
    -------
    scipy.sparse.csr_array or cupyx.scipy.sparse.csr_matrix

    Raises
    ------
    TypeError
        Arrays of a library for which no sparse matrices are known.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt_backends import sparse_array
    >>> sparse_array(np.ones(2), np.arange(2), np.arange(2), (2, 3)).nnz
    2
    """
    library = home_of(values).library
    if library not in _COMPRESSED_ROWS:
        raise TypeError(f"sparse matrices need NumPy or CuPy arrays, got arrays of {library}")
    module, name = _COMPRESSED_ROWS[library]
    return getattr(import_module(module), name)((values, (rows, columns)), shape=shape)


def linear_operator(product, shape, like):
    """A symmetric matrix that is known by its products, for the library's own solvers.

    Parameters
    ----------
    product : callable
        x -> A x.
    shape : tuple of int
    like : array
        NumPy's or CuPy's; gives the dtype.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator or cupyx.scipy.sparse.linalg.LinearOperator

    Examples
    --------
    >>> import numpy as np
    >>> from refopt_backends import linear_operator
    >>> linear_operator(lambda x: 2 * x, (2, 2), np.empty(0)) @ np.ones(2)
    array([2., 2.])
    """
    package = "cupyx.scipy" if home_of(like).library == "cupy" else "scipy"
    operator = import_module(f"{package}.sparse.linalg").LinearOperator
    return operator(shape, matvec=product, rmatvec=product, dtype=like.dtype)
