"""Block coordinate descent: the paper's general loop."""

import copy
import dataclasses
import math
from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _rng, _status, _validate
from refopt._driver import Iterate, run
from refopt.block_coordinate import _updates_proximal, _updates_smooth
from refopt.block_coordinate._block import Effort, replaced
from refopt.block_coordinate._combinations import (
    check_combination,
    check_names,
    resolve_update,
)
from refopt.block_coordinate._partitions import forests_given, make_partition
from refopt.block_coordinate._result import build
from refopt.block_coordinate._selection import Selector
from refopt.block_coordinate._start import usable
from refopt.block_coordinate.problems import Problem
from refopt.penalties import L1, Box
from refopt_backends import resolve

_FRESH = 50  # iterations after which z = A x is computed anew
_IDLE_ROUNDS = 5  # rounds without any change after which a run has stalled
_PROGRESS = 0.99  # what the error must fall to
_SINGLE_TOL = 1e-6


def minimize_bcd(
    problem,
    x0=None,
    *,
    partition="variable",
    selection="gs-q",
    update="auto",
    block_size=None,
    diag="lipschitz",
    tol=1e-8,
    maxiter=1000,
    callback=None,
    disp=False,
    time_limit=None,
    rng=None,
    backend=None,
    history=True,
):
    r"""Block coordinate descent, with every rule of the paper by its name.

    .. math:: \min_x \; F(x) = f(x) + \sum_i h_i(x_i)

    with a smooth convex f and h from l1 terms and bounds, as `LeastSquares`,
    `Logistic`, `Softmax`, `Quadratic` and `SVMDual` describe them. One
    iteration selects a block b of coordinates and changes only them,
    :math:`x_b \leftarrow x_b + d`; F never increases. This is the text to read
    and to experiment with; `lasso` and its kin are the fast solvers.

    Stops when, with the best dual value D found so far,

    .. math:: F(x) - D \le \mathrm{tol} \cdot F(0)

    for problems with a dual, and otherwise when

    .. math:: \max_i \mathrm{dist}(-\nabla_i f(x), \partial h_i(x_i))
              \le \mathrm{tol} \cdot
              \max_i \mathrm{dist}(-\nabla_i f(0), \partial h_i(0)) .

    (For 0, the nearest point within the bounds; for `SVMDual` and `Quadratic`
    the gap there instead of F(0).)

    Parameters
    ----------
    problem : Problem
        See above.
    x0 : array_like, shape of the problem's x, optional
        Start, projected on the bounds; 0 by default.
    partition : str, array_like of int or list of arrays, optional
        "variable": any `block_size` coordinates, chosen anew every time. Fixed
        chunks of the coordinates: "order" as they are, "sort" by
        :math:`L_i`, "average" the largest :math:`L_i` beside the smallest,
        "sort-h" and "average-h" by the row sums :math:`\sum_j|H_{ij}|`. For a
        sparse `Quadratic`: "red-black" (blocks without edges), "tree"
        (forests), "greedy-tree" (a new forest every time, nodes visited by
        their scores), "random-tree". Or a label for each coordinate, or blocks.
    selection : str, optional
        Any problem: "cyclic", "permuted-cyclic", "random", "lipschitz"
        (probabilities :math:`L_b/\sum L`), "gs-q", "gs-r", "gs-s". Without l1
        and bounds also "gs" :math:`\|g_b\|`, "gsl" :math:`\|g_b\|^2/L_b`,
        "gsd" :math:`\sum_b g_i^2/D_i`, "gsq" :math:`g_b^T H_b^{-1} g_b`, for
        fixed blocks "mi" (the largest decrease), for variable ones "gsq-omp".
        See `select_block`.
    update : str, optional
        Without l1 and bounds: "gradient" :math:`-g_b/L_b`, "backtracking",
        "matrix" :math:`-H_b^{-1}g_b`, "newton" with a line search, "cubic",
        "exact" (quadratics), "message-passing" (forests). With them:
        "prox-gradient", "prox-newton" (the block's model exactly),
        "two-metric" (a projected Newton step). "auto" is message-passing for
        forests, exact for quadratics, newton for other smooth problems,
        prox-newton with l1 and two-metric with bounds.
    block_size : int, optional
        Coordinates per block; 5, or all if there are fewer.
    diag : {"lipschitz", "row-sum"}, optional
        The D of "gsd": block size times :math:`L_i`, or the row sums, which
        cost all of A'A once.
    tol : float, optional
        See above.
    maxiter : int, optional
        Largest number of block updates.
    callback : callable, optional
        ``callback(intermediate_result)`` with x, fun, gap or kkt, nit.
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    time_limit : float, optional
        Seconds.
    rng : None, int or numpy.random.Generator, optional
        For the random rules.
    backend : str, optional
        See `refopt_backends.resolve`; that of the problem by default.
    history : bool, optional
        Whether the result has one.

    Returns
    -------
    OptimizeResult
        ``x``, ``fun``, ``success``, ``status``, ``message``, ``nit``, ``nfev``
        (values of f), ``njev`` (full gradients), ``nbev`` (block updates),
        ``nchol`` (factorisations), ``gap`` (relative; None without a dual),
        ``kkt`` (the distance above, absolute), ``active`` (coordinates at a
        kink or bound), ``nit_active`` (the last iteration that changed them),
        ``backend`` and ``history``: time, fun, gap or kkt, nnz, block_size.
        Rules that need no gradient measure gap and kkt once per round.
        ``status``: 0 converged, 1 maxiter, 2 stopped by the callback, 3
        stalled, 4 non-finite numbers, 5 unbounded (also separable data without
        a penalty), 6 time limit.

    Raises
    ------
    ValueError
        Unknown names, names that do not combine (with the reason), a block
        size below 1 or above the number of coordinates, blocks that are not
        disjoint and complete, an x0 of wrong shape, NaN.
    TypeError
        No problem object, complex numbers.
    numpy.linalg.LinAlgError
        Message passing with a matrix that is not positive definite.

    See Also
    --------
    select_block : The selection rules by themselves.
    identify_active_set : What a prox step says about the solution.

    Notes
    -----
    A greedy rule costs a full gradient per iteration (one pass over A; of
    quadratics it is kept), other rules a pass over the block's columns. Memory
    beyond A: some vectors; of fixed blocks their H_b with "gsq" and matrix
    updates. z = A x is computed anew every 50 iterations and before a run is
    called converged. float32 problems are computed in float64 and get at least
    tol 1e-6.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster: faster greedy rules, message-passing, active-set
       complexity, and superlinear convergence, JMLR 23(131), 2022.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> rng = np.random.default_rng(0)
    >>> A, b = rng.standard_normal((50, 200)), rng.standard_normal(50)
    >>> problem = refopt.block_coordinate.LeastSquares(A, b, l1=10.0)
    >>> res = refopt.minimize_bcd(problem, update="prox-newton", block_size=20)
    >>> res.success, bool(res.gap <= 1e-8)
    (True, True)
    >>> bool(np.all(res.x[res.active] == 0.0))
    True
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"problem must be a problem object, got {type(problem).__name__}")
    check_names(selection, update, diag)
    tol, maxiter = _validate.nonnegative(tol, "tol"), _validate.count(maxiter, "maxiter")
    disp = _validate.display(disp)
    problem = copy.copy(problem.model)
    problem.effort = Effort()
    if backend is not None:
        _, problem.kernels = resolve(
            problem.coordinate_lipschitz, backend=backend, names=("the matrix of problem",)
        )
    blocks = make_partition(problem, partition, block_size)
    update = resolve_update(problem, blocks, update)
    if update == "message-passing" and not blocks.forest and not blocks.variable:
        blocks = forests_given(problem, blocks)
    check_combination(problem, blocks, partition, selection, update)
    selector = Selector(problem, blocks, selection, diag, _rng.generator(rng))
    detail = ""
    if problem.dtype == problem.xp.float32 and tol < _SINGLE_TOL:
        tol, detail = _SINGLE_TOL, f"Single precision: tol is {_SINGLE_TOL:g}."
    measure = Measure(problem, tol)
    trace = Trace()
    algorithm = block_coordinate_descent(
        problem, _start(problem, x0), selector, _step(update, problem), measure, trace
    )
    outcome = run(
        algorithm, tol=tol, maxiter=maxiter, callback=callback, view=measure.view, disp=disp,
        time_limit=time_limit, measure=measure.name,
    )  # fmt: skip
    return _finish(problem, outcome, measure, trace, tol, detail, history)


def block_coordinate_descent(problem, x, selector, update, measure, trace):
    """The loop: select a block, update it, carry z = A x and the gradient along.

    Parameters
    ----------
    problem : Problem
    x : array
        Start.
    selector : Selector
    update : callable
        BlockPoint -> new values of the block.
    measure : Measure
    trace : Trace
    """
    xp, effort = problem.xp, problem.effort
    x, bounded = _settle_linear(problem, x)
    z = problem.state(x)
    g = problem.gradient(x, z)
    effort.gradients += 1
    error, kkt = measure(x, z, g)
    yield measure.iterate(x, z, error, kkt, 0)
    if not bounded:
        return _status.INFEASIBLE, "F decreases without bound along a coordinate."
    if selector.count == 0 or not bool(xp.any(problem.coordinate_lipschitz > 0)):
        return _status.STALLED, ""
    nit, idle, age = 0, 0, 0
    while True:
        nit += 1
        block = selector.choose(x, z, g if selector.needs_gradient else None)
        point = block.at(x, z, g if selector.needs_gradient else None)
        new = update(point)
        d = new - point.x
        moved = bool(xp.any(d != 0))
        if moved:
            if bool(xp.any(block.penalty.active(new) != block.penalty.active(point.x))):
                trace.nit_active = nit
            x, z = replaced(xp, x, block.index, new), z + point.product(d)
            age += 1
        effort.updates += 1
        idle = 0 if moved else idle + 1
        stuck = idle >= (1 if selector.greedy else _IDLE_ROUNDS * selector.count)
        if age >= _FRESH or (stuck and age):
            z, age = problem.state(x), 0
            stuck = False
        if selector.needs_gradient or nit % selector.count == 0 or stuck:
            g = problem.gradient(x, z)
            effort.gradients += 1
            error, kkt = measure(x, z, g)
            if age and error <= measure.tol:
                z, age = problem.state(x), 0
                g = problem.gradient(x, z)
                effort.gradients += 1
                error, kkt = measure(x, z, g)
        iterate = measure.iterate(x, z, error, kkt, block.index.shape[0])
        yield iterate
        if stuck or trace.idles(nit, iterate, _FRESH * 2 + _IDLE_ROUNDS * selector.count):
            return _status.STALLED, ""


@dataclasses.dataclass
class Trace:
    """What a run notes: the last change of the active set, the last progress."""

    nit_active: int = 0
    progress: int = 0
    fun: float = math.inf
    error: float = math.inf

    def idles(self, nit: int, iterate: Iterate, patience: int) -> bool:
        """Whether neither F nor the error has fallen for so many iterations."""
        if iterate.fun < self.fun or iterate.error < _PROGRESS * self.error:
            self.progress = nit
        self.fun, self.error = min(self.fun, iterate.fun), min(self.error, iterate.error)
        return nit - self.progress >= patience


class Measure:
    """The stopping measure: relative gap with the best dual value so far, else relative KKT."""

    def __init__(self, problem, tol=0.0):
        self.problem = problem
        self.name = "gap" if problem.has_dual else "kkt"
        self.best_dual = -math.inf
        self.scale = problem.gap_scale() if problem.has_dual else self._kkt_scale()
        self.tol = tol

    def _kkt_scale(self):
        problem = self.problem
        x = problem.start()
        g = problem.gradient(x, problem.state(x))
        return self.kkt(x, g) or 1.0

    def kkt(self, x: Any, g: Any) -> float:
        """max_i dist(-g_i, dh_i(x_i))."""
        if x.shape[0] == 0:
            return 0.0
        return float(self.problem.xp.max(self.problem.penalty.distance(x, g)))

    def __call__(self, x: Any, z: Any, g: Any) -> tuple[float, float]:
        """Error and KKT residual at a point."""
        problem, kkt = self.problem, self.kkt(x, g)
        if self.name == "kkt":
            return kkt / self.scale, kkt
        dual = problem.dual_value(x, z, g)
        if dual is not None and math.isfinite(dual):
            self.best_dual = max(self.best_dual, dual)
        fun = problem.smooth(x, z) + problem.penalty.value(x)
        return max(0.0, fun - self.best_dual) / self.scale, kkt

    def iterate(self, x: Any, z: Any, error: float, kkt: float, size: int) -> Iterate:
        """A point as the driver sees it."""
        problem, xp = self.problem, self.problem.xp
        problem.effort.evaluations += 1
        fun = problem.smooth(x, z) + problem.penalty.value(x)
        record: dict[str, float] = {
            "nnz": int(xp.sum(xp.astype(x != 0, xp.int64))),
            "block_size": size,
        }
        if self.name == "gap":
            record["kkt"] = kkt
        return Iterate(x, fun, error, record)

    def view(self, iterate: Iterate, nit: int) -> OptimizeResult:
        """A point as the callback sees it."""
        x = self.problem.xp.asarray(iterate.x, copy=True)
        x = self.problem.xp.reshape(x, self.problem.shape)
        certified = self.name == "gap"
        kkt = iterate.record["kkt"] if certified else iterate.error * self.scale
        gap = iterate.error if certified else None
        return OptimizeResult(x=x, fun=iterate.fun, gap=gap, kkt=kkt, nit=nit)


def _step(name, problem):
    """The update of a name."""
    smooth, proximal = _updates_smooth, _updates_proximal
    return {
        "gradient": smooth.gradient,
        "backtracking": smooth.Backtracking(problem),
        "matrix": smooth.matrix,
        "newton": smooth.newton,
        "cubic": smooth.cubic,
        "exact": smooth.matrix,  # the Hessian of a quadratic is its own bound
        "message-passing": smooth.matrix,
        "prox-gradient": proximal.prox_gradient,
        "prox-newton": proximal.prox_newton,
        "two-metric": proximal.two_metric,
    }[name]


def _start(problem, x0):
    if x0 is None:
        return problem.start()
    x = usable(problem.xp, _validate.all_finite(problem.xp, problem.flat(x0, "x0"), "x0"))
    return problem.penalty.project(x) if isinstance(problem.penalty, Box) else x


def _settle_linear(problem, x):
    """x with the coordinates in which f is linear at their best; False if there is none."""
    xp = problem.xp
    linear = xp.nonzero(problem.coordinate_lipschitz == 0)[0]
    if linear.shape[0] == 0:
        return x, True
    g = problem.gradient(x, problem.state(x))[linear]
    h, t = problem.penalty.take(linear), x[linear]
    zero = xp.zeros_like(t)
    if isinstance(h, Box):
        lower, upper, slope = h.face(t, g)
        G = g + slope
        t = xp.where(G > 0, lower, xp.where(G < 0, upper, t))
    elif isinstance(h, L1):
        weights = zero + h.weights
        t = xp.where(xp.abs(g) > weights, zero + math.inf, xp.where(weights > 0, zero, t))
    else:
        t = xp.where(g == 0, t, zero + math.inf)
    if not bool(xp.all(xp.isfinite(t))):
        return x, False
    return replaced(xp, x, linear, t), True


def _finish(problem, outcome, measure, trace, tol, detail, history):
    """The result, everything recomputed from the x that is returned."""
    xp = problem.xp
    given = xp.astype(outcome.best.x, problem.dtype, copy=True)
    x = xp.astype(given, xp.float64)
    z = problem.state(x)
    g = problem.gradient(x, z)
    problem.effort.gradients += 1
    error, kkt = measure(x, z, g)
    if problem.separates(z):
        detail = "The data are separable: without a penalty F has no minimiser."
        outcome = dataclasses.replace(outcome, status=_status.INFEASIBLE, detail="")
    words = "duality gap / F(0)" if measure.name == "gap" else "relative KKT residual"
    effort = problem.effort
    return build(
        outcome,
        x=xp.reshape(given, problem.shape),
        fun=problem.smooth(x, z) + problem.penalty.value(x),
        error=error,
        tol=tol,
        words=words,
        backend=problem.kernels.name,
        detail=detail,
        history=history,
        nfev=effort.evaluations,
        njev=effort.gradients,
        nbev=effort.updates,
        nchol=effort.factors,
        gap=error if measure.name == "gap" else None,
        kkt=kkt,
        active=xp.reshape(problem.penalty.active(x), problem.shape),
        nit_active=trace.nit_active,
    )
