"""IPOPT through ctypes, from the shared library in casadi's wheel.

casadi's own interface wants symbolic expressions; the C interface of IPOPT takes
the same Python callables as every other solver of the comparison.
"""

import ctypes
import functools
import importlib.util
from ctypes import CFUNCTYPE, POINTER, byref, c_bool, c_char_p, c_double, c_int, c_void_p
from pathlib import Path

import numpy as np
from scipy import sparse

INFINITY = 2e19
REALS, INTS = POINTER(c_double), POINTER(c_int)
EVAL_F = CFUNCTYPE(c_bool, c_int, REALS, c_bool, REALS, c_void_p)
EVAL_GRAD = EVAL_F
EVAL_C = CFUNCTYPE(c_bool, c_int, REALS, c_bool, c_int, REALS, c_void_p)
EVAL_JAC = CFUNCTYPE(c_bool, c_int, REALS, c_bool, c_int, c_int, INTS, INTS, REALS, c_void_p)
EVAL_HESS = CFUNCTYPE(
    c_bool, c_int, REALS, c_bool, c_double, c_int, REALS, c_bool, c_int, INTS, INTS, REALS,
    c_void_p,
)  # fmt: skip
INTERMEDIATE = CFUNCTYPE(c_bool, c_int, c_int, *[c_double] * 8, c_int, c_void_p)


@functools.cache
def library():
    """The loaded library; ImportError without casadi."""
    found = importlib.util.find_spec("casadi")
    if found is None:
        raise ImportError("IPOPT comes with the package casadi, which is not here")
    path = next(Path(found.submodule_search_locations[0]).glob("libipopt.so*"))
    ipopt = ctypes.CDLL(str(path))
    ipopt.CreateIpoptProblem.restype = c_void_p
    ipopt.CreateIpoptProblem.argtypes = [
        c_int, REALS, REALS, c_int, REALS, REALS, c_int, c_int, c_int,
        EVAL_F, EVAL_C, EVAL_GRAD, EVAL_JAC, EVAL_HESS,
    ]  # fmt: skip
    ipopt.FreeIpoptProblem.argtypes = [c_void_p]
    ipopt.AddIpoptStrOption.argtypes = [c_void_p, c_char_p, c_char_p]
    ipopt.AddIpoptNumOption.argtypes = [c_void_p, c_char_p, c_double]
    ipopt.AddIpoptIntOption.argtypes = [c_void_p, c_char_p, c_int]
    ipopt.SetIntermediateCallback.argtypes = [c_void_p, INTERMEDIATE]
    ipopt.IpoptSolve.restype = c_int
    ipopt.IpoptSolve.argtypes = [c_void_p, *[REALS] * 6, c_void_p]
    return ipopt


def version():
    """IPOPT's version."""
    parts = [c_int() for _ in range(3)]
    library().GetIpoptVersion(*map(byref, parts))
    return ".".join(str(part.value) for part in parts)


