"""L1 problems through the columns of a sparse X: a sweep costs its entries, not a Gram matrix.

Sweeps of coordinate descent alternate with Newton steps on the nonzeros whose
systems conjugate gradients solve as exactly as the step deserves: a step of
theirs costs what a sweep costs. Where that would take as long as a
factorisation, or columns depend on others, the Gram matrix of the nonzeros is
formed and factored.
"""

import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit
from refopt_backends.numba_cpu._l1_interior import FINISH, PATIENCE, interior_point
from refopt_backends.numba_cpu._l1_newton import NOISE, choose, newton

_ROUNDS = 300
_SWEEPS = 5  # between two Newton steps
_ROUGH = 0.1  # accuracy of a Newton step while the nonzeros change
_MOST_STEPS = 64  # of conjugate gradients then


@jit(fastmath=FAST)
def l1_columns(values, rows, starts, y, l2, penalty, w, tol, positive):
    k = w.size
    norms = np.empty(k)
    for j in range(k):
        total = l2
        for t in range(starts[j], starts[j + 1]):
            total += values[t] * values[t]
        norms[j] = total
    everything = np.arange(k)
    r = _residual(values, rows, starts, y, w)
    factored, patience = 0, PATIENCE * k**3.0 if np.all(penalty > 0.0) else np.inf
    for _ in range(_ROUNDS):
        h = sparse_dots(values, rows, starts, everything, r) - l2 * w
        chosen, violation = choose(w, h, penalty, tol, positive)
        if violation <= tol:
            r = _residual(values, rows, starts, y, w)
            if _column_violation(values, rows, starts, l2, penalty, w, r, positive) <= 4.0 * tol:
                break
        goal = 0.5 * max(tol, 0.05 * violation)
        if _sweeps_and_steps(
            values, rows, starts, chosen, norms, l2, penalty, w, r, positive, goal
        ):
            continue
        if patience < 0.0:
            G = _gram_by_rows(values, rows, starts, everything, r.size)
            for j in range(k):
                G[j, j] = norms[j]
            q = sparse_dots(values, rows, starts, everything, y)
            factored += interior_point(G, q, penalty, w, positive)
            patience = np.inf
            tol = max(min(tol, FINISH * np.max(penalty)), 4e-15 * np.max(np.abs(q)))
        else:
            tries = _factored_newton(values, rows, starts, l2, penalty, w, r, positive)
            factored += tries
            patience -= tries * float(np.count_nonzero(w)) ** 3
        r = _residual(values, rows, starts, y, w)
    return w, r, factored


@jit(fastmath=FAST)
def _sweeps_and_steps(values, rows, starts, chosen, norms, l2, penalty, w, r, positive, goal):
    """Sweeps over the chosen coordinates and Newton steps by conjugate gradients, to the goal.

    False where a factorisation is the better way to go on.
    """
    k, entries = chosen.size, 0
    for a in range(k):
        entries += starts[chosen[a] + 1] - starts[chosen[a]]
    products = entries * entries / r.size  # of a Gram matrix, halved by symmetry
    price = 3.0 + (k * k * k / 75.0 + 2.0 * k * k + 0.7 * products) / (  # in sweeps
        0.7 * entries + 10.0 * k + 1.0
    )
    accuracy, spent = _ROUGH, 0
    while spent < 3.0 * price:
        for _ in range(_SWEEPS):
            moved = _column_sweep(values, rows, starts, chosen, norms, l2, penalty, w, r, positive)
            spent += 1
            if moved <= goal:
                return True
        most = price if accuracy < _ROUGH else min(price, _MOST_STEPS)
        steps, zeros, reached, left = _newton_by_columns(
            values, rows, starts, norms, l2, penalty, w, r, positive, accuracy, 0.5 * goal, most
        )
        spent += steps
        if not reached and zeros == 0:
            return False
        accuracy = _ROUGH
        if zeros == 0:  # the same nonzeros once more: now to the end, if that pays
            decades = np.log10(max(left / goal, 1.0))
            if steps * decades > price:
                return False
            accuracy = _ROUGH ** max(1.0, decades + 0.5)
    return False


