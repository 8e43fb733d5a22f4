"""From refinement to what the user gets."""

from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _driver, _status
from refopt.convex_relu._network import balanced_objective
from refopt.convex_relu._program import LOSSES
from refopt.convex_relu._refine import refine
from refopt_backends import namespace_of


def fit_refined(X, y, patterns, *, beta, loss, rounds, tol, m_init, rng, kernels, single,
                **driver):  # fmt: skip
    """`fit_convex_relu` with refinement, of arguments that are checked.

    Parameters
    ----------
    X, y : array
        In double precision.
    patterns : bool array, shape (n, P) or None
        Patterns to begin with, besides those of the trained network.
    beta, loss, tol, m_init
        See `fit_convex_relu`.
    rounds : int
        Largest number of rounds.
    rng : Generator
    kernels : KernelTable
    single : bool
        Whether weights are returned in single precision.
    **driver
        For `_driver.run`.

    Returns
    -------
    OptimizeResult
    """
    outcome = _driver.run(
        refine(X, y, beta=beta, loss=loss, tol=tol, kernels=kernels, rng=rng, m_init=m_init,
               patterns=patterns),
        tol=tol, maxiter=rounds, measure="gap", view=_view, **driver,
    )  # fmt: skip
    state = outcome.best.x
    W1, w2 = state.W1, state.w2
    xp = namespace_of(X)
    if single:
        W1, w2 = xp.astype(W1, xp.float32), xp.astype(w2, xp.float32)
    first, second = (xp.astype(W, xp.float64) for W in (W1, w2))
    fun = balanced_objective(X, y, first, second, beta, LOSSES[loss]())
    gap = max(0.0, fun - state.lower_bound) / fun if fun > 0 else 0.0
    kind = "global-exact" if state.exact else "heuristic"
    status = outcome.status
    if status == _status.CONVERGED and gap > tol:
        status = _status.STALLED
    master: Any = state.master
    n, d = X.shape
    return OptimizeResult(
        x=xp.zeros((2, d, 0)) if master is None else xp.stack([master.V, master.W]),
        W1=W1, w2=w2, fun=fun,
        fun_convex=None if master is None else master.value,
        dual=None if master is None else master.dual,
        gap=gap, gap_kind=kind, lower_bound=state.lower_bound, psi=state.psi,
        patterns=xp.zeros((n, 0), dtype=xp.bool) if master is None else state.solved, gates=None,
        r=state.r, success=status == _status.CONVERGED, status=status,
        message=_status.message(
            status, measure=f"relative gap ({kind})", error=gap, tol=tol, detail=outcome.detail
        ),
        nit=outcome.nit, n_rounds=outcome.nit, history=outcome.history, backend=kernels.name,
    )  # fmt: skip


def _view(iterate, nit):
    state = iterate.x
    xp = namespace_of(state.W1)
    return OptimizeResult(
        W1=xp.asarray(state.W1, copy=True), w2=xp.asarray(state.w2, copy=True), fun=state.net,
        lower_bound=state.lower_bound, gap=state.gap, psi=state.psi, nit=nit,
    )  # fmt: skip
