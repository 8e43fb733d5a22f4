"""What the user gets of a solution of the convex program."""

from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _status
from refopt.convex_relu._master import Master
from refopt.convex_relu._recovery import network


def gap_kind(method: str, everything: bool, attack: tuple | None) -> str:
    """What the gap bounds."""
    if attack:
        return "robust-sampled"
    if method == "gated":
        return "gated"
    return "global-exact" if everything else "sampled"


def result(
    xp: Any, kernels: Any, problem: tuple, master: Master, D: Any, G: Any, tol: float,
    single: bool, kind: str,
) -> OptimizeResult:  # fmt: skip
    """The result, everything recomputed from the arrays that are returned."""
    X, y, beta, loss = problem
    W1, w2 = network(xp, master.V.T, master.W.T)
    x = xp.stack([master.V, master.W])
    if single:
        x, W1, w2 = (xp.astype(a, xp.float32) for a in (x, W1, w2))
    hidden = X @ xp.astype(W1, xp.float64)
    active = xp.maximum(hidden, xp.zeros_like(hidden))
    decay = float(xp.sum(W1 * W1)) + float(xp.sum(w2 * w2))
    fun = loss.value(active @ xp.astype(w2, xp.float64), y) + 0.5 * beta * decay
    if kind == "robust-sampled":
        fun = master.value
    violation = 0.0
    if D.shape[1]:
        S = 2 * xp.astype(D, xp.float64) - 1
        violation = max(0.0, *(-float(xp.min(S * (X @ U))) for U in (master.V, master.W)))
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
        violation=violation,
        patterns=D,
        gates=G,
        r=master.r,
        multipliers=master.multipliers,
        success=status == _status.CONVERGED,
        status=status,
        message=_status.message(
            status, measure=f"relative gap ({kind})", error=gap, tol=tol, detail=detail
        ),
        nit=outcome.nit,
        nfev=outcome.nit,
        history=outcome.history,
        backend=kernels.name,
    )
