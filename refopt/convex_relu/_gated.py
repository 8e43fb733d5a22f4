"""Gated ReLU networks: the convex program without its cones.

    min over u_i of f(sum_i D_i X u_i) + beta sum_i ||u_i||

A ReLU network has the same predictions by cone decomposition, u_i = v_i - w_i.
"""

from dataclasses import dataclass
from typing import Any

from refopt.convex_relu import _cones
from refopt.convex_relu._group_lasso import Groups, solve_groups
from refopt.convex_relu._master import Master
from refopt.convex_relu._program import LOSSES


@dataclass(frozen=True)
class GatedLinear(Groups):
    """Groups D_i X u_i, the patterns rows of `masks`, numbers 0 and 1."""

    X: Any
    masks: Any
    gram: Any

    @property
    def size(self):
        """Number of columns, samples, entries of a group."""
        return self.masks.shape[0], *self.X.shape

    def predict(self, U: Any) -> Any:
        """The sum of D_i X u_i."""
        return self.xp.sum(self.masks * (U @ self.X.T), axis=0)

    def pull(self, r: Any) -> Any:
        """X'D_i r, a row per pattern."""
        return (self.masks * r) @ self.X

    def rows_matrix(self, weights: Any, w: Any) -> Any:
        """The sum of weights_i D_i X (I + 2 w_i w_i') X'D_i."""
        along = self.masks * (w @ self.X.T)
        return self.gram * ((self.masks.T * weights) @ self.masks) + (
            (2 * along.T * weights) @ along
        )

    def dense(self) -> Any:
        """The D_i X side by side."""
        P, n, d = self.size
        return self.xp.reshape(self.masks.T[:, :, None] * self.X[:, None, :], (n, P * d))


def cone_decomposition(xp: Any, X: Any, masks: Any, U: Any, directions: Any) -> tuple[Any, Any]:
    """v_i = u_i + t_i g_i and w_i = t_i g_i within the cones of patterns, t_i the least.

    Parameters
    ----------
    X : array, shape (n, d)
    masks : bool array, shape (P, n)
    U, directions : array, shape (P, d)
        The g_i are inside the cones.

    Returns
    -------
    V, W : array, shape (P, d)
    """
    S = 2 * xp.astype(masks, xp.float64) - 1
    need = xp.max(-(S * (U @ X.T)) / (S * (directions @ X.T)), axis=1)
    used = xp.any(U != 0, axis=1)
    t = xp.where(used, xp.maximum(need, xp.zeros_like(need)), xp.zeros_like(need))
    W = t[:, None] * directions
    return U + W, W


def solve_gated(X: Any, y: Any, patterns: Any, *, beta: float, loss: str, strict: bool,
                kernels: Any, xp: Any, **driver: Any) -> Master:  # fmt: skip
    """Solve the gated program and decompose its solution.

    Parameters
    ----------
    X : array, shape (n, d)
    y : array, shape (n,)
    patterns : bool array, shape (n, P)
        Those whose cone has no interior are not used, or refused if `strict`.
    beta : float
    loss : {"squared", "logistic", "hinge"}
    strict : bool
    kernels : KernelTable
    xp : module
    **driver
        For `_driver.run`.

    Returns
    -------
    Master
        Its value and dual are of the gated program, u_i = v_i - w_i.
    """
    P, d = patterns.shape[1], X.shape[1]
    directions, used = _cones.usable_patterns(xp, X, patterns, strict)
    kept = xp.nonzero(used)[0]
    rows = xp.nonzero(xp.any(X != 0, axis=1))[0]
    masks = xp.take(patterns.T, kept, axis=0)
    program = GatedLinear(
        xp, kernels, y, beta, LOSSES[loss](), X, xp.astype(masks, xp.float64), X @ X.T
    )
    inner, Xr, mr = xp.take(directions, kept, axis=0), X[rows, :], masks[:, rows]

    def sides(U):
        both = xp.zeros((2, P, d))
        if U.size:
            both[:, kept, :] = xp.stack(cone_decomposition(xp, Xr, mr, U, inner))
        return xp.permute_dims(both, (0, 2, 1))

    found = solve_groups(program, sides, **driver)
    V, W = sides(found.U)
    return Master(V, W, found.z, found.r, None, found.value, found.dual, found.outcome)
