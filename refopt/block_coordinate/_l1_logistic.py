"""Sparse logistic regression, as users call it."""

import dataclasses
import math

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _driver, _status, _validate
from refopt.block_coordinate._class_labels import row_weights, signs
from refopt.block_coordinate._design import take_in
from refopt.block_coordinate._logistic_blocks import LogisticL1, logistic_blocks
from refopt.block_coordinate._regression_intake import (
    SAFETY,
    centred,
    last_change,
    run_options,
    vector,
)
from refopt.block_coordinate._result import build
from refopt.block_coordinate._smooth_logistic import SEPARABLE, logistic

_SMALL = 2**12  # entries of X below which compiled kernels are not chosen by themselves


def l1_logistic(
    X,
    y,
    lam,
    *,
    l2=0.0,
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
    r"""Logistic regression with an L1 penalty, to a certified accuracy.

    .. math::
        \min_{w, b} \; F(w, b) = \sum_i s_i \log(1 + \exp(-y_i (x_i^T w + b)))
        + \lambda \sum_j \omega_j |w_j| + \tfrac{\mathrm{l2}}{2} \|w\|^2

    by proximal Newton steps on greedy variable blocks: the nonzeros and the
    worst violators. Each quadratic model is solved as for `lasso`.

    Stops when the duality gap is small,

    .. math:: F(w, b) - \max_k D(q_k) \le \mathrm{tol} \cdot F(0), \qquad
        D(q) = -\sum_i s_i \bigl(q_i \log q_i + (1 - q_i) \log(1 - q_i)\bigr),

    where q is :math:`1/(1 + \exp(y_i z_i))` shrunk until
    :math:`|\sum_i s_i y_i q_i x_{ij}| \le \lambda \omega_j` (with ``l2 > 0`` the
    excess is paid for instead), and F(0) has the best intercept.

    Parameters
    ----------
    X : array_like or sparse matrix, shape (n, p)
        NumPy, CuPy or SciPy, any order. Fortran order and compressed columns
        are used in place, everything else is copied once.
    y : array_like, shape (n,)
        Classes 0 and 1, or -1 and 1, or booleans.
    lam : float
        Weight of the penalty; not divided by n. LIBLINEAR's and scikit-learn's
        ``C`` is ``1 / lam``. With ``lam = 0`` this is `logistic`.
    l2 : float, optional
        Weight of the squared penalty, ``l2 / 2 ||w||^2``.
    weights : array_like, shape (p,), optional
        Factors :math:`\omega_j \ge 0` of the penalty, ones by default.
    sample_weight : array_like, shape (n,), optional
        Weights :math:`s_i \ge 0` of the rows, ones by default.
    fit_intercept : bool, optional
        Fit an unpenalised b, else b = 0. Where means are more than ten times the
        spread of a column, a dense X is copied once, with centred columns; for a
        sparse one they may end the run early (``status`` 3).
    x0 : array_like, shape (p,), optional
        Coefficients to start at if they are better than zero, the default.
    tol : float, optional
        See above. With float32 input at least 1e-6.
    maxiter : int, optional
        Passes over all columns.
    callback : callable, optional
        ``callback(intermediate_result)`` after every pass, with ``x, intercept, fun,
        gap, kkt, nit``; StopIteration ends the run.
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
        ``x`` the coefficients, with exact zeros; ``intercept``; ``classes`` in the
        order of -1, 1; ``fun``; ``gap`` the duality gap over F(0) (None, and NaN in
        the history, without penalties); ``kkt`` the largest violation of the
        optimality conditions; ``active`` the mask of the zeros (none with lam = 0),
        ``nit_active`` the last iteration that changed it; ``nit`` passes over
        all columns, ``njev`` gradients, ``nbev`` Newton steps, ``nchol``
        factorisations; ``success``, ``status``, ``message``, ``history`` with
        "fun", "gap", "kkt", "nnz", "block_size", "time", and ``backend``.

    Raises
    ------
    ValueError
        Shapes that do not fit, NaN or infinity, more than two classes, negative
        weights or penalties.
    TypeError
        Complex numbers, arrays of several libraries.

    See Also
    --------
    logistic : Without the L1 penalty.
    lasso : Least squares.

    Notes
    -----
    Costs a handful of products ``X'r``, and for each Newton step on k
    coordinates the k x k Hessian: :math:`n k^2` operations if X is dense, half
    the sum of the squared row lengths if it is sparse. Without an intercept,
    blocks with fewer than :math:`k^2 / 2` stored entries are swept by columns
    instead. Memory: X, k x k numbers, a few vectors. While a step moves no
    prediction by more than 1/2 it needs no line search: the curvatures change
    by less than a factor exp(1/2), which guarantees the decrease. float32 input
    is computed in float64 and returned as float32.

    References
    ----------
    J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
    converge faster, Journal of Machine Learning Research 23(131), 2022: greedy
    variable blocks with proximal Newton updates, superlinear once they cover
    the nonzeros.

    Examples
    --------
    >>> import refopt
    >>> X = [[2.0, 0.1], [1.0, -0.2], [-1.0, 0.3], [-2.0, 0.2]]
    >>> res = refopt.l1_logistic(X, [1, 0, 1, 0], lam=0.5)
    >>> res.x.round(4), res.success
    (array([0.2023, 0.    ]), True)
    """
    lam = _validate.nonnegative(lam, "lam")
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
    y, classes = signs(xp, given[0], n)
    factors = xp.ones(p) if weights is None else vector(xp, given[1], "weights", p)
    if p and float(xp.min(factors)) < 0:
        raise ValueError(f"weights must be nonnegative, got {float(xp.min(factors))}")
    if lam == 0:
        return _without_l1(
            X, given[0], l2, sample_weight=given[2], fit_intercept=fit_intercept, x0=given[3],
            tol=tol, maxiter=maxiter, callback=callback, disp=disp, time_limit=time_limit,
            backend=backend, history=history,
        )  # fmt: skip
    rows = row_weights(xp, given[2], n)
    if fit_intercept:
        present = y[rows > 0]
        if bool(xp.all(present == present[0])):
            raise ValueError(
                "y must hold two classes with an intercept, the problem is unbounded: got one class"
            )
    start = None if x0 is None else vector(xp, given[3], "x0", p)
    design, means = centred(design, rows) if fit_intercept else (design, None)

    def intercept(w, b):
        return b if means is None else b - float(means @ xp.astype(w, xp.float64))

    options = run_options(tol, maxiter, callback, disp, time_limit, design)
    problem = LogisticL1(
        xp, kernels, design, y, rows, lam * factors, l2, bool(fit_intercept), start
    )

    def view(iterate, nit):
        return OptimizeResult(
            x=xp.astype(1.0 * iterate.x[0], design.dtype),
            intercept=intercept(*iterate.x),
            fun=iterate.fun,
            gap=iterate.error,
            kkt=iterate.record["kkt"],
            nit=nit,
        )

    outcome = _driver.run(
        logistic_blocks(problem, SAFETY * options["tol"]),
        tol=SAFETY * options["tol"],
        maxiter=options["maxiter"],
        callback=options["callback"],
        view=view,
        disp=options["disp"],
        time_limit=options["time_limit"],
        measure="gap",
    )
    w, b = outcome.best.x
    error, kkt, fun = outcome.best.error, outcome.best.record["kkt"], outcome.best.fun
    x = xp.astype(w, design.dtype)
    if design.dtype != xp.float64:  # what is returned was rounded
        error, kkt, fun = _recomputed(problem, xp.astype(x, xp.float64), b)
    problem.w, problem.b = w, b
    if problem.separated() and outcome.status != _status.CALLBACK_STOP:
        outcome = dataclasses.replace(outcome, status=_status.INFEASIBLE, detail=SEPARABLE)
    return build(
        outcome,
        x=x,
        fun=fun,
        error=error,
        tol=options["tol"],
        words="duality gap / F(0)",
        backend=kernels.name,
        detail="float32 carries no more than 1e-6." if options["floor"] else "",
        history=history,
        intercept=intercept(x, b),
        classes=classes,
        gap=error,
        kkt=kkt,
        active=x == 0,
        nit_active=last_change(outcome.history),
        nfev=problem.gradients,
        njev=problem.gradients,
        nbev=problem.blocks,
        nchol=problem.factored,
    )


def _without_l1(X, y, l2, *, x0, callback, history, **options):
    """`logistic`, with the history that problems with the L1 penalty have."""
    tell = None if callback is None else _driver.by_position(callback)
    count = lambda x: 0 if x is None else int((x != 0).sum())
    seen = [count(x0)]

    def watch(intermediate_result):
        seen.append(count(intermediate_result.x))
        if tell is not None:
            tell(intermediate_result)

    res = logistic(
        X, y, l2, x0=x0, callback=watch if history else callback, history=history, **options
    )
    if history:
        old, size = res.history, res.history["fun"].shape[0]
        nnz = np.full(size, count(res.x))
        nnz[: len(seen)] = seen
        res.history = {key: old[key] for key in ("time", "fun", "kkt")}
        res.history |= {
            "gap": old.get("gap", np.full(size, np.nan)),
            "nnz": nnz,
            "block_size": np.full(size, float(res.x.shape[0])),
        }
    return res


def _recomputed(problem, w, b):
    xp = problem.xp
    problem.w, problem.b = w, b
    problem.z = problem.design.times(w) + b
    problem.evaluate()
    slopes = problem.slopes()
    fun = problem.value()
    kkt = float(xp.max(problem.errors(xp.arange(w.shape[0]), slopes))) if w.shape[0] else 0.0
    gap = max(0.0, fun - problem.dual(slopes))
    return gap / problem.at_zero if problem.at_zero > 0 else 0.0, kkt, fun
