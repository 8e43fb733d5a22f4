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
    Level,
    by_cell,
    by_colour,
    coarse_cycle,
    coarse_levels,
    down_parallel,
    down_serial,
    first_of,
    interlace,
    part,
    up_parallel,
    up_serial,
)  # fmt: skip
from refopt_backends.numba_cpu._jit import FAST, jit, parallel_jit, run_parallel, threads_for

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
def _pre_span(degree, old, q, alpha, w, new, coarse, squares, first, last):
    """Coarse planes first <= ci < last of `step_and_restrict`."""
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
                if k & 1:
                    lines[:] = 0
                v = np.uint64(k)
                for j in range(ONE, np.uint64(n1 - 1)):
                    line = lines[(j + ONE) // TWO]
                    _restrict(line, new, REAL(1) - w, low, mid, high, degree[0], v, j)
                if not k & 1:
                    for j in range(ONE, np.uint64(n1 // 2)):
                        part(lines[j], coarse, v // TWO, j)


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
def _post_span(degree, r, coarse, w, factor, z, products, first, last):
    """Planes first <= i < last of z = w r / D + factor P e, smoothed; z'r of each."""
    n0, n1, m = r.shape
    u, red = np.zeros((4, n1, m), REAL), np.zeros((4, n1, m), REAL)
    lines = np.zeros((n1 // 2, 2 * coarse.shape[3]), REAL)
    at = -1
    for i in range(max(first - 2, 0), min(last + 2, n0)):
        if 0 < i < n0 - 1:
            ci = (i + 1) // 2
            if ci != at:
                at = ci
                for j in range(ONE, np.uint64(n1 // 2)):
                    interlace(coarse, np.uint64(ci), j, lines[j])
            _corrected(u[i & RING], r, w, lines, factor, degree[0], i)
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
def _solved_red(out, b, degree, i):
    """b / D on red cells of plane i."""
    i, n1, m = np.uint64(i), np.uint64(out.shape[0]), np.uint64(out.shape[1])
    for j in range(ONE, n1 - ONE):
        for k in range(m):
            d = degree[i, j, k]
            out[j, k] = b[i, j, k] / REAL(d) if d > 0 else REAL(0)


@jit(fastmath=FAST)
def _without_red(degree, b, rhs):
    """The right-hand side on black cells once the red ones are eliminated; its squared norm."""
    _, n0, n1, m = b.shape
    red = np.zeros((4, n1, m), b.dtype)
    total = 0.0
    _solved_red(red[1], b[1], degree[1], 1)
    for i in range(1, n0 - 1):
        _solved_red(red[(i + 1) & RING], b[1], degree[1], i + 1)
        low, mid, high = red[(i - 1) & RING], red[i & RING], red[(i + 1) & RING]
        v = np.uint64(i)
        for j in range(ONE, np.uint64(n1 - 1)):
            s = first_of(v, j, ZERO)
            for k in range(np.uint64(m - 1)):
                t = b[0, v, j, s + k] + _around(low, mid, high, j, s + k, k)
                t = t if degree[0, v, j, s + k] > 0 else REAL(0)
                rhs[v, j, s + k] = t
                total += t * t
    return total


@jit(fastmath=FAST)
def _with_red(degree, b, x):
    """Red cells from the black ones."""
    _, n0, n1, m = b.shape
    for i in range(ONE, np.uint64(n0 - 1)):
        low, mid, high = x[0, i - ONE], x[0, i], x[0, i + ONE]
        for j in range(ONE, np.uint64(n1 - 1)):
            s = first_of(i, j, ONE)
            for k in range(np.uint64(m - 1)):
                a = s + k
                t = (b[1, i, j, a] + _around(low, mid, high, j, a, k)) / REAL(degree[1, i, j, a])
                x[1, i, j, a] = t if degree[1, i, j, a] > 0 else REAL(0)


# --- spans of planes, in turn or on threads


def _in_spans(work, parallel, serial, args, first, last):
    """Call a span kernel on all planes: one span per thread."""
    spans = min(threads_for(work), last - first)
    run_parallel(work, parallel, serial, args, np.linspace(first, last, spans + 1).astype(np.int64))


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


# --- the kernels


class Hierarchy:
    """All levels. Where weights are 1, `degree` holds the finest by colours and nothing more."""

    def __init__(self, types, degree, dirichlet, weights, parameters):
        self.shape = types.shape
        types, degree, dirichlet = map(even, (types, degree, dirichlet))
        parameters = [tuple(map(float, row)) for row in parameters]
        self.weights = self.degree = None
        if weights is None:
            self.degree = by_colour(degree)
        else:
            weights = tuple(even(w).astype(REAL) for w in weights)
            degree = by_colour(degree.astype(REAL))
            links = np.stack([by_colour(w) for w in weights], axis=1)
            self.weights = Level(degree, links, np.zeros_like(degree), np.zeros_like(degree))
        self.first, self.second, self.factor = map(REAL, parameters[0][:3])
        self.coarse = coarse_levels(types, dirichlet, weights, parameters)
        self.fluid = int(np.count_nonzero(types == 1))

    @property
    def sizes(self):
        coarse = [int(np.count_nonzero(level.degree > 0)) for level in self.coarse.every]
        return [self.fluid, *coarse]


def even(x):
    """Layers of zeros after the last, until the padded extents are even."""
    if all(n % 2 == 0 for n in x.shape):
        return np.ascontiguousarray(x)
    return np.pad(x, [(0, n % 2) for n in x.shape])


def vcycle_setup(types, degree, dirichlet, weights, parameters):
    return Hierarchy(types, degree, dirichlet, weights, parameters)


def vcycle(hierarchy, r):
    b = by_colour(even(r.astype(REAL, copy=False)))
    cycle = _unit_cycle if hierarchy.weights is None else _weighted_cycle
    return by_cell(cycle(hierarchy, b), r.shape)


def _weighted_cycle(hierarchy, b):
    level, coarse = hierarchy.weights, hierarchy.coarse
    level.rhs[...] = b
    sweeps = hierarchy.first, hierarchy.second
    args = (*level, *sweeps, coarse.every[0].rhs)
    run_parallel(b.size, down_parallel, down_serial, *args)
    args = (*level, *sweeps, coarse_cycle(coarse), hierarchy.factor)
    run_parallel(b.size, up_parallel, up_serial, *args)
    return level.x


def _unit_cycle(hierarchy, b):
    n0, degree = b.shape[1], hierarchy.degree
    rhs, x = np.zeros_like(b[0]), np.zeros_like(b)
    _without_red(degree, b, rhs)
    coarse, dots = hierarchy.coarse.every[0].rhs, np.zeros(n0)
    args = (degree, rhs, rhs, REAL(0), hierarchy.first, np.zeros_like(rhs), coarse, dots)
    _in_spans(b.size, _pre_parallel, _pre_serial, args, 1, n0 // 2)
    e = coarse_cycle(hierarchy.coarse)
    args = (degree, rhs, e, hierarchy.first, hierarchy.factor, x[0], dots)
    _in_spans(b.size, _post_parallel, _post_serial, args, 1, n0 - 1)
    _with_red(degree, b, x)
    return x


class Search:
    """Conjugate gradients on black cells, for the right-hand side divided by `norm`.

    x and the sums of its parts are float64; r, p and q are float32, which rounds q and r
    relative to themselves only, as q is formed in float64 from the stored p.
    """

    def __init__(self, hierarchy, r, scale):
        self.hierarchy, self.scale = hierarchy, float(scale)
        degree = hierarchy.degree
        self.b = by_colour(even(r))
        self.x = np.zeros(degree.shape)
        rhs = self.x[1]  # a place for it until x is first asked for
        self.norm = _without_red(degree, self.b, rhs) ** 0.5
        fields = np.zeros((5, *rhs.shape), REAL)
        self.r, self.other, self.q, self.p, self.before = fields
        self.dots = np.zeros(degree.shape[1])
        self.rho = None
        if self.norm > 0.0:
            np.divide(rhs, self.norm, out=self.q, casting="same_kind")
            rhs[...] = 0.0
            self.restrict(self.q, 0.0)

    def restrict(self, old, alpha):
        """r = old - alpha q, and the coarse right-hand side; r'r."""
        n0, h = self.r.shape[0], self.hierarchy
        coarse, alpha = h.coarse.every[0].rhs, REAL(alpha)
        args = (h.degree, old, self.q, alpha, h.first, self.other, coarse, self.dots)
        _in_spans(self.b.size, _pre_parallel, _pre_serial, args, 1, n0 // 2)
        self.r, self.other = self.other, self.r
        return float(self.dots.sum())


def vcycle_cg_start(hierarchy, r, scale):
    return Search(hierarchy, r, scale)


def vcycle_cg_step(state):
    if state.norm == 0.0:
        return 0.0, 0.0
    h, work, n0 = state.hierarchy, state.b.size, state.r.shape[0]
    z = state.other
    args = (h.degree, state.r, coarse_cycle(h.coarse), h.first, h.factor, z, state.dots)
    _in_spans(work, _post_parallel, _post_serial, args, 1, n0 - 1)
    rho = float(state.dots.sum())
    beta = REAL(0.0 if state.rho is None else rho / state.rho)
    state.p, state.before = state.before, state.p
    args = (h.degree, z, beta, state.before, state.p, state.q, state.dots)
    _in_spans(work, _direction_parallel, _direction_serial, args, 1, n0 - 1)
    curvature = float(state.dots.sum())
    if not curvature > 0.0:
        return np.nan, np.nan
    alpha, state.rho = REAL(rho / curvature), rho
    run_parallel(work, _add_parallel, _add_serial, float(alpha), state.p, state.x[0])
    rr = state.restrict(state.r, alpha)
    square = state.norm**2
    return rr * square, rho * float(alpha) * square / state.scale


def vcycle_cg_add(state, x):
    state.x *= state.norm
    _with_red(state.hierarchy.degree, state.b, state.x)
    _add_cells(x, state.x, 1.0 / state.scale)
    state.x[...] = 0.0
    state.b[...] = 0.0


@jit(fastmath=FAST)
def _add_serial(alpha, p, x):
    for i in range(x.shape[0]):
        x[i] += alpha * p[i]


@parallel_jit(fastmath=FAST)
def _add_parallel(alpha, p, x):
    for i in numba.prange(x.shape[0]):
        x[i] += alpha * p[i]


@jit(fastmath=FAST)
def _add_cells(x, colours, factor):
    n0, n1, n2 = x.shape
    line = np.empty(2 * colours.shape[3])
    for i in range(np.uint64(n0)):
        for j in range(np.uint64(n1)):
            interlace(colours, i, j, line)
            for k in range(np.uint64(n2)):
                x[i, j, k] += factor * line[k]
