"""The Lasso, the elastic net and their paths, as users call them."""

import dataclasses
import math
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _driver, _status, _validate
from refopt.block_coordinate._class_labels import row_weights
from refopt.block_coordinate._design import take_in
from refopt.block_coordinate._greedy_blocks import greedy_blocks
from refopt.block_coordinate._indices import spread
from refopt.block_coordinate._least_squares import Block, LeastSquaresL1
from refopt.block_coordinate._regression_intake import (
    SAFETY,
    centred,
    last_change,
    run_options,
    vector,
)
from refopt.block_coordinate._result import build
from refopt.block_coordinate._start import usable

_SMALL = 2**12  # entries of X below which compiled kernels are not chosen by themselves
_GAP = "duality gap / F(0)"
_KKT = "optimality max_j |X'r|_j relative to that at zero"


def lasso(
    X,
    y,
    lam,
    *,
    l2=0.0,
    positive=False,
    weights=None,
    sample_weight=None,
    fit_intercept=False,
    x0=None,
    tol=1e-8,
    maxiter=100,
    callback=None,
    disp=False,
    time_limit=None,
    backend=None,
    history=True,
):
    r"""Lasso and elastic net to a certified accuracy.

    .. math::
        \min_{w, b} \; F(w) = \tfrac12 \sum_i s_i (y_i - x_i^T w - b)^2
        + \lambda \sum_j \omega_j |w_j| + \tfrac{\mathrm{l2}}{2} \|w\|^2

    by greedy variable blocks with exact block updates: the block holds the
    nonzeros and the worst violators, and is solved by coordinate descent and
    Newton steps on the nonzeros, which end in finitely many steps.

    Stops when the duality gap is small,

    .. math:: F(w) - \max_k D(\theta_k) \le \mathrm{tol} \cdot F(0), \qquad
        D(\theta) = y^T\theta - \tfrac12\|\theta\|^2,\quad
        |x_j^T \theta| \le \lambda \omega_j,

    with :math:`\theta` a multiple of a residual (with ``l2 > 0`` the better of
    this and the dual of the elastic net, for which every residual is feasible).
    With ``lam = l2 = 0`` there is no such dual, and the measure is
    :math:`\|X^T r\|_\infty \le \mathrm{tol}\,\|X^T y\|_\infty`.

    Parameters
    ----------
    X : array_like or sparse matrix, shape (n, p)
        NumPy, CuPy or SciPy, any order. Fortran order and compressed columns
        are used in place, everything else is copied once.
    y : array_like, shape (n,)
        What is to be explained.
    lam : float
        Weight of the penalty; not divided by n. scikit-learn's ``alpha`` is ``lam / n``.
        From ``max |X'y|`` on the solution is zero.
    l2 : float, optional
        Weight of the squared penalty, ``l2 / 2 ||w||^2``.
    positive : bool, optional
        Require ``w >= 0``.
    weights : array_like, shape (p,), optional
        Factors :math:`\omega_j \ge 0` of the penalty, ones by default; 0 leaves a
        coefficient unpenalised.
    sample_weight : array_like, shape (n,), optional
        Weights :math:`s_i \ge 0` of the rows, ones by default. Costs a copy of X.
    fit_intercept : bool, optional
        Fit an unpenalised b, else b = 0. Where means are more than ten times the
        spread of a column, a dense X is copied once, with centred columns; for a
        sparse one they may end the run early (``status`` 3) at a larger gap.
    x0 : array_like, shape (p,), optional
        Where to start if that is better than zero, the default.
    tol : float, optional
        See above. With float32 input at least 1e-6.
    maxiter : int, optional
        Passes over all columns.
    callback : callable, optional
        ``callback(intermediate_result)`` after every pass, with ``x, fun, gap, kkt, nit``;
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every so many.
    time_limit : float, optional
        Seconds.
    backend : {None, "numpy", "numba", "cupy"} or str, optional
        None goes by the arrays.
    history : bool, optional
        Keep the history.

    Returns
    -------
    OptimizeResult
        ``x`` the coefficients, with exact zeros; ``intercept``; ``fun``; ``gap``
        the duality gap over F(0), None without a dual; ``kkt`` the largest
        violation of the optimality conditions; ``active`` the mask of the
        zeros, ``nit_active`` the last iteration that changed it; ``nit``
        passes over all columns, ``njev`` gradients, ``nbev`` block updates,
        ``nchol`` factorisations; ``success``, ``status``, ``message``,
        ``history`` with "fun", "gap" (or "kkt_relative"), "kkt", "nnz",
        "block_size", "time", and ``backend``.

    Raises
    ------
    ValueError
        Shapes that do not fit, NaN or infinity, negative weights or penalties.
    TypeError
        Complex numbers, arrays of several libraries.

    See Also
    --------
    lasso_path : Many penalties in one run.
    l1_logistic : Sparse classification.

    Notes
    -----
    Costs a handful of products ``X'r``, and for a block of k columns its Gram
    matrix, :math:`n k^2` operations if dense. Memory: X, the k x k Gram matrix
    twice, a few vectors. Where a sweep over sparse columns is cheaper than one
    over the Gram matrix, the Gram matrix is not formed. Linearly dependent
    columns never enter a Newton step together. float32 input is computed in
    float64 and returned as float32.

    References
    ----------
    J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
    converge faster, Journal of Machine Learning Research 23(131), 2022: greedy
    variable blocks, and finite termination with exact block updates.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> res = refopt.lasso(X, [1.0, 2.0, 3.0], lam=0.5)
    >>> res.x, res.success
    (array([0.83333333, 1.83333333]), True)
    """
    problem, design, sums = _intake(
        X, y, l2, positive, weights, sample_weight, fit_intercept, x0, backend
    )
    problem.set_penalty(_validate.nonnegative(lam, "lam"))
    options = run_options(tol, maxiter, callback, disp, time_limit, design)
    block = _first_block(problem, x0)
    return _solve(problem, block, design, sums, options, history)


