"""What the user gets of a solution of the convex program."""

from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _status
from refopt.convex_relu._master import Master
from refopt.convex_relu._network import balanced_objective
from refopt.convex_relu._recovery import fewest, network
from refopt_backends import namespace_of


def gap_kind(method: str, everything: bool, attack: tuple | None) -> str:
    """What the gap bounds."""
    if attack:
        return "robust-sampled"
    if method == "gated":
        return "gated"
    return "global-exact" if everything else "sampled"


def gap_measure(kind: str) -> str:
    """What messages call the gap."""
    return f"relative gap ({kind}{', an estimate' if kind == 'heuristic' else ''})"


def largest_violation(X: Any, D: Any, x: Any) -> float:
    """Of the cones' inequalities at x (2, d, P)."""
    xp = namespace_of(X)
    S = 2 * xp.astype(D, xp.float64) - 1
    sides = (xp.astype(x[side, :, :], xp.float64) for side in (0, 1))
    return max(0.0, *(-float(xp.min(S * (X @ U))) for U in sides)) if S.size else 0.0


def result(
    xp: Any, kernels: Any, problem: tuple, master: Master, D: Any, G: Any, tol: float,
    single: bool, kind: str, rho: float | None = None,
    prune: bool = False,
) -> OptimizeResult:  # fmt: skip
    """The result, everything recomputed from the arrays that are returned."""
    X, y, beta, loss = problem
    W1, w2 = network(xp, master.V.T, master.W.T)
    if prune:
        W1, w2 = fewest(xp, X, W1, w2)
    x = xp.stack([master.V, master.W])
    if single:
        x, W1, w2 = (xp.astype(a, xp.float32) for a in (x, W1, w2))
    first, second = (xp.astype(W, xp.float64) for W in (W1, w2))
    fun = balanced_objective(X, y, first, second, beta, loss)
    if kind == "robust-sampled":
        fun = master.value
    outcome, gap, status = master.outcome, master.gap, master.outcome.status
    if gap <= tol and status in (_status.MAXITER, _status.STALLED, _status.TIME_LIMIT):
        status = _status.CONVERGED
    elif status == _status.CONVERGED and gap > tol:
        status = _status.STALLED
    detail = outcome.detail
    if D.shape[1] == 0:
        detail = "No pattern has an active sample: the network is zero."
    return OptimizeResult(
        x=x,
        W1=W1,
        w2=w2,
        fun=fun,
        fun_convex=master.value,
        dual=master.dual,
        gap=gap,
        gap_kind=kind,
        lower_bound=master.dual if kind == "global-exact" else None,
        violation=largest_violation(X, D, x),
        patterns=D,
        gates=G,
        r=master.r,
        multipliers=master.multipliers,
        success=status == _status.CONVERGED,
        status=status,
        message=_status.message(
            status, measure=gap_measure(kind), error=gap, tol=tol, detail=detail
        ),
        nit=outcome.nit,
        nfev=outcome.nit,
        psi=None,
        n_rounds=0,
        rounds=[],
        rho=rho,
        history=outcome.history,
        backend=kernels.name,
    )


def rescaled(res: OptimizeResult, scale: float) -> OptimizeResult:
    """The result for features that were divided by `scale`, a power of four."""
    if scale != 1:
        root = scale**0.5
        res.x, res.W1, res.w2 = res.x / scale, res.W1 / root, res.w2 / root
        res.psi = None if res.psi is None else res.psi * scale
        res.rho = None if res.rho is None else res.rho * scale**2
    return res
