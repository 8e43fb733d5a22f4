"""What is asked of a graph on CuPy arrays. Forests are built on the CPU."""

import cupy


def is_symmetric(starts, columns, values, rtol):
    n = starts.shape[0] - 1
    rows = cupy.searchsorted(starts, cupy.arange(columns.shape[0]), side="right") - 1
    stored = values != 0
    rows, columns, v = rows[stored], columns[stored].astype(cupy.int64), values[stored]
    mirror = columns * n + rows
    order = cupy.argsort(mirror)
    if not bool((mirror[order] == rows * n + columns).all()):
        return False
    w = v[order]
    return bool((cupy.abs(v - w) <= rtol * (cupy.abs(v) + cupy.abs(w))).all())
