"""Example arguments of the kernels of convex programs of ReLU networks."""

import numpy as np

from refopt_backends.testing import Case


def cases(xp, rng):
    """One sample; one-sided patterns, an empty one among them; more rows than a block."""
    for n, d, P in ((1, 1, 1), (7, 3, 4), (90, 4, 5)):
        masks = rng.random((P, n)) < 0.6
        masks[P // 2] = P == 1
        of = np.concatenate([np.arange(P), np.arange(0, P, 2)])
        roots = rng.standard_normal((of.size, d, d))
        args = tuple(map(xp.asarray, (rng.standard_normal((n, d)), masks, of, roots)))
        yield Case("masked_gram", lambda kernels, a=args: a)
        XU, h = rng.standard_normal((2, of.size, n))
        sign = np.where(np.arange(of.size) < P, 1.0, -1.0)
        for relax in (1.0, 1.8):
            args = *map(xp.asarray, (XU, masks, of, sign, h)), relax
            yield Case("slack_pass", lambda kernels, a=args: a)
        U = rng.standard_normal((of.size, d))
        U[0] = 0.0
        for threshold in (0.0, 1.5):
            args = xp.asarray(U), threshold
            yield Case("group_soft", lambda kernels, a=args: a)
