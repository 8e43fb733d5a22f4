"""Textbook problems of five to ten variables."""

from math import cos, sin, sqrt

import numpy as np

from ._textbook_forms import LinearRows, Powers, symmetric
from ._textbook_small import _product_hessian
from .equality import EqualityProblem


class _SineAndQuartic(EqualityProblem):
    """``c = (x1^2 x4 + sin(x4 - x5) - s, x2 + x3^4 x4^2 - t)``."""

    s: float
    t: float

    def cons(self, x):
        x1, x2, x3, x4, x5 = x
        return np.array([x1**2 * x4 + sin(x4 - x5) - self.s, x2 + x3**4 * x4**2 - self.t])

    def jac(self, x):
        x1, _, x3, x4, x5 = x
        cosine = cos(x4 - x5)
        return np.array(
            [
                [2 * x1 * x4, 0.0, 0.0, x1**2 + cosine, -cosine],
                [0.0, 1.0, 4 * x3**3 * x4**2, 2 * x3**4 * x4, 0.0],
            ]
        )

    def hess_cons(self, x, v):
        x1, _, x3, x4, x5 = x
        v1, v2 = v
        sine = v1 * sin(x4 - x5)
        return symmetric(
            5,
            (0, 0, 2 * v1 * x4),
            (0, 3, 2 * v1 * x1),
            (2, 2, 12 * v2 * x3**2 * x4**2),
            (2, 3, 8 * v2 * x3**3 * x4),
            (3, 3, 2 * v2 * x3**4 - sine),
            (3, 4, sine),
            (4, 4, -sine),
        )


class _Chain(EqualityProblem):
    """``c = (x1 + x2^2 + x3^3, x2 - x3^2 + x4, x1 x5) - b``."""

    b: tuple

    def cons(self, x):
        x1, x2, x3, x4, x5 = x
        b1, b2, b3 = self.b
        return np.array([x1 + x2**2 + x3**3 - b1, x2 - x3**2 + x4 - b2, x1 * x5 - b3])

    def jac(self, x):
        x1, x2, x3, _, x5 = x
        return np.array(
            [
                [1.0, 2 * x2, 3 * x3**2, 0.0, 0.0],
                [0.0, 1.0, -2 * x3, 1.0, 0.0],
                [x5, 0.0, 0.0, 0.0, x1],
            ]
        )

    def hess_cons(self, x, v):
        v1, v2, v3 = v
        return symmetric(5, (1, 1, 2 * v1), (2, 2, 6 * v1 * x[2] - 2 * v2), (0, 4, v3))


class HS46(_SineAndQuartic, Powers):
    M = (1, -1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1)
    d, p = (0, 1, 1, 1), (2, 2, 4, 6)
    s, t = 1.0, 2.0


class HS47(_Chain, Powers):
    M = (1, -1, 0, 0, 0), (0, 1, -1, 0, 0), (0, 0, 1, -1, 0), (0, 0, 0, 1, -1)
    d, p = (0, 0, 0, 0), (2, 3, 4, 4)
    b = 3.0, 1.0, 1.0


class HS48(Powers, LinearRows):
    M, d, p = ((1, 0, 0, 0, 0), (0, 1, -1, 0, 0), (0, 0, 0, 1, -1)), (1, 0, 0), (2, 2, 2)
    A, b = ((1, 1, 1, 1, 1), (0, 0, 1, -2, -2)), (5, -3)


class HS49(Powers, LinearRows):
    M = (1, -1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1)
    d, p = (0, 1, 1, 1), (2, 2, 4, 6)
    A, b = ((1, 1, 1, 4, 0), (0, 0, 1, 0, 5)), (7, 6)


class HS50(Powers, LinearRows):
    M = (1, -1, 0, 0, 0), (0, 1, -1, 0, 0), (0, 0, 1, -1, 0), (0, 0, 0, 1, -1)
    d, p = (0, 0, 0, 0), (2, 2, 4, 2)
    A, b = ((1, 2, 3, 0, 0), (0, 1, 2, 3, 0), (0, 0, 1, 2, 3)), (6, 6, 6)


class HS51(Powers, LinearRows):
    M = (1, -1, 0, 0, 0), (0, 1, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1)
    d, p = (0, 2, 1, 1), (2, 2, 2, 2)
    A, b = ((1, 3, 0, 0, 0), (0, 0, 1, 1, -2), (0, 1, 0, 0, -1)), (4, 0, 0)


class HS52(Powers, LinearRows):
    M = (4, -1, 0, 0, 0), (0, 1, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1)
    d, p = (0, 2, 1, 1), (2, 2, 2, 2)
    A, b = ((1, 3, 0, 0, 0), (0, 0, 1, 1, -2), (0, 1, 0, 0, -1)), (0, 0, 0)


