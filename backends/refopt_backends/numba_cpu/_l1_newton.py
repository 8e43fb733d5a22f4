"""L1 problems with a Gram matrix: the choice of coordinates, and Newton steps on nonzeros."""

import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit

_BLOCK = 48  # columns per step of the blocked factorisation: what stays in the first-level cache
_DEPENDENT = 1e-10  # a pivot below this part of its diagonal entry: a dependent column
NOISE = 1e-13  # sums below this part of their terms' sizes are rounding
_NEWTON_TRIES = 4


@jit(fastmath=FAST)
def choose(w, h, penalty, tol, positive):
    """The nonzeros and the worse half as many of the zeros that should move."""
    k = w.size
    worst, support, waiting = 0.0, 0, 0
    excess = np.zeros(k)
    for j in range(k):
        if w[j] != 0.0:
            support += 1
            error = abs(h[j] - penalty[j] * np.sign(w[j]))
        else:
            error = (h[j] if positive else abs(h[j])) - penalty[j]
            if error > tol:
                waiting += 1
                excess[j] = error
        worst = max(worst, error)
    most, cut = max(8, support // 2), 0.0
    if waiting > most:
        found = excess[excess > 0.0]
        cut = np.partition(found, found.size - most)[found.size - most]
    chosen = np.empty(support + waiting, np.int64)
    count = 0
    for j in range(k):
        if w[j] != 0.0 or (excess[j] > 0.0 and excess[j] >= cut):
            chosen[count] = j
            count += 1
    return chosen[:count].copy(), worst


@jit(fastmath=FAST)
def newton(A, w, h, penalty, positive):
    """Newton steps on the nonzeros along bent paths, w and h = q - A w kept."""
    tries = 0
    while tries < _NEWTON_TRIES:
        free = np.nonzero(w)[0]
        m = free.size
        if m == 0:
            break
        tries += 1
        H = np.empty((m, m))
        for a in range(m):
            row, to = A[free[a]], H[a]
            for b in range(m):
                to[b] = row[free[b]]
        x = w[free]
        sign = np.sign(x)
        if not positive:
            sign[penalty[free] == 0.0] = 0.0  # these cross zero freely
        slope = h[free] - penalty[free] * sign
        L, skipped = H.copy(), np.zeros(m, np.bool_)
        dependent = cholesky(L, skipped, _DEPENDENT)
        zeros = 0
        if dependent > 0:
            zeros = _leave_dependent(H, L, skipped, x, slope, sign, penalty[free])
        if zeros == 0:
            zeros = _newton_path(H, L, skipped, x, slope, sign)
            if zeros == 0:  # a full step: once more, against rounding
                zeros = _newton_path(H, L, skipped, x, slope, sign)
        for a in range(m):
            step = x[a] - w[free[a]]
            if step != 0.0:
                w[free[a]] = x[a]
                row = A[free[a]]
                for b in range(row.size):
                    h[b] -= step * row[b]
        if zeros < max(1, m // 10):
            break
    return tries


@jit(fastmath=FAST)
def _newton_path(H, L, skipped, x, slope, sign):
    d = slope.copy()
    for a in range(d.size):
        if skipped[a]:
            d[a] = 0.0
    solve(L, d)
    return _bent_path(H, x, slope, d, sign)


@jit(fastmath=FAST)
def _leave_dependent(H, L, skipped, x, slope, sign, weight):
    """Move along null vectors of H until the nonzeros are independent. Zeros met.

    With H v = 0 only the penalty changes along v, which is followed downwards to
    the first zero: that of the dependent column, or of an independent one, whose
    place it then takes.
    """
    m = x.size
    basis, others = np.nonzero(~skipped)[0], np.nonzero(skipped)[0]
    k, n = basis.size, others.size
    V = np.empty((n, k))  # null vectors: V[c] on the basis and 1 on the c-th other column
    full = np.empty(m)
    for c in range(n):
        for b in range(m):
            full[b] = 0.0 if skipped[b] else -H[others[c], b]
        solve(L, full)
        for a in range(k):
            V[c, a] = full[basis[a]]
    start, zeros = x.copy(), 0
    for c in range(n):
        a, v = others[c], V[c]
        rise, size = weight[a] * sign[a], weight[a]
        for b in range(k):
            rise += weight[basis[b]] * sign[basis[b]] * v[b]
            size += weight[basis[b]] * abs(v[b])
        to = -np.sign(rise) if abs(rise) > NOISE * size else -np.sign(x[a])
        t, out = _first_stop(x, sign, basis, v, a, to)
        if out == -2:
            to = -to
            t, out = _first_stop(x, sign, basis, v, a, to)
        for b in range(k):
            x[basis[b]] += to * t * v[b]
        x[a] += to * t
        zeros += 1
        if out < 0:
            x[a] = 0.0
            continue
        gone = basis[out]
        x[gone] = 0.0
        # The column that left the basis has no null vector: it is zero and stays so.
        pivot = v[out]
        basis[out] = a
        for e in range(c + 1, n):
            ratio = V[e, out] / pivot
            for b in range(k):
                V[e, b] -= ratio * v[b]
            V[e, out] = -ratio
    return _accept(H, x, slope, start, zeros)


@jit(fastmath=FAST)
def _first_stop(x, sign, basis, v, a, to):
    """How far along `to` v, and what becomes zero: a place in the basis, -1 for a, -2 nothing."""
    t, out = np.inf, -2
    if x[a] * to < 0.0:
        t, out = abs(x[a]), -1
    for b in range(basis.size):
        j, d = basis[b], to * v[b]
        if sign[j] * d < 0.0 and abs(x[j]) < t * abs(d):
            t, out = abs(x[j] / d), b
    return (t, out) if out > -2 else (0.0, out)


@jit(fastmath=FAST)
def _accept(H, x, slope, start, zeros):
    """Keep x where the quadratic did not rise, which null vectors by rounding only can do."""
    m = x.size
    new = slope.copy()
    for a in range(m):
        step = x[a] - start[a]
        if step != 0.0:
            row = H[a]
            for b in range(m):
                new[b] -= step * row[b]
    fall, size = 0.0, 0.0
    for a in range(m):
        step = x[a] - start[a]
        fall += 0.5 * (slope[a] + new[a]) * step
        size += abs(slope[a] * step)
    if not fall >= -1e-9 * size:
        x[:] = start
        return 0
    slope[:] = new
    return zeros


@jit(fastmath=FAST)
def _bent_path(H, x, slope, d, sign):
    """The first minimiser on x + t d, t >= 0, where coordinates stop at zero. Zeros met."""
    m = x.size
    Hd = np.zeros(m)
    stop = np.full(m, np.inf)
    for a in range(m):
        v = d[a]
        if v != 0.0:
            row = H[a]
            for b in range(m):
                Hd[b] += v * row[b]
        if sign[a] * v < 0.0:
            stop[a] = -x[a] / v
    t, zeros = 0.0, 0
    while True:
        descent, curvature, least, flat = 0.0, 0.0, 0.0, 0.0
        for a in range(m):
            descent += slope[a] * d[a]
            curvature += Hd[a] * d[a]
            least += abs(slope[a] * d[a])
            flat += H[a, a] * d[a] * d[a]
        if descent <= NOISE * least:
            break
        if curvature <= NOISE * flat:
            curvature = 0.0
        b = np.argmin(stop)
        bounded = stop[b] < np.inf
        if curvature <= 0.0 and not bounded:
            break
        step = descent / curvature if curvature > 0.0 else np.inf
        last = not bounded or t + step < stop[b]
        if not last:
            step = stop[b] - t
        for a in range(m):
            x[a] += step * d[a]
            slope[a] -= step * Hd[a]
        if last:
            break
        t = stop[b]
        v, row = d[b], H[b]
        x[b], d[b], stop[b] = 0.0, 0.0, np.inf
        zeros += 1
        for a in range(m):
            Hd[a] -= v * row[a]
    for a in range(m):
        if x[a] * sign[a] < 0.0:  # by rounding
            x[a] = 0.0
    return zeros


@jit(fastmath=FAST)
def cholesky(A, skipped, least):
    """The lower factor in place, by blocks of columns. Those with the least pivots are left out."""
    k = A.shape[0]
    diagonal = np.empty(k)
    for j in range(k):
        diagonal[j] = A[j, j]
    dependent = 0
    for first in range(0, k, _BLOCK):
        last = min(first + _BLOCK, k)
        if first > 0:
            left = A[first:, :first].copy()
            update = np.dot(left, left[: last - first].copy().T)
            for i in range(first, k):
                for j in range(first, min(last, i + 1)):
                    A[i, j] -= update[i - first, j - first]
        for j in range(first, last):
            row = A[j, first:j]
            pivot = A[j, j]
            for t in range(row.size):
                pivot -= row[t] * row[t]
            if not pivot > least * diagonal[j]:
                skipped[j] = True
                dependent += 1
                A[j, :j] = 0.0
                A[j, j] = 1.0
                A[j + 1 :, j] = 0.0
                continue
            root = np.sqrt(pivot)
            A[j, j] = root
            for i in range(j + 1, k):
                other = A[i, first:j]
                total = A[i, j]
                for t in range(other.size):
                    total -= other[t] * row[t]
                A[i, j] = total / root
    return dependent


@jit(fastmath=FAST)
def solve(L, b):
    """b <- (L L')^-1 b."""
    for i in range(b.size):
        row = L[i, :i]
        total = b[i]
        for t in range(row.size):
            total -= row[t] * b[t]
        b[i] = total / L[i, i]
    for i in range(b.size - 1, -1, -1):
        v = b[i] / L[i, i]
        b[i] = v
        row, head = L[i, :i], b[:i]
        for t in range(row.size):
            head[t] -= v * row[t]
