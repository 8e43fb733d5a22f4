"""Parts that textbook problems share: powers of linear forms, linear constraints."""

from typing import Any

import numpy as np

from .equality import EqualityProblem


class Powers(EqualityProblem):
    """``f = sum_k (M x - d)_k^p_k``."""

    M: Any
    d: Any
    p: Any

    def __init__(self, name, x0, m, **known):
        super().__init__(name, x0, m, **known)
        self._M = np.array(self.M, dtype=float)
        self._d = np.array(self.d, dtype=float)
        self._p = np.array(self.p)

    def fun(self, x):
        return float(((self._M @ x - self._d) ** self._p).sum())

    def grad(self, x):
        p = self._p
        return (p * (self._M @ x - self._d) ** (p - 1)) @ self._M

    def hess_fun(self, x):
        p, M = self._p, self._M
        return M.T * (p * (p - 1) * (M @ x - self._d) ** (p - 2)) @ M


class LinearRows(EqualityProblem):
    """``c = A x - b``."""

    A: Any
    b: Any

    def __init__(self, name, x0, m, **known):
        super().__init__(name, x0, m, **known)
        self._A = np.array(self.A, dtype=float)
        self._b = np.array(self.b, dtype=float)

    def cons(self, x):
        return self._A @ x - self._b

    def jac(self, x):
        return self._A.copy()

    def hess_cons(self, x, v):
        return np.zeros((self.n, self.n))


def symmetric(n, *entries):
    """The matrix with the given entries ``(i, j, value)``, i <= j, mirrored."""
    H = np.zeros((n, n))
    for i, j, value in entries:
        H[i, j] = H[j, i] = value
    return H
