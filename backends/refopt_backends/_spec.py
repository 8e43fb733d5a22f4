"""The list of kernels: what a backend may implement, and what each one means.

A kernel is a pure function: it returns new arrays and writes into none of its
arguments, but for those that its line says are written.  Its readable text is
``reference/<family>.py``; compiled forms lie under the same family and name in the other
folders.
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
    written : tuple of int
        Positions, from 0, of the arguments that it writes into: large arrays of an iteration,
        where new memory would cost as much as the arithmetic.
    """

    name: str
    family: str
    signature: str
    meaning: str
    written: tuple[int, ...] = ()


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

# A graph is the pattern of a symmetric matrix in compressed rows, starts (n + 1,) and
# columns (nnz,), whose diagonal entries are passed over; `order` visits each node once.
_FORESTS = (
    Kernel(
        "forest_labels",
        "forests",
        "starts, columns, order (n,) -> labels (n,)",
        "First fit: each node joins the first forest in which it closes no cycle.",
    ),
    Kernel(
        "forest_mask",
        "forests",
        "starts, columns, order (n,) -> mask (n,)",
        "The nodes of the first of these forests.",
    ),
    Kernel(
        "colour_labels",
        "forests",
        "starts, columns, order (n,) -> labels (n,)",
        "Each node takes the least-used colour that no neighbour has, else a new one.",
    ),
    Kernel(
        "is_symmetric",
        "forests",
        "starts, columns (sorted in each row), values, rtol -> bool",
        "Whether |v_ij - v_ji| <= rtol (|v_ij| + |v_ji|) for all entries.",
    ),
    Kernel(
        "forest_order",
        "forests",
        "starts, columns, values -> order, parent, diagonal, link (n,), cycle (k,)",
        "Depth-first order of a forest; the position in it of each one's parent, -1 for roots; "
        "the diagonal and the entry with the parent in that order. If there is a cycle: its "
        "nodes, and the others incomplete.",
    ),
    Kernel(
        "forest_pivots",
        "forests",
        "parent, diagonal, link (n,) -> pivots J (n,), multipliers (n,)",
        "J_i = H_ii - sum_c H_ci^2 / J_c over the children c, and H_i,parent / J_i; ends at the "
        "first J_i that is not positive.",
    ),
    Kernel(
        "forest_sweeps",
        "forests",
        "order, parent, pivots, multipliers (n,), B (k, n) -> X (k, n)",
        "H X = B for each row of B: one sweep up the trees and one down.",
    ),
)

