"""Kernels of message passing on forests, in words of the Array-API standard.

A graph is the pattern of a symmetric sparse matrix in compressed rows: `starts`
and `columns`, whose diagonal entries are passed over. What is sequential by
nature (union-find, depth-first search) is written for lists.
"""

from refopt_backends._home import namespace_of


def _numbers(x):
    return [int(x[i]) for i in range(x.shape[0])]


def _neighbours(starts, columns):
    """One list of neighbours per node."""
    first, nodes = _numbers(starts), _numbers(columns)
    return [[j for j in nodes[first[i] : first[i + 1]] if j != i] for i in range(len(first) - 1)]


def _root(tree, i):
    """The node that stands for the tree of node i; paths are halved on the way."""
    while tree[i] != i:
        tree[i] = tree[tree[i]]
        i = tree[i]
    return i


def forest_labels(starts, columns, order):
    """First fit: each node joins the first forest in which it closes no cycle."""
    xp = namespace_of(starts)
    neighbours = _neighbours(starts, columns)
    label, tree = [-1] * len(neighbours), list(range(len(neighbours)))
    for i in _numbers(order):
        roots: dict[int, list[int]] = {}  # forest -> trees that touch node i
        for j in neighbours[i]:
            if label[j] >= 0:
                roots.setdefault(label[j], []).append(_root(tree, j))
        f = 0
        while f in roots and len(set(roots[f])) < len(roots[f]):
            f += 1
        label[i] = f
        for r in roots.get(f, []):
            tree[r] = i
    return xp.asarray(label, dtype=xp.int64)


def forest_mask(starts, columns, order):
    """The first forest of forest_labels alone."""
    return forest_labels(starts, columns, order) == 0


def colour_labels(starts, columns, order):
    """Each node takes the least-used colour that no neighbour has, else a new one."""
    xp = namespace_of(starts)
    neighbours = _neighbours(starts, columns)
    label = [-1] * len(neighbours)
    used: list[int] = []
    for i in _numbers(order):
        taken = {label[j] for j in neighbours[i]}
        free = [c for c in range(len(used)) if c not in taken]
        if not free:
            free = [len(used)]
            used.append(0)
        label[i] = min(free, key=lambda c: used[c])
        used[label[i]] += 1
    return xp.asarray(label, dtype=xp.int64)


def is_symmetric(starts, columns, values, rtol):
    """Whether |v_ij - v_ji| <= rtol (|v_ij| + |v_ji|) for all entries."""
    first, nodes = _numbers(starts), _numbers(columns)
    entry = {
        (i, nodes[k]): float(values[k])
        for i in range(len(first) - 1)
        for k in range(first[i], first[i + 1])
    }
    pairs = ((v, entry.get((j, i), 0.0)) for (i, j), v in entry.items())
    return all(abs(v - w) <= rtol * (abs(v) + abs(w)) for v, w in pairs)


def forest_order(starts, columns, values):
    """Depth-first order, parents by position, diagonal and links in that order; a cycle."""
    xp = namespace_of(starts)
    first, nodes = _numbers(starts), _numbers(columns)
    n = len(first) - 1
    order: list[int] = []
    parent: list[int] = []
    diagonal, link = [0.0] * n, [0.0] * n
    above, place = [-1] * n, [-1] * n  # the node above each node that was met
    met = [False] * n
    cycle: list[int] = []
    for root in range(n):
        stack = [] if met[root] else [root]
        met[root] = True
        while stack and not cycle:
            i = stack.pop()
            place[i] = len(order)
            order.append(i)
            parent.append(-1 if above[i] < 0 else place[above[i]])
            for k in range(first[i], first[i + 1]):
                j, value = nodes[k], float(values[k])
                if j == i:
                    diagonal[place[i]] = value
                elif value == 0.0:
                    continue
                elif j == above[i]:
                    link[place[i]] = value
                elif met[j]:
                    cycle = _cycle(above, i, j)
                    break
                else:
                    met[j], above[j] = True, i
                    stack.append(j)
    integers = (xp.asarray(x, dtype=xp.int64) for x in (order, parent))
    reals = (xp.asarray(x[: len(order)], dtype=xp.float64) for x in (diagonal, link))
    return (*integers, *reals, xp.asarray(cycle, dtype=xp.int64))


def _cycle(above, i, j):
    """The nodes of the cycle that the edge i - j closes."""
    ancestors = [i]
    while above[ancestors[-1]] >= 0:
        ancestors.append(above[ancestors[-1]])
    path = [j]
    while path[-1] not in ancestors:
        path.append(above[path[-1]])
    return ancestors[: ancestors.index(path[-1])] + path[::-1]


def forest_pivots(parent, diagonal, link):
    """J_i = H_ii - sum_c H_ci^2/J_c over the children c, and l_i = H_i,parent / J_i."""
    xp = namespace_of(diagonal)
    above = _numbers(parent)
    J = [float(diagonal[i]) for i in range(len(above))]
    multipliers = [0.0] * len(above)
    for i in reversed(range(len(above))):
        if not J[i] > 0.0:
            break
        multipliers[i] = float(link[i]) / J[i]
        if above[i] >= 0:
            J[above[i]] -= float(link[i]) * multipliers[i]
    return xp.asarray(J, dtype=xp.float64), xp.asarray(multipliers, dtype=xp.float64)


def forest_sweeps(order, parent, pivots, multipliers, B):
    """X with H X = B, a row per right-hand side: one sweep up the trees and one down."""
    xp = namespace_of(B)
    above = _numbers(parent)
    R = [B[:, i] for i in _numbers(order)]
    for i in reversed(range(len(above))):
        if above[i] >= 0:
            R[above[i]] = R[above[i]] - multipliers[i] * R[i]
    for i in range(len(above)):
        R[i] = R[i] / pivots[i]
        if above[i] >= 0:
            R[i] = R[i] - multipliers[i] * R[above[i]]
    return xp.take(xp.stack(R, axis=1), xp.argsort(order), axis=1) if R else xp.zeros_like(B)
