"""Constraint objects of SciPy as functions c with c(x) = 0."""

import copy
import math
from typing import Any

import numpy as np
from scipy.optimize import BFGS, HessianUpdateStrategy, LinearConstraint, NonlinearConstraint

from refopt.augmented_lagrangian._derivatives import SCHEMES, Both, difference, relative_step
from refopt.augmented_lagrangian._operators import is_sparse, matrix, of_shape, restrict, vector

ELSEWHERE = (
    "minimize_equality takes equalities only; scipy.optimize.minimize with method='trust-constr' "
    "takes the rest"
)


def row_bounds(lb: Any, ub: Any, size: int, name: str) -> tuple[Any, Any]:
    """The rows that are equalities, as indices (None: all of them), and their right-hand side.

    Rows without bounds are dropped.
    """
    if type(lb) is type(ub) is float and lb == ub and math.isfinite(lb):
        return None, np.full(size, lb)
    try:
        lb, ub = (np.broadcast_to(np.asarray(b, dtype=float), (size,)) for b in (lb, ub))
    except ValueError as error:
        raise ValueError(
            f"{name}.lb and .ub must be numbers or have shape ({size},), got "
            f"{np.shape(lb)} and {np.shape(ub)}"
        ) from error
    if np.isnan(lb).any() or np.isnan(ub).any():
        raise ValueError(f"{name}.lb and .ub must not hold NaN")
    free = (lb == -math.inf) & (ub == math.inf)
    wrong = np.flatnonzero(~free & ((lb != ub) | np.isinf(lb)))
    if wrong.size:
        i = int(wrong[0])
        text = "lb > ub" if lb[i] > ub[i] else f"an inequality; {ELSEWHERE}"
        raise ValueError(
            f"{name} must have lb == ub in every row, got lb {lb[i]:g} and ub {ub[i]:g} in row "
            f"{i}: {text}"
        )
    rows = None if not free.any() else np.flatnonzero(~free)
    return rows, lb if rows is None else lb[rows]


class Nonlinear:
    """One constraint object: values and Jacobian of its equality rows.

    Attributes
    ----------
    name : str
        As the user knows it.
    size : int
        Number of equality rows.
    rows : array or None
        Their places in the user's function, None if all are.
    whole : int
        Rows of the user's function.
    """

    def __init__(self, name, fun, jac, hess, args, xp, rel_step):
        self.name, self.xp, self.args = name, xp, args
        self._fun, self._jac = fun, jac
        self._rel_step = rel_step
        self._scheme = jac if isinstance(jac, str) else "2-point"
        self._hess = hess
        self.rows = None
        self.nfev = self.njev = self.nhev = 0

    def begin(self, x, lb, ub):
        """Evaluate at the start, which tells the number of rows."""
        raw = self._raw(x)
        if raw.ndim != 1:
            raise ValueError(
                f"{self.name} fun must return a 1-dimensional array, got shape {raw.shape}"
            )
        self.whole = raw.shape[0]
        self.rows, target = row_bounds(lb, ub, self.whole, self.name)
        self._target = self.xp.asarray(target) if target.any() else None
        self.size = target.size
        return self._restricted(raw)

    def _raw(self, x):
        self.nfev += 1
        value = self._fun(x.copy(), *self.args)
        if self._scheme == "cs" and x.dtype == self.xp.complex128:
            value = self.xp.asarray(value, copy=True)
        else:
            value = vector(value, self.xp, f"{self.name} fun")
        return value[None] if value.ndim == 0 else value

    def _restricted(self, raw):
        c = raw if self.rows is None else raw[self.rows]
        return c if self._target is None else c - self._target

    def value(self, x):
        """c(x)."""
        raw = of_shape(self._raw(x), (self.whole,), f"{self.name} fun")
        return raw if self.rows is None and self._target is None else self._restricted(raw)

    def jacobian(self, x, c):
        """Jacobian at x, where c = c(x)."""
        if callable(self._jac):
            self.njev += 1
            J = matrix(self._jac(x.copy(), *self.args), self.xp, f"{self.name} jac")
            of_shape(J, (self.whole, x.shape[0]), f"{self.name} jac")
            return J if self.rows is None else restrict(J, self.rows)
        return difference(self.value, x, c, self.xp, scheme=self._scheme, rel_step=self._rel_step)

    def sharpen(self):
        """Central differences from now on."""
        if self._rel_step is None and self._jac is None:
            self._scheme = "3-point"

    @property
    def differenced(self):
        """Whether differences of functions stand for the Jacobian."""
        return not callable(self._jac)

    @property
    def strategy(self):
        """The quasi-Newton object asked for, or None; SciPy's default, BFGS, asks for nothing."""
        hess = self._hess
        return hess if isinstance(hess, HessianUpdateStrategy) and type(hess) is not BFGS else None

    @property
    def has_hessian(self):
        """Whether second derivatives are known, if only by differences."""
        return callable(self._hess) or isinstance(self._hess, str)

    def hessian(self, x, v):
        """The matrix of second derivatives of v'c."""
        self.nhev += 1
        if self.rows is not None:
            spread = self.xp.zeros(self.whole)
            spread[self.rows] = v
            v = spread
        if callable(self._hess):
            H = matrix(self._hess(x.copy(), v.copy(), *self.args), self.xp, f"{self.name} hess")
            return of_shape(H, 2 * x.shape, f"{self.name} hess")

        def gradient(z):
            self.njev += 1
            return matrix(self._jac(z, *self.args), self.xp).T @ v

        scheme = "2-point" if self._hess == "cs" else self._hess
        D = difference(gradient, x, gradient(x), self.xp, scheme=scheme)
        return (D + D.T) / 2


