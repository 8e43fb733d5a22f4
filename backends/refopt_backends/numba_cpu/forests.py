"""Kernels of message passing on forests, compiled for the CPU."""

import numpy as np

from refopt_backends.numba_cpu._jit import FAST, jit
from refopt_backends.numba_cpu._union_find import find


@jit
def forest_labels(starts, columns, order):
    n = starts.size - 1
    label, tree = np.full(n, -1, np.int64), np.arange(n)
    most = 1
    for i in range(n):
        most = max(most, starts[i + 1] - starts[i])
    roots = np.empty(most, np.int64)
    for i in order:
        f, fits = 0, False
        while not fits:
            count, fits = 0, True
            for k in range(starts[i], starts[i + 1]):
                j = columns[k]
                if j == i or label[j] != f:
                    continue
                r = find(tree, j)
                for m in range(count):
                    fits = fits and roots[m] != r
                if not fits:
                    f += 1
                    break
                roots[count] = r
                count += 1
        label[i] = f
        for m in range(count):
            tree[roots[m]] = i
    return label


@jit
def forest_mask(starts, columns, order):
    n = starts.size - 1
    mask, tree, touched = np.zeros(n, np.bool_), np.arange(n), np.full(n, -1, np.int64)
    for i in order:
        fits = True
        for k in range(starts[i], starts[i + 1]):
            j = columns[k]
            if j != i and mask[j]:
                r = find(tree, j)
                if touched[r] == i:
                    fits = False
                    break
                touched[r] = i
        if fits:
            mask[i] = True
            for k in range(starts[i], starts[i + 1]):
                j = columns[k]
                if j != i and mask[j]:
                    tree[find(tree, j)] = i
    return mask


@jit
def colour_labels(starts, columns, order):
    n = starts.size - 1
    label, used, taken = np.full(n, -1, np.int64), np.zeros(n, np.int64), np.full(n, -1, np.int64)
    colours = 0
    for i in order:
        for k in range(starts[i], starts[i + 1]):
            j = columns[k]
            if j != i and label[j] >= 0:
                taken[label[j]] = i
        best = -1
        for c in range(colours):
            if taken[c] != i and (best < 0 or used[c] < used[best]):
                best = c
        if best < 0:
            best = colours
            colours += 1
        label[i] = best
        used[best] += 1
    return label


@jit
def is_symmetric(starts, columns, values, rtol):
    # Rows in order meet the entries of each column in order: one pointer per row.
    n = starts.size - 1
    at = starts[:-1].copy()
    for i in range(n):
        for k in range(starts[i], starts[i + 1]):
            j, v = columns[k], values[k]
            m, end = at[j], starts[j + 1]
            while m < end and columns[m] < i:
                if values[m] != 0.0:  # the entry (columns[m], j) is not there
                    return False
                m += 1
            if m < end and columns[m] == i:
                if abs(v - values[m]) > rtol * (abs(v) + abs(values[m])):
                    return False
                m += 1
            elif v != 0.0:
                return False
            at[j] = m
    for j in range(n):
        for m in range(at[j], starts[j + 1]):
            if values[m] != 0.0:
                return False
    return True


@jit
def forest_order(starts, columns, values):
    n = starts.size - 1
    order, parent = np.empty(n, np.int64), np.empty(n, np.int64)
    diagonal, link = np.zeros(n), np.zeros(n)
    above, place = np.full(n, -2, np.int64), np.empty(n, np.int64)  # -2: not met, -1: a root
    stack = np.empty(n, np.int64)
    count = 0
    for root in range(n):
        if above[root] != -2:
            continue
        above[root] = -1
        stack[0] = root
        top = 1
        while top:
            top -= 1
            i = stack[top]
            up = above[i]
            place[i] = count
            order[count] = i
            parent[count] = place[up] if up >= 0 else -1
            for k in range(starts[i], starts[i + 1]):
                j, value = columns[k], values[k]
                if j == i:
                    diagonal[count] = value
                elif value == 0.0:
                    continue
                elif j == up:
                    link[count] = value
                elif above[j] != -2:
                    cycle = _cycle(above, i, j)
                    m = count + 1
                    return order[:m], parent[:m], diagonal[:m], link[:m], cycle
                else:
                    above[j] = i
                    stack[top] = j
                    top += 1
            count += 1
    return order, parent, diagonal, link, np.empty(0, np.int64)


@jit
def _cycle(above, i, j):
    depth = np.full(above.size, -1, np.int64)  # steps from i to its ancestors
    cycle = np.empty(above.size, np.int64)
    count, node = 0, i
    while node >= 0:
        depth[node] = count
        count += 1
        node = above[node]
    node, below = j, 0
    while depth[node] < 0:
        node = above[node]
        below += 1
    length = depth[node] + below + 1
    join = node
    node = i
    for m in range(depth[join]):
        cycle[m] = node
        node = above[node]
    node = j
    for m in range(below + 1):
        cycle[length - 1 - m] = node
        node = above[node]
    return cycle[:length]


@jit
def forest_pivots(parent, diagonal, link):
    J, multipliers = diagonal.copy(), np.zeros(diagonal.size)
    for i in range(J.size - 1, -1, -1):
        if not J[i] > 0.0:
            break
        multipliers[i] = link[i] / J[i]
        if parent[i] >= 0:
            J[parent[i]] -= link[i] * multipliers[i]
    return J, multipliers


@jit(fastmath=FAST)
def forest_sweeps(order, parent, pivots, multipliers, B):
    n = order.size
    X, r = np.empty(B.shape), np.empty(n)
    for c in range(B.shape[0]):
        b, x = B[c], X[c]
        for i in range(n):
            r[i] = b[order[i]]
        for i in range(n - 1, -1, -1):
            if parent[i] >= 0:
                r[parent[i]] -= multipliers[i] * r[i]
        for i in range(n):
            t = r[i] / pivots[i]
            if parent[i] >= 0:
                t -= multipliers[i] * r[parent[i]]
            r[i] = t
            x[order[i]] = t
    return X
