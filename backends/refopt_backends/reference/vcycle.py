"""The multilevel network on grids, in words of the Array-API standard.

Fields are padded as in `poisson`, to even extents: cells with an even sum of indices are called
black, the others red, and all neighbours of a cell have the other colour. Every level has a
matrix D - W with links W >= 0 to the next cell along each axis and a part of D towards air.
"""

from itertools import pairwise
from typing import Any, NamedTuple

from refopt_backends._array_functions import cumulative_sum
from refopt_backends._home import namespace_of
from refopt_backends.reference.connected_grids import (
    coarser_graph,
    extended,
    graph_of,
    parts,
    picked,
)

# Share of blocks with more than one part from which on these become nodes of their own.
SPLIT = 0.005

INNER = (slice(1, -1),) * 3


class Level(NamedTuple):
    """One matrix and how it is worked on.

    `weights` are fields of links along each axis or, on a graph, rows of links, which lead to
    the nodes that `ends` says. `sweeps` are the weights of the relaxations before the coarse
    correction, and in reverse after it; `factor` is that of the correction.
    """

    degree: Any
    weights: Any
    ground: Any
    volume: Any
    black: Any
    sweeps: tuple
    factor: float
    ends: Any = None


class Parts(NamedTuple):
    """How a level's nodes make up those of the next: the number of each one's, and the reverse."""

    number: Any
    members: Any


class Hierarchy(NamedTuple):
    """The levels, finest first; `Parts` between two of them, or None where all are blocks.

    `cells` are the places of the unknowns in a finest field.
    """

    levels: list
    steps: list
    cells: Any

    @property
    def sizes(self):
        """Number of unknowns of each level."""
        marks = [self.levels[0].volume, *(level.degree for level in self.levels[1:])]
        return [int(namespace_of(x).count_nonzero(x > 0)) for x in marks]


def vcycle_setup(types, degree, dirichlet, weights, parameters):
    """The matrices of all levels; see `_coarser` for how one follows from another."""
    xp = namespace_of(types)
    degree, ground, volume = finest(types, degree, dirichlet)
    if weights is None:
        weights = unit_links(volume)
    else:
        weights = tuple(xp.astype(even(w), xp.float32) for w in weights)
    rows = rows_of_levels(parameters, degree.shape)
    matrix = (degree, weights, ground, volume)
    levels: list[Level] = [_level(matrix, rows[0])]
    steps: list[Parts | None] = []
    for k, row in enumerate(rows[1:]):
        if _splits(levels[-1]):
            more, parts_of_more = graph_levels(levels[-1], rows[k:])
            levels, steps = levels + more, steps + parts_of_more
            break
        levels.append(_level(_coarser(levels[-1], rows[k][3]), row))
        steps.append(None)
    return Hierarchy(levels, steps, xp.nonzero(_flat(volume) > 0)[0])


def finest(types, degree, dirichlet):
    """The finest level's degree, ground and volume: even fields of float32."""
    xp = namespace_of(types)
    return tuple(xp.astype(even(x), xp.float32) for x in (degree, dirichlet, types == 1))


def unit_links(volume):
    """1 between cells next to each other that have a volume."""
    xp = namespace_of(volume)
    fluid = volume > 0
    return tuple(xp.astype(fluid & _ahead(fluid, axis), xp.float32) for axis in range(3))


