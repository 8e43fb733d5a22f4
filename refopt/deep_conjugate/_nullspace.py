"""Vectors that A maps to zero: what is taken out of right-hand sides, residuals, solutions."""

from typing import Any

from refopt import _validate
from refopt_backends import diagonal_of, euclidean_norm, resolve


class NullSpace:
    """Nothing to take out."""

    trivial = True

    def remove(self, v: Any) -> float:
        """Project v onto the orthogonal complement, in place; the squared norm of what went."""
        return 0.0


class Means(NullSpace):
    """Vectors that are constant on each of a few parts, and zero elsewhere.

    Attributes
    ----------
    labels : array of int32
        In the shape of the vectors: parts 1 to `count`, 0 elsewhere.
    """

    trivial = False

    def __init__(self, kernels: Any, labels: Any, count: int):
        self.kernels, self.labels, self.count = kernels, labels, count

    def remove(self, v: Any) -> float:
        return float(self.kernels.subtract_means(self.labels, self.count, v))


class Span(NullSpace):
    """The span of the orthonormal columns of N."""

    trivial = False

    def __init__(self, N: Any, operator: Any):
        self.N, self.operator = N, operator

    def remove(self, v: Any) -> float:
        weights = self.N.T @ self.operator.leave(v)
        v -= self.operator.enter(self.N @ weights)
        return euclidean_norm(weights) ** 2


def null_space(nullspace: Any, operator: Any, b: Any) -> NullSpace:
    """The null space that the user names, or that a grid knows.

    Parameters
    ----------
    nullspace : "auto", None, "constant" or array, shape (n, k)
    operator : MatrixOperator or GridOperator
    b : array
        Of the operator's library.

    Raises
    ------
    ValueError
        Another text, or an array of another shape or of columns that are not independent.
    """
    if nullspace is None or operator.n == 0:
        return NullSpace()
    xp, kernels = operator.xp, operator.kernels
    if isinstance(nullspace, str):
        _validate.choice(nullspace, "nullspace", ("auto", "constant", None))
        if nullspace == "constant":
            ones = xp.ones(operator.n, dtype=xp.int32)
            return Means(kernels, ones if operator.grid is None else operator.grid.pad(ones), 1)
        return NullSpace() if operator.grid is None else _floating(operator)
    if hasattr(nullspace, "toarray"):
        nullspace = nullspace.toarray()
    N = _validate.as_array(nullspace, "nullspace")
    resolve(b, N, names=("b", "nullspace"))
    N = _validate.real_array(xp, N, "nullspace", 2)
    if N.shape[0] != operator.n:
        raise ValueError(
            f"nullspace must have {operator.n} rows as A has, got shape {tuple(N.shape)}"
        )
    _validate.all_finite(xp, N, "nullspace")
    if not N.shape[1]:
        return NullSpace()
    Q, R = xp.linalg.qr(xp.astype(N, xp.float64))
    sizes = xp.abs(diagonal_of(R))
    if N.shape[1] > N.shape[0] or float(xp.min(sizes)) <= 1e-12 * float(xp.max(sizes)):
        raise ValueError("nullspace must have linearly independent columns")
    return Span(Q, operator)


def _floating(operator):
    """Constants on the parts of a grid's fluid that touch no air."""
    labels, grounded = operator.grid.labelled()
    xp = operator.xp
    floating = ~grounded
    count = int(xp.count_nonzero(floating))
    if count == 0:
        return NullSpace()
    number = xp.cumsum(xp.astype(floating, xp.int32)) * floating
    number = xp.concat([xp.zeros(1, dtype=xp.int32), xp.astype(number, xp.int32)])
    return Means(operator.kernels, number[labels], count)
