"""CUDA kernels of the multilevel network and of conjugate gradients with it."""

import cupy

from refopt_backends.cupy_gpu import _shapes as shapes
from refopt_backends.cupy_gpu import _vcycle_levels as levels
from refopt_backends.reference.vcycle import even

PER_THREAD = 4  # cells, where blocks are as many as keep a GPU at work


def vcycle_setup(types, degree, dirichlet, weights, parameters):
    return levels.setup(types, degree, dirichlet, weights, parameters)


def vcycle(hierarchy, r):
    z = hierarchy.cycle(cupy.ascontiguousarray(even(r), dtype=cupy.float32))
    n0, n1, n2 = r.shape
    return cupy.ascontiguousarray(z[:n0, :n1, :n2])


class Search:
    """Conjugate gradients under way: x, r, the direction p in float64, M in float32."""

    def __init__(self, hierarchy, b, scale):
        self.hierarchy, self.scale = hierarchy, float(scale)
        level = hierarchy.levels[0]
        self.grid = levels.Grid(level, cupy.float64)
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
        shapes.run("vcycle_cg.cu", name, parts[0].size, (*args, *parts), shared_mem=shared)
        return [cupy.sum(part) for part in parts]


def vcycle_cg_start(hierarchy, b, scale):
    return Search(hierarchy, b, scale)


def vcycle_cg_step(state):
    if state.rr == 0.0:
        return 0.0, 0.0
    norm, shape = state.rr**0.5, state.b.shape
    r = cupy.empty(shape, dtype=cupy.float32)
    levels.run("scaled", r.size, (state.r, norm, r.size, r), file="vcycle_cg.cu")
    z = state.hierarchy.cycle(r)
    (rho,) = state.sums("dot", (z, state.r, norm, *shape))
    first = state.rho is None
    before = rho if first else state.rho
    args = (z, norm, rho, before, int(first), *shape, state.p)
    levels.run("direction", r.size // 2, args, file="vcycle_cg.cu")
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
