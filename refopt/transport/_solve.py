"""The two solvers as users call them."""

import dataclasses
import math

from refopt import _validate
from refopt.transport._dual_newton import Dual, sparse_newton_sinkhorn
from refopt.transport._newton import Effort, Options, schedule, semidual_newton
from refopt.transport._problem import TransportProblem
from refopt.transport._result import finish, run
from refopt.transport._semidual import SemiDual
from refopt.transport._sinkhorn import sinkhorn_iteration

_LEAST_RATIO = 1.01
_PAPER_WARMUP = 20
_PAPER_CG = 2000  # the paper's systems are solved to 1e-8, in some hundred steps each
_SAFETY = 0.9  # room for rounding between the error met on the way and the recomputed one


def sinkhorn(
    C,
    a=None,
    b=None,
    *,
    reg,
    tol=1e-9,
    maxiter=10_000,
    x0=None,
    eps_scaling="auto",
    check_every=1,
    time_limit=None,
    callback=None,
    disp=False,
    backend=None,
):
    r"""Entropic optimal transport by matrix scaling in the log domain.

    .. math::
        \min_{P \ge 0} \; \langle P, C\rangle - \mathrm{reg}\, H(P)
        \quad\text{s.t.}\quad P 1 = a, \; P^T 1 = b,
        \qquad H(P) = \sum_{ij} P_{ij} (1 - \log P_{ij})

    The plan is :math:`P_{ij} = \exp((f_i + g_j - C_{ij})/\mathrm{reg})`. The
    method cannot over- or underflow at any `reg`, but needs very many
    iterations where `reg` is small; `sinkhorn_newton` is the solver to use.

    Stops when

    .. math:: \|P 1 - a\|_1 + \|P^T 1 - b\|_1 \le \mathrm{tol} \cdot \textstyle\sum a .

    Parameters
    ----------
    C : array_like, shape (n, m), or PointCloudCost
        Cost. ``+inf`` forbids a pair. Never scaled: `reg` is absolute.
    a : array_like, shape (n,), optional
        Row masses, nonnegative; uniform by default. The sums of a and b must
        agree, whatever they are. Rows without mass are dropped and get
        ``f = -inf``.
    b : array_like, shape (m,), optional
        Column masses.
    reg : float
        Regularisation in the units of `C`, positive.
    tol : float, optional
        Largest marginal error, relative to the mass.
    maxiter : int, optional
        Largest number of iterations, all stages of `eps_scaling` together.
    x0 : array_like, shape (n + m,), optional
        Start, as ``x`` of an earlier result. Its g part is used; the iteration
        then starts at `reg` itself.
    eps_scaling : {"auto", None} or float, optional
        Begin with a larger regularisation and divide it by this ratio (2.5 for
        "auto") down to `reg`.
    check_every : int, optional
        Serve callback, display and clock every so many iterations.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, f, g, fun, marginal_error,
        reg, nit. StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    TransportResult
        An `scipy.optimize.OptimizeResult` with ``x`` (f and g concatenated),
        ``f``, ``g`` (with ``sum(b * g) = 0``), ``fun`` (the dual value),
        ``cost`` (``<P, C>``), ``marginal_error``, ``success``, ``status``,
        ``message``, ``nit``, ``nfev`` (passes over all pairs), ``history``
        (time, fun, marginal_error, reg), ``backend``, ``reg``, and the
        properties ``primal`` and ``gap``. `transport_plan` makes the plan.
        ``status``: 0 converged, 1 maxiter, 2 stopped by the callback, 3 stalled,
        4 non-finite numbers, 5 infeasible forbidden pairs,
        6 time limit.

    Raises
    ------
    ValueError
        Wrong shapes, masses that are negative, not finite, zero in sum or
        unequal in sum, a `reg` that is not positive, NaN or -inf in C, a row or
        column with mass but without a finite cost, an x0 of wrong length.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    See Also
    --------
    sinkhorn_newton : The default solver.

    Notes
    -----
    One iteration is one read of C with one exponential per entry, O(n m), and
    five vectors of memory. Accepts float32 costs, computes in float64.

    References
    ----------
    .. [1] M. Cuturi, Sinkhorn distances: lightspeed computation of optimal
       transport, NeurIPS 2013, arXiv:1306.0895.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> C = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> res = refopt.sinkhorn(C, reg=0.5)
    >>> res.success
    True
    >>> P = refopt.transport_plan(res)
    >>> bool(abs(P[0, 0] - 0.5 / (1 + np.exp(-2))) < 1e-9)
    True
    """
    problem, tol, maxiter, g = _intake(C, a, b, reg, tol, maxiter, x0, None, backend)
    check_every = _validate.count(check_every, "check_every", least=1)
    stages = _stages(problem, g, tol, eps_scaling)
    dual, effort = SemiDual(problem), Effort()
    g = problem.xp.zeros_like(problem.b) if g is None else g
    algorithm = sinkhorn_iteration(dual, g, stages, effort)
    outcome = run(
        problem, algorithm, tol=_SAFETY * tol, maxiter=maxiter, callback=callback, disp=disp,
        time_limit=time_limit, check_every=check_every,
    )  # fmt: skip
    return finish(problem, outcome, effort, tol, dual.npasses)


