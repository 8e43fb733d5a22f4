"""Directions inside the cones of activation patterns."""

from typing import Any

from refopt.convex_relu._program import weighted_grams

_STEPS = 60
_NEAR = 0.1


def central_directions(xp: Any, X: Any, masks: Any) -> tuple[Any, Any]:
    """Minimisers of 1/2 ||g||^2 - sum_k log((S X g)_k), one per pattern.

    Newton's method for the optimality conditions g = X'S a, a o s = 1, s = S X g from
    outside the cones, all patterns at once.

    Parameters
    ----------
    X : array, shape (n, d)
        Without rows of zeros.
    masks : bool array, shape (P, n)

    Returns
    -------
    g : array, shape (P, d)
        ||g||^2 = n.
    inside : bool array, shape (P,)
        Whether S X g > 0: False where the cone has no interior (or nearly none).
    """
    P, (n, d) = masks.shape[0], X.shape
    if n == 0 or P == 0:
        return xp.zeros((P, d)), xp.ones(P, dtype=bool)
    scale = xp.sqrt(xp.sum(X * X, axis=1))
    Xn = X / scale[:, None]
    S = 2 * xp.astype(masks, xp.float64) - 1
    g = xp.zeros((P, d))
    s, a = xp.ones((P, n)), xp.ones((P, n))
    eye = xp.eye(d)
    for _ in range(_STEPS):
        gap = S * (g @ Xn.T) - s
        H = weighted_grams(xp, Xn, a / s) + eye
        side = (S * ((1 - a * gap) / s)) @ Xn - g
        dg = xp.linalg.solve(H, side[:, :, None])[:, :, 0]
        ds = S * (dg @ Xn.T) + gap
        da = (1 - a * s - a * ds) / s
        most = xp.maximum(xp.max(-ds / s, axis=1), xp.max(-da / a, axis=1))
        step = 1 / xp.maximum(most / 0.9, xp.ones_like(most))
        g, s, a = (x + step[:, None] * dx for x, dx in ((g, dg), (s, ds), (a, da)))
        off = xp.max(xp.abs(a * s - 1), axis=1)
        if float(xp.max(off)) < _NEAR and float(xp.min(step)) > 1 - 1e-9:
            break
    inside = xp.min(S * (g @ Xn.T), axis=1) > 0
    return g, inside


def usable_patterns(xp: Any, X: Any, patterns: Any, strict: bool) -> tuple[Any, Any]:
    """Central directions of patterns, and which patterns have one and an active sample.

    Parameters
    ----------
    X : array, shape (n, d)
        Rows of zeros are in every cone.
    patterns : bool array, shape (n, P)
    strict : bool
        Whether a pattern without a direction in the interior of its cone is an error.

    Returns
    -------
    directions : array, shape (P, d)
    used : bool array, shape (P,)
    """
    rows = xp.nonzero(xp.any(X != 0, axis=1))[0]
    masks = patterns.T[:, rows]
    directions, inside = central_directions(xp, X[rows, :], masks)
    if strict and not bool(xp.all(inside)):
        column = int(xp.nonzero(~inside)[0][0])
        raise ValueError(
            "gates must be patterns that a direction has in the interior of their cones, "
            f"got none for the pattern {column}"
        )
    return directions, inside & xp.any(masks, axis=1)
