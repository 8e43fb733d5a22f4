"""Preconditioned conjugate gradients that notice negative curvature, and short GMRES."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Solved(NamedTuple):
    """What conjugate gradients end with.

    Attributes
    ----------
    x : array
    residual : float
        Euclidean norm of the residual, by its recurrence.
    iterations : int
    definite : bool
        Whether every direction had positive curvature.
    """

    x: Any
    residual: float
    iterations: int
    definite: bool


def conjugate_gradients(
    product: Callable, rhs: Any, target: float, maxiter: int, precondition: Callable
) -> Solved:
    """Solve M x = rhs from x = 0 until ``|rhs - M x| <= target``.

    At a direction of negative curvature the iteration ends with what it has. `product` and
    `precondition` return new arrays, which are written into.
    """
    r = rhs.copy()
    x = 0.0 * rhs
    residual = math.sqrt(float(r @ r))
    p, before = None, 1.0
    for k in range(maxiter + 1):
        if not residual > target or k == maxiter:
            return Solved(x, residual, k, True)
        z = precondition(r)
        now = float(r @ z)
        if not now > 0.0:
            return Solved(x, residual, k, False)  # nor is the preconditioner definite
        if p is None:
            p = z
        else:
            p *= now / before
            p += z
        q = product(p)
        curvature = float(p @ q)
        if not curvature > 0.0:
            return Solved(x if k else p, residual, k, False)
        alpha = now / curvature
        q *= alpha
        r -= q
        q[:] = p
        q *= alpha
        x += q
        before, residual = now, math.sqrt(float(r @ r))
    raise AssertionError("unreachable")


def gmres(
    product: Callable, rhs: Any, target: float, most: int, precondition: Callable
) -> tuple[Any, int]:
    """x with ``|rhs - K x| <= target`` by GMRES preconditioned from the right, and iterations.

    No more than `most`; fewer where the residual does not fall fast enough for that many.
    """
    size = begin = math.sqrt(float(rhs @ rhs))
    basis = [rhs / size if size else rhs]
    steps: list[Any] = []
    R = np.zeros((most + 1, most))  # the Hessenberg matrix, made triangular by rotations
    g = np.zeros(most + 1)
    rotations: list[tuple[float, float]] = []
    g[0], k = size, 0
    while size > target and k < most:
        z = precondition(basis[k])
        v = product(z)
        steps.append(z)
        for i, q in enumerate(basis):
            R[i, k] = float(q @ v)
            v = v - R[i, k] * q
        R[k + 1, k] = height = math.sqrt(float(v @ v))
        if not math.isfinite(height):
            break
        for i, (c, s) in enumerate(rotations):
            R[i : i + 2, k] = c * R[i, k] + s * R[i + 1, k], c * R[i + 1, k] - s * R[i, k]
        length = math.hypot(R[k, k], R[k + 1, k])
        if length == 0.0:
            break
        c, s = R[k, k] / length, R[k + 1, k] / length
        rotations.append((c, s))
        R[k, k], R[k + 1, k] = length, 0.0
        g[k : k + 2] = c * g[k], -s * g[k]
        size, k = abs(g[k + 1]), k + 1
        # digits so far, for each iteration that is left
        hopeless = k > 4 and (size / begin) ** (most / k) * begin > target
        if hopeless or height == 0.0:
            break
        basis.append(v / height)
    x = 0.0 * rhs
    if k:
        for weight, z in zip(np.linalg.solve(R[:k, :k], g[:k]), steps, strict=False):
            x = x + float(weight) * z
    return x, k
