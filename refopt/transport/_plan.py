"""What is done with a solution: the plan, products with it, rounding, gradients."""

import math

from refopt import _validate
from refopt.transport._result import TransportResult
from refopt.transport._sparsify import entry_bounds
from refopt.transport.costs import LazyCost
from refopt_backends import resolve, sparse_array

_BLOCK_ENTRIES = 2**22
_FORBIDDEN_MASS = 1e-8  # that the rounding may put on forbidden pairs, where it is left out


def transport_plan(res, sparse=False, drop=0.0):
    r"""The plan :math:`P_{ij} = \exp((f_i + g_j - C_{ij})/\mathrm{reg})` of a result.

    Parameters
    ----------
    res : TransportResult
        Of `sinkhorn` or `sinkhorn_newton`.
    sparse : bool, optional
        Return a compressed-row matrix (SciPy's, or CuPy's on the GPU) of the
        entries above `drop`; a `PointCloudCost` then needs no n x m memory.
    drop : float, optional
        With `sparse`: leave out entries not above this multiple of
        ``min(a_i, b_j)``. 0 keeps all above 1e-300 of it.

    Returns
    -------
    array or sparse array, shape (n, m)
        float32 if the cost was, else float64.

    Raises
    ------
    TypeError
        `res` is not a result of this package; `sparse` with arrays of a library
        other than NumPy and CuPy.
    ValueError
        `drop` is negative or not finite.

    Notes
    -----
    One pass over all pairs. The entries sum to the mass within
    ``res.marginal_error``; `round_to_polytope` makes the marginals exact.

    References
    ----------
    .. [1] M. Cuturi, Sinkhorn distances, NeurIPS 2013, arXiv:1306.0895.

    Examples
    --------
    >>> import refopt
    >>> res = refopt.sinkhorn_newton([[0.0, 1.0], [1.0, 0.0]], reg=0.01)
    >>> refopt.transport_plan(res, sparse=True, drop=1e-6).nnz
    2
    """
    problem = _problem_of(res)
    drop = _validate.nonnegative(drop, "drop")
    xp = problem.xp
    dtype = xp.float32 if problem.single else xp.float64
    if not sparse:
        cost = problem.user_cost.by_rows().arguments
        P = problem.kernels.plan_rows(cost, res.f, res.g, problem.reg)
        return xp.astype(P, dtype, copy=False)
    f, g = _reduced(problem, res)
    n, m = problem.cost.shape
    share = max(drop, 1e-300)
    bounds = entry_bounds(xp, share, problem.a, problem.b)
    entries = problem.kernels.select_entries(
        problem.cost.arguments, f, g, problem.reg, *bounds, n * m
    )
    rows, columns, plan = entries.coo()
    if problem.swapped:
        rows, columns = columns, rows
    rows = problem.original_indices(rows, "rows")
    columns = problem.original_indices(columns, "columns")
    values = xp.astype(problem.mass * plan, dtype, copy=False)
    return sparse_array(values, rows, columns, problem.shape)


def plan_matvec(res, V, transpose=False):
    r"""The plan times a vector or matrix, without the plan.

    Parameters
    ----------
    res : TransportResult
        Of `sinkhorn` or `sinkhorn_newton`.
    V : array_like, shape (m,) or (m, k); (n,) or (n, k) if transposed
        Real numbers.
    transpose : bool, optional
        Compute ``P' V``.

    Returns
    -------
    array, shape (n,) or (n, k); (m,) or (m, k) if transposed
        ``P V`` or ``P' V`` in float64.

    Raises
    ------
    TypeError
        `res` is not a result of this package; V is complex.
    ValueError
        V has the wrong shape or is not finite.

    Notes
    -----
    One pass over all pairs, memory for the result only. ``P Y / (P 1)`` is the
    barycentric projection.

    References
    ----------
    .. [1] M. Cuturi, Sinkhorn distances, NeurIPS 2013, arXiv:1306.0895.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> res = refopt.sinkhorn_newton([[0.0, 1.0], [1.0, 0.0]], reg=0.01)
    >>> np.round(refopt.plan_matvec(res, [0.0, 2.0]), 9)
    array([0., 1.])
    """
    problem = _problem_of(res)
    xp = problem.xp
    V = _validate.as_array(V, "V")
    resolve(problem.user_a, V, names=("C", "V"), backend="reference")
    vector = V.ndim == 1
    V = _validate.real_array(xp, V, "V", 1 if vector else 2)
    size = problem.shape[0 if transpose else 1]
    if V.shape[0] != size:
        raise ValueError(f"V must have {size} rows, got {V.shape[0]}")
    V = xp.astype(_validate.all_finite(xp, V, "V"), xp.float64)
    W = V[:, None] if vector else V
    cost = problem.user_cost.by_rows().arguments
    out = problem.kernels.plan_product(cost, res.f, res.g, problem.reg, W, bool(transpose))
    return out[:, 0] if vector else out


