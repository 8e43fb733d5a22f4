"""`deep_conjugate_direction` as users call it."""

import math

from refopt import _validate
from refopt.deep_conjugate import _directions, _models, _result
from refopt.deep_conjugate._grid_iteration import GridIteration
from refopt.deep_conjugate._nullspace import null_space
from refopt.deep_conjugate._operators import as_operator
from refopt.deep_conjugate._safeguard import guarded
from refopt.deep_conjugate._system import LinearSystem

# Right-hand sides beyond these sizes are solved in other units.
LEAST, MOST = 1e-60, 1e60


def deep_conjugate_direction(
    A,
    b,
    model=None,
    x0=None,
    *,
    rtol=1e-5,
    atol=0.0,
    maxiter=None,
    n_orth=None,
    safeguard="auto",
    normalize="auto",
    nullspace="auto",
    check=False,
    callback=None,
    disp=False,
    time_limit=None,
    full_output=False,
    backend=None,
):
    """Solve a symmetric positive definite system along directions that a model proposes.

    For

    .. math::

        A x = b, \\qquad A \\in \\mathbb R^{n \\times n} \\text{ symmetric positive definite,}

    each iteration asks the model for a direction d from the residual r = b - A x, makes it
    A-orthogonal to the last `n_orth` directions and minimises the error along it exactly. The
    A-norm of the error falls whatever the model returns; with ``model=None`` this is the method
    of conjugate gradients.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator or PoissonGrid, shape (n, n)
        Of real numbers. Only its products are used.
    b : array, shape (n,) or (n, 1)
        Right-hand side. float32 is solved in float64 and returned as float32.
    model : None, callable, matrix, LinearOperator or object with ``setup(A)``
        ``None``: the residual itself. A callable takes an array of shape (n,) and returns one,
        about :math:`s A^{-1} r` with any factor s of either sign; with an attribute
        ``is_linear_spd = True`` it is taken for a symmetric positive definite matrix M, an
        approximate inverse of A, as are matrices and LinearOperators. An object with ``setup``
        is given the `PoissonGrid` and returns such a callable. A `MultilevelNet` must be stable,
        see there, unless ``safeguard=True``.
    x0 : array, shape of `b`, optional
        Start, zero by default.
    rtol, atol : float
        Stops when :math:`\\|b - A x\\|_2 \\le \\max(\\text{rtol} \\|b\\|_2, \\text{atol})` holds
        for the residual recomputed from x.
    maxiter : int, optional
        Largest number of iterations, 10 n by default.
    n_orth : int, optional
        Number of directions kept; by default 1 without a model and for linear ones, else 2, as
        in the paper. Networks gain from 4. With 0 directions are
        not made A-orthogonal, and the safeguard cannot promise the pace of conjugate gradients.
    safeguard : "auto" or bool
        Whether steps along the model's direction must bring more than the residual does. By
        default for callables; for linear models only M that is not positive definite is
        noticed. ``False`` is the paper's iteration as it stands.
    normalize : "auto" or bool
        Whether a model is called with :math:`r / \\|r\\|`. By default if it is not linear.
    nullspace : "auto", None, "constant" or array, shape (n, k)
        Vectors that A maps to zero. They are taken out of b, of all residuals and directions,
        and of x. By default those that a `PoissonGrid` knows: constants on parts of the fluid
        that touch no air.
    check : bool
        Whether to test that a stored A is symmetric.
    callback : callable, optional
        ``callback(xk)`` after each iteration, as in SciPy's cg, or
        ``callback(intermediate_result)`` if its parameter is so named, with `x`, `fun`,
        `residual`, `nit` and `nfev`. StopIteration ends the run.
    disp : bool or int
        Print every iteration, or every `disp`-th.
    time_limit : float, optional
        Seconds.
    full_output : bool
        Return an OptimizeResult in place of `info`.
    backend : str, optional
        Where to compute, see `use_backend`.

    Returns
    -------
    x : array, shape of `b`
        The last iterate, which is the best in the A-norm. After status 4 or 5 with a residual
        above that of the start, an iterate whose residual is the least but for a factor of 2.
    info : int or OptimizeResult
        0 if the criterion holds; the number of iterations (1 at least) if an iteration limit,
        a time limit or the callback ended the run; -3 if it stalled, -4 after non-finite
        numbers, -5 if A is not positive definite, or singular with b outside its range.

        With `full_output`: `x`, `fun` (:math:`x'Ax/2 - b'x`), `success`, `status`, `message`,
        `nit`, `nfev` (products with A), `n_model` (calls of the model), `n_fallback` (steps that
        were not the model's), `n_restart` (residuals replaced by the true one), `residual`
        (:math:`\\|b - A x\\|_2`, recomputed), `b_removed` (norm of what was taken out of b),
        `backend`, and `history`, a dict of arrays `residual`, `energy_drop` (of the squared A-norm
        of the error), `accepted` (steps along the model's direction), `fun` and `time`. Status:
        0 converged, 1 iteration limit, 2 callback, 3 stalled at rounding level, 4 non-finite
        numbers, 5 not positive definite or singular, 6 time limit.

    Raises
    ------
    TypeError
        Complex numbers, mixed array libraries, things that are no arrays.
    ValueError
        Any other argument that is not what it must be; the message names it.

    See Also
    --------
    PoissonGrid : The pressure matrix on a grid of cells.

    Notes
    -----
    Cost per iteration: a product with A, a call of the model, `n_orth` vector updates; with the
    safeguard a second product. Memory: 6 + 2 `n_orth` vectors of float64 beside A and the model.

    With the safeguard a model that is of no use (noise, zeros, NaN, the wrong sign of curvature)
    costs calls, but no iterations: it falls back to conjugate gradients and asks the model again
    ever more seldom. An exception in the model is the caller's.

    For a grid without obstacles use a fast sine or cosine transform, for small systems or two
    dimensions a sparse direct solver, for general sparse matrices algebraic multigrid, which can
    be the model: ``model=ml.aspreconditioner()``.

    References
    ----------
    .. [1] A. Kaneda, O. Akar, J. Chen, V. Kala, D. Hyde, J. Teran, "A Deep Conjugate Direction
       Method for Iteratively Solving Linear Systems", ICML 2023, Algorithm 1.
    .. [2] Y. Notay, "Flexible conjugate gradients", SIAM J. Sci. Comput. 22, 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt import PoissonGrid, deep_conjugate_direction
    >>> from refopt.problems import pressure_scene
    >>> A = PoissonGrid(pressure_scene("smoke", 16))
    >>> b = np.sin(np.arange(A.n))
    >>> x, info = deep_conjugate_direction(A, b)
    >>> info, bool(np.linalg.norm(b - A @ x) <= 1e-5 * np.linalg.norm(b))
    (0, True)

    Any callable may propose directions; the result says how often it was of use.

    >>> x, res = deep_conjugate_direction(A, b, np.sign, full_output=True)
    >>> res.success, res.n_fallback > 0
    (True, True)
    """

    def steps(operator, b):
        bound = _models.bind(model, A, operator, b, normalize)
        return _iteration(bound, n_orth, safeguard)

    return solve(
        A, b, x0, steps, rtol=rtol, atol=atol, maxiter=maxiter, nullspace=nullspace, check=check,
        callback=callback, disp=disp, time_limit=time_limit, full_output=full_output,
        backend=backend,
    )  # fmt: skip


