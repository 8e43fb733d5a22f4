"""``cupyx``, its ``scipy`` with ``linalg``, ``sparse``, ``sparse.linalg``: all in one module."""

import sys
from contextlib import contextmanager

import numpy as _numpy
from scipy import linalg as _linalg
from scipy import sparse as _sparse

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
    call = sys.modules["cupy"]._call
    return call(_linalg.solve_triangular, a, b, trans=trans, lower=lower)


class _Compressed:
    """A sparse matrix on the device, made of device arrays; .get() is SciPy's."""

    ndim = 2

    def __init__(self, arg, shape=None):
        self._host = self._scipys(_cupy()._unwrap(arg), shape=shape)

    shape = property(lambda self: self._host.shape)
    nnz = size = property(lambda self: self._host.nnz)
    dtype = property(lambda self: self._host.dtype)
    has_canonical_format = property(lambda self: self._host.has_canonical_format)
    T = property(lambda self: _wrap(self._host.T))
    data = property(lambda self: _cupy()._wrap(self._host.data))
    indices = property(lambda self: _cupy()._wrap(self._host.indices))
    indptr = property(lambda self: _cupy()._wrap(self._host.indptr))

    def __matmul__(self, other):
        if isinstance(other, _Compressed):
            return _wrap(self._host @ other._host)
        return _cupy()._call(self._host.__matmul__, other)

    def __sub__(self, other):
        return _wrap(self._host - other._host)

    def __getitem__(self, key):
        return _wrap(self._host[_cupy()._unwrap(key)])

    def __abs__(self):
        return _wrap(abs(self._host))

    def sum(self, axis):
        return _cupy()._wrap(_numpy.asarray(self._host.sum(axis)))

    def diagonal(self):
        return _cupy()._wrap(self._host.diagonal())

    def max(self):
        return _cupy()._wrap(_numpy.asarray(self._host.max()))

    def astype(self, dtype):
        return _wrap(self._host.astype(dtype))

    def get(self):
        return self._host.copy()

    def toarray(self):
        return _cupy()._wrap(self._host.toarray())

    def copy(self):
        return _wrap(self._host.copy())

    def tocsc(self):
        return _wrap(self._host.tocsc())

    def tocsr(self):
        return _wrap(self._host.tocsr())

    def sum_duplicates(self):
        self._host.sum_duplicates()


class csr_matrix(_Compressed):
    format = "csr"
    _scipys = _sparse.csr_matrix


class csc_matrix(_Compressed):
    format = "csc"
    _scipys = _sparse.csc_matrix


class LinearOperator:
    """A matrix by its products, of ``cupyx.scipy.sparse.linalg``."""

    def __init__(self, shape, matvec, rmatvec=None, matmat=None, dtype=None):
        self.shape, self.matvec, self.dtype = shape, matvec, dtype

    def __matmul__(self, x):
        return self.matvec(x)


def _cupy():
    return sys.modules["cupy"]


def _wrap(host):
    matrix = object.__new__({"csr": csr_matrix, "csc": csc_matrix}[host.format])
    matrix._host = host
    return matrix
