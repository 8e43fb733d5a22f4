"""``cupyx.scipy`` with ``fft``, ``linalg``, ``sparse`` and ``sparse.linalg``, all in one module."""

import copy
import sys
from contextlib import contextmanager

import numpy as _numpy
from scipy import fft as _fft
from scipy import linalg as _linalg
from scipy import sparse as _sparse
from scipy.sparse import linalg as _sparse_linalg

_linalg_errors = "ignore"


@contextmanager
def errstate(*, linalg=None):
    """Whether a matrix that is not positive definite raises LinAlgError."""
    global _linalg_errors
    before, _linalg_errors = _linalg_errors, linalg
    try:
        yield
    finally:
        _linalg_errors = before


def solve_triangular(a, b, trans=0, lower=False):
    _cupy().counts["operations"] += 1
    call = sys.modules["cupy"]._call
    return call(_linalg.solve_triangular, a, b, trans=trans, lower=lower)


def _transform(name):
    """A cosine or sine transform: CuPy has types 2 and 3."""

    def transform(x, type=2, *size_and_place, norm=None, **more):
        if type not in (2, 3):
            raise NotImplementedError("Only DCT-II and DCT-III, DST-II and DST-III")
        if unknown := more.keys() - taken:
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown}")
        return _cupy()._call(getattr(_fft, name), x, type, *size_and_place, norm=norm, **more)

    taken = {"s", "axes"} if name.endswith("n") else {"n", "axis"}
    return transform


for _name in ("dct", "idct", "dst", "idst", "dctn", "idctn", "dstn", "idstn"):
    globals()[_name] = _transform(_name)


class _Sparse:
    """A sparse matrix on the device, made of device arrays; .get() is SciPy's."""

    ndim = 2

    def __init__(self, arg, shape=None, dtype=None, copy=False):
        if isinstance(arg, _Sparse):
            arg = arg._host
        elif not _sparse.issparse(arg):  # of the host: CuPy takes SciPy's
            arg = _cupy()._unwrap(arg)
        self._host = self._scipys(arg, shape=shape, dtype=dtype, copy=copy)

    shape = property(lambda self: self._host.shape)
    nnz = size = property(lambda self: self._host.nnz)
    dtype = property(lambda self: self._host.dtype)
    T = property(lambda self: _wrap(self._host.T))

    def _array(name):
        def set(self, value):
            setattr(self._host, name, _cupy()._unwrap(value))

        return property(lambda self: _cupy()._wrap(getattr(self._host, name)), set)

    data = _array("data")

    def __matmul__(self, other):
        _cupy().counts["operations"] += 1
        if isinstance(other, _Sparse):
            return _wrap(self._host @ other._host)
        return _cupy()._call(self._host.__matmul__, other)

    dot = __matmul__

    def __rmatmul__(self, other):
        return _cupy()._call(self._host.__rmatmul__, other)

    def __add__(self, other):
        return _wrap(self._host + other._host)

    def __sub__(self, other):
        return _wrap(self._host - other._host)

    def __mul__(self, factor):
        return self @ factor if isinstance(factor, _Sparse) else _wrap(self._host * factor)

    __rmul__ = __mul__

    def __neg__(self):
        return _wrap(-self._host)

    def __abs__(self):
        return _wrap(abs(self._host))

    def _reduced(name):
        def method(self, axis=None):
            host = self._host.astype(float) if self.dtype == bool else self._host
            found = getattr(host, name)(axis)
            return _cupy()._wrap(_numpy.asarray(found.todense() if axis is not None else found))

        return method

    max, min = _reduced("max"), _reduced("min")

    def sum(self, axis=None):
        return _cupy()._wrap(_numpy.asarray(self._host.sum(axis)))

    def diagonal(self, k=0):
        return _cupy()._wrap(self._host.diagonal(k))

    def astype(self, dtype, copy=True):
        return _wrap(self._host.astype(dtype))

    def get(self):
        _cupy().counts["waits"] += 1
        return self._host.copy()

    def toarray(self):
        return _cupy()._wrap(self._host.toarray())

    def copy(self):
        return _wrap(self._host.copy())

    def __copy__(self):
        return _wrap(copy.copy(self._host))

    def transpose(self):
        return self.T

    def tocoo(self):
        return _wrap(self._host.tocoo())

    def tocsc(self):
        return _wrap(self._host.tocsc())

    def tocsr(self):
        return _wrap(self._host.tocsr())

    def asformat(self, format):
        return self if format is None else _wrap(self._host.asformat(format))

    def sum_duplicates(self):
        self._host.sum_duplicates()


