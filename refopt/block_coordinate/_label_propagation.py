"""Labels of some nodes of a graph carried over to the others."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _driver, _rng, _validate
from refopt.block_coordinate import _graph_systems as systems
from refopt.block_coordinate._forests import symmetric_graph
from refopt.block_coordinate._result import build
from refopt_backends import resolve

METHODS = (
    "auto",
    "ic-cg",
    "multilevel",
    "cg",
    "tree-cg",
    "tree",
    "greedy-tree",
    "random-tree",
    "red-black",
)
_SINGLE_FLOOR = 1e-6
_PLAIN = 20  # weights up to this power of two are used as they are


def label_propagation(
    W,
    labels,
    mask,
    *,
    method="auto",
    partition=None,
    tol=1e-10,
    maxiter=10_000,
    rng=None,
    callback=None,
    disp=False,
    time_limit=None,
    backend=None,
    history=True,
):
    r"""Carry the labels of some nodes of a weighted graph over to all others.

    .. math::
        \min_x \; \tfrac12 \sum_{i<j} W_{ij} (x_i - x_j)^2
        \quad\text{s.t.}\quad x_i = \mathrm{labels}_i \text{ where } \mathrm{mask}_i ,

    which is the linear system :math:`A x_U = b` for the unlabelled nodes U,
    with the graph's Laplacian restricted to them as A and
    :math:`b = W_{US}\, y_S`. Every value is the weighted mean of its
    neighbours' values.

    Stops when, for each column of labels,

    .. math:: \|b - A x_U\|_2 \le \mathrm{tol}\, \|b\|_2 .

    Parameters
    ----------
    W : sparse matrix or array_like, shape (n, n)
        Symmetric nonnegative weights; the diagonal plays no part. SciPy's, NumPy's or
        CuPy's.
    labels : array_like, shape (n,) or (n, k)
        Values of the labelled nodes, or one column per class. What stands at
        unlabelled nodes must be finite and is not read.
    mask : array_like of bool, shape (n,)
        Which nodes are labelled.
    method : str, optional
        "auto": conjugate gradients preconditioned by an incomplete factor, and
        where these are slow by coarser graphs. "ic-cg" and "multilevel": only the
        one or the other. "cg": preconditioned by the diagonal, the one that
        "auto" takes on CuPy's arrays, where there is no other.
        "tree-cg": preconditioned by message passing, one symmetric sweep
        over forests that cover the graph; of two forests, on the Schur complement.
        "tree": block coordinate descent over these forests in turn; "greedy-tree":
        over forests that are grown anew each time from the largest residuals;
        "random-tree": from a random order; "red-black": over colour classes.
    partition : array_like of int, shape (n,), optional
        Blocks for "tree" and "tree-cg", each of them a forest; by default
        those of `forest_partition`. Labelled nodes are passed over.
    tol : float, optional
        Relative residual. Where W and labels are float32 the result is judged by
        what float32 can hold, at least 1e-6, which the message says.
    maxiter : int, optional
        Largest number of iterations: up to ten steps of conjugate gradients, one with
        coarser graphs, or a block.
    rng : int or Generator, optional
        Of "random-tree".
    callback : callable, optional
        ``callback(intermediate_result)``, with x, fun, residual, nit.
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    time_limit : float, optional
        Seconds.
    backend : str, optional
        See `refopt_backends.resolve`. "numpy" keeps dense matrices.
    history : bool, optional
        Keep the history.

    Returns
    -------
    OptimizeResult
        With ``x`` (all nodes, labelled ones as they were), ``fun``
        (:math:`\frac12 x_U^T A x_U - b^T x_U`, summed over columns), ``residual``
        (recomputed), ``success``, ``status``, ``message``, ``nit``, ``nfev`` (the
        same), ``history`` (time, fun, residual), ``backend``. ``status``:
        0 converged, 1 maxiter, 2 stopped by the callback, 3 stalled at rounding
        level, 4 non-finite numbers, 6 time limit.

    Raises
    ------
    ValueError
        W is not square or not symmetric, has negative or non-finite entries;
        shapes do not match; a component of the graph has no label, so that A
        is singular; an unknown method, or one that CuPy's arrays do not have; a block
        with a cycle.
    TypeError
        Complex numbers; arrays of different libraries.

    See Also
    --------
    forest_partition, red_black_partition, forest_factor

    Notes
    -----
    An iteration of "auto" is ten steps, each of which costs about one product with
    W, or one step with coarser graphs, which costs five; the factor takes about 16 bytes
    per entry of W, the coarser graphs 12. A sweep over forests costs no more, but the
    plain descent needs hundreds of them, and on the graphs measured "tree-cg" took two
    to six times as long as "auto". Memory: W in float64 once, and a dozen vectors per column.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022, on graph-structured problems and
       message passing.
    .. [2] P. Vanek, J. Mandel, M. Brezina, Algebraic multigrid by smoothed
       aggregation for second and fourth order elliptic problems, Computing 56,
       1996.
    .. [3] I. Gustafsson, A class of first order factorization methods, BIT 18, 1978,
       and S. C. Eisenstat, Efficient implementation of a class of preconditioned
       conjugate gradient methods, SIAM J. Sci. Stat. Comput. 2(1), 1981.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> path = np.eye(5, k=1) + np.eye(5, k=-1)
    >>> res = refopt.label_propagation(path, [0, 0, 0, 0, 8], [1, 0, 0, 0, 1])
    >>> res.x.round(9)
    array([0., 2., 4., 6., 8.])
    >>> res.success
    True
    """
    _validate.choice(method, "method", METHODS)
    tol = _validate.nonnegative(tol, "tol")
    maxiter = _validate.count(maxiter, "maxiter")
    disp = _validate.display(disp)
    problem = _Problem(W, labels, mask, backend)
    outcome = _driver.run(
        _algorithm(problem, method, partition, tol, _rng.generator(rng)),
        tol=tol,
        maxiter=maxiter,
        callback=callback,
        view=problem.view,
        disp=disp,
        time_limit=time_limit,
        measure="residual",
    )
    x = problem.full(outcome.best.x)
    # As returned: single precision is recomputed on what it holds.
    returned = problem.scale[:, None] * problem.rows(x)[:, problem.nodes]
    final = problem.system.iterate(returned)
    floor = problem.floor(returned)
    detail = f"In single precision tol is at least {floor:.1e}." if floor > tol else ""
    tol = max(tol, floor)
    return build(
        outcome,
        x=x,
        fun=final.fun,
        error=final.error,
        tol=tol,
        words="relative residual",
        backend=problem.kernels.name,
        detail=detail,
        history=history,
        residual=final.error,
        nfev=outcome.nit,
    )


class _Problem:
    """The system of the unlabelled nodes, and the way back to all nodes."""

    def __init__(self, W, labels, mask, backend):
        self.xp, self.kernels, graph = symmetric_graph(W, "W", backend, on_host=False)
        xp = self.xp
        weights, exponent = graph.values, 0
        if weights.shape[0] and (least := float(xp.min(weights))) < 0.0:
            raise ValueError(f"W must be nonnegative, got an entry {least}")
        if weights.shape[0]:
            exponent = int(_exponents([float(xp.max(weights))])[0])
        if abs(exponent) > _PLAIN:
            weights = weights * 2.0**-exponent
        else:
            exponent = 0
        n = graph.n
        labels = _validate.as_array(labels, "labels")
        resolve(labels, mask, backend=self.kernels.name, names=("labels", "mask"))
        self.single = graph.single and _validate.dtype_name(labels) == "float32"
        self.columns = labels.ndim == 2
        labels = _validate.real_array(xp, labels, "labels", 2 if self.columns else 1)
        if labels.shape[0] != n or labels.size == 0:
            raise ValueError(f"labels must have {n} rows as W has, got shape {labels.shape}")
        self.labels = self.rows(_validate.all_finite(xp, labels, "labels"))
        self.mask = _taken(xp, mask, n)
        # Columns in units of a power of two, else the squares of extreme numbers overflow.
        exponents = _exponents(xp.max(xp.abs(self.labels * self.mask), axis=1).tolist())
        self.scale = xp.asarray(2.0**-exponents)
        self.nodes, reached, depth, *A, B = self.kernels.restricted_laplacian(
            graph.starts, graph.columns, weights, self.mask, self.scale[:, None] * self.labels
        )
        if not xp.all(reached):
            lost = sorted(self.nodes[~reached].tolist())
            some = ", ".join(map(str, lost[:8])) + (", ..." if len(lost) > 8 else "")
            raise ValueError(
                "mask must label a node of each component of W, else the system is singular; "
                f"no label reaches the {len(lost)} nodes {some}"
            )
        norms = xp.sqrt(xp.sum(B * B, axis=1))
        starts, columns, values, diagonal = A
        self.system = systems.GraphSystem(
            xp=xp,
            kernels=self.kernels,
            depth=depth,
            starts=starts,
            columns=columns,
            values=values,
            diagonal=diagonal,
            own=self.kernels.graph_system(*A),
            B=B,
            norms=xp.where(norms > 0.0, norms, 1.0),
            exponents=exponent + 2 * exponents,
        )

    def rows(self, x):
        """The user's columns as rows, in double precision."""
        x = x.T if x.ndim == 2 else x[None, :]
        return self.xp.ascontiguousarray(self.xp.astype(x, self.xp.float64, copy=False))

    def full(self, X):
        """All nodes' values in the user's shape and precision."""
        x = self.labels.copy()
        x[:, self.nodes] = X / self.scale[:, None]
        x = self.xp.ascontiguousarray(x.T) if self.columns else x[0]
        return x.astype(self.xp.float32) if self.single else x

    def floor(self, X):
        """The least tolerance: what rounding to single precision does to the residual."""
        if not self.single:
            return 0.0
        size = self.xp.sqrt(self.xp.sum((2.0 * self.system.diagonal * X) ** 2, axis=1))
        rounding = np.finfo(np.float32).eps * size / self.system.norms
        return max(_SINGLE_FLOOR, float(self.xp.max(rounding)))

    def view(self, iterate, nit):
        """What the callback sees."""
        return OptimizeResult(
            x=self.full(iterate.x), fun=iterate.fun, residual=iterate.error, nit=nit
        )


