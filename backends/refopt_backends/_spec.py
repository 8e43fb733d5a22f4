"""The list of kernels: what a backend may implement, and what each one means.

A kernel is a pure function: it returns new arrays and writes into none of its
arguments.  Its readable text is ``reference/<family>.py``; compiled forms lie
under the same family and name in the other folders.
"""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Kernel:
    """One line of the list.

    Attributes
    ----------
    name : str
        Unique over all families; an attribute of every kernel table.
    family : str
        The module that holds it in each backend's folder.
    signature : str
        Arguments and results with their shapes, as ``"C (n, m), g (m,) -> f (n,)"``.
    meaning : str
        One sentence or formula.
    """

    name: str
    family: str
    signature: str
    meaning: str


def _indexed(*kernels):
    index = {k.name: k for k in kernels}
    if len(index) < len(kernels):
        raise ValueError("kernel names must be unique over all families")
    return MappingProxyType(index)


# A cost is the tuple (C,) of an (n, m) matrix, or (X, Y, metric, scale) for
# C_ij = scale * d(x_i, y_j) between points (n, d) and (m, d), never stored, with
# d = 0 squared Euclidean, 1 Euclidean, 2 city-block. C_ij = +inf forbids a pair.
# `entries` and `matrix` are the backend's own objects, see reference/transport.py.
_TRANSPORT = (
    Kernel(
        "semidual_pass",
        "transport",
        "cost, g (m,), a (n,), reg, f_guess (n,) or None -> f (n,), c (m,)",
        "f_i = reg (log a_i - LSE_j((g_j - C_ij)/reg)) and the column sums c of the plan "
        "P = exp((f + g - C)/reg), whose row sums are a. f_guess saves time near the answer "
        "and changes nothing else.",
    ),
    Kernel(
        "semidual_estimate",
        "transport",
        "cost, g (m,), a (n,), reg, f_guess (n,) -> f (n,), c (m,)",
        "semidual_pass, if faster in single precision where C is float32: to 1e-6 max|C|/reg.",
    ),
    Kernel(
        "column_potential",
        "transport",
        "cost, f (n,), b (m,), reg -> g (m,)",
        "g_j = reg (log b_j - LSE_i((f_i - C_ij)/reg)), exact where column sums underflow.",
    ),
    Kernel(
        "plan_marginals",
        "transport",
        "cost, f (n,), g (m,), reg -> r (n,), c (m,), t",
        "Row sums, column sums and <P, C> of P = exp((f + g - C)/reg).",
    ),
    Kernel(
        "plan_product",
        "transport",
        "cost, f (n,), g (m,), reg, V, transpose -> P V (n, k) or P' V (m, k)",
        "The plan, or its transpose, times a matrix, without the plan.",
    ),
    Kernel(
        "plan_rows",
        "transport",
        "cost, f (k,), g (m,), reg -> P (k, m)",
        "The plan P = exp((f + g - C)/reg) itself, finite also far from a solution.",
    ),
    Kernel(
        "select_entries",
        "transport",
        "cost, f (n,), g (m,), reg, floor (n,), ceiling (m,), limit -> entries or None",
        "The entries with P_ij >= min(floor_i, ceiling_j) and their cost; None if there are "
        "more than `limit`.",
    ),
    Kernel(
        "sample_entries",
        "transport",
        "cost, f (n,), g (m,), reg, a (n,), per_row -> entries",
        "An unbiased thinning of the plan with P1 = a to at most per_row + 1 entries a row: "
        "P_ij stays if P_ij per_row >= a_i, else it is a_i/per_row or 0, by systematic sampling. "
        "Such entries serve newton_matrix only, which then expects half of c_j only.",
    ),
    Kernel(
        "entries_pass",
        "transport",
        "entries, g (m,), a (n,), reg, f_guess (n,) -> f (n,), c (m,), entries",
        "semidual_pass over the entries alone; the new entries have the same pattern.",
    ),
    Kernel(
        "entries_product",
        "transport",
        "entries, v (m,) or (n,), transpose -> P v (n,) or P' v (m,)",
        "The sparse plan, or its transpose, times a vector.",
    ),
    Kernel(
        "newton_matrix",
        "transport",
        "entries, a (n,), b (m,), c (m,), threshold, shift (m,) -> matrix",
        "S = diag(c) - P' diag(1/a) P in Laplacian form, from the entries with "
        "P_ij > threshold min(a_i, b_j); what is dropped, and `shift`, lies on its diagonal.",
    ),
    Kernel(
        "newton_product",
        "transport",
        "matrix, v (m,) -> S v (m,)",
        "The Newton matrix times a vector.",
    ),
    Kernel(
        "newton_cg",
        "transport",
        "matrix, rhs (m,), rtol, maxiter -> d (m,), iterations, converged",
        "S d = rhs by conjugate gradients with the diagonal as preconditioner, until "
        "sqrt(r' diag(S)^-1 r) fell by rtol.",
    ),
    Kernel(
        "newton_dense",
        "transport",
        "matrix, rhs (m,) -> d (m,)",
        "S d = rhs by Cholesky factorisation of the m x m matrix.",
    ),
)

KERNELS = _indexed(*_TRANSPORT)