# X is an object of its own, see reference/logistic_rows.py; A is X or, where a vector of
# parameters has p + 1 entries, [X 1]. The penalty is the diagonal of a matrix.
_LOGISTIC_ROWS = (
    Kernel(
        "logistic_terms",
        "logistic_rows",
        "z (n,), y (n,), s (n,) -> value, slope (n,), curvature (n,)",
        "sum_i s_i log(1 + exp(-y_i z_i)) with its first and second derivative in each z_i.",
    ),
    Kernel(
        "weighted_gram",
        "logistic_rows",
        "X (n, p), d (n,) -> H (p, p)",
        "X' diag(d) X of d >= 0, dense and exactly symmetric.",
    ),
    Kernel(
        "block_gram",
        "logistic_rows",
        "X (n, p), index (k,), d (n,) -> H (k, k)",
        "The rows and columns `index`, in ascending order, of X' diag(d) X of d >= 0.",
    ),
    Kernel(
        "l1_weighted_squares",
        "logistic_rows",
        "X (n, p), index (k,), d (n,), theta (n,), l2, penalty (k,), w (k,), tol "
        "-> v (k,), factorisations",
        "The minimiser of sum_i (d_i u_i^2/2 - theta_i u_i) + l2/2 |v|^2 + sum_j penalty_j |v_j| "
        "with u = X_index (v - w) to slopes of tol, from w on.",
    ),
    Kernel(
        "positive_inverse",
        "logistic_rows",
        "H (m, m) -> inverse (m, m) or None",
        "The inverse of a symmetric matrix; None if it is not positive definite.",
    ),
    Kernel(
        "hessian_product",
        "logistic_rows",
        "X (n, p), d (n,), penalty (m,), v (m,) -> u (m,), z (n,)",
        "u = (A' diag(d) A + diag(penalty)) v and z = A v.",
    ),
    Kernel(
        "hessian_diagonal",
        "logistic_rows",
        "X (n, p), d (n,), penalty (m,) -> h (m,)",
        "The diagonal of A' diag(d) A + diag(penalty).",
    ),
    Kernel(
        "hessian_cg",
        "logistic_rows",
        "X (n, p), d (n,), penalty (m,), rhs (m,), preconditioner (m,) or (m, m), rtol, maxiter "
        "-> v (m,), z (n,), iterations",
        "(A' diag(d) A + diag(penalty)) v = rhs by preconditioned conjugate gradients until the "
        "residual's norm fell by rtol, and z = A v.",
    ),
    Kernel(
        "softmax_terms",
        "logistic_rows",
        "Z (n, K), codes (n,), s (n,) -> value, slope (n, K), P (n, K)",
        "sum_i s_i (log sum_k exp(z_ik) - z_ic), c = codes_i, its derivative in Z and the class "
        "probabilities.",
    ),
    Kernel(
        "softmax_product",
        "logistic_rows",
        "X (n, p), P (n, K), s (n,), penalty (m, 1), V (m, K) -> U (m, K), Z (n, K)",
        "The Hessian A' s (diag(P) - P P') A + penalty times V, and Z = A V.",
    ),
)

# The rows of Z are the columns of the design matrix handed over, see reference/box_quadratic.py.
_BOX_QUADRATIC = (
    Kernel(
        "spd_solve",
        "box_quadratic",
        "H (k, k), rhs (k,) -> x (k,) or None",
        "H^-1 rhs by Cholesky factorisation, None if there is no factor.",
    ),
    Kernel(
        "box_sweeps",
        "box_quadratic",
        "G (k, k), x (k,), g (k,), lower (k,), upper (k,), sweeps -> x (k,), g (k,)",
        "Cyclic exact coordinate descent on x'Gx/2 + c'x in a box, with g = Gx + c kept.",
    ),
    Kernel(
        "hinge_sweeps",
        "box_quadratic",
        "Z, norms (n,), C (n,), a (n,), w (p,), sweeps, seed -> a (n,), w (p,)",
        "Dual coordinate descent of the hinge loss in random order with shrinking, w = Z'a kept.",
    ),
    Kernel(
        "hinge_step",
        "box_quadratic",
        "base (n,), u (n,), C (n,), sigma, slope, curvature -> t",
        "The root t of slope + curvature t - u'clip(base - sigma t u, 0, C).",
    ),
)

# A graph as above with weights instead of values. A `system` is the matrix A = diag(d) + V
# of a graph with the off-diagonal part V, and `hierarchy` its coarse versions: the
# backend's own objects, see reference/multilevel.py.
_MULTILEVEL = (
    Kernel(
        "restricted_laplacian",
        "multilevel",
        "starts, columns, weights, mask (n,), labels (k, n) -> nodes (m,), reached (m,), depth, "
        "starts, columns, values, diagonal (m,), B (k, m)",
        "The Laplacian's rows and columns of the nodes outside the mask, breadth first, and "
        "B = W_US y_S; which components have a label; the largest distance in the search.",
    ),
    Kernel(
        "graph_system",
        "multilevel",
        "starts, columns, values, diagonal -> system",
        "The matrix in the backend's form.",
    ),
    Kernel(
        "graph_product",
        "multilevel",
        "system, X (k, m) -> (k, m)",
        "A times each row of X.",
    ),
    Kernel(
        "multilevel_hierarchy",
        "multilevel",
        "system -> hierarchy",
        "Coarse graphs by smoothed aggregation.",
    ),
    Kernel(
        "multilevel_cycle",
        "multilevel",
        "hierarchy, R (k, m) -> Z (k, m)",
        "A symmetric approximation of A^-1 R by one V-cycle, to single precision.",
    ),
)

