"""The multilevel network and conjugate gradients with it, compiled for the CPU.

Fields are stored by colours, as `_coarse_grids` says. On the finest level the red cells are
eliminated: a kernel goes through the planes once, and what it needs of planes before and after
is kept in rings of four.
"""

import numba
import numpy as np

from refopt_backends.numba_cpu._coarse_grids import (
    ONE,
    REAL,
    TWO,
    ZERO,
    by_cell,
    by_colour,
    coarse_cycle,
    coarse_levels,
    first_of,
    interlace,
    part,
)  # fmt: skip
from refopt_backends.numba_cpu._jit import FAST, jit, parallel_jit, run_spans
from refopt_backends.numba_cpu._unknowns import gather, row_starts, scatter

RING = 3  # of planes: i & RING


@jit(fastmath=FAST)
def _around(low, mid, high, j, a, k):
    """The sum over the neighbours of the k-th cell of a row, m = a."""
    return (
        (low[j, a] + high[j, a]) + (mid[j - ONE, a] + mid[j + ONE, a])
        + (mid[j, k] + mid[j, k + ONE])
    )  # fmt: skip


@jit(fastmath=FAST)
def _mean(out, low, mid, high, degree, i):
    """The mean over black neighbours, on red cells of plane i."""
    i, n1, width = np.uint64(i), np.uint64(mid.shape[0]), np.uint64(mid.shape[1] - 1)
    for j in range(ONE, n1 - ONE):
        s = first_of(i, j, ONE)
        out[j, (ONE - s) * width] = 0
        for k in range(width):
            a = s + k
            t = _around(low, mid, high, j, a, k) / REAL(degree[i, j, a])
            out[j, a] = t if degree[i, j, a] > 0 else REAL(0)


@jit(fastmath=FAST)
def _scaled_step(u, new, old, q, alpha, w, degree, i, own):
    """new = old - alpha q, u = w new / D on black cells; the squared norm of new."""
    i, n1, m = np.uint64(i), np.uint64(u.shape[0]), np.uint64(u.shape[1])
    total = 0.0
    for j in range(ONE, n1 - ONE):
        square = REAL(0)
        if own:
            for k in range(m):
                t = old[i, j, k] - alpha * q[i, j, k]
                new[i, j, k] = t
                square += t * t
                t = w * t / REAL(degree[i, j, k])
                u[j, k] = t if degree[i, j, k] > 0 else REAL(0)
        else:
            for k in range(m):
                t = w * (old[i, j, k] - alpha * q[i, j, k]) / REAL(degree[i, j, k])
                u[j, k] = t if degree[i, j, k] > 0 else REAL(0)
        total += square
    return total


@jit(fastmath=FAST)
def _restrict(line, r, keep, low, mid, high, degree, i, j):
    """line += keep r + the sum of red neighbours, on black cells of a row."""
    s, width = first_of(i, j, ZERO), np.uint64(mid.shape[1] - 1)
    for k in range(width):
        a = s + k
        t = keep * r[i, j, a] + _around(low, mid, high, j, a, k)
        line[k + ONE] += t if degree[i, j, a] > 0 else REAL(0)


@jit(fastmath=FAST)
def _restrict_to_parts(nodes, part, r, keep, low, mid, high, degree, i, j):
    """The same, added to the node of each cell."""
    s, width = first_of(i, j, ZERO), np.uint64(mid.shape[1] - 1)
    for k in range(width):
        a = s + k
        if degree[i, j, a] > 0:
            nodes[part[i, j, a]] += keep * r[i, j, a] + _around(low, mid, high, j, a, k)


