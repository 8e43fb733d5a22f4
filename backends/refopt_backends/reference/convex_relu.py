"""Readable kernels of convex programs of ReLU networks."""

from refopt_backends._home import namespace_of


def masked_gram(X, masks, of, roots):
    """The sum over j of D_j X R_j'R_j X'D_j, as the Gram matrix of all R_j X'D_j."""
    xp = namespace_of(X)
    C, d, _ = roots.shape
    n = X.shape[0]
    Y = xp.matmul(roots, X.T) * xp.astype(xp.take(masks, of, axis=0), X.dtype)[:, None, :]
    Y = xp.reshape(Y, (C * d, n))
    return Y.T @ Y


def slack_pass(XU, masks, of, sign, h, relax):
    """One step of the slacks s >= 0 and of their duals, h = s + nu with s o nu = 0."""
    xp = namespace_of(XU)
    D = xp.astype(xp.take(masks, of, axis=0), XU.dtype)
    S, zero = 2 * D - 1, xp.zeros_like(h)
    z = xp.sum(sign[:, None] * D * XU, axis=0)
    g, before = S * XU, xp.maximum(h, zero)
    h[...] = relax * g + (1 - relax) * before + xp.minimum(h, zero)
    s, nu = xp.maximum(h, zero), xp.minimum(h, zero)
    XU[...] = S * (s - nu)
    return z, xp.stack([xp.sum(a * a) for a in (g - s, s - before, g, s, nu)])


def group_soft(U, threshold):
    """Soft thresholds of rows, and what they took away."""
    xp = namespace_of(U)
    norms = xp.sqrt(xp.sum(U * U, axis=1))
    tiny = xp.where(norms > 0, norms, xp.ones_like(norms))
    V = xp.maximum(1 - threshold / tiny, xp.zeros_like(norms))[:, None] * U
    return V, U - V
