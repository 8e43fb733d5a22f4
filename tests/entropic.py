"""Entropic transport by its formulas in plain NumPy: what the tests measure the library with."""

import numpy as np


def plan(C, f, g, reg):
    """P_ij = exp((f_i + g_j - C_ij)/reg); -inf potentials and +inf costs give zeros."""
    return np.exp((np.asarray(f)[:, None] + np.asarray(g)[None, :] - C) / reg)


def marginal_error(C, a, b, f, g, reg):
    """||P1 - a||_1 + ||P'1 - b||_1."""
    P = plan(C, f, g, reg)
    return np.abs(P.sum(axis=1) - a).sum() + np.abs(P.sum(axis=0) - b).sum()


def dual(C, a, b, f, g, reg):
    """<a, f> + <b, g> - reg sum P."""
    return inner(a, f) + inner(b, g) - reg * plan(C, f, g, reg).sum()


def primal(C, P, reg):
    """<P, C> - reg H(P), H(P) = sum P (1 - log P), with 0 log 0 = 0."""
    some = P > 0
    return np.sum(P[some] * C[some]) - reg * np.sum(P[some] * (1 - np.log(P[some])))


def inner(mass, potential):
    """<mass, potential> where no mass meets a potential of -inf."""
    present = np.asarray(mass) > 0
    return np.asarray(mass)[present] @ np.asarray(potential)[present]


def rounding(C, a, b, f, g, reg):
    """What the rounding of (f + g - C)/reg may do to the error of a plan of mass 1."""
    finite = np.asarray(C)[np.isfinite(C)]
    present = np.concatenate([np.asarray(f)[np.asarray(a) > 0], np.asarray(g)[np.asarray(b) > 0]])
    return 1e-13 + 1e-15 * (np.abs(finite).max() + 2 * np.abs(present).max()) / reg


def uniform(n):
    """n equal masses of sum 1."""
    return np.full(n, 1 / n)


def assert_solved(res, C, a, b, reg, tol=1e-9):
    """A converged result whose every claim holds when it is recomputed here.

    The potentials' gauge and the reported numbers are those of the arrays
    returned, not of some iterate on the way.
    """
    C, a, b = (np.asarray(x, dtype=float) for x in (C, a, b))
    mass = a.sum()
    error = marginal_error(C, a, b, res.f, res.g, reg)
    assert error <= (tol + rounding(C, a, b, res.f, res.g, reg)) * mass
    assert res.success and res.status == 0, res.message
    assert_honest(res, C, a, b, reg)


def assert_honest(res, C, a, b, reg):
    """What every result promises, converged or not."""
    mass = a.sum()
    size = mass * (np.abs(res.f[a > 0]).max() + np.abs(res.g[b > 0]).max() + reg)
    noise = mass * rounding(C, a, b, res.f, res.g, reg)
    error = marginal_error(C, a, b, res.f, res.g, reg)
    assert res.success == (res.status == 0)
    np.testing.assert_allclose(res.marginal_error, error, rtol=1e-6, atol=noise)
    np.testing.assert_array_equal(res.x, np.concatenate([res.f, res.g]))
    np.testing.assert_array_equal(np.isneginf(res.f), a == 0)
    np.testing.assert_array_equal(np.isneginf(res.g), b == 0)
    assert np.isfinite(res.f[a > 0]).all() and np.isfinite(res.g[b > 0]).all()
    assert abs(inner(b, res.g)) <= 1e-13 * size  # the gauge
    P = plan(C, res.f, res.g, reg)
    some = P > 0
    cost, value = np.sum(P[some] * C[some]), dual(C, a, b, res.f, res.g, reg)
    np.testing.assert_allclose(
        res.cost, cost, rtol=1e-9, atol=noise * np.abs(C[some]).max(initial=0)
    )
    np.testing.assert_allclose(res.fun, value, rtol=1e-13, atol=1e-13 * size + reg * noise)
    assert res.reg == reg
    lengths = {len(column) for column in res.history.values()}
    assert lengths == {res.nit + 1}
