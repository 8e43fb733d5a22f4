"""Textbook problems of two to four variables."""

from math import cos, log, pi, sin

import numpy as np

from ._textbook_forms import LinearRows, Powers, symmetric
from .equality import EqualityProblem


class HS6(Powers):
    M, d, p = ((1, 0),), (1,), (2,)

    def cons(self, x):
        x1, x2 = x
        return np.array([10 * (x2 - x1**2)])

    def jac(self, x):
        return np.array([[-20 * x[0], 10.0]])

    def hess_cons(self, x, v):
        return np.array([[-20 * v[0], 0.0], [0.0, 0.0]])


class HS7(EqualityProblem):
    def fun(self, x):
        return log(1 + x[0] ** 2) - x[1]

    def grad(self, x):
        return np.array([2 * x[0] / (1 + x[0] ** 2), -1.0])

    def hess_fun(self, x):
        s = x[0] ** 2
        return np.array([[2 * (1 - s) / (1 + s) ** 2, 0.0], [0.0, 0.0]])

    def cons(self, x):
        x1, x2 = x
        return np.array([(1 + x1**2) ** 2 + x2**2 - 4])

    def jac(self, x):
        x1, x2 = x
        return np.array([[4 * x1 * (1 + x1**2), 2 * x2]])

    def hess_cons(self, x, v):
        return np.array([[v[0] * (4 + 12 * x[0] ** 2), 0.0], [0.0, 2 * v[0]]])


class HS8(EqualityProblem):
    def fun(self, x):
        return -1.0

    def grad(self, x):
        return np.zeros(2)

    def hess_fun(self, x):
        return np.zeros((2, 2))

    def cons(self, x):
        x1, x2 = x
        return np.array([x1**2 + x2**2 - 25, x1 * x2 - 9])

    def jac(self, x):
        x1, x2 = x
        return np.array([[2 * x1, 2 * x2], [x2, x1]])

    def hess_cons(self, x, v):
        return np.array([[2 * v[0], v[1]], [v[1], 2 * v[0]]])


class HS9(LinearRows):
    A, b = ((4, -3),), (0,)

    def fun(self, x):
        x1, x2 = x
        return sin(pi * x1 / 12) * cos(pi * x2 / 16)

    def grad(self, x):
        s, t = pi * x[0] / 12, pi * x[1] / 16
        return np.array([pi / 12 * cos(s) * cos(t), -pi / 16 * sin(s) * sin(t)])

    def hess_fun(self, x):
        s, t = pi * x[0] / 12, pi * x[1] / 16
        mixed = -pi * pi / 192 * cos(s) * sin(t)
        both = -sin(s) * cos(t)
        return np.array([[(pi / 12) ** 2 * both, mixed], [mixed, (pi / 16) ** 2 * both]])


class HS26(Powers):
    M, d, p = ((1, -1, 0), (0, 1, -1)), (0, 0), (2, 4)

    def cons(self, x):
        x1, x2, x3 = x
        return np.array([(1 + x2**2) * x1 + x3**4 - 3])

    def jac(self, x):
        x1, x2, x3 = x
        return np.array([[1 + x2**2, 2 * x1 * x2, 4 * x3**3]])

    def hess_cons(self, x, v):
        x1, x2, x3 = x
        return v[0] * symmetric(3, (0, 1, 2 * x2), (1, 1, 2 * x1), (2, 2, 12 * x3**2))


class HS27(EqualityProblem):
    def fun(self, x):
        x1, x2, _ = x
        return 0.01 * (x1 - 1) ** 2 + (x2 - x1**2) ** 2

    def grad(self, x):
        x1, x2, _ = x
        r = x2 - x1**2
        return np.array([0.02 * (x1 - 1) - 4 * x1 * r, 2 * r, 0.0])

    def hess_fun(self, x):
        x1, x2, _ = x
        return symmetric(3, (0, 0, 0.02 - 4 * x2 + 12 * x1**2), (0, 1, -4 * x1), (1, 1, 2.0))

    def cons(self, x):
        return np.array([x[0] + x[2] ** 2 + 1])

    def jac(self, x):
        return np.array([[1.0, 0.0, 2 * x[2]]])

    def hess_cons(self, x, v):
        return symmetric(3, (2, 2, 2 * v[0]))


class HS28(Powers, LinearRows):
    M, d, p = ((1, 1, 0), (0, 1, 1)), (0, 0), (2, 2)
    A, b = ((1, 2, 3),), (1,)


