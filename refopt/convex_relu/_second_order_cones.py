"""Pairs of points of second-order cones, one pair per row, and their scaling.

A primal point (t, u) and a dual point (beta, c), t > ||u|| and beta > ||c||, have the
Nesterov-Todd scaling W = W' with W (beta, c) = W^-1 (t, u) = lambda.
"""

from typing import Any

from refopt.convex_relu._program import row_norms


def determinant(xp: Any, t: Any, norm: Any) -> Any:
    """t^2 - norm^2 without cancellation."""
    return (t - norm) * (t + norm)


def longest_step(xp: Any, t: Any, u: Any, dt: Any, du: Any) -> float:
    """The largest step along (dt, du) that stays within every cone."""
    det = determinant(xp, t, row_norms(xp, u))
    quadratic = dt * dt - xp.sum(du * du, axis=1)
    linear = t * dt - xp.sum(u * du, axis=1)
    discriminant = linear * linear - quadratic * det
    slope = xp.sqrt(xp.maximum(discriminant, xp.zeros_like(det))) - linear
    slope = xp.where((discriminant >= 0) & (slope > 0), slope, xp.zeros_like(slope))
    most = float(xp.max(slope / det))
    return 1 / most if most > 0 else float("inf")


class Scaling:
    """The scaling W of all pairs, and products with it."""

    def __init__(self, xp: Any, t: Any, u: Any, beta: float, c: Any):
        self.xp = xp
        root = xp.sqrt(determinant(xp, t, row_norms(xp, u)))
        dual_root = xp.sqrt(determinant(xp, beta, row_norms(xp, c)))
        t0, u0 = t / root, u / root[:, None]
        b0, c0 = beta / dual_root, c / dual_root[:, None]
        gamma = xp.sqrt((1 + t0 * b0 + xp.sum(u0 * c0, axis=1)) / 2)
        self.eta = xp.sqrt(root / dual_root)
        self.w = (u0 - c0) / (2 * gamma)[:, None]
        square = xp.sum(self.w * self.w, axis=1)
        self.w0 = xp.sqrt(1 + square)
        self.k = 1 + 2 * square
        tiny = xp.where(square > 0, xp.sqrt(square), xp.ones_like(square))
        self.axis = self.w / tiny[:, None]
        self.det = root * dual_root
        self.lam = self.divide(t, u)

    def multiply(self, t: Any, u: Any) -> tuple[Any, Any]:
        """W (t, u)."""
        dot = self.xp.sum(self.w * u, axis=1)
        inner = u + self.w * (t + dot / (1 + self.w0))[:, None]
        return self.eta * (self.w0 * t + dot), self.eta[:, None] * inner

    def divide(self, t: Any, u: Any) -> tuple[Any, Any]:
        """W^-1 (t, u)."""
        dot = self.xp.sum(self.w * u, axis=1)
        inner = u + self.w * (dot / (1 + self.w0) - t)[:, None]
        return (self.w0 * t - dot) / self.eta, inner / self.eta[:, None]

    def divide_by_lambda(self, t: Any, u: Any) -> tuple[Any, Any]:
        """(x0, x) with lambda o (x0, x) = (t, u) in the algebra of the cone."""
        l0, l1 = self.lam
        x0 = (l0 * t - self.xp.sum(l1 * u, axis=1)) / self.det
        return x0, (u - x0[:, None] * l1) / l0[:, None]

    def corrected(self, target: float, primal: tuple, dual: tuple) -> tuple[Any, Any]:
        """Products aimed at `target`, less those of an affine step, over lambda."""
        (p0, p1), (q0, q1) = self.divide(*primal), self.multiply(*dual)
        e0 = target - p0 * q0 - self.xp.sum(p1 * q1, axis=1)
        return self.divide_by_lambda(e0, -p0[:, None] * q1 - q0[:, None] * p1)

    def inverse_square(self) -> Any:
        """W^-2 of every pair, (N, d + 1, d + 1)."""
        xp = self.xp
        w = xp.concat([self.w0[:, None], -self.w], axis=1)
        J = xp.concat([xp.ones(1), -xp.ones(self.w.shape[1])])
        square = 2 * w[:, :, None] * w[:, None, :] - xp.eye(J.shape[0]) * J
        return square / self.eta[:, None, None] ** 2

    def reduced(self, u: Any) -> Any:
        """The block of W^-2 for u after the elimination of t, times u."""
        along = (1 - 1 / self.k) * self.xp.sum(self.axis * u, axis=1)
        return (u - along[:, None] * self.axis) / self.eta[:, None] ** 2

    def reduced_matrices(self) -> Any:
        """That block of every pair, (C, d, d)."""
        outer = self.axis[:, :, None] * ((1 - 1 / self.k)[:, None] * self.axis)[:, None, :]
        return (self.xp.eye(self.w.shape[1]) - outer) / self.eta[:, None, None] ** 2