class Linear:
    """A x - b: its Jacobian is stored once."""

    has_hessian, differenced, strategy = True, False, None
    nfev = njev = nhev = 0

    def __init__(self, name, constraint, n, xp):
        self.name, self.xp = name, xp
        A = matrix(constraint.A, xp)
        if A.shape[1] != n:
            raise ValueError(f"{name}.A must have {n} columns, got shape {A.shape}")
        self.whole = A.shape[0]
        self.rows, b = row_bounds(constraint.lb, constraint.ub, self.whole, name)
        A = A.tocsr() if is_sparse(A) else A
        self._A = A if self.rows is None else A[self.rows]
        _finite(xp, self._A, f"{name}.A")
        self._b = xp.asarray(b)
        self.size = b.size

    def value(self, x):
        """A x - b."""
        return self._A @ x - self._b

    def jacobian(self, x, c):
        """A."""
        return self._A

    def hessian(self, x, v):
        """None, which stands for zero."""
        return None

    def sharpen(self):
        """Nothing to do."""


def _finite(xp, A, name):
    data = A.data if is_sparse(A) else A
    if not bool(xp.all(xp.isfinite(data))):
        raise ValueError(f"{name} must be finite")


def take(constraints: Any, x: Any, xp: Any, rel_step: Any) -> tuple[list, list]:
    """The constraint objects in the forms above, and their values at x.

    Parameters
    ----------
    constraints : dict, constraint object, or sequence of them
        As `scipy.optimize.minimize` takes them.
    x : array
    xp : module
    rel_step : float or None
        For differences.

    Returns
    -------
    list, list of array
    """
    single = isinstance(constraints, dict | LinearConstraint | NonlinearConstraint)
    constraints = () if constraints is None else constraints
    try:
        given = [constraints] if single else list(constraints)
    except TypeError as error:
        raise TypeError(
            "constraints must be a dict, a LinearConstraint, a NonlinearConstraint or a sequence "
            f"of them, got {type(constraints).__name__}"
        ) from error
    taken, values = [], []
    for number, constraint in enumerate(given):
        name = "constraints" if single else f"constraints[{number}]"
        piece, c = _one(constraint, name, x, xp, rel_step)
        taken.append(piece)
        values.append(c)
    return taken, values


def _one(constraint, name, x, xp, rel_step):
    if isinstance(constraint, LinearConstraint):
        piece = Linear(name, constraint, x.shape[0], xp)
        return piece, piece.value(x)
    if isinstance(constraint, NonlinearConstraint):
        jac, hess, args = constraint.jac, constraint.hess, ()
        step = constraint.finite_diff_rel_step
        step = relative_step(step, x.shape[0], xp, f"{name}.finite_diff_rel_step")
        rel_step = rel_step if step is None else step
        fun, lb, ub = constraint.fun, constraint.lb, constraint.ub
    elif isinstance(constraint, dict):
        kind = constraint.get("type")
        if kind != "eq":
            text = f": an inequality; {ELSEWHERE}" if kind == "ineq" else ""
            raise ValueError(f"{name}['type'] must be 'eq', got {kind!r}{text}")
        fun, jac, hess, lb, ub = constraint.get("fun"), constraint.get("jac"), None, 0.0, 0.0
        args = constraint.get("args", ())
        args = args if isinstance(args, tuple) else (args,)
    else:
        raise TypeError(
            f"{name} must be a dict, a LinearConstraint or a NonlinearConstraint, got "
            f"{type(constraint).__name__}"
        )
    if not callable(fun):
        raise TypeError(f"{name} fun must be callable, got {type(fun).__name__}")
    if jac is True:
        both = Both(fun)
        fun, jac = both.value, both.derivative
    if not (
        callable(jac) or jac is None or jac is False or (isinstance(jac, str) and jac in SCHEMES)
    ):
        raise ValueError(
            f"{name} jac must be callable, True, None or one of {SCHEMES}, got {jac!r}"
        )
    if isinstance(hess, HessianUpdateStrategy):
        hess = copy.deepcopy(hess)
    elif not (callable(hess) or hess is None or (isinstance(hess, str) and hess in SCHEMES)):
        raise ValueError(f"{name} hess must be callable or one of {SCHEMES}, got {hess!r}")
    if isinstance(hess, str) and not callable(jac):
        raise ValueError(f"{name} hess={hess!r} needs a callable jac")
    jac = jac if jac is not False else None
    piece = Nonlinear(name, fun, jac, hess, args, xp, rel_step)
    return piece, piece.begin(x, lb, ub)