@jit(fastmath=FAST)
def _factored_newton(values, rows, starts, l2, penalty, w, r, positive):
    """Newton steps on the nonzeros with their Gram matrix. The number of factorisations."""
    support = np.nonzero(w)[0]
    A = _gram_by_rows(values, rows, starts, support, r.size)
    slope = sparse_dots(values, rows, starts, support, r)
    part, weight = w[support], penalty[support]
    for a in range(support.size):
        A[a, a] += l2
        slope[a] -= l2 * part[a]
    factored = newton(A, part, slope, weight, positive)
    for a in range(support.size):
        w[support[a]] = part[a]
    return factored


@jit(fastmath=FAST)
def _newton_direction(values, rows, starts, norms, l2, free, rest, accuracy, goal, most, n):
    """Conjugate gradients for (X_S'X_S + l2 I) d = rest, preconditioned by the diagonal.

    Returns d, X_S d, the number of steps, whether the accuracy was met, and max_j |rest_j|.
    """
    m = free.size
    d, direction = np.zeros(m), np.zeros(m)
    moved, image = np.zeros(n), np.empty(n)
    first, size, steps = 0.0, 0.0, 0
    roots = np.sqrt(norms[free])
    while True:
        before, size, worst = size, 0.0, 0.0
        for a in range(m):
            z = rest[a] / roots[a]
            size += z * z
            worst = max(worst, abs(rest[a]))
        if steps == 0:
            first = size
        reached = worst <= goal or size <= accuracy * accuracy * first
        if reached or steps >= most:
            break
        share = size / before if steps > 0 else 0.0
        image[:] = 0.0
        curvature = 0.0
        for a in range(m):
            j = free[a]
            v = rest[a] / norms[j] + share * direction[a]
            direction[a] = v
            curvature += l2 * v * v
            for t in range(starts[j], starts[j + 1]):
                image[rows[t]] += v * values[t]
        for i in range(n):
            curvature += image[i] * image[i]
        if not curvature > 0.0:
            break
        length = size / curvature
        for i in range(n):
            moved[i] += length * image[i]
        for a in range(m):
            j = free[a]
            d[a] += length * direction[a]
            total = l2 * direction[a]
            for t in range(starts[j], starts[j + 1]):
                total += values[t] * image[rows[t]]
            rest[a] -= length * total
        steps += 1
    return d, moved, steps, reached, worst


@jit(fastmath=FAST)
def _newton_by_columns(
    values, rows, starts, norms, l2, penalty, w, r, positive, accuracy, goal, most
):
    """A Newton step on the nonzeros as exact as asked for, along its bent path; w and r kept.

    Returns the steps of conjugate gradients, the zeros met, whether the accuracy was met, and the
    slope that was left.
    """
    free = np.nonzero(w)[0]
    m, n = free.size, r.size
    sign, rest = np.zeros(m), np.empty(m)
    for a in range(m):
        j = free[a]
        if positive or penalty[j] != 0.0:  # others cross zero freely
            sign[a] = np.sign(w[j])
        total = -l2 * w[j] - penalty[j] * sign[a]
        for t in range(starts[j], starts[j + 1]):
            total += values[t] * r[rows[t]]
        rest[a] = total
    d, moved, steps, reached, worst = _newton_direction(
        values, rows, starts, norms, l2, free, rest, accuracy, goal, most, n
    )
    zeros = _bent_path(values, rows, starts, norms, l2, penalty, free, sign, d, moved, w, r)
    return steps, zeros, reached, worst


