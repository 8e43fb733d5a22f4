"""`minimize_equality` as users call it."""

from refopt import _validate
from refopt.augmented_lagrangian._intake import take_problem
from refopt.augmented_lagrangian._newton import Newton
from refopt.augmented_lagrangian._result import finish, run
from refopt.augmented_lagrangian.linear_solvers import choose


def minimize_equality(
    fun, x0, args=(), *, jac=None, hess=None, hessp=None, constraints=(), bounds=None,
    tol=1e-8, maxiter=200, time_limit=None, callback=None, disp=False, rng=None, backend=None,
    preset=None, lin_solver="auto", precond=None, accuracy="checked", eta1=1.0, eta2=0.1, nu=1.5,
    beta=1e-4, delta=0.1, theta=None, xi_B=0.1, multipliers0="lsq", hessian_shift="inertia",
    maxiter_inner=None, finite_diff_rel_step=None, return_all=False,
):  # fmt: skip
    """Minimise a smooth function subject to equalities."""
    problem, backend = take_problem(
        fun, x0, args, jac=jac, hess=hess, hessp=hessp, constraints=constraints, bounds=bounds,
        finite_diff_rel_step=finite_diff_rel_step, backend=backend,
    )  # fmt: skip
    tol = _validate.nonnegative(tol, "tol")
    maxiter = _validate.count(maxiter, "maxiter")
    solve = choose(lin_solver, precond)
    newton = Newton(problem, solve, eta1=eta1, eta2=eta2, nu=nu, beta=beta, tol=tol)
    outcome = run(
        problem, newton.iterates(), tol=tol, maxiter=maxiter, callback=callback, disp=disp,
        time_limit=time_limit,
    )  # fmt: skip
    return finish(problem, outcome, newton, tol=tol, backend=backend, dtype=problem.x0.dtype)
