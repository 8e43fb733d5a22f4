"""Compiled steps of methods for averages of components."""

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from refopt_backends.numba_cpu._jit import FAST, jit

_NONE = {kind: np.empty(0, dtype=kind) for kind in ("float32", "float64")}


@intrinsic
def _prefetch(typing_context, array, i, j):
    """Fetch the cache line of array[i, j], of which nobody waits for the arrival."""

    def codegen(context, builder, signature, args):
        kind = signature.args[0]
        data = context.make_array(kind)(context, builder, args[0])
        place = cgutils.get_item_pointer(context, builder, kind, data, args[1:])
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        )
        reads, kept, data_cache = (ir.Constant(number, value) for value in (0, 3, 1))
        builder.call(function, [builder.bitcast(place, byte), reads, kept, data_cache])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), codegen


def _bounds(prox, like):
    """Weights, lower and upper bounds, empty arrays for no prox."""
    nothing = _NONE[like.dtype.name]
    return prox or (nothing, nothing, nothing)


def _factors(factors, like):
    return _NONE[like.dtype.name] if factors is None else factors


@jit(fastmath=FAST)
def _soft_clip(value, threshold, lower, upper):
    if value > threshold:
        value -= threshold
    elif value < -threshold:
        value += threshold
    else:
        value = 0.0
    return min(max(value, lower), upper)


@jit(fastmath=FAST)
def _anchored(anchor, u, g, lam, eta, weights, lower, upper, out):
    for j in range(u.size):
        out[j] = lam * anchor[j] + (1.0 - lam) * u[j] - eta * g[j]
    if lower.size:
        for j in range(u.size):
            out[j] = _soft_clip(out[j], eta * weights[j], lower[j], upper[j])


def anchored_prox_step(anchor, u, g, lam, eta, prox):
    out = np.empty_like(u)
    _anchored(anchor, u, g, lam, eta, *_bounds(prox, u), out)
    return out


@jit(fastmath=FAST)
def _combine(rows, index, factors, out):
    out[:] = 0.0
    for k in range(index.size):
        row, factor = rows[index[k]], factors[k]
        for j in range(out.size):
            out[j] += factor * row[j]


def combine_rows(rows, index, factors):
    out = np.empty(rows.shape[1], dtype=rows.dtype)
    _combine(rows, index, factors, out)
    return out


@jit(fastmath=FAST)
def _add(out, factor, row):
    for j in range(out.size):
        out[j] += factor * row[j]


# Both blocks of a row in one pass: `side` is 1 where the second one is. The next row is on
# its way from memory meanwhile.
@jit(fastmath=FAST)
def _second_block(like, split):
    side = np.zeros_like(like)
    side[split:] = 1.0
    return side


@jit(fastmath=FAST)
def _add_rows(rows, side, c11, c12, c21, c22, z, index, factors, out):
    """Add the batch's mean of D_i z to out."""
    line = 64 // rows.itemsize
    for k in range(index.size):
        following = index[min(k + 1, index.size - 1)]
        for j in range(0, z.size, line):
            _prefetch(rows, following, j)
        row = rows[index[k]]
        total, t = 0.0, 0.0
        for j in range(z.size):
            product = row[j] * z[j]
            total += product
            t += side[j] * product
        s = total - t
        scale = (factors[k] if factors.size else 1.0) / index.size
        alpha = scale * (c11 * s + c12 * t)
        more = scale * (c21 * s + c22 * t) - alpha
        for j in range(z.size):
            out[j] += (alpha + more * side[j]) * row[j]


@jit(fastmath=FAST)
def _add_columns(columns, places, z, index, factors, out):
    scale = places.shape[0] / index.size
    for k in range(index.size):
        factor = scale * factors[k] if factors.size else scale
        for c in places[index[k]]:
            _add(out, factor * z[c], columns[c])


def batch_rows_diff(form, z, index, factors):
    out = np.zeros_like(z)
    factors = _factors(factors, z)
    if form[0] == "rows":
        _, rows, split, coupling = form
        _add_rows(rows, _second_block(z, split), *coupling, z, index, factors, out)
    else:
        _add_columns(form[1], form[2], z, index, factors, out)
    return out


# In the loops, z = u - w is what moves: the components see differences only.


