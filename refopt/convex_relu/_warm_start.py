"""Where a fit begins: given weights of the program, or an earlier result."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _validate
from refopt._driver import Iterate
from refopt.convex_relu._gates import on_host
from refopt.convex_relu._interior_point import relative_gap
from refopt.convex_relu._program import Program, row_norms
from refopt.convex_relu._recovery import network


@dataclass(frozen=True)
class Start:
    """What is known at the start.

    Attributes
    ----------
    x : array, shape (2, d, P)
        V and W.
    network : tuple of array
        (W1, w2).
    patterns, gates : array or None
        Those that x belongs to; None if only x was given.
    r : array, shape (n,) or None
        A dual point.
    multipliers : array, shape (2, n, P) or None
    rho : float or None
        The last penalty of alternating directions.
    """

    x: Any
    network: tuple
    patterns: Any = None
    gates: Any = None
    r: Any = None
    multipliers: Any = None
    rho: float | None = None

    def on(self, xp: Any, D: Any) -> "Start":
        """The same point over the patterns D, zero where a pattern is new."""
        if self.patterns is None:
            if self.x.shape[2] != D.shape[1]:
                raise ValueError(
                    f"x0 must have shape {(2, self.x.shape[1], D.shape[1])}, one column per "
                    f"pattern, got {tuple(self.x.shape)}"
                )
            return self
        if self.patterns is D:
            return self
        place = {column.tobytes(): k for k, column in enumerate(_packed(self.patterns))}
        found = np.array([place.get(column.tobytes(), -1) for column in _packed(D)], dtype=int)
        new, old = (xp.asarray(a) for a in (np.flatnonzero(found >= 0), found[found >= 0]))

        def moved(array):
            if array is None:
                return None
            there = xp.zeros((*array.shape[:2], D.shape[1]))
            there[:, :, new] = array[:, :, old]
            return there

        return replace(self, x=moved(self.x), multipliers=moved(self.multipliers), patterns=D)


def _packed(D):
    return np.packbits(on_host(D), axis=0).T


def take_start(xp: Any, x0: Any, shape: tuple, scale: float) -> Start:
    """`x0` of `fit_convex_relu`, checked, for features divided by `scale`."""
    n, d = shape
    if not isinstance(x0, OptimizeResult):
        x = _finite(xp, x0, "x0", (2, d, None)) * scale
        return Start(x, network(xp, x[0].T, x[1].T))
    missing = [key for key in ("x", "W1", "w2", "patterns", "r") if key not in x0]
    if missing:
        raise ValueError(f"x0 must be a result of fit_convex_relu, got none with {missing[0]!r}")
    P, m = x0.x.shape[-1], x0.W1.shape[-1]
    x = _finite(xp, x0.x, "x0", (2, d, P)) * scale
    W1, w2 = _finite(xp, x0.W1, "x0", (d, m)), _finite(xp, x0.w2, "x0", (m,))
    r = _finite(xp, x0.r, "x0", (n,))
    patterns = xp.asarray(x0.patterns)
    if tuple(patterns.shape) != (n, P):
        raise ValueError(f"x0 must be of {n} samples, got patterns of {patterns.shape[0]}")
    multipliers = x0.get("multipliers")
    rho = x0.get("rho")
    return Start(
        x, (W1 * scale**0.5, w2 * scale**0.5), patterns, x0.get("gates"), r,
        None if multipliers is None else xp.asarray(multipliers),
        None if rho is None else rho / scale**2,
    )  # fmt: skip


def _finite(xp, value, name, shape):
    value = _validate.as_array(value, name)
    value = _validate.all_finite(xp, _validate.real_array(xp, value, name, len(shape)), name)
    if any(want not in (None, got) for want, got in zip(shape, value.shape, strict=True)):
        known = ", ".join("P" if want is None else str(want) for want in shape)
        raise ValueError(f"{name} must have shape ({known}), got {tuple(value.shape)}")
    return xp.astype(value, xp.float64, copy=False)


def point(program: Program, directions: Any, start: Start, keep: Any) -> tuple:
    """(U, z, r, A) of a program's columns from a start over its patterns.

    Columns outside their cones are moved in along the central directions. Multipliers
    that are not known are those that make the slopes F'r - G'A shortest.
    """
    xp = program.xp
    sides = xp.astype(program.sign < 0, xp.int64)
    U = xp.permute_dims(start.x, (0, 2, 1))[sides, program.of, :]
    inner = xp.take(directions, program.of, axis=0)
    margins = program.S * (inner @ program.X.T)
    need = xp.max(-(program.S * (U @ program.X.T)) / margins, axis=1)
    U = U + xp.maximum(need, xp.zeros_like(need))[:, None] * inner
    z = program.predict(U @ program.X.T)
    r = program.loss.gradient(z, program.y) if start.r is None else start.r[keep]
    if start.multipliers is not None:
        A = xp.permute_dims(start.multipliers, (0, 2, 1))[sides, program.of, :][:, keep]
    else:
        A = xp.zeros_like(margins)
        slopes = program.pull(r)
        steep = xp.nonzero(row_norms(xp, slopes) > program.beta)[0]
        free = xp.full(r.shape[0], xp.inf)
        for j in (int(k) for k in steep):
            rows = program.S[j, :][:, None] * program.X
            _, a = program.kernels.box_least_squares(
                rows, free, slopes[j : j + 1, :], A[j : j + 1, :]
            )
            A[j, :] = a[0, :]
    return U, z, r, A


def no_worse(program: Program, given: tuple, iterates: Any) -> Any:
    """Iterates of a method, each with the best of what it and the given point have."""
    U, z, r, A = given
    value = program.value(U, z)
    dual = program.dual_value(r, program.pull(r) - program.pull_cone(A))
    iterate = next(iterates)
    gap = relative_gap(value, dual)
    yield Iterate(given, value, gap, iterate.record | {"dual": dual})
    while True:
        try:
            iterate = next(iterates)
        except StopIteration as end:
            return end.value
        primal, certificate, bound = iterate.x[:2], iterate.x[2:], iterate.record["dual"]
        fun = iterate.fun
        if value < fun:
            primal, fun = (U, z), value
        if dual > bound:
            certificate, bound = (r, A), dual
        record = iterate.record | {"dual": bound}
        yield Iterate((*primal, *certificate), fun, relative_gap(fun, bound), record)
