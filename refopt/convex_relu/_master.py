"""The convex program over given patterns: what `fit_convex_relu` and refinement both solve."""

from dataclasses import dataclass
from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _driver
from refopt.convex_relu import _cones, _warm_start
from refopt.convex_relu._admm import admm
from refopt.convex_relu._interior_point import interior_point, relative_gap
from refopt.convex_relu._paper_admm import paper_admm
from refopt.convex_relu._program import LOSSES, Program, columns
from refopt.convex_relu._rbcd import BlockDescent
from refopt.convex_relu._recovery import pruned
from refopt.convex_relu._robust import robust_directions, robust_interior_point
from refopt.convex_relu._u_steps import U_STEPS
from refopt_backends import resolve

_FACTORISED = (
    6_000  # size of a system up to which a step of the interior point method is affordable
)
_WOODBURY = 2_000  # samples up to which a product with an n x n matrix is, if columns are more


@dataclass(frozen=True)
class Master:
    """A solution of the convex program.

    Attributes
    ----------
    V, W : array, shape (d, P)
        Columns within their cones, zero where a side is not allowed.
    z : array, shape (n,)
        The prediction.
    r : array, shape (n,)
        The dual point, in the domain of f*; close to the gradient of f at z.
    multipliers : array, shape (2, n, P)
        Of the cones' inequalities, nonnegative.
    value, dual : float
        Upper and lower bound of the program's optimum.
    outcome : Outcome
        Of the driver.
    """

    V: Any
    W: Any
    z: Any
    r: Any
    multipliers: Any
    value: float
    dual: float
    outcome: _driver.Outcome

    @property
    def gap(self):
        """(value - dual)/value."""
        return relative_gap(self.value, self.dual)


def solve_program(
    X, y, patterns, *, beta, loss="squared", sides=None, strict=False, method="auto", tol=1e-6,
    maxiter=1000, time_limit=None, backend=None, callback=None, disp=False, splitting=None,
    attack=None, start=None,
):  # fmt: skip
    """Solve the convex program over patterns.

    Parameters
    ----------
    X : array, shape (n, d)
        In double precision.
    y : array, shape (n,)
    patterns : bool array, shape (n, P)
        Those whose cone has no interior are not used, or refused if `strict`.
    beta : float
    loss : {"squared", "logistic", "hinge"}
    sides : bool array, shape (2, P), optional
        Whether pattern i has a column v_i, and whether it has w_i; both by default.
    strict : bool
        See `patterns`.
    tol : float
        Of the relative gap.
    method : {"auto", "interior-point", "admm"}
        The interior point method by default, up to `_FACTORISED` samples, or as many
        patterns times features.
    maxiter : int
        Factorisations, or checks of the iteration of alternating directions.
    time_limit : float, optional
        Seconds.
    backend : str, optional
        As everywhere.
    splitting : dict, optional
        Options of `admm`, or with ``gamma_ratio`` of `paper_admm`.
    attack : (epsilon, p, on), optional
        Perturbations to train against, see `robust_interior_point`; patterns without room
        for them are left out.
    start : Start, optional
        A point over the same patterns to begin with; not with an attack.
    callback, disp
        For `_driver.run`; a callback sees x (2, d, P), fun, dual, gap, nit.

    Returns
    -------
    Master
    """
    xp, kernels = resolve(X, y, patterns, backend=backend)
    if method == "auto":
        size = min(X.shape[0], X.shape[1] * patterns.shape[1])
        method = "interior-point" if size <= _FACTORISED else "admm"
    keep = xp.nonzero(xp.any(X != 0, axis=1))[0]
    drop = xp.nonzero(~xp.any(X != 0, axis=1))[0]
    g, used = _cones.usable_patterns(xp, X, patterns, strict)
    if attack:  # under which samples of zeros matter
        keep, drop = xp.arange(X.shape[0]), keep[:0]
        g = robust_directions(xp, X, patterns.T, *attack)
        used = used & xp.any(g != 0, axis=1)
    masks = xp.take(patterns.T, keep, axis=1)
    f, rows = LOSSES[loss](), xp.take(X, keep, axis=0)
    sides = xp.ones((2, masks.shape[0]), dtype=bool) if sides is None else sides
    of, sign = columns(xp, sides & used)
    constant = f.value(xp.zeros(drop.shape[0]), y[drop])
    program = Program(xp, kernels, rows, y[keep], float(beta), f, masks, of, sign, constant)

    def view(iterate, nit):
        x = xp.permute_dims(program.split(iterate.x[0]), (0, 2, 1))
        dual = iterate.record["dual"]
        return OptimizeResult(x=x, fun=iterate.fun, dual=dual, gap=iterate.error, nit=nit)

    idle = start is None or not keep.shape[0]
    given = None if idle else _warm_start.point(program, g, start, keep)
    splitting = dict(splitting or {})
    if given is not None and method == "admm" and "gamma_ratio" not in splitting:
        splitting["start"] = given
        splitting["rho"] = splitting.get("rho") or start.rho
    outcome = _driver.run(
        _iterates(program, g, method, splitting, attack, given), tol=tol, maxiter=maxiter,
        time_limit=time_limit, measure="gap", callback=callback, disp=disp, view=view,
    )  # fmt: skip
    return _solution(program, outcome, keep, X.shape[0], y, attack)


