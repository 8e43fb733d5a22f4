"""The support vector machine without intercept, by its dual."""

import math

from scipy.optimize import OptimizeResult

from refopt import _driver, _validate
from refopt.block_coordinate._class_labels import row_weights, signs
from refopt.block_coordinate._hinge_newton import Effort, evaluate, hinge_newton, state_of
from refopt.block_coordinate._result import build
from refopt.block_coordinate._signed_rows import SignedRows, take_in_rows

_SINGLE_FLOOR = 1e-6


def svm_dual(
    X,
    y,
    C=1.0,
    *,
    sample_weight=None,
    x0=None,
    tol=1e-8,
    maxiter=200,
    callback=None,
    disp=False,
    time_limit=None,
    backend=None,
    history=True,
):
    r"""Linear support vector machine without intercept, with a certified gap.

    .. math::
        \min_{0 \le a_i \le C_i} \; \tfrac12 \Big\| \sum_i a_i y_i x_i \Big\|^2 - \sum_i a_i ,
        \qquad w = \sum_i a_i y_i x_i ,

    the dual of the primal problem

    .. math::
        \min_w \; P(w) = \tfrac12 \|w\|^2 + \sum_i C_i \max(0, 1 - y_i x_i^T w) .

    Stops when the duality gap, relative to the value of the primal at zero, is

    .. math::
        \frac{P(w) - D(a)}{\sum_i C_i} \le \mathrm{tol},
        \qquad D(a) = \sum_i a_i - \tfrac12 \|w\|^2 .

    Parameters
    ----------
    X : array_like or sparse matrix, shape (n, p)
        One row per sample. C order and compressed rows are the best layouts.
    y : array_like, shape (n,)
        Labels 0 and 1, or -1 and 1, or booleans. One class alone is allowed.
    C : float or array_like, shape (n,), optional
        Weight of the loss, nonnegative: of the sum, not of a mean.
    sample_weight : array_like, shape (n,), optional
        Factors of C, nonnegative.
    x0 : array_like, shape (n,), optional
        Start, as ``x`` of an earlier result; what lies outside the bounds is
        projected.
    tol : float, optional
        Relative duality gap.
    maxiter : int, optional
        Largest number of outer iterations: batches of coordinate descent and
        proximal steps.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, w, fun, gap, nit.
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
        ``x`` (the dual variables a, exactly 0 and C_i where they are at a
        bound), ``w`` (the primal weights), ``fun`` (the dual problem as it is
        minimised, :math:`-D(a)`), ``primal`` (:math:`P(w)`), ``gap`` (the
        relative gap of x and w), ``kkt`` (largest violation of the dual's
        optimality conditions, 1 at most at zero), ``active`` (rows at a
        bound), ``support`` (rows with a > 0), ``success``, ``status``,
        ``message``, ``nit``, ``nfev``, ``njev`` (passes over X'), ``nbev``
        (updates of a row), ``nchol``, ``nit_active`` (last iteration that
        changed which rows are at which bound), ``history`` (time, fun, gap,
        primal, nnz, sigma), ``backend``. ``status``: 0 converged, 1 maxiter,
        2 stopped by the callback, 3 stalled at rounding level, 4 non-finite
        numbers, 6 time limit.

    Raises
    ------
    ValueError
        Wrong shapes, NaN or infinity, no rows, other labels, a negative C or
        weight.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    Batches of sweeps of dual coordinate descent with shrinking for as long as
    they promise to reach `tol` sooner than Newton steps would, and until the
    free rows settle, as much was spent as on some Newton steps, or 25 batches did
    not reach `tol`; then
    proximal steps in the dual, each solved by a semismooth Newton method for w
    with exact line search over the rows near the margin, with a growing
    proximal parameter. The Newton matrix is p x p, or as large as the set of
    free rows where that is smaller. Where they crawl, steps are prolonged along
    their line as far as the dual falls within the bounds. On this piecewise quadratic problem the
    proximal method ends after finitely many steps, which is why small gaps
    cost little more than moderate ones. Memory: X once more, and the square
    of the smaller of p and the number of free rows. float32 input is solved in
    double precision and returned in single, to no smaller tol than 1e-6.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022, sections 4 and 5 (active sets, finite
       termination).
    .. [2] C.-J. Hsieh et al., A dual coordinate descent method for large-scale
       linear SVM, ICML 2008.
    .. [3] X. Li, D. Sun, K.-C. Toh, A highly efficient semismooth Newton
       augmented Lagrangian method for solving lasso problems, SIAM J. Optim.
       28(1), 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> X = np.array([[2.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    >>> res = refopt.svm_dual(X, [1, 1, -1])
    >>> res.success
    True
    >>> [round(float(v), 6) for v in res.w]
    [0.5, 1.0]
    """
    if sample_weight is not None:
        sample_weight = _validate.as_array(sample_weight, "sample_weight")
    labels = _validate.as_array(y, "y")
    x0 = None if x0 is None else _validate.as_array(x0, "x0")
    numeric = None if getattr(getattr(labels, "dtype", None), "kind", "") in "USO" else labels
    xp, kernels, design = take_in_rows(
        X, numeric, sample_weight, x0, backend=backend, names=("X", "y", "sample_weight", "x0")
    )
    n = design.shape[1]
    tol, maxiter = _validate.nonnegative(tol, "tol"), _validate.count(maxiter, "maxiter")
    disp = _validate.display(disp)
    time_limit = None if time_limit is None else _validate.nonnegative(time_limit, "time_limit")
    caps = _caps(xp, C, n) * (1.0 if sample_weight is None else row_weights(xp, sample_weight, n))
    rows = SignedRows.of(kernels, design, signs(xp, labels, n)[0])
    a = xp.zeros(n) if x0 is None else xp.clip(_vector(xp, x0, n, "x0"), 0.0, caps)

    single = design.dtype == xp.float32
    asked, tol = tol, max(tol, _SINGLE_FLOOR) if single else tol
    effort, states = Effort(), _ActiveSet(xp, caps)
    wanted = (0.02 if single else 0.9) * tol
    outcome = _driver.run(
        states.watch(hinge_newton(rows, caps, a, effort, _on_host(kernels, xp), wanted)),
        tol=wanted,
        maxiter=maxiter,
        callback=callback,
        view=lambda iterate, nit: _view(iterate, nit, design.dtype, xp),
        disp=disp,
        time_limit=time_limit,
        measure="gap",
    )
    a = xp.astype(outcome.best.x.a, design.dtype)
    if single:  # no bound may be left by rounding
        limit = xp.astype(caps, xp.float32)
        a = xp.where(outcome.best.x.a >= caps, limit, xp.minimum(a, limit))
        caps = xp.astype(limit, xp.float64)
    point = evaluate(rows, caps, xp.astype(a, xp.float64))
    slope, state = point.margins - 1.0, state_of(xp, point.a, caps)
    violation = xp.where(
        caps <= 0,
        xp.zeros_like(slope),
        xp.where(
            state < 0,
            xp.clip(-slope, 0.0, math.inf),
            xp.where(state > 0, xp.clip(slope, 0.0, math.inf), xp.abs(slope)),
        ),
    )
    detail = f"Single precision allows tol {_SINGLE_FLOOR:g}." if tol > asked else ""
    return build(
        outcome,
        x=a,
        fun=-point.dual,
        error=point.gap,
        tol=tol,
        words="relative duality gap (P - D)/sum(C)",
        backend=kernels.name,
        detail=detail,
        history=history,
        w=xp.astype(point.w[: _columns(X)], design.dtype),
        primal=point.primal,
        gap=point.gap,
        kkt=float(xp.max(violation)),
        active=state != 0,
        support=point.a > 0,
        nit_active=states.last,
        nfev=effort.njev + 1,
        njev=effort.njev + 1,
        nbev=effort.nbev,
        nchol=effort.nchol,
    )


