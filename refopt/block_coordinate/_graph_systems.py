"""Iterations for A x = b with the restricted Laplacian of a graph.

A row of X, B and R is one right-hand side. The error of an iterate is the
largest |b - A x| / |b| over the right-hand sides.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from refopt import _status
from refopt._driver import Iterate

# A coarse hierarchy and its cycles cost as much as about this many steps of plain
# conjugate gradients; how many those need is first asked after some steps.
_MULTILEVEL_COST = 150
_STEPS = 10  # of plain conjugate gradients in one iteration
_FIRST_QUESTION = 20
_SAFETY = 0.9  # room between the residual that is updated and the true one
_RESTARTS = 3
_LEAST = 1e-15  # decrease of a residual between two computations from x


@dataclass(frozen=True)
class GraphSystem:
    """A X = B in compressed rows without the diagonal, and in the backend's own form.

    Attributes
    ----------
    norms : ndarray, shape (k,)
        Of the rows of B, 1 for zero rows.
    """

    kernels: Any
    starts: Any
    columns: Any
    values: Any
    diagonal: Any
    half: int
    own: Any
    B: Any
    norms: Any

    def residual(self, X):
        """B - A X."""
        return self.B - self.kernels.graph_product(self.own, X)

    def error(self, R):
        """The largest relative residual."""
        return float(np.max(np.sqrt(np.sum(R * R, axis=1)) / self.norms, initial=0.0))

    def value(self, X, R):
        """1/2 x'Ax - b'x, from the residual."""
        return -0.5 * float(np.sum(X * (self.B + R)))

    def iterate(self, X, R=None):
        """The iterate with its true residual, if none is given."""
        R = self.residual(X) if R is None else R
        return Iterate(X, self.value(X, R), self.error(R))

    def whole(self, X):
        """X with the nodes of the independent half, where only the others are given."""
        if X.shape[1] == self.diagonal.shape[0]:
            return X
        rest = np.zeros((X.shape[0], self.diagonal.shape[0] - X.shape[1]))
        return self.kernels.eliminate(self.own, np.concatenate([X, rest], axis=1), self.B)

    def matrix(self):
        """A as SciPy's compressed rows."""
        from scipy.sparse import csr_array, diags_array

        n = self.diagonal.shape[0]
        V = csr_array((self.values, self.columns, self.starts), shape=(n, n))
        return (V + diags_array(self.diagonal)).tocsr()


def reduced_conjugate_gradients(system, X, tol, *, may_give_up):
    """CG with the diagonal as preconditioner, after the independent half was eliminated.

    With two colours the system has half the size, and CG takes half the steps.
    Yields the first half of X, see `whole`; returns the last X when it converged, or
    when many more steps than a multilevel preconditioner is worth would be needed.
    """
    kernels, h = system.kernels, system.half
    X = system.whole(X[:, :h])
    R = system.residual(X)
    yield system.iterate(X, R)
    for _ in range(_RESTARTS):
        x, r, d = (np.ascontiguousarray(Y[:, :h]) for Y in (X, R, R / system.diagonal))
        rho, error, steps = np.sum(r * d, axis=1), system.error(r), 0
        target = max(_SAFETY * tol, _LEAST * error)
        bound = (target * system.norms) ** 2
        first, start, r0, value = error, x, r, system.value(X, R)
        while error > target * (1.0 + 1e-12):
            x, r, d, rho, square = kernels.reduced_cg_steps(system.own, x, r, d, rho, bound, _STEPS)
            steps += _STEPS
            error = float(np.max(np.sqrt(square) / system.norms))
            if error <= target * (1.0 + 1e-12):
                break
            yield Iterate(x, value - 0.5 * float(np.sum((x - start) * (r0 + r))), error)
            if may_give_up and _too_slow(steps, error / first, target / first):
                return system.whole(x)
        X = system.whole(x)
        R = system.residual(X)
        yield system.iterate(X, R)
    return X


def _too_slow(steps, reached, asked):
    if steps < _FIRST_QUESTION:
        return False
    if reached >= 1.0:
        return True
    return steps * (np.log(asked) / np.log(reached) - 1.0) > _MULTILEVEL_COST


def preconditioned_conjugate_gradients(system, X, tol, precondition):
    """CG on A with ``precondition(R)`` as approximation of A^-1 R."""
    R = system.residual(X)
    yield system.iterate(X, R)
    for _ in range(_RESTARTS):
        D, rho, target = None, None, max(_SAFETY * tol, _LEAST * system.error(R))
        while True:
            Z = precondition(R)
            new = np.sum(R * Z, axis=1)
            D = Z if D is None else Z + _ratio(new, rho)[:, None] * D
            rho = new
            Q = system.kernels.graph_product(system.own, D)
            alpha = _ratio(rho, np.sum(D * Q, axis=1))[:, None]
            X, R = X + alpha * D, R - alpha * Q
            if not system.error(R) > target:
                break
            yield system.iterate(X, R)
        R = system.residual(X)
        yield system.iterate(X, R)
    return _status.STALLED, "Rounding allows no smaller residual."


def _ratio(a, b):
    return np.where(b > 0.0, a / np.where(b > 0.0, b, 1.0), 0.0)


def multilevel(system, X, tol):
    """CG preconditioned by V-cycles, on the whole graph."""
    hierarchy = system.kernels.multilevel_hierarchy(system.own)
    return (
        yield from preconditioned_conjugate_gradients(
            system, X, tol, lambda R: system.kernels.multilevel_cycle(hierarchy, R)
        )
    )


def automatic(system, X, tol):
    """Plain CG on the reduced system, and the multilevel preconditioner where that is slow."""
    X = yield from reduced_conjugate_gradients(system, X, tol, may_give_up=True)
    return (yield from _without_start(multilevel(system, X, tol)))


def plain(system, X, tol):
    """CG on the reduced system alone."""
    yield from reduced_conjugate_gradients(system, X, tol, may_give_up=False)
    return _status.STALLED, "Rounding allows no smaller residual."


def _without_start(algorithm):
    next(algorithm)  # known from the run before
    return (yield from algorithm)


def forest_conjugate_gradients(system, X, tol, forests):
    """CG preconditioned by one symmetric sweep over forests, each solved exactly."""
    sweep = list(range(len(forests)))
    path = [*sweep, *sweep[-2::-1]]
    A = system.matrix()
    rows = [A[block.nodes] for block in forests]

    def precondition(R):
        Z = np.zeros_like(R)
        for b in path:
            nodes = forests[b].nodes
            g = R[:, nodes] - (rows[b] @ Z.T).T
            Z[:, nodes] += forests[b].solve(g)
        return Z

    return (yield from preconditioned_conjugate_gradients(system, X, tol, precondition))


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