@jit(fastmath=FAST)
def _move(z, w, g, change, keep, eta, weights, lower, upper):
    """z <- J(w + keep z - eta (g + change)) - w."""
    for j in range(z.size):
        z[j] = keep * z[j] - eta * (g[j] + change[j])
    if lower.size:
        for j in range(z.size):
            z[j] = _soft_clip(w[j] + z[j], eta * weights[j], lower[j], upper[j]) - w[j]


@jit(fastmath=FAST)
def _svrg_rows(
    rows, split, c11, c12, c21, c22, mu, w, g, u, eta, mix, weights, lower, upper, index, factors
):
    z, keep, scaled, side = u - w, mix - eta * mu, eta * g, _second_block(u, split)
    line = 64 // rows.itemsize
    for k in range(index.size):
        following = index[min(k + 1, index.size - 1)]
        for j in range(0, z.size, line):
            _prefetch(rows, following, j)
        row = rows[index[k]]
        total, t = 0.0, 0.0
        for j in range(z.size):
            product = row[j] * z[j]
            total += product
            t += side[j] * product
        s = total - t
        scale = eta * factors[k] if factors.size else eta
        alpha = scale * (c11 * s + c12 * t)
        more = scale * (c21 * s + c22 * t) - alpha
        for j in range(z.size):
            z[j] = keep * z[j] - (scaled[j] + (alpha + more * side[j]) * row[j])
        if lower.size:
            for j in range(z.size):
                z[j] = _soft_clip(w[j] + z[j], eta * weights[j], lower[j], upper[j]) - w[j]
    return w + z


@jit(fastmath=FAST)
def _svrg_columns(columns, places, mu, w, g, u, eta, mix, weights, lower, upper, index, factors):
    z, keep, change = u - w, mix - eta * mu, np.zeros_like(u)
    for k in range(index.size):
        change[:] = 0.0
        one = factors[k : k + 1] if factors.size else factors
        _add_columns(columns, places, z, index[k : k + 1], one, change)
        _move(z, w, g, change, keep, eta, weights, lower, upper)
    return w + z


def svrg_rows_steps(form, mu, w, g, u, eta, mix, prox, index, factors):
    rest = (mu, w, g, u, eta, mix, *_bounds(prox, u), index, _factors(factors, u))
    if form[0] == "rows":
        _, rows, split, coupling = form
        return _svrg_rows(rows, split, *coupling, *rest)
    return _svrg_columns(form[1], form[2], *rest)


@jit(fastmath=FAST)
def _vr_eg_rows(
    rows, split, c11, c12, c21, c22, mu, w, g, u, eta, mix, weights, lower, upper, index, factors
):
    z, h, scaled, side = u - w, np.empty_like(u), eta * g, _second_block(u, split)
    line = 64 // rows.itemsize
    for k in range(index.size):
        following = index[min(k + 1, index.size - 1)]
        for j in range(0, z.size, line):
            _prefetch(rows, following, j)
        row = rows[index[k]]
        for j in range(z.size):
            z[j] = mix * z[j] - scaled[j]
            h[j] = z[j]
        if lower.size:
            for j in range(z.size):
                h[j] = _soft_clip(w[j] + h[j], eta * weights[j], lower[j], upper[j]) - w[j]
        total, t = 0.0, 0.0
        for j in range(z.size):
            product = row[j] * h[j]
            total += product
            t += side[j] * product
        s = total - t
        scale = eta * factors[k] if factors.size else eta
        alpha = scale * (c11 * s + c12 * t)
        more = scale * (c21 * s + c22 * t) - alpha
        for j in range(z.size):
            z[j] -= eta * mu * h[j] + (alpha + more * side[j]) * row[j]
        if lower.size:
            for j in range(z.size):
                z[j] = _soft_clip(w[j] + z[j], eta * weights[j], lower[j], upper[j]) - w[j]
    return w + z


@jit(fastmath=FAST)
def _vr_eg_columns(columns, places, mu, w, g, u, eta, mix, weights, lower, upper, index, factors):
    z, h, change = u - w, np.empty_like(u), np.zeros_like(u)
    for k in range(index.size):
        h[:] = z
        change[:] = 0.0
        _move(h, w, g, change, mix, eta, weights, lower, upper)
        one = factors[k : k + 1] if factors.size else factors
        _add_columns(columns, places, h, index[k : k + 1], one, change)
        _add(change, mu, h)
        _move(z, w, g, change, mix, eta, weights, lower, upper)
    return w + z