# `blocks` are an object of the backend's own, see reference/forest_cg.py.
_FOREST_CG = (
    Kernel(
        "forest_blocks",
        "forest_cg",
        "system, labels (m,) -> blocks, cycle (k,)",
        "A split in L + P + L', P its part within the forests that are labelled; the nodes of "
        "a cycle where one is no forest, and the blocks undefined.",
    ),
    Kernel(
        "forest_cg_start",
        "forest_cg",
        "blocks, X, R (k, m) -> X, R (k, m)",
        "X with the first forest's equations solved, and (L + P)^-1 times its residual.",
    ),
    Kernel(
        "forest_cg_steps",
        "forest_cg",
        "blocks, X, R, D (k, m), beta (k,), steps (k,) -> X, R, D, beta, |r|^2, fall (k,)",
        "As incomplete_cg_steps with the preconditioner M = (L + P) P^-1 (L + P)'.",
    ),
)

# A `factor` is an object of the backend's own, see reference/incomplete.py.
_INCOMPLETE = (
    Kernel(
        "incomplete_factor",
        "incomplete",
        "system, moved -> factor",
        "The diagonal P of the preconditioner M = (L + P) P^-1 (L + P)', L the strictly lower "
        "part of A, by incomplete factorisation; a share `moved` of the fill-in that is dropped "
        "is taken off the diagonal.",
    ),
    Kernel(
        "incomplete_cg_start",
        "incomplete",
        "factor, R (k, m) -> R (k, m)",
        "(L + P)^-1 P^1/2 R: residuals of A x = b as those of the scaled system.",
    ),
    Kernel(
        "incomplete_cg_steps",
        "incomplete",
        "factor, X, R, D (k, m), beta (k,), steps (k,) -> X, R, D, beta, |r|^2, fall (k,)",
        "Steps of conjugate gradients preconditioned by M, so many for each row, from the scaled "
        "residuals R and the last directions D; |b - A x|^2 and by how much x'Ax/2 - b'x fell.",
    ),
)

# X is a design matrix, see reference/l1_quadratic.py.
_L1_QUADRATIC = (
    Kernel(
        "transposed_product",
        "l1_quadratic",
        "X (n, p), r (n,) -> d (p,)",
        "d = X' r, one pass over the data.",
    ),
    Kernel(
        "column_dots",
        "l1_quadratic",
        "X (n, p), index (k,), r (n,) -> d (k,)",
        "d = X_index' r, the products with some columns.",
    ),
    Kernel(
        "column_sum",
        "l1_quadratic",
        "X (n, p), index (k,), w (k,) -> z (n,)",
        "z = X_index w, a combination of some columns.",
    ),
    Kernel(
        "l1_quadratic",
        "l1_quadratic",
        "G (k, k), q (k,), penalty (k,), w (k,), tol, positive -> w (k,), factorisations",
        "The minimiser of w'Gw/2 - q'w + sum_j penalty_j |w_j|, with w >= 0 if positive, from w "
        "on, until max_j dist(q_j - (Gw)_j, penalty_j d|w_j|) <= tol or rounding forbids it.",
    ),
    Kernel(
        "l1_least_squares",
        "l1_quadratic",
        "X (n, k), y (n,), l2, penalty (k,), w (k,), tol, positive "
        "-> w (k,), r (n,), factorisations",
        "The same for G = X'X + l2 I and q = X'y, and r = y - X w.",
    ),
)