class _Compressed(_Sparse):
    has_canonical_format = property(lambda self: self._host.has_canonical_format)
    has_sorted_indices = property(lambda self: bool(self._host.has_sorted_indices))
    indices, indptr = map(_Sparse._array, ("indices", "indptr"))

    def __getitem__(self, key):
        found = self._host[_cupy()._unwrap(key)]
        return _wrap(found) if _sparse.issparse(found) else _cupy()._wrap(found)

    def multiply(self, other):
        """By a number, an array or rows of the same format, as CuPy's."""
        if isinstance(other, _Sparse) and other.format != "csr":
            raise TypeError("expected scalar, dense matrix/vector or csr matrix")
        factor = other._host if isinstance(other, _Sparse) else _cupy()._unwrap(other)
        return _wrap(self._host.multiply(factor).asformat(self.format))

    def power(self, n):
        return _wrap(self._host.power(n))

    def setdiag(self, values, k=0):
        self._host.setdiag(_cupy()._unwrap(values), k)

    def eliminate_zeros(self):
        self._host.eliminate_zeros()

    def sort_indices(self):
        self._host.sort_indices()


class csr_matrix(_Compressed):
    format = "csr"
    _scipys = _sparse.csr_matrix


class csc_matrix(_Compressed):
    format = "csc"
    _scipys = _sparse.csc_matrix


class coo_matrix(_Sparse):
    format = "coo"
    _scipys = _sparse.coo_matrix
    row, col = map(_Sparse._array, ("row", "col"))


def issparse(x):
    return isinstance(x, _Sparse)


def _constructor(name):
    def construct(*args, format=None, dtype=None, **kwargs):
        args = tuple(map(_hosts, args))
        made = getattr(_sparse, name)(*args, format=format or "csr", dtype=dtype, **kwargs)
        return _wrap(made)

    return construct


def _hosts(value):
    if isinstance(value, tuple | list):
        return [*map(_hosts, value)]
    return value._host if isinstance(value, _Sparse) else _cupy()._unwrap(value)


for _name in ("bmat", "diags", "eye", "hstack", "identity", "vstack"):
    globals()[_name] = _constructor(_name)


class LinearOperator:
    """A matrix by its products, of ``cupyx.scipy.sparse.linalg``."""

    def __init__(self, shape, matvec, rmatvec=None, matmat=None, dtype=None):
        self.shape, self.matvec, self.rmatvec, self.dtype = shape, matvec, rmatvec, dtype

    def __matmul__(self, x):
        return self.matvec(x)


class SuperLU:
    """Factors made on the host, as CuPy's are; triangular systems solved on the device."""

    def __init__(self, factor):
        self._factor, self.shape, self.nnz = factor, factor.shape, factor.nnz

    perm_r = property(lambda self: _cupy().asarray(self._factor.perm_r))
    perm_c = property(lambda self: _cupy().asarray(self._factor.perm_c))
    L = property(lambda self: _wrap(self._factor.L.tocsr()))
    U = property(lambda self: _wrap(self._factor.U.tocsr()))

    def solve(self, rhs, trans="N"):
        if not isinstance(rhs, _cupy().ndarray):
            raise TypeError("ojb must be cupy.ndarray")
        return _cupy()._call(self._factor.solve, rhs, trans)


def splu(A, permc_spec=None, diag_pivot_thresh=None, relax=None, panel_size=None, options=None):
    return _factors(_sparse_linalg.splu, A)(
        permc_spec=permc_spec, diag_pivot_thresh=diag_pivot_thresh, relax=relax,
        panel_size=panel_size, options=options or {},
    )  # fmt: skip


def _factors(function, A):
    if not issparse(A):
        raise TypeError("A must be cupyx.scipy.sparse.spmatrix")
    return lambda **options: SuperLU(function(A.get().tocsc(), **options))


def factorized(A):
    return splu(A).solve


def spsolve(A, b):
    return splu(A).solve(b)


def minres(A, b, x0=None, shift=0.0, tol=1e-5, maxiter=None, M=None, callback=None, check=False):
    """SciPy's, on operators of the host; CuPy calls the tolerance tol."""
    cupy = _cupy()

    def operator(matrix):
        return matrix and _sparse_linalg.LinearOperator(
            matrix.shape, matvec=lambda v: cupy._unwrap(matrix @ cupy._wrap(v)), dtype=float
        )

    heard = callback and (lambda x: callback(cupy._wrap(x)))
    x, info = _sparse_linalg.minres(
        operator(A), cupy._unwrap(b), cupy._unwrap(x0), shift=shift, rtol=tol, maxiter=maxiter,
        M=operator(M), callback=heard, check=check,
    )  # fmt: skip
    return cupy._wrap(x), info


def _cupy():
    return sys.modules["cupy"]


def _wrap(host):
    matrix = object.__new__({"csr": csr_matrix, "csc": csc_matrix, "coo": coo_matrix}[host.format])
    matrix._host = host
    return matrix
