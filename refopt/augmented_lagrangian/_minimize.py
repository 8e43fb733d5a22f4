"""`minimize_equality` as users call it."""

import inspect
import math

from refopt import _rng, _validate
from refopt.augmented_lagrangian._intake import take_problem, take_vector, warn_of_unknown
from refopt.augmented_lagrangian._newton import Newton
from refopt.augmented_lagrangian._paper import adasketch_newton, theta_rule
from refopt.augmented_lagrangian._result import finish, run
from refopt.augmented_lagrangian.linear_solvers import choose
from refopt.augmented_lagrangian.linear_solvers._sketched import KINDS
from refopt_backends import resolve

_SINGLE = 1e-5  # the least tolerance for single precision


def minimize_equality(
    fun, x0, args=(), *, jac=None, hess=None, hessp=None, constraints=(), bounds=None,
    tol=1e-8, maxiter=200, time_limit=None, callback=None, disp=False, rng=None,
    backend=None, preset=None, lin_solver="auto", precond=None, eta1=1.0, eta2=0.1, nu=1.5,
    beta=1e-4, theta=None, multipliers0="lsq", finite_diff_rel_step=None, **unknown,
):  # fmt: skip
    r"""Minimise a smooth function subject to nonlinear equalities.

    .. math:: \min_x f(x) \quad\text{subject to}\quad c(x) = 0, \qquad L(x, l) = f(x) + l'c(x)

    with f and c twice differentiable, convex or not, and at most as many equations as
    variables. Newton's method on the KKT conditions; steps are taken for the exact augmented
    Lagrangian

    .. math:: M(x, l) = L(x, l) + \tfrac{\eta_1}{2}\|c\|^2
        + \tfrac{\eta_2}{2}\|\nabla_x L\|^2

    or a filter. Stops when

    .. math:: \max\Bigl(\frac{\|\nabla f + G'l\|_\infty}{\max(1, \|\nabla f\|_\infty)},
        \|c\|_\infty\Bigr) \le \mathrm{tol}, \qquad G = \partial c / \partial x .

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns f(x), with ``jac=True`` also its gradient.
    x0 : array_like, shape (n,)
        Start, which need not be feasible.
    args : tuple, optional
        Further arguments of `fun`, `jac`, `hess` and `hessp`.
    jac : callable, True or {"2-point", "3-point", "cs"}, optional
        ``jac(x, *args)``, the gradient, shape (n,). Differences by default: forward ones,
        central ones near the solution.
    hess : callable, HessianUpdateStrategy or {"2-point", "3-point", "cs"}, optional
        ``hess(x, *args)``, the Hessian of f: array, sparse matrix or LinearOperator, shape
        (n, n). By default a matrix of symmetric rank-one updates stands for the second derivatives
        that are not given; a damped BFGS matrix for all of them where that has the wrong inertia.
    hessp : callable, optional
        ``hessp(x, p, *args)``, the product of the Hessian of f with p.
    constraints : dict, NonlinearConstraint, LinearConstraint or sequence of them, optional
        As of `scipy.optimize.minimize`: dicts of type "eq"; constraint objects with lb equal to
        ub, where rows without bounds are dropped. Jacobians may be sparse or operators.
    bounds : Bounds or sequence of pairs, optional
        Equal bounds fix a variable, which is eliminated; others must be infinite.
    tol : float, optional
        See above; at least 1e-5 in single precision.
    maxiter : int, optional
        Largest number of iterations, each with one second derivative and one factorisation.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, fun, nit, nfev, njev, multipliers,
        optimality, constr_violation. StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    rng : optional
        Seed or generator, for sketches.
    backend : str, optional
        "numpy", "numba", "cupy"; by default what `x0` asks for. On CuPy arrays `fun` and
        the others receive and return CuPy arrays, and sparse matrices of ``cupyx``. Sparse
        factors are made on the host there, as ``cupyx`` does; operators as Jacobians of several
        constraints are not offered.
    preset : {"paper"}, optional
        Call `adasketch_newton`, whose options go into `unknown`; options that are given win over
        its defaults.
    lin_solver : str or callable, optional
        Who solves the Newton systems: "direct", "pcg", "minres", "sketched" (conjugate gradients
        with a Hessian of few rows drawn at random as preconditioner, where `hess` returns an
        operator ``rows' diag(weights) rows`` with these two attributes), a sketch of
        `sketch_project`, or ``lin_solver(system, rhs, tol, state)`` which returns d and a
        ``linear_solvers.SolveInfo`` or anything else: the residual is computed here.
        "auto" chooses by sizes and sparsity; it keeps a sparse factor as preconditioner of the
        next systems, where "direct" makes a new one for each.
    precond : LinearOperator or callable, optional
        Preconditioner r -> z of iterative solvers; or ``precond(x, l, system)``, which makes
        one in every iteration for the system "reduced", "projected" or "kkt".
    eta1, eta2 : float, optional
        First penalties of M. They adapt: `eta1` grows, `eta2` falls.
    nu : float, optional
        By which factor, above 1.
    beta : float, optional
        Constant of Armijo's condition, in (0, 0.5).
    theta : float, callable or "superlinear", optional
        Bound on the relative residual of iterative solves: a number in (0, 1],
        ``theta(k, residual)``, or min(1, residual); 0.5 stands for more. By default
        :math:`\min(0.1, \sqrt{\|r\|})` with the KKT residual r, or as much as the step before has
        reduced r to, by the power 1.8; not below what ends the run, nor 1e-10.
    multipliers0 : {"lsq", "zeros"} or array_like, shape (m,), optional
        Multipliers at the start.
    finite_diff_rel_step : float or array_like, optional
        Relative step of differences.
    **unknown : dict
        Options of other methods of `scipy.optimize.minimize`: ignored with a warning.

    Returns
    -------
    OptimizeResult
        Among others x, fun, jac, success, status, message, nit, nfev, njev, nhev, ncev,
        ncjev; ``multipliers`` (m,) and the same as ``v``, a list with one array per
        constraint object, as ``constr`` with the values; ``optimality`` and
        ``constr_violation``, the two parts of the measure; ``lagrangian_grad``;
        ``reduced_hessian_min``, the least eigenvalue of the Hessian of L on the null space
        of G where that is cheap and second derivatives are given, else None: negative at a
        saddle point.
        ``history``: time, fun, error, optimality, constr_violation, kkt, alpha, eta1,
        eta2, shift, inner_iters, inner_relres. Of all iterates the best one is returned.
        Status 0: the stopping test holds at x; 1 maxiter; 2 callback; 3 no further progress
        because of rounding; 4 a function is not finite at `x0`, or second
        derivatives are not; 5 infeasible (the
        constraint violation is stationary) or unbounded; 6 time limit; 7 no step found;
        8 singular constraint Jacobian.

    Raises
    ------
    ValueError
        Inequalities (the row or variable is named), more equations than variables,
        derivatives of another shape, options out of range, `x0` not finite.
    TypeError
        Arguments of another kind, complex numbers, arrays of different libraries.

    Notes
    -----
    An iteration costs a Hessian of L, a Jacobian, a gradient, a factorisation of a symmetric
    matrix of n + m rows (dense: (n + m)^3 / 3 multiplications), and some values of f and c;
    trial points that are rejected cost no derivatives. Memory: that matrix, ten vectors.
    Problems of up to 200 variables and constraints are solved as dense ones, whatever the
    form of their derivatives.

    Only first-order conditions are guaranteed. Inequalities: IPOPT, or "trust-constr".

    References
    ----------
    .. [1] I. Hong, S. Na, M. W. Mahoney, M. Kolar, "Constrained Optimization via Exact
       Augmented Lagrangian and Randomized Iterative Sketching", ICML 2023, Algorithm 1.
    .. [2] A. Wächter, L. T. Biegler, "Line Search Filter Methods for Nonlinear Programming:
       Motivation and Global Convergence", SIAM J. Optim. 16 (2005).

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> circle = {"type": "eq", "fun": lambda x: x @ x - 1, "jac": lambda x: 2 * x}
    >>> res = refopt.minimize_equality(lambda x: x[0] + x[1], [1.0, 0.0], constraints=circle)
    >>> res.success, res.x.round(6), res.multipliers.round(6)
    (True, array([-0.707107, -0.707107]), array([0.707107]))
    """
    if preset is not None:
        _validate.choice(preset, "preset", ("paper",))
        given = {
            "tol": tol, "maxiter": maxiter, "lin_solver": lin_solver, "eta1": eta1, "eta2": eta2,
            "nu": nu, "beta": beta, "theta": theta, "multipliers0": multipliers0,
        }  # fmt: skip
        defaults = inspect.signature(minimize_equality).parameters
        given = {key: value for key, value in given.items() if value is not defaults[key].default}
        return adasketch_newton(
            fun, x0, args, jac=jac, hess=hess, hessp=hessp, constraints=constraints, bounds=bounds,
            time_limit=time_limit, callback=callback, disp=disp, rng=rng, backend=backend,
            finite_diff_rel_step=finite_diff_rel_step, **given, **unknown,
        )  # fmt: skip
    warn_of_unknown(unknown)
    problem, backend = take_problem(
        fun, x0, args, jac=jac, hess=hess, hessp=hessp, constraints=constraints, bounds=bounds,
        finite_diff_rel_step=finite_diff_rel_step, backend=backend,
    )  # fmt: skip
    tol = _validate.nonnegative(tol, "tol")
    maxiter = _validate.count(maxiter, "maxiter")
    detail = ""
    if problem.single and tol < _SINGLE:
        tol, detail = _SINGLE, "In single precision tol is 1e-5 at least."
    kernels = resolve(problem.x0, backend=backend)[1]
    draws = rng is not None or lin_solver in KINDS  # a generator costs ten small factorisations
    rng = _rng.generator(rng) if draws else None
    solve = choose(lin_solver, precond, kernels=kernels, rng=rng)
    newton = Newton(
        problem, solve, tol=tol, nu=_above_one(nu),
        eta1=_validate.positive(eta1, "eta1"), eta2=_validate.positive(eta2, "eta2"),
        beta=_fraction(beta, "beta", 0.5), theta=forcing(theta),
        multipliers=start_multipliers(problem, multipliers0),
    )  # fmt: skip
    outcome = run(
        problem, newton.iterates(), tol=tol, maxiter=maxiter, callback=callback, disp=disp,
        time_limit=time_limit,
    )  # fmt: skip
    return finish(problem, outcome, newton, tol=tol, backend=backend, detail=detail)


def forcing(theta):
    """``theta`` as a function of the iteration and ``|r|``, None for the default."""
    return None if theta is None else theta_rule(theta)


def start_multipliers(problem, given):
    """An array, or None for least squares."""
    if isinstance(given, str):
        _validate.choice(given, "multipliers0", ("lsq", "zeros"))
        return None if given == "lsq" else problem.xp.zeros(problem.m)
    l, *_ = take_vector(given, "multipliers0")
    if l.shape[0] != problem.m:
        raise ValueError(f"multipliers0 must have shape ({problem.m},), got {tuple(l.shape)}")
    return problem.xp.astype(l, problem.xp.float64, copy=True)


def _above_one(nu):
    number = _validate.real_number(nu, "nu")
    if not 1.0 < number < math.inf:
        raise ValueError(f"nu must be above 1, got {nu!r}")
    return number


def _fraction(value, name, below):
    number = _validate.real_number(value, name)
    if not 0.0 < number < below:
        raise ValueError(f"{name} must be in (0, {below:g}), got {value!r}")
    return number
