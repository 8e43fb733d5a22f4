"""The linear systems of Newton steps: H_j du_j + (F'dr)_j = b_j for each column, h dr - F du = e.

The columns are eliminated, which leaves one equation per sample; or the samples are, and of
each pattern's columns all but the difference v_i - w_i, which leaves one per pattern and
feature. The smaller system is taken.
"""

from typing import Any

from refopt.convex_relu._program import Program, column_pairs, triangle
from refopt_backends import cholesky, unique_values


def smaller_system(program: Program) -> "SampleSystem | PatternSystem":
    """Of as many equations as there are samples, or patterns times features."""
    _, n, d = program.size
    patterns = unique_values(program.of).shape[0]
    return SampleSystem(program) if n <= patterns * d else PatternSystem(program)


class SampleSystem:
    """(diag(h) + sum_j D_j X H_j^-1 X'D_j) dr = F (H_j^-1 b_j) + e."""

    def __init__(self, program: Program):
        self.program = program

    def factorise(self, H: Any, h: Any) -> bool:
        """Factors of H (C, d, d) and of the system; False where there are none."""
        xp, program = self.program.xp, self.program
        L = cholesky(H)
        if L is None:
            return False
        self.root = xp.linalg.inv(L)
        M = program.kernels.masked_gram(program.X, program.masks, program.of, self.root)
        self.factor = program.kernels.spd_factor(M + xp.eye(h.shape[0]) * h)
        return self.factor is not None

    def solve(self, b: Any, e: Any) -> tuple[Any, Any]:
        """du (C, d) and dr (n,)."""
        program = self.program
        side = e + program.apply(self._divide(b))
        dr = program.kernels.spd_apply(self.factor, side)
        return self._divide(b - program.pull(dr)), dr

    def _divide(self, b):
        """H_j^-1 b_j."""
        xp = self.program.xp
        inner = xp.matmul(self.root, b[:, :, None])
        return xp.matmul(_transposed(xp, self.root), inner)[:, :, 0]


class PatternSystem:
    """(K + F1' diag(1/h) F1) a = g for a_i = v_i - w_i, F1 = [D_1 X, ..., D_P X]."""

    def __init__(self, program: Program):
        self.program = program
        self.pairs = Pairs(program)
        self.h: Any = None

    def factorise(self, H: Any, h: Any) -> bool:
        """As of `SampleSystem`."""
        if not (self.program.loss.quadratic and self.h is not None):  # else h is always 1
            self.h = h
            self.coupling = pattern_gram(self.program, self.pairs.patterns, 1 / h)
        return self.pairs.factorise(H, self.coupling)

    def solve(self, b: Any, e: Any) -> tuple[Any, Any]:
        """As of `SampleSystem`."""
        program = self.program
        du = self.pairs.solve(b - program.pull(e / self.h))
        return du, (e + program.apply(du)) / self.h


def pattern_gram(program: Program, patterns: Any, weights: Any) -> Any:
    """X'D_i diag(w) D_k X for all pairs of patterns (i, k), as a matrix (P d, P d)."""
    xp = program.xp
    D = xp.astype(xp.take(program.masks, patterns, axis=0), xp.float64)
    P, d = D.shape[0], program.X.shape[1]
    low, high, place = triangle(xp, d)
    first, second, where = triangle(xp, P)
    total = xp.zeros((first.shape[0], low.shape[0]))
    for rows, products in column_pairs(xp, program.X, low, high):
        both = xp.take(D[:, rows], first, axis=0) * xp.take(D[:, rows], second, axis=0)
        total = total + both @ (weights[rows, None] * products)
    blocks = xp.take(xp.take(total, xp.reshape(where, (-1,)), axis=0),
                     xp.reshape(place, (-1,)), axis=1)  # fmt: skip
    blocks = xp.permute_dims(xp.reshape(blocks, (P, P, d, d)), (0, 2, 1, 3))
    return xp.reshape(blocks, (P * d, P * d))


