"""Lanczos' method, Ritz vectors, and training data made of them."""

import math

import numpy as np

from refopt import _rng, _validate
from refopt.deep_conjugate._nullspace import null_space
from refopt.deep_conjugate._operators import as_operator
from refopt.deep_conjugate._poisson_grid import PoissonGrid
from refopt_backends import euclidean_norm, resolve


def lanczos(A, v0, m, *, reorth=2):
    """Reduce a symmetric matrix to a tridiagonal one.

    .. math::

        A Q = Q T + \\text{(a last column)}, \\qquad Q'Q = I, \\qquad T = \\text{tridiag}(\\beta,
        \\alpha, \\beta),

    the columns of Q spanning :math:`v_0, A v_0, A^2 v_0, \\dots`.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator or PoissonGrid, shape (n, n)
        Symmetric.
    v0 : array, shape (n,)
        The first direction, not zero.
    m : int
        Number of steps, at most n.
    reorth : int
        How often each new vector is made orthogonal to all before. 0 loses orthogonality as soon
        as an eigenvalue is found; 2 keeps it to rounding.

    Returns
    -------
    Q : array, shape (n, k)
        Orthonormal columns; k = m, or less where the space is exhausted.
    alpha : array, shape (k,)
        Diagonal of T.
    beta : array, shape (k - 1,)
        Its off-diagonal.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be; the message names it.

    Notes
    -----
    Cost: m products with A and 2 n m^2 `reorth` operations. Memory: m vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.deep_conjugate import lanczos
    >>> Q, alpha, beta = lanczos(np.diag([1.0, 2.0, 3.0]), np.ones(3), 3)
    >>> alpha, beta.round(6)
    (array([2., 2., 2.]), array([0.816497, 0.57735 ]))
    """
    v0 = _validate.as_array(v0, "v0")
    resolve(v0, names=("v0",))
    operator = as_operator(A, v0)
    xp, n = operator.xp, operator.n
    if tuple(v0.shape) != (n,):
        raise ValueError(f"v0 must have shape ({n},), got {tuple(v0.shape)}")
    v0 = _validate.moderate(xp, _validate.real_array(xp, v0, "v0", 1), "v0")
    m, reorth = min(_validate.count(m, "m", 1), n), _validate.count(reorth, "reorth")
    q = xp.astype(v0, xp.float64)
    size = euclidean_norm(q)
    if not size > 0:
        raise ValueError("v0 must not be zero")
    Q = xp.empty((m, n), dtype=xp.float64)  # vectors are rows while it grows
    alpha: list[float] = []
    beta: list[float] = []
    q = q / size
    for k in range(m):
        Q[k, :] = q
        w = operator.leave(operator.product(operator.enter(q)))
        alpha.append(float(q @ w))
        w = w - alpha[k] * q - (beta[k - 1] * Q[k - 1, :] if k else 0.0)
        for _ in range(reorth):
            w = w - (Q[: k + 1, :] @ w) @ Q[: k + 1, :]
        size = euclidean_norm(w)
        if size <= 1e-13 * max(map(abs, (*alpha, *beta))) or k + 1 == m:
            break
        beta.append(size)
        q = w / size
    k = len(alpha)
    return Q[:k, :].T, xp.asarray(alpha), xp.asarray(beta, dtype=xp.float64)


def ritz_vectors(A, v0, m, *, reorth=2):
    """Ritz values in ascending order and their vectors as columns, after m Lanczos steps.

    Parameters
    ----------
    A, v0, m, reorth
        As of `lanczos`.

    Returns
    -------
    theta : array, shape (k,)
    Y : array, shape (n, k)
    """
    from scipy.linalg import eigh_tridiagonal

    Q, alpha, beta = lanczos(A, v0, m, reorth=reorth)
    xp, _ = resolve(Q)
    host = [np.asarray([float(t) for t in a]) for a in (alpha, beta)]
    theta, U = eigh_tridiagonal(*host)
    return xp.asarray(theta), Q @ xp.asarray(U)


