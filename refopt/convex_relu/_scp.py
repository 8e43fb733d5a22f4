"""The sampled convex program over directions: a lasso on random ReLU features.

    min over alpha of f(Phi alpha) + beta ||alpha||_1,   phi_j = (X u_j)_+,  ||u_j|| = 1

Every alpha is a network of that objective, and a point of the program over the patterns of
the u_j, whose optimum is never above.
"""

from dataclasses import dataclass
from typing import Any

from refopt.convex_relu._group_lasso import Groups, solve_groups
from refopt.convex_relu._master import Master
from refopt.convex_relu._program import LOSSES


@dataclass(frozen=True)
class Features(Groups):
    """Groups of one number: column j is phi_j."""

    Phi: Any

    @property
    def size(self):
        """Number of columns, samples, entries of a group."""
        return self.Phi.shape[1], self.Phi.shape[0], 1

    def predict(self, U: Any) -> Any:
        """Phi alpha."""
        return self.Phi @ U[:, 0]

    def pull(self, r: Any) -> Any:
        """Phi'r."""
        return (r @ self.Phi)[:, None]

    def rows_matrix(self, weights: Any, w: Any) -> Any:
        """The sum of weights_j (1 + 2 w_j^2) phi_j phi_j'."""
        return (self.Phi * (weights * (1 + 2 * w[:, 0] ** 2))) @ self.Phi.T

    def dense(self) -> Any:
        """Phi."""
        return self.Phi


def solve_features(X: Any, y: Any, G: Any, *, beta: float, loss: str, kernels: Any, xp: Any,
                   start: Any = None, **driver: Any) -> Master:  # fmt: skip
    """Weights of the neurons with directions G.

    Parameters
    ----------
    X : array, shape (n, d)
    y : array, shape (n,)
    G : array, shape (d, P)
        Of length 1.
    beta : float
    loss : {"squared", "logistic", "hinge"}
    kernels : KernelTable
    xp : module
    start : Start, optional
        A point over the same directions.
    **driver
        For `_driver.run`.

    Returns
    -------
    Master
        V and W hold the directions times the positive and the negative alpha.
    """
    H = X @ G
    program = Features(xp, kernels, y, beta, LOSSES[loss](), xp.maximum(H, xp.zeros_like(H)))

    def sides(U):
        alpha = U[:, 0]
        zero = xp.zeros_like(alpha)
        return xp.stack([G * xp.maximum(alpha, zero), G * xp.maximum(-alpha, zero)])

    given = None
    if start is not None:
        given = xp.sum(G * (start.x[0] - start.x[1]), axis=0)[:, None], start.r
    found = solve_groups(program, sides, start=given, **driver)
    V, W = sides(found.U)
    return Master(V, W, found.z, found.r, None, found.value, found.dual, found.outcome)