def solve(
    A, b, x0, make_steps, *, rtol, atol, maxiter, nullspace, callback, disp, time_limit,
    full_output, backend, check=False,
):  # fmt: skip
    """Intake, run and result of an iteration.

    ``make_steps(operator, b)`` returns it as a function from a `LinearSystem` to a generator; the
    other arguments are those of `deep_conjugate_direction`.
    """
    b = _validate.as_array(b, "b")
    operator = as_operator(A, b, backend, check=check)
    n = operator.n
    b_user, largest = _vector(operator, b, "b")
    xp, unit = operator.xp, _unit(largest)

    def measured(v):  # in other units where squares would leave the range
        v = xp.astype(v, xp.float64, copy=False)
        return v if unit == 1.0 else v / unit

    rhs, start = measured(b_user), None
    if x0 is not None:
        start = measured(_vector(operator, _validate.as_array(x0, "x0"), "x0")[0])
    rtol, atol = _validate.nonnegative(rtol, "rtol"), _validate.nonnegative(atol, "atol")
    maxiter = 10 * n if maxiter is None else _validate.count(maxiter, "maxiter")
    if time_limit is not None:
        time_limit = _validate.positive(time_limit, "time_limit")
    steps = make_steps(operator, b_user)
    zeros = null_space(nullspace, operator, b_user)
    if isinstance(steps, GridIteration):
        system = steps.system(operator, rhs, start, zeros)
    else:
        system = LinearSystem(operator, rhs, start, zeros)
    system.tau = max(rtol * system.b_norm, atol / unit)

    def leave(x):  # in the user's shape and units
        return xp.reshape(x if unit == 1.0 else x * unit, b.shape)

    outcome = _result.run(
        system, steps(system), unit=unit, leave=leave, maxiter=maxiter, callback=callback,
        disp=disp, time_limit=time_limit,
    )  # fmt: skip
    return _result.finish(
        system, outcome, unit=unit, leave=leave, dtype=b_user.dtype, full_output=full_output
    )


def _iteration(model, n_orth, safeguard):
    """The generator for a model and its options, as a function of the system."""
    if not isinstance(safeguard, bool):
        _validate.choice(safeguard, "safeguard", ("auto", True, False))
    linear = model is None or model.linear
    if model is not None and model.bound is not None and safeguard is not True:
        model.bound.require_stable()
    n_orth = (1 if linear else 2) if n_orth is None else _validate.count(n_orth, "n_orth")
    if model is None:
        if n_orth == 1:
            return _directions.conjugate_gradients
        identity = _models.Model(lambda r: r, linear=True, normalize=False)
        return lambda system: _directions.preconditioned(system, identity, n_orth)
    if safeguard is False:
        return lambda system: _directions.unguarded(system, model, n_orth)
    if safeguard is True or not linear:
        return lambda system: guarded(system, model, n_orth)
    if model.bound is not None and n_orth == 1:
        return GridIteration(model)
    return lambda system: _directions.preconditioned(system, model, n_orth)


def _vector(operator, value, name):
    """A finite real vector of n entries, flat, and the size of its largest."""
    n, xp = operator.n, operator.xp
    if tuple(value.shape) not in ((n,), (n, 1)):
        raise ValueError(
            f"{name} must have shape ({n},) or ({n}, 1) for A of shape ({n}, {n}), got "
            f"{tuple(value.shape)}"
        )
    flat = _validate.real_array(xp, xp.reshape(value, (-1,)), name, 1)
    if not n:
        return flat, 0.0
    largest = max(float(xp.max(flat)), -float(xp.min(flat)))
    if not math.isfinite(largest):
        _validate.all_finite(xp, flat, name)
    return flat, largest


def _unit(largest):
    """A power of two near the largest entry, where squares would leave the range; else 1."""
    return 1.0 if largest == 0 or LEAST <= largest <= MOST else 2.0 ** math.frexp(largest)[1]
