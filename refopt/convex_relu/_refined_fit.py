"""From refinement to what the user gets."""

from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _driver, _status
from refopt.convex_relu._gates import on_host
from refopt.convex_relu._network import balanced_objective
from refopt.convex_relu._program import LOSSES
from refopt.convex_relu._recovery import fewest
from refopt.convex_relu._refine import refine
from refopt.convex_relu._result import gap_measure, largest_violation
from refopt_backends import namespace_of


def fit_refined(X, y, patterns, *, beta, loss, rounds, tol, m_init, rng, kernels, single, prune,
                start=None, **driver):  # fmt: skip
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
    prune : bool
        Whether neurons of dependent outputs are joined.
    start : Start, optional
        Whose network and dual point refinement begins with.
    **driver
        For `_driver.run`.

    Returns
    -------
    OptimizeResult
    """
    network, slopes = (None, None) if start is None else (start.network, start.r)
    outcome = _driver.run(
        refine(X, y, beta=beta, loss=loss, tol=tol, kernels=kernels, rng=rng, m_init=m_init,
               patterns=patterns, network=network, slopes=slopes),
        tol=tol, maxiter=rounds, measure="gap", view=_view, **driver,
    )  # fmt: skip
    state = outcome.best.x
    W1, w2 = state.W1, state.w2
    xp = namespace_of(X)
    if prune:
        W1, w2 = fewest(xp, X, W1, w2)
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
    history = outcome.history
    if master is None:
        x, D = _columns(X, first, second)
        fun_convex, dual = fun, None
    else:
        x, D = xp.stack([master.V, master.W]), state.solved
        fun_convex, dual = master.value, master.dual
    if single:
        x = xp.astype(x, xp.float32)
    rounds = [
        {key: float(history[key][k]) for key in ("P", "net", "lower_bound", "psi")}
        for k in range(1, outcome.nit + 1)
    ]
    return OptimizeResult(
        x=x, W1=W1, w2=w2, fun=fun, fun_convex=fun_convex, dual=dual,
        gap=gap, gap_kind=kind, lower_bound=state.lower_bound, psi=state.psi,
        violation=largest_violation(X, D, x), patterns=D, gates=None, r=state.r, multipliers=None,
        success=status == _status.CONVERGED, status=status,
        message=_status.message(
            status, measure=gap_measure(kind), error=gap, tol=tol, detail=outcome.detail
        ),
        nit=outcome.nit, nfev=int(history["steps"].sum()), n_rounds=outcome.nit, rounds=rounds,
        rho=None, history=history, backend=kernels.name,
    )  # fmt: skip


def _columns(X, W1, w2):
    """The network as columns of the program over its own patterns: x and the patterns."""
    xp = namespace_of(X)
    U = W1 * xp.abs(w2)
    D, place = np.unique(on_host(X @ W1 > 0), axis=1, return_inverse=True)
    each = xp.asarray(np.arange(D.shape[1]) == place.reshape(-1, 1), dtype=xp.float64)
    zero = xp.zeros_like(U)
    V, W = xp.where(w2 > 0, U, zero) @ each, xp.where(w2 < 0, U, zero) @ each
    return xp.stack([V, W]), xp.asarray(D)


def _view(iterate, nit):
    state = iterate.x
    xp = namespace_of(state.W1)
    master = state.master
    x = xp.zeros((2, *state.W1.shape)) if master is None else xp.stack([master.V, master.W])
    return OptimizeResult(
        x=x, W1=xp.asarray(state.W1, copy=True), w2=xp.asarray(state.w2, copy=True), fun=state.net,
        lower_bound=state.lower_bound, gap=state.gap, psi=state.psi, nit=nit,
    )  # fmt: skip
