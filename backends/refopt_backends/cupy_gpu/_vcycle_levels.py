"""The levels of the multilevel network on a device, and their cycle."""

from functools import cached_property
from typing import Any

import cupy
import numpy as np

from refopt_backends.cupy_gpu import _shapes as shapes
from refopt_backends.reference import vcycle as reference

# Nodes of the largest level that one block of threads takes, with all coarser ones: its barriers
# cost less than launches do up to 16 x 16 x 16 cells and their padding.
BOTTOM = 18**3


def run(name, threads, args, real=cupy.float64, file="vcycle.cu", shared_mem=0):
    """Launch a kernel with a thread for each piece of work."""
    like = next(a for a in args if isinstance(a, cupy.ndarray))
    grid = shapes.blocks(threads, shapes.block(like))
    shapes.run(file, name, grid, args, real, shared_mem)


class Hierarchy(reference.Hierarchy):
    """Levels without weights where all are 1."""

    @cached_property
    def bottom(self):
        """How many levels have launches of their own, and the others as one."""
        sizes = [level.degree.size for level in self.levels]
        first = next((k for k, size in enumerate(sizes) if size <= BOTTOM), len(sizes))
        return first, Bottom(self.levels[first:], self.steps[first:])

    def cycle(self, b, k=0):
        """M b, where M is that of level k and coarser ones."""
        own, bottom = self.bottom
        if k == own:
            return bottom.cycle(b)
        level = self.levels[k]
        work = Grid(level) if level.ends is None else Rows(level)
        first, *others = level.sweeps
        x = work.begin(b, first)
        work.relax(x, b, 1, 1.0)
        for w in others:
            work.relax(x, b, 0, w)
            work.relax(x, b, 1, 1.0)
        if k < len(self.steps):
            x = work.corrected(x, b, self.steps[k], lambda r: self.cycle(r, k + 1))
        for w in level.sweeps[::-1]:
            work.relax(x, b, 0, w)
            work.relax(x, b, 1, 1.0)
        return x


def setup(types, degree, dirichlet, weights, parameters):
    """The matrices of all levels: grids, until one is better followed by graphs.

    All levels are made as grids, and only then the host asks how far they serve.
    """
    degree, ground, volume = map(_single, reference.finest(types, degree, dirichlet))
    weights = () if weights is None else tuple(_single(reference.even(w)) for w in weights)
    rows = reference.rows_of_levels(parameters, degree.shape)
    matrices = [(degree, weights, ground, volume)]
    extents = reference.extents_of_levels(degree.shape)
    counts = cupy.zeros((len(rows) - 1, 2), dtype=cupy.int32)
    for shape, row, found in zip(extents[1:], rows[:-1], counts, strict=True):
        matrices.append(_coarser(matrices[-1], row[3], shape, found))
    levels = [_level(matrix, row) for matrix, row in zip(matrices, rows, strict=True)]
    steps = [None] * (len(levels) - 1)
    split = [more > reference.SPLIT * blocks for blocks, more in counts.tolist()]
    if any(split):
        k = split.index(True)
        degree, weights, ground, volume = matrices[k]
        weights = weights or reference.unit_links(volume)
        last = levels[k]._replace(weights=weights, ground=ground, volume=volume)
        more, parts = reference.graph_levels(last, rows[k:])
        steps = [*steps[:k], *map(_parts, parts, [last, *more[:-1]])]
        levels = [*levels[: k + 1], *map(_graph_level, more)]
    (cells,) = cupy.nonzero(levels[0].volume.reshape(-1) > 0)
    return Hierarchy(levels, steps, cells)


def _coarser(matrix, scale, shape, found):
    """The matrix on blocks; `found` gets the numbers of blocks and of parts beyond these."""
    degree, weights, ground, volume = matrix
    *links, coarse_ground, coarse_volume, coarse_degree = (
        cupy.empty(shape, dtype=cupy.float32) for _ in range(6)
    )
    own = (degree, *(weights or (degree,) * 3), int(not weights), ground, volume, scale)
    written = (*links, coarse_ground, coarse_volume, found)
    args = (*own, *degree.shape, *shape, *written)
    file = "vcycle_setup.cu"
    run("coarsen", coarse_ground.size, args, file=file, shared_mem=shapes.per_warp(degree))
    args = (*links, coarse_ground, *shape, coarse_degree)
    run("links_degree", coarse_ground.size, args, file=file)
    return coarse_degree, tuple(links), coarse_ground, coarse_volume


def _level(matrix, row):
    degree, weights, _, volume = matrix
    return reference.Level(degree, weights, None, volume, None, *reference.work_of(row))


def _graph_level(level):
    ends = cupy.ascontiguousarray(level.ends, dtype=cupy.int32)
    black = cupy.ascontiguousarray(level.black)
    degree, weights = _single(level.degree), _single(level.weights)
    return level._replace(degree=degree, weights=weights, ground=None, ends=ends, black=black)


