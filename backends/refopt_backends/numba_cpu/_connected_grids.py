"""Coarse grids whose nodes are connected, compiled for the CPU.

The levels below the first one of which blocks fall into parts: nodes, black ones first, with
their links in compressed rows. The mathematics is that of `reference.connected_grids`.
"""

from typing import NamedTuple

import numba
import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit, parallel_jit, run_parallel
from refopt_backends.numba_cpu._union_find import find, unite

REAL = np.float32
# Share of blocks with more than one part from which on these become nodes of their own.
SPLIT = 0.005


class Nodes(NamedTuple):
    """A graph while it is coarsened: each link once, from `start` ahead along `axis` to `end`."""

    place: np.ndarray
    ground: np.ndarray
    volume: np.ndarray
    start: np.ndarray
    end: np.ndarray
    axis: np.ndarray
    weight: np.ndarray


class GraphLevel(NamedTuple):
    """A matrix in compressed rows; `x` and `rhs` have an entry more, for cells that are no node."""

    begin: np.ndarray
    ends: np.ndarray
    weights: np.ndarray
    degree: np.ndarray
    rhs: np.ndarray
    x: np.ndarray
    black: int


# --- parts of blocks


@jit
def _parts_by_links():
    """For each set of the 12 links within a block, the number of parts of its 8 cells."""
    table, head = np.zeros(4096, np.uint8), np.zeros(8, np.int64)
    for links in range(4096):
        for cell in range(8):
            head[cell] = cell
        for axis in range(3):
            for corner in range(4):
                if links >> (4 * axis + corner) & 1:
                    low = corner & ((1 << axis) - 1)
                    cell = low + ((corner - low) << 1)
                    unite(head, cell, cell + (1 << axis))
        for cell in range(8):
            table[links] += head[cell] == cell
    return table


@jit
def _count_parts(w0, w1, w2, ground, volume, table):
    """The number of parts of all blocks, and of blocks with any."""
    n0, n1, n2 = ground.shape
    total = blocks = 0
    for i in range(1, n0 - 1, 2):
        for j in range(1, n1 - 1, 2):
            for k in range(1, n2 - 1, 2):
                links = 0
                for corner in range(4):
                    p, q = corner & 1, corner >> 1
                    links |= (w0[i, j + p, k + q] > 0) << corner
                    links |= (w1[i + p, j, k + q] > 0) << (4 + corner)
                    links |= (w2[i + p, j + q, k] > 0) << (8 + corner)
                if links == 4095:
                    total += 1
                    blocks += 1
                    continue
                active = 0
                for corner in range(8):
                    a, b, c = i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2)
                    if volume[a, b, c] > 0:
                        active += _is_node(w0, w1, w2, ground, a, b, c)
                if active:
                    total += table[links] + active - 8
                    blocks += 1
    return total, blocks


@jit
def _is_node(w0, w1, w2, ground, i, j, k):
    return (
        ground[i, j, k] > 0
        or w0[i, j, k] > 0
        or w0[i - 1, j, k] > 0
        or w1[i, j, k] > 0
        or w1[i, j - 1, k] > 0
        or w2[i, j, k] > 0
        or w2[i, j, k - 1] > 0
    )


@jit
def _count_unit_parts(types, degree, table):
    """The same where every link between fluid cells is there."""
    n0, n1, n2 = types.shape
    total = blocks = 0
    cells = np.zeros(8, np.uint8)
    for i in range(1, n0 - 1, 2):
        for j in range(1, n1 - 1, 2):
            for k in range(1, n2 - 1, 2):
                fluid = 0
                for corner in range(8):
                    a, b, c = i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2)
                    cells[corner] = types[a, b, c] == 1
                    fluid += cells[corner]
                if fluid == 0:
                    continue
                if fluid == 8:
                    total += 1
                    blocks += 1
                    continue
                links = active = 0
                for corner in range(4):
                    p, q = corner & 1, corner >> 1
                    links |= (cells[2 * p + 4 * q] & cells[1 + 2 * p + 4 * q]) << corner
                    links |= (cells[p + 4 * q] & cells[2 + p + 4 * q]) << (4 + corner)
                    links |= (cells[p + 2 * q] & cells[4 + p + 2 * q]) << (8 + corner)
                for corner in range(8):
                    a, b, c = i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2)
                    active += cells[corner] and degree[a, b, c] > 0
                if active:
                    total += table[links] + active - 8
                    blocks += 1
    return total, blocks


def falls_apart(weights, ground, volume):
    """Whether blocks have more parts than a few of them."""
    parts, blocks = _count_parts(*weights, ground, volume, _parts_by_links())
    return parts - blocks > SPLIT * blocks


def unit_falls_apart(types, degree):
    """The same for the links between fluid cells."""
    parts, blocks = _count_unit_parts(types, degree, _parts_by_links())
    return parts - blocks > SPLIT * blocks


