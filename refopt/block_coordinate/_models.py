"""What the loop asks of a problem F(x) = f(x) + sum_i h_i(x_i): states, blocks, bounds, duals.

A model keeps what the paper calls its state z beside x: z = A x for the
linear models and for quadratics, so that a step d in a block b costs
z += A_b d. `columns` is A_b, taken once per block.
"""

import math
from typing import Any

from refopt import _validate
from refopt._namespace import HoldsNamespace
from refopt.block_coordinate._block import Effort
from refopt.block_coordinate._design import SparseDesign
from refopt.block_coordinate._problem_intake import (
    can_scale,
    gram_row_sums,
    longest_step,
    row_major,
    take_in_penalty,
    unrestrained,
)
from refopt.penalties import Box
from refopt_backends import diagonal_of, unique_values

_THIRD = 6.0 * math.sqrt(3.0)  # the third derivative of the logistic function is at most 1/this


class Model(HoldsNamespace):
    """What all models share: the penalty and the certificates.

    Attributes
    ----------
    shape : tuple of int
        Shape of x; (p, K) for `Softmax`. Coordinates are counted in C order.
    size : int
        Number of coordinates.
    penalty : object of `refopt.penalties`
        The h.
    quadratic : bool
        Whether f is quadratic.
    """

    quadratic = True

    def __init__(self, xp, kernels, design, shape, l1, l2, bounds, weights):
        self.xp, self.kernels, self.design = xp, kernels, design
        self.effort = Effort()
        self.shape, self.size = shape, math.prod(shape)
        self.dtype = design.dtype
        self.l2 = _validate.nonnegative(l2, "l2")
        self.penalty = take_in_penalty(self, _validate.nonnegative(l1, "l1"), bounds, weights)
        self.coordinate_lipschitz = self._coordinate_lipschitz() + self.l2

    def fun(self, x: Any) -> float:
        """F(x), infinite out of bounds."""
        return self.smooth(x, self.state(x)) + self.penalty.value(x)

    def flat(self, x: Any, name: str = "x") -> Any:
        """x as a vector in double precision."""
        x = _validate.as_array(x, name)
        if tuple(x.shape) not in (self.shape, (self.size,)):
            raise ValueError(f"{name} must have shape {self.shape}, got {tuple(x.shape)}")
        x = _validate.real_array(self.xp, self.xp.reshape(x, (-1,)), name, 1)
        return self.xp.astype(x, self.xp.float64, copy=False)

    def state(self, x: Any) -> Any:
        """z = A x."""
        return self.design.times(x)

    def columns(self, b: Any) -> Any:
        """A_b."""
        return self.design.take(b)

    def product(self, b: Any, columns: Any, d: Any) -> Any:
        """A_b d, by which the state changes."""
        return columns.times(d)

    def lower_bound_at(self, x: Any, fun: float, g: Any) -> float | None:
        """The dual value that Fenchel and Young give with the slopes at x themselves.

        F(x) - D = sum_i x_i q_i + h_i(x_i) + l2/2 x_i^2 + sup_t (-q_i t - h_i(t) - l2/2 t^2)
        with q = g - l2 x.
        """
        xp = self.xp
        q = g - self.l2 * x
        parts = x * g - 0.5 * self.l2 * x * x + self.penalty.values(x)
        gap = float(xp.sum(parts + self.penalty.conjugate(-q, self.l2)))
        return fun - gap if math.isfinite(gap) else None

    def dual_value(self, x: Any, z: Any, g: Any) -> float | None:
        """A lower bound of the minimum of F; None where no dual is at hand."""
        if not self.has_dual:
            return None
        return self.lower_bound_at(x, self.smooth(x, z) + self.penalty.value(x), g)

    @property
    def has_dual(self) -> bool:
        """Whether `dual_value` is a number: l2 > 0, or finite bounds on all coordinates."""
        return self.l2 > 0 or self._compact()

    def gap_scale(self) -> float:
        """What gaps are relative to: that at the point of the box nearest to 0."""
        return self.gap(self.start()) or 1.0

    def gap(self, x: Any) -> float | None:
        """F(x) minus a lower bound of its minimum; None where no dual is at hand."""
        z = self.state(x)
        dual = self.dual_value(x, z, self.gradient(x, z))
        return None if dual is None else self.smooth(x, z) + self.penalty.value(x) - dual

    def start(self) -> Any:
        """0, or the nearest point within the bounds."""
        x = self.xp.zeros(self.size)
        return self.penalty.project(x) if isinstance(self.penalty, Box) else x

    def separates(self, z: Any) -> bool:
        """Whether z proves that F has no minimiser."""
        return False

    def _compact(self):
        if not isinstance(self.penalty, Box):
            return False
        lower, upper = self.penalty.lower, self.penalty.upper
        return bool(self.xp.all(self.xp.isfinite(lower)) & self.xp.all(self.xp.isfinite(upper)))

    # -- what each kind of problem has of its own -------------------------------

    def _coordinate_lipschitz(self):
        raise NotImplementedError

    def smooth(self, x: Any, z: Any) -> float:
        """f(x)."""
        raise NotImplementedError

    def gradient(self, x: Any, z: Any) -> Any:
        """The gradient of f."""
        raise NotImplementedError

    def block_gradient(self, x: Any, z: Any, b: Any, columns: Any) -> Any:
        """Its entries b."""
        raise NotImplementedError

    def change(self, x: Any, z: Any, g: Any, d: Any, b: Any, v: Any) -> float:
        """f(x + U_b d) - f(x), with g the gradient in b and v = A_b d."""
        raise NotImplementedError

    def bound(self, b: Any, columns: Any) -> Any:
        """H_b."""
        raise NotImplementedError

    def hessian(self, x: Any, z: Any, b: Any, columns: Any) -> Any:
        """The Hessian of f in b."""
        return self.bound(b, columns)

    def third(self, b: Any, columns: Any) -> float:
        """M_b, a Lipschitz constant of the block Hessian."""
        return 0.0

    def bound_times(self, d: Any) -> Any:
        """H d with the matrix H >= the Hessian of f, for all coordinates."""
        raise NotImplementedError

    def row_sums(self) -> Any:
        """``sum_j |H_ij|``."""
        raise NotImplementedError


