"""Sketch-and-project for linear systems."""

import math
from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _driver, _rng, _status, _validate
from refopt._driver import Iterate
from refopt.augmented_lagrangian import _sketches
from refopt.augmented_lagrangian._linear_system import LinearSystem, take_start, take_system
from refopt_backends._array_functions import euclidean_norm

_SWEEPS = 5  # of row actions between two looks at the residual
_MOST = 10_000  # sweeps
_PATIENCE = 2500  # times N sketched equations without progress end the run
_PROGRESS = 0.9


def sketch_project(
    A, b, x0=None, *, sketch="kaczmarz", block_size=None, sampling="shuffle", momentum=0.0,
    omega=1.0, rtol=1e-6, atol=0.0, maxiter=None, check_every=None, rng=None, callback=None,
    backend=None,
):  # fmt: skip
    r"""Solve a consistent linear system by projections onto random sketches of it.

    .. math::
        x \leftarrow x - \omega\,A'S\,(S'AA'S)^+ S'(Ax - b)

    is the nearest point where :math:`S'Ax = S'b`, for :math:`\omega = 1`. Stops when

    .. math:: \|Ax - b\|_2 \le \max(\mathrm{rtol}\,\|b\|_2,\ \mathrm{atol}),

    with :math:`\|Ax_0\|` for :math:`\|b\|` where b is zero. Of many solutions the one
    nearest to x0 is found.

    Parameters
    ----------
    A : array_like or sparse matrix, shape (N, n)
        Of any shape and rank. Compressed rows are used as they are.
    b : array_like, shape (N,)
        In the range of A; see `sketch_lstsq` for other b.
    x0 : array_like, shape (n,), optional
        Start, zero by default.
    sketch : str, optional
        What S is:

        * ``"kaczmarz"``: a unit vector, O(n) per step;
        * ``"greedy"``: that of the largest distance, by the Gram matrix AA' of N^2 numbers,
          O(N) per step;
        * ``"coordinate"``: coordinate descent on :math:`\|Ax - b\|^2`, O(N) per step; finds
          some solution, of inconsistent systems one of least squares;
        * ``"gaussian"``, ``"block_gaussian"``: normal, 1 or block_size columns, O(N n) per column;
        * ``"block"``: the unit vectors of one block of a partition, factorised once;
        * ``"subsample"``: block_size different unit vectors, drawn anew in every step;
        * ``"countsketch"``: rows added to block_size sums with random signs.
    block_size : int, optional
        Columns of S, for the sketches with several; default ``min(N, max(1, n // 2), 64)``.
    sampling : {"shuffle", "uniform", "rownorm"}, optional
        How rows (columns, blocks) are chosen: all of them in a new order each time, independently,
        or independently with probabilities proportional to their squared norms.
    momentum : float, optional
        Add so much of the last move to each step, in [0, 1). Not for "greedy" and "coordinate".
    omega : float, optional
        Relaxation, in (0, 2).
    rtol, atol : float, optional
        See above. In single precision rtol is 1e-5 at least.
    maxiter : int, optional
        Largest number of steps; by default what looks at every row 10 000 times.
    check_every : int, optional
        Steps between two computations of the residual, which costs N row actions; by default
        what looks at every row 5 times.
    rng : optional
        Seed or generator. One seed gives one run on every backend.
    callback : callable, optional
        ``callback(intermediate_result)`` with x, residual_norm, nit after every check.
        StopIteration ends the run.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    x : array, shape (n,)
    info : OptimizeResult
        ``converged``, ``nit`` (steps), ``row_actions``, ``residual_norm`` and ``rel_residual``
        (recomputed), ``method``, ``status``, ``message``, ``backend``, ``history`` (time,
        steps, residual_norm). ``status``: 0 converged, 1 maxiter, 2 stopped by the callback, 3 no
        progress: the system is inconsistent, or too ill conditioned.

    Raises
    ------
    ValueError
        A or b is empty, not finite or of another shape; an option is unknown or out of its range.
    TypeError
        Complex or non-numeric input.

    See Also
    --------
    sketch_lstsq : Least squares, for all conditions.

    Notes
    -----
    With ``sampling="rownorm"`` the squared error contracts by :math:`1 - \sigma_{\min}^2/\|A\|_F^2`
    per Kaczmarz step on average, so that about :math:`(\|A\|_F/\sigma_{\min})^2\ln(1/\varepsilon)`
    steps are needed. For a system that fits into memory a factorisation is faster, nearly always;
    these methods are for few digits, for rows that come one by one, and for comparison.

    References
    ----------
    .. [1] R. M. Gower, P. Richtarik, Randomized iterative methods for linear systems, SIAM J.
       Matrix Anal. Appl. 36, 2015.
    .. [2] T. Strohmer, R. Vershynin, A randomized Kaczmarz algorithm with exponential convergence,
       J. Fourier Anal. Appl. 15, 2009.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> A = np.array([[2.0, 1.0], [1.0, -1.0], [3.0, 0.0]])
    >>> x, info = refopt.sketch_project(A, [4.0, -1.0, 3.0], rng=0)
    >>> info.converged, np.round(x, 4)
    (True, array([1., 2.]))
    """
    system = take_system(A, b, backend)
    x = take_start(system, x0)
    rule = _rule(system, sketch, block_size, sampling, momentum, omega, _rng.generator(rng))
    rtol, atol = _validate.nonnegative(rtol, "rtol"), _validate.nonnegative(atol, "atol")
    if system.dtype == system.xp.float32:
        rtol = max(rtol, 1e-5)
    N = system.shape[0]
    maxiter = -(-_MOST * N // rule.rows) if maxiter is None else maxiter
    maxiter = _validate.count(maxiter, "maxiter")
    check_every = -(-_SWEEPS * N // rule.rows) if check_every is None else check_every
    check_every = _validate.count(check_every, "check_every", 1)
    scale = euclidean_norm(system.b) or euclidean_norm(system.residual(x))
    target = max(rtol * scale, atol / system.b_unit)
    outcome = _driver.run(
        _projections(system, rule, x, target, maxiter, check_every),
        tol=target,
        maxiter=maxiter,
        callback=callback,
        view=lambda iterate, _: _view(system, iterate),
        measure="residual_norm",
    )
    return _result(system, rule, outcome, sketch, target, scale)


def _rule(system, sketch, block_size, sampling, momentum, omega, rng):
    _validate.choice(sketch, "sketch", (*_sketches.SINGLE, *_sketches.BLOCKS))
    _validate.choice(sampling, "sampling", _sketches.SAMPLINGS)
    momentum, omega = (
        _validate.real_number(momentum, "momentum"),
        _validate.real_number(omega, "omega"),
    )
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"momentum must be in [0, 1), got {momentum}")
    if not 0.0 < omega < 2.0:
        raise ValueError(f"omega must be in (0, 2), got {omega}")
    if momentum and sketch in ("greedy", "coordinate"):
        raise ValueError(f"momentum must be 0 for sketch={sketch!r}, got {momentum}")
    options = {"sampling": sampling, "omega": omega, "momentum": momentum}
    N, n = system.shape
    if block_size is not None and not 1 <= _validate.count(block_size, "block_size") <= N:
        raise ValueError(f"block_size must be between 1 and the {N} rows of A, got {block_size}")
    if sketch in _sketches.SINGLE:
        return _sketches.SINGLE[sketch](system, rng, **options)
    size = min(N, max(1, n // 2), 64) if block_size is None else int(block_size)
    return _sketches.BLOCKS[sketch](system, rng, size=size, **options)


def _projections(
    system: LinearSystem, rule: Any, x: Any, target: float, maxiter: int, check_every: int
) -> Any:
    """The iterates where the residual is known, as a generator for the driver."""
    previous, steps, since = x, 0, 0
    patience = max(_PATIENCE * system.shape[0] // rule.size, 2 * check_every)
    error = least = euclidean_norm(system.residual(x))
    while True:
        yield Iterate(x, error, error, {"steps": steps})
        if steps >= maxiter:
            return _status.MAXITER, ""
        count = min(check_every, maxiter - steps)
        x, previous = rule.advance(x, previous, count)
        steps += count
        error = euclidean_norm(system.residual(x))
        since += count
        if error < _PROGRESS * least:
            least, since = error, 0
        if since >= patience and error > target:
            yield Iterate(x, error, error, {"steps": steps})
            return _status.STALLED, (
                "The system is inconsistent or too ill conditioned; sketch_lstsq finds the "
                "least-squares solution of both."
            )


def _view(system, iterate):
    return OptimizeResult(
        x=system.returned(iterate.x),
        nit=iterate.record["steps"],
        residual_norm=iterate.error * system.b_unit,
    )


def _result(system, rule, outcome, sketch, target, scale):
    x, steps = system.returned(outcome.best.x), int(outcome.history["steps"][-1])
    residual = euclidean_norm(system.residual(system.taken(x)))
    status = outcome.status
    if status == _status.CONVERGED and not residual <= target:
        status = _status.STALLED
    history = {key: outcome.history[key] for key in ("time", "steps", "residual_norm")}
    history["residual_norm"] = history["residual_norm"] * system.b_unit
    return x, OptimizeResult(
        converged=status == _status.CONVERGED,
        status=status,
        message=_status.message(
            status, measure="residual norm |A x - b|", error=residual * system.b_unit,
            tol=target * system.b_unit,
            detail=outcome.detail,
        ),
        nit=steps,
        row_actions=steps * rule.rows,
        residual_norm=residual * system.b_unit,
        rel_residual=residual / scale if scale else (0.0 if residual == 0 else math.inf),
        method=sketch,
        history=history,
        backend=system.kernels.name,
    )  # fmt: skip