@jit
def _nodes_of(w0, w1, w2, ground, volume):
    """The cells of a grid as a graph, and their numbers, -1 where there is none."""
    n0, n1, n2 = ground.shape
    number = np.full(ground.shape, -1, np.int32)
    n = m = 0
    for i in range(1, n0 - 1):
        for j in range(1, n1 - 1):
            for k in range(1, n2 - 1):
                if volume[i, j, k] > 0 and _is_node(w0, w1, w2, ground, i, j, k):
                    number[i, j, k] = n
                    n += 1
                    m += (w0[i, j, k] > 0) + (w1[i, j, k] > 0) + (w2[i, j, k] > 0)
    place = np.empty((n, 3), np.int32)
    own, size = np.empty(n, REAL), np.empty(n, REAL)
    start, end, axes = np.empty(m, np.int32), np.empty(m, np.int32), np.empty(m, np.int8)
    weight = np.empty(m, REAL)
    m = 0
    for i in range(1, n0 - 1):
        for j in range(1, n1 - 1):
            for k in range(1, n2 - 1):
                a = number[i, j, k]
                if a < 0:
                    continue
                place[a, 0], place[a, 1], place[a, 2] = i, j, k
                own[a], size[a] = ground[i, j, k], volume[i, j, k]
                for axis in range(3):
                    w = (w0[i, j, k], w1[i, j, k], w2[i, j, k])[axis]
                    if w > 0:
                        start[m], axes[m], weight[m] = a, axis, w
                        end[m] = number[i + (axis == 0), j + (axis == 1), k + (axis == 2)]
                        m += 1
    return (place, own, size, start, end, axes, weight), number


@jit
def _coarser(place, ground, volume, start, end, axis, weight, scale):
    """The graph on connected parts of blocks, black ones first; the part of each node."""
    n = ground.size
    head = np.arange(n).astype(np.int32)
    within = np.empty(start.size, np.bool_)
    for e in range(start.size):
        a, x = start[e], axis[e]
        within[e] = place[a, x] & 1  # and so the next one is in the same block
        if within[e]:
            unite(head, a, end[e])
    black = count = 0
    for i in range(n):
        if head[i] == i:
            count += 1
            black += _sum_of_block(place, i) & 1 == 0
    part = np.empty(n, np.int32)
    blocks = np.empty((count, 3), np.int32)
    next_black, next_red = 0, black
    for i in range(n):
        root = find(head, i)
        if root == i:
            if _sum_of_block(place, i) & 1 == 0:
                c = next_black
                next_black += 1
            else:
                c = next_red
                next_red += 1
            for x in range(3):
                blocks[c, x] = (place[i, x] + 1) // 2
            part[i] = c
        else:
            part[i] = part[root]
    sums, size = np.zeros(count, REAL), np.zeros(count, REAL)
    beyond = np.zeros((count, 3, 2), REAL)  # volume of the lower and upper half
    for i in range(n):
        c = part[i]
        sums[c] += scale * ground[i]
        size[c] += volume[i]
        for x in range(3):
            beyond[c, x, 1 - (place[i, x] & 1)] += volume[i]
    inner = np.zeros((count, 3), REAL)
    links = _merged(start, end, axis, weight, within, part, count, inner)
    new_start, new_end, new_axis, faces = links
    resistance = np.zeros((count, 3, 2), REAL)  # times the conductance of all links of a side
    for e in range(faces.size):
        a, b, x = new_start[e], new_end[e], new_axis[e]
        resistance[a, x, 1] += faces[e]
        resistance[b, x, 0] += faces[e]
    for c in range(count):
        for x in range(3):
            per = inner[c, x] * size[c]
            for side in range(2):
                behind = beyond[c, x, 1 - side] / per if per > 0 else REAL(0)
                resistance[c, x, side] *= behind
    for e in range(faces.size):
        a, b, x = new_start[e], new_end[e], new_axis[e]
        faces[e] /= REAL(1) + resistance[a, x, 1] + resistance[b, x, 0]
    return (blocks, sums, size, new_start, new_end, new_axis, faces), part, black


@jit
def _sum_of_block(place, i):
    return (place[i, 0] + 1) // 2 + (place[i, 1] + 1) // 2 + (place[i, 2] + 1) // 2


@jit
def _merged(start, end, axis, weight, within, part, count, inner):
    """Links between parts, each pair once; `inner` has those within parts added."""
    first = np.zeros(count + 1, np.int64)
    for e in range(start.size):
        if within[e]:
            inner[part[start[e]], axis[e]] += weight[e]
        else:
            first[part[start[e]] + 1] += 1
    first = np.cumsum(first)
    at, order = first[:-1].copy(), np.empty(first[-1], np.int64)
    for e in range(start.size):
        if not within[e]:
            a = part[start[e]]
            order[at[a]] = e
            at[a] += 1
    found = np.full(count, -1, np.int64)
    m = 0
    new_start, new_end = np.empty(order.size, np.int32), np.empty(order.size, np.int32)
    new_axis, new_weight = np.empty(order.size, np.int8), np.empty(order.size, REAL)
    for a in range(count):
        begin = m
        for t in range(first[a], first[a + 1]):
            e = order[t]
            b = part[end[e]]
            if found[b] < begin:
                found[b] = m
                new_start[m], new_end[m], new_axis[m], new_weight[m] = a, b, axis[e], 0
                m += 1
            new_weight[found[b]] += weight[e]
    return new_start[:m].copy(), new_end[:m].copy(), new_axis[:m].copy(), new_weight[:m].copy()


