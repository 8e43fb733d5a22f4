"""Projections and proximal maps."""

import math
from typing import Any

from refopt import _proximal_maps as maps
from refopt import _validate
from refopt_backends import resolve

__all__ = [
    "Product",
    "project_affine",
    "project_ball",
    "project_box",
    "project_hyperplane",
    "project_l1_ball",
    "project_nonneg",
    "project_simplex",
    "project_soc",
    "prox_l1",
    "prox_zero",
]

# Entries below which the compiled kernel is not woken for NumPy arrays.
SMALL = 200


def project_simplex(v, radius=1.0, *, tau0=None, return_threshold=False, backend=None):
    r"""Project a vector on the simplex.

    .. math::
        P(v) = \arg\min_p \|p - v\|, \quad p \ge 0, \; \textstyle\sum_i p_i = r,

    which is :math:`\max(v - \tau, 0)` for one number :math:`\tau`.

    Parameters
    ----------
    v : array_like, shape (n,)
        Any real numbers.
    radius : float, optional
        The sum r > 0.
    tau0 : float, optional
        Guess of the threshold, from a similar vector. It saves time and does
        not change the answer.
    return_threshold : bool, optional
        Return the threshold too.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    p : array, shape (n,)
        The projection, with exact zeros; a new array of v's library, float32
        for float32.
    tau : float
        The threshold, with `return_threshold` only; on a GPU an array without
        dimensions.

    Raises
    ------
    ValueError
        `v` is empty, not 1-dimensional or not finite, `radius` is not positive.
    TypeError
        Complex or non-numeric input.

    Notes
    -----
    Newton's method on the convex and piecewise linear function
    :math:`\sum_i \max(v_i - \tau, 0) - r`: a few passes over v without a sort,
    two from a good guess. Sums are in double precision.

    References
    ----------
    .. [1] L. Condat, Fast projection onto the simplex and the l1 ball,
       Mathematical Programming 158, 2016 (for the problem and its other
       algorithms).

    Examples
    --------
    >>> from refopt.proximal import project_simplex
    >>> [round(float(t), 6) for t in project_simplex([0.9, 0.5, -2.0])]
    [0.7, 0.3, 0.0]
    """
    v = _validate.as_array(v, "v")
    xp, kernels = resolve(v, backend=backend, small=v.size < SMALL)
    v = _finite_vector(xp, v, "v")
    radius = _validate.positive(radius, "radius")
    if tau0 is not None:
        tau0 = _validate.real_number(tau0, "tau0")
        if math.isnan(tau0):
            raise ValueError("tau0 must be a number, got nan")
    p, tau = kernels.project_simplex(v, radius, tau0)
    return (p, tau) if return_threshold else p


def project_box(v, lower=None, upper=None, *, backend=None):
    r"""Project a vector on a box.

    .. math:: P(v)_i = \min(\max(v_i, l_i), u_i)

    Parameters
    ----------
    v : array_like, shape (n,)
        Any real numbers.
    lower, upper : float or array_like, shape (n,), optional
        Bounds; None and infinite values are none.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    array, shape (n,)
        A new array.

    Raises
    ------
    ValueError
        `v` is not finite, a bound is NaN or has another length, lower > upper.
    TypeError
        Complex or non-numeric input.

    Examples
    --------
    >>> from refopt.proximal import project_box
    >>> [float(t) for t in project_box([-1.0, 0.5, 3.0], 0.0, 1.0)]
    [0.0, 0.5, 1.0]
    """
    xp, kernels, v = _intake(v, backend)
    lower, upper = _bound(xp, lower, v, "lower"), _bound(xp, upper, v, "upper")
    if lower is not None and upper is not None and bool(xp.any(lower > upper)):
        raise ValueError("lower must not exceed upper, got an empty box")
    return _new(xp, maps.box(xp, kernels, v, 0.0, lower, upper), v)


def project_nonneg(v, *, backend=None):
    r"""Project a vector on the nonnegative orthant.

    .. math:: P(v)_i = \max(v_i, 0)

    Parameters
    ----------
    v : array_like, shape (n,)
        Any real numbers.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    array, shape (n,)
        A new array.

    Raises
    ------
    ValueError
        `v` is not finite.
    TypeError
        Complex or non-numeric input.

    Examples
    --------
    >>> from refopt.proximal import project_nonneg
    >>> [float(t) for t in project_nonneg([-1.0, 2.0])]
    [0.0, 2.0]
    """
    xp, kernels, v = _intake(v, backend)
    return maps.nonnegative(xp, kernels, v, 0.0)


