"""CUDA kernels of the multilevel network; the matrices of its levels are whole-array text."""

import cupy

from refopt_backends.cupy_gpu import _shapes as shapes
from refopt_backends.reference import vcycle as reference

PER_THREAD = 4  # cells, where blocks are as many as keep a GPU at work


def _run(name, threads, args, real=cupy.float64):
    like = next(a for a in args if isinstance(a, cupy.ndarray))
    shapes.run("vcycle.cu", name, shapes.blocks(threads, shapes.block(like)), args, real)


def vcycle_setup(types, degree, dirichlet, weights, parameters):
    hierarchy = reference.vcycle_setup(types, degree, dirichlet, weights, parameters)
    levels, steps = hierarchy.levels, hierarchy.steps
    steps = [s and _parts(s, level) for s, level in zip(steps, levels[:-1], strict=True)]
    levels = [_level(level, weights is None and k == 0) for k, level in enumerate(levels)]
    return reference.Hierarchy(levels, steps, hierarchy.cells)


def _level(level, unit):
    """What the kernels read; no weights where all are 1."""
    level = level._replace(degree=_single(level.degree), ground=None)
    if level.ends is None:
        weights = () if unit else tuple(map(_single, level.weights))
        return level._replace(weights=weights, black=None)
    ends = cupy.ascontiguousarray(level.ends, dtype=cupy.int32)
    black = cupy.ascontiguousarray(level.black)
    return level._replace(weights=_single(level.weights), ends=ends, black=black)


def _parts(step, level):
    """The parts of those nodes that are corrected: black ones."""
    number = cupy.where(level.black & (level.degree > 0), step.number, step.members.shape[0])
    members = cupy.ascontiguousarray(step.members, dtype=cupy.int64)
    return reference.Parts(cupy.ascontiguousarray(number, dtype=cupy.int32), members)


def _single(x):
    return cupy.ascontiguousarray(x, dtype=cupy.float32)


def vcycle(hierarchy, r):
    z = _cycle(hierarchy.levels, hierarchy.steps, _single(reference.even(r)))
    n0, n1, n2 = r.shape
    return cupy.ascontiguousarray(z[:n0, :n1, :n2])


def _cycle(levels, steps, b):
    level = levels[0]
    work = _Grid(level) if level.ends is None else _Rows(level)
    x = work.begin(b)
    for w in level.sweeps:
        work.relax(x, b, 0, w)
        work.relax(x, b, 1, 1.0)
    if steps:
        work.correct(x, b, steps[0], lambda r: _cycle(levels[1:], steps[1:], r))
        work.relax(x, b, 1, 1.0)
    for w in level.sweeps[::-1]:
        work.relax(x, b, 0, w)
        work.relax(x, b, 1, 1.0)
    return x


