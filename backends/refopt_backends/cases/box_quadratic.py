"""Example arguments of the kernels of quadratic problems with bounds."""

import math
from types import SimpleNamespace

import numpy as np

from refopt_backends._home import root_of
from refopt_backends.testing import Case


def cases(xp, rng):
    """Definite and singular matrices, infinite bounds, rows that are dense, sparse, empty."""
    for n, p in ((6, 4), (30, 9), (25, 40)):
        A = rng.standard_normal((n, p))
        H = xp.asarray(A @ A.T + 0.1 * np.eye(n))
        rhs = xp.asarray(rng.standard_normal(n))
        yield Case("spd_solve", lambda k, H=H, r=rhs: (H, r))
        yield Case("spd_solve", lambda k, H=H, r=rhs: (-H, r))
        yield from _box(xp, rng, A)
        yield from _hinge(xp, rng, A)


def _box(xp, rng, A):
    n = A.shape[0]
    G = A @ A.T
    G[0, :] = G[:, 0] = 0.0  # without curvature
    G[1, :] = G[:, 1] = 0.0
    lower, upper = -rng.random(n), rng.random(n)
    upper[::3], lower[::4] = math.inf, -math.inf
    x = np.clip(rng.standard_normal(n), lower, upper)
    g = G @ x + rng.standard_normal(n)
    arrays = [xp.asarray(v) for v in (G, x, g, lower, upper)]
    for sweeps in (0, 1, 7):
        yield Case("box_sweeps", lambda k, s=sweeps: (*arrays, s))


def _hinge(xp, rng, A):
    n, p = A.shape
    A = A * (rng.random((n, p)) < 0.4)
    A[2] = 0.0
    C, a = 0.5 + rng.random(n), rng.random(n) / 2
    a[::3], a[1::3] = 0.0, C[1::3]
    vectors = [xp.asarray(v) for v in ((A**2).sum(1), C, a, A.T @ a)]
    rows = [SimpleNamespace(columns=xp.asarray(A), shape=(p, n))]
    if root_of(xp) in ("numpy", "cupy"):  # what has sparse matrices
        _, places = np.nonzero(A)
        starts = np.concatenate([[0], np.cumsum((A != 0).sum(1))])
        compressed = (A[A != 0], places.astype(np.int32), starts.astype(np.int64))
        rows.append(SimpleNamespace(by_columns=tuple(map(xp.asarray, compressed)), shape=(p, n)))
    else:
        rows.append(rows[0])
    for Z in rows:
        for sweeps in (0, 1, 12):
            yield Case("hinge_sweeps", lambda k, Z=Z, s=sweeps: (Z, *vectors, s, 5))
    base = rng.standard_normal(n)
    u = rng.standard_normal(n)
    slope = float(u @ np.clip(base, 0, C)) - 1.0
    for sigma in (0.1, 10.0):
        yield Case(
            "hinge_step",
            lambda k, s=sigma: (*map(xp.asarray, (base, u, C)), s, slope, 0.7),
            None,
            1e-8,
        )
