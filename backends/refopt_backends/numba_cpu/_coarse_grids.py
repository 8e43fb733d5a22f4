"""The multilevel network on grids, compiled for the CPU.

A field is stored by colours: the cells of a padded grid with an even (black) and with an odd
(red) sum of indices, each as ``[i, j, m]``, where m counts the cells of that colour along the
last axis. All neighbours of a cell have the other colour; those across the first two axes have
the same m, those along the last axis are m and the next one, or the one before, in turn from
row to row. With the row views ``[start : start + width]`` of `_start` the loops know nothing of
this: neighbours along the row are ``[:width]`` and ``[1:]``.
"""

from typing import NamedTuple

import numba
import numpy as np

from refopt_backends.numba_cpu._connected_grids import (
    falls_apart,
    graph_cycle,
    graph_levels,
    unit_falls_apart,
)
from refopt_backends.numba_cpu._jit import FAST, jit, parallel_jit, run_parallel

REAL = np.float32
ZERO, ONE, TWO = np.uint64(0), np.uint64(1), np.uint64(2)  # unsigned: `_jit.unsigned`
SERIAL_BELOW = 2**16  # cells of a level from which on all are worked off in one call


class Level(NamedTuple):
    """A coarse level; each array has the colours first."""

    degree: np.ndarray
    weights: np.ndarray  # to the next cell along each axis
    rhs: np.ndarray
    x: np.ndarray


class Levels(NamedTuple):
    """Levels, as views and, where they are small, as one array of each kind; graphs after them.

    With graphs no level counts as small, and `parts` has the node of each black cell or node in
    the next level, for the last of the grids and for the graphs.
    """

    large: list
    every: list
    sweeps: np.ndarray  # of each level: two weights, and the factor of its coarse correction
    table: np.ndarray  # of each small level: extents and first entry
    flat: tuple
    graphs: list
    parts: list

    @property
    def first(self):
        """The finest of them."""
        return (self.every or self.graphs)[0]

    @property
    def sizes(self):
        """Number of unknowns of each level."""
        return [int(np.count_nonzero(level.degree > 0)) for level in self.every + self.graphs]


