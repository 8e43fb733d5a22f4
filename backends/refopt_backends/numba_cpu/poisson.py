"""The pressure matrix on padded fields, compiled for the CPU."""

import numba
import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit, parallel_jit, run_parallel


@jit
def poisson_degree(types):
    degree = np.zeros(types.shape, np.uint8)
    dirichlet = np.zeros(types.shape, np.uint8)
    n0, n1, n2 = types.shape
    for i in range(1, n0 - 1):
        for j in range(1, n1 - 1):
            row = types[i, j]
            sides = (types[i - 1, j], types[i + 1, j], types[i, j - 1], types[i, j + 1])
            left, mid, right = row[: n2 - 2], row[1 : n2 - 1], row[2:]
            d, g = degree[i, j, 1:], dirichlet[i, j, 1:]
            s0, s1, s2, s3 = sides[0][1:], sides[1][1:], sides[2][1:], sides[3][1:]
            for k in range(n2 - 2):
                open_faces = (
                    np.uint8(s0[k] != 0) + np.uint8(s1[k] != 0) + np.uint8(s2[k] != 0)
                    + np.uint8(s3[k] != 0) + np.uint8(left[k] != 0) + np.uint8(right[k] != 0)
                )  # fmt: skip
                air = (
                    np.uint8(s0[k] == 2) + np.uint8(s1[k] == 2) + np.uint8(s2[k] == 2)
                    + np.uint8(s3[k] == 2) + np.uint8(left[k] == 2) + np.uint8(right[k] == 2)
                )  # fmt: skip
                fluid = mid[k] == 1
                d[k] = open_faces if fluid else 0
                g[k] = air if fluid else 0
    return degree, dirichlet


def poisson_apply(degree, weights, x, scale):
    out = np.empty(x.shape)
    if weights is None:
        run_parallel(x.size, _unit_parallel, _unit_serial, degree, x, float(scale), out)
    else:
        args = (degree, *weights, x, float(scale), out)
        run_parallel(x.size, _weighted_parallel, _weighted_serial, *args)
    return out


@jit(fastmath=FAST)
def _unit_plane(degree, x, scale, out, i):
    n1, n2 = x.shape[1:]
    if i == 0 or i == x.shape[0] - 1:
        out[i] = 0.0
        return
    out[i, 0] = 0.0
    out[i, n1 - 1] = 0.0
    for j in range(1, n1 - 1):
        a, b, c, d = x[i - 1, j, 1:], x[i + 1, j, 1:], x[i, j - 1, 1:], x[i, j + 1, 1:]
        left, mid, right = x[i, j], x[i, j, 1:], x[i, j, 2:]
        deg, y = degree[i, j, 1:], out[i, j, 1:]
        for k in range(n2 - 2):
            near = (
                (np.float64(a[k]) + np.float64(b[k])) + (np.float64(c[k]) + np.float64(d[k]))
                + (np.float64(left[k]) + np.float64(right[k]))
            )  # fmt: skip
            total = scale * (np.float64(deg[k]) * np.float64(mid[k]) - near)
            y[k] = total if deg[k] > 0 else 0.0
        out[i, j, 0] = 0.0
        out[i, j, n2 - 1] = 0.0


@jit(fastmath=FAST)
def _unit_serial(degree, x, scale, out):
    for i in range(x.shape[0]):
        _unit_plane(degree, x, scale, out, i)


@parallel_jit(fastmath=FAST)
def _unit_parallel(degree, x, scale, out):
    for i in numba.prange(x.shape[0]):
        _unit_plane(degree, x, scale, out, i)


@jit(fastmath=FAST)
def _weighted_plane(degree, w0, w1, w2, x, scale, out, i):
    n1, n2 = x.shape[1:]
    if i == 0 or i == x.shape[0] - 1:
        out[i] = 0.0
        return
    out[i, 0] = 0.0
    out[i, n1 - 1] = 0.0
    for j in range(1, n1 - 1):
        a, b, c, d = x[i - 1, j, 1:], x[i + 1, j, 1:], x[i, j - 1, 1:], x[i, j + 1, 1:]
        wa, wb, wc, wd = w0[i - 1, j, 1:], w0[i, j, 1:], w1[i, j - 1, 1:], w1[i, j, 1:]
        left, mid, right = x[i, j], x[i, j, 1:], x[i, j, 2:]
        wl, wr = w2[i, j], w2[i, j, 1:]
        deg, y = degree[i, j, 1:], out[i, j, 1:]
        for k in range(n2 - 2):
            near = (
                (wa[k] * a[k] + wb[k] * b[k]) + (wc[k] * c[k] + wd[k] * d[k])
                + (wl[k] * left[k] + wr[k] * right[k])
            )  # fmt: skip
            y[k] = scale * (deg[k] * mid[k] - near)
        out[i, j, 0] = 0.0
        out[i, j, n2 - 1] = 0.0


@jit(fastmath=FAST)
def _weighted_serial(degree, w0, w1, w2, x, scale, out):
    for i in range(x.shape[0]):
        _weighted_plane(degree, w0, w1, w2, x, scale, out, i)


@parallel_jit(fastmath=FAST)
def _weighted_parallel(degree, w0, w1, w2, x, scale, out):
    for i in numba.prange(x.shape[0]):
        _weighted_plane(degree, w0, w1, w2, x, scale, out, i)


def label_components(types, weights, dirichlet):
    weights = (None,) * 3 if weights is None else weights
    labels, head = _join(types, *weights)
    return _numbered(labels, head, dirichlet)


# Runs of fluid cells along the last axis are the elements; `head` their forest, each run
# pointing to an earlier one of its part.
@jit
def _find(head, run):
    while head[run] != run:
        head[run] = head[head[run]]
        run = head[run]
    return run


@jit
def _unite(head, one, two):
    one, two = _find(head, one), _find(head, two)
    if one < two:
        head[two] = one
    elif two < one:
        head[one] = two


@jit
def _join(types, w0, w1, w2):
    n0, n1, n2 = types.shape
    labels = np.zeros((n0, n1, n2), np.int32)
    count = 0
    for i in range(n0):
        for j in range(n1):
            row = types[i, j]
            before = False
            for k in range(n2):
                fluid = row[k] == 1
                starts = not before
                if w2 is not None:
                    starts = starts or not w2[i, j, k - 1] > 0
                count += fluid and starts
                labels[i, j, k] = count if fluid else 0
                before = fluid
    head = np.arange(count + 1, dtype=np.int32)
    for i in range(n0):
        for j in range(n1):
            row = labels[i, j]
            for axis in range(2):
                if (i if axis == 0 else j) == 0:
                    continue
                other = labels[i - 1, j] if axis == 0 else labels[i, j - 1]
                one = two = 0
                for k in range(n2):
                    if row[k] and other[k]:
                        joined = True
                        if w0 is not None:
                            w = w0[i - 1, j, k] if axis == 0 else w1[i, j - 1, k]
                            joined = w > 0
                        if joined and (row[k] != one or other[k] != two):
                            one, two = row[k], other[k]
                            _unite(head, one, two)
    return labels, head


@jit
def _numbered(labels, head, dirichlet):
    number = np.zeros(head.size, np.int32)
    count = 0
    for run in range(1, head.size):  # a run's head lies before it
        if head[run] == run:
            count += 1
            number[run] = count
        else:
            number[run] = number[head[run]]
    grounded = np.zeros(count, np.bool_)
    flat, air = labels.ravel(), dirichlet.ravel()
    for cell in range(flat.size):
        part = number[flat[cell]]
        flat[cell] = part
        if air[cell] > 0:
            grounded[part - 1] = True
    return labels, grounded