_HALPERN = (
    Kernel(
        "project_simplex",
        "halpern",
        "v (n,), radius, tau0 or None -> p (n,), tau",
        "The nearest point p = max(v - tau, 0) with p >= 0 and sum p = radius; tau0 is a guess.",
    ),
    Kernel(
        "spd_factor",
        "halpern",
        "H (m, m) -> factor or None",
        "What spd_apply needs of a symmetric positive definite H; None if it is not, or not in "
        "floating point.",
    ),
    Kernel("spd_apply", "halpern", "factor, rhs (m,) -> x (m,)", "x = H^-1 rhs."),
)

# `form`, `prox` and factors: see reference/finite_sums.py; D_i is the linear part of component i.
_FINITE_SUMS = (
    Kernel(
        "anchored_prox_step",
        "finite_sums",
        "anchor, u, g (d,), lam, eta, prox -> u (d,)",
        "J(lam anchor + (1 - lam) u - eta g).",
    ),
    Kernel(
        "combine_rows",
        "finite_sums",
        "rows (n, d), index (k,), factors (k,) -> (d,)",
        "sum_k factors_k rows[index_k].",
    ),
    Kernel(
        "batch_rows_diff",
        "finite_sums",
        "form, z (d,), index (b,), factors (b,) or None -> (d,)",
        "The mean of factors_k D_i z over the indices i of a batch.",
    ),
    Kernel(
        "component_mean",
        "finite_sums",
        "fun, u (d,), index (b,), factors (b,) or None -> (d,)",
        "The mean of factors_k F_i(u), where fun(u, i, out) writes F_i(u).",
    ),
    Kernel(
        "svrg_rows_steps",
        "finite_sums",
        "form, mu, w (d,), g (d,), u (d,), eta, mix, prox, index (k,), factors (k,) or None -> u",
        "For each index in turn: u <- J(mix u + (1 - mix) w - eta (g + (D_i + mu)(u - w))).",
    ),
    Kernel(
        "vr_eg_rows_steps",
        "finite_sums",
        "form, mu, w (d,), g (d,), u (d,), eta, mix, prox, index (k,), factors (k,) or None -> u",
        "The same with h - w for u - w, where h = J(mix u + (1 - mix) w - eta g).",
    ),
    Kernel(
        "svrg_component_steps",
        "finite_sums",
        "fun, mu, w (d,), g (d,), u (d,), eta, mix, prox, index (k,), factors (k,) or None -> u",
        "svrg_rows_steps for fun(u, i, out), which writes F_i(u).",
    ),
    Kernel(
        "page_rows_steps",
        "finite_sums",
        "form, mu, u, previous, g, anchor (d,), lams (k,), eta, prox, index (k, b), factors (k, b) "
        "or None -> u, previous, g",
        "For each batch in turn: g <- g + (its mean of D_i + mu)(u - previous), previous <- u, "
        "u <- J(lam anchor + (1 - lam) u - eta g).",
    ),
)

# Padded fields of types, degree and weights: see reference/poisson.py.
_POISSON = (
    Kernel(
        "poisson_degree",
        "poisson",
        "types (field) -> degree, dirichlet (fields of uint8)",
        "How many faces of each fluid cell are not solid, and how many of these lie towards air.",
    ),
    Kernel(
        "poisson_apply",
        "poisson",
        "degree, weights or None, x (fields), scale -> field of float64",
        "scale (D x - W x): the sum over open faces of the weight times the difference.",
    ),
    Kernel(
        "label_components",
        "poisson",
        "types, weights or None, dirichlet (fields) -> labels (field of int32), grounded (k,)",
        "Connected parts of the fluid over faces of positive weight, numbered from 1 in the order "
        "of their first cells, 0 elsewhere; and whether each touches air.",
    ),
)

