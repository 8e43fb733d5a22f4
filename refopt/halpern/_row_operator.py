"""Components with one row of data each."""

import numpy as np

from refopt import _validate
from refopt.halpern._components import FiniteSumOperator, power_norm, random_start
from refopt.halpern._operator_data import column, matrix, numbers, on_host
from refopt_backends import resolve


class RowLinear(FiniteSumOperator):
    r"""Components with one row of data each, linear in the unknowns.

    .. math::
        F_i(x, y) = \bigl(a_i\,(c_{11} s + c_{12} t - p_i),\;
        b_i\,(c_{21} s + c_{22} t - q_i)\bigr) + \mu\,(x, y),
        \qquad s = a_i^T x, \; t = b_i^T y .

    Without `b`: :math:`F_i(x) = a_i (a_i^T x - p_i) + \mu x`, least squares.

    Parameters
    ----------
    a : array_like, shape (n, d1)
        Rows for the first block of unknowns.
    b : array_like, shape (n, d2), optional
        Rows for the second block.
    p, q : array_like, shape (n,), optional
        Right-hand sides; 0 by default.
    coupling : array_like, shape (2, 2), optional
        The matrix c with a positive semidefinite symmetric part;
        ``[[1, 1], [-1, 1]]`` by default.
    mu : float, optional
        Strong monotonicity added to every component, mu >= 0.

    Raises
    ------
    ValueError
        Wrong shapes, NaN, a negative mu.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    Importance sampling draws i in proportion to
    :math:`\max(|a_i|^2, |b_i|^2)`. A component costs one read of its rows,
    O(d1 + d2), in compiled loops.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.halpern import RowLinear
    >>> F = RowLinear(np.array([[1.0, 0.0], [0.0, 2.0]]), p=[1.0, 2.0])
    >>> [float(v) for v in F.full(np.array([1.0, 1.0]))]
    [0.0, 0.0]
    """

    def __init__(self, a, b=None, p=None, q=None, *, coupling=None, mu=0.0):
        optional = {"b": b, "p": p, "q": q, "coupling": coupling}
        given = {k: None if v is None else _validate.as_array(v, k) for k, v in optional.items()}
        given["a"] = _validate.as_array(a, "a")
        self.xp = xp = resolve(*(given[k] for k in "abpq"), names=tuple("abpq"), small=True)[0]
        a = matrix(xp, given["a"], "a")
        self.n, split = a.shape
        blocks = [a]
        if given["b"] is not None:
            b = matrix(xp, given["b"], "b")
            if b.shape[0] != self.n:
                raise ValueError(f"b must have {self.n} rows, as a, got {b.shape[0]}")
            blocks.append(xp.astype(b, a.dtype, copy=False))
        self.rows = xp.concat(blocks, axis=1)
        if coupling is None:
            coupling = np.array([[1.0, 1.0], [-1.0, 1.0]])
        else:
            coupling = np.asarray(numbers(np, given["coupling"], "coupling", 2), dtype=float)
            if coupling.shape != (2, 2):
                raise ValueError(f"coupling must have shape (2, 2), got {coupling.shape}")
        self.coupling = tuple(map(float, coupling.ravel()))
        self.p = column(xp, given["p"], self.n, "p", a.dtype)
        self.q = column(xp, given["q"], self.n, "q", a.dtype)
        self.mu = _validate.nonnegative(mu, "mu")
        self.split, self.shape = split, (self.rows.shape[1],)
        self.form = ("rows", self.rows, split, self.coupling)
        self.arrays = (self.rows,)
        squares = xp.astype(self.rows, xp.float64, copy=False) ** 2
        first, second = xp.sum(squares[:, :split], axis=1), xp.sum(squares[:, split:], axis=1)
        self.sizes = on_host(xp, xp.maximum(first, second))
        total = float(self.sizes.sum())
        self.weights = self.sizes / total if total > 0 else None
        u, v = self.rows[:, :split], self.rows[:, split:]
        self.constant = -xp.concat([self.p @ u, self.q @ v]) / self.n

    def _combined(self, rows, z, weights, coupling=None):
        """rows' C rows z, weighted, over the number of rows."""
        xp, s = self.xp, self.split
        c11, c12, c21, c22 = coupling or self.coupling
        first, second = rows[:, :s] @ z[:s], rows[:, s:] @ z[s:]
        alpha, beta = c11 * first + c12 * second, c21 * first + c22 * second
        if weights is not None:
            alpha, beta = alpha * weights, beta * weights
        return xp.concat([alpha @ rows[:, :s], beta @ rows[:, s:]]) / rows.shape[0]

    def full(self, u):
        return self._combined(self.rows, u, None) + self.constant + self.mu * u

    def batch(self, u, index, weights=None):
        xp, s = self.xp, self.split
        rows = xp.take(self.rows, index, axis=0)
        p, q = xp.take(self.p, index), xp.take(self.q, index)
        p, q = (p, q) if weights is None else (p * weights, q * weights)
        constant = xp.concat([p @ rows[:, :s], q @ rows[:, s:]]) / index.shape[0]
        mean = 1.0 if weights is None else float(xp.mean(weights))
        return self._combined(rows, u, weights) - constant + (self.mu * mean) * u

    def batch_diff(self, u, v, index, weights=None):
        z = u - v  # its part mu z belongs to all components: exact, whatever is drawn
        if self.kernels is None:
            rows = self.xp.take(self.rows, index, axis=0)
            return self._combined(rows, z, weights) + self.mu * z
        return self.kernels.batch_rows_diff(self.form, z, index, weights) + self.mu * z

    def lipschitz(self, sampling):
        rows, (c11, c12, c21, c22) = self.rows, self.coupling
        if isinstance(sampling, str) and sampling == "full":
            turned = (c11, c21, c12, c22)
            norm = power_norm(
                lambda v: self._combined(rows, v, None),
                lambda v: self._combined(rows, v, None, turned),
                random_start(self.xp, self.shape[0], rows.dtype),
                self.xp,
            )
            return norm + self.mu
        factor = _cocoercivity(self.coupling) if self.split < self.shape[0] else c11
        if isinstance(sampling, str):
            mean = sampling == "importance"
            return factor * float(self.sizes.mean() if mean else self.sizes.max()) + self.mu
        used = self.sizes > 0
        return factor * float((self.sizes[used] / (self.n * sampling[used])).max()) + self.mu


def _cocoercivity(coupling):
    """The least L with |C z|^2 <= L <C z, z> for all z in the plane, infinite if there is none."""
    C = np.array(coupling).reshape(2, 2)
    S = (C + C.T) / 2
    values, vectors = np.linalg.eigh(S)
    if values[0] <= 1e-14 * abs(values[1]):
        return float(np.linalg.norm(C, 2))
    root = vectors / np.sqrt(values)
    return float(np.linalg.norm(C @ root, 2) ** 2)
