"""Example arguments of the multilevel network."""

import numpy as np

from refopt_backends.cases.poisson import _sums
from refopt_backends.testing import Case

PARAMETERS = np.array([[1.2, 0.0, 1.0, 0.8], [1.1, 2.0, 0.9, 0.7]])


def cases(xp, rng):
    """Scenes of even, odd and flat shapes, with and without weights."""
    for shape in ((3, 3, 3), (3, 3, 11), (3, 8, 13), (12, 11, 13), (20, 18, 10)):
        types = np.zeros(shape, np.int8)
        types[1:-1, 1:-1, 1:-1] = rng.choice(3, size=[n - 2 for n in shape], p=(0.2, 0.7, 0.1))
        fluid = types == 1
        r = xp.asarray(np.where(fluid, rng.standard_normal(shape), 0.0).astype(np.float32))
        unit = _sums(types, [np.ones(shape)] * 3, np.uint8)
        faces = [rng.random(shape) for _ in range(3)]
        links = [w * fluid * np.roll(fluid, -1, axis) for axis, w in enumerate(faces)]
        general = _sums(types, faces, np.float64)
        for (degree, dirichlet), weights in ((unit, None), (general, links)):
            args = tuple(map(xp.asarray, (types, degree, dirichlet)))
            weights = weights and tuple(map(xp.asarray, weights))
            setup = (*args, weights, PARAMETERS)
            yield Case("vcycle_setup", lambda k, s=setup: s, lambda k, h: h.sizes)
            yield Case("vcycle", lambda k, s=setup, r=r: (k.vcycle_setup(*s), r))
