"""Nonnegative least squares."""

import math

from refopt import _validate
from refopt.block_coordinate._bounded_forms import LeastSquaresForm
from refopt.block_coordinate._bounded_solve import solve, vector
from refopt.block_coordinate._design import take_in
from refopt.block_coordinate._start import usable
from refopt.block_coordinate._units import design_entries, exponent, scaled, solve_in_units

_MOST_APART = 1000


def nnls(
    A,
    b,
    *,
    x0=None,
    tol=1e-8,
    maxiter=500,
    callback=None,
    disp=False,
    time_limit=None,
    backend=None,
    history=True,
):
    r"""Nonnegative least squares.

    .. math::
        \min_{x \ge 0} \; f(x) = \tfrac12 \|A x - b\|^2

    Stops when the duality gap is

    .. math::
        f(x) - D(\theta) \le \mathrm{tol} \cdot \max(f(x), \tfrac12 \|b\|^2),
        \qquad D(\theta) = b^T \theta - \tfrac12 \|\theta\|^2, \quad A^T \theta \le 0 .

    The dual point is :math:`\theta = b - Ax - t v` with v = 1 or v = b and
    the least t that makes it feasible, which exists for nonnegative A, for one.
    Where neither serves, the lower bound of f uses a proven lower bound of the
    eigenvalues of :math:`A^T A`, as in `box_qp`. Where there is none either,
    ``gap`` is None and the criterion is, with r(x) = min(x, grad f(x)),

    .. math::
        \|r(x)\|_\infty \le \mathrm{tol} \cdot \|r(0)\|_\infty .

    Parameters
    ----------
    A : array_like or sparse matrix, shape (n, p)
        Any shape and rank. Fortran order and compressed columns are the best
        layouts.
    b : array_like, shape (n,)
        Right-hand side.
    x0 : array_like, shape (p,), optional
        Start; negative entries become 0.
    tol : float, optional
        As in the criterion above.
    maxiter : int, optional
        Largest number of outer iterations, each with one full gradient.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, fun, gap, kkt, nit.
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    time_limit : float, optional
        Seconds.
    backend : str, optional
        See `refopt_backends.resolve`.
    history : bool, optional
        Whether the result holds the history.

    Returns
    -------
    OptimizeResult
        ``x`` (exactly 0 where it is not positive), ``fun``, ``rnorm``
        (:math:`\|Ax - b\|`, as SciPy's second result), ``gap`` (relative, or
        None), ``kkt`` (the norm of r, relative to that at 0), ``active``
        (coordinates that are 0),
        ``success``, ``status``, ``message``, ``nit``, ``nfev``, ``njev`` (full
        gradients), ``nbev`` (updates of a coordinate), ``nchol``,
        ``nit_active`` (last iteration that changed the active set),
        ``history`` (time, fun, error, kkt, nnz, block_size), ``backend``.
        ``status``: 0 converged, 1 maxiter, 2 stopped by the callback, 3 stalled
        at rounding level, 4 non-finite numbers, 6 time limit.

    Raises
    ------
    ValueError
        Wrong shapes, NaN or infinity, no rows.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    The quadratic is solved to rounding over a working set (everything up to 600
    variables, else one that grows by the worst violators) whose Gram matrix
    is stored: sweeps of coordinate descent alternate with Newton steps on the
    free coordinates, along paths that bend at the bounds, until such a step
    meets none. Once the active set is right one Newton step ends the run.
    Memory: the square of the working set's size. Data of extreme size, beyond 1e100
    or below 1e-100, are solved in other units, in which r(x) is meant, too.
    The Gram matrix squares the condition of A: where that exceeds about 1e7,
    small digits of x are lost that `scipy.optimize.lsq_linear` keeps. float32
    input is solved in double precision and returned in single, to no smaller
    tol than 1e-6.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022, sections 4 to 6 (two-metric
       projection, active sets, finite termination).

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> A = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    >>> res = refopt.nnls(A, [2.0, 1.0, -1.0])
    >>> [float(v) for v in res.x]
    [1.5, 0.0]
    >>> res.success
    True
    """
    b = _validate.as_array(b, "b")
    x0 = None if x0 is None else _validate.as_array(x0, "x0")
    xp, kernels, design = take_in(A, b, x0, backend=backend, names=("A", "b", "x0"))
    n, p = design.shape
    b = vector(xp, b, n, "b")
    x0 = None if x0 is None else usable(xp, vector(xp, x0, p, "x0"))
    of_A, of_b = exponent(xp, design_entries(design)), exponent(xp, b)
    if of_b - of_A > _MOST_APART:
        raise ValueError(f"A must be larger than b / 2^{_MOST_APART}, or x is not finite")
    if of_A or of_b:
        design = design.scaled_rows(xp.full(n, 2.0**-of_A))
        b = scaled(b, -of_b)
        near = x0 is not None and of_A - of_b < _MOST_APART // 2  # else it overflows
        x0 = usable(xp, scaled(x0, of_A - of_b)) if near else None
    form = LeastSquaresForm(kernels, design, b)
    run = lambda callback: solve(
        form, xp.zeros(p), xp.full(p, math.inf), x0, tol=tol, maxiter=maxiter,
        callback=callback, disp=disp, time_limit=time_limit, history=history, least_squares=True,
    )  # fmt: skip
    if not (of_A or of_b):
        return run(callback)
    return solve_in_units(run, callback, x=of_b - of_A, fun=2 * of_b)
