"""The problems of the catalogue: F(x) = f(x) + sum_i h_i(x_i), f smooth and h separable.

A problem keeps what the paper calls its state z beside x: z = A x for the
linear models and for quadratics, so that a step d in a block b costs
z += A_b d. `columns` is A_b, taken once per block.
"""

import math
from typing import Any

from refopt import _validate, losses
from refopt._namespace import HoldsNamespace
from refopt.block_coordinate._block import Effort
from refopt.block_coordinate._class_labels import codes, signs
from refopt.block_coordinate._design import SparseDesign, take_in
from refopt.block_coordinate._problem_intake import (
    can_scale,
    class_numbers,
    gram_row_sums,
    longest_step,
    refuse_asymmetry,
    refuse_one_class,
    row_major,
    take_in_penalty,
    take_in_vector,
    transposed_design,
    unrestrained,
)
from refopt.penalties import Box

__all__ = ["LeastSquares", "Logistic", "Problem", "Quadratic", "SVMDual", "Softmax"]

_THIRD = 6.0 * math.sqrt(3.0)  # the third derivative of the logistic function is at most 1/this


class Problem(HoldsNamespace):
    """What all problems share: penalties, certificates and the public methods.

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

    # -- what users of a problem object call ----------------------------------

    def fun(self, x: Any) -> float:
        """F(x), infinite out of bounds."""
        x = self.flat(x)
        return self.smooth(x, self.state(x)) + self.penalty.value(x)

    def grad(self, x: Any) -> Any:
        """The gradient of f, in the shape of x."""
        v = self.flat(x)
        return self.xp.reshape(self.gradient(v, self.state(v)), self.shape)

    def block_grad(self, x: Any, b: Any) -> Any:
        """The gradient of f in the coordinates b."""
        x = self.flat(x)
        return self.block_gradient(x, self.state(x), b, self.columns(b))

    def lipschitz(self) -> Any:
        """L_i, the Lipschitz constants of the partial derivatives, (size,)."""
        return self.coordinate_lipschitz

    def block_bound(self, b: Any) -> Any:
        """H_b, a matrix above the Hessian of f in the coordinates b at every x."""
        return self.bound(b, self.columns(b))

    def hess(self, x: Any, b: Any) -> Any:
        """The Hessian of f in the coordinates b."""
        x = self.flat(x)
        return self.hessian(x, self.state(x), b, self.columns(b))

    def dual_gap(self, x: Any) -> float | None:
        """F(x) minus a lower bound of its minimum; None where no dual is at hand."""
        x = self.flat(x)
        z = self.state(x)
        dual = self.dual_value(x, z, self.gradient(x, z))
        return None if dual is None else self.smooth(x, z) + self.penalty.value(x) - dual

    # -- what the iteration calls ----------------------------------------------

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
        x = self.start()
        gap = self.dual_gap(x)
        return gap if gap else 1.0

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
        """sum_j |H_ij|."""
        raise NotImplementedError


class LinearModel(Problem):
    """f(x) = sum_r l((A x)_r, y_r) + c'x + l2/2 ||x||^2 with a loss l of `refopt.losses`."""

    loss: Any

    def __init__(self, taken, shape, y, l1, l2, bounds, weights, linear=None):
        xp, kernels, design = taken
        self.y, self.linear = y, linear
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