def elastic_net(X, y, lam, l2, **options):
    r"""Elastic net: `lasso` with a squared penalty.

    .. math::
        \min_w \; \tfrac12 \|y - X w\|^2 + \lambda \|w\|_1 + \tfrac{\mathrm{l2}}{2} \|w\|^2

    Stops when the duality gap is at most ``tol * F(0)``. scikit-learn's ``alpha``
    and ``l1_ratio`` are ``lam = n * alpha * l1_ratio`` and
    ``l2 = n * alpha * (1 - l1_ratio)``.

    Parameters
    ----------
    X : array_like or sparse matrix, shape (n, p)
        The columns.
    y : array_like, shape (n,)
        What is to be explained.
    lam, l2 : float
        Weights of the two penalties, not divided by n.
    **options
        As for `lasso`.

    Returns
    -------
    OptimizeResult
        As of `lasso`, and at its cost and memory.

    Raises
    ------
    ValueError, TypeError
        As `lasso`.

    See Also
    --------
    lasso : The options and the method.

    Notes
    -----
    A call of `lasso`, whose block update adds ``l2`` to the Gram matrix.

    References
    ----------
    J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
    converge faster, Journal of Machine Learning Research 23(131), 2022.

    Examples
    --------
    >>> import refopt
    >>> refopt.elastic_net([[1.0], [1.0]], [3.0, 1.0], lam=1.0, l2=2.0).x
    array([0.75])
    """
    return lasso(X, y, lam, l2=l2, **options)


