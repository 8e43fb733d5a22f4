"""Forests in the graph of a sparse matrix, and message passing on them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from refopt import _validate
from refopt.block_coordinate._design import DenseDesign, SparseDesign, is_sparse, take_in
from refopt_backends import resolve, sparse_array

# Graphs up to here are handled by the readable kernels: waking a compiler takes longer.
SMALL = 256
_SYMMETRY = 1e-8


def forest_partition(A, order="lipschitz", *, backend=None):
    r"""Split the nodes of a graph into forests.

    Two nodes i and j are joined where :math:`A_{ij} \ne 0`. Nodes are visited
    in turn and each joins the first forest in which it closes no cycle. Every
    block of the partition then has a Hessian :math:`A_{bb}` whose graph is a
    forest, on which a linear system costs O(\|b\|); see `forest_solve`.

    Parameters
    ----------
    A : sparse matrix or array_like, shape (n, n)
        Symmetric. SciPy's or NumPy's.
    order : {"lipschitz", "index"} or array_like of int, shape (n,), optional
        In which order nodes are visited: by decreasing :math:`A_{ii}`, as they
        are numbered, or a permutation of 0..n-1.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    ndarray of int, shape (n,)
        The forest of each node: 0 for the first, usually the largest.

    Raises
    ------
    ValueError
        A is not square, not symmetric or not finite; an unknown order.
    TypeError
        A lies on a device: forests are built on the CPU.

    See Also
    --------
    red_black_partition : Blocks without any edge.
    forest_factor : Solves with one such block.

    Notes
    -----
    Costs O(nnz) but for an inverse Ackermann factor, and four integers per node.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022, on tree-structured blocks.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> ring = np.array([[2, -1, 0, -1], [-1, 2, -1, 0], [0, -1, 2, -1], [-1, 0, -1, 2]])
    >>> refopt.forest_partition(ring)
    array([0, 0, 0, 1])
    """
    _, kernels, graph = symmetric_graph(A, "A", backend)
    return kernels.forest_labels(graph.starts, graph.columns, visiting_order(graph, order))


def red_black_partition(A, order="lipschitz", *, backend=None):
    r"""Colour the nodes of a graph so that no edge joins two of one colour.

    Nodes are visited in turn; each takes the least-used colour that none of its
    neighbours has, or a new one. Every block of the partition has a diagonal
    Hessian :math:`A_{bb}`. A graph without odd cycles, as a lattice, often gets
    two colours, "red" and "black".

    Parameters
    ----------
    A : sparse matrix or array_like, shape (n, n)
        Symmetric. SciPy's or NumPy's.
    order : {"lipschitz", "index"} or array_like of int, shape (n,), optional
        As for `forest_partition`.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    ndarray of int, shape (n,)
        The colour of each node.

    Raises
    ------
    ValueError
        A is not square, not symmetric or not finite; an unknown order.
    TypeError
        A lies on a device.

    See Also
    --------
    forest_partition : Fewer and larger blocks.

    Notes
    -----
    Costs O(nnz + n * colours).

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022, on graph colouring.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> path = np.diag([2.0] * 5) - np.eye(5, k=1) - np.eye(5, k=-1)
    >>> refopt.red_black_partition(path)
    array([0, 1, 0, 1, 0])
    """
    _, kernels, graph = symmetric_graph(A, "A", backend)
    return kernels.colour_labels(graph.starts, graph.columns, visiting_order(graph, order))


def first_forest(graph: "Graph", kernels: Any, order: Any) -> Any:
    """The nodes of one forest, taken greedily in the given order, as a mask."""
    return kernels.forest_mask(graph.starts, graph.columns, order)


def forest_factor(A, *, backend=None):
    r"""Factorise a positive definite matrix whose graph is a forest.

    :math:`A = L D L^T` without fill: every node sends one message to its
    parent,

    .. math:: J_i = A_{ii} - \sum_{c\ \text{child of}\ i} A_{ci}^2 / J_c .

    Parameters
    ----------
    A : sparse matrix or array_like, shape (n, n)
        Symmetric and positive definite; its off-diagonal entries form a forest.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    ForestFactor
        With ``solve(b)``, for b of shape (n,) or (n, k), and ``pivots``.

    Raises
    ------
    ValueError
        A is not square, not symmetric or not finite, or its graph has a cycle,
        which the message names.
    numpy.linalg.LinAlgError
        "A is not positive definite": a pivot :math:`J_i` is not positive.
    TypeError
        A lies on a device.

    See Also
    --------
    forest_solve : For one right-hand side.
    forest_partition : Blocks with such a matrix.

    Notes
    -----
    Costs O(n), as does each solve; five numbers per node are kept. Nothing is
    recursive: a path may have millions of nodes.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022, on message passing.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> A = np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]])
    >>> factor = refopt.forest_factor(A)
    >>> factor.solve(np.array([0.0, 0.0, 4.0])).round(12)
    array([1., 2., 3.])
    """
    _, kernels, graph = symmetric_graph(A, "A", backend)
    order, parent, diagonal, link, cycle = kernels.forest_order(
        graph.starts, graph.columns, graph.values
    )
    if cycle.shape[0]:
        raise ValueError(f"A must have a forest as its graph, got the cycle {_named(cycle)}")
    pivots, multipliers = kernels.forest_pivots(parent, diagonal, link)
    if not np.all(pivots > 0.0):
        raise np.linalg.LinAlgError("A is not positive definite")
    return ForestFactor(kernels, graph.single, order, parent, pivots, multipliers)


def forest_solve(A, b, *, backend=None):
    r"""Solve A x = b by message passing, where the graph of A is a forest.

    Messages go from the leaves to the roots and back,

    .. math::
        r_i = b_i - \sum_{c\ \text{child of}\ i} (A_{ci}/J_c)\, r_c, \qquad
        x_i = (r_i - A_{i\pi(i)}\, x_{\pi(i)}) / J_i ,

    with the parent :math:`\pi(i)` and the pivots of `forest_factor`.

    Parameters
    ----------
    A : sparse matrix or array_like, shape (n, n)
        Symmetric and positive definite; its off-diagonal entries form a forest.
    b : array_like, shape (n,) or (n, k)
        One or several right-hand sides.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    ndarray, shape of b
        The solution, in float32 if both A and b are, computed in float64.

    Raises
    ------
    ValueError
        As `forest_factor`; b has another length or is not finite.
    numpy.linalg.LinAlgError
        "A is not positive definite".
    TypeError
        A lies on a device, complex numbers.

    See Also
    --------
    forest_factor : To solve again with the same matrix.

    Notes
    -----
    Costs O(n) time and memory. Backward stable, as every Cholesky factorisation.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022, on message passing.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> A = np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]])
    >>> refopt.forest_solve(A, np.array([0.0, 0.0, 4.0])).round(12)
    array([1., 2., 3.])
    """
    return forest_factor(A, backend=backend).solve(b)


@dataclass(frozen=True, eq=False)
class ForestFactor:
    """The factorisation of a positive definite matrix on a forest; see `forest_factor`.

    Attributes
    ----------
    order : ndarray of int, shape (n,)
        The nodes, parents before children.
    parent : ndarray of int, shape (n,)
        Where in `order` the parent of each one stands; -1 for a root.
    pivots : ndarray, shape (n,)
        The pivots J in that order.
    multipliers : ndarray, shape (n,)
        What is taken over from the parent: A_{i,parent} / J_i.
    """

    _kernels: Any
    _single: bool
    order: Any
    parent: Any
    pivots: Any
    multipliers: Any

    def solve(self, b):
        """Solve A x = b.

        Parameters
        ----------
        b : array_like, shape (n,) or (n, k)
            One or several right-hand sides.

        Returns
        -------
        ndarray, shape of b
            The solution.
        """
        n = self.order.shape[0]
        b = _validate.as_array(b, "b")
        resolve(b, backend=self._kernels.name, names=("b",))
        single = self._single and _validate.dtype_name(b) == "float32"
        columns = b.ndim == 2
        b = _validate.real_array(np, b, "b", 2 if columns else 1)
        if b.shape[0] != n:
            raise ValueError(f"b must have {n} rows as A has, got shape {tuple(b.shape)}")
        b = _validate.all_finite(np, b.astype(np.float64, copy=False), "b")
        B = np.ascontiguousarray(b.T) if columns else b[None, :]
        X = self._kernels.forest_sweeps(self.order, self.parent, self.pivots, self.multipliers, B)
        x = X.T if columns else X[0]
        return np.ascontiguousarray(x, dtype=np.float32 if single else np.float64)


@dataclass(frozen=True, eq=False)
class Graph:
    """A symmetric matrix in compressed rows, sorted: 64-bit starts, 32-bit columns.

    `single` says whether the user gave single precision.
    """

    starts: Any
    columns: Any
    values: Any
    single: bool

    @property
    def n(self):
        """Number of nodes."""
        return self.starts.shape[0] - 1


def symmetric_graph(
    A: Any, name: str, backend: str | None, *, on_host: bool = True
) -> tuple[Any, Any, Graph]:
    """Take in a symmetric matrix: namespace, kernels and graph.

    Parameters
    ----------
    A : sparse matrix or array, shape (n, n)
    name : str
        For messages.
    backend : str or None
    on_host : bool
        Refuse arrays of a device.

    Returns
    -------
    xp : module
    kernels : KernelTable
    graph : Graph

    Raises
    ------
    TypeError, ValueError
        See `forest_partition`.
    """
    by_rows = is_sparse(A) and getattr(A, "format", "") == "csr" and A.ndim == 2
    if by_rows:
        A = A.T  # compressed columns without a copy, and the same matrix
    sizes = np.shape(A) if not is_sparse(A) else A.shape
    small = len(sizes) > 0 and sizes[0] <= SMALL
    xp, kernels, design = take_in(A, backend=backend, small=small, names=(name,))
    if xp is not np and (on_host or kernels.name != "cupy"):
        raise TypeError(
            f"{name} must be a NumPy array or a SciPy sparse matrix, got one of {xp.__name__}: "
            "graphs are worked on by the CPU"
        )
    if design.shape[0] != design.shape[1]:
        raise ValueError(f"{name} must be square, got shape {design.shape}")
    single = design.dtype == np.float32
    if isinstance(design, DenseDesign):
        rows, columns = xp.nonzero(design.columns)
        matrix = sparse_array(design.columns[rows, columns], rows, columns, design.shape)
        design, by_rows = SparseDesign(xp, matrix), True
    assert isinstance(design, SparseDesign)
    values, columns, starts = design.by_columns
    if not kernels.is_symmetric(starts, columns, values, _SYMMETRY):
        matrix = design.matrix.T if by_rows else design.matrix
        raise ValueError(f"{name} must be symmetric, got {_asymmetry(matrix)}")
    return xp, kernels, Graph(starts, columns, values, single)


def _asymmetry(matrix):
    """The entry that differs most from its mirror image, in words."""
    matrix = matrix.get() if hasattr(matrix, "get") else matrix  # from a device
    D = abs(matrix - matrix.T).tocoo()
    k = int(np.argmax(D.data))
    i, j = sorted((int(D.row[k]), int(D.col[k])))
    A = matrix.tocsr()
    return f"{A[i, j]} at [{i}, {j}] and {A[j, i]} at [{j}, {i}]"


def visiting_order(graph: Graph, order: Any) -> Any:
    """The nodes in the order that was asked for.

    Parameters
    ----------
    graph : Graph
    order : {"lipschitz", "index"} or array of int

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    ValueError
        An unknown name, or no permutation.
    """
    n = graph.n
    if isinstance(order, str):
        _validate.choice(order, "order", ("lipschitz", "index"))
        if order == "index":
            return np.arange(n)
        return np.argsort(-_diagonal(graph), kind="stable")
    visits = _validate.as_array(order, "order")
    if visits.dtype.kind not in "iu" or visits.shape != (n,):
        raise ValueError(
            f'order must be "lipschitz", "index" or a permutation of 0..{n - 1}, '
            f"got an array of shape {visits.shape} and dtype {visits.dtype}"
        )
    if not np.array_equal(np.sort(visits), np.arange(n)):
        raise ValueError(f"order must visit each of the {n} nodes once")
    return np.ascontiguousarray(visits, dtype=np.int64)


def _diagonal(graph):
    rows = np.repeat(np.arange(graph.n), np.diff(graph.starts))
    on = rows == graph.columns
    diagonal = np.zeros(graph.n)
    diagonal[rows[on]] = graph.values[on]
    return diagonal


def _named(cycle):
    nodes = [int(i) for i in cycle]
    shown = nodes if len(nodes) <= 12 else [*nodes[:6], "...", *nodes[-5:]]
    return " - ".join(map(str, [*shown, nodes[0]]))
