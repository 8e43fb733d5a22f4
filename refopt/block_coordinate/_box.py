"""Quadratic programs with bounds."""

import math
from typing import Any

from refopt import _validate
from refopt.block_coordinate._bounded_forms import MatrixForm
from refopt.block_coordinate._bounded_solve import solve, vector
from refopt.block_coordinate._design import SparseDesign, take_in

_CHECKED = 500  # variables up to which a factorisation tells whether Q is semidefinite


def box_qp(
    Q,
    c,
    bounds,
    *,
    x0=None,
    tol=1e-8,
    maxiter=500,
    callback=None,
    disp=False,
    time_limit=None,
    backend=None,
    history=True,
):
    r"""Convex quadratic program with bounds.

    .. math::
        \min_{l \le x \le u} \; f(x) = \tfrac12 x^T Q x + c^T x

    Q is symmetric and positive semidefinite; bounds may be infinite. Stops when

    .. math::
        f(x) - L(x) \le \mathrm{tol} \cdot \max(|f(x)|, |f(P(0))|),

    .. math::
        L(x) = \min_{l \le y \le u} f(x) + \nabla f(x)^T (y - x)
        + \tfrac{\mu}{2} \|y - x\|^2 \le \min f ,

    where P is the projection on the box and :math:`\mu \ge 0` a proven lower
    bound of Q's eigenvalues, sought where a bound is infinite. Where L is
    :math:`-\infty` the criterion is, instead, with r(x) = x - P(x - grad f(x)),

    .. math::
        \|r(x)\|_\infty \le \mathrm{tol} \cdot \|r(P(0))\|_\infty .

    Parameters
    ----------
    Q : array_like or sparse matrix, shape (p, p)
        Symmetric to rounding.
    c : array_like, shape (p,)
        Linear term.
    bounds : tuple, list of pairs or scipy.optimize.Bounds
        A tuple ``(l, u)`` of numbers or arrays, a list (or array of two
        columns) with one pair per variable, or ``Bounds``. Infinite values are
        allowed, and ``None`` for them in pairs. A tuple of two items is always
        ``(l, u)``: with two variables ``((0, 1), (0, 2))`` means l = (0, 1) and
        u = (0, 2). Pairs per variable are a list, ``[(0, 1), (0, 2)]``.
    x0 : array_like, shape (p,), optional
        Start; what lies outside the bounds is projected.
    tol : float, optional
        As in the criterion above.
    maxiter : int, optional
        Largest number of outer iterations, each with one full gradient.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, fun, gap, kkt, nit.
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    time_limit : float, optional
        Seconds.
    backend : str, optional
        See `refopt_backends.resolve`.
    history : bool, optional
        Whether the result holds the history.

    Returns
    -------
    OptimizeResult
        ``x`` (exactly at a bound where it is active), ``fun``, ``gap``
        (relative, None where there is no bound L), ``kkt`` (the norm of r,
        relative to that at P(0)), ``active`` (coordinates at a bound),
        ``success``, ``status``, ``message``, ``nit``, ``nfev``, ``njev`` (full
        gradients), ``nbev`` (updates of a coordinate), ``nchol``,
        ``nit_active`` (last iteration that changed the active set),
        ``history`` (time, fun, error, kkt, nnz, block_size), ``backend``.
        ``status``: 0 converged, 1 maxiter, 2 stopped by the callback, 3 stalled
        at rounding level, 4 non-finite numbers, 5 unbounded below,
        6 time limit.

    Raises
    ------
    ValueError
        Wrong shapes, NaN, a Q that is not symmetric or has negative curvature,
        l > u.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    The quadratic is solved to rounding over a working set (everything up to 600
    variables, else one that grows by the worst violators) whose block of Q
    is stored: sweeps of coordinate descent alternate with Newton steps on the
    free coordinates, along paths that bend at the bounds, until such a step
    meets none. Once the active set is right one Newton step ends the run.
    Memory: the square of the working set's size.
    Sparse Q of more than 4000 variables take projected Newton steps by
    conjugate gradients. float32 input is solved in double precision and
    returned in single, to no smaller tol than 1e-6.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022, sections 4 to 6 (two-metric
       projection, active sets, finite termination).

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> Q = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> res = refopt.box_qp(Q, [-3.0, 1.0], (0.0, 1.0))
    >>> [float(v) for v in res.x]
    [1.0, 0.0]
    >>> res.success
    True
    """
    numeric = {"c": _validate.as_array(c, "c")}
    numeric["x0"] = None if x0 is None else _validate.as_array(x0, "x0")
    xp, kernels, design = take_in(
        Q, numeric["c"], numeric["x0"], backend=backend, names=("Q", "c", "x0"), least_rows=0
    )
    p = design.shape[1]
    if design.shape[0] != p:
        raise ValueError(f"Q must be square, got shape {design.shape}")
    _check_symmetric(xp, design)
    form = MatrixForm(kernels, design, vector(xp, numeric["c"], p, "c"))
    _check_semidefinite(xp, form)
    lower, upper = _bounds(xp, bounds, p)
    return solve(
        form, lower, upper, numeric["x0"], tol=tol, maxiter=maxiter, callback=callback,
        disp=disp, time_limit=time_limit, history=history,
    )  # fmt: skip


