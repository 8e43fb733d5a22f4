"""Vectors of unknowns, to fields by colours and back."""

import numba
import numpy as np

from refopt_backends.numba_cpu._coarse_grids import ONE, TWO, interlace, part
from refopt_backends.numba_cpu._jit import FAST, jit, parallel_jit, run_spans


def scatter(types, starts, v, factor, out):
    """`out` = factor times v, by colours; its other cells are left as they are."""
    args = (types, starts, v, factor, out)
    run_spans(out.size, _scatter_parallel, _scatter_serial, args, 1, types.shape[0] - 1)


def gather(types, starts, field, out):
    """The inverse, into the vector `out`."""
    args = (types, starts, field, out)
    run_spans(field.size, _gather_parallel, _gather_serial, args, 1, types.shape[0] - 1)


@jit(fastmath=FAST)
def _scatter_span(types, starts, v, factor, out, first, last):
    """Planes first <= i < last of a field by colours from a vector of unknowns."""
    n1, n2 = np.uint64(types.shape[1]), np.uint64(types.shape[2])
    line, top = np.zeros(n2), np.uint64(v.size - 1)
    for i in range(np.uint64(first), np.uint64(last)):
        for j in range(ONE, n1 - ONE):
            at, end = np.uint64(starts[i, j]), np.uint64(starts[i, j + ONE])
            if end - at == n2 - TWO:
                for k in range(n2 - TWO):
                    line[k + ONE] = factor * v[at + k]
            else:
                for k in range(n2):
                    fluid = types[i, j, k] == 1
                    line[k] = factor * v[min(at, top)] if fluid else 0.0
                    at += np.uint64(fluid)
            part(line, out, i, j)


@jit(fastmath=FAST)
def _gather_span(types, starts, field, out, first, last):
    """The inverse."""
    n1, n2 = np.uint64(types.shape[1]), np.uint64(types.shape[2])
    line = np.zeros(n2)
    for i in range(np.uint64(first), np.uint64(last)):
        for j in range(ONE, n1 - ONE):
            at, end = np.uint64(starts[i, j]), np.uint64(starts[i, j + ONE])
            if at == end:
                continue
            interlace(field, i, j, line)
            if end - at == n2 - TWO:
                for k in range(n2 - TWO):
                    out[at + k] = line[k + ONE]
            else:
                k = ONE
                while at < end:  # writes a cell that is not fluid, and then over it
                    out[at] = line[k]
                    at += np.uint64(types[i, j, k] == 1)
                    k += ONE


@jit
def row_starts(types):
    """Where the unknowns of each row begin in a vector."""
    n0, n1, n2 = types.shape
    starts = np.zeros((n0, n1), np.int64)
    total = 0
    for i in range(np.uint64(n0)):
        for j in range(np.uint64(n1)):
            starts[i, j] = total
            count = np.int32(0)
            for k in range(np.uint64(n2)):
                count += np.int32(types[i, j, k] == 1)
            total += count
    return starts, total


@jit
def _scatter_serial(args, bounds):
    _scatter_span(*args, bounds[0], bounds[-1])


@parallel_jit
def _scatter_parallel(args, bounds):
    for s in numba.prange(bounds.size - 1):
        _scatter_span(*args, bounds[s], bounds[s + 1])


@jit
def _gather_serial(args, bounds):
    _gather_span(*args, bounds[0], bounds[-1])


@parallel_jit
def _gather_parallel(args, bounds):
    for s in numba.prange(bounds.size - 1):
        _gather_span(*args, bounds[s], bounds[s + 1])