def lasso_path(
    X,
    y,
    lams=None,
    *,
    n_lams=100,
    eps=1e-3,
    l2=0.0,
    positive=False,
    weights=None,
    sample_weight=None,
    fit_intercept=False,
    tol=1e-8,
    maxiter=100,
    callback=None,
    disp=False,
    time_limit=None,
    backend=None,
    history=True,
):
    r"""Lasso for many penalties, each started at the solution of the one before.

    .. math::
        \min_w \; \tfrac12 \|y - X w\|^2 + \lambda_k \|w\|_1, \qquad k = 1, 2, \dots

    with the options of `lasso`. Each solution is certified as there: stops for
    each penalty when the duality gap is at most ``tol * F(0)``. The block and its
    Gram matrix pass from one penalty to the next.

    Parameters
    ----------
    X : array_like or sparse matrix, shape (n, p)
        The columns.
    y : array_like, shape (n,)
        What is to be explained.
    lams : array_like, optional
        Positive penalties, taken from the largest down. By default `n_lams`
        of them, geometric from ``lam_max = max |X'y|``, where the solution
        becomes zero, to ``eps * lam_max``.
    n_lams : int, optional
        Number of penalties by default.
    eps : float, optional
        The smallest beside the largest.
    l2 : float, optional
        As for `lasso`.
    positive : bool, optional
        As for `lasso`.
    weights : array_like, shape (p,), optional
        As for `lasso`.
    sample_weight : array_like, shape (n,), optional
        As for `lasso`.
    fit_intercept : bool, optional
        As for `lasso`.
    tol : float, optional
        As for `lasso`, for each penalty.
    maxiter : int, optional
        Passes over all columns for each penalty.
    callback : callable, optional
        As for `lasso`, called for all penalties.
    disp : bool or int, optional
        Print every iteration, or every so many.
    time_limit : float, optional
        Seconds for the whole path; what was not reached is left out.
    backend : {None, "numpy", "numba", "cupy"} or str, optional
        None goes by the arrays.
    history : bool, optional
        Keep the history.

    Returns
    -------
    OptimizeResult
        ``lams`` (k,), ``coefs`` (p, k), ``intercepts`` (k,), ``gaps`` (k,), ``nnz``
        (k,); ``x`` and the other items are those of the last penalty, ``success``
        is for all, and ``nit``, ``njev``, ``nbev``, ``nchol`` are sums.

    Raises
    ------
    ValueError, TypeError
        As `lasso`.

    See Also
    --------
    lasso : One penalty.

    Notes
    -----
    Costs one or two products ``X'r`` per penalty beside the growth of the block;
    memory as for `lasso` and the coefficients.

    References
    ----------
    J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
    converge faster, Journal of Machine Learning Research 23(131), 2022.

    Examples
    --------
    >>> import refopt
    >>> path = refopt.lasso_path([[1.0, 0.0], [0.0, 1.0]], [3.0, 1.0], [2.0, 0.5])
    >>> path.coefs
    array([[1. , 2.5],
           [0. , 0.5]])
    """
    problem, design, sums = _intake(
        X, y, l2, positive, weights, sample_weight, fit_intercept, None, backend
    )
    xp = problem.xp
    lams = _penalties(problem, lams, n_lams, eps)
    watch = None if callback is None else _Watch(callback)
    options = run_options(tol, maxiter, watch, disp, time_limit, design)
    block, results, used = Block(problem), [], 0.0
    for lam in lams:
        problem.set_penalty(lam)
        if time_limit is not None:
            options = options | {"time_limit": max(0.0, time_limit - used)}
        results.append(_solve(problem, block, design, sums, options, history=True))
        used += float(results[-1].history["time"][-1])
        if results[-1].status in (2, 6) or (watch is not None and watch.stopped):
            break
    last = results[-1]
    worst = next((res for res in results if not res.success), last)
    last.success, last.status, last.message = worst.success, worst.status, worst.message
    if worst.success and len(results) < len(lams):
        last.success, last.status = False, _status.CALLBACK_STOP
        last.message = (
            f"The callback stopped the path after {len(results)} of {len(lams)} penalties."
        )
    for key in ("nit", "nfev", "njev", "nbev", "nchol"):
        last[key] = sum(res[key] for res in results)
    if history:
        columns = last.history
        last.history = {k: np.concatenate([r.history[k] for r in results]) for k in columns}
    else:
        last.history = {}
    return OptimizeResult(
        last,
        lams=np.asarray(lams[: len(results)]),
        coefs=xp.stack([res.x for res in results], axis=1),
        intercepts=np.asarray([res.intercept for res in results]),
        gaps=np.asarray([math.nan if res.gap is None else res.gap for res in results]),
        nnz=np.asarray([int(xp.count_nonzero(res.x)) for res in results]),
    )


class _Watch:
    """A callback that remembers whether it has stopped a run that had just converged."""

    def __init__(self, callback):
        self.stopped, self._tell = False, _driver.listener(callback, lambda result, _: result)

    def __call__(self, *, intermediate_result):
        try:
            self._tell(intermediate_result, 0)
        except StopIteration:
            self.stopped = True
            raise


def _intake(X, y, l2, positive, weights, sample_weight, fit_intercept, x0, backend):
    """The problem at zero penalty, and what the intercept is computed from."""
    l2 = _validate.nonnegative(l2, "l2")
    given = [
        None if v is None else _validate.as_array(v, name)
        for v, name in (
            (y, "y"),
            (weights, "weights"),
            (sample_weight, "sample_weight"),
            (x0, "x0"),
        )
    ]
    names = ("X", "y", "weights", "sample_weight", "x0")
    small = math.prod(getattr(X, "shape", ())) < _SMALL
    xp, kernels, design = take_in(
        X, *given, backend=backend, small=small, names=names, most=_validate.LARGEST
    )
    n, p = design.shape
    y = _validate.moderate(xp, vector(xp, given[0], "y", n), "y")
    factors = xp.ones(p) if weights is None else vector(xp, given[1], "weights", p)
    if p and float(xp.min(factors)) < 0:
        raise ValueError(f"weights must be nonnegative, got {float(xp.min(factors))}")
    rows, root = xp.ones(n), None
    if sample_weight is not None:
        rows = row_weights(xp, given[2], n)
        root = xp.sqrt(rows)
    means = None
    if fit_intercept:
        design, means = centred(design, rows)
    if root is not None:
        design, y = design.scaled_rows(root), y * root
    level = None
    if fit_intercept:
        level = xp.ones(n) if root is None else root
        level = level / math.sqrt(float(level @ level)) if float(level @ level) > 0 else level
    problem = LeastSquaresL1(xp, kernels, design, y, factors, l2, bool(positive), level)
    sums = None if level is None else (float(level @ y), math.sqrt(float(xp.sum(rows))), means)
    return problem, design, sums


