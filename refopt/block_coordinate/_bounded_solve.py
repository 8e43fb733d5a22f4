"""A quadratic with bounds from the user's options to the result."""

import math
from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _driver, _validate
from refopt.block_coordinate._bounded_newton import Box, Effort, bounded_newton, state_of
from refopt.block_coordinate._result import build
from refopt.block_coordinate._start import usable

_SINGLE_FLOOR = 1e-6


def vector(xp: Any, value: Any, size: int, name: str) -> Any:
    """A finite vector of one size, in double precision."""
    value = _validate.all_finite(xp, _validate.real_array(xp, value, name, 1), name)
    if value.shape[0] != size:
        raise ValueError(f"{name} must have {size} entries, got {value.shape[0]}")
    return xp.astype(value, xp.float64, copy=False)


def solve(
    form, lower, upper, x0, *, tol, maxiter, callback, disp, time_limit, history,
    least_squares=False,
):  # fmt: skip
    """Run the solver and build what the user gets.

    Parameters
    ----------
    form : MatrixForm
    lower, upper : array, shape (p,)
    x0 : array or None
    tol, maxiter, callback, disp, time_limit, history
        As the user gave them.
    least_squares : bool
        Whether to add the residual's norm.

    Returns
    -------
    OptimizeResult
    """
    xp, kernels, dtype = form.xp, form.kernels, form.design.dtype
    tol, maxiter = _validate.nonnegative(tol, "tol"), _validate.count(maxiter, "maxiter")
    disp = _validate.display(disp)
    time_limit = None if time_limit is None else _validate.nonnegative(time_limit, "time_limit")
    box = Box(form, lower, upper)
    x = xp.zeros_like(lower) if x0 is None else usable(xp, vector(xp, x0, form.p, "x0"))
    x = box.project(x)
    single = dtype == xp.float32
    asked, tol = tol, max(tol, _SINGLE_FLOOR) if single else tol
    effort, seen = Effort(), _ActiveSet(box)
    outcome = _driver.run(
        seen.watch(bounded_newton(box, x, effort)),
        tol=(0.1 if single else 0.9) * tol,
        maxiter=maxiter,
        callback=callback,
        view=lambda iterate, nit: _view(box, iterate, nit, dtype),
        disp=disp,
        time_limit=time_limit,
    )
    x = outcome.best.x.x
    if single:
        x, box = _rounded(xp, x, box)
    point = box.at(xp.astype(x, xp.float64))
    certified = math.isfinite(point.gap)
    words = "relative duality gap" if certified else "relative KKT residual (no gap is known)"
    fields = {"rnorm": math.sqrt(2.0 * point.fun)} if least_squares else {}
    return build(
        outcome,
        x=xp.astype(x, dtype, copy=True),
        fun=point.fun,
        error=box.error(point),
        tol=tol,
        words=words,
        backend=kernels.name,
        detail=f"Single precision allows tol {_SINGLE_FLOOR:g}." if tol > asked else "",
        history=history,
        gap=box.relative_gap(point) if certified else None,
        kkt=point.kkt / box.kkt_scale if point.kkt and box.kkt_scale > 0 else point.kkt,
        active=state_of(xp, point.x, box.lower, box.upper) != 0,
        nit_active=seen.last,
        nfev=effort.njev + 3,
        njev=effort.njev + 3,
        nbev=effort.nbev,
        nchol=effort.nchol,
        **fields,
    )


def _rounded(xp, x, box):
    """x in single precision, exactly at the bounds rounded alike."""
    narrow = lambda v: xp.astype(v, xp.float32)
    lower, upper = narrow(box.lower), narrow(box.upper)
    x = xp.clip(narrow(x), lower, upper)
    wide = lambda v: xp.astype(v, xp.float64)
    return x, Box(box.form, wide(lower), wide(upper))


def _view(box, iterate, nit, dtype):
    point = iterate.x
    return OptimizeResult(
        x=box.xp.astype(point.x, dtype, copy=True),
        fun=point.fun,
        gap=box.relative_gap(point) if math.isfinite(point.gap) else None,
        kkt=point.kkt / box.kkt_scale if point.kkt and box.kkt_scale > 0 else point.kkt,
        nit=nit,
    )


class _ActiveSet:
    """Notes the last iteration at which a coordinate left or reached a bound."""

    def __init__(self, box):
        self.box, self.last = box, 0

    def watch(self, algorithm):
        """The same iterates."""
        xp, before, nit = self.box.xp, None, 0
        try:
            while True:
                iterate = next(algorithm)
                state = state_of(xp, iterate.x.x, self.box.lower, self.box.upper)
                if before is not None and bool(xp.any(state != before)):
                    self.last = nit
                before, nit = state, nit + 1
                yield iterate
        except StopIteration as end:
            return end.value
