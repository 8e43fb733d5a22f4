"""Kernels of smooth logistic problems, in words of the Array-API standard.

A matrix X is any object with ``shape``, ``times``, ``transposed_times``,
``take(columns)``, ``gram(weights)`` and ``weighted_squares(weights)``; compiled backends also read
``by_rows`` of a sparse one, its compressed rows, and ``columns`` of a dense
one, its transpose.
"""

from refopt_backends._array_functions import cholesky, euclidean_norm
from refopt_backends._home import namespace_of
from refopt_backends.reference.l1_quadratic import l1_quadratic

_FLAT = 1e-250  # curvature along a unit vector that is taken for none


def logistic_terms(z, y, s):
    """Sum of s log(1 + exp(-y z)), its derivative and its curvature in each z."""
    xp = namespace_of(z)
    m = y * z
    e = xp.exp(-xp.abs(m))
    value = xp.sum(s * (xp.where(m < 0, -m, xp.zeros_like(m)) + xp.log1p(e)))
    q = xp.where(m >= 0, e, xp.ones_like(e)) / (1 + e)
    return float(value), -(s * y) * q, s * (e / (1 + e) ** 2)


def weighted_gram(X, d):
    """X' diag(d) X of d >= 0."""
    return X.gram(d)


def block_gram(X, index, d):
    """Some rows and columns, in ascending order, of X' diag(d) X of d >= 0."""
    return X.take(index).gram(d)


def l1_weighted_squares(X, index, d, theta, l2, penalty, w, tol):
    """Minimise the quadratic model of a loss in some columns, with an L1 penalty, from w on."""
    xp = namespace_of(d)
    block = X.take(index)
    G = block.gram(d)
    q = block.transposed_times(theta) + G @ w
    return l1_quadratic(G + l2 * xp.eye(w.shape[0]), q, penalty, w, tol, False)


def positive_inverse(H):
    """The inverse of a symmetric matrix, None if it has no Cholesky factor."""
    xp = namespace_of(H)
    factor = cholesky(H)
    if factor is None:
        return None
    inverse = xp.linalg.inv(factor)
    return inverse.T @ inverse if bool(xp.all(xp.isfinite(inverse))) else None


def hessian_product(X, d, penalty, v):
    """(A' diag(d) A + diag(penalty)) v and A v, A = X or, if v has one entry more, [X 1]."""
    xp = namespace_of(v)
    p = X.shape[1]
    z = X.times(v[:p])
    if v.shape[0] > p:
        z = z + v[p]
    r = d * z
    out = X.transposed_times(r)
    if v.shape[0] > p:
        out = xp.concat([out, xp.reshape(xp.sum(r), (1,))])
    return out + penalty * v, z


def hessian_diagonal(X, d, penalty):
    """Diagonal of A' diag(d) A + diag(penalty), A as for `hessian_product`."""
    xp = namespace_of(d)
    squares = X.weighted_squares(d)
    if penalty.shape[0] > X.shape[1]:
        squares = xp.concat([squares, xp.reshape(xp.sum(d), (1,))])
    return squares + penalty


def hessian_cg(X, d, penalty, rhs, preconditioner, rtol, maxiter):
    """Solve (A' diag(d) A + diag(penalty)) v = rhs by preconditioned conjugate gradients.

    The preconditioner is a matrix near to the inverse, or the inverse of the
    diagonal. Ends when the residual's norm fell by rtol, or where a direction
    has no curvature.
    """
    xp = namespace_of(rhs)
    v, z = xp.zeros_like(rhs), xp.zeros_like(d)
    r, rho, direction = rhs, 0.0, xp.zeros_like(rhs)
    target = rtol * euclidean_norm(rhs)
    for k in range(maxiter):
        if euclidean_norm(r) <= target:
            return v, z, k
        u = preconditioner @ r if preconditioner.ndim == 2 else preconditioner * r
        previous, rho = rho, float(r @ u)
        direction = u + (rho / previous if k else 0.0) * direction
        image, along = hessian_product(X, d, penalty, direction)
        curvature = float(direction @ image)
        if not (rho > 0 and curvature > _FLAT * float(direction @ direction)):
            return v, z, k
        alpha = rho / curvature
        v, z, r = v + alpha * direction, z + alpha * along, r - alpha * image
    return v, z, maxiter


def softmax_terms(Z, codes, s):
    """Sum of s (log sum_k exp(z_k) - z_c), its derivative in Z, and the probabilities."""
    xp = namespace_of(Z)
    shifted = Z - xp.max(Z, axis=1, keepdims=True)
    E = xp.exp(shifted)
    total = xp.sum(E, axis=1, keepdims=True)
    classes = xp.arange(Z.shape[1])
    Y = xp.astype(codes[:, None] == classes[None, :], Z.dtype)
    loss = xp.log(total[:, 0]) - xp.sum(Y * shifted, axis=1)
    P = E / total
    return float(xp.sum(s * loss)), s[:, None] * (P - Y), P


def softmax_product(X, P, s, penalty, V):
    """The Hessian of sum_i s_i l(z_i) + penalty/2 V^2 times V, and Z = A V.

    A row's Hessian is s (diag(P) - P P'); A = X or, if V has one row more, [X 1].
    """
    xp = namespace_of(V)
    p = X.shape[1]
    Z = X.times(V[:p, :])
    if V.shape[0] > p:
        Z = Z + V[p:, :]
    R = s[:, None] * P * (Z - xp.sum(P * Z, axis=1, keepdims=True))
    out = X.transposed_times(R)
    if V.shape[0] > p:
        out = xp.concat([out, xp.sum(R, axis=0, keepdims=True)], axis=0)
    return out + penalty * V, Z
