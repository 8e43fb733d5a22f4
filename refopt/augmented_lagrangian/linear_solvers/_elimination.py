r"""Elimination of controls and multipliers.

Where every constraint has a variable of its own, with ``G = [A, S]``, S diagonal, and
``B = blockdiag(W, D)``, D diagonal, the Newton system

    W dw + A'dl = a,    D dz + S dl = b,    A dw + S dz - dc dl = c

leaves a symmetric system for the other variables, the states w, with ``T = S + dc D/S``:

    (W + A' diag(s) A) dw = a - A'(b/S - s q),    s = D/(S T),  q = c + dc b/S
    dz = (q - A dw)/T,    dl = (b - D dz)/S
"""

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from refopt.augmented_lagrangian._operators import sparse_library, with_data


class ControlStructure:
    """Which variables are states and which controls, and where their derivatives are stored.

    Found on the host; CuPy's arrays are brought there once, and indices back.

    Attributes
    ----------
    xp, library : module
        Of the arrays and of the sparse matrices.
    states, controls : array or slice
        Indices of variables; control i belongs to constraint i.
    A : sparse matrix
        The pattern of the constraints' derivatives in the states, on the host.
    square : bool
        Whether there are as many states as constraints, each on the diagonal of A.
    """

    def __init__(self, G, H, states, controls, places, xp=np):
        m, n = G.shape
        self.xp = xp
        states, self._in_S = _range(states), places
        self.states, self.controls = self._moved(states), self._moved(_range(controls))
        number = np.full(n, -1, dtype=G.indices.dtype)
        number[states] = np.arange(n - m)
        self.A, in_A = self._others(G, number, states)
        self._in_A, self._in_S = xp.asarray(in_A), xp.asarray(places)
        self._diagonal = _is_diagonal(H)
        self._W_places = None
        if not self._diagonal:
            self._W, in_W = _part(H, number, n - m)
            if np.array_equal(self._W.indices, _rows_of(self._W)):
                self._W_places = self._moved(_range(self._W.indices))
            self._in_W = self._moved(in_W)
        rows = _rows_of(self.A)
        self.rows = xp.asarray(rows)
        self.square = n - m == m == np.count_nonzero(rows == self.A.indices)
        self._there: Any = None

    def _moved(self, indices):
        """Indices as an array of the namespace; a slice stays one."""
        return indices if isinstance(indices, slice) else self.xp.asarray(indices)

    def seen(self, G, H):
        """Remember the patterns of matrices, as they are."""
        self.library = sparse_library(G)
        self._patterns = _pattern(G), _pattern(H)
        self._there = self.A if self.xp is np else self.library.csr_matrix(self.A)
        if not self._diagonal and self.xp is not np:
            self._W = self.library.csr_matrix(self._W)

    def _others(self, G, number, states):
        """The pattern of G without S, which has one entry in every row, and its places."""
        kept = np.ones(G.nnz, dtype=bool)
        kept[self._in_S] = False
        indices = G.indices[kept]
        if not isinstance(states, slice) or states.start:
            indices = number.take(indices)
        starts = G.indptr - np.arange(G.indptr.size, dtype=G.indptr.dtype)
        places = np.flatnonzero(kept)
        shape = G.shape[0], G.shape[1] - G.shape[0]
        return csr_array((np.empty(places.size), indices, starts), shape=shape), places

    def fits(self, G: Any, H: Any) -> bool:
        """Whether matrices have the pattern that was seen before."""
        return all(
            all(self._same(*pair) for pair in zip(_pattern(new), old, strict=True))
            for new, old in zip((G, H), self._patterns, strict=True)
        )

    def _same(self, new, old):
        return new is old or bool(self.xp.array_equal(new, old))

    def parts(self, G: Any, H: Any) -> tuple[Any, Any, Any, Any]:
        """A, the diagonal of S, W (a vector if it is diagonal) and the diagonal of D."""
        A, S = with_data(self._there, G.data.take(self._in_A)), G.data.take(self._in_S)
        if self._diagonal:
            return A, S, H.data[self.states], H.data[self.controls]
        W: Any
        if self._W_places is None:
            W = with_data(self._W, H.data[self._in_W])
        else:
            W = self.xp.zeros(self.A.shape[1])
            W[self._W_places] = H.data[self._in_W]
        return A, S, W, H.diagonal()[self.controls]


def control_structure(G: Any, H: Any, own: Any = None, xp: Any = np) -> ControlStructure | None:
    """Find a variable of its own for every constraint; None if there is not one for each.

    Parameters
    ----------
    G, H : sparse matrix
        Jacobian and Hessian in compressed rows, of SciPy or CuPy.
    own : pair of array, optional
        What `own_variables` has found for this G.
    xp : module, optional
        The array namespace.
    """
    m, n = G.shape
    if not 0 < m < n:
        return None
    rows_G, rows_H = on_host(G), on_host(H)
    if _is_diagonal(rows_H):
        controls, places = own_variables(rows_G) if own is None else own
    else:
        coupled = np.zeros(n, dtype=bool)
        rows = _rows_of(rows_H)
        off = np.flatnonzero((rows != rows_H.indices) & (rows_H.data != 0))
        coupled[rows[off]] = coupled[rows_H.indices[off]] = True
        controls, places = own_variables(rows_G, ~coupled)
    if controls is None:
        return None
    free = np.ones(n, dtype=bool)
    free[controls] = False
    structure = ControlStructure(rows_G, rows_H, np.flatnonzero(free), controls, places, xp)
    structure.seen(G, H)
    return structure


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
            W = W + shift if W.ndim == 1 else W + shift * self._identity(W.shape[0])
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
        return (self._transposed @ self.scaled(self.s) + self.hessian).tocsc()

    def scaled(self, factors: Any) -> Any:
        """diag(factors) A."""
        return with_data(self.A, self.A.data * factors.take(self.structure.rows))

    @property
    def hessian(self) -> Any:
        """W as a sparse matrix."""
        return self.diagonal_matrix(self.W) if self.W.ndim == 1 else self.W

    def diagonal_matrix(self, v: Any) -> Any:
        """diag(v), sparse."""
        return with_data(self._identity(v.size), v)

    def _identity(self, n):
        return self.structure.library.eye(n, format="csr")

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
        v = self.structure.xp.empty(n + m)
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
    return csr_array(arrays, shape=(starts.size - 1, width)), _range(places)


def csr(matrix: Any) -> Any:
    """In compressed rows, with entries in order."""
    if getattr(matrix, "format", "") != "csr":
        matrix = sparse_library(matrix).csr_matrix(matrix)
    if not matrix.has_sorted_indices:
        matrix = matrix.copy()
        matrix.sort_indices()
    return matrix


def on_host(matrix: Any) -> Any:
    """SciPy's matrix: the same one, or a copy of CuPy's."""
    return matrix.get() if hasattr(matrix, "get") else matrix