def sinkhorn_newton(
    C,
    a=None,
    b=None,
    *,
    reg,
    tol=1e-9,
    maxiter=500,
    preset=None,
    formulation="semidual",
    warmup=None,
    sparsify="safe",
    density=None,
    threshold=0.03,
    linsolve="auto",
    cg_maxiter=400,
    eps_scaling="auto",
    prior=None,
    x0=None,
    time_limit=None,
    callback=None,
    disp=False,
    backend=None,
):
    r"""Entropic optimal transport by sparse Newton iterations.

    .. math::
        \min_{P \ge 0} \; \langle P, C\rangle - \mathrm{reg}\, H(P)
        \quad\text{s.t.}\quad P 1 = a, \; P^T 1 = b,
        \qquad H(P) = \sum_{ij} P_{ij} (1 - \log P_{ij})

    The plan is :math:`P_{ij} = \exp((f_i + g_j - C_{ij})/\mathrm{reg})`. The
    default method maximises the concave semi-dual
    :math:`F(g) = \langle a, f(g)\rangle + \langle b, g\rangle`, whose pass is a
    Sinkhorn half-step, by damped Newton steps with a sparsified Hessian, from
    a large regularisation down to `reg`.

    Stops when

    .. math:: \|P 1 - a\|_1 + \|P^T 1 - b\|_1 \le \mathrm{tol} \cdot \textstyle\sum a .

    Parameters
    ----------
    C : array_like, shape (n, m), or PointCloudCost
        Cost. ``+inf`` forbids a pair. Never scaled: `reg` is absolute.
    a : array_like, shape (n,), optional
        Row masses, nonnegative; uniform by default. The sums of a and b must
        agree, whatever they are. Rows without mass are dropped and get
        ``f = -inf``.
    b : array_like, shape (m,), optional
        Column masses.
    reg : float
        Regularisation in the units of `C`, positive. Small means near to
        unregularised transport: 1e-3 of the largest cost is common.
    tol : float, optional
        Largest marginal error, relative to the mass.
    maxiter : int, optional
        Largest number of iterations, Newton and Sinkhorn together.
    preset : {None, "paper"}, optional
        "paper" is the published algorithm: ``formulation="dual"``,
        ``sparsify="topk"``, ``warmup=20``, ``eps_scaling=None``.
    formulation : {"semidual", "dual"}, optional
        Newton on g alone, or on f and g.
    warmup : int, optional
        Sinkhorn iterations before Newton: per stage for the semi-dual
        (default 1), in all for the dual (default 20).
    sparsify : {"safe", "topk", "none"}, optional
        Which entries of the plan enter the Hessian. "safe": those above
        ``th * min(a_i, b_j)`` with ``th = threshold * error``; what is dropped
        goes to the diagonal. "topk": the largest ones. "none": all.
    density : float, optional
        Share of the n m entries that "topk" keeps; default four per row, which
        reproduces the iteration counts that the paper reports for 2/n.
    threshold : float, optional
        Of "safe".
    linsolve : {"auto", "cg", "dense"}, optional
        Conjugate gradients with the diagonal as preconditioner, or Cholesky of
        the dense m x m matrix. "auto" factorises where m <= 64 and where
        conjugate gradients reach `cg_maxiter` (up to m = 6000).
    cg_maxiter : int, optional
        Largest number of conjugate gradient steps in one system; for
        ``formulation="dual"`` with ``linsolve="auto"`` at least 2000.
    eps_scaling : {"auto", None} or float, optional
        Begin with the regularisation ``0.05 * (max C - min C)``, or
        ``1e5 * reg`` if that is less, and divide it
        by this ratio (2.5 for "auto") down to `reg`.
    prior : array_like, shape (n, m), optional
        Replace ``-H(P)`` by ``KL(P | prior)``. Zero forbids a pair. Forms the
        cost ``C - reg log(prior)``.
    x0 : array_like, shape (n + m,), optional
        Start, as ``x`` of an earlier result. The semi-dual uses its g part
        only, and starts at `reg` itself.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        ``callback(intermediate_result)`` after every iteration, with x, f, g,
        fun, marginal_error, reg, nit. StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    backend : str, optional
        See `refopt_backends.resolve`. By default NumPy arrays run on compiled
        kernels (problems of up to 4096 pairs on NumPy), CuPy arrays on CuPy.

    Returns
    -------
    TransportResult
        An `scipy.optimize.OptimizeResult` with ``x`` (f and g concatenated),
        ``f``, ``g`` (with ``sum(b * g) = 0``), ``fun`` (the dual value),
        ``cost`` (``<P, C>``), ``marginal_error`` (recomputed from f and g with
        a pass over all pairs), ``success``, ``status``, ``message``, ``nit``,
        ``nfev`` (passes over all pairs), ``nnewton``, ``nsinkhorn``, ``ncg``,
        ``nfactor``, ``density`` (of the last Hessian), ``backend``, ``reg``,
        ``history`` (time, fun, marginal_error, reg, alpha, nnz, dropped, ncg,
        kind: 0 start, 1 Sinkhorn, 2 Newton), and the properties ``primal`` and
        ``gap``. `transport_plan` makes the plan. ``status``: 0 converged,
        1 maxiter, 2 stopped by the callback, 3 stalled,
        4 non-finite numbers, 5 infeasible forbidden pairs, 6 time limit.

    Raises
    ------
    ValueError
        Wrong shapes, masses that are negative, not finite, zero in sum or
        unequal in sum, a `reg` that is not positive, NaN or -inf in C, a row or
        column with mass but without a finite cost, an x0 of wrong length,
        an unknown option.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    See Also
    --------
    sinkhorn : Plain matrix scaling.
    sinkhorn_divergence : The debiased distance between two point clouds.
    transport_plan, plan_matvec, round_to_polytope, ot_gradients

    Notes
    -----
    A pass costs one exponential per pair, a Newton step also its conjugate
    gradients on the kept entries. Memory beyond C: some vectors and 20 bytes
    per kept entry, of which a `PointCloudCost` keeps at most 12 million.
    float32 costs are read as they are and the computation is in float64;
    the rounding of the cost itself limits what such an answer means.
    The result refers to a matrix C, which is not copied: `transport_plan`,
    ``gap`` and the like read it again. The points of a `PointCloudCost` are
    copied.

    References
    ----------
    .. [1] X. Tang, M. Shavlovsky, H. Rahmanian, E. Tardini, K. K.
       Thekumparampil, T. Xiao, L. Ying, Accelerating Sinkhorn algorithm with
       sparse Newton iterations, ICLR 2024, arXiv:2401.12253. Its algorithm is
       ``preset="paper"``.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.random((300, 2)), rng.random((200, 2))
    >>> C = refopt.PointCloudCost(X, Y)
    >>> res = refopt.sinkhorn_newton(C, reg=1e-3)
    >>> res.success, bool(res.marginal_error <= 1e-9)
    (True, True)
    """
    _validate.choice(preset, "preset", (None, "paper"))
    if preset == "paper":
        formulation, sparsify, eps_scaling = "dual", "topk", None
    _validate.choice(formulation, "formulation", ("semidual", "dual"))
    paper = formulation == "dual"
    if warmup is None:
        warmup = _PAPER_WARMUP if paper else 1
    options = Options(
        threshold=_validate.positive(threshold, "threshold"),
        sparsify=_validate.choice(sparsify, "sparsify", ("safe", "topk", "none")),
        density=_share(density),
        linsolve=_validate.choice(linsolve, "linsolve", ("auto", "cg", "dense")),
        cg_maxiter=_validate.count(cg_maxiter, "cg_maxiter", least=1),
        warmup=_validate.count(warmup, "warmup"),
    )
    problem, tol, maxiter, g = _intake(C, a, b, reg, tol, maxiter, x0, prior, backend)
    stages = _stages(problem, g, tol, eps_scaling)
    g = problem.xp.zeros_like(problem.b) if g is None else g
    effort = Effort()
    if paper:
        dual = Dual(problem)
        if linsolve == "auto":
            options = dataclasses.replace(options, cg_maxiter=max(cg_maxiter, _PAPER_CG))
        algorithm = sparse_newton_sinkhorn(dual, g, options, effort)
    else:
        dual = SemiDual(problem)
        algorithm = semidual_newton(dual, g, stages, options, effort)
    outcome = run(
        problem, algorithm, tol=_SAFETY * tol, maxiter=maxiter, callback=callback, disp=disp,
        time_limit=time_limit,
    )  # fmt: skip
    return finish(problem, outcome, effort, tol, dual.npasses)


def _intake(C, a, b, reg, tol, maxiter, x0, prior, backend):
    problem = TransportProblem(C, a, b, reg, prior=prior, backend=backend)
    tol = _validate.nonnegative(tol, "tol")
    return problem, tol, _validate.count(maxiter, "maxiter"), problem.start(x0)


def _share(density):
    if density is None:
        return None
    density = _validate.positive(density, "density")
    if density > 1:
        raise ValueError(f"density must be at most 1, the share of all entries, got {density}")
    return density


def _stages(problem, g, tol, eps_scaling):
    """The ladder of regularisations; none for a warm start or a trivial problem."""
    if not (eps_scaling is None or eps_scaling == "auto"):
        eps_scaling = _validate.real_number(eps_scaling, "eps_scaling")
        if not (math.isfinite(eps_scaling) and eps_scaling >= _LEAST_RATIO):
            raise ValueError(
                f'eps_scaling must be "auto", None or a ratio of at least {_LEAST_RATIO}, '
                f"got {eps_scaling!r}"
            )
    if g is not None or problem.b.shape[0] == 1:
        eps_scaling = None
    return schedule(problem.reg, problem.cost.spread, tol, eps_scaling)
