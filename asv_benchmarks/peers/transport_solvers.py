"""One wrapper per solver of optimal transport, and the one outside measure of accuracy.

Every wrapper prepares its library's best data layout when it is made, so that
only the solver's own work is timed, and returns an `Answer`.
"""

import warnings
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Answer:
    """What a solver returned: potentials, or a plan where it has no entropic potentials."""

    f: np.ndarray | None = None
    g: np.ndarray | None = None
    plan: np.ndarray | None = None
    iterations: int | str = "-"
    note: str = ""


def refopt_newton(problem, tol, **options):
    """`refopt.sinkhorn_newton`, wanting C-contiguous rows."""
    import refopt

    C = np.ascontiguousarray(problem.C)

    def solve():
        res = refopt.sinkhorn_newton(C, problem.a, problem.b, reg=problem.reg, tol=tol, **options)
        counts = f"{res.nnewton}/{res.nfev}/{res.ncg}"
        note = "" if res.success else f"status {res.status}"
        return Answer(res.f, res.g, iterations=counts, note=note)

    return solve


def regot_ssns(problem, tol, max_iter=5_000):
    """`regot.sinkhorn_ssns`, wanting Fortran order: it copies anything else.

    It tests the Euclidean norm of n + m - 1 gradient entries, and reports no
    status.
    """
    import regot

    C = np.asfortranarray(problem.C)
    n, m = C.shape

    def solve():
        res = regot.sinkhorn_ssns(
            C, problem.a, problem.b, problem.reg, tol=tol / np.sqrt(n + m), max_iter=max_iter
        )
        f, g = res.dual[:n], np.append(res.dual[n:], 0.0)
        return Answer(f, g, iterations=res.niter, note="max_iter" if res.niter == max_iter else "")

    return solve


def pot_emd(problem):
    """`ot.emd`, the exact network simplex (reg = 0), wanting C order."""
    import ot

    C = np.ascontiguousarray(problem.C)

    def solve():
        plan, log = ot.emd(problem.a, problem.b, C, numItermax=100_000_000, log=True)
        return Answer(plan=plan, note=log["warning"] or "")

    return solve


def pot_sinkhorn(problem, tol, method, max_iter):
    """`ot.sinkhorn` with one of its methods; it tests the column error's Euclidean norm."""
    import ot

    C = np.ascontiguousarray(problem.C)

    def solve():
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            plan, log = ot.sinkhorn(
                problem.a, problem.b, C, problem.reg, method=method,
                numItermax=max_iter, stopThr=tol / np.sqrt(problem.b.size), log=True,
            )  # fmt: skip
        return Answer(plan=plan, iterations=log.get("niter", log.get("n_iter", "-")))

    return solve


def scipy_assignment(problem):
    """`scipy.optimize.linear_sum_assignment`: exact, for uniform masses of equal size only."""
    from scipy.optimize import linear_sum_assignment

    def solve():
        rows, columns = linear_sum_assignment(problem.C)
        plan = np.zeros(problem.C.shape)
        plan[rows, columns] = problem.a[rows]
        return Answer(plan=plan)

    return solve


def marginal_error(answer, problem):
    """Return ``||P 1 - a||_1 + ||P' 1 - b||_1`` of an answer, in plain NumPy.

    Potentials of -inf mean an empty row or column. NaN anywhere gives NaN.
    """
    row_sums, column_sums = np.zeros(problem.a.size), np.zeros(problem.b.size)
    for rows, P in _plan_blocks(answer, problem):
        row_sums[rows] = P.sum(1)
        column_sums += P.sum(0)
    return float(np.abs(row_sums - problem.a).sum() + np.abs(column_sums - problem.b).sum())


def transport_cost(answer, problem):
    """Return ``<P, C>`` of an answer."""
    return sum(float((P * problem.C[rows]).sum()) for rows, P in _plan_blocks(answer, problem))


def _plan_blocks(answer, problem):
    """Yield the plan by blocks of rows, so that no second matrix is stored."""
    for start in range(0, problem.a.size, 256):
        rows = slice(start, start + 256)
        if answer.plan is not None:
            yield rows, answer.plan[rows]
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            exponent = (answer.f[rows, None] + answer.g[None, :] - problem.C[rows]) / problem.reg
            yield rows, np.exp(exponent)
