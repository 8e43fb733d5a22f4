"""Matrix games: both strategies, the value, and a certified duality gap."""

from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _driver, _rng, _status, _validate
from refopt._driver import Iterate
from refopt.halpern import _game, _game_inclusion
from refopt.halpern._double_oracle import double_oracle, first_strategies
from refopt.halpern._game import middle
from refopt.halpern._interior_point import interior_point
from refopt.halpern._regret_matching import regret_matching
from refopt.halpern._restarted_halpern import restarted_halpern
from refopt.halpern._support_polish import polish
from refopt_backends import resolve

# Entries below which compiled kernels are not woken for NumPy arrays.
SMALL = 2_000
_FEW = 8  # strategies of a player that the double oracle is given to look for by default
_FACTORISED = 3_000  # rows or columns of a sparse game up to which its Gram matrix is formed
_SINGLE = 1e-6  # of the largest entry: what strategies in single precision can reach
_OWN = ("interior-point", "double-oracle", "rhpdhg", "prm+")
_METHODS = ("auto", *_OWN, *_game_inclusion.METHODS)


def matrix_game(
    A,
    *,
    method="auto",
    tol=1e-8,
    rtol=0.0,
    centre=True,
    polish=True,
    x0=None,
    y0=None,
    maxiter=100_000,
    time_limit=None,
    callback=None,
    disp=False,
    rng=None,
    backend=None,
):
    r"""Solve a zero-sum matrix game.

    .. math::
        \min_{x} \max_{y} \; y^T A x, \qquad x, y \ge 0, \;
        \textstyle\sum_j x_j = \sum_i y_i = 1 .

    The row player's strategy y maximises, the column player's x minimises.
    Stops when

    .. math::
        \mathrm{gap}(x, y) = \max_i (A x)_i - \min_j (A^T y)_j
        \le \mathrm{tol} + \mathrm{rtol} \cdot \max_{ij} |A_{ij}| .

    The gap is never negative, and the value of the game lies between the two
    terms: it is a certificate, recomputed from what is returned.

    Parameters
    ----------
    A : array_like or sparse matrix, shape (m, n)
        Payments of the column player to the row player.
    method : str, optional
        ``"auto"`` looks for few strategies by the double oracle, then takes the
        interior point method, or ``"rhpdhg"`` for sparse games too large to
        factorise; the message says which. ``"interior-point"``;
        ``"double-oracle"``; ``"rhpdhg"``, the restarted, reflected Halpern
        iteration of the primal-dual hybrid gradient map; ``"prm+"``, predictive
        regret matching plus; and the family's methods for inclusions
        ``"vr-halpern"``, ``"inexact-halpern"``, ``"eg"``, ``"eag"``, ``"forb"``
        and ``"vr-eg"``.
    tol, rtol : float, optional
        As in the criterion above.
    centre : bool, optional
        Take row and column terms off A, which step lengths need not know.
    polish : bool, optional
        Try the strategies that make all payoffs on the present supports equal:
        they are exact if the supports are right.
    x0 : array_like, shape (n,), optional
        Start of the column player, uniform by default.
    y0 : array_like, shape (m,), optional
        Start of the row player, uniform by default.
    maxiter : int, optional
        Largest number of iterations: a sub-game of the double oracle, a
        factorisation, 40 steps of ``"rhpdhg"``, 50 of ``"prm+"``, an epoch (or
        what comes closest) of the methods for inclusions.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, y, fun, value, gap, nit.
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    rng : None, int or Generator, optional
        For the stochastic methods.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    OptimizeResult
        ``x`` (of the column player), ``y`` (of the row player), ``value`` and
        ``fun`` (the middle of the two bounds), ``gap``, ``success``,
        ``status``, ``message``, ``nit``, ``nfev`` (pairs of products with A and
        A'), ``nchol`` (factorisations), ``history`` (time, fun, gap), ``backend``.
        ``status``: 0 converged, 1 maxiter, 2 stopped by the callback, 3 stalled
        at rounding level, 4 non-finite numbers, 6 time limit. Whatever the
        status, the pair of least gap is returned.

    Raises
    ------
    ValueError
        `A` is empty, not 2-dimensional or not finite; a start of another length
        or outside the simplex; an unknown method.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    The interior point method takes 5 to 15 iterations of about k^2 (m + n)
    operations, k = min(m, n), in products of matrices, and memory for two more
    matrices of A's size and one of size k; it starts from some steps of regret
    matching. First-order iterations take 2 m n operations each and are many.
    Sparse matrices are never made dense. float32 input is solved in double
    precision and returned in single, with a tolerance of 1e-6 max|A| at least.

    References
    ----------
    .. [1] S. Mehrotra, On the implementation of a primal-dual interior point
       method, SIAM Journal on Optimization 2, 1992; J. Gondzio, Multiple
       centrality corrections, Computational Optimization and Applications 6, 1996.
    .. [2] H. B. McMahan, G. J. Gordon, A. Blum, Planning in the presence of cost
       functions controlled by an adversary, ICML 2003 (double oracle).
    .. [3] H. Lu, J. Yang, Restarted Halpern PDHG for linear programming, 2024.
    .. [4] G. Farina, C. Kroer, T. Sandholm, Faster game solving via predictive
       Blackwell approachability, AAAI 2021 (predictive regret matching plus).

    Examples
    --------
    Rock, paper, scissors:

    >>> import refopt
    >>> res = refopt.matrix_game([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    >>> [round(float(p), 6) for p in res.x]
    [0.333333, 0.333333, 0.333333]
    >>> abs(res.value) < 1e-12 and res.gap < 1e-12
    True
    """
    method = _validate.choice(method, "method", _METHODS)
    x0 = None if x0 is None else _validate.as_array(x0, "x0")
    y0 = None if y0 is None else _validate.as_array(y0, "y0")
    xp, kernels, A, single = _take_in(A, x0, y0, backend)
    game = _game.take_in(xp, kernels, A, bool(centre))
    m, n = game.size
    start = _strategy(xp, x0, n, "x0"), _strategy(xp, y0, m, "y0")
    target = _validate.nonnegative(tol, "tol") + _validate.nonnegative(rtol, "rtol") * game.scale
    if single:
        target = max(target, _SINGLE * game.scale)
    given = x0 is not None or y0 is not None
    chosen: list[str] = []
    rng = _rng.generator(rng)
    options: dict[str, Any] = {
        "tol": target,
        "maxiter": _validate.count(maxiter, "maxiter"),
        "callback": callback,
        "view": _view,
        "disp": _validate.display(disp),
        "time_limit": time_limit
        if time_limit is None
        else _validate.positive(time_limit, "time_limit"),
    }
    if method in _game_inclusion.METHODS:
        chosen.append(method)
        outcome = _game_inclusion.run(game, method, *start, rng=rng, **options)
    else:
        run = _algorithm(game, A, method, start, given, bool(polish), target, chosen)
        outcome = _driver.run(run, measure="gap", **options)
    return _result(xp, A, game, outcome, target, single, chosen)