def _parts(step, level):
    """The parts of those nodes that are corrected: black ones."""
    black = level.black
    if black is None:
        n0, n1, n2 = (cupy.arange(n) for n in level.degree.shape)
        black = (n0[:, None, None] + n1[None, :, None] + n2[None, None, :]) % 2 == 0
    number = cupy.where(black & (level.degree > 0), step.number, step.members.shape[0])
    members = cupy.ascontiguousarray(step.members, dtype=cupy.int64)
    return reference.Parts(cupy.ascontiguousarray(number, dtype=cupy.int32), members)


def _single(x):
    return cupy.ascontiguousarray(x, dtype=cupy.float32)


class Grid:
    """Launches on a level that is a grid; `real` is the type of x and b."""

    def __init__(self, level, real=cupy.float32):
        self.degree, self.factor, self.real = level.degree, level.factor, real
        links = level.weights or (level.degree,) * 3
        self.matrix = (level.degree, *links, int(not level.weights))
        self.shape, self.half = level.degree.shape, level.degree.size // 2

    def begin(self, b, w):
        """Black cells after the first relaxation; red ones are unset."""
        x = cupy.empty_like(b)
        run("begin", self.half, (*self.matrix, b, w, *self.shape, x))
        return x

    def relax(self, x, b, colour, w):
        """b None: zero."""
        args = (*self.matrix, x if b is None else b, int(b is not None), colour, w)
        run("relax", self.half, (*args, *self.shape, x), self.real)

    def residual(self, x, b):
        r = cupy.empty_like(b)
        run("residual", self.half, (*self.matrix, b, x, *self.shape, r), self.real)
        return r

    def corrected(self, x, b, step, solve):
        """x with the correction of the next level, red cells relaxed; step None: by blocks."""
        if step is not None:
            return _corrected_parts(self, x, b, step, solve)
        shape = tuple(2 * ((n // 2 + 2) // 2) for n in self.shape)
        r, y = cupy.empty(shape, dtype=b.dtype), cupy.empty_like(x)
        args = (*self.matrix, b, x, *self.shape, *shape, r)
        run("residual_restrict", r.size, args)
        args = (*self.matrix, b, x, solve(r), self.factor, *self.shape, *shape[1:], y)
        run("prolong_relax", self.half, args)
        return y


class Rows:
    """The same on a graph."""

    def __init__(self, level):
        self.factor = level.factor
        self.matrix = (level.degree, level.black, level.weights, level.ends, level.ends.shape[1])

    def begin(self, b, w):
        x = cupy.empty_like(b)
        run("begin_rows", b.size, (*self.matrix, b, w, b.size, x))
        return x

    def relax(self, x, b, colour, w):
        run("relax_rows", b.size, (*self.matrix, b, colour, w, b.size, x))

    def residual(self, x, b):
        r = cupy.empty_like(b)
        run("residual_rows", b.size, (*self.matrix, b, x, b.size, r))
        return r

    def corrected(self, x, b, step, solve):
        return _corrected_parts(self, x, b, step, solve)


def _corrected_parts(work, x, b, step, solve):
    count, width = step.members.shape
    sums = cupy.empty(count, dtype=cupy.float32)
    r = work.residual(x, b)
    run("restrict_parts", count, (step.members, width, r, r.size, count, sums))
    args = (step.number, solve(sums), work.factor, count, x.size, x)
    run("prolong_parts", x.size, args)
    work.relax(x, b, 1, 1.0)
    return x


class Bottom:
    """The coarsest levels, packed for the kernel that works on all of them."""

    def __init__(self, levels, steps):
        self.levels = len(levels)
        if not levels:
            return
        reals: list[Any] = []
        ints = [cupy.zeros(1, dtype=cupy.int32)]
        table, begin = [], 0
        for level, step in zip(levels, [*steps, None], strict=True):
            n, grid = level.degree.size, level.ends is None
            links = level.weights if grid else (level.weights,)
            numbers = () if grid else (level.ends, level.black)
            parts = () if step is None else (step.number, step.members)
            row = [n, (-1 if links else -2) if grid else level.ends.shape[1]]
            row += level.degree.shape if grid else (0, 0, 0)
            row += [*_placed(reals, (level.degree,)), _placed(reals, links)[0]]
            row += [*_placed(ints, numbers, 2), *_placed(ints, parts, 2)]
            row += [step.members.shape[1] if step else 0, begin]
            table.append(row)
            begin += 2 * n  # x and b
        self.work = begin
        sweeps = [(*level.sweeps, 0.0)[:2] + (level.factor,) for level in levels]
        self.table = cupy.asarray(np.array(table, dtype=np.int32))
        self.numbers = cupy.asarray(np.array(sweeps, dtype=np.float32))
        self.reals = cupy.concatenate([x.reshape(-1) for x in reals])
        self.ints = cupy.concatenate([x.reshape(-1).astype(cupy.int32) for x in ints])

    def cycle(self, b):
        x, work = cupy.empty_like(b), cupy.empty(self.work, dtype=cupy.float32)
        args = (self.table, self.numbers, self.levels, self.reals, self.ints, b, work, x)
        shapes.run_alone("vcycle.cu", "bottom_levels", args)
        return x


def _placed(packed, arrays, count=1):
    """Where arrays begin when they are appended; 0s for none."""
    places = []
    for x in arrays:
        places.append(sum(one.size for one in packed))
        packed.append(x)
    return places or [0] * count
