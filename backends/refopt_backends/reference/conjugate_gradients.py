"""Conjugate gradients with a diagonal preconditioner, for any array namespace."""

from refopt_backends._home import namespace_of


def conjugate_gradients(product, diagonal, rhs, rtol, maxiter):
    """Solve S x = rhs from x = 0, S positive definite.

    Parameters
    ----------
    product : callable
        v -> S v.
    diagonal : array, shape (m,)
        Of the preconditioner.
    rhs : array, shape (m,)
    rtol : float
        Stop when sqrt(r' diag^-1 r) fell by this factor.
    maxiter : int

    Returns
    -------
    x : array, shape (m,)
    iterations : int
    converged : bool
    """
    xp = namespace_of(rhs)
    x, r = xp.zeros_like(rhs), rhs
    z = r / diagonal
    p = z
    rz = start = float(xp.sum(r * z))
    for iteration in range(maxiter):
        if rz <= rtol * rtol * start:
            return x, iteration, True
        Sp = product(p)
        curvature = float(xp.sum(p * Sp))
        if not curvature > 1e-25 * rz:  # singular along p, but for rounding
            return x, iteration, False
        x = x + (rz / curvature) * p
        r = r - (rz / curvature) * Sp
        z = r / diagonal
        rz, previous = float(xp.sum(r * z)), rz
        p = z + (rz / previous) * p
    return x, maxiter, rz <= rtol * rtol * start