def project_ball(v, radius=1.0, center=None, *, backend=None):
    r"""Project a vector on a Euclidean ball.

    .. math:: P(v) = c + \min(1, r / \|v - c\|) \, (v - c)

    Parameters
    ----------
    v : array_like, shape (n,)
        Any real numbers.
    radius : float, optional
        The radius r > 0.
    center : array_like, shape (n,), optional
        The centre c; zero by default.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    array, shape (n,)
        A new array.

    Raises
    ------
    ValueError
        `v` or `center` is not finite, `radius` is not positive.
    TypeError
        Complex or non-numeric input.

    Examples
    --------
    >>> from refopt.proximal import project_ball
    >>> [round(float(t), 6) for t in project_ball([3.0, 4.0])]
    [0.6, 0.8]
    """
    xp, kernels, v = _intake(v, backend)
    radius = _validate.positive(radius, "radius")
    center = None if center is None else _vector(xp, center, v, "center")
    return _new(xp, maps.ball(xp, kernels, v, 0.0, radius, center), v)


def project_l1_ball(v, radius=1.0, *, backend=None):
    r"""Project a vector on the ball of the 1-norm.

    .. math:: P(v) = \arg\min_p \|p - v\|, \quad \textstyle\sum_i |p_i| \le r

    Parameters
    ----------
    v : array_like, shape (n,)
        Any real numbers.
    radius : float, optional
        The radius r > 0.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    array, shape (n,)
        A new array, with exact zeros.

    Raises
    ------
    ValueError
        `v` is not finite, `radius` is not positive.
    TypeError
        Complex or non-numeric input.

    Examples
    --------
    >>> from refopt.proximal import project_l1_ball
    >>> [round(float(t), 6) for t in project_l1_ball([2.0, -1.5, 0.1])]
    [0.75, -0.25, 0.0]
    """
    xp, kernels, v = _intake(v, backend)
    radius = _validate.positive(radius, "radius")
    return _new(xp, maps.l1_ball(xp, kernels, v, 0.0, radius), v)


def project_hyperplane(v, a, beta, *, backend=None):
    r"""Project a vector on a hyperplane.

    .. math:: P(v) = v - \frac{a^T v - \beta}{\|a\|^2} a, \qquad \{p : a^T p = \beta\}

    Parameters
    ----------
    v : array_like, shape (n,)
        Any real numbers.
    a : array_like, shape (n,)
        The normal vector, not zero.
    beta : float
        The right-hand side.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    array, shape (n,)
        A new array.

    Raises
    ------
    ValueError
        `v` or `a` is not finite, `a` is zero.
    TypeError
        Complex or non-numeric input.

    Examples
    --------
    >>> from refopt.proximal import project_hyperplane
    >>> [float(t) for t in project_hyperplane([1.0, 3.0], [1.0, 1.0], 2.0)]
    [0.0, 2.0]
    """
    xp, kernels, v = _intake(v, backend)
    a = _vector(xp, a, v, "a")
    beta = _validate.real_number(beta, "beta")
    if not bool(xp.any(a != 0)):
        raise ValueError("a must not be zero, got the zero vector")
    return maps.hyperplane(xp, kernels, v, 0.0, a, beta)


def project_soc(v, *, backend=None):
    r"""Project a vector on the second-order cone.

    .. math:: P(v) = \arg\min_p \|p - v\|, \quad \|(p_2, \dots, p_n)\| \le p_1

    Parameters
    ----------
    v : array_like, shape (n,)
        Any real numbers; the first one is the height.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    array, shape (n,)
        A new array.

    Raises
    ------
    ValueError
        `v` is not finite.
    TypeError
        Complex or non-numeric input.

    Examples
    --------
    >>> from refopt.proximal import project_soc
    >>> [round(float(t), 6) for t in project_soc([0.0, 3.0, 4.0])]
    [2.5, 1.5, 2.0]
    """
    xp, kernels, v = _intake(v, backend)
    return _new(xp, maps.second_order_cone(xp, kernels, v, 0.0), v)


