"""The linear systems of splitting methods: U K + kappa F'F U = R with K = I + eta X'X.

Both are of the sizes of data, never of all unknowns: `Hadamard` has an n x n matrix, by
G_j'G_j = X'X for every pattern, `Sylvester` one of the number of columns.
"""

from typing import Any

from refopt.convex_relu._program import Program
from refopt_backends import cholesky


def _spectrum(program, eta):
    """Eigenvalues and eigenvectors of K."""
    xp, X = program.xp, program.X
    values, vectors = xp.linalg.eigh(X.T @ X)
    return 1 + eta * xp.maximum(values, xp.zeros_like(values)), vectors


class Hadamard:
    """z = F U with its n x n matrix I/kappa + (X K^-1 X') o sum_j d_j d_j'.

    The copy of predictions is z (n,).
    """

    def __init__(self, program: Program, eta: float, kappa: float):
        xp, X = program.xp, program.X
        self.program, self.kappa = program, kappa
        values, E = _spectrum(program, eta)
        self.K_inverse = (E / values) @ E.T
        D = xp.astype(xp.take(program.masks, program.of, axis=0), xp.float64)
        M = (X @ self.K_inverse @ X.T) * (D.T @ D) + xp.eye(X.shape[0]) / kappa
        inverse = xp.linalg.inv(cholesky(M))
        self.M_inverse = inverse.T @ inverse

    def solve(self, R: Any) -> Any:
        """U."""
        program = self.program
        first = R @ self.K_inverse
        p = self.M_inverse @ program.predict(first @ program.X.T)
        return first - program.pull(p) @ self.K_inverse

    def copy(self, U: Any, z: Any) -> Any:
        """F U, which is z."""
        return z

    def adjoint(self, z: Any) -> Any:
        """F'z."""
        return self.program.pull(z)

    def proximal(self, prox: Any, q: Any, weight: float) -> tuple[Any, Any]:
        """The copy after the loss's proximal map, and the slopes r there."""
        z = prox(self.program.xp, q, self.program.y, 1 / weight)
        return z, weight * (q - z)


class Sylvester:
    """Q = sum_j sigma_j d_j u_j', row k the weights that sample k meets; z_k = x_k'q_k.

    Memory of n d and of the square of the number of columns.
    """

    def __init__(self, program: Program, eta: float, kappa: float):
        xp, X = program.xp, program.X
        self.program = program
        values, self.E = _spectrum(program, eta)
        c, self.H = xp.linalg.eigh(program.signed @ program.signed.T)
        self.denominators = values[None, :] + kappa * xp.maximum(c, xp.zeros_like(c))[:, None]
        self.squares = xp.sum(X * X, axis=1)

    def solve(self, R: Any) -> Any:
        """U."""
        return self.H @ ((self.H.T @ R @ self.E) / self.denominators) @ self.E.T

    def copy(self, U: Any, z: Any) -> Any:
        """Q, for U with F U = z."""
        return self.program.signed.T @ U

    def adjoint(self, Q: Any) -> Any:
        """sum_k sigma_j d_kj q_k, a row per column."""
        return self.program.signed @ Q

    def proximal(self, prox: Any, Q: Any, weight: float) -> tuple[Any, Any]:
        """As of `Hadamard`, row by row."""
        xp, X = self.program.xp, self.program.X
        q = xp.sum(X * Q, axis=1)
        g = self.squares / weight
        r = (q - prox(xp, q, self.program.y, g)) / g
        return Q - (r / weight)[:, None] * X, r
