"""From refinement to what the user gets."""

from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _driver, _status
from refopt.convex_relu._network import balanced_objective
from refopt.convex_relu._program import LOSSES
from refopt.convex_relu._refine import refine


def fit_refined(X, y, patterns, *, beta, loss, rounds, tol, m_init, rng, kernels, single,
                **driver):  # fmt: skip
    """`fit_convex_relu` with refinement, of arguments that are checked.

    Parameters
    ----------
    X, y : ndarray
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
    if single:
        W1, w2 = W1.astype(np.float32), w2.astype(np.float32)
    fun = balanced_objective(X, y, np.asarray(W1, float), np.asarray(w2, float), beta,
                             LOSSES[loss]())  # fmt: skip
    gap = max(0.0, fun - state.lower_bound) / fun if fun > 0 else 0.0
    kind = "global-exact" if state.exact else "heuristic"
    status = outcome.status
    if status == _status.CONVERGED and gap > tol:
        status = _status.STALLED
    master: Any = state.master
    n, d = X.shape
    return OptimizeResult(
        x=np.zeros((2, d, 0)) if master is None else np.stack([master.V, master.W]),
        W1=W1, w2=w2, fun=fun,
        fun_convex=None if master is None else master.value,
        dual=None if master is None else master.dual,
        gap=gap, gap_kind=kind, lower_bound=state.lower_bound, psi=state.psi,
        patterns=np.zeros((n, 0), bool) if master is None else state.solved, gates=None,
        r=state.r, success=status == _status.CONVERGED, status=status,
        message=_status.message(
            status, measure=f"relative gap ({kind})", error=gap, tol=tol, detail=outcome.detail
        ),
        nit=outcome.nit, n_rounds=outcome.nit, history=outcome.history, backend=kernels.name,
    )  # fmt: skip


def _view(iterate, nit):
    state = iterate.x
    return OptimizeResult(
        W1=state.W1.copy(), w2=state.w2.copy(), fun=state.net, lower_bound=state.lower_bound,
        gap=state.gap, psi=state.psi, nit=nit,
    )  # fmt: skip
