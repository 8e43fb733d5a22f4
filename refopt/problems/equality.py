"""Problems with equality constraints: what the instances share."""

import numpy as np

__all__ = ["EqualityProblem"]


class EqualityProblem:
    """Minimise f(x) subject to c(x) = 0, with first and second derivatives.

    The Lagrangian is ``L = f + l'c``. Instances are given by `textbook_equality`,
    `elliptic_control`, `constrained_logistic` and `s2mpj_problem`.

    Parameters
    ----------
    name : str
        Generator and size.
    x0 : array_like, shape (n,)
        Where solvers begin.
    m : int
        Number of constraints.
    x_opt, multipliers : array_like, optional
        A solution and its multipliers, where they are known.
    f_opt : float, optional
        Value of f there.

    Examples
    --------
    >>> from refopt.problems import textbook_equality
    >>> textbook_equality("HS9")
    EqualityProblem('HS9', n=2, m=1)
    """

    def __init__(self, name, x0, m, *, x_opt=None, multipliers=None, f_opt=None):
        self.name = name
        self.x0 = np.array(x0, dtype=float)
        self.n, self.m = self.x0.size, m
        self.x_opt = None if x_opt is None else np.array(x_opt, dtype=float)
        self.multipliers = None if multipliers is None else np.array(multipliers, dtype=float)
        self.f_opt = f_opt

    def __repr__(self):
        return f"EqualityProblem({self.name!r}, n={self.n}, m={self.m})"

    def fun(self, x):
        """Value of f.

        Parameters
        ----------
        x : ndarray, shape (n,)
            The point.

        Returns
        -------
        float
            The value.
        """
        raise NotImplementedError

    def grad(self, x):
        """The gradient of f.

        Parameters
        ----------
        x : ndarray, shape (n,)
            The point.

        Returns
        -------
        ndarray, shape (n,)
            A new array.
        """
        raise NotImplementedError

    def hess_fun(self, x):
        """The Hessian of f.

        Parameters
        ----------
        x : ndarray, shape (n,)
            The point.

        Returns
        -------
        ndarray or sparse array, shape (n, n)
            Symmetric.
        """
        raise NotImplementedError

    def cons(self, x):
        """Values of c.

        Parameters
        ----------
        x : ndarray, shape (n,)
            The point.

        Returns
        -------
        ndarray, shape (m,)
            The values.
        """
        raise NotImplementedError

    def jac(self, x):
        """The Jacobian of c.

        Parameters
        ----------
        x : ndarray, shape (n,)
            The point.

        Returns
        -------
        ndarray or sparse array, shape (m, n)
            One row for each constraint.
        """
        raise NotImplementedError

    def hess_cons(self, x, v):
        """The Hessian of v'c.

        Parameters
        ----------
        x : ndarray, shape (n,)
            The point.
        v : ndarray, shape (m,)
            Weights of the constraints.

        Returns
        -------
        ndarray or sparse array, shape (n, n)
            Symmetric.
        """
        raise NotImplementedError

    def hess(self, x, l):
        """The Hessian of the Lagrangian f + l'c in x.

        Parameters
        ----------
        x : ndarray, shape (n,)
            The point.
        l : ndarray, shape (m,)
            Multipliers.

        Returns
        -------
        ndarray or sparse array, shape (n, n)
            Symmetric.
        """
        return self.hess_fun(x) + self.hess_cons(x, l)

    def constraint(self):
        """The constraints as SciPy takes them.

        Returns
        -------
        scipy.optimize.NonlinearConstraint
            ``0 <= c(x) <= 0`` with its derivatives.
        """
        from scipy.optimize import NonlinearConstraint

        return NonlinearConstraint(self.cons, 0.0, 0.0, jac=self.jac, hess=self.hess_cons)

    def arguments(self):
        """The problem as keyword arguments.

        Returns
        -------
        dict
            ``fun, x0, jac, hess, constraints``, for `refopt.minimize_equality` and for
            `scipy.optimize.minimize`.
        """
        return {
            "fun": self.fun,
            "x0": self.x0,
            "jac": self.grad,
            "hess": self.hess_fun,
            "constraints": self.constraint(),
        }

    def error(self, x):
        """The measure by which solvers are compared.

        ``max(||g + G'l||_inf / max(1, ||g||_inf), ||c||_inf)`` with the multipliers l
        that make ``||g + G'l||_2`` smallest.

        Parameters
        ----------
        x : ndarray, shape (n,)
            The point.

        Returns
        -------
        float
            Infinity where f or c or a derivative is not finite.
        """
        with np.errstate(all="ignore"):
            g, c, G = self.grad(x), self.cons(x), self.jac(x)
        if not (np.isfinite(g).all() and np.isfinite(c).all()):
            return float("inf")
        return max(_dual_residual(g, G), float(abs(c).max(initial=0.0)))


def _dual_residual(g, G):
    from scipy import sparse

    if sparse.issparse(G):
        residual = _sparse_residual(g, G)
    elif not np.isfinite(G).all():
        return float("inf")
    elif G.shape[0]:
        residual = g + G.T @ np.linalg.lstsq(G.T, -g, rcond=None)[0]
    else:
        residual = g
    return float(abs(residual).max() / max(1.0, abs(g).max()))


def _sparse_residual(g, G):
    """The part of g outside the row space of G, from the augmented system of least squares."""
    from scipy import sparse
    from scipy.sparse.linalg import splu

    m, n = G.shape
    system = sparse.block_array([[sparse.eye_array(n), G.T], [G, None]], format="csc")
    factor = splu(system)
    rhs = np.concatenate([g, np.zeros(m)])
    solution = factor.solve(rhs)
    return (solution + factor.solve(rhs - system @ solution))[:n]
