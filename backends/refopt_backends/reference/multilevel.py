"""Kernels of graph Laplacians with known labels, in words of the Array-API standard.

A system is A = diag(d) + V with the off-diagonal part V of a graph. Its nodes
from `half` on have no edge between them. Here it is a dense matrix, elsewhere
compressed rows.
"""

from dataclasses import dataclass
from typing import Any

from refopt_backends._home import namespace_of

# Multilevel: nodes that are factorised, levels at most, when coarsening stalls, and
# which share of a row's largest entry is strong.
COARSEST, MOST_LEVELS, STALLED, STRONG = 64, 30, 0.8, 0.25
LOCAL = 2.0  # mean distance of neighbours' numbers, over sqrt(n), of a good numbering


@dataclass(frozen=True)
class System:
    """A, and the number of nodes before the independent ones."""

    matrix: Any
    half: int

    @property
    def diagonal(self):
        return namespace_of(self.matrix).linalg.diagonal(self.matrix)


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
    """The nodes without a label, in a good order; A x = b for them; which are reached.

    The nodes at even distances from where a search began come before the odd
    ones: a lattice falls into its red and its black half. Within, breadth first,
    or as numbered where neighbours have near numbers.
    """
    xp = namespace_of(starts)
    first, to = ([int(x[i]) for i in range(x.shape[0])] for x in (starts, columns))
    w = [float(weights[k]) for k in range(len(to))]
    known = [bool(mask[i]) for i in range(len(first) - 1)]

    def edges(i):
        return [(to[k], w[k]) for k in range(first[i], first[i + 1]) if w[k] != 0 and to[k] != i]

    nodes: list[int] = []
    odd: dict[int, bool] = {}
    reached: dict[int, bool] = {}
    for root in range(len(known)):
        if known[root] or root in odd:
            continue
        odd[root], component, touches = False, [root], False
        for i in component:  # grows as it is read
            for j, _ in edges(i):
                touches = touches or known[j]
                if not known[j] and j not in odd:
                    odd[j] = not odd[i]
                    component.append(j)
        reached |= dict.fromkeys(component, touches)
        nodes += component
    gaps = [abs(i - j) for i in nodes for j, _ in edges(i) if not known[j]]
    if sum(gaps) <= LOCAL * len(known) ** 0.5 * len(gaps):
        nodes = sorted(nodes)
    nodes = [i for i in nodes if not odd[i]] + [i for i in nodes if odd[i]]
    half = sum(not odd[i] for i in nodes)
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
        if any(odd[nodes[j]] == odd[i] for j, _ in inner):
            half = len(nodes)  # an odd cycle
    return (
        xp.asarray(nodes, dtype=xp.int64),
        xp.asarray([reached[i] for i in nodes], dtype=xp.bool),
        half,
        xp.asarray(begin, dtype=xp.int64),
        xp.asarray(ends, dtype=xp.int32),
        xp.asarray(values, dtype=xp.float64),
        xp.asarray(diagonal, dtype=xp.float64),
        B,
    )


def graph_system(starts, columns, values, diagonal, half):
    """The dense matrix."""
    xp = namespace_of(diagonal)
    n = diagonal.shape[0]
    A = xp.zeros((n, n), dtype=xp.float64)
    for i in range(n):
        A[i, i] = diagonal[i]
        for k in range(int(starts[i]), int(starts[i + 1])):
            A[i, int(columns[k])] = values[k]
    return System(A, half)


def graph_product(system, X):
    """A times each row of X."""
    return X @ system.matrix


def eliminate(system, X, B):
    """X with the values of the nodes from `half` on that solve their equations."""
    xp = namespace_of(X)
    A, h = system.matrix, system.half
    rest = (B[:, h:] - X[:, :h] @ A[:h, h:]) / system.diagonal[h:]
    return xp.concat([X[:, :h], rest], axis=1)


def reduced_cg_steps(system, X, R, D, rho, bound, steps):
    """CG on S = A11 - A12 A22^-1 A21, with the diagonal of A11 as preconditioner."""
    xp = namespace_of(X)
    A, h, d = system.matrix, system.half, system.diagonal
    square = xp.sum(R * R, axis=1)
    for _ in range(steps):
        goes_on = square > bound
        Q = D @ A[:h, :h] - ((D @ A[:h, h:]) / d[h:]) @ A[h:, :h]
        alpha = _ratio(xp, xp.where(goes_on, rho, 0.0), xp.sum(D * Q, axis=1))
        X, R = X + alpha[:, None] * D, R - alpha[:, None] * Q
        new, square = xp.sum(R * R / d[:h], axis=1), xp.sum(R * R, axis=1)
        E = R / d[:h] + _ratio(xp, new, rho)[:, None] * D
        D, rho = xp.where(goes_on[:, None], E, D), xp.where(goes_on, new, rho)
    return X, R, D, rho, square


def _ratio(xp, a, b):
    return xp.where(b > 0, a / xp.where(b > 0, b, 1.0), 0.0)


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
    d = xp.linalg.diagonal(A)
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
