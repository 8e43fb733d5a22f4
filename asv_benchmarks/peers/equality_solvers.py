"""Solvers of problems with equality constraints, each called the same way and counted."""

import time
from dataclasses import asdict, dataclass
from functools import partial
from unittest import mock

import _ipopt
import numpy as np
from scipy.fft import dstn, next_fast_len
from scipy.optimize import minimize

from refopt import augmented_lagrangian
from refopt.augmented_lagrangian.linear_solvers import _eliminated
from refopt.problems import EqualityProblem


@dataclass
class Result:
    """What one solver reached on one problem; accuracy measured here, evaluations counted here."""

    error: float
    fun: float
    nit: int
    seconds: float
    status: str
    f: int
    c: int
    gradients: int
    jacobians: int
    hessians: int
    violation: float

    def solved(self, level=1e-8):
        return self.error <= level


class TimeUp(Exception):
    """A solver went on past its limit."""


class Counted(EqualityProblem):
    """A problem that counts its evaluations and ends a solver that has no limit of its own."""

    def __init__(self, problem, limit=np.inf):
        super().__init__(problem.name, problem.x0, problem.m, f_opt=problem.f_opt)
        self.problem = problem
        self.counts = {"f": 0, "c": 0, "gradients": 0, "jacobians": 0, "hessians": 0}
        self.end = time.process_time() + limit
        self.last = problem.x0

    def _count(self, what):
        self.counts[what] += 1
        if time.process_time() > self.end:
            raise TimeUp

    def fun(self, x):
        self._count("f")
        return self.problem.fun(x)

    def grad(self, x):
        self._count("gradients")
        return self.problem.grad(x)

    def cons(self, x):
        self._count("c")
        return self.problem.cons(x)

    def jac(self, x):
        self._count("jacobians")
        return self.problem.jac(x)

    def hess_fun(self, x):
        return self.problem.hess_fun(x)

    def hess_cons(self, x, v):
        self._count("hessians")
        return self.problem.hess_cons(x, v)


def refopt_solver(problem, tol, limit):
    res = augmented_lagrangian.minimize_equality(
        **problem.arguments(), tol=tol, maxiter=3000, time_limit=limit
    )
    return res.x, f"{res.status}: {res.message}", res.nit


def refopt_factor(problem, tol, limit):
    """Blind to grids: a factor preconditions, as for operators that are no sums of 1-D ones."""
    with mock.patch.object(_eliminated, "separable", return_value=None):
        return refopt_solver(problem, tol, limit)


def refopt_sine(problem, tol, limit):
    """With a preconditioner for elliptic control: two sine transforms in single precision.

    Fast ones where N + 1 has small factors, else products with the matrix of sines.
    """
    control = problem.problem
    N = control.N
    waves = -(2 - 2 * np.cos(np.pi * np.arange(1, N + 1) / (N + 1))) * ((N + 1) / 2) ** 2
    laplacian = waves[:, None] + waves
    if next_fast_len(N + 1) == N + 1:
        transform = partial(dstn, type=1, norm="ortho")
    else:
        k = np.arange(1, N + 1)
        sines = np.sqrt(2 / (N + 1)) * np.sin(np.pi / (N + 1) * np.outer(k, k))
        sines = sines.astype(np.float32)

        def transform(v):
            return sines @ v @ sines

    def precond(x, multipliers, system):
        w = x[: control.m]
        mean = 3 * control.cubic * float(w @ w) / w.size
        inverse = (1 / (1 + control.gamma * (laplacian - mean) ** 2)).astype(np.float32)

        def apply(r):
            return transform(inverse * transform(r.astype(np.float32).reshape(N, N))).ravel()

        return apply

    res = augmented_lagrangian.minimize_equality(
        **problem.arguments(), tol=tol, maxiter=3000, time_limit=limit, precond=precond
    )
    return res.x, f"{res.status}: {res.message}", res.nit


def paper(problem, tol, limit):
    res = augmented_lagrangian.adasketch_newton(**problem.arguments(), time_limit=limit)
    return res.x, f"{res.status}: {res.message}", res.nit


def ipopt(problem, tol, limit):
    x, status, nit = _ipopt.minimize(problem, tol=tol, time_limit=limit)
    return x, str(status), nit


def ipopt_scaled(problem, tol, limit):
    """With IPOPT's own scaling, by gradients at the start."""
    x, status, nit = _ipopt.minimize(
        problem, tol=tol, time_limit=limit, nlp_scaling_method="gradient-based"
    )
    return x, str(status), nit


def slsqp(problem, tol, limit):
    constraint = {"type": "eq", "fun": problem.cons, "jac": problem.jac}
    res = minimize(
        problem.fun, problem.x0, jac=problem.grad, method="SLSQP", constraints=constraint,
        options={"ftol": 1e-13, "maxiter": 1000},
    )  # fmt: skip
    return res.x, f"{res.status}: {res.message}", res.nit


def trust_constr(problem, tol, limit):
    options = {"gtol": tol, "xtol": 1e-15, "maxiter": 3000}
    res = minimize(**problem.arguments(), method="trust-constr", options=options)
    return res.x, f"{res.status}: {res.message}", res.nit


SOLVERS = {
    "refopt": refopt_solver,
    "refopt-sine": refopt_sine,
    "refopt-factor": refopt_factor,
    "paper": paper,
    "ipopt": ipopt,
    "ipopt-scaled": ipopt_scaled,
    "slsqp": slsqp,
    "trust-constr": trust_constr,
}


def solve(solver, problem, tol=1e-9, limit=30.0):
    """Run one solver on one problem."""
    counted = Counted(problem, 1.5 * limit)
    start = time.process_time()
    with np.errstate(all="ignore"):
        try:
            x, status, nit = SOLVERS[solver](counted, tol, limit)
        except Exception as failure:
            x, status, nit = problem.x0, f"{type(failure).__name__}: {failure}", -1
        seconds = time.process_time() - start
        error, fun = problem.error(x), problem.fun(x)
        violation = float(abs(problem.cons(x)).max())
    return Result(error, fun, nit, seconds, status, **counted.counts, violation=violation)


def as_json(result):
    return asdict(result)
