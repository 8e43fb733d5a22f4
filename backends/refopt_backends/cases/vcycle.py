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
        setup = (*tuple(map(xp.asarray, (types, *unit))), None, PARAMETERS)
        flat = min(shape) == 3  # solved after few steps: what follows is rounding
        b = xp.asarray(np.ones(int(fluid.sum())) if flat else rng.standard_normal(int(fluid.sum())))

        def start(k, setup=setup, b=b):
            return k.vcycle_cg_start(k.vcycle_setup(*setup), b, 4.0)

        if flat:
            if b.size > 20:  # small enough for sanitizers
                yield Case("vcycle_cg_residual", lambda k, start=start: (start(k),), None, 1e-4)
                yield Case(
                    "vcycle_cg_step", lambda k, start=start: (start(k),), lambda k, r: r[1], 1e-4
                )
            continue

        def after(k, start=start):
            state = start(k)
            for _ in range(2):
                k.vcycle_cg_step(state)
            return state

        def steps(k, state):
            first = k.vcycle_cg_solution(state)
            numbers = [k.vcycle_cg_step(state)[1]]
            k.vcycle_cg_restart(state)
            for _ in range(10):
                numbers.append(k.vcycle_cg_step(state)[1])
            return first, k.vcycle_cg_solution(state), numbers[0], numbers[1]

        yield Case(
            "vcycle_cg_start", lambda k, s=setup, b=b: (k.vcycle_setup(*s), b, 4.0), steps, 1e-5
        )
        yield Case("vcycle_cg_step", lambda k, start=start: (start(k),), None, 1e-4)
        for name in ("solution", "residual", "restart"):
            yield Case(f"vcycle_cg_{name}", lambda k, after=after: (after(k),), None, 1e-4)
