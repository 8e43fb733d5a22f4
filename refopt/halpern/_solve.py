"""One front end for all methods: variational inequalities and saddle points."""

import functools
import math
from collections.abc import Callable
from typing import Any

from refopt import _rng, _validate
from refopt.halpern import _deterministic, _variance_reduced
from refopt.halpern._anchored import inexact_halpern, vr_halpern
from refopt.halpern._components import Whole
from refopt.halpern._inexact import classical_anchor
from refopt.halpern._intake import (
    anchor_of,
    constants,
    finite_sum,
    index_stream,
    law_of_components,
    probability,
    take_problem,
)
from refopt.halpern._restart import restart_rule
from refopt.halpern._result import solve
from refopt.halpern._sampling import streams
from refopt.halpern._step import Step
from refopt.proximal import Product

# The largest stable step times L, with a margin.
_DETERMINISTIC = {"forward": 1.0, "eg": 0.95, "eag": 0.95, "forb": 0.49, "popov": 0.33, "fbf": 0.95}
_METHODS: dict[str, Callable] = {
    "forward": _deterministic.forward,
    "eg": _deterministic.extragradient,
    "eag": _deterministic.anchored_extragradient,
    "forb": _deterministic.forward_reflected,
    "popov": _deterministic.popov,
    "fbf": _deterministic.forward_backward_forward,
    "vr-eg": _variance_reduced.vr_eg,
    "vr-forb": _variance_reduced.vr_forb,
    "l-svrg": _variance_reduced.l_svrg,
}
_ANCHORED: dict[str, Callable] = {"vr-halpern": vr_halpern, "inexact-halpern": inexact_halpern}
_BREAK_EVEN = 6.0  # a finite sum pays where sqrt(n) exceeds so many times L / L_F


