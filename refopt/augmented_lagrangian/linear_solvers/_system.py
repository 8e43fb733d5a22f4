"""The matrix of a Newton step, and what solving with it has told."""

import math
from dataclasses import dataclass
from typing import Any

from refopt.augmented_lagrangian._operators import is_sparse, sparse_library


@dataclass
class KKTSystem:
    r"""K = [[H + shift I, G'], [G, -dc I]].

    Attributes
    ----------
    H : array, sparse matrix or LinearOperator, shape (n, n)
        Symmetric.
    G : array, sparse matrix or LinearOperator, shape (m, n)
    xp : module
        The array namespace.
    shift : float
    dc : float
        Regularisation of a Jacobian without full rank.
    n, m : int
        Numbers of variables, of constraints.
    """

    H: Any
    G: Any
    xp: Any
    shift: float = 0.0
    dc: float = 0.0

    def __post_init__(self):
        self.m, self.n = self.G.shape
        self._dense: Any = None

    @property
    def dense(self) -> Any:
        """The matrix as an array, its parts being arrays."""
        if self._dense is not None:
            return self._dense
        xp, n, m = self.xp, self.n, self.m
        K = xp.zeros((n + m, n + m))
        K[:n, :n] = self.H
        K[n:, :n] = self.G
        K[:n, n:] = self.G.T
        if self.shift:
            K[range(n), range(n)] += self.shift
        if self.dc:
            K[range(n, n + m), range(n, n + m)] = -self.dc
        self._dense = K
        return K

    @property
    def sparse(self) -> Any:
        """The matrix in compressed columns."""
        library = sparse_library(self.H if is_sparse(self.H) else self.G)
        H, G = library.csr_matrix(self.H), library.csr_matrix(self.G)
        if self.shift:
            H = H + self.shift * library.eye(self.n, format="csr")
        corner = -self.dc * library.eye(self.m, format="csr") if self.dc else None
        return library.bmat([[H, G.T], [G, corner]], format="csc")

    def product(self, v: Any) -> Any:
        """(H + shift I) v."""
        Hv = self.H @ v
        return Hv + self.shift * v if self.shift else Hv

    def matvec(self, d: Any) -> Any:
        """K d."""
        n = self.n
        dx, dl = d[:n], d[n:]
        Kd = self.xp.empty_like(d)
        Kd[:n] = self.product(dx)
        Kd[:n] += self.G.T @ dl
        Kd[n:] = self.G @ dx
        if self.dc:
            Kd[n:] -= self.dc * dl
        return Kd

    def unregularised(self, Kd: Any, d: Any) -> tuple[Any, Any]:
        """H dx + G'dl and G dx, from K d."""
        u, Gdx = Kd[: self.n], Kd[self.n :]
        if self.shift:
            u = u - self.shift * d[: self.n]
        return u, Gdx + self.dc * d[self.n :] if self.dc else Gdx

    def relative_residual(self, d: Any, rhs: Any) -> float:
        """|K d - rhs| / |rhs|, infinite if d is not finite."""
        return self.tested(d, rhs)[0]

    def tested(self, d: Any, rhs: Any) -> tuple[float, Any]:
        """The same, and K d."""
        Kd = self.matvec(d)
        return relative(Kd, rhs), Kd


def relative(Kd: Any, rhs: Any) -> float:
    """|K d - rhs| / |rhs|, infinite if K d is not finite."""
    r = Kd - rhs
    error, size = float(r @ r), float(rhs @ rhs)
    if not math.isfinite(error):
        return math.inf
    return math.sqrt(error / size if size else error)


@dataclass
class SolveInfo:
    """What a solve has told.

    Attributes
    ----------
    relres : float
        Relative residual that was reached.
    iterations : int
        Inner iterations; of a factorisation 0.
    inertia : tuple of int, optional
        Numbers of positive and negative eigenvalues of K; None if not known. B is
        positive definite on null(G), and G has full rank, when they are (n, m).
    product : array, optional
        K d, where the solver knows it.
    again : callable, optional
        ``again(rhs)`` solves with the same matrix and another right-hand side;
        None if that would cost as much as the first solve.
    """

    relres: float
    iterations: int = 0
    inertia: tuple[int, int] | None = None
    again: Any = None
    product: Any = None