class LeastSquares(LinearModel):
    r"""Least squares, :math:`\tfrac12\|Ax - b\|^2 + \tfrac{l_2}{2}\|x\|^2 + h(x)`.

    Parameters
    ----------
    A : array or sparse matrix, shape (n, p)
    b : array_like, shape (n,)
    l1, l2 : float, optional
        h is ``l1 * sum(weights * |x|)``.
    bounds : (lower, upper), optional
        Numbers, arrays of shape (p,) or None. With l1 they may not let a
        coordinate change its sign.
    weights : array_like, shape (p,), optional
        Nonnegative weights of the l1 term.
    backend : str, optional
        See `refopt_backends.resolve`.

    Examples
    --------
    >>> from refopt.block_coordinate import LeastSquares
    >>> problem = LeastSquares([[1.0, 0.0], [0.0, 2.0]], [3.0, 2.0], l1=1.0)
    >>> problem.fun([2.0, 0.5])
    5.0
    >>> problem.dual_gap([2.0, 0.75])
    0.0
    """

    loss = losses.Squared()

    def __init__(self, A, b, *, l1=0.0, l2=0.0, bounds=None, weights=None, backend=None):
        b = _validate.as_array(b, "b")
        taken = take_in(A, b, backend=backend, names=("A", "b"))
        b = take_in_vector(taken[0], b, "b", taken[2].shape[0])
        super().__init__(taken, taken[2].shape[1:], b, l1, l2, bounds, weights)


class Logistic(LinearModel):
    r"""Logistic regression, :math:`\sum_i\log(1+e^{-y_ia_i^Tx})+\tfrac{l_2}{2}\|x\|^2+h(x)`.

    Parameters
    ----------
    A : array or sparse matrix, shape (n, p)
    y : array_like, shape (n,)
        Two classes: 0 and 1, -1 and 1, or booleans.
    l1, l2, bounds, weights, backend
        As for `LeastSquares`.

    Raises
    ------
    ValueError
        Other labels; one class only and neither l1 nor l2 nor bounds: F is unbounded in x.

    Examples
    --------
    >>> from refopt.block_coordinate import Logistic
    >>> problem = Logistic([[1.0], [2.0], [-1.0]], [1, 0, 0])
    >>> problem.grad([0.0])
    array([0.])
    """

    loss = losses.Logistic()

    def __init__(self, A, y, *, l1=0.0, l2=0.0, bounds=None, weights=None, backend=None):
        y = _validate.as_array(y, "y")
        taken = take_in(A, y if class_numbers(y) else None, backend=backend, names=("A", "y"))
        y, classes = signs(taken[0], y, taken[2].shape[0])
        super().__init__(taken, taken[2].shape[1:], y, l1, l2, bounds, weights)
        refuse_one_class(self, classes, "y")

    def separates(self, z):
        """All margins y_i z_i are positive, and nothing holds x back."""
        return unrestrained(self) and bool(self.xp.all(self.y * z > 0))


class Softmax(LinearModel):
    r"""Multi-class logistic regression with one column of x for each of K classes.

    .. math:: \sum_i \Bigl(\log\sum_c e^{(Ax)_{ic}} - (Ax)_{ic_i}\Bigr)
              + \tfrac{l_2}{2}\|x\|^2 + h(x)

    Parameters
    ----------
    A : array or sparse matrix, shape (n, p)
    labels : array_like, shape (n,)
        Numbers or strings; column c of x belongs to the c-th class in sorted order.
    l1, l2, bounds, weights, backend
        As for `LeastSquares`, arrays of shape (p, K).

    Examples
    --------
    >>> from refopt.block_coordinate import Softmax
    >>> problem = Softmax([[1.0], [2.0], [-1.0]], ["a", "b", "c"])
    >>> problem.shape, round(problem.fun([[0.0, 0.0, 0.0]]), 6)
    ((1, 3), 3.295837)
    """

    loss = losses.Multinomial()

    def __init__(self, A, labels, *, l1=0.0, l2=0.0, bounds=None, weights=None, backend=None):
        labels = _validate.as_array(labels, "labels")
        given = labels if class_numbers(labels) else None
        taken = take_in(A, given, backend=backend, names=("A", "labels"))
        xp, _, design = taken
        number, self.classes = codes(xp, labels, design.shape[0])
        K = self.classes.shape[0]
        y = xp.astype(number[:, None] == xp.arange(K)[None, :], xp.float64)
        super().__init__(taken, (design.shape[1], K), y, l1, l2, bounds, weights)
        refuse_one_class(self, self.classes, "labels")

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
        K = min(self.shape[1], int(self.xp.unique_values(c).shape[0]) + 1)
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
        classes = int(self.xp.unique_values(self._classes(b)).shape[0])
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


