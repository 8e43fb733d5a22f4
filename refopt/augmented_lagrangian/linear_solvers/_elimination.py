r"""Elimination of controls and multipliers.

Where every constraint has a variable of its own, with ``G = [A, S]``, S diagonal, and
``B = blockdiag(W, D)``, D diagonal, the Newton system

    W dw + A'dl = a,    D dz + S dl = b,    A dw + S dz - dc dl = c

leaves a symmetric system for the other variables, the states w, with ``T = S + dc D/S``:

    (W + A' diag(s) A) dw = a - A'(b/S - s q),    s = D/(S T),  q = c + dc b/S
    dz = (q - A dw)/T,    dl = (b - D dz)/S
"""

from importlib import import_module
from typing import Any

import numpy as np

from refopt.augmented_lagrangian._operators import with_data


class ControlStructure:
    """Which variables are states and which controls, and where their derivatives are stored.

    Attributes
    ----------
    states, controls : array or slice
        Indices of variables; control i belongs to constraint i.
    square : bool
        Whether there are as many states as constraints, each on the diagonal of A.
    """

    def __init__(self, G, H, states, controls, places):
        m, n = G.shape
        self.states, self.controls, self._in_S = _range(states), _range(controls), places
        self._patterns = _pattern(G), _pattern(H)
        number = np.full(n, -1, dtype=G.indices.dtype)
        number[states] = np.arange(states.size)
        self.A, self._in_A = self._others(G, number, states.size)
        self._diagonal = _is_diagonal(H)
        self._W_places = None
        if not self._diagonal:
            self._W, self._in_W = _part(H, number, states.size)
            if np.array_equal(self._W.indices, _rows_of(self._W)):
                self._W_places = _range(self._W.indices)
        on_diagonal = np.count_nonzero(_rows_of(self.A) == self.A.indices)
        self.square = states.size == m == on_diagonal

    def _others(self, G, number, width):
        """The pattern of G without S, which has one entry in every row, and its places."""
        kept = np.ones(G.nnz, dtype=bool)
        kept[self._in_S] = False
        indices = G.indices[kept]
        if not isinstance(self.states, slice) or self.states.start:
            indices = number.take(indices)
        starts = G.indptr - np.arange(G.indptr.size, dtype=G.indptr.dtype)
        places = np.flatnonzero(kept)
        shape = G.shape[0], width
        return _sparse().csr_array((np.empty(places.size), indices, starts), shape=shape), places

    def fits(self, G: Any, H: Any) -> bool:
        """Whether matrices have the pattern that was seen before."""
        return all(
            all(_same(*pair) for pair in zip(_pattern(new), old, strict=True))
            for new, old in zip((G, H), self._patterns, strict=True)
        )

    def parts(self, G: Any, H: Any) -> tuple[Any, Any, Any, Any]:
        """A, the diagonal of S, W (a vector if it is diagonal) and the diagonal of D."""
        A, S = with_data(self.A, G.data.take(self._in_A)), G.data.take(self._in_S)
        if self._diagonal:
            return A, S, H.data[self.states], H.data[self.controls]
        W: Any
        if self._W_places is None:
            W = with_data(self._W, H.data[self._in_W])
        else:
            W = np.zeros(self.A.shape[1])
            W[self._W_places] = H.data[self._in_W]
        return A, S, W, H.diagonal()[self.controls]


def control_structure(G: Any, H: Any, own: Any = None) -> ControlStructure | None:
    """Find a variable of its own for every constraint; None if there is not one for each.

    Parameters
    ----------
    G, H : scipy.sparse.csr_array
        Jacobian and Hessian.
    own : pair of array, optional
        What `own_variables` has found for this G.
    """
    m, n = G.shape
    if not 0 < m < n:
        return None
    if _is_diagonal(H):
        controls, places = own_variables(G) if own is None else own
    else:
        coupled = np.zeros(n, dtype=bool)
        rows = _rows_of(H)
        off = np.flatnonzero((rows != H.indices) & (H.data != 0))
        coupled[rows[off]] = coupled[H.indices[off]] = True
        controls, places = own_variables(G, ~coupled)
    if controls is None:
        return None
    free = np.ones(n, dtype=bool)
    free[controls] = False
    return ControlStructure(G, H, np.flatnonzero(free), controls, places)


def own_variables(G: Any, allowed: Any = None) -> tuple[Any, Any]:
    """For each row of G a variable that no other row has, and the place of its entry, or None.

    Parameters
    ----------
    G : scipy.sparse.csr_array
    allowed : array of bool, optional
        Which variables may be taken.
    """
    m, n = G.shape
    single = np.bincount(G.indices, minlength=n) == 1
    if allowed is not None:
        single &= allowed
    if np.count_nonzero(single) < m:
        return None, None
    places = np.flatnonzero(single.take(G.indices) & (G.data != 0))
    rows = np.searchsorted(G.indptr, places, "right") - 1
    if places.size > m:  # the largest comes last
        order = np.argsort(np.abs(G.data[places]), kind="stable")
        places, rows = places[order], rows[order]
    chosen = np.full(m, -1)
    chosen[rows] = places
    return (None, None) if (chosen < 0).any() else (G.indices[chosen], chosen)