def _check_symmetric(xp, design):
    if isinstance(design, SparseDesign):
        largest = abs(design.matrix).max() if design.matrix.nnz else 0.0
        off = abs(design.matrix - design.matrix.T)
        worst = float(off.max()) if off.nnz else 0.0
    else:
        Q = design.columns
        largest = float(xp.max(xp.abs(Q))) if Q.size else 0.0
        worst = float(xp.max(xp.abs(Q - Q.T))) if Q.size else 0.0
    rounding = 1e-5 if design.dtype == xp.float32 else 1e-10
    if worst > rounding * float(largest):
        raise ValueError(f"Q must be symmetric, got entries that differ from Q' by {worst:g}")


def _check_semidefinite(xp, form):
    """Wholly for few variables; of many the diagonal."""
    if bool(xp.any(form.diagonal < 0)):
        where = _validate.first_place(xp, form.diagonal, form.diagonal < 0)
        raise ValueError(f"Q must be positive semidefinite, got the diagonal entry {where}")
    largest = float(xp.max(form.diagonal)) if form.p else 0.0
    if not (0 < form.p <= _CHECKED and math.isfinite(largest)):
        return
    rounding = 1e-5 if form.design.dtype == xp.float32 else 1e-9
    scaled = form.whole() / (largest or 1.0) + rounding * xp.eye(form.p)
    if form.kernels.spd_solve(scaled, xp.ones(form.p)) is None:
        least = float(xp.min(xp.linalg.eigvalsh(form.whole())))
        if least < -rounding * largest:
            raise ValueError(f"Q must be positive semidefinite, got the eigenvalue {least:g}")


def _bounds(xp: Any, bounds: Any, p: int) -> tuple[Any, Any]:
    """Lower and upper bounds, (p,)."""
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        lower, upper = xp.asarray(bounds.lb), xp.asarray(bounds.ub)
    elif isinstance(bounds, tuple) and len(bounds) == 2:
        lower, upper = bounds
    else:
        lower, upper = _pairs(xp, bounds, p)
    lower, upper = _side(xp, lower, p, -math.inf), _side(xp, upper, p, math.inf)
    if bool(xp.any(lower > upper)):
        where = _validate.first_place(xp, lower - upper, lower > upper)
        raise ValueError(f"bounds must satisfy lower <= upper, got lower - upper = {where}")
    wrong = (lower == math.inf) | (upper == -math.inf)
    if bool(xp.any(wrong)):
        raise ValueError("bounds must leave a finite point, got a lower bound inf or an upper -inf")
    return lower, upper


def _pairs(xp, bounds, p):
    if getattr(bounds, "ndim", 0) == 2 and tuple(bounds.shape) == (p, 2):
        return bounds[:, 0], bounds[:, 1]
    try:
        pairs = [tuple(pair) for pair in bounds]
    except TypeError as error:
        kind = type(bounds).__name__
        raise TypeError(f"bounds must be (l, u), a list of pairs or Bounds, got {kind}") from error
    if len(pairs) != p or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"bounds must be (l, u) or a list of {p} pairs, got {len(pairs)} items")
    lower = [-math.inf if low is None else _validate.real_number(low, "bounds") for low, _ in pairs]
    upper = [
        math.inf if high is None else _validate.real_number(high, "bounds") for _, high in pairs
    ]
    return xp.asarray(lower, dtype=xp.float64), xp.asarray(upper, dtype=xp.float64)


def _side(xp, side, p, missing):
    if side is None:
        return xp.full(p, missing)
    if not hasattr(side, "ndim") and not isinstance(side, list | tuple):
        side = xp.full(p, _validate.real_number(side, "bounds"))
    elif isinstance(side, list | tuple):
        side = xp.asarray(_validate.as_array(side, "bounds"))
    if side.ndim == 0 or side.shape == (1,):
        side = xp.broadcast_to(xp.reshape(side, (1,)), (p,)) * 1.0
    side = xp.astype(_validate.real_array(xp, side, "bounds", 1), xp.float64)
    if side.shape[0] != p:
        raise ValueError(f"bounds must have one entry per variable, {p}, got {side.shape[0]}")
    if bool(xp.any(xp.isnan(side))):
        raise ValueError("bounds must not be NaN, got NaN")
    return side
