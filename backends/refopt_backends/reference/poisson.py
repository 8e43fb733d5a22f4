"""The pressure matrix on padded fields, in words of the Array-API standard.

A padded field has three axes and one layer more than cells on every side; it is zero in all
cells that are not fluid. `types` holds 0 for solid, 1 for fluid and 2 for air cells, `degree`
the sum of the weights of each fluid cell's faces, `weights` is None where all are 1 or three
fields of the weights between a cell and the next one along each axis.
"""

from refopt_backends._array_functions import cumulative_sum
from refopt_backends._home import namespace_of

INNER = (slice(1, -1),) * 3


def _shifted(axis, step):
    """The inner cells' neighbours along an axis."""
    beside = slice(2, None) if step > 0 else slice(0, -2)
    return tuple(beside if a == axis else slice(1, -1) for a in range(3))


_NEIGHBOURS = [_shifted(axis, step) for axis in range(3) for step in (-1, 1)]


def poisson_degree(types):
    """How many faces of each fluid cell are open, and how many of these towards air."""
    xp = namespace_of(types)
    fluid = types[INNER] == 1
    degree, dirichlet = (xp.zeros(types.shape, dtype=xp.uint8) for _ in range(2))
    for beside in _NEIGHBOURS:
        degree[INNER] += xp.astype(fluid & (types[beside] != 0), xp.uint8)
        dirichlet[INNER] += xp.astype(fluid & (types[beside] == 2), xp.uint8)
    return degree, dirichlet


def poisson_apply(degree, weights, x, scale):
    """scale (D x - W x) in float64."""
    xp = namespace_of(x)
    x = xp.astype(x, xp.float64, copy=False)
    total = xp.astype(degree[INNER], xp.float64) * x[INNER]
    for number, beside in enumerate(_NEIGHBOURS):
        if weights is None:
            total = total - x[beside]
        else:
            axis, ahead = divmod(number, 2)
            total = total - weights[axis][INNER if ahead else beside] * x[beside]
    out = xp.zeros(x.shape, dtype=xp.float64)
    out[INNER] = xp.where(degree[INNER] > 0, scale * total, 0.0)
    return out


def label_components(types, weights, dirichlet):
    """Connected parts of the fluid, numbered from 1 in the order of their first cells."""
    xp = namespace_of(types)
    size = types.shape[0] * types.shape[1] * types.shape[2]
    fluid = types == 1
    # Each cell points to the first cell that it knows to be in its part; size means none.
    first = xp.where(fluid, xp.reshape(xp.arange(size), types.shape), size)
    joined = []
    for axis in range(3):
        own = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
        ahead = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        open_faces = fluid[own] & fluid[ahead]
        if weights is not None:
            open_faces = open_faces & (weights[axis][own] > 0)
        joined.append((own, ahead, open_faces))
    while True:
        before = xp.asarray(first, copy=True)
        for own, ahead, open_faces in joined:
            for one, other in ((own, ahead), (ahead, own)):
                least = xp.minimum(first[one], first[other])
                first[one] = xp.where(open_faces, least, first[one])
        flat = xp.concat([xp.reshape(first, (-1,)), xp.asarray([size], dtype=first.dtype)])
        first = xp.reshape(xp.take(flat, flat[:-1]), types.shape)  # the first's own first
        if bool(xp.all(first == before)):
            break
    flat = xp.reshape(first, (-1,))
    number = cumulative_sum(xp.astype(flat == xp.arange(size), xp.int32))
    count = int(number[-1])
    labels = xp.take(number, xp.where(flat < size, flat, 0)) * xp.astype(flat < size, xp.int32)
    airy = xp.sort(labels[xp.reshape(dirichlet, (-1,)) > 0])
    every = xp.arange(1, count + 1, dtype=xp.int32)
    if not airy.shape[0]:
        grounded = every < 0
    else:
        place = xp.searchsorted(airy, every)
        place = xp.where(place < airy.shape[0], place, airy.shape[0] - 1)
        grounded = xp.take(airy, place) == every
    return xp.reshape(xp.astype(labels, xp.int32, copy=False), types.shape), grounded
