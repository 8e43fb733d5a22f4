"""Arguments that the Lasso and sparse logistic regression take alike."""

import numpy as np

from refopt import _validate
from refopt.block_coordinate._least_squares import LEFT

SAFETY = 0.9  # room for rounding between the gap met on the way and the recomputed one
_LEAST_SINGLE = 1e-6  # tolerance that answers in float32 can meet


def centred(design, rows):
    """A dense design with columns of weighted mean zero, and their means.

    Left to a correction of rank one, means far above the spread would cancel.
    Where there are none, and for a sparse design: as it is, and no means.
    """
    xp, total = design.xp, float(design.xp.sum(rows))
    if not hasattr(design, "columns") or total == 0:
        return design, None
    means = design.transposed_times(rows / total)
    if bool(xp.all(rows == rows[0])):
        squares = design.squared_norms() / rows.shape[0]
    else:
        squares = design.weighted_squares(rows / total)
    if not bool(xp.any(squares - means * means < LEFT * squares)):
        return design, None
    return design.centred(rows / total)


def vector(xp, value, name, size):
    """A vector of so many finite entries, in float64."""
    value = _validate.real_array(xp, _validate.as_array(value, name), name, 1)
    if value.shape[0] != size:
        raise ValueError(f"{name} must have {size} entries to fit X, got {value.shape[0]}")
    return _validate.all_finite(xp, xp.astype(value, xp.float64, copy=False), name)


def run_options(tol, maxiter, callback, disp, time_limit, design):
    """What the driver is told; in single precision with the tolerance that it can meet."""
    single = design.dtype == design.xp.float32
    tol = _validate.nonnegative(tol, "tol")
    return {
        "tol": max(tol, _LEAST_SINGLE) if single else tol,
        "floor": single and tol < _LEAST_SINGLE,
        "maxiter": _validate.count(maxiter, "maxiter"),
        "callback": callback,
        "disp": _validate.display(disp),
        "time_limit": None
        if time_limit is None
        else _validate.nonnegative(time_limit, "time_limit"),
    }


def last_change(history):
    """The last iteration in which the signed support changed; leaves the history without it."""
    changes = np.nonzero(history.pop("support_changed"))[0]
    return int(changes[-1]) if changes.size else 0
