"""Proximal Newton steps on greedy blocks of entries, for softmax with an L1 penalty.

An entry (j, k) of W, feature j and class k, has the number j K + k. The
Hessian of the loss over a block B of entries is

    H = sum_i s_i (diag-by-class(u_i u_i' / p_ik) - u_i u_i'),   u_ie = x_ij p_ik, e = (j, k),

and the quadratic model with H, the intercepts eliminated, is minimised exactly.
"""

import math

from refopt import _status
from refopt._driver import Iterate
from refopt.block_coordinate._design import DenseDesign, SparseDesign
from refopt.block_coordinate._indices import largest, spread
from refopt.block_coordinate._logistic_newton import better_than_zero

_LEAST = 32  # entries that a block gains at once, or as many as there are nonzeros
_MOST = 3000  # entries of one block
_ENOUGH = 0.05  # fall of the violation inside a block that calls for a full gradient
_STEPS = 4  # Newton steps between two full gradients
_INNER = 0.02  # accuracy of the model's solution beside its violation
_ARMIJO = 1e-3
_SLACK = 1e-15  # of F: what rounding may add to it
_HALVINGS = 30
_PATIENCE = 8


def softmax_blocks(problem, V, tol, measure):
    """Iterates as `newton`'s, one per full gradient."""
    xp = problem.xp
    point = problem.point(V)
    size, least, waited = 0, math.inf, -1
    signs = xp.sign(point.v[: problem.p, :])
    while True:
        error, kkt = measure(point), problem.kkt(point)
        before, signs = signs, xp.sign(point.v[: problem.p, :])
        record = {
            "kkt": kkt,
            "nnz": float(xp.count_nonzero(signs)),
            "block_size": float(size),
            "signs_changed": float(bool(xp.any(signs != before))),
        }
        yield Iterate(point.v, point.fun, error, record)
        if waited < 0:
            point, waited = better_than_zero(problem, point), 0
        least, waited = (error, 0) if error < 0.5 * least else (least, waited + 1)
        if kkt == 0 or waited > _PATIENCE:
            return _status.STALLED, ""
        index = _block(problem, point)
        size = index.shape[0]
        if size == 0:
            return _status.STALLED, ""
        block = Block(problem, index)
        moved, worst = False, math.inf
        for step in range(_STEPS):
            if step:
                point = block.point_inside(point)
            violation = block.violation(point)
            worst = violation if step == 0 else worst
            if violation == 0 or (step and violation <= _ENOUGH * worst):
                break
            new = block.step(point, violation)
            if new is None:
                break
            point, moved = new, True
        if not moved and waited:
            return _status.STALLED, ""
        point = problem.point(point.v)


def _block(problem, point):
    """The nonzeros and the worst violators among the zeros, as sorted numbers of entries."""
    xp = problem.xp
    errors = xp.reshape(problem.errors(point), (-1,))
    nonzero = xp.reshape(point.v[: problem.p, :], (-1,)) != 0
    support = int(xp.count_nonzero(nonzero))
    waiting = ~nonzero & (errors > 0)
    gain = min(int(xp.count_nonzero(waiting)), max(_LEAST, support))
    if support + gain <= _MOST:
        key = xp.where(waiting, errors, -xp.inf)
        chosen = xp.concat([xp.nonzero(nonzero)[0], largest(xp, key, gain)])
    else:  # too many for one block: those that violate most, in turn
        chosen = largest(xp, errors, _MOST)
        chosen = chosen[xp.take(errors, chosen) > 0]
    return xp.sort(chosen)