def _exponents(tops):
    """Of the powers of two near these numbers, 0 for 0."""
    return np.clip(np.frexp(tops)[1], -1000, 1000).astype(np.int64)


def _taken(xp, mask, n):
    mask = _validate.as_array(mask, "mask")
    mask = _validate.all_finite(xp, _validate.real_array(xp, mask, "mask", 1), "mask")
    if mask.shape != (n,):
        raise ValueError(f"mask must have shape ({n},) as W has rows, got {mask.shape}")
    if not xp.all((mask == 0) | (mask == 1)):
        raise ValueError("mask must be boolean, or 0 and 1; got other numbers")
    return mask == 1


def _algorithm(problem, method, partition, tol, rng):
    """The generator of iterates."""
    system = problem.system
    if problem.xp is not np and method not in ("auto", "cg"):
        raise ValueError(f"method must be 'auto' or 'cg' for arrays of a device, got {method!r}")
    X = problem.xp.zeros_like(system.B)
    if partition is not None and method not in ("tree", "tree-cg"):
        raise ValueError(f"partition must be None with method {method!r}, only trees use it")
    simple = {
        "auto": systems.automatic,
        "ic-cg": systems.incomplete_factor,
        "multilevel": systems.multilevel,
        "cg": systems.plain,
    }
    if problem.xp is not np:
        return systems.plain(system, X, tol)
    if method in simple:
        return simple[method](system, X, tol)
    blocks = _Blocks(problem)
    if method == "greedy-tree":
        return systems.block_sweeps(system, X, lambda k, R: blocks.grown(_largest_first(R)))
    if method == "random-tree":
        n = system.diagonal.shape[0]
        return systems.block_sweeps(system, X, lambda k, R: blocks.grown(rng.permutation(n)))
    if method == "red-black":
        labels = blocks.coloured()
    else:
        labels = blocks.forests() if partition is None else blocks.given(partition)
    if method == "tree-cg":
        return systems.forest_conjugate_gradients(system, X, tol, blocks.together(labels))
    fixed = blocks.fixed(labels)
    return systems.block_sweeps(system, X, lambda k, R: fixed[k % len(fixed)])


