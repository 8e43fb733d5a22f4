"""What the problems of the catalogue are given, and how their matrices are turned."""

import math
from typing import Any

import numpy as np

from refopt import _validate
from refopt.block_coordinate._design import DenseDesign, SparseDesign
from refopt.penalties import L1, Box, Zero

_SYMMETRY = 1e-8
_CHUNK = 2**22  # entries of A'A that are formed at a time


def take_in_penalty(problem, l1, bounds, weights):
    """The h of l1, bounds and weights."""
    xp = problem.xp
    w: Any = l1
    if weights is not None:
        weights = one_per_coordinate(problem, weights, "weights")
        if not bool(xp.all(weights >= 0)) or not bool(xp.all(xp.isfinite(weights))):
            raise ValueError("weights must be nonnegative and finite")
        w = l1 * weights
    if bounds is None:
        return L1(w) if l1 > 0 else Zero()
    lower, upper = take_in_bounds(problem, bounds)
    if l1 == 0:
        return Box(lower, upper)
    positive, negative = lower >= 0, upper <= 0
    if not bool(xp.all(positive | negative)):
        raise ValueError(
            "bounds must not let a coordinate change its sign where l1 > 0: there |x_i| is linear"
        )
    sign = xp.where(positive, xp.ones(problem.size), -xp.ones(problem.size))
    return Box(lower, upper, sign * w)  # |x_i| is linear there


def take_in_bounds(problem, bounds):
    xp = problem.xp
    try:
        lower, upper = bounds
    except (TypeError, ValueError) as error:
        raise TypeError(f"bounds must be a pair (lower, upper), got {bounds!r}") from error
    lower = (
        xp.zeros(problem.size) - math.inf
        if lower is None
        else one_per_coordinate(problem, lower, "lower")
    )
    upper = (
        xp.zeros(problem.size) + math.inf
        if upper is None
        else one_per_coordinate(problem, upper, "upper")
    )
    # of NaN every comparison is false
    if not bool(xp.all((lower <= upper) & (lower < math.inf) & (upper > -math.inf))):
        wrong = ~((lower <= upper) & (lower < math.inf) & (upper > -math.inf))
        i = int(xp.nonzero(wrong)[0][0])
        raise ValueError(
            "bounds must have lower <= upper, "
            f"got {float(lower[i])} and {float(upper[i])} for coordinate {i}"
        )
    return lower, upper


def one_per_coordinate(problem, value, name):
    """One number for each coordinate."""
    xp = problem.xp
    value = _validate.as_array(value, name)
    if value.ndim == 0:
        return xp.full((problem.size,), _validate.real_number(value, name))
    return problem.flat(value, name)


def take_in_vector(xp, value, name, n):
    value = _validate.moderate(xp, _validate.real_array(xp, value, name, 1), name)
    if value.shape[0] != n:
        raise ValueError(f"{name} must have one entry per row of A, {n}, got {value.shape[0]}")
    return xp.astype(value, xp.float64, copy=False)


def class_numbers(y):
    return not isinstance(y, np.ndarray) or y.dtype.kind not in "USO"


def refuse_one_class(problem, classes, name):
    if classes.shape[0] == 1 and unrestrained(problem):
        raise ValueError(
            f"{name} must hold two classes where l1 and l2 are 0, got one: the problem is unbounded"
        )


def unrestrained(problem):
    """No penalty, and bounds, if any, that leave whole half-lines."""
    penalty, xp = problem.penalty, problem.xp
    if problem.l2 > 0 or isinstance(penalty, L1):
        return False
    if isinstance(penalty, Zero):
        return True
    cone = (penalty.lower == 0) | xp.isinf(penalty.lower)
    cone = cone & ((penalty.upper == 0) | xp.isinf(penalty.upper))
    return bool(xp.all(cone)) and bool(xp.all(0 == xp.asarray(penalty.slope)))


def refuse_asymmetry(xp, design):
    if isinstance(design, SparseDesign):
        difference = abs(design.matrix - design.matrix.T)
        worst = float(difference.max()) if difference.nnz else 0.0
        largest = float(abs(design.matrix).max()) if design.entries else 0.0
    elif design.entries:
        worst = float(xp.max(xp.abs(design.columns - design.columns.T)))
        largest = float(xp.max(xp.abs(design.columns)))
    else:
        worst = largest = 0.0
    if worst > _SYMMETRY * largest:
        raise ValueError(f"A must be symmetric, got entries that differ by {worst:.3g}")


def can_scale(xp, penalty):
    """Whether slopes become dual feasible when they are shortened."""
    if isinstance(penalty, L1):
        return bool(xp.all(xp.asarray(penalty.weights) > 0))
    if isinstance(penalty, Box):
        upper_free = xp.isinf(penalty.upper) & xp.isfinite(penalty.lower)
        slope = penalty.slope + xp.zeros_like(penalty.lower)
        return bool(xp.all(upper_free & (slope > 0)))
    return False


def longest_step(xp, penalty, g):
    """The largest t for which -t g lies in the domain of h*."""
    if g.shape[0] == 0:
        return math.inf
    ratio = -g / penalty.slope if isinstance(penalty, Box) else xp.abs(g) / penalty.weights
    largest = float(xp.max(ratio))
    return 1 / largest if largest > 0 else math.inf


def row_major(columns):
    """The columns of a design as the rows of a dense array."""
    return columns.columns if isinstance(columns, DenseDesign) else columns.matrix.toarray().T


def transposed_design(design):
    kind = "float32" if design.dtype == design.xp.float32 else "float64"
    if isinstance(design, DenseDesign):
        columns = design.columns.T
        if hasattr(columns, "flags") and not columns.flags.c_contiguous:
            columns = design.xp.ascontiguousarray(columns)
        return DenseDesign(design.xp, columns, kind)
    return SparseDesign(design.xp, design.matrix.T.tocsc(), kind)


def gram_row_sums(design):
    """sum_j |a_i'a_j|, some columns at a time."""
    xp, p = design.xp, design.shape[1]
    width = max(1, _CHUNK // max(1, p))
    sums = []
    for begin in range(0, p, width):
        some = xp.arange(begin, min(begin + width, p))
        products = design.transposed_times(row_major(design.take(some)).T)
        sums.append(xp.sum(xp.abs(products), axis=0))
    return xp.concat(sums) if sums else xp.zeros(0)
