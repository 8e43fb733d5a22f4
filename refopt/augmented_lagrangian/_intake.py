"""From SciPy's arguments to an `EqualityProblem`: every form that `minimize` passes."""

import warnings
from typing import Any

import numpy as np
from scipy.optimize import Bounds, OptimizeWarning

from refopt import _validate
from refopt.augmented_lagrangian import _constraints
from refopt.augmented_lagrangian._derivatives import relative_step
from refopt.augmented_lagrangian._objective import Objective
from refopt.augmented_lagrangian._problem import EqualityProblem
from refopt_backends import resolve


def take_problem(
    fun, x0, args=(), *, jac=None, hess=None, hessp=None, constraints=(), bounds=None,
    finite_diff_rel_step=None, backend=None, name="x0",
) -> tuple[EqualityProblem, str]:  # fmt: skip
    """The problem as the algorithms see it, and the backend's name.

    The constraints are evaluated once, at x0, which tells how many there are.
    """
    x0, xp, kernels = take_vector(x0, name, backend)
    x = xp.astype(x0, xp.float64, copy=True)
    args = args if isinstance(args, tuple) else (args,)
    finite_diff_rel_step = relative_step(finite_diff_rel_step, x.shape[0], xp)
    free, x = _free_variables(bounds, x, xp)
    objective = Objective(fun, jac, hess, hessp, args, xp, finite_diff_rel_step)
    taken, values = _constraints.take(constraints, x, xp, finite_diff_rel_step)
    problem = EqualityProblem(objective, taken, x, values, xp, free, x0.dtype)
    if problem.m > problem.n:
        raise ValueError(
            f"constraints must not have more rows than there are free variables, got {problem.m} "
            f"rows and {problem.n} variables: more equality constraints than variables"
        )
    return problem, kernels.name


def warn_of_unknown(options: dict[str, Any]) -> None:
    """As SciPy does of options that a method has not, at the user's call."""
    if options:
        names = ", ".join(sorted(options))
        warnings.warn(f"Unknown solver options: {names}", OptimizeWarning, stacklevel=3)


def take_vector(value: Any, name: str, backend: str | None = None) -> tuple[Any, Any, Any]:
    """A vector of at least one number, its namespace and the kernels."""
    if value is None:
        raise TypeError(f"{name} must be an array of numbers, got None")
    value = _validate.as_array(value, name)
    xp, kernels = resolve(value, backend=backend, names=(name,))
    value = _validate.moderate(xp, _validate.real_array(xp, value, name, 1), name)
    if not value.size:
        raise ValueError(f"{name} must not be empty")
    return value, xp, kernels


def _free_variables(bounds: Any, x: Any, xp: Any) -> tuple[Any, Any]:
    """Indices of the variables that no bound fixes (None: all), and x with the others fixed."""
    if bounds is None:
        return None, x
    n = x.shape[0]
    if isinstance(bounds, Bounds):
        lb, ub = bounds.lb, bounds.ub
    else:
        try:
            pairs = [tuple(pair) for pair in bounds]
        except TypeError as error:
            raise TypeError(f"bounds must be Bounds or {n} pairs, got {bounds!r:.60}") from error
        if len(pairs) != n or any(len(pair) != 2 for pair in pairs):
            raise ValueError(f"bounds must hold {n} pairs (low, high), got {len(pairs)} entries")
        lb = [-np.inf if low is None else low for low, _ in pairs]
        ub = [np.inf if high is None else high for _, high in pairs]
    try:
        lb, ub = (np.broadcast_to(np.asarray(b, dtype=float), (n,)) for b in (lb, ub))
    except ValueError as error:
        raise ValueError(f"bounds must hold numbers for {n} variables") from error
    if np.isnan(lb).any() or np.isnan(ub).any():
        raise ValueError("bounds must not hold NaN")
    fixed = (lb == ub) & np.isfinite(lb)
    wrong = np.flatnonzero(~fixed & ((lb > -np.inf) | (ub < np.inf)))
    if wrong.size:
        i = int(wrong[0])
        text = "lb > ub" if lb[i] > ub[i] else f"an inequality; {_constraints.ELSEWHERE}"
        raise ValueError(
            f"bounds must be infinite or equal, got {lb[i]:g} and {ub[i]:g} for "
            f"variable {i}: {text}"
        )
    if not fixed.any():
        return None, x
    values = xp.asarray(np.where(fixed, lb, 0.0))
    x = xp.where(xp.asarray(fixed), values, x)
    return xp.asarray(np.flatnonzero(~fixed)), x