def _largest_first(R):
    return np.argsort(-np.max(np.abs(R), axis=0), kind="stable")


@dataclass(frozen=True)
class _Block:
    """Some nodes and the solver of their equations, rows being right-hand sides."""

    nodes: Any
    solve: Any


class _Blocks:
    """Forests of the restricted graph."""

    def __init__(self, problem):
        self.kernels, self.system, self.problem = problem.kernels, problem.system, problem
        self.order = np.lexsort((problem.nodes, -problem.system.diagonal))

    @cached_property
    def matrix(self):
        return self.system.matrix()

    def forests(self):
        return self.kernels.forest_labels(self.system.starts, self.system.columns, self.order)

    def coloured(self):
        return self.kernels.colour_labels(self.system.starts, self.system.columns, self.order)

    def given(self, partition):
        labels = _validate.as_array(partition, "partition")
        if labels.dtype.kind not in "iu" or labels.shape != self.problem.mask.shape:
            raise ValueError(
                f"partition must be integers of shape {self.problem.mask.shape}, "
                f"got shape {labels.shape} and dtype {labels.dtype}"
            )
        return labels[self.problem.nodes]

    def refuse(self, cycle):
        if cycle.shape[0]:
            named = ", ".join(str(i) for i in self.problem.nodes[cycle[:12]])
            raise ValueError(f"partition must consist of forests, got a cycle through {named}")

    def together(self, labels):
        """All forests, for conjugate gradients over them."""
        blocks, cycle = self.kernels.forest_blocks(self.system.own, labels)
        self.refuse(cycle)
        return blocks

    def fixed(self, labels):
        return [self.block(np.flatnonzero(labels == b)) for b in np.unique(labels)]

    def grown(self, order):
        order = np.ascontiguousarray(order, dtype=np.int64)
        mask = self.kernels.forest_mask(self.system.starts, self.system.columns, order)
        return self.block(np.flatnonzero(mask))

    def block(self, nodes):
        """A factorised forest."""
        H = self.matrix[nodes][:, nodes].tocsr()
        order, parent, diagonal, link, cycle = self.kernels.forest_order(
            H.indptr.astype(np.int64), H.indices.astype(np.int32), H.data
        )
        self.refuse(nodes[cycle])
        pivots, multipliers = self.kernels.forest_pivots(parent, diagonal, link)
        sweeps = self.kernels.forest_sweeps

        def solve(B):
            return sweeps(order, parent, pivots, multipliers, np.ascontiguousarray(B))

        return _Block(nodes, solve)