def solve_vi(
    fun,
    x0,
    *,
    prox=None,
    method="auto",
    cocoercive=None,
    n_components=None,
    L=None,
    step="fixed",
    prob=None,
    sampling="importance",
    anchor=None,
    restart="adaptive",
    tol=1e-6,
    rtol=0.0,
    maxiter=100_000,
    maxfev=1000,
    time_limit=None,
    callback=None,
    disp=False,
    rng=None,
    backend=None,
):
    r"""Solve a monotone inclusion, as a variational inequality or a saddle point.

    .. math::
        0 \in F(u) + G(u), \qquad
        \langle F(u) - F(v), u - v\rangle \ge 0

    With G the normal cone of a convex set C (`prox` its projection) this is:
    find u in C with :math:`\langle F(u), v - u\rangle \ge 0` for all v in C.

    Stops when

    .. math:: r(u) \le \mathrm{tol} + \mathrm{rtol} \cdot r(u_0), \qquad
        r(u) = \|u - J_G(u - F(u))\| \;(= \|F(u)\| \text{ without } G).

    Parameters
    ----------
    fun : callable or FiniteSumOperator
        ``fun(u)`` returns F(u). With `n_components` it is the mean of so many
        operators: ``fun(u, index)``, the mean over an array of indices, over all
        for ``index=None``; or ``fun(u, i, out)``, which writes one component.
    x0 : array_like, shape (d,)
        Start.
    prox : callable, optional
        ``prox(v)``, a projection, or ``prox(v, t)``, the resolvent
        :math:`(I + tG)^{-1}`, its t without a default; see `refopt.proximal`. No G by
        default.
    method : str, optional
        One or two full evaluations per step: "forward" (cocoercive F),
        "eg" (extragradient), "eag" (anchored extragradient, restarted), "forb"
        (forward-reflected-backward, without G the optimistic gradient), "popov",
        "fbf" (Tseng). Of finite sums: "vr-eg", "vr-forb", "l-svrg" (cocoercive
        F), "vr-halpern", "inexact-halpern". "auto": for ``cocoercive=True``
        l-svrg for sums, else forward; otherwise vr-eg for sums with
        :math:`\sqrt n > 6 L / L_F`, else eag. The message says what it took.
    cocoercive : {None, True}, optional
        Your claim that :math:`\langle F(u)-F(v), u-v\rangle \ge
        \|F(u)-F(v)\|^2/L`, as of gradients and strongly monotone operators.
    n_components : int, optional
        The number of components of a function.
    L : float or "estimate", optional
        Lipschitz constant of F; for methods of finite sums on average over the
        components. By default the operator's own, else estimated along a few
        displacements and corrected on the way.
    step : {"fixed", "adaptive"} or float, optional
        A constant over L; growing and shrinking with the displacements met
        (deterministic methods); or the step itself (of inexact-halpern its eta).
    prob : float, optional
        Probability of moving the snapshot; 1/n by default.
    sampling : {"importance", "uniform"} or array_like, shape (n,), optional
        Law of the components.
    anchor : callable, optional
        ``anchor(k)`` of anchored methods; their own by default.
    restart : {"adaptive", None} or int, optional
        Of anchored methods: when the residual has fallen or a third of all steps
        was made, never, or after so many steps.
    tol, rtol : float, optional
        See above. The residual is in units of F: scaling F scales it.
    maxiter : int, optional
        Largest number of iterations. An iteration of a method for sums leads to
        the next full evaluation.
    maxfev : float, optional
        Largest number of evaluations of F, of sums of component evaluations over n.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, fun, residual, nfev, nit.
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    rng : None, int or numpy.random.Generator, optional
        For methods of finite sums.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    OptimizeResult
        ``x``, ``fun`` and ``residual`` (recomputed at x), ``gap`` (of games on
        two simplices, NaN outside them, else None), ``success``, ``status``, ``message``, ``nit``,
        ``nstep``, ``nfev`` (evaluations of F; ``ncomp / n`` of sums), ``ncomp``
        (component evaluations), ``nrestart``, ``step`` (the last one), ``L``,
        ``method``, ``backend``, ``history`` (time, fun, residual, nfev, nstep,
        restart, step, gap). ``status``: 0 converged, 1 maxiter or maxfev,
        2 stopped by the callback, 3 stalled at rounding level, 4 not finite, or
        the residual grows with 30 halvings of the step (the best point is
        returned), 6 time limit.

    Raises
    ------
    ValueError
        A wrong shape, NaN in x0, unknown names, a method for sums without
        `n_components`, constants that are not positive, a prob outside (0, 1].
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    See Also
    --------
    minimax : The same from the two gradients of a saddle function.
    vr_halpern, inexact_halpern : All options of these methods.

    Notes
    -----
    Where the residual grows a hundredfold, the step is halved and the run goes on
    from its best point. x0 need not lie in C; nobody looks whether C is empty.
    Memory: four to eight vectors.

    References
    ----------
    .. [1] X. Cai, A. Alacaoglu, J. Diakonikolas, Variance reduced Halpern iteration
       for finite-sum monotone inclusions, ICLR 2024, arXiv:2310.02987.
    .. [2] A. Alacaoglu, Y. Malitsky, Stochastic variance reduction for variational
       inequality methods, COLT 2022, arXiv:2102.08352.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> from refopt.proximal import project_nonneg
    >>> M = np.array([[2.0, 1.0], [-1.0, 1.0]])
    >>> res = refopt.solve_vi(lambda u: M @ u - [1.0, 1.0], [0.0, 0.0], prox=project_nonneg)
    >>> res.success, [round(float(v), 4) for v in res.x]
    (True, [0.0, 1.0])
    """
    _validate.choice(method, "method", ("auto", *_METHODS, *_ANCHORED))
    return _solve(
        fun, x0, prox=prox, method=method, cocoercive=cocoercive, n_components=n_components,
        L=L, step=step, prob=prob, sampling=sampling, anchor=anchor, restart=restart, tol=tol,
        rtol=rtol, maxiter=maxiter, maxfev=maxfev, time_limit=time_limit, callback=callback,
        disp=disp, rng=rng, backend=backend,
    )  # fmt: skip


