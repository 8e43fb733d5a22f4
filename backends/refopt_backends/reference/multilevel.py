"""Kernels of graph Laplacians with known labels, in words of the Array-API standard.

A system is A = diag(d) + V with the off-diagonal part V of a graph. Here it is a
dense matrix, elsewhere compressed rows.
"""

from dataclasses import dataclass
from typing import Any

from refopt_backends._array_functions import diagonal_of
from refopt_backends._home import namespace_of

# Multilevel: nodes that are factorised, levels at most, when coarsening stalls, and
# which share of a row's largest entry is strong.
COARSEST, MOST_LEVELS, STALLED, STRONG = 64, 30, 0.8, 0.25


@dataclass(frozen=True)
class System:
    """The matrix A."""

    matrix: Any

    @property
    def diagonal(self):
        return diagonal_of(self.matrix)


@dataclass(frozen=True)
class Hierarchy:
    """Pairs of A and P of the levels, and the last A.

    Attributes
    ----------
    sizes : list of int
        Number of nodes of each level.
    """

    levels: list
    last: Any

    @property
    def sizes(self):
        return [A.shape[0] for A, _ in self.levels] + [self.last.shape[0]]


def restricted_laplacian(starts, columns, weights, mask, labels):
    """The nodes without a label, breadth first; which are reached; depth; A x = b for them.

    The search goes through labelled nodes too: on a lattice it visits one diagonal
    after the other, in whatever order the nodes are numbered.
    """
    xp = namespace_of(starts)
    first, to = ([int(x[i]) for i in range(x.shape[0])] for x in (starts, columns))
    w = [float(weights[k]) for k in range(len(to))]
    known = [bool(mask[i]) for i in range(len(first) - 1)]

    def edges(i):
        return [(to[k], w[k]) for k in range(first[i], first[i + 1]) if w[k] != 0 and to[k] != i]

    nodes: list[int] = []
    reached: list[bool] = []
    seen: set[int] = set()
    depth = 0
    for root in range(len(known)):
        component = [] if root in seen else [root]
        seen |= {root}
        level = {root: 0}
        for i in component:  # grows as it is read
            found = [j for j, _ in edges(i) if j not in seen]
            seen |= set(found)
            level |= dict.fromkeys(found, level[i] + 1)
            component += found
        depth = max(depth, *level.values())
        free = [i for i in component if not known[i]]
        reached += [len(free) < len(component)] * len(free)
        nodes += free
    place = {i: m for m, i in enumerate(nodes)}
    begin, ends, values, diagonal = [0], [], [], []
    B = xp.zeros((labels.shape[0], len(nodes)), dtype=xp.float64)
    for m, i in enumerate(nodes):
        inner = [(place[j], -v) for j, v in edges(i) if not known[j]]
        inner = [e for e in inner if e[0] < m] + [e for e in inner if e[0] > m]
        ends += [j for j, _ in inner]
        values += [v for _, v in inner]
        begin.append(len(ends))
        diagonal.append(sum(v for _, v in edges(i)))
        for j, v in edges(i):
            if known[j]:
                B[:, m] += v * labels[:, j]
    return (
        xp.asarray(nodes, dtype=xp.int64),
        xp.asarray(reached, dtype=xp.bool),
        depth,
        xp.asarray(begin, dtype=xp.int64),
        xp.asarray(ends, dtype=xp.int32),
        xp.asarray(values, dtype=xp.float64),
        xp.asarray(diagonal, dtype=xp.float64),
        B,
    )


def graph_system(starts, columns, values, diagonal):
    """The dense matrix."""
    xp = namespace_of(diagonal)
    n = diagonal.shape[0]
    A = xp.zeros((n, n), dtype=xp.float64)
    for i in range(n):
        A[i, i] = diagonal[i]
        for k in range(int(starts[i]), int(starts[i + 1])):
            A[i, int(columns[k])] = values[k]
    return System(A)


def graph_product(system, X):
    """A times each row of X."""
    return X @ system.matrix


def multilevel_hierarchy(system):
    """Coarse graphs by smoothed aggregation."""
    A = system.matrix
    levels: list[tuple[Any, Any]] = []
    while A.shape[0] > COARSEST and len(levels) < MOST_LEVELS:
        strong, aggregates = _aggregates(A)
        if max(aggregates) + 1 > STALLED * A.shape[0]:
            break
        P = _prolongation(A, strong, aggregates)
        levels.append((A, P))
        A = P.T @ A @ P
    return Hierarchy(levels, A)


def _aggregates(A):
    """Strong entries, and for each node the number of its aggregate."""
    xp = namespace_of(A)
    n = A.shape[0]
    V = xp.where(xp.eye(n, dtype=xp.bool), 0.0, -A)
    bound = STRONG * xp.maximum(xp.max(V, axis=1), xp.asarray(0.0))
    strong = (V >= xp.minimum(bound[:, None], bound[None, :])) & (V != 0)
    neighbours = [[int(j) for j in _places(strong[i, :])] for i in range(n)]
    of, count = [-1] * n, 0
    for i in range(n):  # around nodes none of whose neighbours is taken
        if of[i] < 0 and all(of[j] < 0 for j in neighbours[i]):
            for j in [i, *neighbours[i]]:
                of[j] = count
            count += 1
    joined = list(of)
    for i in range(n):  # others join by their strongest edge
        candidates = [j for j in neighbours[i] if of[j] >= 0 and float(V[i, j]) > 0]
        if of[i] < 0 and candidates:
            joined[i] = of[max(candidates, key=lambda j: (float(V[i, j]), -j))]
    for i in range(n):
        if joined[i] < 0:
            for j in [i, *neighbours[i]]:
                joined[j] = count if joined[j] < 0 else joined[j]
            count += 1
    return strong, joined


def _places(row):
    (found,) = namespace_of(row).nonzero(row)
    return [found[k] for k in range(found.shape[0])]


def _prolongation(A, strong, aggregates):
    """P = (I - w D^-1 A_s) T, w = 4/3 over a bound on the spectrum of D^-1 A.

    A_s has the strong entries; the weak ones lie on its diagonal.
    """
    xp = namespace_of(A)
    d = diagonal_of(A)
    off = A - xp.eye(A.shape[0]) * d
    w = 4.0 / 3.0 / float(xp.max(1.0 + xp.sum(xp.abs(off), axis=1) / d))
    kept = xp.where(strong, off, 0.0)
    kept = kept + xp.eye(A.shape[0]) * (d + xp.sum(off - kept, axis=1))
    numbers = xp.asarray(aggregates)
    T = xp.astype(numbers[:, None] == xp.arange(max(aggregates) + 1)[None, :], xp.float64)
    return T - w * (kept @ T) / d[:, None]


def multilevel_cycle(hierarchy, R):
    """Z approximates R A^-1: a V-cycle, one sweep of Gauss-Seidel forward and one back."""
    xp = namespace_of(R)
    return _cycle(xp, hierarchy.levels, hierarchy.last, R.T).T


def _cycle(xp, levels, last, R):
    if not levels:
        if last.shape[0] <= COARSEST:
            return xp.linalg.solve(last, R)
        Z = xp.linalg.solve(xp.tril(last), R)
        return Z + xp.linalg.solve(xp.triu(last), R - last @ Z)
    A, P = levels[0]
    Z = xp.linalg.solve(xp.tril(A), R)
    Z = Z + P @ _cycle(xp, levels[1:], last, P.T @ (R - A @ Z))
    return Z + xp.linalg.solve(xp.triu(A), R - A @ Z)
