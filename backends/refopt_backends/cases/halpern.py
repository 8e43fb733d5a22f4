"""Example arguments of the kernels of monotone inclusions and games."""

import numpy as np

from refopt_backends.testing import Case


def cases(xp, rng):
    """Vectors on, near and far from the simplex; single precision; any start of Newton."""
    yield from _simplex(xp, rng)
    yield from _definite(xp, rng)


def _simplex(xp, rng):
    inside = rng.random(40)
    vectors = [
        rng.standard_normal(1),
        rng.standard_normal(300),
        rng.standard_normal(1000).astype(np.float32),
        100.0 * rng.standard_normal(77) - 1e6,
        np.ones(9),
        np.repeat(rng.standard_normal(5), 4),
        inside / inside.sum(),
        np.array([1e300, -1e300, 1e300, 0.0]),
        np.array([1e-300, 0.0, -1e-300]),
    ]
    for v in vectors:
        v = xp.asarray(v)
        for tau0 in (None, -0.1, 1e9, -1e9):
            yield Case("project_simplex", lambda k, v=v, t=tau0: (v, 1.0, t))
        yield Case("project_simplex", lambda k, v=v: (v, 7.5, 0.0))


def _definite(xp, rng):
    for m in (1, 4, 60):
        A = rng.standard_normal((m, m))
        H = xp.asarray(A @ A.T + 0.1 * np.eye(m))
        rhs = xp.asarray(rng.standard_normal(m))
        yield Case("spd_factor", lambda k, H=H: (H,), lambda k, f, r=rhs: k.spd_apply(f, r))
        yield Case("spd_factor", lambda k, H=H: (-H,))
        yield Case("spd_apply", lambda k, H=H, r=rhs: (k.spd_factor(H), r))
