"""Disjoint sets: each element points to an earlier one of its set, the first to itself."""

from refopt_backends.numba_cpu._jit import jit


@jit
def find(head, i):
    """The first of i's set; the way there is halved."""
    while head[i] != i:
        head[i] = head[head[i]]
        i = head[i]
    return i


@jit
def unite(head, one, two):
    """Two sets become one."""
    one, two = find(head, one), find(head, two)
    if one < two:
        head[two] = one
    elif two < one:
        head[one] = two
