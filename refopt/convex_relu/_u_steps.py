"""The linear systems of splitting methods: U K + kappa F'F U = R with K = I + eta X'X.

None is of the size of all unknowns, by G_j'G_j = X'X for every pattern: `Woodbury` has an
n x n matrix, which `ConjugateGradients` never forms, `Cholesky` one of patterns times features,
and `Sylvester`, with another copy of predictions, one of the number of columns.
"""

from typing import Any

from refopt.convex_relu._newton_systems import Pairs, pattern_gram
from refopt.convex_relu._program import Program

_RESIDUAL = 1e-13  # of conjugate gradients, relative
_STEPS = 500


def _spectrum(program, eta):
    """Eigenvalues and eigenvectors of K."""
    xp, X = program.xp, program.X
    values, vectors = xp.linalg.eigh(program.total(X.T @ X))
    return 1 + eta * xp.maximum(values, xp.zeros_like(values)), vectors


class _Predictions:
    """Splittings whose copy of predictions is z = F U (n,)."""

    def __init__(self, program: Program, eta: float, kappa: float):
        self.program, self.kappa = program, kappa
        values, E = _spectrum(program, eta)
        self.K_inverse = (E / values) @ E.T

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


class Woodbury(_Predictions):
    """By M = I/kappa + (X K^-1 X') o sum_j d_j d_j', n x n, and its inverse.

    A product with an inverse takes a fifth of two triangular solves, and M is well conditioned.
    """

    def __init__(self, program: Program, eta: float, kappa: float):
        super().__init__(program, eta, kappa)
        xp, X = program.xp, program.X
        D = xp.astype(xp.take(program.masks, program.of, axis=0), xp.float64)
        M = (X @ self.K_inverse @ X.T) * (D.T @ D) + xp.eye(X.shape[0]) / kappa
        self.M_inverse = xp.linalg.inv(M)

    def solve(self, R: Any) -> Any:
        """U."""
        first = R @ self.K_inverse
        p = self.M_inverse @ self.program.apply(first)
        return first - self.program.pull(p) @ self.K_inverse


class ConjugateGradients(_Predictions):
    """M as in `Woodbury`, by products with masks; conjugate gradients from the last solution."""

    def __init__(self, program: Program, eta: float, kappa: float):
        super().__init__(program, eta, kappa)
        self.p = program.xp.zeros(program.size[1])

    def solve(self, R: Any) -> Any:
        """U."""
        program = self.program

        def product(p):
            return p / self.kappa + program.apply(program.pull(p) @ self.K_inverse)

        first = R @ self.K_inverse
        self.p = conjugate_gradients(product, program.apply(first), self.p, _RESIDUAL)
        return first - program.pull(self.p) @ self.K_inverse


class Cholesky(_Predictions):
    """By the differences a_i of a pattern's columns, P d equations."""

    def __init__(self, program: Program, eta: float, kappa: float):
        super().__init__(program, eta, kappa)
        xp, (C, _, d) = program.xp, program.size
        self.pairs = Pairs(program)
        K = xp.zeros((C, d, d)) + xp.linalg.inv(self.K_inverse)
        ones = xp.full((program.X.shape[0],), kappa)
        self.pairs.factorise(K, pattern_gram(program, self.pairs.patterns, ones))

    def solve(self, R: Any) -> Any:
        """U."""
        return self.pairs.solve(R)


def conjugate_gradients(product: Any, b: Any, x: Any, tol: float) -> Any:
    """The solution of a positive definite system to a residual of tol ||b||, from x."""
    r = b - product(x)
    p, square, enough = r, float(r @ r), tol**2 * float(b @ b)
    for _ in range(_STEPS):
        if square <= enough:
            break
        q = product(p)
        step = square / float(p @ q)
        x, r = x + step * p, r - step * q
        before, square = square, float(r @ r)
        p = r + (square / before) * p
    return x


class Sylvester:
    """Q = sum_j sigma_j d_j u_j', row k the weights that sample k meets; z_k = x_k'q_k.

    Memory of n d and of the square of the number of columns.
    """

    def __init__(self, program: Program, eta: float, kappa: float):
        xp, X = program.xp, program.X
        self.program = program
        values, self.E = _spectrum(program, eta)
        c, self.H = xp.linalg.eigh(program.total(program.signed @ program.signed.T))
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
        return self.program.total(self.program.signed @ Q)

    def proximal(self, prox: Any, Q: Any, weight: float) -> tuple[Any, Any]:
        """As of other splittings, row by row."""
        xp, X = self.program.xp, self.program.X
        q = xp.sum(X * Q, axis=1)
        g = self.squares / weight
        r = (q - prox(xp, q, self.program.y, g)) / g
        return Q - (r / weight)[:, None] * X, r


U_STEPS: dict[str, Any] = {
    "woodbury": Woodbury,
    "pcg": ConjugateGradients,
    "cholesky": Cholesky,
    "sylvester": Sylvester,
}