def extents_of_levels(shape):
    """Even padded extents of the grids of all levels, until there is one block."""
    extents, blocks = [shape], None
    while blocks != (1, 1, 1):
        blocks = tuple(n // 2 - 1 for n in extents[-1])
        extents.append(tuple(n + 2 + n % 2 for n in blocks))
    return extents


def rows_of_levels(parameters, shape):
    """The parameters of each level."""
    parameters = [tuple(map(float, row)) for row in parameters]
    count = len(extents_of_levels(shape))
    return [parameters[min(k, len(parameters) - 1)] for k in range(count)]


def graph_levels(level, rows):
    """The levels that follow a grid whose blocks have many parts, and their parts."""
    graph, cells = graph_of(level.degree, level.weights, level.ground, level.volume)
    levels, steps = [], []
    for (*_, scale), row in pairwise(rows):
        graph, number, members = coarser_graph(graph, scale)
        steps.append(Parts(number, members))
        levels.append(_graph_level(graph, row))
    steps[0] = _of_cells(steps[0], cells, level.degree)
    return levels, steps


def vcycle(hierarchy, r):
    """z = M r: one cycle from zero, in float32."""
    xp = namespace_of(r)
    z = _cycle(hierarchy.levels, hierarchy.steps, even(xp.astype(r, xp.float32)))
    n0, n1, n2 = r.shape
    return xp.asarray(z[:n0, :n1, :n2], copy=True)


class Search:
    """Conjugate gradients under way: x, r, the direction p in float64, M in float32."""

    def __init__(self, hierarchy, b, scale):
        xp = namespace_of(b)
        self.hierarchy, self.scale = hierarchy, float(scale)
        level = hierarchy.levels[0]
        self.weights = tuple(xp.astype(w, xp.float64) for w in level.weights)
        self.degree = xp.astype(level.degree, xp.float64)
        self.black = level.black & (self.degree > 0)
        self.red = ~level.black & (self.degree > 0)
        fluid = _flat(level.volume) > 0
        place = xp.where(fluid, cumulative_sum(xp.astype(fluid, xp.int64)) - 1, b.shape[0])
        entries = xp.concat([b / self.scale, xp.zeros(1, dtype=xp.float64)])
        self.b = xp.reshape(xp.take(entries, place), level.degree.shape)
        self.x = xp.zeros(self.b.shape, dtype=xp.float64)
        self.begin()

    def begin(self):
        """Red cells are solved exactly, and remain so: r is zero there from now on."""
        xp = namespace_of(self.b)
        self.solve_red()
        r = self.b - self.degree * self.x + _neighbours(self.weights, self.x)
        self.r = xp.where(self.black, r, 0.0)
        self.p, self.rho = xp.zeros(r.shape, dtype=xp.float64), None

    def solve_red(self):
        self.x = self.with_red(self.b, self.x)

    def with_red(self, b, x):
        """Red cells solved from the black ones."""
        xp = namespace_of(x)
        t = (b + _neighbours(self.weights, x)) / xp.where(self.red, self.degree, 1.0)
        return xp.where(self.red, t, x)


def vcycle_cg_start(hierarchy, b, scale):
    return Search(hierarchy, b, scale)


def vcycle_cg_step(state):
    xp = namespace_of(state.r)
    norm = float(xp.sum(state.r * state.r)) ** 0.5
    if norm == 0.0:
        return 0.0, 0.0
    z = _cycle(state.hierarchy.levels, state.hierarchy.steps, xp.astype(state.r / norm, xp.float32))
    z = norm * xp.astype(z, xp.float64)
    rho = float(xp.sum(z * state.r))
    state.p = z + (0.0 if state.rho is None else rho / state.rho) * state.p
    state.p = state.with_red(0.0, state.p)  # z has them in single precision
    state.rho = rho
    q = state.degree * state.p - _neighbours(state.weights, state.p)
    q = xp.where(state.black, q, 0.0)
    curvature = float(xp.sum(state.p * q))
    alpha = rho / curvature
    state.x = state.x + alpha * state.p
    state.r = state.r - alpha * q
    return float(xp.sum(state.r * state.r)) * state.scale**2, rho * alpha * state.scale


def vcycle_cg_solution(state):
    state.solve_red()
    return namespace_of(state.x).take(_flat(state.x), state.hierarchy.cells)


def vcycle_cg_residual(state):
    xp = namespace_of(state.x)
    state.solve_red()
    r = state.b - state.degree * state.x + _neighbours(state.weights, state.x)
    r = xp.where(state.degree > 0, r, state.b)
    rr = float(xp.sum(r * r)) * state.scale**2
    return rr, -0.5 * float(xp.sum(state.x * (state.b + r))) * state.scale


def vcycle_cg_restart(state):
    state.begin()


def _flat(field):
    return namespace_of(field).reshape(field, (-1,))


def _cycle(levels, steps, b):
    """Red cells are eliminated exactly, black ones relaxed on what is left."""
    level, coarser = levels[0], levels[1:]
    xp = namespace_of(b)
    x = _relaxed(level, xp.zeros(b.shape, dtype=b.dtype), b, ~level.black, 1.0)
    for w in level.sweeps:
        x = _relaxed(level, x, b, level.black, w)
        x = _relaxed(level, x, b, ~level.black, 1.0)
    if coarser:
        r = b + _from_neighbours(level, x) - level.degree * x
        r = xp.where(level.black & (level.degree > 0), r, 0.0)
        if steps[0] is None:
            e = _prolonged(_cycle(coarser, steps[1:], even(_block_sums(r))), b.shape)
        else:
            r = xp.sum(picked(extended(r), steps[0].members), axis=1, dtype=r.dtype)
            e = picked(extended(_cycle(coarser, steps[1:], r)), steps[0].number)
        x = x + xp.where(level.black & (level.degree > 0), level.factor * e, 0.0)
        x = _relaxed(level, x, b, ~level.black, 1.0)
    for w in level.sweeps[::-1]:
        x = _relaxed(level, x, b, level.black, w)
        x = _relaxed(level, x, b, ~level.black, 1.0)
    return x


def _relaxed(level, x, b, cells, w):
    """x + w (b - A x) / D on some cells."""
    xp = namespace_of(x)
    positive = level.degree > 0
    update = (b + _from_neighbours(level, x)) / xp.where(positive, level.degree, 1.0)
    update = xp.where(positive, (1.0 - w) * x + w * update, 0.0)
    return xp.where(cells, update, x)


def _coarser(level, scale):
    """The matrix on blocks of 2 x 2 x 2 cells.

    Links are conductances. Between the centres of mass of two blocks the four conductances
    through their common face stand in series with those within each block, which vary along
    the axis over the part of the block's volume that lies on the other side of its middle.
    Conductances to air are added up and scaled.
    """
    weights = []
    xp = namespace_of(level.degree)
    for axis, w in enumerate(level.weights):
        inner, face = _halves(w, axis)
        low, high = _halves(level.volume, axis)
        per = xp.where(inner > 0, 1.0 / xp.where(inner > 0, (low + high) * inner, 1.0), 0.0)
        behind = even(low * per) + _ahead(even(high * per), axis)
        weights.append(even(face) / (1.0 + even(face) * behind))
    ground = even(scale * _block_sums(level.ground))
    degree = ground
    for axis, w in enumerate(weights):
        degree = degree + w + _behind(w, axis)
    return degree, tuple(weights), ground, even(_block_sums(level.volume))


def _splits(level):
    """Whether more than a few blocks have several parts."""
    xp = namespace_of(level.degree)
    _, count = parts(level.degree, level.weights)
    active = xp.astype(level.degree > 0, xp.float32)
    blocks = int(xp.count_nonzero(_block_sums(active) > 0))
    return count - blocks > SPLIT * blocks


def _of_cells(step, cells, degree):
    """Parts of those cells of a grid that are nodes."""
    xp = namespace_of(degree)
    count, size = step.members.shape[0], degree.size
    node = cumulative_sum(xp.astype(xp.reshape(degree > 0, (-1,)), xp.int64)) - 1
    node = xp.reshape(xp.where(node < 0, 0, node), degree.shape)
    number = xp.where(degree > 0, picked(step.number, node), count)
    cells = xp.concat([cells, xp.asarray([size], dtype=cells.dtype)])
    return Parts(number, picked(cells, step.members))


def _level(matrix, parameters):
    degree, weights, ground, volume = matrix
    xp = namespace_of(ground)
    n0, n1, n2 = (xp.arange(n) for n in degree.shape)
    black = (n0[:, None, None] + n1[None, :, None] + n2[None, None, :]) % 2 == 0
    sweeps, factor = work_of(parameters)
    return Level(degree, weights, ground, volume, black, sweeps, factor)


def _graph_level(graph, parameters):
    degree, ends, weights = graph.rows()
    sweeps, factor = work_of(parameters)
    ground, volume = graph.ground, graph.volume
    return Level(degree, weights, ground, volume, graph.black, sweeps, factor, ends)


def work_of(parameters):
    first, second, factor, _ = parameters
    return (first,) if second == 0 else (first, second), factor


def _from_neighbours(level, x):
    if level.ends is None:
        return _neighbours(level.weights, x)
    xp = namespace_of(x)
    return xp.sum(level.weights * picked(extended(x), level.ends), axis=1, dtype=x.dtype)


def _neighbours(weights, x):
    """The sum of W x over neighbours."""
    xp = namespace_of(x)
    total = xp.zeros(x.shape, dtype=x.dtype)
    for axis, w in enumerate(weights):
        total = total + w * _ahead(x, axis) + _behind(w * x, axis)
    return total


def even(x):
    """Layers of zeros after the last, until the padded extents are even."""
    xp = namespace_of(x)
    for axis, n in enumerate(x.shape):
        if n % 2:
            shape = tuple(1 if a == axis else m for a, m in enumerate(x.shape))
            x = xp.concat([x, xp.zeros(shape, dtype=x.dtype)], axis=axis)
    return x


def _along(axis, part):
    return tuple(part if a == axis else slice(None) for a in range(3))


def _ahead(x, axis):
    """The value of the next cell along an axis."""
    xp = namespace_of(x)
    return xp.concat([x[_along(axis, slice(1, None))], x[_along(axis, slice(0, 1))]], axis=axis)


def _behind(x, axis):
    xp = namespace_of(x)
    return xp.concat([x[_along(axis, slice(-1, None))], x[_along(axis, slice(0, -1))]], axis=axis)


def _blocks(x):
    """The inner cells with an axis within blocks after each axis of blocks."""
    xp = namespace_of(x)
    n0, n1, n2 = (n // 2 - 1 for n in x.shape)
    return xp.reshape(x[INNER], (n0, 2, n1, 2, n2, 2))


def _padded(x):
    xp = namespace_of(x)
    out = xp.zeros(tuple(n + 2 for n in x.shape), dtype=x.dtype)
    out[INNER] = x
    return out


def _block_sums(x):
    xp = namespace_of(x)
    return _padded(xp.sum(_blocks(x), axis=(1, 3, 5), dtype=x.dtype))


def _halves(x, axis):
    """Sums over the lower and the upper half of each block along an axis."""
    xp = namespace_of(x)
    blocks = _blocks(x)
    others = tuple(a for a in (1, 3, 5) if a != 2 * axis + 1)
    sums = xp.sum(blocks, axis=others, dtype=x.dtype)
    place = tuple(slice(None) for _ in range(axis + 1))
    return _padded(sums[place + (0, ...)]), _padded(sums[place + (1, ...)])


def _prolonged(e, shape):
    """Each block's value on its cells."""
    xp = namespace_of(e)
    n0, n1, n2 = (n // 2 - 1 for n in shape)
    e = e[1 : n0 + 1, 1 : n1 + 1, 1 : n2 + 1]
    return _padded(xp.repeat(xp.repeat(xp.repeat(e, 2, axis=0), 2, axis=1), 2, axis=2))
