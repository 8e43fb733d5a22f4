"""AdaSketch-Newton as its authors run it."""

import math
from typing import Any

from refopt import _rng, _status, _validate
from refopt._driver import Iterate
from refopt.augmented_lagrangian._intake import take_problem, warn_of_unknown
from refopt.augmented_lagrangian._merit import Direction, merit
from refopt.augmented_lagrangian._operators import dense
from refopt.augmented_lagrangian._point import Point, evaluate
from refopt.augmented_lagrangian._result import finish, run
from refopt.augmented_lagrangian._sketches import SAMPLINGS
from refopt.augmented_lagrangian.linear_solvers import _sketched
from refopt_backends import resolve

LICQ = 1e-2  # smallest eigenvalue of G G'
DEFINITE = 1e-6  # smallest eigenvalue of the reduced Hessian
LEAST_DELTA = 1e-6
CAPS = 1e8, 1e-8  # penalties beyond which a direction is taken as it is
SHORTEST = 1e-14


def adasketch_newton(
    fun, x0, args=(), *, jac=None, hess=None, hessp=None, constraints=(), bounds=None, tol=1e-4,
    maxiter=10_000, time_limit=None, callback=None, disp=False, rng=None, backend=None,
    lin_solver="kaczmarz", sampling="uniform", block_size=None, accuracy="paper", eta1=1.0,
    eta2=0.1, nu=1.5, beta=0.1, delta=0.1, theta=1.0, xi_B=0.1, multipliers0="zeros",
    maxiter_inner=100_000, finite_diff_rel_step=None, **unknown,
):  # fmt: skip
    r"""Minimise subject to equalities by AdaSketch-Newton, as its authors run it.

    .. math:: \min f(x) \quad\text{subject to}\quad c(x) = 0

    by Newton's method on the KKT system, which random sketches solve to an accuracy that the
    method adapts, with the exact augmented Lagrangian as merit function. This is the method of
    [1]_ for comparison; `minimize_equality` is what to use. Stops when

    .. math:: \|r\|_2 \le \mathrm{tol}, \qquad r = (\nabla f + J'\lambda;\ c) .

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)``, a number.
    x0 : array_like, shape (n,)
        Start.
    args : tuple, optional
        Passed to fun, jac and hess.
    jac, hess, hessp : callable, optional
        Derivatives of f, as for `minimize_equality`; stored as dense matrices.
    constraints : constraint object, dict or sequence of them, optional
        Equalities, as for `minimize_equality`.
    bounds : sequence or Bounds, optional
        That fix variables.
    tol : float, optional
        See above.
    maxiter : int, optional
        Largest number of Newton steps.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        ``callback(intermediate_result)``; StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    rng : optional
        Seed or generator.
    backend : str, optional
        See `refopt_backends.resolve`.
    lin_solver : str, optional
        A sketch of `sketch_project`, or ``"direct"`` for exact solutions.
    sampling : {"uniform", "shuffle", "rownorm"}, optional
        Of rows.
    block_size : int, optional
        For sketches of several columns.
    accuracy : {"paper", "checked"}, optional
        How far to solve K d = -r: the paper's bound
        :math:`\|K\|_F \Psi \|Kd + r\| \le \theta\delta\|r\|`, or what can be checked,
        :math:`\|Kd + r\| \le \min(\theta, 0.1, \max(\|r\|^{1/2}, 10^{-10}))\|r\|` and descent.
    eta1, eta2 : float, optional
        First penalties.
    nu : float, optional
        A direction without descent multiplies eta1 by nu^2 and divides eta2 by nu.
    beta : float, optional
        Share of the slope that a step must bring, in (0, 1/2).
    delta : float, optional
        First accuracy, in (0, 1).
    theta : float, callable or "superlinear", optional
        Bound of the relative residual: a number in (0, 1], ``theta(k, residual)``, or the
        smaller one of 1 and the residual.
    xi_B : float, optional
        Where the reduced Hessian is not positive definite, it is shifted by xi_B plus its
        Frobenius norm.
    multipliers0 : {"zeros", "lsq"} or array_like, optional
        Where multipliers start.
    maxiter_inner : int, optional
        Largest number of sketch steps between two tests of descent.
    finite_diff_rel_step : float, optional
        Relative step of differences.
    **unknown : dict
        Options of other methods of `scipy.optimize.minimize`: ignored with a warning.

    Returns
    -------
    OptimizeResult
        As of `minimize_equality`. Status 8: G G' has an eigenvalue below 0.01.

    Raises
    ------
    ValueError
        An option is unknown or out of its range.
    TypeError
        Complex or non-numeric input.

    See Also
    --------
    minimize_equality : The method to use.
    sketch_project : The inner solver alone.

    Notes
    -----
    An iteration factorises G and solves an eigenvalue problem of size n - m; memory is that of
    the KKT matrix. Kaczmarz steps are some hundred thousand per iteration at the paper's bound.

    References
    ----------
    .. [1] I. Hong, S. Na, M. W. Mahoney, M. Kolar, "Constrained optimization via exact augmented
       Lagrangian and randomized iterative sketching", ICML 2023.

    Examples
    --------
    >>> import refopt
    >>> from refopt.problems import textbook_equality
    >>> res = refopt.adasketch_newton(**textbook_equality("HS40").arguments(), rng=0)
    >>> res.success, res.nit, round(res.fun, 6)
    (True, 3, -0.25)
    """
    warn_of_unknown(unknown)
    problem, backend = take_problem(
        fun, x0, args, jac=jac, hess=hess, hessp=hessp, constraints=constraints, bounds=bounds,
        finite_diff_rel_step=finite_diff_rel_step, backend=backend,
    )  # fmt: skip
    _validate.choice(lin_solver, "lin_solver", ("direct", *_sketched.KINDS))
    _validate.choice(sampling, "sampling", SAMPLINGS)
    _validate.choice(accuracy, "accuracy", ("paper", "checked"))
    tol, maxiter = _validate.nonnegative(tol, "tol"), _validate.count(maxiter, "maxiter")
    method = AdaSketchNewton(problem, resolve(problem.x0, backend=backend)[1])
    method.lin_solver, method.sampling, method.block_size = lin_solver, sampling, block_size
    method.rng, method.paper = _rng.generator(rng), accuracy == "paper"
    method.eta1, method.eta2 = _validate.positive(eta1, "eta1"), _validate.positive(eta2, "eta2")
    method.nu, method.beta = _between(nu, "nu", 1.0, math.inf), _between(beta, "beta", 0.0, 0.5)
    method.delta, method.xi_B = _between(delta, "delta", 0.0, 1.0), _validate.positive(xi_B, "xi_B")
    method.theta, method.multipliers = theta_rule(theta), multipliers0
    method.maxiter_inner = _validate.count(maxiter_inner, "maxiter_inner", 1)
    outcome = run(
        problem, method.iterates(), tol=tol, maxiter=maxiter, callback=callback, disp=disp,
        time_limit=time_limit,
    )  # fmt: skip
    return finish(
        problem, outcome, method, tol=tol, backend=backend, measure=lambda point: point.kkt,
        words="KKT residual",
    )  # fmt: skip