@jit
def _rows(ground, start, end, weight):
    """Compressed rows of the links in both directions; degrees."""
    n = ground.size
    begin, degree = np.zeros(n + 1, np.uint32), ground.copy()
    for e in range(start.size):
        begin[start[e] + 1] += 1
        begin[end[e] + 1] += 1
    for i in range(n):
        begin[i + 1] += begin[i]
    at = begin[:-1].copy()
    ends, weights = np.empty(2 * start.size, np.uint32), np.empty(2 * start.size, REAL)
    for e in range(start.size):
        a, b, w = start[e], end[e], weight[e]
        ends[at[a]], weights[at[a]] = b, w
        ends[at[b]], weights[at[b]] = a, w
        at[a] += 1
        at[b] += 1
        degree[a] += w
        degree[b] += w
    return begin, ends, weights, degree


def graph_levels(weights, ground, volume, scale_of):
    """Levels of graphs below a grid, and the part of each cell or node in the next level.

    Parameters
    ----------
    weights, ground, volume
        Fields of the grid, of even extents.
    scale_of : callable
        Number of a level, the first graph's being 0 -> factor of its links to air.
    """
    nodes, number = _nodes_of(*weights, ground, volume)
    levels, parts, shape, blocks = [], [], ground.shape, None
    while blocks != (1, 1, 1):
        blocks = tuple(n // 2 - 1 for n in shape)
        shape = tuple(n + 2 + n % 2 for n in blocks)
        nodes, part, black = _coarser(*nodes, REAL(scale_of(len(levels))))
        nodes = Nodes(*nodes)
        count = nodes.ground.size
        rows = _rows(nodes.ground, nodes.start, nodes.end, nodes.weight)
        levels.append(
            GraphLevel(*rows, np.zeros(count + 1, REAL), np.zeros(count + 1, REAL), black)
        )
        if number is not None:
            part = np.append(part, np.int32(count))[number]
            number = None
        parts.append(part.view(np.uint32))
    return levels, parts


# --- sweeps


@jit(fastmath=FAST)
def _relax_rows(begin, ends, weights, degree, rhs, x, first, last, keep, w):
    """x <- keep x + w (rhs + sum of W x) / D on some nodes."""
    for i in range(np.uint64(first), np.uint64(last)):
        t = rhs[i]
        for e in range(begin[i], begin[i + np.uint64(1)]):
            t += weights[e] * x[ends[e]]
        x[i] = keep * x[i] + w * t / degree[i] if degree[i] > 0 else REAL(0)


@jit
def _sweep_serial(rows, black, sweeps):
    for colour, keep, w in sweeps:
        first, last = (0, black) if colour == 0 else (black, rows[3].size)
        _relax_rows(*rows, first, last, keep, w)


@parallel_jit
def _sweep_parallel(rows, black, sweeps):
    pieces = 8
    for colour, keep, w in sweeps:
        first, last = (0, black) if colour == 0 else (black, rows[3].size)
        for s in numba.prange(pieces):
            begin = first + s * (last - first) // pieces
            end = first + (s + 1) * (last - first) // pieces
            _relax_rows(*rows, begin, end, keep, w)


def _relax(level, sweeps):
    """Sweeps over one colour each, given as (colour, keep, weight)."""
    args = (level[:-1], level.black, np.array(sweeps, REAL))
    run_parallel(level.ends.size, _sweep_parallel, _sweep_serial, *args)


@jit(fastmath=FAST)
def _restrict(begin, ends, weights, degree, rhs, x, black, part, coarse):
    """Black nodes' residual, summed over parts."""
    coarse[:] = 0
    for i in range(np.uint64(black)):
        t = rhs[i] - degree[i] * x[i]
        for e in range(begin[i], begin[i + np.uint64(1)]):
            t += weights[e] * x[ends[e]]
        coarse[part[i]] += t if degree[i] > 0 else REAL(0)


@jit(fastmath=FAST)
def _correct(degree, x, black, part, coarse, factor):
    for i in range(np.uint64(black)):
        x[i] += factor * coarse[part[i]] if degree[i] > 0 else REAL(0)


def graph_cycle(levels, parts, sweeps):
    """The cycle from the first graph down and back."""
    red = (1, 0, 1)  # solved from the black nodes
    for number, level in enumerate(levels):
        w1, w2, _ = sweeps[number]
        level.x[:-1] = 0
        _relax(level, (red, (0, 0, w1), red, (0, 1 - w2, w2), red)[: 5 if w2 else 3])
        if number + 1 < len(levels):
            _restrict(*level, parts[number], levels[number + 1].rhs)
    for number in range(len(levels) - 1, -1, -1):
        level, (w1, w2, factor) = levels[number], sweeps[number]
        if number + 1 < len(levels):
            e = levels[number + 1].x
            _correct(level.degree, level.x, level.black, parts[number], e, factor)
        _relax(level, (red, (0, 1 - w2, w2), red, (0, 1 - w1, w1), red)[0 if w2 else 2 :])