class HS39(EqualityProblem):
    def fun(self, x):
        return -x[0]

    def grad(self, x):
        return np.array([-1.0, 0.0, 0.0, 0.0])

    def hess_fun(self, x):
        return np.zeros((4, 4))

    def cons(self, x):
        x1, x2, x3, x4 = x
        return np.array([x2 - x1**3 - x3**2, x1**2 - x2 - x4**2])

    def jac(self, x):
        x1, _, x3, x4 = x
        return np.array([[-3 * x1**2, 1.0, -2 * x3, 0.0], [2 * x1, -1.0, 0.0, -2 * x4]])

    def hess_cons(self, x, v):
        return np.diag([-6 * v[0] * x[0] + 2 * v[1], 0.0, -2 * v[0], -2 * v[1]])


class HS40(EqualityProblem):
    def fun(self, x):
        x1, x2, x3, x4 = x
        return -x1 * x2 * x3 * x4

    def grad(self, x):
        x1, x2, x3, x4 = x
        return -np.array([x2 * x3 * x4, x1 * x3 * x4, x1 * x2 * x4, x1 * x2 * x3])

    def hess_fun(self, x):
        return -_product_hessian(x)

    def cons(self, x):
        x1, x2, x3, x4 = x
        return np.array([x1**3 + x2**2 - 1, x1**2 * x4 - x3, x4**2 - x2])

    def jac(self, x):
        x1, x2, _, x4 = x
        return np.array(
            [
                [3 * x1**2, 2 * x2, 0.0, 0.0],
                [2 * x1 * x4, 0.0, -1.0, x1**2],
                [0.0, -1.0, 0.0, 2 * x4],
            ]
        )

    def hess_cons(self, x, v):
        x1, _, _, x4 = x
        v1, v2, v3 = v
        return symmetric(
            4,
            (0, 0, 6 * v1 * x1 + 2 * v2 * x4),
            (0, 3, 2 * v2 * x1),
            (1, 1, 2 * v1),
            (3, 3, 2 * v3),
        )


class HS42(Powers):
    M, d, p = np.eye(4), (1, 2, 3, 4), (2, 2, 2, 2)

    def cons(self, x):
        return np.array([x[0] - 2, x[2] ** 2 + x[3] ** 2 - 2])

    def jac(self, x):
        return np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2 * x[2], 2 * x[3]]])

    def hess_cons(self, x, v):
        return np.diag([0.0, 0.0, 2 * v[1], 2 * v[1]])


class HS61(EqualityProblem):
    def fun(self, x):
        x1, x2, x3 = x
        return 4 * x1**2 + 2 * x2**2 + 2 * x3**2 - 33 * x1 + 16 * x2 - 24 * x3

    def grad(self, x):
        x1, x2, x3 = x
        return np.array([8 * x1 - 33, 4 * x2 + 16, 4 * x3 - 24])

    def hess_fun(self, x):
        return np.diag([8.0, 4.0, 4.0])

    def cons(self, x):
        x1, x2, x3 = x
        return np.array([3 * x1 - 2 * x2**2 - 7, 4 * x1 - x3**2 - 11])

    def jac(self, x):
        _, x2, x3 = x
        return np.array([[3.0, -4 * x2, 0.0], [4.0, 0.0, -2 * x3]])

    def hess_cons(self, x, v):
        return np.diag([0.0, -4 * v[0], -2 * v[1]])


class Maratos(EqualityProblem):
    def fun(self, x):
        x1, x2 = x
        return -x1 + 1e-6 * (x1**2 + x2**2 - 1)

    def grad(self, x):
        return np.array([-1 + 2e-6 * x[0], 2e-6 * x[1]])

    def hess_fun(self, x):
        return np.diag([2e-6, 2e-6])

    def cons(self, x):
        x1, x2 = x
        return np.array([x1**2 + x2**2 - 1])

    def jac(self, x):
        return np.array([[2 * x[0], 2 * x[1]]])

    def hess_cons(self, x, v):
        return np.diag([2 * v[0], 2 * v[0]])


class ByrdSphere(EqualityProblem):
    def fun(self, x):
        return -(x[0] + x[1] + x[2])

    def grad(self, x):
        return -np.ones(3)

    def hess_fun(self, x):
        return np.zeros((3, 3))

    def cons(self, x):
        x1, x2, x3 = x
        s = x2**2 + x3**2 - 9
        return np.array([x1**2 + s, (x1 - 1) ** 2 + s])

    def jac(self, x):
        x1, x2, x3 = x
        return np.array([[2 * x1, 2 * x2, 2 * x3], [2 * (x1 - 1), 2 * x2, 2 * x3]])

    def hess_cons(self, x, v):
        return 2 * (v[0] + v[1]) * np.eye(3)


def _product_hessian(x):
    """The Hessian of the product of all entries."""
    n = len(x)
    H = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            H[i, j] = H[j, i] = np.prod([x[k] for k in range(n) if k not in (i, j)])
    return H