def ritz_dataset(
    A,
    n_samples=20000,
    *,
    n_lanczos=1000,
    low_fraction=0.55,
    low_weight=9.0,
    reorth=2,
    rng=None,
    dtype=np.float32,
):
    """Draw right-hand sides in which the lower end of a matrix' spectrum stands out.

    .. math::

        b = \\sum_i c_i y_i, \\qquad b \\leftarrow b / \\|b\\|_2,

    with the Ritz vectors y_i of `n_lanczos` Lanczos steps in ascending order of their values, and
    normal c_i of standard deviation `low_weight` for the first `low_fraction` of them, else 1.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator or PoissonGrid, shape (n, n)
        Symmetric positive semidefinite.
    n_samples : int
        Number of right-hand sides.
    n_lanczos : int
        Lanczos steps, from A times a normal vector; at most n.
    low_fraction : float
        Which share of the vectors is low.
    low_weight : float
        Standard deviation of their coefficients.
    reorth : int
        As of `lanczos`.
    rng : None, int or Generator
        Random numbers, as SPEC 7 has it.
    dtype : dtype
        Of the result, float32 or float64.

    Returns
    -------
    array, shape (n_samples, n)
        One right-hand side of norm 1 per row. Vectors of values below 1e-8 times the largest are
        left out, so that each lies in the range of A.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be; the message names it.

    See Also
    --------
    lanczos : The method.

    Notes
    -----
    Memory: 8 n `n_lanczos` bytes for the Lanczos vectors and as much for those of Ritz.

    References
    ----------
    .. [1] A. Kaneda, O. Akar, J. Chen, V. Kala, D. Hyde, J. Teran, "A Deep Conjugate Direction
       Method for Iteratively Solving Linear Systems", ICML 2023, section 5.

    Examples
    --------
    >>> from refopt import PoissonGrid
    >>> from refopt.deep_conjugate import ritz_dataset
    >>> from refopt.problems import pressure_scene
    >>> A = PoissonGrid(pressure_scene("room", 10))
    >>> ritz_dataset(A, 5, n_lanczos=50, rng=0).shape
    (5, 512)
    """
    n_samples = _validate.count(n_samples, "n_samples")
    share, weight = (
        _validate.nonnegative(value, name)
        for value, name in ((low_fraction, "low_fraction"), (low_weight, "low_weight"))
    )
    n_lanczos = _validate.count(n_lanczos, "n_lanczos", 1)
    if share > 1:
        raise ValueError(f"low_fraction must be at most 1, got {low_fraction!r}")
    if weight == 0 and share == 1:
        raise ValueError("low_weight must be positive where low_fraction is 1, got 0")
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    rng = _rng.generator(rng)
    _, Y = weighted_ritz_vectors(A, rng, n_lanczos, share, weight, reorth=reorth)
    xp, _ = resolve(Y)
    samples = xp.empty((n_samples, Y.shape[1]), dtype=np.dtype(dtype))
    for first in range(0, n_samples, 256):
        rows = slice(first, min(first + 256, n_samples))
        c = xp.asarray(rng.standard_normal((rows.stop - first, Y.shape[0])))
        b = c @ Y
        samples[rows, :] = b / xp.sqrt(xp.sum(b * b, axis=1))[:, None]
    return samples


def weighted_ritz_vectors(A, rng, n_lanczos, low_fraction, low_weight, *, reorth=2):
    """Ritz values, ascending, and their vectors times the weights of `ritz_dataset`, as rows."""
    xp = _namespace(A)
    operator = as_operator(A, xp.zeros(1))
    if operator.n == 0:
        raise ValueError("A must have unknowns, got shape (0, 0)")
    start = xp.asarray(rng.standard_normal(operator.n))
    start = operator.leave(operator.product(operator.enter(start)))
    if not euclidean_norm(start) > 0:
        raise ValueError("A must not be zero")
    theta, Y = ritz_vectors(A, start, n_lanczos, reorth=reorth)
    largest = float(xp.max(theta))
    if not largest > 0:
        raise ValueError(f"A must be positive semidefinite, got the Ritz value {largest:.3g}")
    keep = theta >= 1e-8 * largest
    m = theta.shape[0]
    weights = np.where(np.arange(m) < math.ceil(low_fraction * m - 1e-9), low_weight, 1.0)
    Y = (Y * xp.asarray(weights))[:, keep].T
    nullspace = null_space("auto", operator, start)
    if not nullspace.trivial:  # rounding brings it back where Ritz values crowd near zero
        for k in range(Y.shape[0]):
            y = operator.enter(Y[k, :])
            nullspace.remove(y)
            Y[k, :] = operator.leave(y)
    return theta[keep], Y


def _namespace(A):
    """The namespace of a matrix in any form; NumPy's for what is known by its products."""
    if isinstance(A, PoissonGrid):
        return A.xp
    if hasattr(A, "tocsr"):
        return resolve(A.tocsr().data)[0]
    return resolve(None if hasattr(A, "matvec") else _validate.as_array(A, "A"), names=("A",))[0]
