"""What the solvers of this family return."""

from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _status


def build(
    outcome: Any,
    *,
    x: Any,
    fun: float,
    error: float,
    tol: float,
    words: str,
    backend: str,
    detail: str = "",
    history: bool = True,
    **fields: Any,
) -> OptimizeResult:
    """The result of a run, its success judged by the recomputed error.

    Parameters
    ----------
    outcome : Outcome
        Of the driver.
    x, fun
        What is returned, and its objective.
    error : float
        The stopping measure recomputed on x: the relative gap, or the KKT
        residual relative to that of the start.
    tol : float
    words : str
        What `error` measures, for the message.
    backend : str
    detail : str
        A sentence to add to the message.
    history : bool
    **fields
        Further items: gap, kkt, active, nit_active, njev, nbev, nchol, intercept...

    Returns
    -------
    OptimizeResult
    """
    status = outcome.status
    reached = error <= tol
    if status == _status.CONVERGED and not reached:
        status = _status.STALLED
    elif reached and status in (_status.MAXITER, _status.STALLED, _status.TIME_LIMIT):
        status = _status.CONVERGED
    detail = " ".join(text for text in (outcome.detail, detail) if text)
    return OptimizeResult(
        x=x,
        fun=float(fun),
        success=status == _status.CONVERGED,
        status=status,
        message=_status.message(status, measure=words, error=error, tol=tol, detail=detail),
        nit=outcome.nit,
        history=outcome.history if history else {},
        backend=backend,
        **fields,
    )