def _first_block(problem, x0):
    """The nonzeros of x0 where that is better than zero."""
    if x0 is None:
        return Block(problem)
    xp = problem.xp
    x0 = problem.without_constant(usable(xp, vector(xp, x0, "x0", problem.design.shape[1])))
    block = Block(problem, xp.maximum(x0, xp.zeros_like(x0)) if problem.positive else x0)
    value = problem.value(block.index, block.w, problem.residual(block.index, block.w))
    return block if value <= problem.at_zero else Block(problem)


def _penalties(problem, lams, n_lams, eps):
    """The penalties as floats, from the largest down."""
    if lams is not None:
        lams = np.asarray(_validate.as_array(lams, "lams"), dtype=float)
        if lams.ndim != 1 or lams.size == 0:
            raise ValueError(f"lams must be a vector of penalties, got shape {lams.shape}")
        for lam in lams:
            _validate.positive(float(lam), "lams")
        return [float(lam) for lam in np.sort(lams)[::-1]]
    n_lams = _validate.count(n_lams, "n_lams", 1)
    eps = _validate.positive(eps, "eps")
    if eps >= 1:
        raise ValueError(f"eps must be below 1, got {eps}")
    largest = problem.largest_penalty()
    if largest == 0:  # every penalty has the solution zero
        return [1.0]
    return [float(lam) for lam in largest * np.geomspace(1.0, eps, n_lams)]


def _solve(problem, block, design, sums, options, history) -> Any:
    xp, p = problem.xp, design.shape[1]
    before = dataclasses.replace(block.effort)
    gradients = problem.gradients - (1 if block.size == 0 else 0)

    def view(iterate, nit):
        index, w, _, _ = iterate.x
        return OptimizeResult(
            x=xp.astype(spread(xp, index, w, p), design.dtype),
            fun=iterate.fun,
            gap=iterate.error if problem.certified else None,
            kkt=iterate.record["kkt"],
            nit=nit,
        )

    tol = options["tol"]
    outcome = _driver.run(
        greedy_blocks(problem, block, SAFETY * tol),
        tol=SAFETY * tol,
        maxiter=options["maxiter"],
        callback=options["callback"],
        view=view,
        disp=options["disp"],
        time_limit=options["time_limit"],
        measure="gap" if problem.certified else "kkt_relative",
    )
    index, w, _, _ = outcome.best.x
    x = xp.astype(spread(xp, index, w, p), design.dtype)
    error, kkt, fun = outcome.best.error, outcome.best.record["kkt"], outcome.best.fun
    if design.dtype != xp.float64:  # what is returned was rounded
        error, kkt, fun = _recomputed(problem, x, error, kkt)
    return build(
        outcome,
        x=x,
        fun=fun,
        error=error,
        tol=tol,
        words=_GAP if problem.certified else _KKT,
        backend=problem.kernels.name,
        detail="float32 carries no more than 1e-6." if options["floor"] else "",
        history=history,
        intercept=_intercept(problem, index, w, sums),
        gap=error if problem.certified else None,
        kkt=kkt,
        active=x == 0,
        nit_active=last_change(outcome.history),
        nfev=problem.gradients - gradients,
        njev=problem.gradients - gradients,
        nbev=block.effort.blocks - before.blocks,
        nchol=block.effort.factored - before.factored,
    )


def _recomputed(problem, x, error, kkt):
    xp = problem.xp
    x = xp.astype(x, xp.float64)
    index = xp.nonzero(x)[0]
    w = xp.take(x, index)
    r = problem.residual(index, w)
    slopes = problem.all_slopes(r)
    fun, kkt = problem.value(index, w, r), problem.optimality(index, w, slopes)
    if problem.certified:
        error = problem.gap(index, w, r, problem.dual(r, slopes))
    return error, kkt, fun


def _intercept(problem, index, w, sums):
    if sums is None:
        return 0.0
    # level'(y - X w) over the length of the column of ones, less what centring took away
    xp, (of_y, length, means) = problem.xp, sums
    if length == 0:
        return 0.0
    b = (of_y - float(xp.take(problem.along, index) @ w)) / length
    return b if means is None else b - float(xp.take(means, index) @ w)