# One step of conjugate gradients, in place: see the note on `written` in Kernel.
_CONJUGATE = (
    Kernel(
        "poisson_conjugate",
        "conjugate",
        "degree, weights or None (fields), scale, z, beta, d, g (fields) -> d'g, d'd",
        "d <- z + beta d and g <- A d, A as in poisson_apply.",
        written=(5, 6),
    ),
    Kernel(
        "matrix_conjugate",
        "conjugate",
        "A (n, n), z (n,), beta, d, g (n,) -> d'g, d'd",
        "d <- z + beta d and g <- A d, A an array or the library's own compressed rows.",
        written=(3, 4),
    ),
    Kernel(
        "conjugate_step",
        "conjugate",
        "alpha, d, g, x, r (any shape) -> r'r",
        "x <- x + alpha d and r <- r - alpha g.",
        written=(3, 4),
    ),
    Kernel(
        "subtract_means",
        "conjugate",
        "labels (any shape), count, x (of that shape) -> removed",
        "x minus its mean over each of the parts 1 to count; the sum of size times mean squared.",
        written=(2,),
    ),
)

# A row of parameters is two weights of sweeps (the second 0: one sweep), the factor of the coarse
# correction and that of links to air on the next level; the last row serves all further levels.
_VCYCLE = (
    Kernel(
        "vcycle_setup",
        "vcycle",
        "types, degree, dirichlet, weights or None (fields), parameters (k, 4) -> hierarchy",
        "The matrices of all levels of a multilevel network; `sizes` lists their unknowns.",
    ),
    Kernel(
        "vcycle",
        "vcycle",
        "hierarchy, r (field) -> field of float32",
        "One V-cycle from zero, r -> M r with M symmetric positive definite.",
    ),
    Kernel(
        "vcycle_cg_start",
        "vcycle",
        "hierarchy, b (n,), scale -> state",
        "Conjugate gradients with M for scale (D - W) x = b, all weights 1, at x = 0; n unknowns.",
    ),
    Kernel(
        "vcycle_cg_step",
        "vcycle",
        "state -> r'r, drop",
        "One iteration: the state goes on; drop is by how much the error's squared A-norm falls.",
    ),
    Kernel(
        "vcycle_cg_solution",
        "vcycle",
        "state -> x (n,)",
        "The solution so far.",
    ),
    Kernel(
        "vcycle_cg_residual",
        "vcycle",
        "state -> r'r, x'Ax/2 - b'x",
        "The true residual r = b - A x, recomputed from x.",
    ),
    Kernel(
        "vcycle_cg_restart",
        "vcycle",
        "state -> None",
        "The iteration begins anew at its x, from the true residual.",
    ),
)

# Compressed rows are the arrays values, columns, starts; weights are omega / |A_i|^2.
_SKETCHING = (
    Kernel(
        "rk_sweep_dense",
        "sketching",
        "A (N, n), b (N,), weights (N,), x (n,), previous (n,), index (k,), momentum "
        "-> x (n,), previous (n,), moves (N,)",
        "x <- x - weights_i (A_i x - b_i) A_i + momentum (x - previous) for each index in turn; "
        "moves is the sum of weights_i (A_i x - b_i) of each row.",
    ),
    Kernel(
        "rk_sweep_csr",
        "sketching",
        "values, columns, starts, b (N,), weights (N,), x (n,), previous (n,), index (k,), "
        "momentum -> x (n,), previous (n,), moves (N,)",
        "rk_sweep_dense for compressed rows.",
    ),
    Kernel(
        "greedy_sweep",
        "sketching",
        "gram (N, N), r (N,), weights (N,), steps -> r (N,), moves (N,)",
        "For i of the largest r_i^2 weights_i: r <- r - weights_i r_i gram_i, as often as told.",
    ),
    Kernel(
        "count_sketch",
        "sketching",
        "A (N, n), buckets (N, k), signs (N, k), size -> S A (size, n)",
        "Row i of A is added to rows buckets[i, :] of the result with signs[i, :].",
    ),
    Kernel(
        "count_sketch_csr",
        "sketching",
        "values, columns, starts, n, buckets (N, k), signs (N, k), size -> S A (size, n)",
        "count_sketch for compressed rows.",
    ),
    Kernel(
        "product_pass",
        "sketching",
        "A (N, n), v (n,), u (N,), alpha -> p (N,), A'p (n,)",
        "p = A v - alpha u and A'p, by one pass over A.",
    ),
    Kernel(
        "sparse_gram",
        "sketching",
        "values, columns, starts, weights (N,), n -> (n, n)",
        "X' diag(weights) X of compressed rows.",
    ),
)

