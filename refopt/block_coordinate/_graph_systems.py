"""Iterations for A x = b with the restricted Laplacian of a graph.

A row of X, B and R is one right-hand side. The error of an iterate is the
largest |b - A x| / |b| over the right-hand sides.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from refopt import _status
from refopt._driver import Iterate

# A coarse hierarchy and its cycles cost as much as about this many steps with the
# incomplete factor; how many those need is first asked after some steps.
_MULTILEVEL_COST = 130
_STEPS = 10  # with the incomplete factor in one iteration, at most
_FIRST_QUESTION = 20
# The incomplete factor's share of dropped fill-in that does not go to the diagonal, times
# the depth of the graph: the theory's 1 - O(h) for a mesh of width h. Where the depth is
# small, as in random graphs, none goes there.
_KEPT = 4.0
_SAFETY = 0.9  # room between the residual that is updated and the true one
_RESTARTS = 3
_STALLED = _status.STALLED, "Rounding allows no smaller residual."
_LEAST = 1e-15  # decrease of a residual between two computations from x


@dataclass(frozen=True)
class GraphSystem:
    """A X = B in compressed rows without the diagonal, and in the backend's own form.

    Attributes
    ----------
    depth : int
        The largest distance in a breadth-first search of the graph.
    norms : array, shape (k,)
        Of the rows of B, 1 for zero rows.
    exponents : ndarray, shape (k,)
        The unit of each row's value of f is 2 to this power.
    """

    xp: Any
    kernels: Any
    depth: int
    starts: Any
    columns: Any
    values: Any
    diagonal: Any
    own: Any
    B: Any
    norms: Any
    exponents: Any

    def residual(self, X):
        """B - A X."""
        return self.B - self.kernels.graph_product(self.own, X)

    def error(self, R):
        """The largest relative residual."""
        return float(self.xp.max(self.xp.sqrt(self.xp.sum(R * R, axis=1)) / self.norms))

    def row_values(self, X, R):
        """1/2 x'Ax - b'x of each row, from the residual, on the host."""
        return _host(-0.5 * self.xp.sum(X * (self.B + R), axis=1))

    def fun(self, values):
        """Their sum in the user's units."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.sum(np.ldexp(values, self.exponents)))

    def iterate(self, X, R=None):
        """The iterate with its true residual, if none is given."""
        R = self.residual(X) if R is None else R
        return Iterate(X, self.fun(self.row_values(X, R)), self.error(R))

    def matrix(self):
        """A as SciPy's compressed rows."""
        from scipy.sparse import csr_array, diags_array

        n = self.diagonal.shape[0]
        V = csr_array((self.values, self.columns, self.starts), shape=(n, n))
        return (V + diags_array(self.diagonal)).tocsr()


def split_conjugate_gradients(system, X, tol, start, steps, *, may_give_up=False):
    """CG with a preconditioner M = G G' that the kernels apply in between, many steps at a time.

    ``start(X, R)`` gives the X to start from, its scaled residual S = G^-1 R and by how
    much f falls; ``steps(X, S, D, beta, counts)`` takes steps. Returns the last X when it
    converged, or when many more steps than a multilevel preconditioner is worth are left.
    """
    xp, R = system.xp, system.residual(X)
    yield system.iterate(X, R)
    for _ in range(_RESTARTS):
        norms, asked = _host(xp.sqrt(xp.sum(R * R, axis=1))), _host(system.norms)
        target = np.maximum(_SAFETY * tol * asked, _LEAST * norms)
        first, values, taken = np.where(norms > 0.0, norms, 1.0), system.row_values(X, R), 0
        counts = np.where(norms > target, _STEPS, 0)
        if np.any(counts):
            X, S, fall = start(X, R)
            D, beta, values = xp.zeros_like(R), xp.zeros(R.shape[0]), values - fall
        while np.any(counts):
            X, S, D, beta, squares, fall = steps(X, S, D, beta, counts)
            taken += int(np.max(counts))
            norms, values = np.sqrt(_host(squares)), values - _host(fall)
            left = _steps_left(taken, norms / first, target / first)
            counts = np.clip(left, 0, _STEPS)
            if not np.any(counts):
                break
            yield Iterate(X, system.fun(values), float(np.max(norms / asked)))
            if may_give_up and taken >= _FIRST_QUESTION and np.max(left) > _MULTILEVEL_COST:
                return X
        R = system.residual(X)
        yield system.iterate(X, R)
    return X


def _host(x):
    """A small array on the host."""
    return np.array(x.tolist())


def _steps_left(taken, reached, asked):
    """How many more steps lead to the residual asked, at the pace of those taken."""
    with np.errstate(divide="ignore", invalid="ignore"):
        pace = -np.log(reached) / taken
        left = np.where(pace > 0.0, np.log(reached / asked) / pace, np.inf)
    return np.where(reached > asked, np.ceil(left), 0).clip(0, 10**9).astype(np.int64)