class Pairs:
    """H_j u_j + sigma_j (G a)_i = b_j, a_i the sum of sigma_j u_j over the columns j of pattern i.

    With H = H_v + H_w where a pattern has both columns,

        (K + G) a = g,  K_i = H_v H^-1 H_w,  g_i = H_w H^-1 b_v - H_v H^-1 b_w,
        v = H^-1 (b_v + b_w + H_w a),  w = v - a.
    """

    def __init__(self, program: Program):
        xp, of, sign = program.xp, program.of, program.sign
        self.xp, self.kernels, self.sign = xp, program.kernels, sign
        P = program.masks.shape[0]
        column = -xp.ones((2, P), dtype=xp.int64)
        for side, sigma in enumerate((1.0, -1.0)):
            mine = xp.nonzero(sign == sigma)[0]
            column[side, of[mine]] = mine
        self.patterns = xp.nonzero(xp.any(column >= 0, axis=0))[0]
        used = xp.take(column, self.patterns, axis=1)
        self.both = xp.nonzero(xp.all(used >= 0, axis=0))[0]
        self.one = xp.nonzero(xp.any(used < 0, axis=0))[0]
        self.v, self.w = used[0, self.both], used[1, self.both]
        self.single = xp.max(xp.take(used, self.one, axis=1), axis=0)

    def factorise(self, H: Any, G: Any) -> bool:
        """Factors for matrices H (C, d, d) and G (P d, P d); False where there are none."""
        xp = self.xp
        d, P = H.shape[1], self.patterns.shape[0]
        self.H_v, self.H_w = xp.take(H, self.v, axis=0), xp.take(H, self.w, axis=0)
        L = cholesky(self.H_v + self.H_w)
        if L is None:
            return False
        self.root = xp.linalg.inv(L)
        K = xp.zeros((P, d, d))
        K[self.one, :, :] = xp.take(H, self.single, axis=0)
        K[self.both, :, :] = _symmetric(
            xp, xp.matmul(_transposed(xp, xp.matmul(self.root, self.H_v)),
                          xp.matmul(self.root, self.H_w))
        )  # fmt: skip
        M = xp.reshape(xp.asarray(G, copy=True), (P, d, P, d))
        diagonal = xp.arange(P)
        M[diagonal, :, diagonal, :] += K
        self.factor = self.kernels.spd_factor(xp.reshape(M, (P * d, P * d)))
        return self.factor is not None

    def solve(self, b: Any) -> Any:
        """u (C, d)."""
        xp = self.xp
        g = xp.zeros((self.patterns.shape[0], b.shape[1]))
        b_v, b_w = xp.take(b, self.v, axis=0), xp.take(b, self.w, axis=0)
        g[self.both, :] = _times(xp, self.H_w, self._divide(b_v)) - _times(
            xp, self.H_v, self._divide(b_w)
        )
        sign = xp.take(self.sign, self.single)[:, None]
        g[self.one, :] = sign * xp.take(b, self.single, axis=0)
        a = xp.reshape(self.kernels.spd_apply(self.factor, xp.reshape(g, (-1,))), g.shape)
        u = xp.zeros_like(b)
        u[self.single, :] = sign * xp.take(a, self.one, axis=0)
        difference = xp.take(a, self.both, axis=0)
        u[self.v, :] = self._divide(b_v + b_w + _times(xp, self.H_w, difference))
        u[self.w, :] = self._divide(b_v + b_w - _times(xp, self.H_v, difference))
        return u

    def _divide(self, b):
        """H^-1 b of the patterns with both columns."""
        xp = self.xp
        return _times(xp, _transposed(xp, self.root), _times(xp, self.root, b))


def _transposed(xp, matrices):
    return xp.permute_dims(matrices, (0, 2, 1))


def _symmetric(xp, K):
    return 0.5 * (K + _transposed(xp, K))


def _times(xp, H, b):
    return xp.matmul(H, b[:, :, None])[:, :, 0]
