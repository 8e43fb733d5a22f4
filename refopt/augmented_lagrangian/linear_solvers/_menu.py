"""Which solver a system goes to."""

import inspect
from dataclasses import replace
from typing import Any

import numpy as np

from refopt import _validate
from refopt.augmented_lagrangian._operators import (
    dense,
    is_operator,
    is_sparse,
    of_shape,
    vector,
)
from refopt.augmented_lagrangian.linear_solvers._direct import direct
from refopt.augmented_lagrangian.linear_solvers._eliminated import Eliminated
from refopt.augmented_lagrangian.linear_solvers._minres import minres
from refopt.augmented_lagrangian.linear_solvers._projected import projected
from refopt.augmented_lagrangian.linear_solvers._row_sketch import RowSketch, has_rows
from refopt.augmented_lagrangian.linear_solvers._sketched import KINDS, Sketched
from refopt.augmented_lagrangian.linear_solvers._sparse import FrozenFactor, sparse_direct
from refopt.augmented_lagrangian.linear_solvers._system import KKTSystem, SolveInfo

PRECONDITIONED = ("auto", "pcg", "minres")
NAMES = (*PRECONDITIONED, "direct", "sketched")
MOST = 100_000  # sketch steps
DENSE = 3000  # variables and constraints up to which a whole matrix is stored


def choose(
    lin_solver: Any, precond: Any = None, *, kernels: Any = None, rng: Any = None,
    maxiter_inner: int | None = None,
) -> Any:  # fmt: skip
    """The solver for a name, or the user's function.

    The kernels, the generator and the limit are for sketches.

    Raises
    ------
    ValueError, TypeError
        Unknown name, or a preconditioner that cannot be applied or goes with no solver.
    """
    if callable(lin_solver):
        return Checked(lin_solver)
    _validate.choice(lin_solver, "lin_solver", (*NAMES, *KINDS))
    if precond is not None and not (callable(precond) or is_operator(precond)):
        raise TypeError(
            f"precond must be a LinearOperator or callable, got {type(precond).__name__}"
        )
    if precond is not None and lin_solver not in PRECONDITIONED:
        raise ValueError(
            f"precond must be None with lin_solver={lin_solver!r}, which has no use for it"
        )
    if lin_solver in KINDS:
        return Sketched(lin_solver, kernels, rng, MOST if maxiter_inner is None else maxiter_inner)
    return Menu(lin_solver, None if precond is None else Preconditioner(precond), rng)


class Checked:
    """The user's solver, of which the residual is computed here and not believed."""

    def __init__(self, given):
        self._given = given
        self._name = getattr(given, "__name__", type(given).__name__)

    def __call__(
        self, system: KKTSystem, rhs: Any, tol: float, state: dict
    ) -> tuple[Any, SolveInfo]:
        """Solve, and note the solver's name in the state."""
        d, info = self._given(system, rhs, tol, state)
        d = system.xp.asarray(d)
        if d.shape != rhs.shape:
            raise ValueError(f"lin_solver must return shape {rhs.shape}, got {tuple(d.shape)}")
        state["lin_solver"] = self._name
        relres, Kd = system.tested(d, rhs)
        info = info if isinstance(info, SolveInfo) else SolveInfo(relres)
        return d, replace(info, relres=relres, product=Kd)


class Preconditioner:
    """The user's preconditioner: a constant one, or one for each Newton iteration."""

    def __init__(self, given):
        self._given = given
        self._at: Any = None
        self._present: Any = None
        self._factory = not is_operator(given) and _parameters(given) >= 3

    def at(self, state: dict, kind: str, size: int, xp: Any) -> Any:
        """A function r -> z for systems of one kind at the present point."""
        if not self._factory:
            return _applied(self._given, size, xp)
        point = state.get("point")
        if point is None:  # before the first Newton step
            return None
        if self._at is None or self._at is not point:
            self._present = self._given(point.x.copy(), point.l.copy(), kind)
            self._at = point
        return _applied(self._present, size, xp)


def _parameters(function):
    try:
        return len(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return 1


def _applied(given, size, xp):
    """The user's function or operator, which may write into what it gets."""
    if is_operator(given):
        if tuple(given.shape) != (size, size):
            raise ValueError(f"precond must have shape {(size, size)}, got {tuple(given.shape)}")
        given = given.matvec

    def apply(r):
        return of_shape(vector(given(r.copy()), xp, "precond"), (size,), "precond")

    return apply


class Menu:
    """A solver that looks at the system: ``solve(system, rhs, tol, state) -> d, info``."""

    def __init__(self, name: str, precond: Any, rng: Any = None):
        self._name, self._precond = name, precond
        self._plain = name in ("auto", "direct") and precond is None
        self._eliminated, self._frozen, self._rows = Eliminated(), FrozenFactor(), RowSketch(rng)

    def __call__(
        self, system: KKTSystem, rhs: Any, tol: float, state: dict
    ) -> tuple[Any, SolveInfo]:
        """Solve, and note the solver's name in the state."""
        d, info, name = self._solve(system, rhs, tol, state)
        state["lin_solver"] = name
        return d, info

    def _solve(self, system, rhs, tol, state):
        H, G = system.H, system.G
        size = system.n + system.m
        if type(H) is type(G) is np.ndarray and size <= DENSE and self._plain:
            return (*direct(system, rhs, tol, state), "direct")
        if self._name == "sketched" and (not has_rows(H) or is_sparse(G) or is_operator(G)):
            raise ValueError(
                "lin_solver='sketched' needs a hess that returns an operator with rows and "
                "weights, and dense Jacobians"
            )
        iterative = self._name in ("pcg", "minres") or self._precond is not None
        matrices = not (is_operator(H) or is_operator(G))
        if self._name == "minres":
            return (
                *minres(system, rhs, tol, state, self._user(state, "kkt", size, system.xp)),
                "minres",
            )
        if matrices and (is_sparse(H) or is_sparse(G)) and self._name != "direct":
            reduced = self._eliminated.reduce(system, state)
            if reduced is not None:
                user = self._user(state, "reduced", reduced.size, system.xp)
                d, info = self._eliminated.solve(system, reduced, rhs, tol, user)
                return d, info, f"eliminated, {self._eliminated.preconditioner(user)}"
        if matrices and not iterative:
            if not (is_sparse(H) and is_sparse(G)) and size <= DENSE:
                return (*direct(_dense(system), rhs, tol, state), "direct")
            if is_sparse(H) or is_sparse(G):
                if self._name == "direct":
                    return (*sparse_direct(system, rhs, tol, state), "sparse direct")
                solved = self._frozen.solve(system, rhs, tol, state)
                return (*solved, "frozen sparse factor" if self._frozen.reused else "sparse direct")
            return (*direct(system, rhs, tol, state), "direct")
        if self._name == "direct":
            return (*direct(_dense(system), rhs, tol, state), "direct")
        if is_operator(G) or is_sparse(G):
            return (
                *minres(system, rhs, tol, state, self._user(state, "kkt", size, system.xp)),
                "minres",
            )
        if has_rows(H) and self._precond is None and self._name != "pcg":
            return (*self._rows.solve(system, rhs, tol, state), "projected cg, sketched rows")
        user = self._user(state, "projected", system.n, system.xp)
        return (*projected(system, rhs, tol, state, user), "projected cg")

    def _user(self, state, kind, size, xp):
        return None if self._precond is None else self._precond.at(state, kind, size, xp)


def _dense(system):
    H, G = dense(system.H, system.xp), dense(system.G, system.xp)
    if H is system.H and G is system.G:
        return system
    return KKTSystem(H, G, system.xp, system.shift, system.dc)