def _solve(
    fun, x0, *, prox, method, cocoercive, n_components, L, step, prob, sampling, anchor,
    restart, rng, backend, **budget,
):  # fmt: skip
    if not isinstance(step, str):
        step = _validate.positive(step, "step")
    elif step not in ("fixed", "adaptive"):
        raise ValueError(f"step must be 'fixed', 'adaptive' or a number, got {step!r}")
    _validate.choice(cocoercive, "cocoercive", (None, True))
    rng = _rng.generator(rng)
    problem, u = take_problem(fun, x0, prox, n_components, backend)
    law = law_of_components(problem, sampling)
    anchor, restart = anchor_of(anchor, None), restart_rule(restart)
    detail = ""
    if method == "auto":
        method = _choose(problem, u, L, law, cocoercive)
        detail = f"The method is {method}."
    if method in _ANCHORED:
        number = None if isinstance(step, str) else step
        options = {"step": number, "prob": prob} if method == "vr-halpern" else {"eta": number}
        res = _ANCHORED[method](
            fun, x0, prox=prox, n_components=n_components, L=L, sampling=sampling, anchor=anchor,
            restart=restart, rng=rng, backend=backend, **options, **budget,
        )  # fmt: skip
        res.method = method
        return res
    if method in _DETERMINISTIC:
        limit, known = _DETERMINISTIC[method], True
        if isinstance(step, str):
            L, known = constants(problem, u, L, None)
        eta = limit / L if isinstance(step, str) else step
        adaptive = step == "adaptive"
        size = Step(eta, limit, adaptive or (step == "fixed" and not known), adaptive)
        run: Any = _METHODS[method]
        if method == "eag":
            size.grows = False  # the anchor belongs to one map
            run = functools.partial(run, anchor=anchor or classical_anchor, restart=restart)
    else:
        finite_sum(problem, f"method {method!r}")
        coins, draws = streams(rng)
        indices = index_stream(problem, law, draws, u.dtype)
        if isinstance(step, str):
            L, _ = constants(problem, u, L, law, cocoercive=method == "l-svrg")
        p = 1.0 / problem.n if prob is None else probability(prob)
        eta = _stochastic_step(method, p) / L if isinstance(step, str) else step
        size = Step(eta, math.inf)
        run = functools.partial(_METHODS[method], p=p, indices=indices, coins=coins)
    res = solve(problem, u, run, size, L, detail=detail, **budget)
    res.method = method
    return res


def _stochastic_step(method, p):
    """The longest step that was seen to be stable on games, times L: VR-EG's theory."""
    return {
        "vr-eg": 0.99 * math.sqrt(p),
        "vr-forb": 0.99 * math.sqrt(p * (1.0 - p)) if p < 1 else 0.5,
        "l-svrg": 0.25,
    }[method]


def _choose(problem, u, L, law, cocoercive):
    """The method for "auto"."""
    summed = not isinstance(problem.operator, Whole)
    if cocoercive:
        return "l-svrg" if summed else "forward"
    if not summed:
        return "eag"
    average, _ = constants(problem, u, L, law)  # first: where it measures, it measures both
    whole, _ = constants(problem, u, None, None)
    return "vr-eg" if math.sqrt(problem.n) * whole > _BREAK_EVEN * average else "eag"


