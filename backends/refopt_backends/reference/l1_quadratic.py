"""Quadratic problems with an L1 penalty, and products with some columns of a matrix.

X is a design matrix: an object with ``shape``, ``take(index)``, ``times(w)`` and
``transposed_times(r)``, and either ``columns``, the (p, n) array of a dense
matrix, or ``matrix``, the compressed columns of a sparse one.
"""

from refopt_backends._home import namespace_of

_ROUNDS = 1000
_NOISE = 1e-13  # sums below this part of their terms' sizes are rounding


def transposed_product(X, r):
    return X.transposed_times(r)


def column_dots(X, index, r):
    return X.take(index).transposed_times(r)


def column_sum(X, index, w):
    return X.take(index).times(w)


def l1_least_squares(X, y, l2, penalty, w, tol, positive):
    xp = namespace_of(y)
    G = X.gram() + l2 * xp.eye(w.shape[0])
    w, factored = l1_quadratic(G, X.transposed_times(y), penalty, w, tol, positive)
    return w, y - X.times(w), factored


def l1_quadratic(G, q, penalty, w, tol, positive):
    """Proximal steps with a separable bound find the nonzeros, Newton steps their values."""
    xp = namespace_of(q)
    # diag(D) >= G by diagonal dominance.
    D = xp.sum(xp.abs(G), axis=1)
    curved = D > 0
    D = xp.where(curved, D, xp.ones_like(D))
    tol = max(tol, 4e-15 * float(xp.max(xp.abs(q)))) if q.shape[0] else tol
    factored, quiet = 0, 0
    for _ in range(_ROUNDS):
        h = q - G @ w
        if _violation(xp, w, h, penalty, positive) <= tol:
            break
        # A zero column has no use for its coefficient.
        new = xp.where(curved, _shrink(xp, w + h / D, penalty / D, positive), xp.zeros_like(w))
        quiet = quiet + 1 if bool(xp.all(xp.sign(new) == xp.sign(w))) else 0
        w = new
        if quiet >= 1:
            w, more = _newton(xp, G, q, penalty, w, positive)
            factored += more
    return w, factored


def _shrink(xp, z, threshold, positive):
    """The prox of the penalty."""
    zero = xp.zeros_like(z)
    up = xp.maximum(z - threshold, zero)
    return up if positive else up - xp.maximum(-z - threshold, zero)


def _violation(xp, w, h, penalty, positive):
    """max_j dist(h_j, penalty_j d|w_j|)."""
    if w.shape[0] == 0:
        return 0.0
    at_zero = (h if positive else xp.abs(h)) - penalty
    error = xp.where(w != 0, xp.abs(h - penalty * xp.sign(w)), at_zero)
    return max(0.0, float(xp.max(error)))


def _newton(xp, G, q, penalty, w, positive):
    """Newton steps on the nonzeros along bent paths, which end where F is least.

    Returns the point and the number of factorisations.
    """
    factored = 0
    while factored <= w.shape[0]:
        free = xp.nonzero(w)[0]
        if free.shape[0] == 0:
            break
        x, full = _step(xp, G, q, penalty, w, free, positive)
        factored += 1
        place = xp.searchsorted(free, xp.arange(w.shape[0]))
        place = xp.where(place < free.shape[0], place, xp.zeros_like(place))
        w = xp.where(w != 0, xp.take(x, place), xp.zeros_like(w))
        if full:
            break
    return w, factored


def _step(xp, G, q, penalty, w, free, positive):
    H = xp.take(xp.take(G, free, axis=0), free, axis=1)
    x = xp.take(w, free)
    weight = xp.take(penalty, free)
    sign = xp.sign(x)
    if not positive:  # what is not penalised crosses zero freely
        sign = xp.where(weight > 0, sign, xp.zeros_like(x))
    target = xp.take(q, free) - weight * sign
    # A dependent column makes H singular: the least shift that Cholesky needs.
    shifted = H + 1e-14 * float(xp.max(xp.abs(H))) * x.shape[0] * xp.eye(x.shape[0])
    step = xp.zeros_like(x)
    for _ in range(2):
        step = step + xp.linalg.solve(shifted, target - H @ (x + step))
    return _bent_path(xp, H, target, x, step, sign)


def _bent_path(xp, H, target, x, step, sign):
    """The first minimiser on x + t step, t >= 0, where coordinates stop at zero.

    Returns it and whether nothing has become zero.
    """
    stop = xp.where(sign * step < 0, -x / xp.where(step != 0, step, xp.ones_like(x)), xp.inf)
    t, full = 0.0, True
    while True:
        Hd = H @ step
        slope, curvature = float((target - H @ x) @ step), float(step @ Hd)
        noise = _NOISE * float(xp.abs(step) @ (xp.abs(target) + xp.abs(H @ x)))
        if slope <= noise:
            return x, full
        length = slope / curvature if curvature > 0 else xp.inf
        nearest = float(xp.min(stop))
        if t + length < nearest:
            return x + length * step, full
        if nearest == xp.inf:
            return x, full
        x, t, full = x + (nearest - t) * step, nearest, False
        x, step = (xp.where(stop <= t, xp.zeros_like(v), v) for v in (x, step))
        stop = xp.where(stop <= t, xp.inf, stop)