class HS56(EqualityProblem):
    def fun(self, x):
        return -x[0] * x[1] * x[2]

    def grad(self, x):
        x1, x2, x3 = x[:3]
        return np.array([-x2 * x3, -x1 * x3, -x1 * x2, 0.0, 0.0, 0.0, 0.0])

    def hess_fun(self, x):
        x1, x2, x3 = x[:3]
        return symmetric(7, (0, 1, -x3), (0, 2, -x2), (1, 2, -x1))

    def cons(self, x):
        squares = np.sin(x[3:]) ** 2
        sums = np.array([x[0], x[1], x[2], x[0] + 2 * x[1] + 2 * x[2]])
        return sums - np.array([4.2, 4.2, 4.2, 7.2]) * squares

    def jac(self, x):
        G = np.zeros((4, 7))
        G[:3, :3] = np.eye(3)
        G[3, :3] = 1.0, 2.0, 2.0
        G[:, 3:] = np.diag(-np.array([4.2, 4.2, 4.2, 7.2]) * np.sin(2 * x[3:]))
        return G

    def hess_cons(self, x, v):
        curvature = -np.array([8.4, 8.4, 8.4, 14.4]) * np.cos(2 * x[3:])
        return np.diag(np.concatenate([np.zeros(3), v * curvature]))


class HS77(_SineAndQuartic, Powers):
    M = (1, 0, 0, 0, 0), (1, -1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1)
    d, p = (1, 0, 1, 1, 1), (2, 2, 2, 4, 6)
    s, t = 2 * sqrt(2), 8 + sqrt(2)


class HS78(EqualityProblem):
    def fun(self, x):
        x1, x2, x3, x4, x5 = x
        return x1 * x2 * x3 * x4 * x5

    def grad(self, x):
        x1, x2, x3, x4, x5 = x
        return np.array(
            [
                x2 * x3 * x4 * x5,
                x1 * x3 * x4 * x5,
                x1 * x2 * x4 * x5,
                x1 * x2 * x3 * x5,
                x1 * x2 * x3 * x4,
            ]
        )

    def hess_fun(self, x):
        return _product_hessian(x)

    def cons(self, x):
        x1, x2, x3, x4, x5 = x
        return np.array([x @ x - 10, x2 * x3 - 5 * x4 * x5, x1**3 + x2**3 + 1])

    def jac(self, x):
        x1, x2, x3, x4, x5 = x
        return np.array(
            [
                2 * x,
                [0.0, x3, x2, -5 * x5, -5 * x4],
                [3 * x1**2, 3 * x2**2, 0.0, 0.0, 0.0],
            ]
        )

    def hess_cons(self, x, v):
        H = np.diag(np.full(5, 2 * v[0]))
        H[0, 0] += 6 * v[2] * x[0]
        H[1, 1] += 6 * v[2] * x[1]
        H[1, 2] = H[2, 1] = v[1]
        H[3, 4] = H[4, 3] = -5 * v[1]
        return H


class HS79(_Chain, Powers):
    M = (1, 0, 0, 0, 0), (1, -1, 0, 0, 0), (0, 1, -1, 0, 0), (0, 0, 1, -1, 0), (0, 0, 0, 1, -1)
    d, p = (1, 0, 0, 0, 0), (2, 2, 2, 4, 4)
    b = 2 + 3 * sqrt(2), 2 * sqrt(2) - 2, 2.0


class HS100LNP(EqualityProblem):
    def fun(self, x):
        x1, x2, x3, x4, x5, x6, x7 = x
        return (
            (x1 - 10) ** 2 + 5 * (x2 - 12) ** 2 + x3**4 + 3 * (x4 - 11) ** 2
            + 10 * x5**6 + 7 * x6**2 + x7**4 - 4 * x6 * x7 - 10 * x6 - 8 * x7
        )  # fmt: skip

    def grad(self, x):
        x1, x2, x3, x4, x5, x6, x7 = x
        return np.array(
            [
                2 * (x1 - 10),
                10 * (x2 - 12),
                4 * x3**3,
                6 * (x4 - 11),
                60 * x5**5,
                14 * x6 - 4 * x7 - 10,
                4 * x7**3 - 4 * x6 - 8,
            ]
        )

    def hess_fun(self, x):
        H = np.diag([2.0, 10.0, 12 * x[2] ** 2, 6.0, 300 * x[4] ** 4, 14.0, 12 * x[6] ** 2])
        H[5, 6] = H[6, 5] = -4.0
        return H

    def cons(self, x):
        x1, x2, x3, x4, x5, x6, x7 = x
        return np.array(
            [
                127 - 2 * x1**2 - 3 * x2**4 - x3 - 4 * x4**2 - 5 * x5,
                -4 * x1**2 - x2**2 + 3 * x1 * x2 - 2 * x3**2 - 5 * x6 + 11 * x7,
            ]
        )

    def jac(self, x):
        x1, x2, x3, x4 = x[:4]
        return np.array(
            [
                [-4 * x1, -12 * x2**3, -1.0, -8 * x4, -5.0, 0.0, 0.0],
                [-8 * x1 + 3 * x2, -2 * x2 + 3 * x1, -4 * x3, 0.0, 0.0, -5.0, 11.0],
            ]
        )

    def hess_cons(self, x, v):
        v1, v2 = v
        return symmetric(
            7,
            (0, 0, -4 * v1 - 8 * v2),
            (0, 1, 3 * v2),
            (1, 1, -36 * v1 * x[1] ** 2 - 2 * v2),
            (2, 2, -4 * v2),
            (3, 3, -8 * v1),
        )


class GenHS28(Powers, LinearRows):
    M, d, p = np.eye(9, 10) + np.eye(9, 10, 1), np.zeros(9), np.full(9, 2)
    A, b = np.eye(8, 10) + 2 * np.eye(8, 10, 1) + 3 * np.eye(8, 10, 2), np.ones(8)
