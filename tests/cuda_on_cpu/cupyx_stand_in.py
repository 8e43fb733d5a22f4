"""``cupyx``, ``cupyx.scipy``, its ``linalg`` and ``sparse`` in one, beside cupy_stand_in.py."""

import sys
from contextlib import contextmanager

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


class csr_matrix:
    """A sparse matrix on the device, made of device arrays; .get() is SciPy's."""

    def __init__(self, arg, shape=None):
        values, (rows, columns) = arg
        self._host = _sparse.csr_matrix((values.get(), (rows.get(), columns.get())), shape)

    shape = property(lambda self: self._host.shape)
    nnz = property(lambda self: self._host.nnz)
    dtype = property(lambda self: self._host.dtype)

    def get(self):
        return self._host.copy()
