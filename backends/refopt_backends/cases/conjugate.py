"""Example arguments of steps of conjugate gradients."""

import numpy as np
from scipy import sparse

from refopt_backends.testing import Case


def cases(xp, rng):
    """Small fields and matrices; compressed rows where the namespace has them."""
    for shape in ((3, 3, 4), (3, 8, 9), (6, 7, 9)):
        types = np.zeros(shape, np.int8)
        types[1:-1, 1:-1, 1:-1] = rng.choice(3, size=[n - 2 for n in shape], p=(0.3, 0.6, 0.1))
        fluid = types == 1
        z, d = (xp.asarray(np.where(fluid, rng.standard_normal(shape), 0.0)) for _ in range(2))
        g = xp.zeros(shape)
        degree = xp.asarray((6 * fluid).astype(np.uint8))
        yield Case("poisson_conjugate", lambda k, a=(degree, None, 2.0, z, 0.3, d, g): a)
        w = tuple(
            xp.asarray(fluid * np.roll(fluid, -1, axis) * rng.random(shape)) for axis in range(3)
        )
        degree = xp.astype(degree, xp.float64)
        yield Case("poisson_conjugate", lambda k, a=(degree, w, 0.5, z, 0.3, d, g): a)
        yield Case("conjugate_step", lambda k, a=(0.7, z, d, z + d, z - d): a)
        labels = xp.asarray((types * rng.integers(0, 2, shape)).astype(np.int32))
        count = int(xp.max(labels))
        yield Case("subtract_means", lambda k, a=(labels, count, z): a)
    for n in (1, 5, 40):
        dense = np.where(rng.random((n, n)) < 0.3, rng.standard_normal((n, n)), 0.0)
        z, d, g = (xp.asarray(rng.standard_normal(n)) for _ in range(3))
        A = xp.asarray(dense)
        rows = sparse.csr_array(dense) if xp is np else A
        for form in (A, rows):
            yield Case("matrix_conjugate", lambda k, a=(form, z, -0.4, d, g): a)