class _Grid:
    """Launches on a level that is a grid; `real` is the type of x and b."""

    def __init__(self, level, real=cupy.float32):
        self.degree, self.factor, self.real = level.degree, level.factor, real
        links = level.weights or (level.degree,) * 3
        self.matrix = (level.degree, *links, int(not level.weights))
        self.shape, self.half = level.degree.shape, level.degree.size // 2

    def begin(self, b):
        x = cupy.empty_like(b)
        _run("begin", self.half, (self.degree, b, *self.shape, x))
        return x

    def relax(self, x, b, colour, w):
        """b None: zero."""
        args = (*self.matrix, x if b is None else b, int(b is not None), colour, w)
        _run("relax", self.half, (*args, *self.shape, x), self.real)

    def residual(self, x, b):
        r = cupy.empty_like(b)
        _run("residual", self.half, (*self.matrix, b, x, *self.shape, r), self.real)
        return r

    def correct(self, x, b, step, solve):
        """Add the correction that the next level finds; step None: by blocks."""
        if step is not None:
            _correct_parts(self, x, b, step, solve)
            return
        shape = tuple(2 * ((n // 2 + 2) // 2) for n in self.shape)
        r = cupy.empty(shape, dtype=b.dtype)
        args = (*self.matrix, b, x, *self.shape, *shape, r)
        _run("residual_restrict", r.size, args)
        args = (self.degree, solve(r), self.factor, *self.shape, *shape[1:], x)
        _run("prolong", self.half, args)


class _Rows:
    """The same on a graph."""

    def __init__(self, level):
        self.degree, self.factor, self.black = level.degree, level.factor, level.black
        self.matrix = (level.degree, level.black, level.weights, level.ends, level.ends.shape[1])

    def begin(self, b):
        x = cupy.empty_like(b)
        _run("begin_rows", b.size, (self.degree, self.black, b, b.size, x))
        return x

    def relax(self, x, b, colour, w):
        _run("relax_rows", b.size, (*self.matrix, b, colour, w, b.size, x))

    def residual(self, x, b):
        r = cupy.empty_like(b)
        _run("residual_rows", b.size, (*self.matrix, b, x, b.size, r))
        return r

    def correct(self, x, b, step, solve):
        _correct_parts(self, x, b, step, solve)


def _correct_parts(work, x, b, step, solve):
    count, width = step.members.shape
    sums = cupy.empty(count, dtype=cupy.float32)
    r = work.residual(x, b)
    _run("restrict_parts", count, (step.members, width, r, r.size, count, sums))
    args = (step.number, solve(sums), work.factor, count, x.size, x)
    _run("prolong_parts", x.size, args)


class Search:
    """Conjugate gradients under way: x, r, the direction p in float64, M in float32."""

    def __init__(self, hierarchy, b, scale):
        self.hierarchy, self.scale = hierarchy, float(scale)
        level = hierarchy.levels[0]
        self.grid = _Grid(level, cupy.float64)
        field = cupy.zeros(level.degree.size)
        field[hierarchy.cells] = b / self.scale
        self.b = field.reshape(level.degree.shape)
        self.x, self.p, self.q = (cupy.zeros(self.b.shape) for _ in range(3))
        self.begin()

    def begin(self):
        """Red cells are solved exactly, and remain so: r is zero there from now on."""
        self.solve_red()
        self.r = self.grid.residual(self.x, self.b)
        self.rr, self.rho = float(cupy.sum(self.r * self.r)), None

    def solve_red(self):
        self.grid.relax(self.x, self.b, 1, 1.0)

    def sums(self, name, args, count=1):
        """Launch a kernel whose last arguments take a number from each block; their sums."""
        blocks = shapes.blocks(self.b.size, PER_THREAD * shapes.block(self.b))
        parts = [cupy.empty(min(shapes.BUSY, blocks)) for _ in range(count)]
        shared = shapes.per_warp(self.b)
        shapes.run("vcycle.cu", name, parts[0].size, (*args, *parts), shared_mem=shared)
        return [cupy.sum(part) for part in parts]


def vcycle_cg_start(hierarchy, b, scale):
    return Search(hierarchy, b, scale)


def vcycle_cg_step(state):
    if state.rr == 0.0:
        return 0.0, 0.0
    norm, shape = state.rr**0.5, state.b.shape
    r = cupy.empty(shape, dtype=cupy.float32)
    _run("scaled", r.size, (state.r, norm, r.size, r))
    z = _cycle(state.hierarchy.levels, state.hierarchy.steps, r)
    (rho,) = state.sums("dot", (z, state.r, norm, *shape))
    first = state.rho is None
    before = rho if first else state.rho
    _run("direction", r.size // 2, (z, norm, rho, before, int(first), *shape, state.p))
    state.grid.relax(state.p, None, 1, 1.0)  # z has red cells in single precision
    (curvature,) = state.sums("product_dot", (*state.grid.matrix, state.p, *shape, state.q))
    args = (rho, curvature, state.p, state.q, *shape, state.x, state.r)
    (rr,) = state.sums("update_norm", args)
    state.rho = rho
    state.rr, drop = cupy.stack((rr, rho * (rho / curvature))).tolist()  # the one transfer
    return state.rr * state.scale**2, drop * state.scale


def vcycle_cg_solution(state):
    state.solve_red()
    return state.x.reshape(-1)[state.hierarchy.cells]


def vcycle_cg_residual(state):
    state.solve_red()
    args = (*state.grid.matrix, state.b, state.x, state.b.size, *state.b.shape[1:])
    sums = cupy.stack(state.sums("true_residual", args, 2)).tolist()
    return sums[0] * state.scale**2, -0.5 * sums[1] * state.scale


def vcycle_cg_restart(state):
    state.begin()
