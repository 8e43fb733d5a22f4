"""Coarse grids whose nodes are connected, in words of the Array-API standard.

A block of 2 x 2 x 2 cells becomes a node for each of its parts that links within the block
connect, so that walls thinner than a block separate what they should. Links join nodes of blocks
next to each other: the blocks' colours serve as the cells' do.
"""

from typing import Any, NamedTuple

from refopt_backends._array_functions import cumulative_sum, unique_values
from refopt_backends._home import namespace_of


class Graph(NamedTuple):
    """Nodes and the links between them, each link in both directions.

    `place` has the three indices of a node's block, counted from 1; `side` is twice the axis of
    a link, plus 1 where it leads ahead.
    """

    place: tuple
    ground: Any
    volume: Any
    start: Any
    end: Any
    side: Any
    weight: Any

    @property
    def black(self):
        return (self.place[0] + self.place[1] + self.place[2]) % 2 == 0

    def rows(self):
        """Degree; for each node its links' ends, filled up with the number of nodes; weights."""
        xp = namespace_of(self.weight)
        n = self.ground.shape[0]
        links = grouped(self.start, n)
        ends = picked(xp.concat([self.end, xp.asarray([n], dtype=self.end.dtype)]), links)
        weights = picked(extended(self.weight), links)
        return self.ground + xp.sum(weights, axis=1), ends, weights


def parts(degree, weights):
    """For each cell the first of its block's cells that it is connected with; how many parts.

    Cells are counted in C order; those without links and air are no part of anything.
    """
    xp = namespace_of(degree)
    own = xp.reshape(xp.arange(degree.size), degree.shape)
    first = xp.where(degree > 0, own, degree.size)
    inner = []
    for axis, w in enumerate(weights):
        shape = tuple(-1 if a == axis else 1 for a in range(3))
        odd = xp.reshape(xp.arange(w.shape[axis]) % 2 == 1, shape)
        inner.append((w > 0) & odd)
    while True:
        before = first
        for axis, joined in enumerate(inner):
            least = xp.minimum(first, xp.roll(first, -1, axis=axis))
            first = xp.where(joined, least, first)
            joined, least = (xp.roll(x, 1, axis=axis) for x in (joined, least))
            first = xp.where(joined, xp.minimum(first, least), first)
        if bool(xp.all(first == before)):
            return first, int(xp.count_nonzero(first == own))


def graph_of(degree, weights, ground, volume):
    """The cells of a grid as a graph; which they are, in C order."""
    xp = namespace_of(degree)
    active = xp.reshape(degree > 0, (-1,))
    (cells,) = xp.nonzero(active)
    number = cumulative_sum(xp.astype(active, xp.int64)) - 1
    _, n1, n2 = degree.shape
    starts, ends, sides, values = [], [], [], []
    for axis, stride in enumerate((n1 * n2, n2, 1)):
        w = xp.take(xp.reshape(weights[axis], (-1,)), cells)
        (here,) = xp.nonzero(w > 0)
        there = xp.take(number, xp.take(cells, here) + stride)
        starts += [here, there]
        ends += [there, here]
        sides += [xp.full(here.shape, 2 * axis + 1), xp.full(here.shape, 2 * axis)]
        values += 2 * [xp.take(w, here)]
    place = (cells // (n1 * n2), cells // n2 % n1, cells % n2)
    ground, volume = (xp.take(xp.reshape(x, (-1,)), cells) for x in (ground, volume))
    return Graph(place, ground, volume, *map(xp.concat, (starts, ends, sides, values))), cells


def coarser_graph(graph, scale):
    """The graph on connected parts of blocks; the part of each node.

    Conductances are in series as on grids. Where a side of a part has links to several parts of
    the next block, what is behind them is shared in proportion to them.
    """
    xp = namespace_of(graph.weight)
    n = graph.ground.shape[0]
    block = tuple((p + 1) // 2 for p in graph.place)
    within = xp.ones(graph.start.shape, dtype=xp.bool)
    for p in block:
        within = within & (xp.take(p, graph.start) == xp.take(p, graph.end))
    first = _first_connected(graph.start[within], graph.end[within], n)
    own = first == xp.arange(n)
    part = xp.take(cumulative_sum(xp.astype(own, xp.int64)) - 1, first)
    count = int(xp.count_nonzero(own))
    members = grouped(part, count)

    def total(values):
        return xp.sum(picked(extended(values), members), axis=1, dtype=values.dtype)

    volume = total(graph.volume)
    side, start = graph.side[within], xp.take(part, graph.start[within])
    inner = _sums(6 * start + side, 6 * count, graph.weight[within])
    behind = []  # per side: resistance between the centre of mass and that half
    for number in range(6):
        low = xp.where(graph.place[number // 2] % 2 == number % 2, graph.volume, 0.0)
        links = xp.reshape(inner, (count, 6))[:, number] * volume
        beyond = total(xp.astype(low, graph.volume.dtype))
        behind.append(xp.where(links > 0, beyond / xp.where(links > 0, links, 1.0), 0.0))
    behind = xp.reshape(xp.stack(behind, axis=1), (-1,))
    start, end = (xp.take(part, x[~within]) for x in (graph.start, graph.end))
    keys = (start * count + end) * 6 + graph.side[~within]
    links = xp.sort(unique_values(keys))
    weight = _sums(xp.searchsorted(links, keys), links.shape[0], graph.weight[~within])
    side, end, start = links % 6, links // 6 % count, links // 6 // count
    faces = _sums(6 * start + side, 6 * count, weight)
    resistance = faces * behind
    other = 6 * end + side + 1 - 2 * (side % 2)
    weight = weight / (1.0 + xp.take(resistance, 6 * start + side) + xp.take(resistance, other))
    ground = scale * total(graph.ground)
    place = tuple(p[own] for p in block)
    return Graph(place, ground, volume, start, end, side, weight), part, members


def grouped(group, count):
    """For each group the numbers of its items, filled up with the number of items."""
    xp = namespace_of(group)
    n = group.shape[0]
    order = xp.argsort(group)
    bounds = xp.searchsorted(xp.take(group, order), xp.arange(count + 1))
    sizes = bounds[1:] - bounds[:-1]
    width = int(xp.max(sizes)) if count else 0
    rank = xp.arange(width)[None, :]
    at = xp.where(rank < sizes[:, None], bounds[:-1, None] + rank, n)
    order = xp.concat([order, xp.asarray([n], dtype=order.dtype)])
    return picked(order, at)


def picked(x, table):
    """x[table]."""
    xp = namespace_of(x)
    return xp.reshape(xp.take(x, xp.reshape(table, (-1,))), table.shape)


def extended(x):
    """All entries, and a zero."""
    xp = namespace_of(x)
    return xp.concat([xp.reshape(x, (-1,)), xp.zeros(1, dtype=x.dtype)])


def _sums(group, count, values):
    xp = namespace_of(values)
    return xp.sum(picked(extended(values), grouped(group, count)), axis=1, dtype=values.dtype)


def _first_connected(start, end, n):
    """For each of n nodes the first one that links connect it with."""
    xp = namespace_of(start)
    ends = picked(xp.concat([end, xp.asarray([n], dtype=end.dtype)]), grouped(start, n))
    first = xp.arange(n)
    last = xp.asarray([n], dtype=first.dtype)
    while True:
        before = first
        if ends.shape[1]:
            near = xp.min(picked(xp.concat([first, last]), ends), axis=1)
            first = xp.minimum(first, near)
        if bool(xp.all(first == before)):
            return first
