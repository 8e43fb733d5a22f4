"""CUDA kernels of methods with one component per step; batches are whole-array text."""

import cupy

from refopt_backends.cupy_gpu import _shapes as shapes


def svrg_rows_steps(form, mu, w, g, u, eta, mix, prox, index, factors):
    z = cupy.astype(u - w, cupy.float64)
    nothing = cupy.zeros(1, dtype=u.dtype)
    weights, lower, upper = prox or (nothing, nothing, nothing)
    index = cupy.ascontiguousarray(index)
    drawn = (
        *(int(bool(prox)), weights, lower, upper, index, index.size, int(factors is not None)),
        nothing if factors is None else cupy.ascontiguousarray(factors),
    )
    steps = (mix - eta * mu, eta, w, g, *drawn, z)
    if form[0] == "rows":
        _, rows, split, coupling = form
        args = (rows, rows.shape[1], split, *coupling, *steps)
        shapes.run("finite_sums.cu", "svrg_rows", 1, args, u.dtype, shapes.per_warp(u))
    else:
        _, columns, places = form
        n, s = places.shape
        args = (columns, columns.shape[0], places, n, s, *steps, cupy.empty_like(z))
        shapes.run("finite_sums.cu", "svrg_columns", 1, args, u.dtype, shapes.per_warp(u))
    return cupy.astype(w + z, u.dtype, copy=False)