# Fields are (channels, n0, n1, n2), weights W (out, in, 3, 3, 3):
# (W * x)_o(v) = sum over i and s of W[o, i, s] x_i(v + s - (1, 1, 1)), x = 0 outside.
_CONVOLUTION = (
    Kernel(
        "conv3d_forward",
        "convolution",
        "x (c, ...), W (o, c, 3, 3, 3), bias (o,), relu, residual (o, ...) or None -> y (o, ...)",
        "W * x + bias, its negative part cut off if relu, plus the residual.",
    ),
    Kernel(
        "conv3d_backward_data",
        "convolution",
        "dy (o, ...), W (o, c, 3, 3, 3) -> dx (c, ...)",
        "The adjoint of x -> W * x.",
    ),
    Kernel(
        "conv3d_backward_weights",
        "convolution",
        "x (c, ...), dy (o, ...) -> dW (o, c, 3, 3, 3)",
        "The adjoint of W -> W * x.",
    ),
    Kernel(
        "pool2",
        "convolution",
        "x (c, 2 n0, 2 n1, 2 n2) -> (c, n0, n1, n2)",
        "Means over blocks of 2 x 2 x 2.",
    ),
    Kernel(
        "upsample2_add",
        "convolution",
        "coarse (c, n0, n1, n2), fine (c, 2 n0, 2 n1, 2 n2) -> as fine",
        "Every value of coarse on its block of 2 x 2 x 2, plus fine.",
    ),
)
_CONVEX_RELU = (
    Kernel(
        "masked_gram",
        "convex_relu",
        "X (n, d), masks (P, n), of (C,), roots (C, d, d) -> (n, n)",
        "The sum over j of D_j X R_j'R_j X'D_j with the mask D_j = diag(masks[of_j]).",
    ),
    # h holds slacks s = max(h, 0) and their scaled duals nu = min(h, 0), S_j = 2 D_j - I.
    Kernel(
        "slack_pass",
        "convex_relu",
        "XU (C, n), masks (P, n), of (C,), sign (C,), h (C, n), relax -> z (n,), squares (5,)",
        "With g_j = S_j (X u_j): h <- relax g + (1 - relax) s + nu, XU <- S (s - nu); the "
        "predictions z = sum_j sign_j D_j X u_j, and the squared norms of g - s, s - s_before, "
        "g, s and nu.",
        written=(0, 4),
    ),
    Kernel(
        "group_soft",
        "convex_relu",
        "U (C, d), threshold -> V (C, d), L (C, d)",
        "v_j = (1 - threshold/||u_j||)_+ u_j, and what that took away, L = U - V.",
    ),
)

_GATE_PRICING = (
    Kernel(
        "box_least_squares",
        "gate_pricing",
        "X (n, d), upper (n,) >= 0 or inf, G (b, d), A (b, n) -> W (b, d), A (b, n)",
        "For each row the A with 0 <= A <= upper, from the one given on, for which W = G - A X is "
        "shortest. A is unique where rows inside their bounds are independent, W always.",
    ),
)

KERNELS = _indexed(
    *_TRANSPORT,
    *_FORESTS,
    *_MULTILEVEL,
    *_FOREST_CG,
    *_INCOMPLETE,
    *_LOGISTIC_ROWS,
    *_BOX_QUADRATIC,
    *_L1_QUADRATIC,
    *_HALPERN,
    *_FINITE_SUMS,
    *_POISSON,
    *_CONJUGATE,
    *_VCYCLE,
    *_SKETCHING,
    *_CONVOLUTION,
    *_CONVEX_RELU,
    *_GATE_PRICING,
)
