"""Systems with a Cholesky factor on CuPy arrays."""

from cupyx.scipy.linalg import solve_triangular


def cholesky_solve(L, rhs):
    """(L L')^-1 rhs."""
    return solve_triangular(L, solve_triangular(L, rhs, lower=True), trans="T", lower=True)
