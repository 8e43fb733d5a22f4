"""Logistic regression with a squared penalty, as users call it."""

import dataclasses

from scipy.optimize import OptimizeResult

from refopt import _driver, _status, _validate
from refopt.block_coordinate._class_labels import row_weights, signs
from refopt.block_coordinate._design import take_in
from refopt.block_coordinate._logistic_newton import LogisticProblem, newton
from refopt.block_coordinate._result import build
from refopt.block_coordinate._row_space import parameters, pays, row_space_newton
from refopt.block_coordinate._start import usable
from refopt.block_coordinate._units import large, penalty_in_units, scaled, solve_in_units

SMALL = 2**12  # entries of X below which compiled kernels are not chosen by themselves
SAFETY = 0.9  # room for rounding between the error met on the way and the recomputed one
_LEAST_SINGLE = 1e-6  # tolerance that answers in float32 can meet
SEPARABLE = "The classes are separated at no penalty: there is no minimiser."


def logistic(
    X,
    y,
    l2,
    *,
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
    r"""Logistic regression with a squared penalty, to a certified accuracy.

    .. math::
        \min_{w, b} \; F(w, b) = \sum_i s_i \log(1 + \exp(-y_i (x_i^T w + b)))
        + \tfrac{\mathrm{l2}}{2} \|w\|^2

    by Newton steps with an exact line search, whose systems are solved by
    preconditioned conjugate gradients as exactly as they deserve.

    Stops when the duality gap is small,

    .. math:: F(w, b) - D(\theta) = \frac{\|\nabla_w F\|^2}{2\,\mathrm{l2}}
        \le \mathrm{tol} \cdot F_0,
        \qquad D(\theta) = -\sum_i s_i h(q_i) - \frac{\|X^T \theta\|^2}{2\,\mathrm{l2}},

    with :math:`q_i = 1/(1 + \exp(y_i z_i))`, :math:`\theta = s y q`,
    :math:`h(q) = q\log q + (1-q)\log(1-q)` and :math:`F_0` the least F with w = 0,
    and with ``l2 = 0`` when
    :math:`\|\nabla F\|_\infty \le \mathrm{tol} \cdot \max(1, \|\nabla F(x_0)\|_\infty)`.

    Parameters
    ----------
    X : array_like or sparse matrix, shape (n, p)
        One row per sample, NumPy's, CuPy's or SciPy's.
    y : array_like, shape (n,)
        Classes 0 and 1, or -1 and 1, or booleans.
    l2 : float
        Penalty, at least 0, on the sum of losses: ``1/C`` of scikit-learn.
    sample_weight : array_like, shape (n,), optional
        Weights s of the rows, at least 0. A row of weight 0 is as good as absent.
    fit_intercept : bool, optional
        Add an intercept b, without penalty.
    x0 : array_like, shape (p,), optional
        Start; zeros by default. The intercept is always the best one for w.
    tol : float, optional
        See above. Of a float32 X at least 1e-6 is promised, of what is returned.
    maxiter : int, optional
        Largest number of Newton steps; 0 evaluates the start.
    callback : callable, optional
        ``callback(intermediate_result)`` after every step, with x, intercept,
        fun, gap (None without l2), kkt and nit. StopIteration ends the run.
    disp : bool or int, optional
        Print every step, or every `disp`-th.
    time_limit : float, optional
        Seconds.
    backend : str, optional
        See `refopt_backends.resolve`.
    history : bool, optional
        Return the history.

    Returns
    -------
    OptimizeResult
        ``x`` (w), ``intercept``, ``classes`` (in the order of -1, 1), ``fun``,
        ``success``, ``status``, ``message``, ``nit``, ``nfev`` (evaluations of
        the loss), ``njev`` (gradients), ``nbev`` (products with the Hessian),
        ``nchol`` (factorisations), ``gap`` (relative to F_0; None without l2),
        ``kkt`` (largest entry of the gradient), ``active`` (nowhere: there is no kink),
        ``nit_active`` (0), ``history`` (time, fun, gap or kkt_relative, kkt, step, ncg),
        ``backend``. ``status``: 0 converged, 1 maxiter, 2 stopped by the
        callback, 3 stalled, 4 non-finite numbers, 5 without penalty and the
        final w separates the classes, so that there is no minimiser,
        6 time limit.

    Raises
    ------
    ValueError
        Wrong shapes, NaN or infinity, negative `l2` or weights, other classes,
        or a problem that is unbounded below: one class only, and no penalty or an
        intercept.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    A product with the Hessian is one pass over X. For p up to 3000 the
    matrix ``X' diag(d) X`` is formed, O(n p^2) at most, once the products spent
    would have paid for it, and its inverse is kept as preconditioner.
    A dense X with four times as many columns as rows, n <= 1000, is reduced to
    n coordinates by a factor of ``X X'``, O(n^2 p).
    Memory: some vectors of n and p, and two p x p matrices where they are formed.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022. The Newton update of section 4 with
       all coordinates in one block.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> res = refopt.logistic(X, [0, 1, 0, 1], l2=1.0, fit_intercept=True)
    >>> res.success, bool(res.gap <= 1e-8)
    (True, True)
    >>> res.x.round(4).tolist(), round(res.intercept, 4)
    ([0.4529], -0.6793)
    """
    l2 = _validate.nonnegative(l2, "l2")
    tol = _validate.nonnegative(tol, "tol")
    maxiter = _validate.count(maxiter, "maxiter")
    disp = _validate.display(disp)
    if time_limit is not None:
        time_limit = _validate.nonnegative(time_limit, "time_limit")
    fit_intercept = bool(fit_intercept)
    if not hasattr(X, "nnz"):
        X = _validate.as_array(X, "X")
    y = _validate.as_array(y, "y")
    if sample_weight is not None:
        sample_weight = _validate.as_array(sample_weight, "sample_weight")
    if x0 is not None:
        x0 = _validate.as_array(x0, "x0")
    xp, kernels, design = take_in(
        X, numbers(y), sample_weight, x0, backend=backend, small=X.size < SMALL,
        names=("X", "y", "sample_weight", "x0"), any_order=True, most=_validate.LARGEST,
    )  # fmt: skip
    n, p = design.shape
    y, classes = signs(xp, y, n)
    weights = row_weights(xp, sample_weight, n)
    _bounded(xp, y, weights, l2, fit_intercept)
    start = starting_point(xp, x0, (p,))
    unit = large(xp, weights, certified=l2 > 0)
    weights, l2 = scaled(weights, -unit), penalty_in_units(l2, unit)
    problem = LogisticProblem(xp, kernels, design, y, weights, l2, fit_intercept)
    v = xp.concat([start, xp.zeros(1)]) if fit_intercept else start
    limits = {"maxiter": maxiter, "disp": disp, "time_limit": time_limit}
    run = lambda callback: _solved(
        problem, v, classes, tol, history, limits | {"callback": callback}
    )
    return solve_in_units(run, callback, fun=unit, absolute=("kkt",)) if unit else run(callback)


def numbers(y):
    """y for the dispatch; labels that are no numbers are rejected later, by their name."""
    return y if _validate.dtype_name(y).startswith(("float", "int", "uint", "bool")) else None


def _bounded(xp, y, weights, l2, intercept):
    """Reject what has no minimiser whatever X is."""
    present = y[weights > 0]
    if bool(xp.all(present == present[0])) and (l2 == 0 or intercept):
        hint = "without a penalty" if l2 == 0 else "with an intercept"
        raise ValueError(f"y must hold two classes {hint}, the problem is unbounded: got one class")


def starting_point(xp, x0, shape):
    """x0 in float64, zeros by default."""
    if x0 is None:
        return xp.zeros(shape)
    x0 = _validate.real_array(xp, x0, "x0", len(shape))
    if tuple(x0.shape) != shape:
        raise ValueError(f"x0 must have shape {shape}, got {tuple(x0.shape)}")
    return usable(xp, xp.astype(_validate.all_finite(xp, x0, "x0"), xp.float64, copy=False))


def allowed_tolerance(xp, design, tol):
    """The tolerance that what is returned is judged by, and what to say about it."""
    if design.dtype == xp.float32 and tol < _LEAST_SINGLE:
        return _LEAST_SINGLE, f"For float32 tol is {_LEAST_SINGLE:g} at least."
    return tol, ""


def _solved(problem, v, classes, tol, history, limits):
    xp, p = problem.xp, problem.p
    asked, (tol, detail) = tol, allowed_tolerance(xp, problem.design, tol)
    first: float | None = None

    def measure(point):
        nonlocal first
        kkt = problem.kkt(point)
        first = max(1.0, kkt) if first is None else first
        return problem.gap(point) if problem.l2 else kkt / first

    def view(iterate, nit):
        v = parameters(iterate.x)
        w, b = xp.asarray(v[:p], copy=True), float(v[p]) if problem.intercept else 0.0
        gap = iterate.error if problem.l2 else None
        return OptimizeResult(
            x=w, intercept=b, fun=iterate.fun, gap=gap, kkt=iterate.record["kkt"], nit=nit
        )

    name = "gap" if problem.l2 else "kkt_relative"
    method = row_space_newton if pays(problem) else newton
    outcome = _driver.run(
        method(problem, v, SAFETY * asked, measure),
        tol=SAFETY * asked, view=view, measure=name, **limits,
    )  # fmt: skip
    effort = dataclasses.replace(problem.effort)
    x = xp.astype(parameters(outcome.best.x), problem.design.dtype)
    point = problem.point(xp.astype(x, xp.float64), centre=False)
    error = measure(point)
    separated = problem.l2 == 0 and problem.separated(point)
    if separated and outcome.status != _status.CALLBACK_STOP:
        outcome = dataclasses.replace(outcome, status=_status.INFEASIBLE, detail=SEPARABLE)
    words = "relative duality gap" if problem.l2 else "relative gradient"
    return build(
        outcome, x=x[:p], fun=point.fun, error=error, tol=tol, words=words,
        backend=problem.kernels.name, detail=detail, history=history,
        intercept=float(x[p]) if problem.intercept else 0.0, classes=classes,
        gap=error if problem.l2 else None, kkt=problem.kkt(point),
        nfev=effort.evaluations, njev=effort.gradients, nbev=effort.products,
        nchol=effort.factors, active=xp.zeros_like(x[:p]) != 0, nit_active=0,
    )  # fmt: skip
