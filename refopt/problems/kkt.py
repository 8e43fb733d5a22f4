"""Linear systems of the optimality conditions of quadratic programs."""

import numpy as np

__all__ = ["kkt_system"]


def kkt_system(n, m, cond, seed=0):
    """Draw the symmetric indefinite matrix ``K = [[H, G'], [G, 0]]`` and a right-hand side.

    H has the eigenvalues ``geomspace(1, cond, n)`` in random orthogonal directions; G has
    independent normal entries of variance 1/n.

    Parameters
    ----------
    n, m : int
        Unknowns and constraints, m <= n.
    cond : float
        Condition number of H.
    seed : int, default 0
        Seed of the draws.

    Returns
    -------
    K : ndarray, shape (n + m, n + m)
        The matrix.
    rhs : ndarray, shape (n + m,)
        Independent normal entries.

    Raises
    ------
    ValueError
        If m > n.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.problems import kkt_system
    >>> K, rhs = kkt_system(50, 20, 3.0)
    >>> eigenvalues = np.linalg.eigvalsh(K)
    >>> int((eigenvalues > 0).sum()), int((eigenvalues < 0).sum())
    (50, 20)
    """
    if m > n:
        raise ValueError(f"m must be at most n, was {m} with n = {n}")
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((n, n)))[0]
    H = (U * np.geomspace(1.0, cond, n)) @ U.T
    G = rng.standard_normal((m, n)) / np.sqrt(n)
    K = np.block([[0.5 * (H + H.T), G.T], [G, np.zeros((m, m))]])
    return K, rng.standard_normal(n + m)