class LinearModel(Model):
    """f(x) = sum_r l((A x)_r, y_r) + c'x + l2/2 ||x||^2 with a loss l of `refopt.losses`."""

    def __init__(self, taken, loss, shape, y, l1, l2, bounds, weights, linear=None):
        xp, kernels, design = taken
        self.loss, self.y, self.linear = loss, y, linear
        self.quadratic = self.loss.quadratic
        super().__init__(xp, kernels, design, shape, l1, l2, bounds, weights)

    def _coordinate_lipschitz(self):
        return self.loss.largest_curvature * self.design.squared_norms()

    def smooth(self, x, z):
        f = self.loss.value(z, self.y) + 0.5 * self.l2 * float(x @ x)
        return f if self.linear is None else f + float(self.linear @ x)

    def gradient(self, x, z):
        g = self.design.transposed_times(self.loss.gradient(z, self.y)) + self.l2 * x
        return g if self.linear is None else g + self.linear

    def block_gradient(self, x, z, b, columns):
        g = columns.transposed_times(self.loss.gradient(z, self.y)) + self.l2 * x[b]
        return g if self.linear is None else g + self.linear[b]

    def change(self, x, z, g, d, b, v):
        ridge = self.l2 * float(d @ d)
        if self.quadratic:
            return float(g @ d) + 0.5 * (float(v @ v) + ridge)
        rise = self.loss.value(z + v, self.y) - self.loss.value(z, self.y)
        return rise + self.l2 * float(x[b] @ d) + 0.5 * ridge

    def bound(self, b, columns):
        return self.loss.largest_curvature * columns.gram() + self.l2 * self.xp.eye(b.shape[0])

    def hessian(self, x, z, b, columns):
        if self.quadratic:
            return self.bound(b, columns)
        d = self.loss.curvature(z, self.y)
        return columns.gram(d) + self.l2 * self.xp.eye(b.shape[0])

    def third(self, b, columns):
        if self.quadratic:
            return 0.0
        A = row_major(columns)
        return float(self.xp.sum(self.xp.sum(A * A, axis=0) ** 1.5)) / _THIRD

    def bound_times(self, d):
        curved = self.loss.largest_curvature * self.design.times(d)
        return self.design.transposed_times(curved) + self.l2 * d

    def row_sums(self):
        return self.loss.largest_curvature * gram_row_sums(self.design) + self.l2

    @property
    def has_dual(self):
        return super().has_dual or can_scale(self.xp, self.penalty)

    def gap_scale(self):
        """F(0), or at the nearest point within the bounds; 1 where that is 0."""
        return self.fun(self.start()) or 1.0

    def dual_value(self, x, z, g):
        """-l*(t s) - h*(-t A's), s the slopes at x, shortened to a feasible length t."""
        if not self.has_dual:
            return None
        if self.l2 > 0 or self._compact():
            return self.lower_bound_at(x, self.smooth(x, z) + self.penalty.value(x), g)
        s = self.loss.gradient(z, self.y)
        t = min(self.loss.dual_scale(s, self.y), longest_step(self.xp, self.penalty, g))
        value = -self.loss.conjugate(t * s, self.y)
        if isinstance(self.penalty, Box):
            # lower is finite, and the products with it are what remains of h*
            v = -t * g - self.penalty.slope
            zero = self.xp.zeros_like(v)
            value -= float(self.xp.sum((zero + self.penalty.lower) * self.xp.minimum(v, zero)))
        return value


