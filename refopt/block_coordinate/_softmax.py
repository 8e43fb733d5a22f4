"""Multinomial logistic regression, as users call it."""

import dataclasses

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _driver, _status, _validate
from refopt.block_coordinate._class_labels import codes, row_weights
from refopt.block_coordinate._design import take_in
from refopt.block_coordinate._logistic_newton import newton
from refopt.block_coordinate._result import build
from refopt.block_coordinate._row_space import parameters, pays, row_space_newton
from refopt.block_coordinate._smooth_logistic import (
    SAFETY,
    SMALL,
    allowed_tolerance,
    numbers,
    starting_point,
)
from refopt.block_coordinate._softmax_blocks import softmax_blocks
from refopt.block_coordinate._softmax_newton import SoftmaxProblem, without_row_means
from refopt.block_coordinate._units import large, penalty_in_units, scaled, solve_in_units

_SEPARABLE = "The classes can be separated: without a penalty there is no minimiser."


def softmax(
    X,
    labels,
    l2,
    *,
    l1=0.0,
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
    r"""Multinomial logistic regression with L1 and squared penalties, to a certified accuracy.

    .. math::
        \min_{W, b} \; F(W, b) = \sum_i s_i \Big(\log\sum_k e^{z_{ik}} - z_{i,c_i}\Big)
        + \mathrm{l1} \sum_{jk} |w_{jk}| + \tfrac{\mathrm{l2}}{2} \|W\|_F^2,
        \qquad z_i = W^T x_i + b

    Without `l1` by Newton steps with an exact line search, whose systems are
    solved by preconditioned conjugate gradients. With `l1` by proximal Newton
    steps on greedy blocks of entries of W: those that are not zero, and those
    that violate optimality most.

    Stops when the duality gap is small,

    .. math:: F(W, b) - D(R/t) \le \mathrm{tol} \cdot F_0, \qquad
        D(R) = -\sum_i s_i \sum_k q_{ik} \log q_{ik}
        - \sum_{jk} \frac{\max(0, |X^T R|_{jk} - \mathrm{l1})^2}{2\,\mathrm{l2}},

    where :math:`R = s\,(P - Y)` holds the class probabilities P less the
    indicators Y, :math:`q = Y + (P - Y)/t`, and :math:`F_0` is the least F with
    W = 0. Here t = 1 with l2 > 0; with l2 = 0 and l1 > 0 the quadratic term is
    absent and :math:`t = \max(1, \max|X^T R| / \mathrm{l1})` makes R/t
    feasible. Without penalties it stops when
    :math:`\|\nabla F\|_\infty \le \mathrm{tol} \cdot \max(1, \|\nabla F(x_0)\|_\infty)`.

    Parameters
    ----------
    X : array_like or sparse matrix, shape (n, p)
        One row per sample, NumPy's, CuPy's or SciPy's.
    labels : array_like, shape (n,)
        Classes: numbers or strings, K different ones.
    l2 : float
        Squared penalty, at least 0, on the sum of losses: ``1/C`` of scikit-learn.
    l1 : float, optional
        L1 penalty, at least 0.
    sample_weight : array_like, shape (n,), optional
        Weights s of the rows, at least 0. A row of weight 0 is as good as absent.
    fit_intercept : bool, optional
        Add an intercept per class, without penalty.
    x0 : array_like, shape (p, K), optional
        Start; zeros by default. The intercepts are always the best ones for W.
    tol : float, optional
        See above. Of a float32 X at least 1e-6 is promised, of what is returned.
    maxiter : int, optional
        Largest number of iterations: Newton steps, or passes over X with `l1`.
    callback : callable, optional
        ``callback(intermediate_result)`` after every step, with x, intercept,
        fun, gap (None without penalties), kkt and nit. StopIteration ends the run.
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
        ``x`` (W, shape (p, K): a row per feature, a column per class),
        ``intercept`` (K,), ``classes`` (K,), ``fun``, ``success``, ``status``,
        ``message``, ``nit``, ``nfev`` (evaluations of the loss), ``njev`` (full
        gradients), ``nbev`` (products with the Hessian, or steps on blocks),
        ``nchol`` (factorisations), ``gap`` (relative to F_0; None without
        penalties), ``kkt`` (largest entry of the gradient, or of its distance to
        the subgradients of the L1 penalty), ``active`` (zeros of x, with l1), ``nit_active``
        (last iteration in which the signs of x changed; 0 without l1),
        ``history`` (time, fun, gap or kkt_relative, kkt, ...), ``backend``.
        ``status``: 0 converged, 1 maxiter, 2 stopped by the callback, 3 stalled,
        4 non-finite numbers, 5 without penalties and the final W separates the
        classes, so that there is no minimiser, 6 time limit.

    Raises
    ------
    ValueError
        Wrong shapes, NaN or infinity, negative penalties or weights, one class
        without a penalty (with one the answer is 0).
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    A product with the Hessian is one pass over X for K vectors. A dense X with
    four times as many columns as rows, n <= 1000, is reduced to n rows of
    coefficients by a factor of ``X X'`` where `l1` is 0. With `l1` a
    step on k entries costs O(n k^2), and n x k numbers of memory. Without `l2`
    W is determined up to what the L1 penalty cannot tell apart.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022.

    Examples
    --------
    >>> import refopt
    >>> X = [[1.0, 0.0], [0.9, 0.2], [0.0, 1.0], [0.1, 0.8], [-1.0, -1.0], [-0.8, -1.1]]
    >>> res = refopt.softmax(X, ["a", "a", "b", "b", "c", "c"], l2=1.0)
    >>> res.success, res.x.shape, res.classes.tolist()
    (True, (2, 3), ['a', 'b', 'c'])
    >>> res.x[0].round(3).tolist()
    [0.881, -0.228, -0.653]
    """
    l2, l1 = _validate.nonnegative(l2, "l2"), _validate.nonnegative(l1, "l1")
    tol = _validate.nonnegative(tol, "tol")
    maxiter = _validate.count(maxiter, "maxiter")
    disp = _validate.display(disp)
    if time_limit is not None:
        time_limit = _validate.nonnegative(time_limit, "time_limit")
    fit_intercept = bool(fit_intercept)
    if not hasattr(X, "nnz"):
        X = _validate.as_array(X, "X")
    labels = _validate.as_array(labels, "labels")
    if sample_weight is not None:
        sample_weight = _validate.as_array(sample_weight, "sample_weight")
    if x0 is not None:
        x0 = _validate.as_array(x0, "x0")
    xp, kernels, design = take_in(
        X, numbers(labels), sample_weight, x0, backend=backend, small=X.size < SMALL,
        names=("X", "labels", "sample_weight", "x0"), any_order=True, most=_validate.LARGEST,
    )  # fmt: skip
    n, p = design.shape
    weights = row_weights(xp, sample_weight, n)
    number, classes = _weighted_classes(xp, *codes(xp, labels, n), weights)
    K = classes.shape[0]
    if K < 2 and l1 == l2 == 0:
        raise ValueError(
            "labels must hold at least two classes without a penalty, "
            f"got the class {classes[0]} only"
        )
    start = starting_point(xp, x0, (p, K))
    if K < 2:  # the loss is 0, and the penalty is all of F
        start = xp.zeros_like(start)
    unit = large(xp, weights, certified=l1 > 0 or l2 > 0)
    weights = scaled(weights, -unit)
    l1, l2 = penalty_in_units(l1, unit), penalty_in_units(l2, unit)
    problem = SoftmaxProblem(xp, kernels, design, number, K, weights, l1, l2, fit_intercept)
    V = xp.concat([start, xp.zeros((1, K))], axis=0) if fit_intercept else start
    limits = {"maxiter": maxiter, "disp": disp, "time_limit": time_limit}
    run = lambda callback: _solved(
        problem, V, classes, tol, history, limits | {"callback": callback}
    )
    return solve_in_units(run, callback, fun=unit, absolute=("kkt",)) if unit else run(callback)


def _weighted_classes(xp, number, classes, weights):
    """Codes and classes without those that only rows of weight 0 have."""
    masses = [float(xp.sum(weights[number == k])) for k in range(classes.shape[0])]
    kept = [k for k, mass in enumerate(masses) if mass > 0]
    if len(kept) == len(masses):
        return number, classes
    new = xp.zeros_like(number)
    for place, k in enumerate(kept):
        new = xp.where(number == k, xp.full_like(number, place), new)
    index = np.asarray(kept) if isinstance(classes, np.ndarray) else xp.asarray(kept)
    return new, classes[index]


def _solved(problem, V, classes, tol, history, limits):
    xp, p = problem.xp, problem.p
    certified = problem.l1 > 0 or problem.l2 > 0
    asked, (tol, detail) = tol, allowed_tolerance(xp, problem.design, tol)
    first: float | None = None

    def measure(point):
        nonlocal first
        kkt = problem.kkt(point)
        first = max(1.0, kkt) if first is None else first
        return problem.gap(point) if certified else kkt / first

    def parts(V):
        V = parameters(V)
        intercept = xp.asarray(V[p, :], copy=True) if problem.intercept else xp.zeros(V.shape[1])
        return xp.asarray(V[:p, :], copy=True), intercept

    def view(iterate, nit):
        W, intercept = parts(iterate.x)
        gap = iterate.error if certified else None
        return OptimizeResult(
            x=W, intercept=intercept, fun=iterate.fun, gap=gap, kkt=iterate.record["kkt"], nit=nit
        )

    method = softmax_blocks if problem.l1 else row_space_newton if pays(problem) else newton
    if not problem.l1 and limits["maxiter"]:  # the minimiser's rows sum to zero
        V = without_row_means(xp, V)
    outcome = _driver.run(
        method(problem, V, SAFETY * asked, measure),
        tol=SAFETY * asked, view=view, measure="gap" if certified else "kkt_relative", **limits,
    )  # fmt: skip
    effort = dataclasses.replace(problem.effort)
    changes = np.nonzero(outcome.history.pop("signs_changed", np.zeros(1)))[0]
    V = xp.astype(parameters(outcome.best.x), problem.design.dtype)
    point = problem.point(xp.astype(V, xp.float64), centre=False)
    error = measure(point)
    if not certified and problem.separated(point) and outcome.status != _status.CALLBACK_STOP:
        outcome = dataclasses.replace(outcome, status=_status.INFEASIBLE, detail=_SEPARABLE)
    W, intercept = parts(V)
    return build(
        outcome, x=W, fun=point.fun, error=error, tol=tol,
        words="relative duality gap" if certified else "relative gradient",
        backend=problem.kernels.name, detail=detail, history=history,
        intercept=intercept, classes=classes, gap=error if certified else None,
        kkt=problem.kkt(point), nfev=effort.evaluations, njev=effort.gradients,
        nbev=effort.products, nchol=effort.factors, active=(W == 0) & (problem.l1 > 0),
        nit_active=int(changes[-1]) if changes.size else 0,
    )  # fmt: skip
