"""``cupyx``, ``cupyx.scipy`` and ``cupyx.scipy.linalg`` in one, beside cupy_stand_in.py."""

import sys
from contextlib import contextmanager

from scipy import linalg as _linalg

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
