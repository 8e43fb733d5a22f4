"""Gated ReLU networks: the convex program without its cones.

    min over u_i of f(sum_i D_i X u_i) + beta sum_i ||u_i||

A ReLU network has the same predictions by cone decomposition, u_i = v_i - w_i.
"""

from dataclasses import dataclass
from typing import Any

from refopt.convex_relu import _cones
from refopt.convex_relu._group_lasso import Groups, solve_groups
from refopt.convex_relu._master import Master
from refopt.convex_relu._program import LOSSES, row_norms


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


def cone_decomposition(
    xp: Any, kernels: Any, X: Any, masks: Any, U: Any, directions: Any
) -> tuple[Any, Any]:
    """v_i and w_i within the cones of patterns, v_i - w_i = u_i, w_i as short as possible.

    The shortest w with S X w >= max(0, -S X u) by nonnegative least squares (Lawson and
    Hanson's least distance programming), then as far along the central direction as
    rounding asks; or along the central direction only, where norms are smaller so.

    Parameters
    ----------
    X : array, shape (n, d)
        Without rows of zeros.
    masks : bool array, shape (P, n)
    U, directions : array, shape (P, d)
        Directions are inside the cones.

    Returns
    -------
    V, W : array, shape (P, d)
    """
    S = 2 * xp.astype(masks, xp.float64) - 1
    margins = S * (directions @ X.T)
    b = -S * (U @ X.T)
    lengths = row_norms(xp, X)

    def inside(W):
        need = xp.max((xp.maximum(b, xp.zeros_like(b)) - S * (W @ X.T)) / margins, axis=1)
        return W + xp.maximum(need, xp.zeros_like(need))[:, None] * directions

    W = xp.zeros_like(U)
    free = xp.full(X.shape[0], xp.inf)
    last = xp.eye(X.shape[1] + 1)[-1:, :]
    for i in range(U.shape[0]):
        aims = xp.maximum(b[i, :], xp.zeros_like(lengths)) / lengths
        largest = float(xp.max(aims))
        if largest > 0:
            rows = S[i, :][:, None] * X / lengths[:, None]
            rows = xp.concat([rows, (aims / largest)[:, None]], axis=1)
            rest, _ = kernels.box_least_squares(rows, free, last, xp.zeros((1, free.shape[0])))
            if float(rest[0, -1]) > 0:
                W[i, :] = -largest * rest[0, :-1] / rest[0, -1]
    short, central = inside(W), inside(xp.zeros_like(U))
    sums = [row_norms(xp, U + w) + row_norms(xp, w) for w in (short, central)]
    W = xp.where((sums[0] <= sums[1])[:, None], short, central)
    return U + W, W


def solve_gated(X: Any, y: Any, patterns: Any, *, beta: float, loss: str, strict: bool,
                kernels: Any, xp: Any, start: Any = None, **driver: Any) -> Master:  # fmt: skip
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
    start : Start, optional
        A point over the same patterns.
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
            both[:, kept, :] = xp.stack(cone_decomposition(xp, kernels, Xr, mr, U, inner))
        return xp.permute_dims(both, (0, 2, 1))

    given = None
    if start is not None:
        given = xp.take((start.x[0] - start.x[1]).T, kept, axis=0), start.r
    found = solve_groups(program, sides, start=given, **driver)
    V, W = sides(found.U)
    return Master(V, W, found.z, found.r, None, found.value, found.dual, found.outcome)
