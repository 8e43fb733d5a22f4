"""The problems of the catalogue: F(x) = f(x) + sum_i h_i(x_i), f smooth and h separable."""

from typing import Any

from refopt import _validate, losses
from refopt.block_coordinate._class_labels import codes, signs
from refopt.block_coordinate._design import take_in
from refopt.block_coordinate._models import (
    DualModel,
    LinearModel,
    LogisticModel,
    Model,
    MultinomialModel,
    QuadraticModel,
)
from refopt.block_coordinate._problem_intake import (
    class_numbers,
    refuse_asymmetry,
    refuse_one_class,
    take_in_vector,
    transposed_design,
)

__all__ = ["LeastSquares", "Logistic", "Problem", "Quadratic", "SVMDual", "Softmax"]


class Problem:
    """What all problems share: F, the derivatives of f and the constants of coordinates.

    Attributes
    ----------
    model : Model
        What the solver works on.
    """

    model: Model

    @property
    def shape(self):
        """Shape of x: (p,), of `Softmax` (p, K), whose coordinates are counted in C order."""
        return self.model.shape

    def fun(self, x: Any) -> float:
        """Compute F(x).

        Parameters
        ----------
        x : array_like
            Of the problem's shape.

        Returns
        -------
        float
            Infinite out of bounds.
        """
        return self.model.fun(self._point(x))

    def grad(self, x: Any) -> Any:
        """Compute the gradient of f.

        Parameters
        ----------
        x : array_like
            Of the problem's shape.

        Returns
        -------
        array
            In the shape of x.
        """
        model, x = self.model, self._point(x)
        return model.xp.reshape(model.gradient(x, model.state(x)), model.shape)

    def block_grad(self, x: Any, b: Any) -> Any:
        """Compute the gradient of f in the coordinates b.

        Parameters
        ----------
        x : array_like
            Of the problem's shape.
        b : array of int
            Coordinates.

        Returns
        -------
        array, shape of b
            Costs a pass over the columns b once A x is known.
        """
        model, x, b = self.model, self._point(x), self._block(b)
        return model.block_gradient(x, model.state(x), b, model.columns(b))

    def lipschitz(self) -> Any:
        """Compute the Lipschitz constants L_i of the partial derivatives.

        Returns
        -------
        array, shape (size of x,)
            Upper bounds where f is not quadratic.
        """
        return self.model.xp.asarray(self.model.coordinate_lipschitz, copy=True)

    def block_bound(self, b: Any) -> Any:
        """Compute H_b, a matrix above the Hessian of f in the coordinates b at every x.

        Parameters
        ----------
        b : array of int
            Coordinates.

        Returns
        -------
        array, shape (len(b), len(b))
            The Hessian itself where f is quadratic.
        """
        b = self._block(b)
        return self.model.bound(b, self.model.columns(b))

    def hess(self, x: Any, b: Any) -> Any:
        """Compute the Hessian of f in the coordinates b.

        Parameters
        ----------
        x : array_like
            Of the problem's shape.
        b : array of int
            Coordinates.

        Returns
        -------
        array, shape (len(b), len(b))
            Dense.
        """
        model, x, b = self.model, self._point(x), self._block(b)
        return model.hessian(x, model.state(x), b, model.columns(b))

    def dual_gap(self, x: Any) -> float | None:
        """Compute F(x) minus a lower bound of its minimum.

        Parameters
        ----------
        x : array_like
            Of the problem's shape.

        Returns
        -------
        float or None
            The bound is the dual value that the slopes at x give. None where no
            dual is at hand: with neither l1 nor l2 nor bounds, and where bounds
            are infinite without them.
        """
        return self.model.gap(self._point(x))

    def _point(self, x):
        return _validate.all_finite(self.model.xp, self.model.flat(x), "x")

    def _block(self, b):
        b, size = _validate.as_array(b, "b"), self.model.size
        if b.ndim != 1 or not _validate.dtype_name(b).startswith(("int", "uint")):
            raise TypeError(f"b must be a vector of integers, got {b!r}")
        if b.shape[0] and not 0 <= int(self.model.xp.min(b)) <= int(self.model.xp.max(b)) < size:
            raise ValueError(f"b must hold coordinates from 0 to {size - 1}, got {b!r}")
        return self.model.xp.asarray(b)


