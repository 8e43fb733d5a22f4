"""Conjugate gradients without the eigenvectors that keep them busy."""

from refopt import _validate
from refopt.deep_conjugate import _direction
from refopt.deep_conjugate._directions import STALLED
from refopt.deep_conjugate._lanczos import ritz_vectors
from refopt.deep_conjugate._system import dot
from refopt_backends import diagonal_of, is_array


def deflated_cg(
    A,
    b,
    x0=None,
    *,
    n_ritz=16,
    n_lanczos=100,
    rtol=1e-5,
    atol=0.0,
    maxiter=None,
    nullspace="auto",
    callback=None,
    disp=False,
    time_limit=None,
    full_output=False,
    backend=None,
):
    """Solve a symmetric positive definite system by deflated conjugate gradients.

    For :math:`A x = b` the Ritz vectors W of the smallest Ritz values are solved for exactly, and
    the directions of conjugate gradients, preconditioned by the diagonal D of A, are kept
    A-orthogonal to them:

    .. math::

        d \\leftarrow z - W (W'AW)^{-1} (AW)' z + \\beta d, \\qquad z = D^{-1} r.

    It pays where many systems share one matrix, and is here as a peer of learned directions.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator or PoissonGrid, shape (n, n)
        Symmetric positive definite, or semidefinite with a known null space. D = I for a
        LinearOperator.
    b : array, shape (n,) or (n, 1)
        Right-hand side.
    x0 : array, shape of `b`, optional
        Start, zero by default.
    n_ritz : int
        Number of Ritz vectors; 0 leaves preconditioned conjugate gradients.
    n_lanczos : int
        Lanczos steps from b.
    rtol, atol : float
        Stops when :math:`\\|b - A x\\|_2 \\le \\max(\\text{rtol} \\|b\\|_2, \\text{atol})`.
    maxiter : int, optional
        Largest number of iterations, 10 n by default.
    nullspace : "auto", None, "constant" or array, shape (n, k)
        Vectors that A maps to zero, see `deep_conjugate_direction`.
    callback : callable, optional
        As of `deep_conjugate_direction`.
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
        The last iterate.
    info : int or OptimizeResult
        As of `deep_conjugate_direction`; `nfev` does not count the Lanczos steps.

    Raises
    ------
    TypeError, ValueError
        As `deep_conjugate_direction`.

    See Also
    --------
    deep_conjugate_direction : Directions of any model.

    Notes
    -----
    Setup: `n_lanczos` + `n_ritz` products, 4 n `n_lanczos`^2 operations, `n_lanczos` vectors. Per
    iteration: a product and 4 n `n_ritz` operations.

    References
    ----------
    .. [1] Y. Saad, M. Yeung, J. Erhel, F. Guyomarc'h, "A deflated version of the conjugate
       gradient algorithm", SIAM J. Sci. Comput. 21, 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt import PoissonGrid, deflated_cg
    >>> from refopt.problems import pressure_scene
    >>> A = PoissonGrid(pressure_scene("smoke", 16))
    >>> b = np.sin(np.arange(A.n))
    >>> x, info = deflated_cg(A, b)
    >>> info, bool(np.linalg.norm(b - A @ x) <= 1e-5 * np.linalg.norm(b))
    (0, True)
    """
    n_ritz = _validate.count(n_ritz, "n_ritz")
    n_lanczos = _validate.count(n_lanczos, "n_lanczos", 1)
    return _direction.solve(
        A, b, x0, lambda *_: lambda system: _deflated(system, n_ritz, n_lanczos), rtol=rtol,
        atol=atol, maxiter=maxiter, nullspace=nullspace, callback=callback, disp=disp,
        time_limit=time_limit, full_output=full_output, backend=backend,
    )  # fmt: skip


def _deflated(system, n_ritz, n_lanczos):
    operator, xp = system.operator, system.operator.xp
    yield system.iterate()
    D = _diagonal(operator)
    W, AW, inverse = _ritz_space(system, n_ritz, n_lanczos)

    def flat(v):
        return xp.reshape(v, (-1,))

    def deflate(v, against):  # W (W'AW)^-1 against' v
        return xp.reshape((inverse @ (against @ flat(v))) @ W, v.shape)

    correction = deflate(system.r, W)
    # Not a step of its own: the first one takes it along.
    x = system.x
    x += correction
    system.r -= operator.product(correction)
    system.nullspace.remove(system.r)
    system.rr = dot(system.r, system.r)
    d, g, beta, rho = operator.zeros(), operator.zeros(), 0.0, 0.0
    while True:
        z = system.r / D
        new = dot(system.r, z)
        if new == 0.0:
            return STALLED
        beta = new / rho if rho else 0.0
        rho = new
        c, dd = system.conjugate(z - deflate(z, AW), beta, d, g)
        if ended := system.verdict(c, dd):
            return ended
        u = dot(system.r, d)
        if system.step(u / c, d, g, u * u / c):
            rho = 0.0
        yield system.iterate(u * u / c)
        if system.stalled:
            return STALLED


def _diagonal(operator):
    """The diagonal of A in the form of vectors, 1 where it is zero or not known."""
    xp = operator.xp
    if operator.grid is not None:
        D = operator.grid.degree * operator.grid.scale
    elif hasattr(operator.A, "diagonal"):
        D = operator.A.diagonal()
    else:
        D = diagonal_of(operator.A) if is_array(operator.A) else operator.zeros()
    return xp.where(D > 0, D, 1.0)


def _ritz_space(system, n_ritz, n_lanczos):
    """Ritz vectors as rows, A times these, and (W'AW)^-1."""
    operator, xp = system.operator, system.operator.xp
    given = operator.grid if operator.grid is not None else operator.A
    theta, Y = ritz_vectors(given, operator.leave(system.b), n_lanczos)
    first = int(xp.count_nonzero(theta <= 1e-10 * float(xp.max(theta))))
    stop = min(first + n_ritz, theta.shape[0])
    W, AW = [], []
    for k in range(first, stop):
        w = operator.enter(Y[:, k])
        system.nullspace.remove(w)
        W.append(xp.reshape(w, (-1,)))
        AW.append(xp.reshape(system.apply(w)[0], (-1,)))
    empty = xp.zeros((0, operator.zeros().size))
    W, AW = (xp.stack(v) if v else empty for v in (W, AW))
    return W, AW, xp.linalg.inv(W @ AW.T)