@jit(fastmath=FAST)
def _bent_path(values, rows, starts, norms, l2, penalty, free, sign, d, moved, w, r):
    """The first minimiser on w + t d, t >= 0, where coordinates stop at zero. Zeros met."""
    m, n = free.size, r.size
    x = w[free]
    stop = np.full(m, np.inf)
    for a in range(m):
        if sign[a] * d[a] < 0.0:
            stop[a] = -x[a] / d[a]
    t, zeros = 0.0, 0
    while True:
        descent, curvature, least, flat = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            descent += r[i] * moved[i]
            curvature += moved[i] * moved[i]
            least += abs(r[i] * moved[i])
        for a in range(m):
            j = free[a]
            v = (l2 * x[a] + penalty[j] * sign[a]) * d[a]
            descent -= v
            least += abs(v)
            curvature += l2 * d[a] * d[a]
            flat += norms[j] * d[a] * d[a]
        if descent <= NOISE * least:
            break
        if curvature <= NOISE * flat:
            curvature = 0.0
        b = np.argmin(stop)
        bounded = stop[b] < np.inf
        if curvature <= 0.0 and not bounded:
            break
        length = descent / curvature if curvature > 0.0 else np.inf
        last = not bounded or t + length < stop[b]
        if not last:
            length = stop[b] - t
        for i in range(n):
            r[i] -= length * moved[i]
        for a in range(m):
            x[a] += length * d[a]
        if last:
            break
        t, j = stop[b], free[b]
        for e in range(starts[j], starts[j + 1]):  # x[b] is rounding by now
            r[rows[e]] += x[b] * values[e]
            moved[rows[e]] -= d[b] * values[e]
        x[b], d[b], stop[b] = 0.0, 0.0, np.inf
        zeros += 1
    for a in range(m):
        j = free[a]
        if x[a] * sign[a] < 0.0:  # by rounding
            for e in range(starts[j], starts[j + 1]):
                r[rows[e]] += x[a] * values[e]
            x[a] = 0.0
        w[j] = x[a]
    return zeros


@jit(fastmath=FAST)
def _column_sweep(values, rows, starts, index, norms, l2, penalty, w, r, positive):
    moved = 0.0
    for a in range(index.size):
        j = index[a]
        if norms[j] <= 0.0:
            w[j] = 0.0
            continue
        z, old, new = w[j] * (norms[j] - l2), w[j], 0.0
        for t in range(starts[j], starts[j + 1]):
            z += values[t] * r[rows[t]]
        if z > penalty[j]:
            new = (z - penalty[j]) / norms[j]
        elif z < -penalty[j] and not positive:
            new = (z + penalty[j]) / norms[j]
        step = new - old
        if step != 0.0:
            w[j] = new
            moved = max(moved, abs(step) * norms[j])
            for t in range(starts[j], starts[j + 1]):
                r[rows[t]] -= step * values[t]
    return moved


@jit(fastmath=FAST)
def _residual(values, rows, starts, y, w):
    r = y.copy()
    for j in range(w.size):
        v = w[j]
        if v != 0.0:
            for t in range(starts[j], starts[j + 1]):
                r[rows[t]] -= v * values[t]
    return r


@jit(fastmath=FAST)
def _column_violation(values, rows, starts, l2, penalty, w, r, positive):
    worst = 0.0
    for j in range(w.size):
        h = -l2 * w[j]
        for t in range(starts[j], starts[j + 1]):
            h += values[t] * r[rows[t]]
        if w[j] != 0.0:
            error = abs(h - penalty[j] * np.sign(w[j]))
        else:
            error = (h if positive else abs(h)) - penalty[j]
        worst = max(worst, error)
    return worst


@jit(fastmath=FAST)
def _gram_by_rows(values, rows, starts, index, n):
    """X_S'X_S as a sum of outer products of short rows: sum_i nnz_i^2 / 2 products."""
    k = index.size
    ends = np.zeros(n + 1, np.int64)
    for a in range(k):
        for t in range(starts[index[a]], starts[index[a] + 1]):
            ends[rows[t] + 1] += 1
    for i in range(n):
        ends[i + 1] += ends[i]
    place = ends[:n].copy()
    column, value = np.empty(ends[n], np.int64), np.empty(ends[n])
    for a in range(k):
        for t in range(starts[index[a]], starts[index[a] + 1]):
            i = rows[t]
            column[place[i]], value[place[i]] = a, values[t]
            place[i] += 1
    G = np.zeros((k, k))
    for i in range(n):
        for s in range(ends[i], ends[i + 1]):
            row, v = G[column[s]], value[s]
            for t in range(ends[i], s + 1):
                row[column[t]] += v * value[t]
    for a in range(k):
        for b in range(a):
            G[b, a] = G[a, b]
    return G


@jit(fastmath=FAST)
def sparse_dots(values, rows, starts, index, r):
    out = np.empty(index.size)
    for a in range(index.size):
        j = index[a]
        total = 0.0
        for t in range(starts[j], starts[j + 1]):
            total += values[t] * r[rows[t]]
        out[a] = total
    return out