def round_to_polytope(P, a, b):
    r"""The nearest simple plan with exactly the marginals a and b.

    Rows are scaled by :math:`\min(1, a_i/(P1)_i)`, then columns by
    :math:`\min(1, b_j/(P^T1)_j)`, and the missing masses :math:`u, v` are put
    back as :math:`u v^T / \|u\|_1`.

    Parameters
    ----------
    P : array_like, shape (n, m)
        A plan, nonnegative.
    a, b : array_like, shape (n,) and (m,)
        Masses of equal sum.

    Returns
    -------
    array, shape (n, m)
        Within twice the marginal error of P in the entrywise 1-norm.

    Raises
    ------
    ValueError
        Wrong shapes, entries that are negative or not finite, unequal sums.
    TypeError
        Complex input, arrays of different libraries.

    Notes
    -----
    Cost and memory O(n m).

    References
    ----------
    .. [1] J. Altschuler, J. Weed, P. Rigollet, Near-linear time approximation
       algorithms for optimal transport via Sinkhorn iteration, NeurIPS 2017,
       arXiv:1705.09634, Algorithm 2.

    Examples
    --------
    >>> import refopt
    >>> P = refopt.round_to_polytope([[0.4, 0.2], [0.1, 0.2]], [0.5, 0.5], [0.5, 0.5])
    >>> [float(round(x, 12)) for x in P.sum(axis=1)]
    [0.5, 0.5]
    """
    P, a, b = (_validate.as_array(x, name) for x, name in ((P, "P"), (a, "a"), (b, "b")))
    xp, _ = resolve(P, a, b, backend="reference", names=("P", "a", "b"))
    P = xp.astype(_validate.real_array(xp, P, "P", 2), xp.float64)
    a, b = (
        xp.astype(_validate.real_array(xp, x, name, 1), xp.float64)
        for x, name in ((a, "a"), (b, "b"))
    )
    if tuple(P.shape) != (a.shape[0], b.shape[0]) or 0 in P.shape:
        raise ValueError(
            f"P must have shape (len(a), len(b)) = {(a.shape[0], b.shape[0])} and entries, "
            f"got {tuple(P.shape)}"
        )
    for x, name in ((P, "P"), (a, "a"), (b, "b")):
        _validate.all_finite(xp, x, name)
        if float(xp.min(x)) < 0:
            raise ValueError(
                f"{name} must be nonnegative, got {_validate.first_place(xp, x, x < 0)}"
            )
    sum_a, sum_b = float(xp.sum(a)), float(xp.sum(b))
    if abs(sum_a - sum_b) > 1e-5 * max(sum_a, sum_b):
        raise ValueError(f"a and b must have equal sums, got {sum_a:.17g} and {sum_b:.17g}")
    if abs(sum_a - sum_b) > 1e-13 * sum_a:
        b = b * (sum_a / sum_b)
    r = xp.sum(P, axis=1)
    P = _shrink(xp, r, a)[:, None] * P
    c = xp.sum(P, axis=0)
    P = P * _shrink(xp, c, b)[None, :]
    u = xp.maximum(a - xp.sum(P, axis=1), 0.0)
    v = xp.maximum(b - xp.sum(P, axis=0), 0.0)
    return P + u[:, None] * (v / max(float(xp.sum(v)), 1e-300))[None, :]


def _shrink(xp, marginal, mass):
    """min(1, mass/marginal)."""
    return xp.where(marginal > mass, mass / xp.where(marginal > mass, marginal, 1.0), 1.0)


