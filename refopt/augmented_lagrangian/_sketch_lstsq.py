"""Least squares preconditioned by a sketch."""

import math
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _rng, _status, _validate
from refopt.augmented_lagrangian._linear_system import LinearSystem, take_system
from refopt_backends._array_functions import euclidean_norm

SKETCHES = ("countsketch", "srht", "gaussian")
_SUMS = 4  # that a row of A is added to: with one, rows of great weight could coincide
_CHUNK = 4096  # rows of a Gaussian sketch at a time
_ROUNDING = 2.0**-49
_RANK = 1e-14  # singular values of the sketch below it, relative to the largest, are zero


def sketch_lstsq(
    A, b, *, sketch="countsketch", oversampling=4, rtol=1e-10, maxiter=100, rng=None, backend=None
):
    r"""Least squares whose number of iterations does not depend on the condition.

    .. math:: \min_x \|A x - b\|_2

    for A with more rows than columns. A sketch S A of a few rows has the singular values of A up
    to a factor near one; its triangular factor R, from S A = Q R, makes A R^-1 well conditioned,
    and LSQR on that needs about 30 iterations. Stops when

    .. math:: \|(A R^{-1})' r\|_2 \le \mathrm{rtol}\,\|r\|_2
        \quad\text{or}\quad \|r\|_2 \le \mathrm{rtol}\,\|b\|_2, \qquad r = b - A x.

    What rounding leaves of the first measure, some units of it times the condition of A and times
    :math:`\|b\|/\|r\|`, is granted.

    Parameters
    ----------
    A : array_like or sparse matrix, shape (N, n)
        With N >= n.
    b : array_like, shape (N,)
        Any vector.
    sketch : {"countsketch", "srht", "gaussian"}, optional
        Rows added to 4 of the sketch's rows with random signs, in one pass over A; random
        frequencies of A with random signs (dense A only); normal numbers.
    oversampling : float, optional
        Rows of the sketch per column of A, above 1.
    rtol : float, optional
        See above. In single precision 1e-6 at least.
    maxiter : int, optional
        Largest number of iterations.
    rng : optional
        Seed or generator.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    x : array, shape (n,)
        Of least norm in the sketch's metric if A has not full rank.
    info : OptimizeResult
        ``converged``, ``status``, ``message``, ``nit``, ``residual_norm`` (recomputed),
        ``optimality`` (the first measure above, recomputed), ``rank``, ``method``, ``backend``.
        ``status``: 0 converged, 1 maxiter, 3 stalled at rounding level.

    Raises
    ------
    ValueError
        A or b is empty, not finite or of another shape; A has more columns than rows; an option
        is unknown or out of its range.
    TypeError
        Complex or non-numeric input.

    See Also
    --------
    sketch_project : Row by row, for consistent systems.

    Notes
    -----
    A sketch of s = oversampling n rows costs one pass over A, its factor O(s n^2), an
    iteration one pass over A and n^2. Memory: the sketch and a vector of N numbers. Faster than
    LAPACK from some ten thousand rows of a hundred columns on.

    References
    ----------
    .. [1] V. Rokhlin, M. Tygert, A fast randomized algorithm for overdetermined linear
       least-squares regression, PNAS 105, 2008.
    .. [2] H. Avron, P. Maymounkov, S. Toledo, Blendenpik: supercharging LAPACK's least-squares
       solver, SIAM J. Sci. Comput. 32, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt
    >>> A = np.vander(np.linspace(0.0, 1.0, 200), 8)
    >>> x, info = refopt.sketch_lstsq(A, A @ np.ones(8), rng=0)
    >>> info.converged, bool(abs(x - 1).max() < 1e-6)
    (True, True)
    """
    system = take_system(A, b, backend)
    N, n = system.shape
    if N < n:
        raise ValueError(f"A must have at least as many rows as columns, got shape {(N, n)}")
    _validate.choice(sketch, "sketch", SKETCHES)
    if sketch == "srht" and system.A is None:
        raise ValueError("sketch must not be 'srht' for sparse A, which it would fill")
    oversampling = _validate.positive(oversampling, "oversampling")
    if oversampling <= 1:
        raise ValueError(f"oversampling must be above 1, got {oversampling}")
    rtol = _validate.nonnegative(rtol, "rtol")
    if system.dtype == system.xp.float32:
        rtol = max(rtol, 1e-6)
    maxiter = _validate.count(maxiter, "maxiter")
    rows = min(math.ceil(oversampling * n), N)
    SA, Sb = _sketched(system, sketch, rows, _rng.generator(rng))
    right, y0, condition = _preconditioner(system.xp, SA, Sb)
    x, nit = _lsqr(system, right, right @ y0, rtol, maxiter)
    return _result(system, right, condition, x, nit, rtol, maxiter, sketch)


