"""Steps of conjugate gradients in place, in words of the Array-API standard."""

from refopt_backends._home import namespace_of
from refopt_backends.reference.poisson import poisson_apply


def _dot(x, y):
    xp = namespace_of(x)
    return float(xp.sum(x * y))


def poisson_conjugate(degree, weights, scale, z, beta, d, g):
    """d <- z + beta d, g <- A d for the pressure matrix; d'g and d'd."""
    d[...] = z + beta * d
    g[...] = poisson_apply(degree, weights, d, scale)
    return _dot(d, g), _dot(d, d)


def matrix_conjugate(A, z, beta, d, g):
    """d <- z + beta d, g <- A d; d'g and d'd."""
    d[...] = z + beta * d
    g[...] = A @ d
    return _dot(d, g), _dot(d, d)


def conjugate_step(alpha, d, g, x, r):
    """x <- x + alpha d, r <- r - alpha g; r'r."""
    x[...] = x + alpha * d
    r[...] = r - alpha * g
    return _dot(r, r)


def subtract_means(labels, count, x):
    """x minus its mean over each part; the squared norm of what went."""
    xp = namespace_of(x)
    removed = 0.0
    for part in range(1, count + 1):
        own = labels == part
        mean = float(xp.sum(xp.where(own, x, 0.0))) / int(xp.count_nonzero(own))
        removed += int(xp.count_nonzero(own)) * mean * mean
        x[...] = xp.where(own, x - mean, x)
    return removed