@jit(fastmath=FAST)
def _pre_span(degree, old, q, alpha, w, new, coarse, nodes, part_of, squares, first, last):
    """Coarse planes first <= ci < last of a step to `new` and the coarse right-hand side."""
    n0, n1, m = old.shape
    u, red = np.zeros((4, n1, m), REAL), np.zeros((4, n1, m), REAL)
    lines = np.zeros((n1 // 2, 2 * coarse.shape[3]), REAL)
    begin, end = 2 * first - 1, 2 * last - 1
    for i in range(max(begin - 2, 0), min(end + 2, n0)):
        if 0 < i < n0 - 1:
            own = begin <= i < end
            args = (u[i & RING], new, old, q, alpha, w, degree[0], i)
            square = _scaled_step(*args, own)
            if own:
                squares[i] = square
        else:
            u[i & RING] = 0
        k = i - 1
        if k == 0:
            red[0] = 0
        elif k >= begin - 1:
            _mean(red[k & RING], u[(k - 1) & RING], u[k & RING], u[i & RING], degree[1], k)
        if i == n0 - 1:
            red[i & RING] = 0
        for k in range(i - 2, (i - 1) if i < n0 - 1 else i):
            if begin <= k < end:
                low, mid, high = red[(k - 1) & RING], red[k & RING], red[(k + 1) & RING]
                v, keep = np.uint64(k), REAL(1) - w
                if nodes.size == 0:
                    if k & 1:
                        lines[:] = 0
                    for j in range(ONE, np.uint64(n1 - 1)):
                        line = lines[(j + ONE) // TWO]
                        _restrict(line, new, keep, low, mid, high, degree[0], v, j)
                    if not k & 1:
                        for j in range(ONE, np.uint64(n1 // 2)):
                            part(lines[j], coarse, v // TWO, j)
                else:
                    for j in range(ONE, np.uint64(n1 - 1)):
                        args = (new, keep, low, mid, high, degree[0], v, j)
                        _restrict_to_parts(nodes, part_of, *args)


@jit(fastmath=FAST)
def _corrected(u, r, w, lines, factor, degree, i):
    """u = w r / D + factor P e on black cells."""
    i, n1, width = np.uint64(i), np.uint64(u.shape[0]), np.uint64(u.shape[1] - 1)
    for j in range(ONE, n1 - ONE):
        s, cj = first_of(i, j, ZERO), (j + ONE) // TWO
        u[j, (ONE - s) * width] = 0
        for k in range(width):
            a = s + k
            t = w * r[i, j, a] / REAL(degree[i, j, a]) + factor * lines[cj, k + ONE]
            u[j, a] = t if degree[i, j, a] > 0 else REAL(0)


@jit(fastmath=FAST)
def _corrected_by_parts(u, r, w, nodes, part, factor, degree, i):
    """The same, from the node of each cell."""
    i, n1, m = np.uint64(i), np.uint64(u.shape[0]), np.uint64(u.shape[1])
    for j in range(ONE, n1 - ONE):
        for k in range(m):
            t = w * r[i, j, k] / REAL(degree[i, j, k]) + factor * nodes[part[i, j, k]]
            u[j, k] = t if degree[i, j, k] > 0 else REAL(0)


@jit(fastmath=FAST)
def _last_sweep(z, u, r, w, low, mid, high, degree, i):
    """z = u + w (r - S u) / D on black cells; z'r."""
    i, n1, width = np.uint64(i), np.uint64(u.shape[0]), np.uint64(u.shape[1] - 1)
    total = 0.0
    for j in range(ONE, n1 - ONE):
        s = first_of(i, j, ZERO)
        product = REAL(0)
        for k in range(width):
            a = s + k
            t = _around(low, mid, high, j, a, k) + r[i, j, a]
            t = (REAL(1) - w) * u[j, a] + w * t / REAL(degree[i, j, a])
            t = t if degree[i, j, a] > 0 else REAL(0)
            z[i, j, a] = t
            product += t * r[i, j, a]
        total += product
    return total


@jit(fastmath=FAST)
def _post_span(degree, r, coarse, nodes, part_of, w, factor, z, products, first, last):
    """Planes first <= i < last of z = w r / D + factor P e, smoothed; z'r of each."""
    n0, n1, m = r.shape
    u, red = np.zeros((4, n1, m), REAL), np.zeros((4, n1, m), REAL)
    lines = np.zeros((n1 // 2, 2 * coarse.shape[3]), REAL)
    at = -1
    for i in range(max(first - 2, 0), min(last + 2, n0)):
        if 0 < i < n0 - 1:
            if nodes.size == 0:
                ci = (i + 1) // 2
                if ci != at:
                    at = ci
                    for j in range(ONE, np.uint64(n1 // 2)):
                        interlace(coarse, np.uint64(ci), j, lines[j])
                _corrected(u[i & RING], r, w, lines, factor, degree[0], i)
            else:
                _corrected_by_parts(u[i & RING], r, w, nodes, part_of, factor, degree[0], i)
        else:
            u[i & RING] = 0
        k = i - 1
        if k == 0:
            red[0] = 0
        elif k >= first - 1:
            _mean(red[k & RING], u[(k - 1) & RING], u[k & RING], u[i & RING], degree[1], k)
        if i == n0 - 1:
            red[i & RING] = 0
        for k in range(i - 2, (i - 1) if i < n0 - 1 else i):
            if first <= k < last:
                low, mid, high = red[(k - 1) & RING], red[k & RING], red[(k + 1) & RING]
                args = (z, u[k & RING], r, w, low, mid, high, degree[0], k)
                products[k] = _last_sweep(*args)


@jit(fastmath=FAST)
def _next_direction(u, p, z, beta, before, i, own):
    """p = z + beta before on black cells, in both precisions."""
    i, n1, m = np.uint64(i), np.uint64(u.shape[0]), np.uint64(u.shape[1])
    for j in range(ONE, n1 - ONE):
        if own:
            for k in range(m):
                t = z[i, j, k] + beta * before[i, j, k]
                p[i, j, k] = t
                u[j, k] = t
        else:
            for k in range(m):
                u[j, k] = z[i, j, k] + beta * before[i, j, k]


@jit(fastmath=FAST)
def _black_product(q, p, low, mid, high, degree, i):
    """q = D p - the sum of red neighbours; p'q."""
    i, n1, width = np.uint64(i), np.uint64(p.shape[0]), np.uint64(p.shape[1] - 1)
    total = 0.0
    for j in range(ONE, n1 - ONE):
        s = first_of(i, j, ZERO)
        for k in range(width):
            a = s + k
            t = REAL(degree[i, j, a]) * p[j, a] - _around(low, mid, high, j, a, k)
            t = t if degree[i, j, a] > 0 else 0.0
            q[i, j, a] = t
            total += p[j, a] * t
    return total


@jit(fastmath=FAST)
def _direction_span(degree, z, beta, before, p, q, products, first, last):
    """Planes first <= i < last of p = z + beta before and q = S p; p'q of each."""
    n0, n1, m = z.shape
    u, red = np.zeros((4, n1, m)), np.zeros((4, n1, m))
    for i in range(max(first - 2, 0), min(last + 2, n0)):
        if 0 < i < n0 - 1:
            _next_direction(u[i & RING], p, z, beta, before, i, first <= i < last)
        else:
            u[i & RING] = 0
        k = i - 1
        if k == 0:
            red[0] = 0
        elif k >= first - 1:
            _mean(red[k & RING], u[(k - 1) & RING], u[k & RING], u[i & RING], degree[1], k)
        if i == n0 - 1:
            red[i & RING] = 0
        for k in range(i - 2, (i - 1) if i < n0 - 1 else i):
            if first <= k < last:
                low, mid, high = red[(k - 1) & RING], red[k & RING], red[(k + 1) & RING]
                products[k] = _black_product(q, u[k & RING], low, mid, high, degree[0], k)


@jit(fastmath=FAST)
def _red_solved(red, b, y, degree, i):
    """Red cells of plane i from black ones: (b + sum of y) / D."""
    i, n1, width = np.uint64(i), np.uint64(b.shape[2]), np.uint64(b.shape[3] - 1)
    low, mid, high = y[0, i - ONE], y[0, i], y[0, i + ONE]
    for j in range(ONE, n1 - ONE):
        s = first_of(i, j, ONE)
        red[j, (ONE - s) * width] = 0
        for k in range(width):
            a = s + k
            t = (b[1, i, j, a] + _around(low, mid, high, j, a, k)) / REAL(degree[1, i, j, a])
            red[j, a] = t if degree[1, i, j, a] > 0 else REAL(0)


@jit(fastmath=FAST)
def _black_residual(rhs, b, y, low, mid, high, degree, i):
    """b - D y + the sum of red neighbours on black cells of plane i: its square, y'(b + r)."""
    i, n1, width = np.uint64(i), np.uint64(rhs.shape[1]), np.uint64(rhs.shape[2] - 1)
    square, product = 0.0, 0.0
    for j in range(ONE, n1 - ONE):
        s = first_of(i, j, ZERO)
        for k in range(width):
            a = s + k
            d, t = degree[0, i, j, a], b[0, i, j, a]
            r = t - d * y[0, i, j, a] + _around(low, mid, high, j, a, k)
            rhs[i, j, a] = r if d > 0 else 0.0
            r = r if d > 0 else t  # of a cell without neighbours nothing can be solved
            square += r * r
            product += y[0, i, j, a] * (t + r)
    return square, product


@jit(fastmath=FAST)
def _red_residual(b, y, red, degree, i):
    """What rounding leaves on red cells of plane i: its square, and y'(b + r)."""
    i, n1, width = np.uint64(i), np.uint64(b.shape[2]), np.uint64(b.shape[3] - 1)
    low, mid, high = y[0, i - ONE], y[0, i], y[0, i + ONE]
    square, product = 0.0, 0.0
    for j in range(ONE, n1 - ONE):
        s = first_of(i, j, ONE)
        for k in range(width):
            a = s + k
            t = b[1, i, j, a]
            r = t - degree[1, i, j, a] * red[j, a] + _around(low, mid, high, j, a, k)
            r = r if degree[1, i, j, a] > 0 else t
            square += r * r
            product += red[j, a] * (t + r)
    return square, product


@jit(fastmath=FAST)
def _residual_span(degree, b, y, rhs, squares, products, first, last):
    """Planes first <= i < last of the residual at y, whose red cells are solved anew."""
    _, n0, n1, m = b.shape
    red = np.zeros((4, n1, m))
    for i in range(max(first - 1, 1), min(last + 1, n0 - 1)):
        _red_solved(red[i & RING], b, y, degree, i)
        if first <= i < last:
            squares[i], products[i] = _red_residual(b, y, red[i & RING], degree, i)
            y[1, i] = red[i & RING]
        if i == n0 - 2:
            red[(i + 1) & RING] = 0
        for k in range(i - 1, i if i < n0 - 2 else i + 1):
            if first <= k < last:
                low, mid, high = red[(k - 1) & RING], red[k & RING], red[(k + 1) & RING]
                square, product = _black_residual(rhs, b, y, low, mid, high, degree, k)
                squares[k] += square
                products[k] += product


@jit(fastmath=FAST)
def _with_red(degree, b, x):
    """Red cells from the black ones."""
    for i in range(1, b.shape[1] - 1):
        _red_solved(x[1, i], b, x, degree, i)


@jit(fastmath=FAST)
def _collect_span(steps, places, directions, x, first, last):
    """x += the sum of steps times directions."""
    n1, m = np.uint64(x.shape[1]), np.uint64(x.shape[2])
    for i in range(np.uint64(first), np.uint64(last)):
        for j in range(ONE, n1 - ONE):
            for number in range(np.uint64(steps.size)):
                alpha, place = steps[number], places[number]
                for k in range(m):
                    x[i, j, k] += alpha * directions[place, i, j, k]


# --- spans of planes, in turn or on threads


@jit
def _pre_serial(args, bounds):
    _pre_span(*args, bounds[0], bounds[-1])


@parallel_jit
def _pre_parallel(args, bounds):
    for s in numba.prange(bounds.size - 1):
        _pre_span(*args, bounds[s], bounds[s + 1])


@jit
def _post_serial(args, bounds):
    _post_span(*args, bounds[0], bounds[-1])


@parallel_jit
def _post_parallel(args, bounds):
    for s in numba.prange(bounds.size - 1):
        _post_span(*args, bounds[s], bounds[s + 1])


@jit
def _direction_serial(args, bounds):
    _direction_span(*args, bounds[0], bounds[-1])


@parallel_jit
def _direction_parallel(args, bounds):
    for s in numba.prange(bounds.size - 1):
        _direction_span(*args, bounds[s], bounds[s + 1])


@jit
def _residual_serial(args, bounds):
    _residual_span(*args, bounds[0], bounds[-1])


@parallel_jit
def _residual_parallel(args, bounds):
    for s in numba.prange(bounds.size - 1):
        _residual_span(*args, bounds[s], bounds[s + 1])


@jit
def _collect_serial(args, bounds):
    _collect_span(*args, bounds[0], bounds[-1])


@parallel_jit
def _collect_parallel(args, bounds):
    for s in numba.prange(bounds.size - 1):
        _collect_span(*args, bounds[s], bounds[s + 1])


# --- the kernels


class Hierarchy:
    """All levels. Where weights are 1, `degree` holds the finest by colours and nothing more."""

    def __init__(self, types, degree, dirichlet, weights, parameters):
        types, degree, dirichlet = map(even, (types, degree, dirichlet))
        self.types = types
        self.starts, self.fluid = row_starts(types)
        parameters = [tuple(map(float, row)) for row in parameters]
        self.degree = by_colour(degree) if weights is None else None
        if weights is not None:
            weights = tuple(even(w).astype(REAL) for w in weights)
        self.first, self.second, self.factor = map(REAL, parameters[0][:3])
        self.coarse = coarse_levels(types, degree, dirichlet, weights, parameters)

    def coarser(self, field):
        """The first coarse level's x or rhs where it is a grid, where it is a graph, its parts."""
        if self.coarse.every:
            return (
                getattr(self.coarse.first, field),
                np.zeros(0, REAL),
                np.zeros((0, 0, 0), np.uint32),
            )
        return np.zeros((2, 0, 0, 0), REAL), getattr(self.coarse.first, field), self.coarse.parts[0]

    @property
    def sizes(self):
        sizes = self.coarse.sizes
        return [self.fluid, *sizes[self.degree is None :]]

    def restrict(self, old, q, alpha, new, dots):
        """new = old - alpha q, and the first coarse right-hand side; r'r by planes in `dots`."""
        n0, (coarse, nodes, part_of) = old.shape[0], self.coarser("rhs")
        nodes[:] = 0
        args = (self.degree, old, q, REAL(alpha), self.first, new, coarse, nodes, part_of, dots)
        run_spans(2 * old.size, _pre_parallel, _pre_serial, args, 1, n0 // 2)

    def smoothed(self, r, z, dots):
        """z from r and the coarse right-hand side; z'r by planes in `dots`."""
        coarse_cycle(self.coarse)
        args = (self.degree, r, *self.coarser("x"), self.first, self.factor, z, dots)
        run_spans(2 * r.size, _post_parallel, _post_serial, args, 1, r.shape[0] - 1)


def even(x):
    """Zeros after the last layers, until extents are even and long rows whole vectors."""
    more = [n % 2 for n in x.shape]
    if x.shape[2] > 50:
        more[2] = (2 - x.shape[2]) % 16
    return np.pad(x, [(0, n) for n in more]) if any(more) else np.ascontiguousarray(x)


def vcycle_setup(types, degree, dirichlet, weights, parameters):
    return Hierarchy(types, degree, dirichlet, weights, parameters)


def vcycle(hierarchy, r):
    b = by_colour(even(r.astype(REAL, copy=False)))
    if hierarchy.degree is None:
        hierarchy.coarse.first.rhs[...] = b
        return by_cell(coarse_cycle(hierarchy.coarse), r.shape)
    n0, degree = b.shape[1], hierarchy.degree
    rhs, x, dots = np.zeros_like(b[0]), np.zeros_like(b), np.zeros(n0)
    _residual_span(degree, b, x, rhs, dots, np.zeros(n0), 1, n0 - 1)
    hierarchy.restrict(rhs, rhs, 0, np.zeros_like(rhs), dots)
    hierarchy.smoothed(rhs, x[0], dots)
    _with_red(degree, b, x)
    return by_cell(x, r.shape)


class Search:
    """Conjugate gradients on black cells, for the right-hand side divided by `norm`.

    x is float64; r, p and q are float32, which rounds q and r relative to themselves only, as q
    is formed in float64 from the stored p. The last directions are kept, and added to x when
    somebody asks for it or their places are taken.
    """

    KEPT = 4

    def __init__(self, hierarchy, b, scale):
        self.hierarchy, self.scale = hierarchy, float(scale)
        shape = hierarchy.degree.shape
        self.b, self.x = np.zeros(shape), np.zeros(shape)
        scatter(hierarchy.types, hierarchy.starts, b, 1.0 / self.scale, self.b)
        self.rhs = np.zeros(shape[1:])
        self.fields = np.zeros((3, *shape[1:]), REAL)
        self.kept = np.zeros((self.KEPT, *shape[1:]), REAL)
        self.dots, self.others = np.zeros(shape[1]), np.zeros(shape[1])
        self.steps: list[float] = []  # of the last directions, up to the one at `place`
        self.place = 0
        self.residual()
        self.begin()

    def begin(self):
        """The first residual and its coarse right-hand side, from `rhs`."""
        self.r, self.other, self.q = self.fields
        self.norm, self.rho = float(self.dots.sum()) ** 0.5, None
        if self.norm > 0.0:
            np.divide(self.rhs, self.norm, out=self.q, casting="same_kind")
            self.restrict(self.q, 0.0)

    def collect(self):
        """Add what was found to x."""
        if self.steps:
            places = (self.place - np.arange(len(self.steps))[::-1]) % self.KEPT
            args = (np.array(self.steps), places.astype(np.uint64), self.kept, self.x[0])
            planes = self.x.shape[1] - 1
            run_spans(self.x.size, _collect_parallel, _collect_serial, args, 1, planes)
            self.steps = []

    def residual(self):
        """The residual at x on black cells in `rhs`, its square and x'(b + r) by planes."""
        self.collect()
        args = (self.hierarchy.degree, self.b, self.x, self.rhs, self.dots, self.others)
        planes = self.x.shape[1] - 1
        run_spans(self.x.size, _residual_parallel, _residual_serial, args, 1, planes)

    def restrict(self, old, alpha):
        """r = old - alpha q, and the coarse right-hand side; r'r."""
        self.hierarchy.restrict(old, self.q, alpha, self.other, self.dots)
        self.r, self.other = self.other, self.r
        return float(self.dots.sum())


def vcycle_cg_start(hierarchy, b, scale):
    return Search(hierarchy, b, scale)


def vcycle_cg_step(state):
    if state.norm == 0.0:
        return 0.0, 0.0
    h, work, n0 = state.hierarchy, state.b.size, state.r.shape[0]
    z = state.other
    h.smoothed(state.r, z, state.dots)
    rho = float(state.dots.sum())
    beta = REAL(0.0 if state.rho is None else rho / state.rho)
    if len(state.steps) == state.KEPT:
        state.collect()
    before = state.kept[state.place]
    state.place = (state.place + 1) % state.KEPT
    p = state.kept[state.place]
    args = (h.degree, z, beta, before, p, state.q, state.dots)
    run_spans(work, _direction_parallel, _direction_serial, args, 1, n0 - 1)
    curvature = float(state.dots.sum())
    if not curvature > 0.0:
        return np.nan, np.nan
    alpha, state.rho = REAL(rho / curvature), rho
    state.steps.append(float(alpha) * state.norm)
    rr = state.restrict(state.r, alpha)
    square = (state.norm * state.scale) ** 2
    return rr * square, rho * float(alpha) * square / state.scale


def vcycle_cg_solution(state):
    state.collect()
    h = state.hierarchy
    _with_red(h.degree, state.b, state.x)
    x = np.empty(h.fluid)
    gather(h.types, h.starts, state.x, x)
    return x


def vcycle_cg_residual(state):
    state.residual()
    return (
        float(state.dots.sum()) * state.scale**2, -0.5 * float(state.others.sum()) * state.scale
    )  # fmt: skip


def vcycle_cg_restart(state):
    state.residual()
    state.begin()