@jit
def by_colour(field):
    """A field of cells, of even extents, by colours."""
    n0, n1, n2 = field.shape
    out = np.empty((2, n0, n1, n2 // 2), field.dtype)
    for i in range(np.uint64(n0)):
        for j in range(np.uint64(n1)):
            part(field[i, j], out, i, j)
    return out


@jit
def by_cell(colours, shape):
    """The inverse, cut to `shape`."""
    n0, n1, n2 = shape
    out = np.empty(shape, colours.dtype)
    line = np.empty(2 * colours.shape[3], colours.dtype)
    for i in range(np.uint64(n0)):
        for j in range(np.uint64(n1)):
            interlace(colours, i, j, line)
            out[i, j] = line[:n2]
    return out


@jit
def first_of(i, j, colour):
    """m of the first cell of row (i, j) that is not on the rim."""
    return ONE - ((i + j + colour) & ONE)


# --- sweeps over plane i of one colour, from the other colour


@jit(fastmath=FAST)
def _links_times(own, other, y, i, j, a, k):
    """The sum of W y over the neighbours of the k-th cell of a row, m = a."""
    return (
        (own[0, i, j, a] * y[i + ONE, j, a] + other[0, i - ONE, j, a] * y[i - ONE, j, a])
        + (own[1, i, j, a] * y[i, j + ONE, a] + other[1, i, j - ONE, a] * y[i, j - ONE, a])
        + (own[2, i, j, a] * y[i, j, k + ONE] + other[2, i, j, k] * y[i, j, k])
    )


@jit(fastmath=FAST)
def _relax(degree, weights, rhs, x, colour, keep, w, i):
    """x <- keep x + w (rhs + sum of W x) / D on cells of one colour."""
    i, colour = np.uint64(i), np.uint64(colour)
    n1, width = np.uint64(x.shape[2]), np.uint64(x.shape[3] - 1)
    own, other = weights[colour], weights[ONE - colour]
    out, y, b, d = x[colour], x[ONE - colour], rhs[colour], degree[colour]
    for j in range(ONE, n1 - ONE):
        s = first_of(i, j, colour)
        for k in range(width):
            a = s + k
            t = b[i, j, a] + _links_times(own, other, y, i, j, a, k)
            t = keep * out[i, j, a] + w * t / d[i, j, a]
            out[i, j, a] = t if d[i, j, a] > 0 else REAL(0)


@jit(fastmath=FAST)
def _divide(degree, rhs, x, i):
    """x = 0 on black cells, rhs / D on red ones."""
    i, n1, m = np.uint64(i), np.uint64(x.shape[2]), np.uint64(x.shape[3])
    for j in range(ONE, n1 - ONE):
        for k in range(m):
            d = degree[1, i, j, k]
            x[0, i, j, k] = 0
            x[1, i, j, k] = rhs[1, i, j, k] / d if d > 0 else REAL(0)


@jit(fastmath=FAST)
def _residual(degree, weights, rhs, x, coarse, ci):
    """Black cells' residual, summed over blocks: coarse plane ci."""
    ci, n1, width = np.uint64(ci), np.uint64(x.shape[2]), np.uint64(x.shape[3] - 1)
    own, other, y, d = weights[0], weights[1], x[1], degree[0]
    line = np.zeros(2 * coarse.shape[3], REAL)
    for cj in range(ONE, n1 // TWO):
        line[:] = 0
        for corner in range(TWO * TWO):
            i, j = TWO * ci - (corner >> ONE), TWO * cj - (corner & ONE)
            s = first_of(i, j, ZERO)
            for k in range(width):
                a = s + k
                t = rhs[0, i, j, a] + _links_times(own, other, y, i, j, a, k)
                t -= d[i, j, a] * x[0, i, j, a]
                line[k + ONE] += t if d[i, j, a] > 0 else REAL(0)
        part(line, coarse, ci, cj)


@jit(fastmath=FAST)
def part(line, field, i, j):
    """A row of cells to the colours."""
    s = (i + j) & ONE
    for k in range(np.uint64(field.shape[3])):
        field[s, i, j, k] = line[TWO * k]
        field[ONE - s, i, j, k] = line[TWO * k + ONE]


@jit(fastmath=FAST)
def interlace(field, i, j, line):
    """A row of cells from the colours."""
    s = (i + j) & ONE
    for k in range(np.uint64(field.shape[3])):
        line[TWO * k] = field[s, i, j, k]
        line[TWO * k + ONE] = field[ONE - s, i, j, k]


@jit(fastmath=FAST)
def _correct(degree, x, coarse, factor, ci):
    """x <- x + factor P (coarse) on black cells of the blocks of coarse plane ci."""
    ci, n1, width = np.uint64(ci), np.uint64(x.shape[2]), np.uint64(x.shape[3] - 1)
    line = np.zeros(2 * coarse.shape[3], REAL)
    for cj in range(ONE, n1 // TWO):
        interlace(coarse, ci, cj, line)
        for corner in range(TWO * TWO):
            i, j = TWO * ci - (corner >> ONE), TWO * cj - (corner & ONE)
            s = first_of(i, j, ZERO)
            for k in range(width):
                t = factor * line[k + ONE]
                x[0, i, j, s + k] += t if degree[0, i, j, s + k] > 0 else REAL(0)


@jit(fastmath=FAST)
def _residual_of_parts(degree, weights, rhs, x, part, coarse):
    """Black cells' residual, summed over the nodes of a graph."""
    n0, n1, width = np.uint64(x.shape[1]), np.uint64(x.shape[2]), np.uint64(x.shape[3] - 1)
    own, other, y, d = weights[0], weights[1], x[1], degree[0]
    coarse[:] = 0
    for i in range(ONE, n0 - ONE):
        for j in range(ONE, n1 - ONE):
            s = first_of(i, j, ZERO)
            for k in range(width):
                a = s + k
                t = rhs[0, i, j, a] + _links_times(own, other, y, i, j, a, k)
                t -= d[i, j, a] * x[0, i, j, a]
                coarse[part[i, j, a]] += t if d[i, j, a] > 0 else REAL(0)


@jit(fastmath=FAST)
def _correct_by_parts(degree, x, part, coarse, factor):
    n0, n1, m = np.uint64(x.shape[1]), np.uint64(x.shape[2]), np.uint64(x.shape[3])
    for i in range(ONE, n0 - ONE):
        for j in range(ONE, n1 - ONE):
            for k in range(m):
                t = factor * coarse[part[i, j, k]]
                x[0, i, j, k] += t if degree[0, i, j, k] > 0 else REAL(0)


@jit
def down_serial(degree, weights, rhs, x, w1, w2, coarse):
    n, one, zero = x.shape[1] - 1, REAL(1), REAL(0)
    for i in range(1, n):
        _divide(degree, rhs, x, i)
    for i in range(1, n):
        _relax(degree, weights, rhs, x, 0, zero, w1, i)
    for i in range(1, n):
        _relax(degree, weights, rhs, x, 1, zero, one, i)
    if w2 != 0:
        for i in range(1, n):
            _relax(degree, weights, rhs, x, 0, one - w2, w2, i)
        for i in range(1, n):
            _relax(degree, weights, rhs, x, 1, zero, one, i)
    for i in range(1, coarse.shape[1] and (n + 1) // 2):
        _residual(degree, weights, rhs, x, coarse, i)


@jit
def up_serial(degree, weights, rhs, x, w1, w2, coarse, factor):
    n, one, zero = x.shape[1] - 1, REAL(1), REAL(0)
    for i in range(1, coarse.shape[1] and (n + 1) // 2):
        _correct(degree, x, coarse, factor, i)
    for i in range(1, n):
        _relax(degree, weights, rhs, x, 1, zero, one, i)
    if w2 != 0:
        for i in range(1, n):
            _relax(degree, weights, rhs, x, 0, one - w2, w2, i)
        for i in range(1, n):
            _relax(degree, weights, rhs, x, 1, zero, one, i)
    for i in range(1, n):
        _relax(degree, weights, rhs, x, 0, one - w1, w1, i)
    for i in range(1, n):
        _relax(degree, weights, rhs, x, 1, zero, one, i)


@parallel_jit
def down_parallel(degree, weights, rhs, x, w1, w2, coarse):
    n, one, zero = x.shape[1] - 1, REAL(1), REAL(0)
    for i in numba.prange(1, n):
        _divide(degree, rhs, x, i)
    for i in numba.prange(1, n):
        _relax(degree, weights, rhs, x, 0, zero, w1, i)
    for i in numba.prange(1, n):
        _relax(degree, weights, rhs, x, 1, zero, one, i)
    if w2 != 0:
        for i in numba.prange(1, n):
            _relax(degree, weights, rhs, x, 0, one - w2, w2, i)
        for i in numba.prange(1, n):
            _relax(degree, weights, rhs, x, 1, zero, one, i)
    for i in numba.prange(1, coarse.shape[1] and (n + 1) // 2):
        _residual(degree, weights, rhs, x, coarse, i)


@parallel_jit
def up_parallel(degree, weights, rhs, x, w1, w2, coarse, factor):
    n, one, zero = x.shape[1] - 1, REAL(1), REAL(0)
    for i in numba.prange(1, coarse.shape[1] and (n + 1) // 2):
        _correct(degree, x, coarse, factor, i)
    for i in numba.prange(1, n):
        _relax(degree, weights, rhs, x, 1, zero, one, i)
    if w2 != 0:
        for i in numba.prange(1, n):
            _relax(degree, weights, rhs, x, 0, one - w2, w2, i)
        for i in numba.prange(1, n):
            _relax(degree, weights, rhs, x, 1, zero, one, i)
    for i in numba.prange(1, n):
        _relax(degree, weights, rhs, x, 0, one - w1, w1, i)
    for i in numba.prange(1, n):
        _relax(degree, weights, rhs, x, 1, zero, one, i)


@jit
def _of_level(flat, parts, table, level):
    """One level's view of an array that holds all small levels."""
    n0, n1, m, start = table[level]
    size = parts * n0 * n1 * m
    return flat[parts * start : parts * start + size].reshape((parts, n0, n1, m))


@jit
def _small_cycle(degree, weights, rhs, x, table, sweeps):
    """The cycle from the first small level to the coarsest and back."""
    count = table.shape[0]
    for step in range(2 * count):
        level = min(step, 2 * count - 1 - step)
        d, w = _of_level(degree, 2, table, level), _of_level(weights, 6, table, level)
        b, y = _of_level(rhs, 2, table, level), _of_level(x, 2, table, level)
        w = w.reshape((2, 3) + d.shape[1:])
        w1, w2, factor = sweeps[level]
        if level == count - 1:
            coarse = np.zeros((2, 0, 0, 0), REAL)
        else:
            coarse = _of_level(rhs if step < count else x, 2, table, level + 1)
        if step < count:
            down_serial(d, w, b, y, w1, w2, coarse)
        else:
            up_serial(d, w, b, y, w1, w2, coarse, factor)


# --- coarse levels


@jit(fastmath=FAST)
def _first_sums(types, dirichlet, faces, behind, ground, volume, first, last):
    """What `_sums` forms, from the types of the finest cells."""
    _, c1, c2 = ground.shape
    for ci in range(first, last):
        for cj in range(1, c1 - 1):
            for ck in range(1, c2 - 1):
                i, j, k = 2 * ci, 2 * cj, 2 * ck
                n0 = n1 = n2 = 0  # links within the block
                f0 = f1 = f2 = 0  # links to the next block
                l0 = l1 = l2 = total = g = 0
                for corner in range(4):
                    p, q = corner >> 1, corner & 1
                    # axis 0
                    lo, hi = types[i - 1, j - p, k - q] == 1, types[i, j - p, k - q] == 1
                    n0 += lo & hi
                    f0 += hi & (types[i + 1, j - p, k - q] == 1)
                    l0 += lo
                    total += lo + hi
                    g += dirichlet[i - 1, j - p, k - q] + dirichlet[i, j - p, k - q]
                    lo, hi = types[i - p, j - 1, k - q] == 1, types[i - p, j, k - q] == 1
                    n1 += lo & hi
                    f1 += hi & (types[i - p, j + 1, k - q] == 1)
                    l1 += lo
                    lo, hi = types[i - p, j - q, k - 1] == 1, types[i - p, j - q, k] == 1
                    n2 += lo & hi
                    f2 += hi & (types[i - p, j - q, k + 1] == 1)
                    l2 += lo
                ground[ci, cj, ck] = g
                volume[ci, cj, ck] = total
                _behind(behind, faces, 0, ci, cj, ck, n0, f0, l0, total)
                _behind(behind, faces, 1, ci, cj, ck, n1, f1, l1, total)
                _behind(behind, faces, 2, ci, cj, ck, n2, f2, l2, total)


@jit(fastmath=FAST)
def _behind(behind, faces, axis, i, j, k, inner, face, low, total):
    """Resistance between a block's centre of mass and its lower and upper half."""
    faces[axis, i, j, k] = face
    per = REAL(1) / (REAL(total) * REAL(inner)) if inner > 0 else REAL(0)
    behind[axis, 0, i, j, k] = REAL(total - low) * per
    behind[axis, 1, i, j, k] = REAL(low) * per


@jit(fastmath=FAST)
def _sums(weights, fine_ground, fine_volume, faces, behind, ground, volume, first, last):
    """Of each block: links to the next, resistances within, links to air, number of cells."""
    _, c1, c2 = ground.shape
    w0, w1, w2 = weights
    for ci in range(first, last):
        for cj in range(1, c1 - 1):
            for ck in range(1, c2 - 1):
                i, j, k = 2 * ci, 2 * cj, 2 * ck
                n0 = n1 = n2 = REAL(0)
                f0 = f1 = f2 = REAL(0)
                l0 = l1 = l2 = total = g = REAL(0)
                for corner in range(4):
                    p, q = corner >> 1, corner & 1
                    n0 += w0[i - 1, j - p, k - q]
                    f0 += w0[i, j - p, k - q]
                    l0 += fine_volume[i - 1, j - p, k - q]
                    total += fine_volume[i - 1, j - p, k - q] + fine_volume[i, j - p, k - q]
                    g += fine_ground[i - 1, j - p, k - q] + fine_ground[i, j - p, k - q]
                    n1 += w1[i - p, j - 1, k - q]
                    f1 += w1[i - p, j, k - q]
                    l1 += fine_volume[i - p, j - 1, k - q]
                    n2 += w2[i - p, j - q, k - 1]
                    f2 += w2[i - p, j - q, k]
                    l2 += fine_volume[i - p, j - q, k - 1]
                ground[ci, cj, ck] = g
                volume[ci, cj, ck] = total
                _behind(behind, faces, 0, ci, cj, ck, n0, f0, l0, total)
                _behind(behind, faces, 1, ci, cj, ck, n1, f1, l1, total)
                _behind(behind, faces, 2, ci, cj, ck, n2, f2, l2, total)


@jit(fastmath=FAST)
def _links(faces, behind, ground, scale, packed, i):
    """Links in series with what is behind them, in place of `faces`; the same by colours."""
    i, c1, c2 = np.uint64(i), np.uint64(ground.shape[1]), np.uint64(ground.shape[2])
    for j in range(ONE, c1 - ONE):
        for k in range(c2 - ONE):
            f, g, h = faces[0, i, j, k], faces[1, i, j, k], faces[2, i, j, k]
            f /= REAL(1) + f * (behind[0, 1, i, j, k] + behind[0, 0, i + ONE, j, k])
            g /= REAL(1) + g * (behind[1, 1, i, j, k] + behind[1, 0, i, j + ONE, k])
            h /= REAL(1) + h * (behind[2, 1, i, j, k] + behind[2, 0, i, j, k + ONE])
            faces[0, i, j, k], faces[1, i, j, k], faces[2, i, j, k] = f, g, h
            ground[i, j, k] *= scale
        for axis in range(3):
            part(faces[axis, i, j], packed[:, axis], i, j)


@jit(fastmath=FAST)
def _degrees(faces, ground, degree, i):
    i, c1, c2 = np.uint64(i), np.uint64(ground.shape[1]), np.uint64(ground.shape[2])
    line = np.zeros(c2, REAL)
    for j in range(ONE, c1 - ONE):
        for k in range(ONE, c2):
            line[k] = (
                (faces[0, i, j, k] + faces[0, i - ONE, j, k])
                + (faces[1, i, j, k] + faces[1, i, j - ONE, k])
                + (faces[2, i, j, k] + faces[2, i, j, k - ONE])
                + ground[i, j, k]
            )
        part(line, degree, i, j)


def coarse_levels(types, degree, dirichlet, weights, parameters):
    """Levels from fields of even extents: below the finest, or with it where it has `weights`."""

    def row(number):
        return parameters[min(number, len(parameters) - 1)]

    every, fine, graphs, parts = [], None, [], []
    if weights is not None:
        fine = (weights, dirichlet.astype(REAL), (types == 1).astype(REAL))
        links = np.stack([by_colour(w) for w in weights], axis=1)
        every.append(_level(by_colour(degree.astype(REAL)), links))
    number, inner = 0, tuple(n // 2 - 1 for n in types.shape)
    while True:
        apart = unit_falls_apart(types, degree) if fine is None else falls_apart(*fine)
        if apart:
            fine = fine or _unit_fields(types, dirichlet)
            graphs, parts = graph_levels(*fine, lambda n, begin=number: row(begin + n)[3])
            parts[0] = by_colour(parts[0])[0]
            break
        shape = tuple(2 * -(-n // 2) + 2 for n in inner)
        faces, behind = np.zeros((3, *shape), REAL), np.zeros((3, 2, *shape), REAL)
        ground, volume = np.zeros(shape, REAL), np.zeros(shape, REAL)
        sums, last = (faces, behind, ground, volume), inner[0] + 1
        if fine is None:
            run_parallel(types.size, _first_parallel, _first_sums, types, dirichlet, *sums, 1, last)
        else:
            _sums(*fine, *sums, 1, last)
        half = (shape[0], shape[1], shape[2] // 2)
        packed_degree, packed = np.zeros((2, *half), REAL), np.zeros((2, 3, *half), REAL)
        args = (faces, behind, ground, REAL(row(number)[3]), packed, packed_degree, last)
        run_parallel(4 * packed_degree.size, _finish_parallel, _finish_serial, *args)
        every.append(_level(packed_degree, packed))
        number += 1
        if inner == (1, 1, 1):
            break
        fine, inner = (faces, ground, volume), tuple(n // 2 - 1 for n in shape)
    first = int(weights is None)
    sweeps = [row(n + first)[:3] for n in range(len(every) + len(graphs))]
    large = [level for level in every if graphs or level.x.size >= SERIAL_BELOW]
    small, table, flat = ([], None, ()) if graphs else _joined(every[len(large) :])
    return Levels(large, large + small, np.asarray(sweeps, REAL), table, flat, graphs, parts)


def _level(degree, weights):
    return Level(degree, weights, np.zeros_like(degree), np.zeros_like(degree))


def _unit_fields(types, dirichlet):
    """Links between fluid cells, their part towards air, and which cells they are."""
    fluid = types == 1
    weights = tuple((fluid & np.roll(fluid, -1, axis)).astype(REAL) for axis in range(3))
    return weights, dirichlet.astype(REAL), fluid.astype(REAL)


def _joined(levels):
    """Levels as views of one array of each kind, and where they are in it."""
    sizes = [level.x.size // 2 for level in levels]
    starts = np.cumsum([0, *sizes])
    table = np.array(
        [(*v.x.shape[1:], s) for v, s in zip(levels, starts[:-1], strict=True)], np.int64
    )
    flat = tuple(np.concatenate([v[kind].ravel() for v in levels]) for kind in range(4))
    views = []
    for level, start, size in zip(levels, starts[:-1], sizes, strict=True):
        parts = zip(flat, level, (2, 6, 2, 2), strict=True)
        views.append(
            Level(*(a[p * start : p * (start + size)].reshape(v.shape) for a, v, p in parts))
        )
    return views, table, flat


@parallel_jit(fastmath=FAST)
def _first_parallel(types, dirichlet, faces, behind, ground, volume, first, last):
    for i in numba.prange(first, last):
        _first_sums(types, dirichlet, faces, behind, ground, volume, i, i + 1)


@jit
def _finish_serial(faces, behind, ground, scale, packed, degree, last):
    for i in range(1, last):
        _links(faces, behind, ground, scale, packed, i)
    for i in range(1, last):
        _degrees(faces, ground, degree, i)


@parallel_jit
def _finish_parallel(faces, behind, ground, scale, packed, degree, last):
    for i in numba.prange(1, last):
        _links(faces, behind, ground, scale, packed, i)
    for i in numba.prange(1, last):
        _degrees(faces, ground, degree, i)


def coarse_cycle(levels):
    """One cycle: x of the first level from its right-hand side."""
    large, every, sweeps, graphs = levels.large, levels.every, levels.sweeps, levels.graphs
    nothing = np.zeros((2, 0, 0, 0), REAL)
    for number, (level, (w1, w2, _)) in enumerate(zip(large, sweeps, strict=False)):
        coarse = every[number + 1].rhs if number + 1 < len(every) else nothing
        run_parallel(level.x.size, down_parallel, down_serial, *level, w1, w2, coarse)
    if graphs:
        if large:
            _residual_of_parts(*large[-1], levels.parts[0], graphs[0].rhs)
        graph_cycle(graphs, levels.parts[1:], sweeps[len(large) :])
        if large:
            args = (levels.parts[0], graphs[0].x, sweeps[len(large) - 1][2])
            _correct_by_parts(large[-1].degree, large[-1].x, *args)
    else:
        _small_cycle(*levels.flat, levels.table, sweeps[len(large) :])
    for number in range(len(large) - 1, -1, -1):
        level, (w1, w2, factor) = large[number], sweeps[number]
        coarse = every[number + 1].x if number + 1 < len(every) else nothing
        run_parallel(level.x.size, up_parallel, up_serial, *level, w1, w2, coarse, factor)
    return levels.first.x
