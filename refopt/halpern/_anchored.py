"""The paper's two algorithms as users call them."""

import functools
import math

from refopt import _validate
from refopt.halpern._inexact import (
    GivenSolver,
    LooplessSVRG,
    VarianceReducedForwardReflected,
    classical_anchor,
    inexact_resolvent,
    theory_steps,
)
from refopt.halpern._intake import (
    anchor_of,
    batch_count,
    constants,
    finite_sum,
    index_stream,
    law_of_components,
    probability,
    take_problem,
)
from refopt.halpern._page import anchored_page, paper_anchor, paper_batch, paper_probability
from refopt.halpern._restart import restart_rule
from refopt.halpern._result import solve
from refopt.halpern._sampling import streams
from refopt.halpern._step import Step

_THEORY_STEP = 0.25  # of Algorithm 1, over L
_THEORY_FACTOR = 0.5  # of sqrt(p (1 - p)) / (eta L + 1), the inner solver's step
# Tuned on the paper's two experiments and sums of rows, see docs/theory/halpern.md.
_INNER_FACTOR = 2.0
_FRACTION = 0.2  # inner steps over n log(k + 2)


def vr_halpern(
    fun,
    x0,
    *,
    prox=None,
    n_components=None,
    L=None,
    step=None,
    batch_size=None,
    prob=None,
    sampling="importance",
    anchor=None,
    restart="adaptive",
    preset=None,
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
    r"""Variance-reduced Halpern iteration for a mean of cocoercive components.

    .. math::
        0 \in F(u) + G(u), \qquad F(u) = \frac1n \sum_{i=1}^n F_i(u), \qquad
        \frac1n \sum_i \|F_i(u) - F_i(v)\|^2 \le L \langle F(u) - F(v), u - v\rangle

    With J the resolvent of G and batches :math:`B_k` of components,

    .. math::
        u_{k+1} = J_{\eta G}(\lambda_k u_0 + (1 - \lambda_k) u_k - \eta g_k), \qquad
        g_k = \begin{cases} F(u_k) & \text{with probability } p_k \\
        g_{k-1} + \frac1b \sum_{i \in B_k} (F_i(u_k) - F_i(u_{k-1})) & \text{else}
        \end{cases}

    Stops when, at a point where F is known,

    .. math:: r(u) \le \mathrm{tol} + \mathrm{rtol} \cdot r(u_0), \qquad
        r(u) = \|u - J_G(u - F(u))\| \;(= \|F(u)\| \text{ without } G).

    Parameters
    ----------
    fun : FiniteSumOperator or callable
        An operator of `refopt.halpern`; or ``fun(u, index)``, the mean of
        :math:`F_i(u)` over an array of indices, over all for ``index=None``; or
        ``fun(u, i, out)``, which writes one component (if compiled by Numba, so
        are the loops over it). Functions need `n_components`.
    x0 : array_like, shape (d,)
        Start and anchor.
    prox : callable, optional
        ``prox(v)``, a projection, or ``prox(v, t)``, the resolvent
        :math:`(I + tG)^{-1}`, its t without a default; see `refopt.proximal`. No G by
        default.
    n_components : int, optional
        The n of a function.
    L : float or "estimate", optional
        The constant above: of the components on average, which is larger than
        the Lipschitz constant of F, up to :math:`\sqrt n` times. By default the
        operator's own, else estimated along a few displacements.
    step : float, optional
        The step :math:`\eta`; 1/L by default, 1/(4L) in the theory.
    batch_size : int, optional
        The number b; by default the integer part of :math:`\sqrt n`.
    prob : float, optional
        A constant p; by default 1 for k <= 1, then
        :math:`\max(4/(k+4), 4/(\sqrt n+5))`.
    sampling : {"importance", "uniform"} or array_like, shape (n,), optional
        Law of the components: the operator's weights (uniform if it has none),
        equal, or given. Uniform batches have no component twice.
    anchor : callable, optional
        ``anchor(k)``; 2/(k + 4) by default, k counted from the last restart.
    restart : {"adaptive", None} or int, optional
        Make the present point the new anchor: if the residual has fallen to a
        fifth, or to 0.8 and grows again, or after half of all steps; never; or
        after so many steps.
    preset : {None, "paper"}, optional
        "paper": step 1/(4L) and no restart.
    tol, rtol : float, optional
        See above. The residual is in units of F.
    maxiter : int, optional
        Largest number of iterations; an iteration leads to the next full evaluation.
    maxfev : float, optional
        Largest number of component evaluations over n; a step with a batch counts 2b.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, fun, residual, nfev, nit.
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    rng : None, int or numpy.random.Generator, optional
        Coins and batches, drawn on the host: the same run on every backend.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    OptimizeResult
        ``x``, ``fun`` and ``residual`` (recomputed at x), ``gap`` (of games on
        two simplices, NaN outside them, else None), ``success``, ``status``, ``message``, ``nit``,
        ``nstep`` (steps k), ``nfev`` (``ncomp / n``), ``ncomp`` (component
        evaluations), ``nrestart``, ``step`` (the last one), ``L``, ``backend``,
        ``history`` (time, fun, residual, nfev, nstep, restart, step, gap).
        ``status``: 0 converged, 1 maxiter or maxfev, 2 stopped by the callback,
        3 stalled at rounding level, 4 not finite, or the residual grows with 30
        halvings of the step (the best point is returned), 6 time limit.

    Raises
    ------
    ValueError
        A wrong shape, NaN in x0, no `n_components`, constants that are not
        positive, a batch_size outside 1..n, a prob outside (0, 1], sampling
        weights that are negative or zero where a component is not, unknown names.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    See Also
    --------
    inexact_halpern : For operators that are Lipschitz only.
    solve_vi : Other methods, often faster; the theory page says when.

    Notes
    -----
    Where the residual grows a hundredfold, the step is halved and the run goes on
    from its best point. A step costs :math:`2\sqrt n` components and, for late k,
    a full evaluation every :math:`\sqrt n/4` steps. Memory: six vectors. Bilinear
    games are not cocoercive: the method may stall on them.

    References
    ----------
    .. [1] X. Cai, A. Alacaoglu, J. Diakonikolas, Variance reduced Halpern iteration
       for finite-sum monotone inclusions, ICLR 2024, arXiv:2310.02987, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> a = np.random.default_rng(0).standard_normal((400, 5))
    >>> F = refopt.halpern.RowLinear(a, p=a @ np.ones(5))
    >>> res = refopt.vr_halpern(F, np.zeros(5), rng=0)
    >>> res.success, bool(np.allclose(res.x, 1.0, atol=1e-5))
    (True, True)
    """
    _validate.choice(preset, "preset", (None, "paper"))
    problem, u = take_problem(fun, x0, prox, n_components, backend)
    finite_sum(problem, "vr_halpern")
    if preset == "paper":
        restart = None
    law = law_of_components(problem, sampling)
    coins, draws = streams(rng)
    indices = index_stream(problem, law, draws, u.dtype)
    anchor, restart = anchor_of(anchor, paper_anchor), restart_rule(restart)
    smallest = min(indices.sizes)
    batch = min(paper_batch(problem.n), smallest)
    batch = batch if batch_size is None else batch_count(batch_size, smallest)
    if prob is None:
        chance = paper_probability(problem.n)
    else:
        constant = probability(prob)
        chance = lambda k: constant
    if problem.n == 1 or (indices.uniform and batch == problem.n):
        chance = lambda k: 1.0  # a batch of all is F itself, at twice the cost
    step = None if step is None else _validate.positive(step, "step")
    if step is None:
        L, _ = constants(problem, u, L, law, cocoercive=True)
        step = (_THEORY_STEP if preset == "paper" else 1.0) / L
    method = functools.partial(
        anchored_page, anchor=anchor, probability=chance, batch=batch, indices=indices,
        coins=coins, restart=restart,
    )  # fmt: skip
    return solve(
        problem, u, method, Step(step, math.inf), L, tol=tol, rtol=rtol, maxiter=maxiter,
        maxfev=maxfev, time_limit=time_limit, callback=callback, disp=disp,
    )  # fmt: skip


def inexact_halpern(
    fun,
    x0,
    *,
    eta=None,
    inner="vr-forb",
    inner_maxiter=None,
    prox=None,
    n_components=None,
    L=None,
    step=None,
    sampling="importance",
    anchor=None,
    restart="adaptive",
    preset=None,
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
    r"""Halpern iteration on an inexact resolvent, for a mean of Lipschitz components.

    .. math::
        0 \in F(u) + G(u), \qquad F = \frac1n \sum_{i=1}^n F_i \text{ monotone}, \qquad
        \mathrm{E}_i \|F_i(u) - F_i(v)\|^2 \le L^2 \|u - v\|^2

    .. math::
        u_{k+1} = \lambda_k u_0 + (1 - \lambda_k) v_k, \qquad
        v_k \approx (I + \eta (F + G))^{-1}(u_k), \quad \lambda_k = \frac1{k+2}

    where :math:`v_k` comes from a fixed number of steps of a variance-reduced method.

    Stops when, at a point :math:`u_k`,

    .. math:: r(u) \le \mathrm{tol} + \mathrm{rtol} \cdot r(u_0), \qquad
        r(u) = \|u - J_G(u - F(u))\| \;(= \|F(u)\| \text{ without } G).

    Parameters
    ----------
    fun : FiniteSumOperator or callable
        As for `vr_halpern`.
    x0 : array_like, shape (d,)
        Start and anchor.
    eta : float, optional
        The resolvent's parameter: n/L by default, :math:`\sqrt n / L` with
        ``preset="paper"``.
    inner : {"vr-forb", "l-svrg"} or callable, optional
        Variance-reduced forward-reflected-backward; loopless SVRG, for
        cocoercive F; or ``inner(u, g, eta, k)``, which returns :math:`v_k` from
        u, g = F(u).
    inner_maxiter : int, float or callable, optional
        Inner steps of "vr-forb": a float is the factor of :math:`n \log(k + 2)`,
        an int a number, a callable ``M(k)``; by default the factor 0.2, with
        ``preset="paper"`` the theory's
        :math:`42 (n + \sqrt n (\eta L + 1)) \log(19 (k + 2))`.
        Of "l-svrg": the number of snapshots, 1 by default.
    prox : callable, optional
        As for `vr_halpern`.
    n_components : int, optional
        The n of a function.
    L : float or "estimate", optional
        The constant above; by default the operator's own, else estimated.
    step : float, optional
        The inner step of "vr-forb" as a factor of
        :math:`\sqrt{p(1-p)}/(\eta L + 1)`, p = 1/n; 2 by default, 1/2 in theory
        and with ``preset="paper"``.
    sampling : {"importance", "uniform"} or array_like, shape (n,), optional
        Law of the components.
    anchor : callable, optional
        ``anchor(k)``; 1/(k + 2) by default, k counted from the last restart.
    restart : {"adaptive", None} or int, optional
        As for `vr_halpern`, but after a third of all steps.
    preset : {None, "paper"}, optional
        "paper": the theory's parameters and no restart.
    tol, rtol : float, optional
        See above. The residual is in units of F.
    maxiter : int, optional
        Largest number of outer steps.
    maxfev : float, optional
        Largest number of component evaluations over n; an inner step counts 2, a
        move of its snapshot n.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, fun, residual, nfev, nit.
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    rng : None, int or numpy.random.Generator, optional
        Coins and indices, drawn on the host.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    OptimizeResult
        As of `vr_halpern`; ``nstep`` counts inner steps.

    Raises
    ------
    ValueError
        As `vr_halpern`; an unknown `inner`.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    See Also
    --------
    vr_halpern : For cocoercive components.

    Notes
    -----
    The snapshot of the inner method moves to its newest point, as in the paper; in
    the authors' scripts it never moves. Memory: eight vectors.

    References
    ----------
    .. [1] X. Cai, A. Alacaoglu, J. Diakonikolas, Variance reduced Halpern iteration
       for finite-sum monotone inclusions, ICLR 2024, arXiv:2310.02987, Algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> F = refopt.halpern.AffineVI(np.array([[0.0, 1.0], [-1.0, 0.0]]), [0.0, 1.0])
    >>> res = refopt.inexact_halpern(F, np.zeros(2), rng=0)
    >>> res.success, bool(np.allclose(res.x, [1.0, 0.0], atol=1e-5))
    (True, True)
    """
    _validate.choice(preset, "preset", (None, "paper"))
    if not callable(inner):
        _validate.choice(inner, "inner", ("vr-forb", "l-svrg"))
    problem, u = take_problem(fun, x0, prox, n_components, backend)
    if not callable(inner):
        finite_sum(problem, "inexact_halpern")
    n, law = problem.n, law_of_components(problem, sampling)
    if preset == "paper":
        restart = None
    coins, draws = streams(rng)
    indices = index_stream(problem, law, draws, u.dtype)
    L, _ = constants(problem, u, L, law, cocoercive=inner == "l-svrg")
    if eta is None:
        eta = (math.sqrt(n) if preset == "paper" else n) / L
    eta = _validate.positive(eta, "eta")
    factor = _THEORY_FACTOR if preset == "paper" else _INNER_FACTOR
    factor = factor if step is None else _validate.positive(step, "step")
    if callable(inner):
        solver = GivenSolver(inner)
    elif inner == "l-svrg":
        count = 1 if inner_maxiter is None else inner_maxiter
        snapshots = _validate.count(count, "inner_maxiter", least=1)
        solver = LooplessSVRG(snapshots, L, indices, coins)
    else:
        steps = _inner_steps(inner_maxiter, preset, n, eta, L)
        solver = VarianceReducedForwardReflected(steps, L, factor, eta, indices, coins)
    method = functools.partial(
        inexact_resolvent, anchor=anchor_of(anchor, classical_anchor), inner=solver,
        restart=restart_rule(restart),
    )  # fmt: skip
    return solve(
        problem, u, method, Step(eta, math.inf), L, tol=tol, rtol=rtol, maxiter=maxiter,
        maxfev=maxfev, time_limit=time_limit, callback=callback, disp=disp,
    )  # fmt: skip


def _inner_steps(inner_maxiter, preset, n, eta, L):
    """The number of inner steps as a function of k."""
    if callable(inner_maxiter):
        return inner_maxiter
    if inner_maxiter is None and preset == "paper":
        return theory_steps(n, eta, L)
    if inner_maxiter is None or isinstance(inner_maxiter, float):
        share = _FRACTION if inner_maxiter is None else inner_maxiter
        factor = _validate.positive(share, "inner_maxiter")
        return lambda k: max(1, math.floor(factor * n * math.log(k + 2.0)))
    number = _validate.count(inner_maxiter, "inner_maxiter", least=1)
    return lambda k: number
