"""The one table from status codes to messages."""

CONVERGED = 0
MAXITER = 1
CALLBACK_STOP = 2
STALLED = 3
BREAKDOWN = 4
INFEASIBLE = 5
TIME_LIMIT = 6

# Codes from 7 up belong to single families: equality-constrained problems.
LINE_SEARCH = 7
SINGULAR = 8

MESSAGES = {
    CONVERGED: "Converged: {measure} {error:.3g} <= tol {tol:.3g}.",
    MAXITER: "The iteration limit was reached: {measure} {error:.3g} > tol {tol:.3g}.",
    CALLBACK_STOP: "The callback stopped the iteration: {measure} {error:.3g}.",
    STALLED: "Stalled, no step brings progress: {measure} {error:.3g} > tol {tol:.3g}.",
    BREAKDOWN: "Non-finite numbers were met; the best finite iterate has {measure} {error:.3g}.",
    INFEASIBLE: "The problem has no solution.",
    LINE_SEARCH: "No step brings progress, nor restoration: {measure} {error:.3g} > tol {tol:.3g}.",
    SINGULAR: "The constraint Jacobian is singular: {measure} {error:.3g} > tol {tol:.3g}.",
    TIME_LIMIT: "The time limit was reached: {measure} {error:.3g} > tol {tol:.3g}.",
}


def message(status, *, measure, error, tol, detail=""):
    """Text of a status.

    Parameters
    ----------
    status : int
        A key of ``MESSAGES``.
    measure : str
        What `error` measures, in words.
    error, tol : float
        What was reached, what was asked.
    detail : str, optional
        A sentence to add: what to change, which rows are to blame.

    Returns
    -------
    str
    """
    text = MESSAGES[status].format(measure=measure, error=error, tol=tol)
    return f"{text} {detail}" if detail else text
