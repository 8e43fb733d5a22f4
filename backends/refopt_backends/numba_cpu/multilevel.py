"""Kernels of the multilevel preconditioner for graph Laplacians, compiled for the CPU."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit
from refopt_backends.reference.multilevel import COARSEST, MOST_LEVELS, STALLED, STRONG

REAL = np.float32  # of the preconditioner: conjugate gradients do not notice


class Level(NamedTuple):
    """One level: the graph in compressed rows, columns before the diagonal first; P."""

    starts: np.ndarray
    upper: np.ndarray  # where in each row the columns beyond the diagonal begin
    columns: np.ndarray
    values: np.ndarray
    inverse: np.ndarray  # of the diagonal
    p_starts: np.ndarray
    p_columns: np.ndarray
    p_values: np.ndarray
    coarse: int  # number of nodes of the next level


@dataclass(frozen=True)
class Hierarchy:
    """The levels; the last graph; its dense factor, empty where the graph is too large."""

    levels: list
    last: tuple
    factor: np.ndarray

    @property
    def sizes(self):
        return [level.inverse.size for level in self.levels] + [self.last[4].size]


class System(NamedTuple):
    """A in compressed rows without the diagonal; see the reference."""

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    diagonal: np.ndarray


def graph_system(starts, columns, values, diagonal):
    return System(starts, columns.astype(np.uint32), values, diagonal)


def graph_product(system, X):
    return _product(*system, X)


def multilevel_hierarchy(system):
    graph, levels = (system[0], system[1].view(np.int32), *system[2:4]), []
    while graph[3].size > COARSEST and len(levels) < MOST_LEVELS:
        aggregates, count = _aggregates(*graph[:3])
        if count > STALLED * graph[3].size:
            break
        P = _prolongation(*graph, aggregates)
        coarse = _galerkin(*graph, *P, count)
        levels.append(Level(*_sweepable(graph), *(_short(p) for p in P), count))
        graph = coarse
    dense = graph[3].size <= COARSEST
    factor = _cholesky(*graph) if dense else np.empty((0, 0))
    return Hierarchy(levels, _sweepable(graph), factor)


def _sweepable(graph):
    """A graph as the sweeps read it: unsigned indices, single precision, 1/d for d."""
    starts, columns, values, diagonal = graph
    return tuple(
        _short(x) for x in (starts, _upper(starts, columns), columns, values, 1 / diagonal)
    )


def _short(x):
    # Unsigned: no test for negative indices in the loops.
    return x.astype(np.uint32 if x.dtype.kind in "iu" else REAL)


def multilevel_cycle(hierarchy, R):
    Z = np.empty(R.shape)
    for c in range(R.shape[0]):
        top = np.abs(R[c]).max(initial=0.0)  # residuals fall below what single precision holds
        if top == 0.0:
            Z[c] = 0.0
            continue
        r, state = (R[c] / top).astype(REAL), []
        for level in hierarchy.levels:
            z, coarse = _descend(*level, r)
            state.append((r, z))
            r = coarse
        z = _dense_solve(hierarchy.factor, r) if hierarchy.factor.size else None
        z = _symmetric_sweep(*hierarchy.last, r) if z is None else z
        for level, (r, fine) in zip(reversed(hierarchy.levels), reversed(state), strict=True):
            _ascend(*level, r, fine, z)
            z = fine
        np.multiply(z, top, out=Z[c])
    return Z


@jit(fastmath=FAST)
def _product(starts, columns, values, diagonal, X):
    Y = np.empty(X.shape)
    for c in range(X.shape[0]):
        x, y = X[c], Y[c]
        for i in range(x.size):
            s = diagonal[i] * x[i]
            for k in range(np.uint64(starts[i]), np.uint64(starts[i + 1])):
                s += values[k] * x[columns[k]]
            y[i] = s
    return Y


@jit
def restricted_laplacian(starts, columns, weights, mask, labels):
    n, kinds = mask.size, labels.shape[0]
    order, seen, reached = np.empty(n, np.int64), np.zeros(n, np.bool_), np.empty(n, np.bool_)
    place, nodes = np.full(n, -1, np.int64), np.empty(n, np.int64)
    count, m, depth = 0, 0, 0
    for root in range(n):
        if seen[root]:
            continue
        first, at, touches = m, count, False
        seen[root], order[count] = True, root
        count += 1
        level, begins = 0, count  # where the next level begins
        while at < count:
            if at == begins:
                level, begins = level + 1, count
            i = order[at]
            at += 1
            if mask[i]:
                touches = True
            else:
                place[i], nodes[m] = m, i
                m += 1
            for k in range(starts[i], starts[i + 1]):
                j = columns[k]
                if not seen[j] and weights[k] != 0.0:
                    seen[j], order[count] = True, j
                    count += 1
        reached[first:m] = touches
        depth = max(depth, level)
    begin, most = np.zeros(m + 1, np.int64), 1
    for i in range(n):
        most = max(most, starts[i + 1] - starts[i])
    to, value, edges = np.empty(columns.size, np.int32), np.empty(columns.size), 0
    later, later_value = np.empty(most, np.int32), np.empty(most)
    diagonal, B = np.empty(m), np.zeros((kinds, m))
    for a in range(m):
        i, d, rest = nodes[a], 0.0, 0
        for k in range(starts[i], starts[i + 1]):
            j, w = columns[k], weights[k]
            if w == 0.0 or j == i:
                continue
            d += w
            p = place[j]
            if p < 0:
                for c in range(kinds):
                    B[c, a] += w * labels[c, j]
            elif p < a:  # columns before the diagonal come first, as the sweeps want them
                to[edges], value[edges] = p, -w
                edges += 1
            else:
                later[rest], later_value[rest] = p, -w
                rest += 1
        for k in range(rest):
            to[edges], value[edges] = later[k], later_value[k]
            edges += 1
        diagonal[a] = d
        begin[a + 1] = edges
    to, value = to[:edges].copy(), value[:edges].copy()
    return nodes[:m], reached[:m], depth, begin, to, value, diagonal, B


@jit
def _upper(starts, columns):
    """Where in each row the columns beyond the diagonal begin."""
    upper = np.empty(starts.size - 1, np.int64)
    for i in range(upper.size):
        k = starts[i]
        while k < starts[i + 1] and columns[k] < i:
            k += 1
        upper[i] = k
    return upper


@jit
def _strengths(starts, values):
    most = np.zeros(starts.size - 1)
    for i in range(most.size):
        for k in range(starts[i], starts[i + 1]):
            most[i] = max(most[i], -values[k])
    return STRONG * most


@jit
def _aggregates(starts, columns, values):
    n = starts.size - 1
    bound = _strengths(starts, values)
    of, count = np.full(n, -1, np.int64), 0
    for i in range(n):
        free = of[i] < 0
        for k in range(starts[i], starts[i + 1]):
            j = columns[k]
            if of[j] >= 0 and -values[k] >= min(bound[i], bound[j]):
                free = False
                break
        if free:
            of[i] = count
            for k in range(starts[i], starts[i + 1]):
                j = columns[k]
                if -values[k] >= min(bound[i], bound[j]):
                    of[j] = count
            count += 1
    joined = of.copy()
    for i in range(n):
        if of[i] < 0:
            best, strongest = 0.0, n
            for k in range(starts[i], starts[i + 1]):
                j, w = columns[k], -values[k]
                if of[j] < 0 or w <= 0.0 or w < min(bound[i], bound[j]):
                    continue
                if w > best or (w == best and j < strongest):
                    best, strongest, joined[i] = w, j, of[j]
    for i in range(n):
        if joined[i] < 0:
            joined[i] = count
            for k in range(starts[i], starts[i + 1]):
                j = columns[k]
                if joined[j] < 0 and -values[k] >= min(bound[i], bound[j]):
                    joined[j] = count
            count += 1
    return joined, count


@jit
def _prolongation(starts, columns, values, diagonal, aggregates):
    """P = (I - w D^-1 A) T on strong entries, w = 4/3 over a bound on the spectrum of D^-1 A."""
    n = diagonal.size
    bound = _strengths(starts, values)
    top = 0.0
    for i in range(n):
        s = diagonal[i]
        for k in range(starts[i], starts[i + 1]):
            s += abs(values[k])
        top = max(top, s / diagonal[i])
    w = 4.0 / 3.0 / top
    begin = np.zeros(n + 1, np.int64)
    to, weight = np.empty(n + columns.size, np.int32), np.empty(n + columns.size)
    at, count = np.full(n, -1, np.int64), 0  # where an aggregate stands in the row
    for i in range(n):
        first = count
        own = aggregates[i]
        at[own] = count
        to[count] = own
        count += 1
        d = diagonal[i]
        total = 0.0
        for k in range(starts[i], starts[i + 1]):
            j, v = columns[k], values[k]
            if -v >= min(bound[i], bound[j]):
                c = aggregates[j]
                if at[c] < first:
                    at[c] = count
                    to[count], weight[count] = c, 0.0
                    count += 1
                if c == own:
                    total += v
                else:
                    weight[at[c]] -= w * v / diagonal[i]
            else:
                d += v
        weight[first] = 1.0 - w * (d + total) / diagonal[i]
        begin[i + 1] = count
    return begin, to[:count].copy(), weight[:count].copy()


@jit
def _galerkin(starts, columns, values, diagonal, p_starts, p_columns, p_values, m):
    """P'AP: rows of AP gathered through the transpose of P."""
    n = diagonal.size
    t_starts = np.zeros(m + 1, np.int64)
    for k in range(p_columns.size):
        t_starts[p_columns[k] + 1] += 1
    for c in range(m):
        t_starts[c + 1] += t_starts[c]
    at = t_starts[:-1].copy()
    t_rows, t_values = np.empty(p_columns.size, np.int32), np.empty(p_columns.size)
    for i in range(n):
        for k in range(p_starts[i], p_starts[i + 1]):
            c = p_columns[k]
            t_rows[at[c]], t_values[at[c]] = i, p_values[k]
            at[c] += 1
    # A P
    seen = np.full(m, -1, np.int64)
    q_starts = np.zeros(n + 1, np.int64)
    room = 4 * p_columns.size + m
    q_columns, q_values, count = np.empty(room, np.int32), np.empty(room), 0
    for i in range(n):
        first = count
        for e in range(starts[i] - 1, starts[i + 1]):
            j, v = (i, diagonal[i]) if e < starts[i] else (columns[e], values[e])
            if count + p_starts[j + 1] - p_starts[j] > q_columns.size:
                q_columns, q_values = _grown(q_columns, q_values, count)
            for k in range(p_starts[j], p_starts[j + 1]):
                c = p_columns[k]
                if seen[c] < first:
                    seen[c] = count
                    q_columns[count], q_values[count] = c, 0.0
                    count += 1
                q_values[seen[c]] += v * p_values[k]
        q_starts[i + 1] = count
    # P' (A P), by rows; columns before the diagonal first
    begin, d, edges = np.zeros(m + 1, np.int64), np.zeros(m), 0
    to, value = np.empty(2 * count // 3 + m, np.int32), np.empty(2 * count // 3 + m)
    row, listed, place = np.zeros(m), np.empty(m, np.int64), np.full(m, -1, np.int64)
    for a in range(m):
        size = 0
        for t in range(t_starts[a], t_starts[a + 1]):
            i, v = t_rows[t], t_values[t]
            for k in range(q_starts[i], q_starts[i + 1]):
                c = q_columns[k]
                if place[c] != a:
                    place[c], listed[size], row[c] = a, c, 0.0
                    size += 1
                row[c] += v * q_values[k]
        while edges + size > to.size:
            to, value = _grown(to, value, edges)
        for later in range(2):
            for s in range(size):
                c = listed[s]
                if c == a:
                    d[a] = row[c]
                elif (c > a) == (later == 1) and row[c] != 0.0:
                    to[edges], value[edges] = c, row[c]
                    edges += 1
        begin[a + 1] = edges
    return begin, to[:edges].copy(), value[:edges].copy(), d


@jit
def _grown(columns, values, count):
    more = 2 * columns.size + 1024
    new_columns, new_values = np.empty(more, np.int32), np.empty(more)
    new_columns[:count], new_values[:count] = columns[:count], values[:count]
    return new_columns, new_values


@jit
def _cholesky(starts, columns, values, diagonal):
    n = diagonal.size
    L = np.zeros((n, n))
    for i in range(n):
        L[i, i] = diagonal[i]
        for k in range(starts[i], starts[i + 1]):
            L[i, columns[k]] = values[k]
    for i in range(n):
        for j in range(i):
            s = L[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            L[i, j] = s / L[j, j]
        s = L[i, i]
        for k in range(i):
            s -= L[i, k] * L[i, k]
        L[i, i] = np.sqrt(max(s, 1e-15 * diagonal[i]))
    return L


@jit
def _dense_solve(L, r):
    z = np.empty(r.size)
    n = r.size
    for i in range(n):
        s = np.float64(r[i])
        for k in range(i):
            s -= L[i, k] * z[k]
        z[i] = s / L[i, i]
    for i in range(n - 1, -1, -1):
        z[i] /= L[i, i]
        for k in range(i):
            z[k] -= L[i, k] * z[i]
    return z.astype(r.dtype)


@jit(fastmath=FAST)
def _descend(starts, upper, columns, values, inverse, p_starts, p_columns, p_values, size, r):
    """z by a forward sweep from zero; its residual, which is -U z, restricted."""
    n = r.size
    z, coarse = np.empty_like(r), np.zeros(size, r.dtype)
    for i in range(n):
        s = r[i]
        for k in range(starts[i], upper[i]):
            s -= values[k] * z[columns[k]]
        z[i] = s * inverse[i]
    for i in range(n):
        s = z[i] - z[i]
        for k in range(upper[i], starts[i + 1]):
            s -= values[k] * z[columns[k]]
        for k in range(p_starts[i], p_starts[i + 1]):
            coarse[p_columns[k]] += p_values[k] * s
    return z, coarse


@jit(fastmath=FAST)
def _ascend(
    starts, upper, columns, values, inverse, p_starts, p_columns, p_values, size, r, z, coarse
):
    """Correct z by the coarse solution and sweep backward, in place."""
    n = r.size
    for i in range(n):
        s = z[i]
        for k in range(p_starts[i], p_starts[i + 1]):
            s += p_values[k] * coarse[p_columns[k]]
        z[i] = s
    for i in range(n - 1, -1, -1):
        s = r[i]
        for k in range(starts[i], starts[i + 1]):
            s -= values[k] * z[columns[k]]
        z[i] = s * inverse[i]


@jit(fastmath=FAST)
def _symmetric_sweep(starts, upper, columns, values, inverse, r):
    n = r.size
    z = np.empty_like(r)
    for i in range(n):
        s = r[i]
        for k in range(starts[i], upper[i]):
            s -= values[k] * z[columns[k]]
        z[i] = s * inverse[i]
    for i in range(n - 1, -1, -1):
        s = r[i] - r[i]
        for k in range(upper[i], starts[i + 1]):
            s -= values[k] * z[columns[k]]
        z[i] += s * inverse[i]
    return z
