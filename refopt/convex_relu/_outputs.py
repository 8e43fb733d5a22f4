"""Several outputs: one program each over the same samples and patterns."""

import time
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _driver, _status
from refopt.convex_relu._gates import on_host
from refopt.convex_relu._result import gap_measure, rescaled
from refopt.convex_relu._warm_start import Start, take_start
from refopt_backends import namespace_of


def rescaling(callback: Any, scale: float) -> Any:
    """The callback in the units of features that were divided by `scale`."""
    if callback is None or scale == 1:
        return callback
    tell = _driver.by_position(callback)

    def told(res):
        root = scale**0.5
        units = {"x": 1 / scale, "W1": 1 / root, "w2": 1 / root, "psi": scale}
        res.update({key: res[key] * unit for key, unit in units.items() if key in res})
        return tell(res)

    return told


def starts(xp: Any, x0: Any, shape: tuple, outputs: tuple, scale: float) -> list[Start]:
    """One start per output, none without `x0`."""
    if x0 is None:
        return []
    if not outputs:
        return [take_start(xp, x0, shape, scale)]
    parts = x0.get("outputs") if isinstance(x0, OptimizeResult) else x0
    if parts is None or len(parts) != outputs[0]:
        raise ValueError(f"x0 must have {outputs[0]} outputs, got {type(x0).__name__} of others")
    return [take_start(xp, part, shape, scale) for part in parts]


def fit_outputs(fit: Any, Y: Any, begin: list[Start], driver: dict, scale: float) -> OptimizeResult:
    """Fit every column of Y, and put the networks side by side.

    Parameters
    ----------
    fit : callable
        ``fit(y, start, driver)``, the result of one output.
    Y : array, shape (n, C)
    begin : list of Start
        One per output, or none.
    driver : dict
        Options of `_driver.run`; the time limit is that of all.
    scale : float
        By which features were divided.

    Returns
    -------
    OptimizeResult
    """
    xp, C = namespace_of(Y), Y.shape[1]
    ends = None if driver["time_limit"] is None else time.perf_counter() + driver["time_limit"]
    tell = None if driver["callback"] is None else _driver.by_position(driver["callback"])
    parts: list[OptimizeResult] = []
    for c in range(C):
        own = dict(driver)
        if ends is not None:
            own["time_limit"] = max(1e-9, ends - time.perf_counter())
        if parts and parts[-1].status == _status.CALLBACK_STOP:
            own["callback"] = _stop
        elif tell is not None:
            own["callback"] = _numbered(tell, c)
        y = xp.asarray(Y[:, c], copy=True)
        parts.append(rescaled(fit(y, begin[c] if begin else None, own), scale))
    return _side_by_side(xp, parts, driver["tol"])


def _numbered(tell, output):
    def told(res):
        res.output = output
        return tell(res)

    return told


def _stop(res):
    raise StopIteration


def _side_by_side(xp, parts, tol):
    """One result of all: sums, bounds of sums, and every output's own result."""
    bounded = "fun_convex" if parts[0].lower_bound is None else "fun"
    below = "dual" if parts[0].lower_bound is None else "lower_bound"
    value, bound = (sum(part[key] for part in parts) for key in (bounded, below))
    gap = max(0.0, value - bound) / value if value > 0 else 0.0
    status = next((part.status for part in parts if part.status), _status.CONVERGED)
    kind = parts[0].gap_kind
    wrong = [c for c, part in enumerate(parts) if part.status]
    detail = f"Outputs without success: {wrong}." if wrong else ""
    D, xs = _common_patterns(xp, parts)
    gates = parts[0].gates if all(part.gates is parts[0].gates for part in parts) else None
    m = [part.w2.shape[0] for part in parts]
    w2 = xp.zeros((sum(m), len(parts)), dtype=parts[0].w2.dtype)
    for c, (part, end) in enumerate(zip(parts, np.cumsum(m), strict=True)):
        w2[int(end) - m[c] : int(end), c] = part.w2
    keys = parts[0].history
    history = {key: np.concatenate([part.history[key] for part in parts]) for key in keys}
    history["output"] = np.repeat(
        np.arange(len(parts)), [len(part.history["time"]) for part in parts]
    )
    whole = all(part.multipliers is not None for part in parts)
    return OptimizeResult(
        x=xp.stack(xs), W1=xp.concat([part.W1 for part in parts], axis=1), w2=w2,
        fun=_total(parts, "fun"), fun_convex=_total(parts, "fun_convex"),
        dual=_total(parts, "dual"), gap=gap, gap_kind=kind, gaps=[part.gap for part in parts],
        lower_bound=_total(parts, "lower_bound"), psi=_most(parts, "psi"),
        violation=_most(parts, "violation"), patterns=D, gates=gates,
        r=xp.stack([part.r for part in parts], axis=1),
        multipliers=xp.stack([part.multipliers for part in parts]) if whole else None,
        success=status == _status.CONVERGED, status=status,
        message=_status.message(
            status, measure=f"{gap_measure(kind)} of all outputs", error=gap, tol=tol,
            detail=detail,
        ),
        nit=sum(part.nit for part in parts), nfev=sum(part.nfev for part in parts),
        n_rounds=max(part.n_rounds for part in parts), rounds=[part.rounds for part in parts],
        history=history, outputs=parts, backend=parts[0].backend,
    )  # fmt: skip


def _total(parts, key):
    return None if any(part[key] is None for part in parts) else sum(part[key] for part in parts)


def _most(parts, key):
    return None if any(part[key] is None for part in parts) else max(part[key] for part in parts)


def _common_patterns(xp, parts):
    """All patterns of all outputs, and each x over them."""
    first = parts[0].patterns
    if all(part.patterns is first for part in parts):
        return first, [part.x for part in parts]
    D = np.unique(np.hstack([on_host(part.patterns) for part in parts]), axis=1)
    D = xp.asarray(D)
    moved = []
    for part in parts:
        start = Start(part.x, (part.W1, part.w2), part.patterns)
        moved.append(xp.astype(start.on(xp, D).x, part.x.dtype))
    return D, moved
