"""The largest price exactly, where X has few columns: every cell of the arrangement is visited.

``h(u) = b'u + sum_k q_k (x_k'u)_+`` is linear, c'u, on each cell of the lines (planes, ...)
``x_k'u = 0``. Its largest value on the sphere is taken at c/||c|| inside a cell, or at the
projection of c on one of the cell's faces, down to its vertices. Cells of a plane are found by a
sweep over sorted angles; those of a space by a sweep in every plane ``x_k'u = 0``, whose cells are
faces between two of the space.
"""

from collections.abc import Iterator

import numpy as np

WORK = 2**24  # largest number of cells times rows for which a sweep is offered
_ZERO = 1e-11  # of x_k'u relative to ||x_k||


def cells_bound(n: int, rank: int) -> float:
    """About how many numbers a sweep makes."""
    return float(n) ** max(1, rank - 1)


def largest_price(X: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, float]:
    """Maximise ``h(u) = q'(X u)_+`` over the unit sphere.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        Of full column rank d.
    q : ndarray, shape (n,)

    Returns
    -------
    u : ndarray, shape (d,)
        A maximiser; zero if h is negative everywhere.
    value : float
        h(u), at least 0.
    """
    rows, weights, linear = _distinct_lines(X, q)
    search = _Search(X, q)
    d = X.shape[1]
    if d == 1:
        search.measure(np.array([[1.0], [-1.0]]))
    elif d == 3:
        _search_space(rows, weights, linear, search)
    else:
        for C in _cells(rows, weights, linear, np.eye(d), search):
            search.consider(C)
    return search.u, search.value


class _Search:
    """The best direction so far."""

    def __init__(self, X, q):
        self.X, self.q = X, q
        self.u, self.value = np.zeros(X.shape[1]), 0.0

    def consider(self, C):
        """Directions C, of which only those longer than the best value can improve it."""
        norms = np.linalg.norm(C, axis=1)
        keep = norms > self.value
        order = np.argsort(-norms[keep])
        C, norms = C[keep][order], norms[keep][order]
        for first in range(0, len(C), 512):
            if norms[first] <= self.value:
                break
            self.measure(C[first : first + 512] / norms[first : first + 512, None])

    def measure(self, U):
        """Unit vectors U."""
        if len(U):
            values = self.q @ np.maximum(self.X @ U.T, 0)
            best = int(np.argmax(values))
            if values[best] > self.value:
                self.u, self.value = U[best], float(values[best])


def _distinct_lines(X, q):
    """Rows of length 1 on distinct lines, their weights, and a linear part b.

    With x_l = -s x_k: ``s (-x_k'u)_+ = s (x_k'u)_+ - s x_k'u``.
    """
    norms = np.linalg.norm(X, axis=1)
    X, q = X[norms > 0] / norms[norms > 0, None], (q * norms)[norms > 0]
    if not len(q):
        return X, q, np.zeros(X.shape[1])
    first = np.argmax(np.abs(X) > 1e-8, axis=1)
    sign = np.sign(X[np.arange(len(X)), first])
    linear = np.where(sign < 0, q, 0.0) @ X
    lines, place = np.unique(np.round(X * sign[:, None], 12) + 0.0, axis=0, return_inverse=True)
    weights = np.bincount(place.ravel(), weights=q, minlength=len(lines))
    representative = np.zeros(len(lines), int)
    representative[place.ravel()] = np.arange(len(X))
    return X[representative] * sign[representative, None], weights, linear


def _complement(y):
    """An orthonormal basis of the vectors orthogonal to y, as columns."""
    v = y / np.linalg.norm(y)
    v[0] += np.copysign(1.0, v[0])
    return np.eye(len(y))[:, 1:] - np.outer(v, v[1:]) * (2.0 / (v @ v))


def _sweep(rows, weights, linear, B):
    """The arcs of the circle in span(B), B of two columns, in the order of their angles.

    Returns
    -------
    angles : ndarray, shape (m,)
        Where each arc begins; it ends where the next one does.
    events : ndarray of int, shape (m,)
        The row that changes sides there.
    enters : ndarray of bool, shape (m,)
        Whether it becomes positive.
    C : ndarray, shape (m, d)
        h(u) = c'u on the arc; rows that vanish on the circle count as not positive.
    """
    Y = rows @ B
    live = np.flatnonzero(np.hypot(Y[:, 0], Y[:, 1]) > _ZERO)
    middle = np.arctan2(Y[live, 1], Y[live, 0])
    angles = np.mod(np.concatenate([middle - np.pi / 2, middle + np.pi / 2]), 2 * np.pi)
    order = np.argsort(angles, kind="stable")
    angles = angles[order]
    if not live.size:
        return angles, live, np.zeros(0, bool), linear[None, :]
    events, enters = np.tile(live, 2)[order], order < live.size
    before = (angles[0] + angles[-1] - 2 * np.pi) / 2
    start = linear + np.where(np.cos(before - middle) > 0, weights[live], 0.0) @ rows[live]
    steps = np.where(enters, weights[events], -weights[events])[:, None] * rows[events]
    return angles, events, enters, start + np.cumsum(steps, axis=0)


def _search_space(rows, weights, linear, search):
    """Rank 3: for each plane its vertices, edges, and the cells on its two sides."""
    for k in range(len(rows)):
        B = _complement(rows[k])
        angles, events, enters, C = _sweep(rows, weights, linear, B)
        corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ B.T
        values = np.sum(C * corners, axis=1)
        best = int(np.argmax(values))
        if values[best] > search.value:
            search.measure(corners[best : best + 1])
        P = C @ B
        length = np.roll(angles, -1) - angles
        length[-1] += 2 * np.pi
        inside = np.mod(np.arctan2(P[:, 1], P[:, 0]) - angles, 2 * np.pi) <= length
        search.consider(P[inside] @ B.T)
        # A cell beside the arc lies on known sides of three rows: this one and the arc's ends.
        after = np.roll(events, -1)
        first = np.where(enters, 1.0, -1.0)[:, None] * rows[events]
        last = np.where(np.roll(enters, -1), -1.0, 1.0)[:, None] * rows[after]
        for side, cells in ((1.0, C + weights[k] * rows[k]), (-1.0, C)):
            known = side * (cells @ rows[k]) >= 0
            known &= np.sum(cells * first, axis=1) >= 0
            known &= np.sum(cells * last, axis=1) >= 0
            search.consider(cells[known])


def _cells(rows, weights, linear, B, search) -> Iterator[np.ndarray]:
    """The vectors c of all cells in span(B); its faces are considered on the way."""
    if B.shape[1] == 2:
        angles, _, _, C = _sweep(rows, weights, linear, B)
        search.measure(np.stack([np.cos(angles), np.sin(angles)], axis=1) @ B.T)
        yield C
        return
    Y = rows @ B
    left = np.linalg.norm(Y, axis=1) > _ZERO
    while left.any():
        y = Y[np.argmax(left)]
        y = y / np.linalg.norm(y)
        along = Y @ y
        together = left & (np.linalg.norm(Y - along[:, None] * y, axis=1) <= _ZERO)
        left &= ~together
        up = np.where(together & (along > 0), weights, 0.0) @ rows
        down = np.where(together & (along < 0), weights, 0.0) @ rows
        face = B @ _complement(y)
        for C in _cells(rows, weights, linear, face, search):
            search.consider(C @ face @ face.T)
            yield C + up
            yield C + down
