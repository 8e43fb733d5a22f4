"""The classical Halpern iteration."""

import math
from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _status, _validate
from refopt._driver import Iterate
from refopt._proximal_maps import norm
from refopt.halpern._components import NotANumber, returned
from refopt.halpern._inclusion import one_item
from refopt.halpern._inexact import classical_anchor
from refopt.halpern._intake import anchor_of
from refopt.halpern._restart import Restart, restart_rule
from refopt.halpern._result import run, settled, tolerance
from refopt_backends import resolve


def halpern_fixed_point(
    T,
    x0,
    *,
    anchor=None,
    reflected=False,
    restart=None,
    tol=1e-6,
    rtol=0.0,
    maxiter=10_000,
    time_limit=None,
    callback=None,
    disp=False,
    backend=None,
):
    r"""Find a fixed point of a nonexpansive map by Halpern's iteration.

    .. math::
        x = T(x), \qquad
        x_{k+1} = \lambda_k x_0 + (1 - \lambda_k)\, T(x_k), \quad \lambda_k = \frac{1}{k+2}

    The last iterate converges, and for every k
    :math:`\|x_k - T(x_k)\| \le 2 \|x_0 - x^*\| / (k + 1)`, a bound that no
    method improves (a rotation of the plane attains it).

    Stops when

    .. math:: \|x - T(x)\| \le \mathrm{tol} + \mathrm{rtol}\,\|x_0 - T(x_0)\| .

    Parameters
    ----------
    T : callable
        ``T(x)`` returns an array of the shape of x. Nonexpansive:
        :math:`\|T x - T y\| \le \|x - y\|`.
    x0 : array_like, shape (d,)
        Start and anchor.
    anchor : callable, optional
        ``anchor(k)`` is the weight of x0 in step k, in (0, 1).
    reflected : bool, optional
        Replace T x by 2 T x - x, for firmly nonexpansive T as a resolvent.
    restart : {None, "adaptive"} or int, optional
        Make the present point the new anchor: never, when the residual has
        fallen or after a third of all steps, or with a fixed period. Faster
        where the residual bounds the distance to the solution.
    tol, rtol : float, optional
        See above.
    maxiter : int, optional
        Largest number of steps.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, fun, residual, nit.
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    OptimizeResult
        ``x``, ``fun`` and ``residual`` (the norm of x - T x, recomputed),
        ``success``, ``status``, ``message``, ``nit``, ``nfev`` (calls of T),
        ``nrestart``, ``backend``, ``history`` (time, fun, residual, restart).
        ``status``: 0 converged, 1 maxiter, 2 stopped by the callback, 3 stalled,
        4 not finite (the best finite point is returned), 6 time limit.

    Raises
    ------
    ValueError
        x0 is empty or not finite, T returns another shape, a negative tolerance.
    TypeError
        T or anchor cannot be called, complex or non-numeric input.

    See Also
    --------
    solve_vi : Zeros of operators.

    Notes
    -----
    One call of T and three vectors of memory per step.

    References
    ----------
    .. [1] F. Lieder, On the convergence rate of the Halpern-iteration,
       Optimization Letters 15, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> res = refopt.halpern_fixed_point(lambda x: turn @ x, [1.0, 1.0], tol=1e-3)
    >>> res.success, bool(res.residual <= 2 * 2**0.5 / (res.nit + 1))
    (True, True)
    """
    if not callable(T):
        raise TypeError(f"T must be callable, got {type(T).__name__}")
    x0 = _validate.as_array(x0, "x0")
    xp, kernels = resolve(x0, backend=backend, small=x0.size < 4096, names=("x0",))
    x = _validate.all_finite(xp, _validate.real_array(xp, x0, "x0", 1), "x0")
    if x.shape[0] == 0:
        raise ValueError("x0 must have at least one entry, got none")
    maxiter = _validate.count(maxiter, "maxiter")
    anchor = anchor_of(anchor, classical_anchor)
    problem = _Map(xp, kernels, T)
    x = xp.asarray(x, copy=True)
    tol = tolerance(tol, rtol, lambda: norm(xp, x - problem(x)))
    algorithm = _iteration(problem, x, anchor, bool(reflected), Restart(restart_rule(restart)))
    outcome = run(
        problem, algorithm, tol=tol, maxiter=maxiter, callback=callback, disp=disp,
        time_limit=time_limit,
    )  # fmt: skip
    x, detail = xp.asarray(outcome.best.x, copy=True), outcome.detail
    try:
        residual = norm(xp, x - problem(x))
    except NotANumber as broken:
        residual, detail = outcome.best.error, detail or f"{broken}."
    status = settled(outcome.status, residual, tol)
    return OptimizeResult(
        x=x,
        fun=residual,
        success=status == _status.CONVERGED,
        status=status,
        message=_status.message(
            status, measure="residual |x - T(x)|", error=residual, tol=tol, detail=detail
        ),
        nit=outcome.nit,
        nfev=problem.calls,
        history=outcome.history,
        backend=kernels.name,
        residual=residual,
        nrestart=int(outcome.history["restart"][-1]),
    )


_HUGE = 1e150


class _Map:
    """T with a count of its calls."""

    def __init__(self, xp, kernels, T):
        self.xp, self.kernels, self.T, self.calls = xp, kernels, T, 0
        self.items = one_item

    def __call__(self, x):
        self.calls += 1
        return returned(self.xp, self.T(self.xp.asarray(x, copy=True)), x, "T")


def _iteration(T: Any, x: Any, anchor: Any, reflected: bool, restart: Restart) -> Any:
    x0, k, xp, r = x, 0, T.xp, math.nan
    try:
        while True:
            image = T(x)
            r = norm(xp, x - image)
            yield Iterate(x, r, r, {"restart": restart.count})
            if r > _HUGE:
                return _status.BREAKDOWN, "T is not nonexpansive: the residual grows."
            if restart.due(r, k):
                x0, k = x, 0
            lam = anchor(k)
            x = lam * x0 + (1.0 - lam) * (2.0 * image - x if reflected else image)
            k += 1
    except NotANumber as broken:
        if math.isnan(r):
            yield Iterate(x, r, r, {"restart": 0})
        return _status.BREAKDOWN, f"{broken}."