def minimize(problem, tol=1e-9, maxiter=3000, time_limit=30.0, **options):
    """Solve an equality problem; returns ``(x, status, nit)``.

    Other options go to IPOPT by their names. A status of 0 is success.
    """
    ipopt = library()
    n, m = problem.n, problem.m
    jacobian, hessian = _Pattern(problem.jac, problem.x0), _LowerPattern(problem)
    nit = [0]

    def wrapped(function):
        def call(*args):
            try:
                with np.errstate(all="ignore"):
                    return function(*args) is not False
            except (ArithmeticError, ValueError):
                return False

        return call

    def f(_n, x, _new, value, _data):
        value[0] = problem.fun(_array(x, n))

    def gradient(_n, x, _new, out, _data):
        _array(out, n)[:] = problem.grad(_array(x, n))

    def constraints(_n, x, _new, _m, out, _data):
        _array(out, m)[:] = problem.cons(_array(x, n))

    def jac(_n, x, _new, _m, nnz, rows, columns, values, _data):
        if values:
            _array(values, nnz)[:] = jacobian.values(problem.jac(_array(x, n)))
        else:
            _array(rows, nnz, np.int32)[:] = jacobian.rows
            _array(columns, nnz, np.int32)[:] = jacobian.columns

    def hess(_n, x, _new, factor, _m, l, _new_l, nnz, rows, columns, values, _data):
        if values:
            point, multipliers = _array(x, n), _array(l, m)
            _array(values, nnz)[:] = hessian.values(point, factor, multipliers)
        else:
            _array(rows, nnz, np.int32)[:] = hessian.rows
            _array(columns, nnz, np.int32)[:] = hessian.columns

    def intermediate(_mode, count, *_rest):
        nit[0] = count
        return True

    callbacks = (
        EVAL_F(wrapped(f)), EVAL_C(wrapped(constraints)), EVAL_GRAD(wrapped(gradient)),
        EVAL_JAC(wrapped(jac)), EVAL_HESS(wrapped(hess)),
    )  # fmt: skip
    each_iteration = INTERMEDIATE(intermediate)
    free, zero = np.full(n, INFINITY), np.zeros(m)
    handle = ipopt.CreateIpoptProblem(
        n, _pointer(-free), _pointer(free), m, _pointer(zero), _pointer(zero),
        jacobian.rows.size, hessian.rows.size, 0, *callbacks,
    )  # fmt: skip
    try:
        given = {
            "nlp_scaling_method": "none", "sb": "yes", "print_level": 0,
            "tol": tol, "constr_viol_tol": tol, "dual_inf_tol": tol, "acceptable_tol": tol,
            "max_cpu_time": float(time_limit), "max_iter": maxiter,
        } | options  # fmt: skip
        for name, value in given.items():
            _set(ipopt, handle, name, value)
        ipopt.SetIntermediateCallback(handle, each_iteration)
        x = problem.x0.copy()
        status = ipopt.IpoptSolve(handle, _pointer(x), None, None, None, None, None, None)
    finally:
        ipopt.FreeIpoptProblem(handle)
    return x, status, nit[0]


def _set(ipopt, handle, name, value):
    kind = {str: "Str", float: "Num", int: "Int"}[type(value)]
    value = value.encode() if isinstance(value, str) else value
    assert getattr(ipopt, f"AddIpopt{kind}Option")(handle, name.encode(), value), name


def _array(pointer, size, dtype=np.float64):
    """The memory behind a pointer as an array."""
    if not size:
        return np.empty(0, dtype)
    return np.ctypeslib.as_array(pointer, shape=(size,))


def _pointer(array):
    return array.ctypes.data_as(REALS)


class _Pattern:
    """The places of a matrix: all of a dense one, those stored of a sparse one."""

    def __init__(self, function, x):
        with np.errstate(all="ignore"):
            matrix = function(x)
        self.sparse = sparse.issparse(matrix)
        if self.sparse:
            places = sparse.coo_array(matrix)
            self.rows, self.columns = places.coords
        else:
            self.rows, self.columns = map(np.ravel, np.indices(matrix.shape))

    def values(self, matrix):
        return sparse.coo_array(matrix).data if self.sparse else matrix.ravel()


class _LowerPattern:
    """The lower triangle of the Lagrangian's Hessian; sparse Hessians keep their pattern."""

    def __init__(self, problem):
        self.problem = problem
        rng = np.random.default_rng(0)
        matrix = self._matrix(problem.x0 + rng.random(problem.n), 1.0, rng.random(problem.m))
        self.sparse = sparse.issparse(matrix)
        if self.sparse:
            lower = sparse.coo_array(sparse.tril(matrix))
            self.rows, self.columns = lower.coords
        else:
            self.rows, self.columns = np.tril_indices(problem.n)

    def _matrix(self, x, factor, l):
        with np.errstate(all="ignore"):
            return factor * self.problem.hess_fun(x) + self.problem.hess_cons(x, l)

    def values(self, x, factor, l):
        matrix = self._matrix(x, factor, l)
        if not self.sparse:
            return matrix[self.rows, self.columns]
        lower = sparse.coo_array(sparse.tril(matrix))
        if lower.nnz != self.rows.size:
            raise ValueError("the Hessian's pattern changed")
        return lower.data