def rounded_value(res):
    """<P, C> - reg H(P) of the rounded plan, by blocks of rows."""
    problem = _problem_of(res)
    xp, reg = problem.xp, problem.reg
    f, g = _reduced(problem, res)
    cost, kernels = problem.cost.arguments, problem.kernels
    r, _, _ = kernels.plan_marginals(cost, f, g, reg)
    x = _shrink(xp, r, problem.a)
    c = kernels.plan_product(cost, f, g, reg, x[:, None], True)[:, 0]
    y = _shrink(xp, c, problem.b)
    Py = kernels.plan_product(cost, f, g, reg, y[:, None], False)[:, 0]
    u = xp.maximum(problem.a - x * Py, 0.0)
    v = xp.maximum(problem.b - y * c, 0.0)
    v = v / max(float(xp.sum(v)), 1e-300)
    n, m = problem.cost.shape
    total, step = 0.0, max(1, _BLOCK_ENTRIES // m)
    for first in range(0, n, step):
        rows = slice(first, min(first + step, n))
        index = xp.arange(first, rows.stop)
        C = problem.cost.rows(index)
        P = kernels.plan_rows(problem.cost.take(index, None).arguments, f[rows], g, reg)
        P = x[rows][:, None] * P * y[None, :] + u[rows][:, None] * v[None, :]
        if float(xp.sum(xp.where(xp.isfinite(C), 0.0, P))) > _FORBIDDEN_MASS:
            return math.inf
        P = xp.where(xp.isfinite(C), P, 0.0)
        some = xp.where(P > 0, P, 1.0)
        terms = P * xp.where(P > 0, C, 0.0) - reg * P * (1.0 - xp.log(some))
        total += float(xp.sum(terms))
    return problem.mass * (total + reg * math.log(problem.mass))


def ot_gradients(res, wrt=("a", "b")):
    r"""Derivatives of the regularised transport value with respect to its data.

    By the envelope theorem, at the solution

    .. math:: \partial_a = f, \quad \partial_b = g, \quad \partial_{C} = P, \quad
              \partial_{x_i} = 2\,\mathrm{scale} \bigl( (P1)_i x_i - (P Y)_i \bigr)

    the last for squared Euclidean point clouds.

    Parameters
    ----------
    res : TransportResult
        Of `sinkhorn` or `sinkhorn_newton`, converged.
    wrt : str or sequence of {"a", "b", "C", "X", "Y"}, optional
        What to differentiate for.

    Returns
    -------
    dict
        One array per name. "a" and "b" hold along directions that keep the
        sums equal; entries without mass are -inf, the one-sided derivative of
        the entropy there.

    Raises
    ------
    TypeError
        `res` is not a result of this package.
    ValueError
        An unknown name; "X" or "Y" where the cost is not a squared Euclidean
        `PointCloudCost`.

    Notes
    -----
    "C" forms the plan; "X" and "Y" cost two passes and no n x m memory.

    References
    ----------
    .. [1] M. Cuturi, Sinkhorn distances, NeurIPS 2013, arXiv:1306.0895.

    Examples
    --------
    >>> import refopt
    >>> res = refopt.sinkhorn_newton([[0.0, 1.0], [1.0, 0.0]], reg=0.1)
    >>> sorted(refopt.ot_gradients(res, wrt=("a", "C")))
    ['C', 'a']
    """
    problem = _problem_of(res)
    wrt = (wrt,) if isinstance(wrt, str) or not hasattr(wrt, "__iter__") else tuple(wrt)
    out = {}
    for name in wrt:
        _validate.choice(name, "wrt", ("a", "b", "C", "X", "Y"))
        if name in ("a", "b"):
            out[name] = 1.0 * (res.f if name == "a" else res.g)
        elif name == "C":
            out[name] = transport_plan(res)
        else:
            out[name] = _point_gradient(problem, res, name)
    return out


def _point_gradient(problem, res, name):
    cost = problem.user_cost
    if not (isinstance(cost, LazyCost) and cost.points.metric == "sqeuclidean"):
        raise ValueError(f'wrt={name!r} needs a PointCloudCost with metric "sqeuclidean"')
    xp, points, transpose = problem.xp, cost.points, name == "Y"
    here, there = (points.Y, points.X) if transpose else (points.X, points.Y)
    ones = xp.ones((there.shape[0], 1), dtype=xp.float64)
    moved = plan_matvec(res, xp.concat([there, ones], axis=1), transpose)
    largest = float(xp.max(moved[:, -1]))
    if not largest <= _validate.LARGEST:
        raise ValueError(
            f"res must have a finite plan, got row sums up to {largest:g}: {res.message}"
        )
    return 2.0 * points.scale * (moved[:, -1:] * here - moved[:, :-1])


def _problem_of(res):
    if not isinstance(res, TransportResult):
        raise TypeError(
            f"res must be a result of sinkhorn or sinkhorn_newton, got {type(res).__name__}"
        )
    return res._problem


def _reduced(problem, res):
    """The potentials in the solved form, masses 1."""
    n = problem.shape[0]
    f, g = problem.reduce(res.x[:n], res.x[n:])
    shift = problem.reg * math.log(problem.mass)
    return (f, g - shift) if problem.swapped else (f - shift, g)
