"""Example arguments of the kernels on grids of cells."""

import numpy as np

from refopt_backends.testing import Case


def cases(xp, rng):
    """Scenes with pockets and air, of odd and of flat shapes, with and without weights."""
    for shape in ((3, 3, 3), (3, 3, 9), (3, 7, 12), (8, 9, 11)):
        types = np.zeros(shape, np.int8)
        types[1:-1, 1:-1, 1:-1] = rng.choice(3, size=[n - 2 for n in shape], p=(0.3, 0.6, 0.1))
        fluid = types == 1
        x = xp.asarray(np.where(fluid, rng.standard_normal(shape), 0.0))
        field = xp.asarray(types)
        yield Case("poisson_degree", lambda k, t=field: (t,))
        degree, dirichlet = (xp.asarray(d) for d in _sums(types, [np.ones(shape)] * 3, np.uint8))
        yield Case("label_components", lambda k, t=field, g=dirichlet: (t, None, g))
        for values in (x, xp.astype(x, xp.float32)):
            yield Case("poisson_apply", lambda k, d=degree, x=values: (d, None, x, 0.5))
        faces = [rng.random(shape) * (rng.random(shape) < 0.8) for _ in range(3)]
        degree, dirichlet = (xp.asarray(d) for d in _sums(types, faces, np.float64))
        inner = tuple(
            xp.asarray(w * fluid * np.roll(fluid, -1, axis)) for axis, w in enumerate(faces)
        )
        yield Case("label_components", lambda k, t=field, w=inner, g=dirichlet: (t, w, g))
        yield Case("poisson_apply", lambda k, d=degree, w=inner, x=x: (d, w, x, 2.0))


def _sums(types, faces, dtype):
    """Weights of all open faces of each fluid cell, and of those towards air."""
    degree, dirichlet = np.zeros(types.shape), np.zeros(types.shape)
    for axis, w in enumerate(faces):
        for step, weight in ((-1, w), (1, np.roll(w, 1, axis))):
            other = np.roll(types, step, axis)
            degree += (types == 1) * (other != 0) * weight
            dirichlet += (types == 1) * (other == 2) * weight
    return degree.astype(dtype), dirichlet.astype(dtype)
