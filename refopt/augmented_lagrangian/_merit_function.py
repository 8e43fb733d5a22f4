"""The exact augmented Lagrangian as users call it."""

from typing import Any

from refopt import _validate
from refopt.augmented_lagrangian._intake import take_problem, take_vector
from refopt.augmented_lagrangian._merit import merit, merit_gradient
from refopt.augmented_lagrangian._point import Point, evaluate


class ExactAugmentedLagrangian:
    """M(x, l), as `exact_augmented_lagrangian` makes it."""

    def __init__(self, fun, constraints, options):
        self._given = (fun, {"constraints": constraints} | options)
        self._problem: Any = None

    def value(self, x, l, eta1=1.0, eta2=0.1):
        """Evaluate M.

        Parameters
        ----------
        x : array_like, shape (n,)
            Variables.
        l : array_like, shape (m,)
            Multipliers.
        eta1, eta2 : float
            Penalties.

        Returns
        -------
        float
            M(x, l), NaN where a function is.
        """
        return merit(self._point(x, l), *_penalties(eta1, eta2))

    def grad(self, x, l, eta1=1.0, eta2=0.1):
        """Evaluate the gradient of M.

        Parameters
        ----------
        x : array_like, shape (n,)
            Variables.
        l : array_like, shape (m,)
            Multipliers.
        eta1, eta2 : float
            Penalties.

        Returns
        -------
        array, shape (n,)
            In x.
        array, shape (m,)
            In l.

        Raises
        ------
        ValueError
            Second derivatives were not given.
        """
        point = self._point(x, l)
        if self._problem.quasi_newton:
            raise ValueError("hess must be given, of fun and of each constraint, for a gradient")
        H = self._problem.hessian(point.x, point.l)
        return merit_gradient(point, H, *_penalties(eta1, eta2))

    def _point(self, x, l) -> Point:
        fun, options = self._given
        if self._problem is None:
            self._problem, _ = take_problem(fun, x, name="x", **options)
        problem, xp = self._problem, self._problem.xp
        x, l = self._vector(x, "x", problem.n), self._vector(l, "l", problem.m)
        return evaluate(problem, xp.astype(x, xp.float64), xp.astype(l, xp.float64))

    def _vector(self, v, name, size):
        if not size:
            return self._problem.xp.zeros(0)
        v, *_ = take_vector(v, name)
        if v.shape[0] != size:
            raise ValueError(f"{name} must have shape ({size},), got {tuple(v.shape)}")
        return v


def _penalties(eta1, eta2):
    return _validate.nonnegative(eta1, "eta1"), _validate.nonnegative(eta2, "eta2")


def exact_augmented_lagrangian(
    fun, constraints=(), *, args=(), jac=None, hess=None, hessp=None, finite_diff_rel_step=None,
    backend=None,
):  # fmt: skip
    r"""Make the exact augmented Lagrangian of a problem with equalities.

    .. math:: M(x, l) = f + l'c + \tfrac{\eta_1}{2}\|c\|^2 + \tfrac{\eta_2}{2}\|g_L\|^2,
        \qquad g_L = \nabla f + G'l

    with the gradient

    .. math:: \nabla_x M = g_L + \eta_2 H g_L + \eta_1 G'c, \qquad
        \nabla_l M = c + \eta_2 G g_L,

    H the Hessian of the Lagrangian :math:`f + l'c`, not of f alone. For large
    :math:`\eta_1` and small :math:`\eta_2` its stationary points are KKT points.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)``.
    constraints : dict, NonlinearConstraint, LinearConstraint or sequence of them, optional
        As of `minimize_equality`.
    args : tuple, optional
        Further arguments of `fun`, `jac`, `hess` and `hessp`.
    jac, hess, hessp : callable or str, optional
        Derivatives of `fun`, as of `minimize_equality`. The gradient of M needs second ones.
    finite_diff_rel_step : float, optional
        Relative step of differences.
    backend : str, optional
        As of `minimize_equality`.

    Returns
    -------
    ExactAugmentedLagrangian
        With ``value(x, l, eta1, eta2)``, a float, and ``grad(x, l, eta1, eta2)``, a pair of
        arrays. The value costs f, c and their first derivatives; the gradient one product of
        H and two of G besides.

    Raises
    ------
    ValueError, TypeError
        As `minimize_equality`, at the first call, when the number of variables is known.

    References
    ----------
    .. [1] I. Hong, S. Na, M. W. Mahoney, M. Kolar, "Constrained Optimization via Exact
       Augmented Lagrangian and Randomized Iterative Sketching", ICML 2023.

    Examples
    --------
    >>> import refopt
    >>> from refopt.problems import textbook_equality
    >>> problem = textbook_equality("HS7")
    >>> arguments = problem.arguments()
    >>> _ = arguments.pop("x0")
    >>> M = refopt.exact_augmented_lagrangian(**arguments)
    >>> gx, gl = M.grad(problem.x_opt, problem.multipliers)
    >>> bool(abs(gx).max() < 1e-12), bool(abs(gl).max() < 1e-12)
    (True, True)
    """
    options = {
        "args": args, "jac": jac, "hess": hess, "hessp": hessp,
        "finite_diff_rel_step": finite_diff_rel_step, "backend": backend,
    }  # fmt: skip
    return ExactAugmentedLagrangian(fun, constraints, options)