def minimax(
    grad_x,
    grad_y,
    x0,
    y0,
    *,
    prox_x=None,
    prox_y=None,
    method="auto",
    cocoercive=None,
    n_components=None,
    L=None,
    step="fixed",
    prob=None,
    sampling="importance",
    anchor=None,
    restart="adaptive",
    tol=1e-6,
    rtol=0.0,
    maxiter=100_000,
    maxfev=1000,
    time_limit=None,
    callback=None,
    disp=False,
    rng=None,
    backend=None,
):
    r"""Solve a convex-concave saddle point problem from its two gradients.

    .. math:: \min_x \max_y \; \phi(x, y) + g(x) - h(y)

    by `solve_vi` with :math:`F(x, y) = (\nabla_x \phi, -\nabla_y \phi)`.

    Stops when, with u = (x, y) and J the two proximal maps,

    .. math:: r(u) = \|u - J(u - F(u))\| \le \mathrm{tol} + \mathrm{rtol} \cdot r(u_0) .

    Parameters
    ----------
    grad_x, grad_y : callable
        ``grad_x(x, y)``, the gradient by x, and ``grad_y(x, y)``. With
        `n_components` ``grad_x(x, y, index)``, the mean over an array of indices,
        over all for ``index=None``.
    x0 : array_like, shape (n,)
        Start of x.
    y0 : array_like, shape (m,)
        Start of y.
    prox_x, prox_y : callable, optional
        Projections or proximal maps of g and h; see `refopt.proximal`.
    method, cocoercive, n_components, L, step, prob, sampling, anchor, restart : optional
        As for `solve_vi`.
    tol, rtol, maxiter, maxfev, time_limit : optional
        As for `solve_vi`.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, y, fun, residual, nfev, nit.
        StopIteration ends the run.
    disp, rng, backend : optional
        As for `solve_vi`.

    Returns
    -------
    OptimizeResult
        ``x`` and ``y``, and otherwise as of `solve_vi`.

    Raises
    ------
    ValueError
        As `solve_vi`.
    TypeError
        As `solve_vi`; a gradient cannot be called.

    See Also
    --------
    solve_vi : The methods.

    Notes
    -----
    An evaluation of F is one call of both gradients.

    References
    ----------
    .. [1] X. Cai, A. Alacaoglu, J. Diakonikolas, Variance reduced Halpern iteration
       for finite-sum monotone inclusions, ICLR 2024, arXiv:2310.02987.

    Examples
    --------
    >>> import refopt
    >>> res = refopt.minimax(lambda x, y: x + y, lambda x, y: x - y - 2.0, [1.0], [1.0])
    >>> res.success, [round(float(v), 4) for v in (res.x[0], res.y[0])]
    (True, [1.0, -1.0])
    """
    for gradient, name in ((grad_x, "grad_x"), (grad_y, "grad_y")):
        if not callable(gradient):
            raise TypeError(f"{name} must be callable, got {type(gradient).__name__}")
    _validate.choice(method, "method", ("auto", *_METHODS, *_ANCHORED))
    xp, x, y = _two_parts(x0, y0, backend)
    n = x.shape[0]

    def fun(u, *index):
        x, y = u[:n], u[n:]
        parts = grad_x(x, y, *index), grad_y(x, y, *index)
        named = zip(("grad_x", "grad_y"), parts, (x, y), strict=True)
        down, up = (_like(xp, value, part, name) for name, value, part in named)
        return xp.concat([down, -up])

    def components(u, index):
        return fun(u, index)

    call: Any = fun if n_components is None else components
    call.items = lambda u: {
        "x": xp.asarray(u[:n], copy=True), "y": xp.asarray(u[n:], copy=True)
    }  # fmt: skip
    proxes = [(slice(0, n), prox_x), (slice(n, n + y.shape[0]), prox_y)]
    given = [(where, prox) for where, prox in proxes if prox is not None]
    return _solve(
        call, xp.concat([x, y]),
        prox=Product(given) if given else None, method=method, cocoercive=cocoercive,
        n_components=n_components, L=L, step=step, prob=prob, sampling=sampling, anchor=anchor,
        restart=restart, rng=rng, backend=backend, tol=tol, rtol=rtol, maxiter=maxiter,
        maxfev=maxfev, time_limit=time_limit, callback=callback, disp=disp,
    )  # fmt: skip


def _two_parts(x0, y0, backend):
    from refopt_backends import resolve

    x0, y0 = _validate.as_array(x0, "x0"), _validate.as_array(y0, "y0")
    xp, _ = resolve(x0, y0, backend=backend, names=("x0", "y0"), small=True)
    parts = []
    for value, name in ((x0, "x0"), (y0, "y0")):
        value = _validate.all_finite(xp, _validate.real_array(xp, value, name, 1), name)
        if value.shape[0] == 0:
            raise ValueError(f"{name} must have at least one entry, got none")
        parts.append(value)
    return xp, *parts


def _like(xp, value, part, name):
    value = _validate.as_array(value, f"the value of {name}")
    if tuple(value.shape) != tuple(part.shape):
        raise ValueError(
            f"{name} must return an array of shape {tuple(part.shape)}, got {tuple(value.shape)}"
        )
    return xp.asarray(value, dtype=part.dtype)
