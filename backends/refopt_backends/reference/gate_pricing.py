"""Kernels of pricing activation patterns, in words of the Array-API standard."""

from refopt_backends._home import namespace_of

_SWEEPS = 4  # of coordinate descent, before sets of free coefficients are solved for
_RTOL = 1e-11  # of a slope, relative to ||x_k|| ||g||


def box_least_squares(X, upper, G, A):
    """W = G - A X with A nearest to G among 0 <= A <= upper, row by row.

    A few sweeps of coordinate descent; then an active set: the coefficients inside their
    bounds are solved for exactly, the one whose slope points inwards most joins them.
    """
    xp = namespace_of(X)
    squares = xp.sum(X * X, axis=1)
    A = xp.clip(A, xp.zeros_like(upper), upper)
    W = G - A @ X
    live = [k for k in range(X.shape[0]) if float(upper[k]) > 0 and float(squares[k]) > 0]
    for _ in range(_SWEEPS):
        for k in live:
            a = xp.clip(A[:, k] + (W @ X[k, :]) / squares[k], 0.0, upper[k])
            W = W - (a - A[:, k])[:, None] * X[k, :]
            A[:, k] = a
    for b in range(G.shape[0]):
        W[b, :], A[b, :] = _active_set(xp, X, xp.sqrt(squares), upper, G[b, :], A[b, :])
    return W, A


def _active_set(xp, X, norms, upper, g, a):
    bound = _RTOL * float(xp.sqrt(g @ g))
    free = [k for k in range(a.shape[0]) if 0 < float(a[k]) < float(upper[k])]
    live = (upper > 0) & (norms > 0)
    norms = xp.where(live, norms, xp.ones_like(norms))
    w = g - a @ X
    length = float("inf")
    for _ in range(10 * a.shape[0]):
        while free:
            step = _free_step(xp, xp.take(X, xp.asarray(free), axis=0), w)
            ends = [upper[k] if s > 0 else 0.0 for k, s in zip(free, step, strict=True)]
            room = [float(e - a[k]) for k, e in zip(free, ends, strict=True)]
            t = min([1.0] + [r / s for r, s in zip(room, step, strict=True) if s != 0])
            still = []
            for k, r, s in zip(free, room, step, strict=True):
                if t < 1.0 and s != 0 and abs(r) <= (1 + 1e-12) * t * abs(s):
                    a[k] = upper[k] if s > 0 else 0.0
                else:
                    a[k] = min(max(float(a[k]) + t * s, 0.0), float(upper[k]))
                    still.append(k)
            free = still
            w = g - a @ X
            if t >= 1.0:
                break
        shorter = float(w @ w)
        if shorter >= length:  # rounding allows no less
            break
        length = shorter
        slope = xp.where(live, X @ w, xp.zeros_like(a)) / norms
        gain = xp.where(a <= 0, slope, xp.where(a >= upper, -slope, xp.zeros_like(a)))
        for k in free:
            gain[k] = 0.0
        k = int(xp.argmax(gain))
        if float(gain[k]) <= bound:
            break
        free.append(k)
    return w, a


def _free_step(xp, rows, w):
    """The change of the free coefficients that makes their slopes zero, refined once."""
    gram = rows @ rows.T
    gram = gram + 1e-14 * float(xp.sum(rows * rows)) * xp.eye(rows.shape[0], dtype=rows.dtype)
    step = xp.linalg.solve(gram, (rows @ w)[:, None])[:, 0]
    step = step + xp.linalg.solve(gram, (rows @ (w - step @ rows))[:, None])[:, 0]
    return [float(step[i]) for i in range(rows.shape[0])]