def theta_rule(theta: Any) -> Any:
    """theta(k, residual) from what the user may give."""
    if callable(theta):
        return theta
    if isinstance(theta, str):
        _validate.choice(theta, "theta", ("superlinear",))
        return lambda k, residual: min(1.0, residual)
    number = _validate.real_number(theta, "theta")
    if not 0.0 < number <= 1.0:
        raise ValueError(f"theta must be in (0, 1], callable or 'superlinear', got {theta!r}")
    return lambda k, residual: number


def _between(value, name, low, high):
    number = _validate.real_number(value, name)
    if not low < number < high:
        raise ValueError(f"{name} must be between {low:g} and {high:g}, got {value!r}")
    return number


class AdaSketchNewton:
    """State and options of one run; the options are set by `adasketch_newton`."""

    lin_solver: str
    sampling: str
    block_size: int | None
    rng: Any
    paper: bool
    eta1: float
    eta2: float
    nu: float
    beta: float
    delta: float
    xi_B: float
    theta: Any
    multipliers: Any
    maxiter_inner: int

    def __init__(self, problem, kernels):
        self.problem, self.kernels = problem, kernels
        self.inner_nit = 0
        self.state: dict[str, Any] = {}

    def iterates(self):
        """The generator for the driver, whose iterates hold a `Point`."""
        point = self._dense(evaluate(self.problem, self.problem.x0, self._first_multipliers()))
        if isinstance(self.multipliers, str) and self.multipliers == "lsq" and self.problem.m:
            l = self.problem.xp.linalg.pinv(point.G.T) @ -point.g
            point = point.with_multipliers(l)
        k = 0
        facts: dict[str, float] = {}
        while True:
            yield self._iterate(point, facts)
            k += 1
            xp, H = self.problem.xp, dense(self.problem.hessian(point.x, point.l), self.problem.xp)
            self.state["H"] = H
            B, K, Psi, Ups = self._matrices(point, H)
            if B is None:
                return _status.SINGULAR, "G G' has an eigenvalue below 0.01; see minimize_equality."
            system = self._system(K, -xp.concatenate((point.gL, point.c)))
            d = self._direction(k, point, H, K, system, Psi, Ups)
            new, alpha = self._search(point, d)
            if new is None:
                return _status.LINE_SEARCH, ""
            facts = {
                "alpha": alpha,
                "shift": float(B[0, 0] - H[0, 0]),
                "inner_iters": system.steps,
                "inner_relres": system.residual / point.kkt,
            }
            point = new

    def _first_multipliers(self):
        problem, l = self.problem, self.multipliers
        if isinstance(l, str):
            _validate.choice(l, "multipliers0", ("zeros", "lsq"))
            return problem.xp.zeros(problem.m)
        l = _validate.real_array(
            problem.xp, _validate.as_array(l, "multipliers0"), "multipliers0", 1
        )
        if l.shape[0] != problem.m:
            raise ValueError(f"multipliers0 must have {problem.m} entries, got {l.shape[0]}")
        return problem.xp.astype(l, problem.xp.float64)

    def _matrices(self, point, H):
        """Steps 1 to 3: B, K and the constants Psi, Upsilon; None for B where G is singular."""
        xp, G = self.problem.xp, point.G
        m, n = G.shape
        B, xi_G = H, 1.0
        if m:
            xi_G = float(xp.linalg.eigvalsh(G @ G.T)[0])
            if not xi_G >= LICQ:
                return None, None, 0.0, 0.0
        if m < n:
            Z = xp.linalg.qr(G.T, mode="complete")[0][:, m:] if m else xp.eye(n)
            if float(xp.linalg.eigvalsh(Z.T @ H @ Z)[0]) < DEFINITE:
                B = H + (self.xi_B + _frobenius(H)) * xp.eye(n)
        K = xp.zeros((n + m, n + m))
        K[:n, :n], K[n:, :n], K[:n, n:] = B, G, G.T
        Psi = 20.0 * max(_frobenius(B) ** 2, 1.0) / (min(xi_G, 1.0) * min(self.xi_B, 1.0))
        return B, K, Psi, max(_frobenius(G), _frobenius(H), 1.0)

    def _system(self, K, rhs):
        xp = self.problem.xp
        if self.lin_solver == "direct":
            return _sketched.ExactSystem(xp, K, rhs)
        return _sketched.SketchedSystem(
            xp, self.kernels, K, rhs, kind=self.lin_solver, sampling=self.sampling,
            block_size=self.block_size, rng=self.rng,
        )  # fmt: skip

    def _direction(self, k, point, H, K, system, Psi, Ups):
        """Steps 4 and 5: solve, and raise the penalties until d is a direction of descent."""
        kkt, n, checked = point.kkt, self.problem.n, 1.0
        self._lower_delta(Psi, Ups, 1.0)
        while True:
            theta = float(self.theta(k, kkt))
            if self.paper:
                target = theta * self.delta * kkt / (_frobenius(K) * Psi)
            else:
                target = checked * min(theta, 0.1, max(math.sqrt(kkt), 1e-10)) * kkt
            before = system.steps
            system.advance(target, self.maxiter_inner)
            self.inner_nit += system.steps - before
            d = Direction(point, H, system.d[:n], system.d[n:])
            wild = self.eta1 > CAPS[0] or self.eta2 < CAPS[1]
            if wild or d.slope(self.eta1, self.eta2) <= -0.5 * self.eta2 * kkt**2:
                return d
            self.eta1 *= self.nu**2
            self.eta2 /= self.nu
            self._lower_delta(Psi, Ups, self.nu**-4)
            checked *= self.nu**-4

    def _lower_delta(self, Psi, Ups, factor):
        trial = (0.5 - self.beta) * self.eta2 / ((1.0 + self.eta1 + self.eta2) * Ups**2 * Psi**2)
        self.delta = max(min(self.delta * factor, trial), LEAST_DELTA)

    def _search(self, point: Point, d: Direction) -> tuple[Any, float]:
        """Step 6: Armijo's rule on the merit function, None where no step is short enough."""
        start, slope = merit(point, self.eta1, self.eta2), d.slope(self.eta1, self.eta2)
        alpha = 1.0
        while alpha >= SHORTEST:
            new = evaluate(self.problem, point.x + alpha * d.dx, point.l + alpha * d.dl)
            if new.finite:
                new = self._dense(new)
                if merit(new, self.eta1, self.eta2) <= start + alpha * self.beta * slope:
                    return new, alpha
            alpha *= 0.5
        return None, 0.0

    def _dense(self, point):
        G = dense(point.G, self.problem.xp)
        return point if G is point.G else Point(point.x, point.l, point.f, point.c, point.g, G)

    def _iterate(self, point, facts):
        record = {
            "optimality": point.optimality(),
            "constr_violation": point.violation(),
            "kkt": point.kkt,
            "eta1": self.eta1,
            "eta2": self.eta2,
            "delta": self.delta,
            "alpha": facts.get("alpha", 1.0),
            "shift": facts.get("shift", 0.0),
            "inner_iters": facts.get("inner_iters", 0),
            "inner_relres": facts.get("inner_relres", 0.0),
        }
        error = point.kkt if point.finite else math.nan
        return Iterate(x=point, fun=point.f, error=error, record=record)


def _frobenius(A):
    return math.sqrt(float((A * A).sum()))
