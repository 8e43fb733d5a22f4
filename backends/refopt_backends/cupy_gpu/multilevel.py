"""Graph Laplacians with known labels on CuPy arrays, as whole-array text.

Nodes keep the order of their numbers. There is no multilevel preconditioner here:
its sweeps go from node to node.
"""

from dataclasses import dataclass
from typing import Any

import cupy
from cupyx.scipy.sparse import csr_matrix


@dataclass(frozen=True)
class System:
    """The off-diagonal part in compressed rows; the diagonal."""

    rows: Any
    diagonal: Any

    @property
    def matrix(self):
        """Dense, for the readable kernels."""
        return self.rows.toarray() + cupy.diag(self.diagonal)


def restricted_laplacian(starts, columns, weights, mask, labels):
    n = mask.shape[0]
    rows = cupy.searchsorted(starts, cupy.arange(columns.shape[0]), side="right") - 1
    edges = (weights != 0) & (rows != columns)
    rows, columns, weights = rows[edges], columns[edges], weights[edges]
    nodes = cupy.nonzero(~mask)[0]
    m, place = nodes.shape[0], cupy.cumsum(~mask) - 1
    inner = ~mask[rows] & ~mask[columns]
    begin = cupy.searchsorted(place[rows[inner]], cupy.arange(m + 1))
    reached = _reached(rows, columns, mask)[nodes]
    known = mask[columns]
    B = [
        cupy.bincount(rows[known], weights=weights[known] * y[columns[known]], minlength=n)[nodes]
        for y in labels
    ]
    return (
        nodes.astype(cupy.int64),
        reached,
        0,  # no search was made
        begin.astype(cupy.int64),
        place[columns[inner]].astype(cupy.int32),
        -weights[inner],
        cupy.bincount(rows, weights=weights, minlength=n)[nodes],
        cupy.stack(B),
    )


def _reached(rows, columns, mask):
    """The nodes with a way to the mask: one more edge at a time."""
    reached, count = mask, -1
    while int(reached.sum()) > count:
        count = int(reached.sum())
        weights = reached[columns].astype(cupy.float64)
        reached = reached | (cupy.bincount(rows, weights, minlength=mask.shape[0]) > 0)
    return reached


def graph_system(starts, columns, values, diagonal):
    n = diagonal.shape[0]
    return System(csr_matrix((values, columns, starts.astype(cupy.int32)), shape=(n, n)), diagonal)


def graph_product(system, X):
    return X * system.diagonal + (system.rows @ X.T).T if X.size else X