class ReducedSystem:
    """The system for the states, and the way from and to the whole one.

    Attributes
    ----------
    A : sparse matrix
    W : array or sparse matrix
        With the shift; an array stands for a diagonal matrix.
    s : array
        The weights in ``W + A' diag(s) A``.
    """

    def __init__(self, structure: ControlStructure, G: Any, H: Any, shift: float, dc: float):
        self.structure = structure
        self.A, self._S, W, D = structure.parts(G, H)
        self._D = D + shift
        if shift:
            W = W + shift if W.ndim == 1 else W + shift * identity(W.shape[0])
        self.W = W
        self._T = self._S + dc * self._D / self._S if dc else self._S
        self._dc = dc
        self.s = self._D / (self._S * self._T)
        self._transposed = self.A.T

    def product(self, v: Any) -> Any:
        """(W + A' diag(s) A) v."""
        Av = self.A @ v
        Av *= self.s
        Mv = self._transposed @ Av
        Mv += self._W_times(v)
        return Mv

    @property
    def size(self) -> int:
        """Number of states."""
        return self.A.shape[1]

    @property
    def matrix(self) -> Any:
        """The matrix itself, which has more entries than A."""
        scaled = with_data(self.A, self.A.data * np.repeat(self.s, np.diff(self.A.indptr)))
        return (self._transposed @ scaled + self.hessian).tocsc()

    @property
    def hessian(self) -> Any:
        """W as a sparse matrix."""
        return _sparse().diags_array(self.W, format="csr") if self.W.ndim == 1 else self.W

    @property
    def hessian_diagonal(self) -> Any:
        """The diagonal of W."""
        return self.W if self.W.ndim == 1 else self.W.diagonal()

    def right_side(self, rhs: Any) -> Any:
        """That of the reduced system."""
        a, b, c = self.split(rhs)
        q = c + self._dc * b / self._S if self._dc else c
        return a - self._transposed @ (b / self._S - self.s * q)

    def split(self, v: Any) -> tuple[Any, Any, Any]:
        """The parts of a vector (dx, dl) for states, controls and constraints."""
        n = v.shape[0] - self._S.size
        dx = v[:n]
        return dx[self.structure.states], dx[self.structure.controls], v[n:]

    def whole(self, dw: Any, rhs: Any) -> tuple[Any, Any]:
        """d = (dx, dl) from the states, and K d."""
        _, b, c = self.split(rhs)
        q = c + self._dc * b / self._S if self._dc else c
        Adw = self.A @ dw
        dz = (q - Adw) / self._T
        dl = (b - self._D * dz) / self._S
        u = self._transposed @ dl
        u += self._W_times(dw)
        Adw += self._S * dz
        if self._dc:
            Adw -= self._dc * dl
        return self._joined(dw, dz, dl), self._joined(u, self._D * dz + self._S * dl, Adw)

    def _joined(self, state, control, constraint):
        m, n = constraint.size, state.size + control.size
        v = np.empty(n + m)
        v[:n][self.structure.states], v[:n][self.structure.controls] = state, control
        v[n:] = constraint
        return v

    def _W_times(self, v):
        return self.W * v if self.W.ndim == 1 else self.W @ v


def _rows_of(matrix):
    rows = np.arange(matrix.shape[0], dtype=matrix.indices.dtype)
    return np.repeat(rows, np.diff(matrix.indptr))


def _range(indices):
    """Indices as a slice, if they are consecutive: then what they take is no copy."""
    if indices.size and indices[-1] - indices[0] == indices.size - 1:
        first = int(indices[0])
        if np.array_equal(indices, np.arange(first, first + indices.size)):
            return slice(first, first + indices.size)
    return indices


def _pattern(matrix):
    return matrix.indices, matrix.indptr


def _same(new, old):
    return new is old or np.array_equal(new, old)


def _is_diagonal(matrix):
    n = matrix.shape[0]
    return matrix.nnz == n and all(
        np.array_equal(a, np.arange(a.size)) for a in (matrix.indices, matrix.indptr)
    )


def _part(matrix, number, width):
    """The pattern of the rows and columns that have a number, and its places."""
    new = number.take(matrix.indices)
    of_rows = number >= 0
    kept = new >= 0
    kept &= np.repeat(of_rows, np.diff(matrix.indptr))
    before = np.zeros(kept.size + 1, dtype=matrix.indptr.dtype)
    np.cumsum(kept, out=before[1:])
    starts = before[matrix.indptr][np.append(True, of_rows)]
    places = np.flatnonzero(kept)
    arrays = np.ones(places.size), new.take(places), starts
    return _sparse().csr_array(arrays, shape=(starts.size - 1, width)), _range(places)


def csr(matrix: Any) -> Any:
    """In compressed rows, with entries in order."""
    if getattr(matrix, "format", "") != "csr":
        matrix = _sparse().csr_array(matrix)
    if not matrix.has_sorted_indices:
        matrix = matrix.sorted_indices()
    return matrix


def identity(n):
    """The sparse identity."""
    return _sparse().eye_array(n, format="csr")


def _sparse():
    return import_module("scipy.sparse")