def prox_l1(v, step, weight=1.0, *, backend=None):
    r"""Proximal map of the weighted 1-norm.

    .. math:: \arg\min_p \tfrac12 \|p - v\|^2 + t \textstyle\sum_i w_i |p_i|

    Parameters
    ----------
    v : array_like, shape (n,)
        Any real numbers.
    step : float
        The step t > 0.
    weight : float or array_like, shape (n,), optional
        The weights w >= 0.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    array, shape (n,)
        A new array, with exact zeros.

    Raises
    ------
    ValueError
        `v` is not finite, `step` is not positive, a weight is negative.
    TypeError
        Complex or non-numeric input.

    Examples
    --------
    >>> from refopt.proximal import prox_l1
    >>> [float(t) for t in prox_l1([3.0, -0.5], 1.0)]
    [2.0, 0.0]
    """
    xp, kernels, v = _intake(v, backend)
    step = _validate.positive(step, "step")
    weight = _validate.as_array(weight, "weight")
    weight = _vector(xp, weight, v, "weight") if weight.ndim else float(weight)
    if not bool(xp.all(xp.asarray(weight) >= 0)):
        raise ValueError("weight must not be negative, got a negative entry or NaN")
    return maps.l1(xp, kernels, v, step, weight)


def prox_zero(v, step, *, backend=None):
    r"""Proximal map of the function 0: the vector itself.

    Parameters
    ----------
    v : array_like, shape (n,)
        Any real numbers.
    step : float
        Not used.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    array, shape (n,)
        A copy.

    Raises
    ------
    ValueError
        `v` is not finite.
    TypeError
        Complex or non-numeric input.

    Examples
    --------
    >>> from refopt.proximal import prox_zero
    >>> [float(t) for t in prox_zero([1.0, -2.0], 1.0)]
    [1.0, -2.0]
    """
    xp, _, v = _intake(v, backend)
    return xp.asarray(v, copy=True)


class project_affine:  # called like the functions beside it
    r"""Projection on the solutions of a linear system.

    .. math:: P(v) = v - A^+ (A v - b), \qquad \{p : A p = b\}

    The factor of A is computed once; the object is called like a function.

    Parameters
    ----------
    A : array_like, shape (m, n)
        Of any rank.
    b : array_like, shape (m,)
        In the range of A.
    backend : str, optional
        See `refopt_backends.resolve`.

    Attributes
    ----------
    directions : array, shape (r, n)
        An orthonormal basis of the row space of A, of rank r.
    origin : array, shape (n,)
        The solution of least norm.

    Raises
    ------
    ValueError
        Wrong shapes, NaN, a system without a solution.
    TypeError
        Complex or non-numeric input.

    Notes
    -----
    A singular value decomposition once, then 2 r n multiplications per vector.

    Examples
    --------
    >>> from refopt.proximal import project_affine
    >>> onto = project_affine([[1.0, 1.0], [2.0, 2.0]], [2.0, 4.0])
    >>> [round(float(t), 6) for t in onto([1.0, 3.0])]
    [0.0, 2.0]
    """

    def __init__(self, A, b, *, backend=None):
        A, b = _validate.as_array(A, "A"), _validate.as_array(b, "b")
        xp, _ = resolve(A, b, backend=backend, names=("A", "b"), small=True)
        A = _validate.all_finite(xp, _validate.real_array(xp, A, "A", 2), "A")
        b = _validate.all_finite(xp, _validate.real_array(xp, b, "b", 1), "b")
        if A.size == 0:
            raise ValueError(f"A must have at least one entry, got shape {tuple(A.shape)}")
        if b.shape[0] != A.shape[0]:
            raise ValueError(f"b must have one entry per row of A, {A.shape[0]}, got {b.shape[0]}")
        A, b = xp.astype(A, xp.float64, copy=False), xp.astype(b, xp.float64, copy=False)
        U, sizes, directions = xp.linalg.svd(A, full_matrices=False)
        rank = int(xp.sum(xp.astype(sizes > 1e-12 * max(A.shape) * sizes[0], xp.int64)))
        self.directions = directions[:rank, :]
        self.origin = ((b @ U[:, :rank]) / sizes[:rank]) @ self.directions
        off = maps.norm(xp, A @ self.origin - b)
        if off > 1e-8 * maps.norm(xp, b):
            raise ValueError(f"b must lie in the range of A, got the least |A p - b| = {off:.3g}")

    def __call__(self, v):
        xp, kernels, v = _intake(v, None)
        if v.shape[0] != self.origin.shape[0]:
            size = self.origin.shape[0]
            raise ValueError(f"v must have {size} entries, got {v.shape[0]}")
        return self._bind(xp, kernels)(v, 0.0)

    def _bind(self, xp, kernels):
        """The projection for solvers, a function of a vector and a step."""
        Q, origin = self.directions, self.origin

        def onto(v, step):
            return xp.astype(v - (Q @ v) @ Q + origin, v.dtype, copy=False)

        return onto


