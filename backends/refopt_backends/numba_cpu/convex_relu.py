"""Compiled kernels of convex programs of ReLU networks."""

import numpy as np
from scipy.linalg import blas

from refopt_backends.numba_cpu._jit import jit


def masked_gram(X, masks, of, roots):
    """Half of the rows of a pattern are zero: each pattern's matrix on its own rows."""
    n, d = X.shape
    M = np.zeros((n, n))
    order = np.argsort(of, kind="stable")
    ends = np.flatnonzero(np.diff(of[order], append=-1)) + 1
    first = 0
    for end in ends:
        rows = np.flatnonzero(masks[of[order[first]]])
        if rows.size:
            stacked = roots[order[first:end]].reshape(-1, d)
            _add_lower(M, blas.dsyrk(1.0, X[rows] @ stacked.T, lower=True), rows)
        first = end
    _mirror(M)
    return M


@jit
def _add_lower(M, B, rows):
    """M[rows, rows] += B, upper triangles by rows; B is stored by columns, its lower one given."""
    for i in range(rows.size):
        row, column = M[rows[i]], B[:, i]
        for j in range(i, rows.size):
            row[rows[j]] += column[j]


@jit
def _mirror(M):
    n = M.shape[0]
    for i0 in range(0, n, 64):
        for j0 in range(i0, n, 64):
            for i in range(i0, min(i0 + 64, n)):
                for j in range(max(j0, i + 1), min(j0 + 64, n)):
                    M[j, i] = M[i, j]