class LeastSquares(Problem):
    r"""Least squares, :math:`\tfrac12\|Ax - b\|^2 + \tfrac{l_2}{2}\|x\|^2 + h(x)`.

    Parameters
    ----------
    A : array or sparse matrix, shape (n, p)
        Data, one row per sample.
    b : array_like, shape (n,)
        Right-hand side.
    l1, l2 : float, optional
        Nonnegative; :math:`h(x) = l_1 \sum_j w_j|x_j|`.
    bounds : (lower, upper), optional
        Numbers, arrays of the shape of x, or None. With l1 they may not let a
        coordinate change its sign.
    weights : array_like, optional
        Nonnegative weights w of the l1 term, in the shape of x; ones by default.
    backend : str, optional
        See `refopt_backends.resolve`.

    Examples
    --------
    >>> import refopt
    >>> problem = refopt.LeastSquares([[1.0, 0.0], [0.0, 2.0]], [3.0, 2.0], l1=1.0)
    >>> problem.fun([2.0, 0.5])
    3.5
    >>> problem.dual_gap([2.0, 0.75])
    0.0
    """

    def __init__(self, A, b, *, l1=0.0, l2=0.0, bounds=None, weights=None, backend=None):
        b = _validate.as_array(b, "b")
        taken = take_in(A, b, backend=backend, names=("A", "b"), most=_validate.LARGEST)
        b = take_in_vector(taken[0], b, "b", taken[2].shape[0])
        shape = taken[2].shape[1:]
        self.model = LinearModel(taken, losses.Squared(), shape, b, l1, l2, bounds, weights)


class Logistic(Problem):
    r"""Logistic regression, :math:`\sum_i\log(1+e^{-y_ia_i^Tx})+\tfrac{l_2}{2}\|x\|^2+h(x)`.

    Parameters
    ----------
    A : array or sparse matrix, shape (n, p)
        Data, one row per sample.
    y : array_like, shape (n,)
        Two classes: 0 and 1, -1 and 1, or booleans.
    l1, l2 : float, optional
        Nonnegative, as for `LeastSquares`.
    bounds : (lower, upper), optional
        As for `LeastSquares`.
    weights : array_like, optional
        As for `LeastSquares`.
    backend : str, optional
        See `refopt_backends.resolve`.

    Raises
    ------
    ValueError
        Other labels; one class only and neither l1 nor l2 nor bounds: F is unbounded in x.

    Examples
    --------
    >>> import refopt
    >>> problem = refopt.Logistic([[1.0], [2.0], [-1.0]], [1, 0, 0])
    >>> problem.grad([0.0])
    array([0.])
    """

    def __init__(self, A, y, *, l1=0.0, l2=0.0, bounds=None, weights=None, backend=None):
        y = _validate.as_array(y, "y")
        taken = take_in(
            A,
            y if class_numbers(y) else None,
            backend=backend,
            names=("A", "y"),
            most=_validate.LARGEST,
        )
        y, classes = signs(taken[0], y, taken[2].shape[0])
        shape = taken[2].shape[1:]
        self.model = LogisticModel(taken, losses.Logistic(), shape, y, l1, l2, bounds, weights)
        refuse_one_class(self.model, classes, "y")