def preconditioned_conjugate_gradients(system, X, tol, precondition):
    """CG on A with ``precondition(R)`` as approximation of A^-1 R."""
    R = system.residual(X)
    yield system.iterate(X, R)
    for _ in range(_RESTARTS):
        D, rho, target = None, None, max(_SAFETY * tol, _LEAST * system.error(R))
        while True:
            Z = precondition(R)
            new = np.sum(R * Z, axis=1)
            D = Z if D is None else Z + _ratio(np, new, rho)[:, None] * D
            rho = new
            Q = system.kernels.graph_product(system.own, D)
            alpha = _ratio(np, rho, np.sum(D * Q, axis=1))[:, None]
            X, R = X + alpha * D, R - alpha * Q
            if not system.error(R) > target:
                break
            yield system.iterate(X, R)
        R = system.residual(X)
        yield system.iterate(X, R)
    return _STALLED


def _ratio(xp, a, b):
    return xp.where(b > 0.0, a / xp.where(b > 0.0, b, 1.0), 0.0)


def multilevel(system, X, tol):
    """CG preconditioned by V-cycles, on the whole graph."""
    hierarchy = system.kernels.multilevel_hierarchy(system.own)
    return (
        yield from preconditioned_conjugate_gradients(
            system, X, tol, lambda R: system.kernels.multilevel_cycle(hierarchy, R)
        )
    )


def incomplete_factor(system, X, tol, *, may_give_up=False):
    """CG preconditioned by an incomplete factor."""
    kernels = system.kernels
    factor = kernels.incomplete_factor(system.own, max(0.0, 1.0 - _KEPT / max(system.depth, 1)))

    def start(X, R):
        return X, kernels.incomplete_cg_start(factor, R), 0.0

    steps = partial(kernels.incomplete_cg_steps, factor)
    X = yield from split_conjugate_gradients(system, X, tol, start, steps, may_give_up=may_give_up)
    return X if may_give_up else _STALLED


def automatic(system, X, tol):
    """CG with an incomplete factor, and with coarser graphs where that is slow."""
    X = yield from incomplete_factor(system, X, tol, may_give_up=True)
    return (yield from _without_start(multilevel(system, X, tol)))


def plain(system, X, tol):
    """CG preconditioned by the diagonal, as text for arrays of any library."""
    xp, root = system.xp, system.xp.sqrt(system.diagonal)

    def start(X, R):
        return X, R / root, 0.0

    def steps(X, S, D, beta, counts):
        fall, rho = xp.zeros_like(beta), xp.sum(S * S, axis=1)
        counts = xp.asarray(counts)
        for step in range(_STEPS):
            on = step < counts
            D = xp.where(on[:, None], S + beta[:, None] * D, D)
            T = D / root
            Q = system.kernels.graph_product(system.own, T)
            alpha = xp.where(on, _ratio(xp, rho, xp.sum(T * Q, axis=1)), 0.0)
            X, S = X + alpha[:, None] * T, S - alpha[:, None] * Q / root
            new = xp.sum(S * S, axis=1)
            beta = xp.where(on, _ratio(xp, new, rho), beta)
            fall, rho = fall + 0.5 * alpha * rho, new
        return X, S, D, beta, xp.sum((S * root) ** 2, axis=1), fall

    yield from split_conjugate_gradients(system, X, tol, start, steps)
    return _STALLED


def _without_start(algorithm):
    next(algorithm)  # known from the run before
    return (yield from algorithm)


def forest_conjugate_gradients(system, X, tol, blocks):
    """CG preconditioned by a symmetric sweep over forests; of two, on the Schur complement."""
    kernels = system.kernels

    def start(X, R):
        Y, S = kernels.forest_cg_start(blocks, X, R)
        return Y, S, system.row_values(X, R) - system.row_values(Y, system.residual(Y))

    steps = partial(kernels.forest_cg_steps, blocks)
    yield from split_conjugate_gradients(system, X, tol, start, steps)
    return _STALLED


def block_sweeps(system, X, next_block):
    """The paper's block coordinate descent: each block solved exactly, the gradient kept.

    Parameters
    ----------
    system : GraphSystem
    X : ndarray, shape (k, m)
    next_block : callable
        ``next_block(iteration, R)`` gives an object with ``nodes`` and ``solve``.
    """
    A = system.matrix()
    R = system.residual(X)
    yield system.iterate(X, R)
    iteration = 0
    while True:
        block = next_block(iteration, R)
        step = block.solve(np.ascontiguousarray(R[:, block.nodes]))
        X = X.copy()
        X[:, block.nodes] += step
        R = R - (A[block.nodes].T @ step.T).T
        iteration += 1
        if iteration % 50 == 0 or system.error(R) <= 1e-9:
            R = system.residual(X)  # what is updated drifts
        yield system.iterate(X, R)