def _iterates(program, directions, method, splitting, attack, given):
    """The zero network if that is optimal, else the method."""
    xp, (C, n, d) = program.xp, program.size
    zero, U = xp.zeros(n), xp.zeros((C, d))
    r = program.loss.gradient(zero, program.y)
    value, dual = program.value(U, zero), program.dual_value(r, program.pull(r))
    gap = relative_gap(value, dual)
    if gap <= 1e-15:
        point = U, zero, r, xp.zeros((C, n))
        record = {"dual": dual, "mu": 0.0}
        if method == "admm":
            record |= {"net": value, "primal_residual": 0.0, "dual_residual": 0.0}
        yield _driver.Iterate(x=point, fun=value, error=0.0, record=record)
        return 0, "The zero network is optimal."
    if attack:
        return (yield from robust_interior_point(program, directions, *attack))
    if method == "interior-point":
        iterates = interior_point(program, directions)
    else:
        iterates = _splitting(program, directions, **splitting)
    if given is not None:
        iterates = _warm_start.no_worse(program, given, iterates)
    return (yield from iterates)


def _splitting(program, directions, u_solver="auto", **options):
    """Alternating directions, the paper's if they have the step of its duals."""
    C, n, _ = program.size
    if "gamma_ratio" in options:
        name = "woodbury" if u_solver == "auto" else u_solver
        step = BlockDescent if name == "rbcd" else U_STEPS[name]
        return paper_admm(program, directions, step, **options)
    if u_solver == "auto":
        u_solver = "woodbury" if n <= min(C, _WOODBURY) else "sylvester"
    return admm(program, directions, U_STEPS[u_solver], **options)


def _solution(program, outcome, keep, n, y, attack):
    """Everything by samples and patterns again, bounds recomputed."""
    xp = program.xp
    U, _, r, A = outcome.best.x
    if not attack:
        U = pruned(xp, U, lambda U: program.value(U, program.predict(U @ program.X.T)))
    XU = U @ program.X.T
    value = program.value(U, program.predict(XU))
    dual = program.dual_value(r, program.pull(r) - program.pull_cone(A))
    if attack:  # evaluated where the loss's worst case is known
        value, dual = outcome.best.fun, outcome.best.record["dual"]
    V, W = program.split(U)
    z, slope = xp.zeros(n), program.loss.gradient(xp.zeros(n), y)
    z[keep], slope[keep] = program.predict(XU), r
    by_pattern = xp.zeros((2, program.masks.shape[0], n))
    for side, sigma in enumerate((1.0, -1.0)):
        mine = xp.nonzero(program.sign == sigma)[0]
        rows = xp.zeros((mine.shape[0], n))
        rows[:, keep] = A[mine, :]
        by_pattern[side, program.of[mine], :] = rows
    multipliers = xp.permute_dims(by_pattern, (0, 2, 1))
    return Master(V.T, W.T, z, slope, multipliers, value, dual, outcome)