def _caps(xp, C, n):
    """The upper bounds, (n,)."""
    if not hasattr(C, "ndim") and not isinstance(C, list | tuple):
        return xp.full(n, _validate.nonnegative(C, "C"))
    C = _validate.as_array(C, "C")
    if C.ndim == 0:
        return xp.full(n, _validate.nonnegative(C, "C"))
    C = _vector(xp, C, n, "C")
    if bool(xp.any(C < 0)):
        raise ValueError(f"C must be nonnegative, got {_validate.first_place(xp, C, C < 0)}")
    return C


def _vector(xp, value, n, name):
    value = _validate.all_finite(xp, _validate.real_array(xp, value, name, 1), name)
    if value.shape[0] != n:
        raise ValueError(f"{name} must have one entry per row of X, {n}, got {value.shape[0]}")
    return xp.astype(value, xp.float64, copy=False)


def _columns(X):
    return X.shape[1] if hasattr(X, "shape") else len(X[0])


def _on_host(kernels, xp):
    """Whether sweeps over single rows are worth while: not on a device."""
    return kernels.name == "numba" or xp.__name__ == "numpy"


class _ActiveSet:
    """Notes the last iteration at which a row left or reached a bound."""

    def __init__(self, xp, C):
        self.xp, self.C, self.last = xp, C, 0

    def watch(self, algorithm):
        """The same iterates."""
        before, nit = None, 0
        try:
            while True:
                iterate = next(algorithm)
                state = state_of(self.xp, iterate.x.a, self.C)
                if before is not None and bool(self.xp.any(state != before)):
                    self.last = nit
                before, nit = state, nit + 1
                yield iterate
        except StopIteration as end:
            return end.value


def _view(iterate, nit, dtype, xp):
    point = iterate.x
    return OptimizeResult(
        x=xp.astype(point.a, dtype, copy=True),
        w=xp.astype(point.w, dtype, copy=True),
        fun=iterate.fun,
        gap=point.gap,
        nit=nit,
    )