def vr_eg_rows_steps(form, mu, w, g, u, eta, mix, prox, index, factors):
    rest = (mu, w, g, u, eta, mix, *_bounds(prox, u), index, _factors(factors, u))
    if form[0] == "rows":
        _, rows, split, coupling = form
        return _vr_eg_rows(rows, split, *coupling, *rest)
    return _vr_eg_columns(form[1], form[2], *rest)


@jit(fastmath=FAST)
def _page_rows(
    rows, split, c11, c12, c21, c22, mu, u, previous, g, anchor, lams, eta, weights, lower, upper,
    index, factors,
):  # fmt: skip
    z, side = np.empty_like(u), _second_block(u, split)
    for k in range(lams.size):
        z[:] = u - previous
        one = factors[k] if factors.size else factors[0]
        _add_rows(rows, side, c11, c12, c21, c22, z, index[k], one, g)
        _add(g, mu, z)
        previous[:] = u
        _anchored(anchor, previous, g, lams[k], eta, weights, lower, upper, u)


@jit(fastmath=FAST)
def _page_columns(
    columns, places, mu, u, previous, g, anchor, lams, eta, weights, lower, upper, index, factors
):
    z = np.empty_like(u)
    for k in range(lams.size):
        z[:] = u - previous
        one = factors[k] if factors.size else factors[0]
        _add_columns(columns, places, z, index[k], one, g)
        _add(g, mu, z)
        previous[:] = u
        _anchored(anchor, previous, g, lams[k], eta, weights, lower, upper, u)


def page_rows_steps(form, mu, u, previous, g, anchor, lams, eta, prox, index, factors):
    u, previous, g = u.copy(), previous.copy(), g.copy()
    factors = _NONE[u.dtype.name].reshape(1, 0) if factors is None else factors
    rest = (mu, u, previous, g, anchor, lams, eta, *_bounds(prox, u), index, factors)
    if form[0] == "rows":
        _, rows, split, coupling = form
        _page_rows(rows, split, *coupling, *rest)
    else:
        _page_columns(form[1], form[2], *rest)
    return u, previous, g


# A user's component is compiled by the user; loops over it are compiled anew in each
# process, because the disk cache does not look into functions that are arguments.


@numba.njit(nogil=True, error_model="numpy")
def _component_sum(fun, u, index, factors, total):
    out = np.zeros_like(u)
    for k in range(index.size):
        fun(u, index[k], out)
        _add(total, factors[k] if factors.size else 1.0, out)


@numba.njit(nogil=True, error_model="numpy")
def _svrg_components(fun, mu, w, g, u, eta, mix, weights, lower, upper, index, factors):
    z, here, there = u - w, np.zeros_like(u), np.zeros_like(u)
    u, keep = u.copy(), mix - eta * mu
    for k in range(index.size):
        fun(u, index[k], here)
        fun(w, index[k], there)
        factor = factors[k] if factors.size else 1.0
        for j in range(z.size):
            here[j] = factor * (here[j] - there[j])
        _move(z, w, g, here, keep, eta, weights, lower, upper)
        for j in range(z.size):
            u[j] = w[j] + z[j]
    return u


def component_mean(fun, u, index, factors):
    if not hasattr(fun, "py_func"):
        from refopt_backends.reference import finite_sums

        return finite_sums.component_mean(fun, u, index, factors)
    total = np.zeros_like(u)
    _component_sum(fun, u, index, _factors(factors, u), total)
    return total / index.size


def svrg_component_steps(fun, mu, w, g, u, eta, mix, prox, index, factors):
    if not hasattr(fun, "py_func"):
        from refopt_backends.reference import finite_sums

        return finite_sums.svrg_component_steps(fun, mu, w, g, u, eta, mix, prox, index, factors)
    rest = (*_bounds(prox, u), index, _factors(factors, u))
    return _svrg_components(fun, mu, w, g, u, eta, mix, *rest)
