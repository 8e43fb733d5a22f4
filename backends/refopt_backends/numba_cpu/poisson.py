"""The pressure matrix on padded fields, compiled for the CPU.

Rows along the last axis are the loops that are vectorised.
"""

import numba
import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit, parallel_jit, run_parallel
from refopt_backends.numba_cpu._union_find import unite

# Cells that are as much work as one element elsewhere: a pass costs about 1 ns a cell, and
# waking threads for less than half a millisecond lost a factor of four on a busy machine.
LIGHT = 8


@jit
def poisson_degree(types):
    degree = np.zeros(types.shape, np.uint8)
    dirichlet = np.zeros(types.shape, np.uint8)
    n0, n1, n2 = types.shape
    for i in range(1, n0 - 1):
        for j in range(1, n1 - 1):
            a, b = types[i - 1, j, 1:], types[i + 1, j, 1:]
            c, d = types[i, j - 1, 1:], types[i, j + 1, 1:]
            left, mid, right = types[i, j], types[i, j, 1:], types[i, j, 2:]
            out, air = degree[i, j, 1:], dirichlet[i, j, 1:]
            for k in range(n2 - 2):
                fluid = np.uint8(mid[k] == 1)
                out[k] = fluid * (
                    np.uint8(a[k] != 0) + np.uint8(b[k] != 0) + np.uint8(c[k] != 0)
                    + np.uint8(d[k] != 0) + np.uint8(left[k] != 0) + np.uint8(right[k] != 0)
                )  # fmt: skip
                air[k] = fluid * (
                    np.uint8(a[k] == 2) + np.uint8(b[k] == 2) + np.uint8(c[k] == 2)
                    + np.uint8(d[k] == 2) + np.uint8(left[k] == 2) + np.uint8(right[k] == 2)
                )  # fmt: skip
    return degree, dirichlet


def poisson_apply(degree, weights, x, scale):
    out = np.empty(x.shape)
    weights = (None,) * 3 if weights is None else weights
    run_parallel(
        x.size // LIGHT, _apply_parallel, _apply_serial, degree, *weights, x, float(scale), out
    )
    return out


@jit(fastmath=FAST)
def _apply_serial(degree, w0, w1, w2, x, scale, out):
    for i in range(x.shape[0]):
        plane(degree, w0, w1, w2, x, scale, out, i)


@parallel_jit(fastmath=FAST)
def _apply_parallel(degree, w0, w1, w2, x, scale, out):
    for i in numba.prange(x.shape[0]):
        plane(degree, w0, w1, w2, x, scale, out, i)


@jit(fastmath=FAST)
def plane(degree, w0, w1, w2, x, scale, out, i):
    """One plane of scale (D x - W x); its part of the product with x."""
    n0, n1, n2 = x.shape
    dot = 0.0
    if i == 0 or i == n0 - 1:
        out[i] = 0.0
        return dot
    out[i, 0] = 0.0
    out[i, n1 - 1] = 0.0
    for j in range(1, n1 - 1):
        a, b, c, d = x[i - 1, j, 1:], x[i + 1, j, 1:], x[i, j - 1, 1:], x[i, j + 1, 1:]
        left, mid, right = x[i, j], x[i, j, 1:], x[i, j, 2:]
        deg, y = degree[i, j, 1:], out[i, j, 1:]
        if w0 is None:
            for k in range(n2 - 2):
                near = (
                    (np.float64(a[k]) + np.float64(b[k])) + (np.float64(c[k]) + np.float64(d[k]))
                    + (np.float64(left[k]) + np.float64(right[k]))
                )  # fmt: skip
                own = np.float64(mid[k])
                total = scale * (np.float64(deg[k]) * own - near)
                total = total if deg[k] > 0 else 0.0
                y[k] = total
                dot += own * total
        else:
            wa, wb, wc, wd = w0[i - 1, j, 1:], w0[i, j, 1:], w1[i, j - 1, 1:], w1[i, j, 1:]
            wl, wr = w2[i, j], w2[i, j, 1:]
            for k in range(n2 - 2):
                near = (
                    (wa[k] * a[k] + wb[k] * b[k]) + (wc[k] * c[k] + wd[k] * d[k])
                    + (wl[k] * left[k] + wr[k] * right[k])
                )  # fmt: skip
                total = scale * (deg[k] * mid[k] - near)
                y[k] = total
                dot += mid[k] * total
        out[i, j, 0] = 0.0
        out[i, j, n2 - 1] = 0.0
    return dot


def label_components(types, weights, dirichlet):
    weights = (None,) * 3 if weights is None else weights
    labels, head = _join(types, *weights)
    return _numbered(labels, head, dirichlet)


# Runs of fluid cells along the last axis are the elements; `head` their forest, each run
# pointing to an earlier one of its part.
@jit
def _join(types, w0, w1, w2):
    n0, n1, n2 = types.shape
    labels = np.zeros((n0, n1, n2), np.int32)
    # Rows of one run, where all weights are 1, are joined by its ends, without walking along it.
    begin, end = np.zeros((n0, n1), np.int32), np.zeros((n0, n1), np.int32)
    count = 0
    for i in range(1, n0 - 1):
        for j in range(1, n1 - 1):
            row, own = types[i, j], labels[i, j]
            cells = runs = 0
            for k in range(1, n2):
                cells += row[k] == 1
                runs += (row[k] == 1) & (row[k - 1] != 1)
            if w2 is None and runs == 1:
                first = 1
                while row[first] != 1:
                    first += 1
                count += 1
                begin[i, j], end[i, j] = first, first + cells
                own[first : first + cells] = count
                continue
            before = False
            for k in range(n2 if cells else 0):
                fluid = row[k] == 1
                starts = not before
                if w2 is not None:
                    starts = starts or not w2[i, j, k - 1] > 0
                count += fluid and starts
                own[k] = count if fluid else 0
                before = fluid
    head = np.arange(count + 1, dtype=np.int32)
    for i in range(1, n0 - 1):
        for j in range(1, n1 - 1):
            row = labels[i, j]
            for axis in range(2):
                p, q = (i - 1, j) if axis == 0 else (i, j - 1)
                other = labels[p, q]
                if w0 is None and end[i, j] and end[p, q]:
                    common = max(begin[i, j], begin[p, q])
                    if common < min(end[i, j], end[p, q]):
                        unite(head, row[common], other[common])
                    continue
                one = two = 0
                for k in range(n2):
                    if row[k] and other[k] and (row[k] != one or other[k] != two):
                        if w0 is not None:
                            w = w0[i - 1, j, k] if axis == 0 else w1[i, j - 1, k]
                            if not w > 0:
                                continue
                        one, two = row[k], other[k]
                        unite(head, one, two)
    return labels, head


@jit
def _numbered(labels, head, dirichlet):
    number = np.zeros(head.size, np.int32)
    count = 0
    for run in range(1, head.size):
        if head[run] == run:
            count += 1
            number[run] = count
        else:  # a run's head lies before it
            number[run] = number[head[run]]
    grounded = np.zeros(count + 1, np.bool_)
    flat, air = labels.ravel(), dirichlet.ravel()
    for cell in range(flat.size):
        part = number[flat[cell]]
        flat[cell] = part
        if air[cell] > 0:
            grounded[part] = True
    return labels, grounded[1:]
