"""Logistic regression against an adversary."""

from functools import partial
from typing import Any

from refopt import _validate
from refopt.halpern._components import FiniteSumOperator
from refopt.halpern._operator_data import column, matrix, on_host
from refopt.proximal import Product, project_simplex
from refopt_backends import resolve


class LogisticSaddle(FiniteSumOperator):
    r"""Logistic regression against the worst weights of its rows.

    .. math::
        \min_w \max_{p \in \Delta} \; \sum_i p_i \log(1 + e^{-y_i x_i^T w})
        + \tfrac{\lambda}{2} \|w\|^2 - \tfrac{\kappa n}{2} \|p - 1/n\|^2

    Rows that are hard get more weight, the more so the smaller :math:`\kappa`
    is; large :math:`\kappa` is ordinary logistic regression. The unknowns are
    :math:`u = (w, \sqrt n\, p)`, which balances their scales; solve with the
    attributes `prox` and `start`, and take u apart with `split`. Component i
    holds row i and weight i.

    Parameters
    ----------
    X : array_like, shape (n, d)
        The rows.
    labels : array_like, shape (n,)
        -1 and +1.
    lam : float, optional
        The penalty of w, > 0.
    kappa : float, optional
        The penalty of uneven weights, > 0.

    Attributes
    ----------
    prox : Product
        The projection that belongs to p in the simplex.
    start : array, shape (d + n,)
        w = 0 and equal weights.

    Raises
    ------
    ValueError
        Wrong shapes, NaN, other labels, parameters that are not positive.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    Lipschitz on the set of feasible points only: solvers estimate their constant.

    References
    ----------
    .. [1] H. Namkoong, J. Duchi, Variance-based regularization with convex
       objectives, NeurIPS 2017 (for the problem).

    Examples
    --------
    >>> import refopt
    >>> from refopt.halpern import LogisticSaddle
    >>> F = LogisticSaddle([[1.0], [2.0], [-1.0]], [1.0, 1.0, 1.0], lam=0.1)
    >>> w, p = F.split(refopt.solve_vi(F, F.start, prox=F.prox, tol=1e-8).x)
    >>> [round(float(t), 3) for t in p]
    [0.307, 0.262, 0.432]
    """

    def __init__(self, X, labels, lam=1e-2, kappa=1.0):
        X, labels = _validate.as_array(X, "X"), _validate.as_array(labels, "labels")
        self.xp = xp = resolve(X, labels, names=("X", "labels"), small=True)[0]
        X = matrix(xp, X, "X")
        self.n, self.d = X.shape
        labels = column(xp, labels, self.n, "labels", X.dtype)
        others = xp.abs(labels) != 1
        if bool(xp.any(others)):
            found = _validate.first_place(xp, labels, others)
            raise ValueError(f"labels must be -1 and +1, got {found}")
        self.lam, self.kappa = _validate.positive(lam, "lam"), _validate.positive(kappa, "kappa")
        self.Z = X * labels[:, None]
        self.shape, self.arrays = (self.d + self.n,), (self.Z,)
        squares = on_host(xp, xp.sum(xp.astype(self.Z, xp.float64) ** 2, axis=1))
        self.weights = (1.0 + squares) / (1.0 + squares).sum()
        self.root = self.n**0.5
        simplex = partial(project_simplex, radius=self.root)
        self.prox = Product([(slice(self.d, self.d + self.n), simplex)])
        equal = xp.full(self.n, 1.0 / self.root, dtype=X.dtype)
        self.start = xp.concat([xp.zeros(self.d, dtype=X.dtype), equal])

    def split(self, u):
        """Return the weights of the columns and those of the rows.

        Parameters
        ----------
        u : array, shape (d + n,)
            A point.

        Returns
        -------
        w : array, shape (d,)
            Coefficients.
        p : array, shape (n,)
            Weights of the rows, of sum 1 at a feasible point.
        """
        return u[: self.d], u[self.d :] / self.root

    def full(self, u):
        xp, w, q = self.xp, u[: self.d], u[self.d :]
        loss, slope = _logistic(xp, self.Z @ w)
        first = (q * slope) @ self.Z / self.root + self.lam * w
        return xp.concat([first, self.kappa * (q - 1.0 / self.root) - loss / self.root])

    def batch(self, u, index, weights=None):
        xp, n, w = self.xp, self.n, u[: self.d]
        q = xp.take(u[self.d :], index)
        Z = xp.take(self.Z, index, axis=0)
        loss, slope = _logistic(xp, Z @ w)
        scale = xp.ones_like(q) if weights is None else weights
        scale = scale / index.shape[0]
        first = (self.root * scale * q * slope) @ Z + float(xp.sum(scale)) * self.lam * w
        second = xp.zeros_like(u[self.d :])
        values = n * scale * (self.kappa * (q - 1.0 / self.root) - loss / self.root)
        for k in range(index.shape[0]):  # an index may occur twice
            second[int(index[k])] += values[k]
        return xp.concat([first, second])


def _logistic(xp: Any, z: Any) -> tuple[Any, Any]:
    """log(1 + exp(-z)) and its derivative, without overflow."""
    small = xp.exp(-xp.abs(z))
    loss = xp.log1p(small) + xp.maximum(-z, xp.zeros_like(z))
    return loss, -xp.where(z > 0, small, xp.ones_like(z)) / (1.0 + small)
