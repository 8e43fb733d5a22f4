"""Example arguments of the kernels of pricing."""

import numpy as np

from refopt_backends.testing import Case


def cases(xp, rng):
    """Boxes and orthants, more rows than columns and fewer, rows without room, a zero row."""
    for n, d, count in ((1, 1, 1), (12, 3, 4), (5, 9, 3), (40, 6, 5)):
        X = rng.standard_normal((n, d))
        G = rng.standard_normal((count, d)) * n
        upper = np.where(rng.random(n) < 0.7, rng.random(n), 0.0)
        if n > 10:
            X[3] = 0.0
        X[:, 0], G[:, 0] = np.abs(X[:, 0]), -np.abs(G[:, 0])  # no cone of rows holds a target
        full = np.where(rng.random((count, n)) < 0.5, upper, 0.0)
        for top, start in ((upper, full), (np.full(n, np.inf), np.zeros((count, n)))):
            args = tuple(xp.asarray(x) for x in (X, top, G, start))
            yield Case("box_least_squares", lambda k, args=args: args)