def _take_in(A, x0, y0, backend):
    """The namespace, the kernels, A in double precision, and whether it was in single."""
    names = "A", "x0", "y0"
    sparse = hasattr(A, "tocsr") and hasattr(A, "nnz")
    if sparse:
        if A.ndim != 2:
            raise ValueError(f"A must be 2-dimensional, got shape {tuple(A.shape)}")
        matrix = A.tocsr()
        values = matrix.data
    else:
        matrix = values = _validate.as_array(A, "A")
    xp, kernels = resolve(values, x0, y0, backend=backend, small=values.size < SMALL, names=names)
    single = _validate.dtype_name(values) == "float32"
    values = _validate.real_array(xp, values, "the data of A" if sparse else "A", 1 + (not sparse))
    values = _validate.all_finite(xp, xp.astype(values, xp.float64, copy=False), "A")
    if sparse:
        matrix = type(matrix)((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    else:
        matrix = values
    if 0 in matrix.shape:
        raise ValueError(f"A must have a row and a column, got shape {tuple(matrix.shape)}")
    return xp, kernels, matrix, single


def _strategy(xp: Any, given: Any, size: int, name: str) -> Any:
    """A point of the simplex, uniform by default."""
    if given is None:
        return xp.full(size, 1.0 / size)
    p = xp.astype(_validate.real_array(xp, given, name, 1), xp.float64)
    if p.shape[0] != size:
        raise ValueError(f"{name} must have {size} entries, got {p.shape[0]}")
    _validate.all_finite(xp, p, name)
    total = float(xp.sum(p))
    if float(xp.min(p)) < -1e-6 or abs(total - 1.0) > 1e-5:
        raise ValueError(
            f"{name} must be nonnegative with sum 1, got least entry {float(xp.min(p)):g} "
            f"and sum {total:g}"
        )
    return _cleaned(xp, p)


def _algorithm(game, A, method, start, given, use_polish, target, chosen):
    """The start, then what the method does."""
    yield _iterate(game, start)
    if method in ("auto", "double-oracle"):
        supports = [game.xp.nonzero(p)[0] for p in (start[1], start[0])]
        if given and use_polish:
            exact = polish(game, *supports)
            chosen.append("supports of the start")
            if exact is not None:
                yield _iterate(game, exact)
        few = given and max(s.shape[0] for s in supports) <= _FEW
        first = [[int(k) for k in s] for s in supports] if few else first_strategies(game, A)
        chosen.append("double oracle")
        largest = _FEW if method == "auto" else max(game.size)
        end = yield from double_oracle(game, *first, largest=largest)
        if method == "double-oracle":
            return end
        if not game.sparse or min(game.size) <= _FACTORISED:
            method = "interior-point"
        else:
            method = "rhpdhg"
    chosen.append(method)
    if method == "interior-point":
        return (yield from interior_point(game, *start, use_polish=use_polish, tol=target))
    if method == "rhpdhg":
        return (yield from restarted_halpern(game, *start, use_polish=use_polish))
    return (yield from regret_matching(game, *start))


def _iterate(game, pair):
    most, least = game.bounds(*pair)
    return Iterate(x=pair, fun=middle(most, least), error=most - least)


def _view(iterate, nit):
    """What a callback sees."""
    x, y = (p + 0.0 for p in iterate.x)
    return OptimizeResult(x=x, y=y, fun=iterate.fun, value=iterate.fun, gap=iterate.error, nit=nit)


def _cleaned(xp, p):
    p = xp.where(p > 0, p, xp.zeros_like(p))
    return p / xp.sum(p)


def _result(xp, A, game, outcome, target, single, chosen):
    """The result, its gap recomputed from A and the strategies that are returned."""
    x, y = (_cleaned(xp, p) for p in outcome.best.x)
    if single:
        x, y = xp.astype(x, xp.float32), xp.astype(y, xp.float32)
    wide_x, wide_y = xp.astype(x, xp.float64, copy=False), xp.astype(y, xp.float64, copy=False)
    most, least = float(xp.max(A @ wide_x)), float(xp.min(A.T @ wide_y))
    gap, status = most - least, outcome.status
    if gap <= target and status in (_status.MAXITER, _status.STALLED, _status.TIME_LIMIT):
        status = _status.CONVERGED
    elif status == _status.CONVERGED and gap > target:
        status = _status.STALLED
    words = "gap max(Ax) - min(A'y)"
    detail = f"Method: {', then '.join(chosen or ['none, the start'])}."
    detail = " ".join(text for text in (outcome.detail, detail) if text)
    value = middle(most, least)
    return OptimizeResult(
        x=x,
        y=y,
        value=value,
        fun=value,
        gap=gap,
        success=status == _status.CONVERGED,
        status=status,
        message=_status.message(status, measure=words, error=gap, tol=target, detail=detail),
        nit=outcome.nit,
        nfev=-(-game.effort.products // 2),
        nchol=game.effort.factorisations,
        history=outcome.history,
        backend=game.kernels.name,
    )
