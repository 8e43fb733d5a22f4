"""Convex quadratics f(x) = x'Hx/2 + c'x as the solver for bounds sees them."""

import math
from functools import cached_property
from typing import Any

from refopt.block_coordinate._design import SparseDesign
from refopt_backends import diagonal_of

_SHIFT = 1e-6  # least eigenvalue looked for, relative to the least diagonal entry
_MOST_FACTORISED = 2000
_NOISE = 1e-10


class MatrixForm:
    """H given as a matrix.

    Parameters
    ----------
    kernels : KernelTable
    design : Design
        H itself, (p, p).
    c : array, shape (p,)
    """

    def __init__(self, kernels: Any, design: Any, c: Any):
        self.kernels, self.xp, self.design, self.c = kernels, design.xp, design, c
        self.p = c.shape[0]
        self.sparse = isinstance(design, SparseDesign)

    def at(self, x):
        """f(x) and its gradient."""
        product = self.design.times(x)
        return float(x @ (0.5 * product + self.c)), product + self.c

    def product(self, v):
        """H v."""
        return self.design.times(v)

    @cached_property
    def diagonal(self):
        """Of H."""
        if self.sparse:
            return self.xp.asarray(self.design.matrix.diagonal())
        return diagonal_of(self.design.columns) * 1.0

    def block(self, rows, columns):
        """H[rows, columns], dense."""
        if self.sparse:
            return self.design.matrix[:, columns].tocsr()[rows].toarray()
        xp = self.xp
        return xp.take(xp.take(self.design.columns, rows, axis=0), columns, axis=1)

    def whole(self):
        """H, dense."""
        return self.design.matrix.toarray() if self.sparse else self.design.columns

    @cached_property
    def least_eigenvalue(self):
        """A proven lower bound of H's eigenvalues, 0 if none above it was found."""
        xp = self.xp
        if self.p == 0 or not float(xp.min(self.diagonal)) > 0:
            return 0.0
        if self.p > _MOST_FACTORISED:
            return self._gershgorin()
        shift = 2.0 * _SHIFT * float(xp.min(self.diagonal))
        rounding = 1e-15 * self.p * float(xp.max(self.diagonal))
        if shift < 10.0 * rounding:
            return 0.0
        shifted = self.whole() - shift * xp.eye(self.p)
        factored = self.kernels.spd_solve(shifted, xp.ones(self.p)) is not None
        return 0.5 * shift if factored else 0.0

    def _gershgorin(self):
        if not self.sparse:
            return 0.0
        # entry by entry |H_ij| <= sqrt(H_ii H_jj), so the row sums cannot overflow
        others = self.xp.asarray(abs(self.design.matrix).sum(axis=0)).reshape(-1) - self.diagonal
        return max(0.0, float(self.xp.min(self.diagonal - others)) * (1 - 1e-12))

    def lower_bound_gap(self, x, g, lower, upper):
        """An upper bound of f(x) - min f, infinity if there is none.

        Curvature is asked for where the box is infinite, or so wide that rounding of g
        times its width hides f.
        """
        xp = self.xp
        if bool(xp.all(xp.isfinite(lower) & xp.isfinite(upper))):
            gap = model_gap(xp, x, g, lower, upper, 0.0)
            value = abs(0.5 * float(x @ (g + self.c)))
            noise = _NOISE * float(xp.abs(self.c) @ (upper - lower))
            if gap <= _NOISE * value or gap > noise:
                return gap
        return model_gap(xp, x, g, lower, upper, self.least_eigenvalue)


class LeastSquaresForm(MatrixForm):
    """|Ax - b|^2/2, H = A'A and c = -A'b.

    Parameters
    ----------
    kernels : KernelTable
    design : Design
        A, (n, p).
    b : array, shape (n,)
    """

    def __init__(self, kernels, design, b):
        self.kernels, self.xp, self.design, self.b = kernels, design.xp, design, b
        self.c = -design.transposed_times(b)
        self.p = design.shape[1]
        self.sparse = isinstance(design, SparseDesign)

    def at(self, x):
        residual = self.design.times(x) - self.b
        return 0.5 * float(residual @ residual), self.kernels.transposed_product(
            self.design, residual
        )

    def product(self, v):
        return self.kernels.transposed_product(self.design, self.design.times(v))

    @cached_property
    def diagonal(self):
        return self.design.squared_norms()

    def block(self, rows, columns):
        left, right = self.design.take(rows), self.design.take(columns)
        if self.sparse:
            return (left.matrix.T @ right.matrix).toarray()
        return left.columns @ right.columns.T

    def whole(self):
        return self._whole

    @cached_property
    def _whole(self):
        if self.sparse:
            return self.kernels.weighted_gram(self.design, self.xp.ones(self.design.shape[0]))
        return self.design.gram()

    def _gershgorin(self):
        return 0.0

    def lower_bound_gap(self, x, g, lower, upper):
        """For x >= 0: by a feasible theta = b - Ax - t v, A' theta <= 0, or by curvature.

        v = 1 serves nonnegative data, and b where A'b > 0.
        """
        xp = self.xp
        residual = self.b - self.design.times(x)
        value = 0.5 * float(residual @ residual)
        best, slope = math.inf, -g  # A' residual
        for direction, image in self._directions:
            helps = image > 0
            needed = xp.where(helps, slope, 0.0) / xp.where(helps, image, 1.0)
            t = max(float(xp.max(needed)), 0.0) if self.p else 0.0
            if bool(xp.any(slope - t * image > 1e-15 * xp.abs(slope))):
                continue
            theta = residual - t * direction
            best = min(best, value - float(self.b @ theta) + 0.5 * float(theta @ theta))
        if not best <= 1e-12 * value:
            best = min(best, model_gap(xp, x, g, lower, upper, self.least_eigenvalue))
        return max(best, 0.0)

    @cached_property
    def _directions(self):
        ones = self.xp.ones(self.design.shape[0])
        return (ones, self.design.transposed_times(ones)), (self.b, -self.c)


def model_gap(xp, x, g, lower, upper, curvature):
    """f(x) - min of f(x) + g'(y - x) + curvature |y - x|^2/2 over the box.

    A bound of f(x) - min f for every lower bound of the Hessian's eigenvalues.
    """
    zero = xp.zeros_like(x)
    if curvature > 0:
        step = xp.clip(-g / curvature, lower - x, upper - x)
        gain = -(g * step + 0.5 * curvature * step * step)
    else:
        step = xp.where(g > 0, lower - x, xp.where(g < 0, upper - x, zero))
        gain = xp.where(g == 0, zero, -g * xp.where(g == 0, zero, step))
    return max(float(xp.sum(gain)), 0.0)