class Product:
    """Proximal maps of parts of a vector, as one map.

    Parameters
    ----------
    parts : sequence of (slice, callable)
        Disjoint slices with their maps, each ``prox(v)`` or ``prox(v, step)``.
        Entries that no slice covers stay as they are.

    Raises
    ------
    TypeError
        A part is not a slice with a callable.

    Notes
    -----
    Solvers know the functions of this module by themselves and, with parameters
    bound, by `functools.partial`; compiled loops take boxes, orthants and the 1-norm.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.proximal import Product, project_nonneg, project_simplex
    >>> prox = Product([(slice(0, 2), project_simplex), (slice(2, 3), project_nonneg)])
    >>> [float(t) for t in prox(np.array([3.0, 0.0, -1.0, -5.0]))]
    [1.0, 0.0, 0.0, -5.0]
    """

    def __init__(self, parts):
        self.parts = list(parts)
        for part in self.parts:
            pair = isinstance(part, tuple | list) and len(part) == 2
            if not (pair and isinstance(part[0], slice) and callable(part[1])):
                raise TypeError(f"parts must be pairs of a slice and a callable, got {part!r}")

    def __call__(self, v, step=1.0):
        v = _validate.as_array(v, "v")
        xp, kernels = resolve(v, small=v.size < SMALL)
        return self._bind(xp, kernels)(_finite_vector(xp, v, "v"), step)

    def _bind(self, xp, kernels):
        """The map for solvers, a function of a vector and a step."""
        parts = [(where, maps.resolvent(prox, xp, kernels)) for where, prox in self.parts]

        def onto(v, step):
            new = xp.asarray(v, copy=True)
            for where, prox in parts:
                new[where] = prox(v[where], step)
            return new

        return onto


def _finite_vector(xp: Any, v: Any, name: str) -> Any:
    v = _validate.real_array(xp, v, name, 1)
    if v.size == 0:
        raise ValueError(f"{name} must have at least one entry, got none")
    return _validate.all_finite(xp, v, name)


def _intake(v: Any, backend: str | None) -> tuple[Any, Any, Any]:
    v = _validate.as_array(v, "v")
    xp, kernels = resolve(v, backend=backend, small=v.size < SMALL, names=("v",))
    return xp, kernels, _finite_vector(xp, v, "v")


def _vector(xp: Any, value: Any, v: Any, name: str) -> Any:
    """A finite vector of the length and type of v."""
    value = _finite_vector(xp, xp.asarray(_validate.as_array(value, name)), name)
    if value.shape != v.shape:
        raise ValueError(f"{name} must have {v.shape[0]} entries, as v, got {value.shape[0]}")
    return xp.astype(value, v.dtype, copy=False)


def _bound(xp: Any, value: Any, v: Any, name: str) -> Any:
    if value is None:
        return None
    value = xp.asarray(_validate.as_array(value, name), dtype=v.dtype)
    if value.ndim and value.shape != v.shape:
        raise ValueError(f"{name} must be a number or have {v.shape[0]} entries, got {value.shape}")
    if bool(xp.any(xp.isnan(value))):
        raise ValueError(f"{name} must not be NaN, got NaN")
    return value


def _new(xp: Any, p: Any, v: Any) -> Any:
    """p, never v itself."""
    return xp.asarray(p, copy=True) if p is v else p


maps.MAPS.update(
    {
        project_ball: maps.ball,
        project_box: maps.box,
        project_hyperplane: maps.hyperplane,
        project_l1_ball: maps.l1_ball,
        project_nonneg: maps.nonnegative,
        project_simplex: maps.simplex,
        project_soc: maps.second_order_cone,
        prox_l1: maps.l1,
        prox_zero: maps.identity,
    }
)