class Softmax(Problem):
    r"""Multi-class logistic regression with one column of x for each of K classes.

    .. math:: \sum_i \Bigl(\log\sum_c e^{(Ax)_{ic}} - (Ax)_{ic_i}\Bigr)
              + \tfrac{l_2}{2}\|x\|^2 + h(x)

    Parameters
    ----------
    A : array or sparse matrix, shape (n, p)
        Data, one row per sample.
    labels : array_like, shape (n,)
        Numbers or strings; column c of x belongs to the c-th class in sorted order.
    l1, l2 : float, optional
        Nonnegative, as for `LeastSquares`.
    bounds : (lower, upper), optional
        As for `LeastSquares`.
    weights : array_like, optional
        As for `LeastSquares`.
    backend : str, optional
        See `refopt_backends.resolve`.

    Attributes
    ----------
    classes : array, shape (K,)
        The labels in sorted order.

    Raises
    ------
    ValueError
        One class only and neither l1 nor l2 nor bounds.

    Examples
    --------
    >>> import refopt
    >>> problem = refopt.Softmax([[1.0], [2.0], [-1.0]], ["a", "b", "c"])
    >>> problem.shape, round(problem.fun([[0.0, 0.0, 0.0]]), 6)
    ((1, 3), 3.295837)
    """

    def __init__(self, A, labels, *, l1=0.0, l2=0.0, bounds=None, weights=None, backend=None):
        labels = _validate.as_array(labels, "labels")
        given = labels if class_numbers(labels) else None
        taken = take_in(A, given, backend=backend, names=("A", "labels"), most=_validate.LARGEST)
        xp, _, design = taken
        number, self.classes = codes(xp, labels, design.shape[0])
        K = self.classes.shape[0]
        y = xp.astype(number[:, None] == xp.arange(K)[None, :], xp.float64)
        shape = (design.shape[1], K)
        self.model = MultinomialModel(
            taken, losses.Multinomial(), shape, y, l1, l2, bounds, weights
        )
        refuse_one_class(self.model, self.classes, "labels")


class SVMDual(Problem):
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
    C : float, optional
        Positive.
    l1, l2 : float, optional
        Nonnegative, as for `LeastSquares`.
    bounds : (lower, upper), optional
        As for `LeastSquares`; instead of (0, C).
    weights : array_like, optional
        As for `LeastSquares`.
    backend : str, optional
        See `refopt_backends.resolve`.

    Examples
    --------
    >>> import refopt
    >>> problem = refopt.SVMDual([[1.0], [-2.0]], [1, -1], C=1.0)
    >>> problem.fun([0.0, 0.25]), problem.dual_gap([0.0, 0.25])
    (-0.125, 0.5)
    """

    def __init__(self, A, y, C=1.0, *, l1=0.0, l2=0.0, bounds=None, weights=None, backend=None):
        C = _validate.positive(C, "C")
        y = _validate.as_array(y, "y")
        given = y if class_numbers(y) else None
        xp, kernels, design = take_in(
            A, given, backend=backend, names=("A", "y"), most=_validate.LARGEST
        )
        n, p = design.shape
        y, _ = signs(xp, y, n)
        taken = xp, kernels, transposed_design(design.scaled_rows(y))
        bounds = (0.0, C) if bounds is None else bounds
        self.model = DualModel(
            taken, losses.Squared(), (n,), xp.zeros(p), l1, l2, bounds, weights, -xp.ones(n)
        )


class Quadratic(Problem):
    r"""A convex quadratic, :math:`\tfrac12x^TAx - b^Tx + \tfrac{l_2}{2}\|x\|^2 + h(x)`.

    Parameters
    ----------
    A : array or sparse matrix, shape (p, p)
        Symmetric and positive semidefinite. A sparse matrix has a graph, which
        some partitions use.
    b : array_like, shape (p,)
        The linear term, with a minus.
    l1, l2 : float, optional
        Nonnegative, as for `LeastSquares`.
    bounds : (lower, upper), optional
        As for `LeastSquares`.
    weights : array_like, optional
        As for `LeastSquares`.
    backend : str, optional
        See `refopt_backends.resolve`.

    Raises
    ------
    ValueError
        A is not square or not symmetric, or its diagonal shows that it is not
        positive semidefinite.

    Examples
    --------
    >>> import refopt
    >>> problem = refopt.Quadratic([[2.0, -1.0], [-1.0, 2.0]], [1.0, 0.0], bounds=(0.0, None))
    >>> problem.fun([1.0, 0.0])
    0.0
    """

    def __init__(self, A, b, *, l1=0.0, l2=0.0, bounds=None, weights=None, backend=None):
        b = _validate.as_array(b, "b")
        taken = take_in(A, b, backend=backend, names=("A", "b"))
        xp, _, design = taken
        if design.shape[0] != design.shape[1]:
            raise ValueError(f"A must be square, got shape {design.shape}")
        refuse_asymmetry(xp, design)
        b = take_in_vector(xp, b, "b", design.shape[0])
        self.model = QuadraticModel(taken, b, l1, l2, bounds, weights)