def _sketched(system: LinearSystem, sketch: str, rows: int, rng: Any) -> tuple[Any, Any]:
    """S A and S b."""
    xp, (N, n) = system.xp, system.shape
    b = xp.reshape(system.b, (-1, 1))
    if rows == N:  # nothing would be gained
        return system.toarray(), system.b
    if sketch == "gaussian":
        SA, Sb = xp.zeros((rows, n), dtype=xp.float64), xp.zeros(rows, dtype=xp.float64)
        for first in range(0, N, _CHUNK):
            index = xp.arange(first, min(first + _CHUNK, N))
            S = xp.asarray(rng.standard_normal((rows, index.shape[0])))
            SA = SA + S @ system.some_rows(index)
            Sb = Sb + S @ xp.take(system.b, index)
        return SA, Sb
    signs = rng.choice(np.array([-1.0, 1.0]), size=(N, _SUMS))
    if sketch == "srht":
        signs = xp.asarray(signs[:, :1])
        chosen = xp.asarray(rng.choice(N, rows, replace=False))
        return _mixed(xp, signs * system.A, chosen), _mixed(xp, signs * b, chosen)[:, 0]
    buckets = rng.integers(rows, size=(N, _SUMS)).astype(np.int32)
    SA = system.count_sketch(buckets, signs, rows)
    return SA, system.kernels.count_sketch(b, xp.asarray(buckets), xp.asarray(signs), rows)[:, 0]


def _mixed(xp, A, chosen):
    """Some rows of the real orthogonal Fourier transform of the columns."""
    N = A.shape[0]
    waves = xp.fft.rfft(A, axis=0, norm="ortho") * math.sqrt(2.0)
    cosines, sines = xp.real(waves), xp.imag(waves)
    # frequency 0, and N/2 for even N, have no sine and come once
    half = (N - 1) // 2
    single = xp.astype(xp.arange(cosines.shape[0]) % (N / 2) == 0, xp.float64)[:, None]
    cosines = cosines * (1.0 + single * (math.sqrt(0.5) - 1.0))
    return xp.take(xp.concat([cosines, sines[1 : half + 1, :]]), chosen, axis=0)


def _preconditioner(xp, SA, Sb):
    """The matrix V/s for SA = U s V', U'Sb, and the condition of SA."""
    Q, R = xp.linalg.qr(SA)
    U, s, Vt = xp.linalg.svd(R, full_matrices=False)
    rank = int(xp.sum(xp.astype(s > _RANK * s[0], xp.int64))) if float(s[0]) > 0 else 0
    condition = float(s[0] / s[rank - 1]) if rank else 1.0
    return Vt[:rank, :].T / s[:rank], (U.T @ (Q.T @ Sb))[:rank], condition


def _lsqr(system: LinearSystem, right: Any, x: Any, rtol: float, maxiter: int) -> tuple[Any, int]:
    """LSQR on the columns of A right, from x; one pass over A for each iteration."""
    u = -system.residual(x)
    phi, size = euclidean_norm(u), euclidean_norm(system.b)
    if not right.shape[1] or phi <= rtol * size:
        return x, 0
    u = u / phi
    v = right.T @ system.transposed_times(u)
    rho = alpha = euclidean_norm(v)
    if alpha <= rtol:
        return x, 0
    v = v / alpha
    w, y = v, 0.0 * v
    for k in range(1, maxiter + 1):
        p, back = system.product_pass(right @ v, u, alpha)
        beta = euclidean_norm(p)
        if not beta:
            return x + right @ (y + (phi / rho) * w), k
        u = p / beta
        v = right.T @ (back / beta) - beta * v
        alpha = euclidean_norm(v)
        r = math.hypot(rho, beta)
        c, s = rho / r, beta / r
        y = y + (c * phi / r) * w
        phi = s * phi
        if phi <= rtol * size or alpha * abs(c) <= rtol:
            break
        v = v / alpha
        w = v - (s * alpha / r) * w
        rho = -c * alpha
    return x + right @ y, k


def _result(system, right, condition, x, nit, rtol, maxiter, sketch):
    x = system.returned(x)
    r = system.residual(system.taken(x))
    residual, size = euclidean_norm(r), euclidean_norm(system.b)
    slope = euclidean_norm(right.T @ system.transposed_times(r)) if right.shape[1] else 0.0
    optimality = slope / residual if residual else 0.0
    least = max(rtol, _ROUNDING)  # of a residual that is rounding, a direction tells nothing
    small = residual <= least * size
    # the products with A R^-1, and the residual, are known to so much
    attainable = max(rtol, _ROUNDING * (condition + size / residual)) if residual else rtol
    converged = small or optimality <= attainable
    status = (
        _status.CONVERGED if converged else _status.STALLED if nit < maxiter else _status.MAXITER
    )
    return x, OptimizeResult(
        converged=converged,
        status=status,
        message=_status.message(
            status, measure="relative residual" if small else "optimality",
            error=residual / (size or 1.0) if small else optimality,
            tol=least if small else attainable,
        ),
        nit=nit,
        residual_norm=residual * system.b_unit,
        optimality=optimality,
        rank=right.shape[1],
        method=sketch,
        backend=system.kernels.name,
    )  # fmt: skip
