"""Distributed control of an elliptic equation, discretised on a square."""

import copy

import numpy as np

from .equality import EqualityProblem

__all__ = ["elliptic_control"]


def elliptic_control(N, gamma=1e-3, cubic=1.0, target="bump"):
    """Build a control problem whose constraint is an elliptic equation.

    State w and control z on the N x N interior points of a grid of (-1, 1)^2, spacing
    h = 2/(N + 1): minimise ``1/2 ||w - wt||^2 + gamma/2 ||z||^2`` subject to
    ``Lap_h w - cubic w^3 + z = 0`` with the five-point Laplacian and w = 0 outside.
    Unknowns are ``x = (w, z)``, point (i, j) at ``i N + j``; the start is 1 everywhere. Sparse
    derivatives. At a solution the multipliers are ``-gamma z``.

    Parameters
    ----------
    N : int
        Grid points along a side; n = 2 N^2, m = N^2.
    gamma : float, default 1e-3
        Weight of the control.
    cubic : float, default 1
        Weight of the cubic term; 0 makes the problem a convex quadratic program.
    target : {'bump', 'paper'}, default 'bump'
        The state asked for. ``'paper'`` is that of [1]_, with gamma 0.1 and cubic 0.

    Returns
    -------
    EqualityProblem
        With ``f_opt`` where it is known, and the attributes ``N, gamma, cubic, target``, the last
        an array.

    Raises
    ------
    ValueError
        For another target, or N below 1.

    References
    ----------
    .. [1] I. Hong, S. Na, M. W. Mahoney, M. Kolar, "Constrained optimization via exact augmented
       Lagrangian and randomized iterative sketching", ICML 2023.

    Examples
    --------
    >>> from refopt.problems import elliptic_control
    >>> problem = elliptic_control(40, gamma=5e-3, cubic=2.0)
    >>> problem.n, problem.m, problem.jac(problem.x0).nnz
    (3200, 1600, 9440)
    """
    if N < 1:
        raise ValueError(f"N must be at least 1, was {N}")
    if target not in ("bump", "paper"):
        raise ValueError(f"target must be 'bump' or 'paper', was {target!r}")
    return _EllipticControl(N, float(gamma), float(cubic), target)


class _EllipticControl(EqualityProblem):
    def __init__(self, N, gamma, cubic, target):
        from scipy import sparse

        name = f"elliptic-{N}-{gamma:g}-{cubic:g}-{target}"
        known = _OPTIMA.get((N, gamma, cubic, target))
        super().__init__(name, np.ones(2 * N * N), N * N, f_opt=known)
        self.N, self.gamma, self.cubic = N, gamma, cubic
        self.target = _target(N, target)
        second = sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(N, N))
        identity = sparse.eye_array(N)
        laplacian = sparse.kron(second, identity) + sparse.kron(identity, second)
        self.laplacian = sparse.csr_array(laplacian * ((N + 1) / 2) ** 2)
        self.laplacian.sort_indices()
        self._jac = sparse.csr_array(sparse.hstack([self.laplacian, sparse.eye_array(N * N)]))
        self._jac.sort_indices()
        rows = np.repeat(np.arange(self.m), np.diff(self._jac.indptr))
        self._diagonal = np.flatnonzero(self._jac.indices == rows)
        self._hess = sparse.eye_array(self.n, format="csr")

    def fun(self, x):
        w, z = x[: self.m], x[self.m :]
        miss = w - self.target
        return 0.5 * float(miss @ miss) + 0.5 * self.gamma * float(z @ z)

    def grad(self, x):
        return np.concatenate([x[: self.m] - self.target, self.gamma * x[self.m :]])

    def hess_fun(self, x):
        return self._diagonal_matrix(1.0, self.gamma)

    def cons(self, x):
        w, z = x[: self.m], x[self.m :]
        return self.laplacian @ w - self.cubic * (w * w * w) + z

    def jac(self, x):
        data = self._jac.data.copy()
        data[self._diagonal] -= 3.0 * self.cubic * x[: self.m] ** 2
        return _with_data(self._jac, data)

    def hess_cons(self, x, v):
        return self._diagonal_matrix(-6.0 * self.cubic * x[: self.m] * v, 0.0)

    def _diagonal_matrix(self, upper, lower):
        data = np.empty(self.n)
        data[: self.m], data[self.m :] = upper, lower
        return _with_data(self._hess, data)


def _with_data(pattern, data):
    """A sparse matrix that shares its index arrays with another one."""
    matrix = copy.copy(pattern)
    matrix.data = data
    return matrix


def _target(N, name):
    if name == "bump":
        s = -1.0 + 2.0 / (N + 1) * np.arange(1, N + 1)
        bump = np.outer((1 - s**2) * np.exp(s), 1 - s**2)
        return (bump + 0.4 * np.outer(np.cos(3 * np.pi * s), np.sin(np.pi * s))).ravel()
    a = 0.1 / np.sqrt(15)
    offset = a * (np.arange(1, N + 1) - (N + 1) / 2)
    return np.add.outer(np.sin(4 + offset), np.cos(3 + offset)).ravel()


# on which independent solvers agree to all digits shown
_OPTIMA = {
    (3, 0.1, 0.0, "paper"): 9.644442052,
    (5, 0.1, 0.0, "paper"): 28.10644519,
    (10, 0.1, 0.0, "paper"): 116.8352192,
    (20, 0.1, 0.0, "paper"): 470.8167529,
    (40, 0.1, 0.0, "paper"): 1792.57109,
    (95, 1e-3, 1.0, "bump"): 255.147562,
    (96, 1e-3, 1.0, "bump"): 260.53382,
    (191, 1e-3, 1.0, "bump"): 1028.63951,
    (200, 1e-3, 1.0, "bump"): 1127.72332,
    (383, 1e-3, 1.0, "bump"): 4130.28653,
    (400, 1e-3, 1.0, "bump"): 4504.80518,
    (40, 5e-3, 2.0, "bump"): 94.888589,
    (80, 5e-3, 2.0, "bump"): 373.760895,
    (95, 5e-3, 2.0, "bump"): 525.753607,
    (160, 5e-3, 2.0, "bump"): 1483.25167,
    (191, 5e-3, 2.0, "bump"): 2110.94626,
    (320, 5e-3, 2.0, "bump"): 5909.22252,
    (383, 5e-3, 2.0, "bump"): 8459.39637,
}
