"""Projections and proximal maps."""

import math
from typing import Any

from refopt import _validate
from refopt_backends import resolve

__all__ = ["project_simplex"]

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


def _finite_vector(xp: Any, v: Any, name: str) -> Any:
    v = _validate.real_array(xp, v, name, 1)
    if v.size == 0:
        raise ValueError(f"{name} must have at least one entry, got none")
    return _validate.all_finite(xp, v, name)
