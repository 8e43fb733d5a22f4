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