class SVMDual(LinearModel):
    r"""The dual of a support vector machine without intercept.

    .. math:: \min_{0 \le a \le C}\; \tfrac12\|w\|^2 - \textstyle\sum_i a_i,
              \qquad w = \textstyle\sum_i a_i y_i x_i

    Its duality gap is that to the primal
    :math:`\tfrac12\|w\|^2 + C\sum_i\max(0, 1 - y_i w^Tx_i)`.

    Parameters
    ----------
    A : array or sparse matrix, shape (n, p)
        One row x_i per sample.
    y : array_like, shape (n,)
        Two classes, as for `Logistic`.
    C : float
        Positive.
    l1, l2, weights, backend
        As for `LeastSquares`.
    bounds : (lower, upper), optional
        Instead of (0, C).

    Examples
    --------
    >>> from refopt.block_coordinate import SVMDual
    >>> problem = SVMDual([[1.0], [-2.0]], [1, -1], C=1.0)
    >>> problem.fun([1.0, 0.0]), problem.dual_gap([1.0, 0.0])
    (-0.5, 0.0)
    """

    loss = losses.Squared()

    def __init__(self, A, y, C=1.0, *, l1=0.0, l2=0.0, bounds=None, weights=None, backend=None):
        C = _validate.positive(C, "C")
        y = _validate.as_array(y, "y")
        given = y if class_numbers(y) else None
        xp, kernels, design = take_in(A, given, backend=backend, names=("A", "y"))
        n, p = design.shape
        y, _ = signs(xp, y, n)
        design = transposed_design(design.scaled_rows(y))
        bounds = (0.0, C) if bounds is None else bounds
        super().__init__(
            (xp, kernels, design), (n,), xp.zeros(p), l1, l2, bounds, weights, linear=-xp.ones(n)
        )

    def gap_scale(self):
        """The primal at w = 0, C n."""
        return Problem.gap_scale(self)


class Quadratic(Problem):
    r"""A convex quadratic, :math:`\tfrac12x^TAx - b^Tx + \tfrac{l_2}{2}\|x\|^2 + h(x)`.

    Parameters
    ----------
    A : array or sparse matrix, shape (p, p)
        Symmetric and positive semidefinite.
    b : array_like, shape (p,)
    l1, l2, bounds, weights, backend
        As for `LeastSquares`.

    Raises
    ------
    ValueError
        A is not square or not symmetric, or has a negative diagonal entry.

    Examples
    --------
    >>> from refopt.block_coordinate import Quadratic
    >>> problem = Quadratic([[2.0, -1.0], [-1.0, 2.0]], [1.0, 0.0], bounds=(0.0, None))
    >>> problem.fun([1.0, 0.0])
    0.0
    """

    def __init__(self, A, b, *, l1=0.0, l2=0.0, bounds=None, weights=None, backend=None):
        b = _validate.as_array(b, "b")
        xp, kernels, design = take_in(A, b, backend=backend, names=("A", "b"))
        if design.shape[0] != design.shape[1]:
            raise ValueError(f"A must be square, got shape {design.shape}")
        refuse_asymmetry(xp, design)
        self.b = take_in_vector(xp, b, "b", design.shape[0])
        super().__init__(xp, kernels, design, design.shape[1:], l1, l2, bounds, weights)

    @property
    def sparse(self) -> bool:
        """Whether A is a sparse matrix, whose graph partitions may use."""
        return isinstance(self.design, SparseDesign)

    def _coordinate_lipschitz(self):
        if self.sparse:
            diagonal = self.xp.asarray(self.design.matrix.diagonal())
        else:
            diagonal = self.xp.linalg.diagonal(self.design.columns)
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