class LogisticModel(LinearModel):
    """Two classes."""

    def separates(self, z):
        """All margins y_i z_i are positive, and nothing holds x back."""
        return unrestrained(self) and bool(self.xp.all(self.y * z > 0))


class MultinomialModel(LinearModel):
    """K classes: coordinate j K + c is column c of x in row j; y holds indicators."""

    def _coordinate_lipschitz(self):
        K = self.shape[1]
        share = 0.25 if K > 1 else 0.0
        return self.xp.repeat(share * self.design.squared_norms(), K)

    def state(self, x):
        return self.design.times(self.xp.reshape(x, self.shape))

    def gradient(self, x, z):
        g = self.design.transposed_times(self.loss.gradient(z, self.y))
        return self.xp.reshape(g, (-1,)) + self.l2 * x

    def columns(self, b):
        """The column of each coordinate's feature as a row, dense."""
        return row_major(self.design.take(b // self.shape[1]))

    def _classes(self, b):
        return b % self.shape[1]

    def product(self, b, columns, d):
        indicator = self._classes(b)[:, None] == self.xp.arange(self.shape[1])[None, :]
        D = self.xp.astype(indicator, self.xp.float64) * d[:, None]
        return columns.T @ D

    def block_gradient(self, x, z, b, columns):
        s = self.xp.take(self.loss.gradient(z, self.y), self._classes(b), axis=1)
        return self.xp.sum(columns * s.T, axis=1) + self.l2 * x[b]

    def bound(self, b, columns):
        """1/2 (1[c = c'] - 1/K) <a_j, a_j'>; untouched classes count as one."""
        c = self._classes(b)
        K = min(self.shape[1], int(unique_values(c).shape[0]) + 1)
        same = self.xp.astype(c[:, None] == c[None, :], self.xp.float64)
        ridge = self.l2 * self.xp.eye(b.shape[0])
        return 0.5 * (same - 1 / K) * (columns @ columns.T) + ridge

    def hessian(self, x, z, b, columns):
        c = self._classes(b)
        P = self.xp.take(self.loss.curvature(z, self.y), c, axis=1).T
        same = self.xp.astype(c[:, None] == c[None, :], self.xp.float64)
        weighted = columns * P
        ridge = self.l2 * self.xp.eye(b.shape[0])
        return same * (weighted @ columns.T) - weighted @ weighted.T + ridge

    def third(self, b, columns):
        """Third central moments of slopes that spread over at most sqrt(2) ||a_rb||."""
        classes = int(unique_values(self._classes(b)).shape[0])
        spread = 1.0 if classes == 1 else 2.0**1.5
        norms = self.xp.sum(columns * columns, axis=0) ** 1.5
        return spread * float(self.xp.sum(norms)) / _THIRD

    def bound_times(self, d):
        V = self.state(d)
        V = 0.5 * (V - self.xp.mean(V, axis=1, keepdims=True))
        return self.xp.reshape(self.design.transposed_times(V), (-1,)) + self.l2 * d

    def row_sums(self):
        K = self.shape[1]
        return self.xp.repeat((K - 1) / K * gram_row_sums(self.design), K) + self.l2

    def separates(self, z):
        """Every sample's own class is strictly ahead, and nothing holds x back."""
        others = self.xp.where(self.y > 0, self.xp.full_like(z, -math.inf), z)
        own = self.xp.sum(self.y * z, axis=1)
        return unrestrained(self) and bool(self.xp.all(own > self.xp.max(others, axis=1)))


class QuadraticModel(Model):
    """f(x) = 1/2 x'A x - b'x + l2/2 ||x||^2."""

    def __init__(self, taken, b, l1, l2, bounds, weights):
        xp, kernels, design = taken
        self.b = b
        super().__init__(xp, kernels, design, design.shape[1:], l1, l2, bounds, weights)

    @property
    def sparse(self) -> bool:
        """Whether A is a sparse matrix, whose graph partitions may use."""
        return isinstance(self.design, SparseDesign)

    def _coordinate_lipschitz(self):
        if self.sparse:
            diagonal = self.xp.asarray(self.design.matrix.diagonal())
        else:
            diagonal = diagonal_of(self.design.columns)
        if self.size and bool(self.xp.any(diagonal < 0)):
            raise ValueError("A must be positive semidefinite, got a negative diagonal entry")
        if bool(self.xp.any((diagonal == 0) & (self._absolute_sums() > 0))):
            raise ValueError("A must be positive semidefinite, got a zero on the diagonal only")
        return diagonal

    def smooth(self, x, z):
        return 0.5 * float(x @ z) - float(self.b @ x) + 0.5 * self.l2 * float(x @ x)

    def gradient(self, x, z):
        return z - self.b + self.l2 * x

    def block_gradient(self, x, z, b, columns):
        return z[b] - self.b[b] + self.l2 * x[b]

    def change(self, x, z, g, d, b, v):
        return float(g @ d) + 0.5 * (float(d @ v[b]) + self.l2 * float(d @ d))

    def bound(self, b, columns):
        if self.sparse:
            H = self.xp.asarray(columns.matrix[b, :].toarray())
        else:
            H = self.xp.take(columns.columns, b, axis=1)
        return H + self.l2 * self.xp.eye(b.shape[0])

    def sparse_bound(self, b: Any) -> Any:
        """H_b as a sparse matrix, for message passing."""
        from scipy.sparse import eye_array

        H = self.design.matrix[:, b][b, :]
        return H + self.l2 * eye_array(b.shape[0]) if self.l2 else H

    def bound_times(self, d):
        return self.design.times(d) + self.l2 * d

    def _absolute_sums(self):
        if self.sparse:
            return self.xp.reshape(self.xp.asarray(abs(self.design.matrix).sum(axis=0)), (-1,))
        return self.xp.sum(self.xp.abs(self.design.columns), axis=1)

    def row_sums(self):
        return self._absolute_sums() + self.l2


class DualModel(LinearModel):
    """1/2 ||w||^2 - 1'a with w = A a: what gaps are relative to is the primal at w = 0."""

    def gap_scale(self):
        return Model.gap_scale(self)
