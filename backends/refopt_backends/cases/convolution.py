"""Example arguments of convolutions: odd, flat and long grids, few and many channels."""

import numpy as np

from refopt_backends.testing import Case


def cases(xp, rng):
    """Each kernel in double and single precision."""
    shapes = ((1, 1, 1, 1, 1), (1, 4, 6, 3, 5), (6, 2, 9, 4, 40), (4, 8, 4, 33, 9))
    for dtype in (np.float64, np.float32):
        for i, o, *grid in shapes:
            put = lambda *shape, dtype=dtype: xp.asarray(rng.standard_normal(shape).astype(dtype))
            x, W, bias, y = put(i, *grid), put(o, i, 3, 3, 3), put(o), put(o, *grid)
            for relu, residual in ((False, None), (True, None), (True, y)):
                yield Case(
                    "conv3d_forward",
                    lambda k, x=x, W=W, b=bias, r=relu, y=residual: (x, W, b, r, y),
                )
            yield Case("conv3d_backward_data", lambda k, y=y, W=W: (y, W))
            yield Case("conv3d_backward_weights", lambda k, x=x, y=y: (x, y))
        for c, *grid in ((1, 1, 1, 1), (3, 2, 3, 4), (2, 5, 1, 17)):
            coarse = xp.asarray(rng.standard_normal((c, *grid)).astype(dtype))
            fine = xp.asarray(rng.standard_normal((c, *(2 * n for n in grid))).astype(dtype))
            yield Case("pool2", lambda k, x=fine: (x,))
            yield Case("upsample2_add", lambda k, x=coarse, y=fine: (x, y))