class Block:
    """Some entries of W, and the columns of X that they multiply."""

    def __init__(self, problem, index):
        xp, K = problem.xp, problem.classes
        self.problem, self.index = problem, index
        self.feature, self.of_class = index // K, index % K
        self.columns = problem.design.take(self.feature)
        self.indicator = xp.astype(self.of_class[:, None] == xp.arange(K)[None, :], xp.float64)

    def entries(self, M):
        """The block's entries of a matrix with a row per feature."""
        xp, p = self.problem.xp, self.problem.p
        return xp.take(xp.reshape(M[:p, :], (-1,)), self.index)

    def point_inside(self, point):
        """The point with a gradient that is right in the block only."""
        problem, xp = self.problem, self.problem.xp
        inside = xp.sum(self.columns.transposed_times(point.slope) * self.indicator, axis=1)
        inside = inside + problem.l2 * self.entries(point.v)
        gradient = xp.reshape(
            spread(xp, self.index, inside, problem.p * problem.classes),
            (problem.p, problem.classes),
        )
        if problem.intercept:
            gradient = xp.concat([gradient, xp.sum(point.slope, axis=0, keepdims=True)], axis=0)
        return type(point)(point.v, point.z, point.fun, point.slope, point.curvature, gradient)

    def violation(self, point):
        """The largest error of optimality in the block."""
        xp, l1 = self.problem.xp, self.problem.l1
        g, w = self.entries(point.gradient), self.entries(point.v)
        at_zero = xp.maximum(xp.abs(g) - l1, xp.zeros_like(g))
        return float(xp.max(xp.where(w != 0, xp.abs(g + l1 * xp.sign(w)), at_zero)))

    def step(self, point, violation):
        """The model's minimiser, as far as F allows; None where F does not fall."""
        problem, xp = self.problem, self.problem.xp
        problem.effort.products += 1
        w, g = self.entries(point.v), self.entries(point.gradient)
        H, shifts = self._hessian(point)
        tol = _INNER * violation * min(1.0, violation / problem.l1)
        penalty = xp.full(w.shape, problem.l1)
        new, factored = problem.kernels.l1_quadratic(
            H, H @ w - g, penalty, w, max(tol, 1e-14 * problem.l1), False
        )
        problem.effort.factors += factored
        change = new - w
        along = self.columns.times(change[:, None] * self.indicator)
        shift = -(shifts @ change)
        along = along + shift[None, :]
        slope = float(g @ change) + problem.l1 * float(xp.sum(xp.abs(new) - xp.abs(w)))
        t, zeros = 1.0, xp.zeros_like(w)
        for _ in range(_HALVINGS):
            value = w + t * change if t < 1 else new
            V = self._placed(point.v, xp.where((w == 0) & (new == 0), zeros, value), t * shift)
            Z = point.z + t * along
            terms = problem.terms(Z)
            fun = terms[0] + problem.penalties(V)
            if fun <= point.fun + _ARMIJO * t * slope + _SLACK * abs(point.fun):
                return type(point)(V, Z, fun, terms[1], terms[2], point.gradient)
            t *= 0.5
        return None

    def _placed(self, V, values, shift):
        problem, xp = self.problem, self.problem.xp
        p, K = problem.p, problem.classes
        inside = spread(xp, self.index, xp.ones_like(values), p * K) > 0
        flat = xp.reshape(V[:p, :], (-1,))
        W = xp.reshape(xp.where(inside, spread(xp, self.index, values, p * K), flat), (p, K))
        return xp.concat([W, V[p:, :] + shift[None, :]], axis=0) if problem.intercept else W

    def _hessian(self, point):
        """H with l2 and without the intercepts, and what these follow the block by."""
        problem, xp = self.problem, self.problem.xp
        P, s, k = point.curvature, problem.s, self.index.shape[0]
        share = xp.take(P, self.of_class, axis=1)
        U = weighted_entries(self.columns, share)
        same = self.of_class[:, None] == self.of_class[None, :]
        roots = weighted_entries(self.columns, xp.sqrt(share))
        gram = problem.kernels.weighted_gram(roots, s)
        H = xp.where(same, gram, xp.zeros_like(gram)) - problem.kernels.weighted_gram(U, s)
        H = H + problem.l2 * xp.eye(k)
        if not problem.intercept:
            return H, xp.zeros((problem.classes, k))
        centre = problem.centre_matrix(P)
        totals = U.transposed_times(s)[:, None] * self.indicator
        mixed = totals - U.transposed_times(s[:, None] * P)  # (k, K)
        shifts = centre.inverse @ mixed.T
        H = H - mixed @ shifts
        return 0.5 * (H + H.T), shifts


def weighted_entries(design, factors):
    """The design with every entry times that of a dense matrix."""
    xp = design.xp
    if isinstance(design, DenseDesign):
        return DenseDesign(xp, design.columns * factors.T)
    matrix = design.matrix
    count = matrix.indptr[1:] - matrix.indptr[:-1]
    columns = xp.repeat(xp.arange(matrix.shape[1]), count)
    values = matrix.data * factors[matrix.indices, columns]
    return SparseDesign(
        xp, type(matrix)((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    )
