"""Bounds on the objective of all networks, from the slopes at the predictions of one."""

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _rng, _validate
from refopt.convex_relu._gates import SMALL_PRICED
from refopt.convex_relu._intake import take_in
from refopt.convex_relu._network import balanced_objective, network_arrays, predictions
from refopt.convex_relu._pricing import KINDS, Pricer
from refopt.convex_relu._program import LOSSES
from refopt.convex_relu._refine import lower_bound
from refopt_backends import resolve

_ROUNDING = 1e-9  # by which slopes may be outside the domain of f*


def certify_network(X, y, W1, w2, *, beta, loss="squared", kind="auto", n_starts=500, rng=None,
                    backend=None):  # fmt: skip
    r"""Bound how far a two-layer ReLU network is from the best of all such networks.

    With the slopes r of the loss at the network's predictions and the highest price
    ``psi = max ||u|| <= 1 of |r'(X u)_+|``,

    .. math:: \max_{0 \le t \le \beta/\psi} -f^*(t r) \;\le\; \min_{m, W_1, w_2}
        f(z) + \beta \sum_j \|u_j\| |\alpha_j| \;\le\; P_{net}.

    At a stationary network the left side is at least ``P_net beta/psi``. The weights may come
    from anywhere; neither balance nor stationarity is assumed, but the bound is tight near
    stationary points only.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Rows, with a column of ones if there are biases.
    y : array_like, shape (n,)
        Targets; -1 and +1 for ``"logistic"`` and ``"hinge"``.
    W1 : array_like, shape (d, m)
        First layer, a column per neuron.
    w2 : array_like, shape (m,)
        Second layer.
    beta : float
        Weight decay, positive, for a loss that is a sum over rows.
    loss : {"squared", "logistic", "hinge"}
        As in `relu_network_objective`. The slopes of the hinge loss are not unique at
        margin 1; one choice is taken, and the bound is valid but often loose.
    kind : {"auto", "exact", "dca", "arc", "pivot"}
        How psi is searched, see `price_gates`. ``"auto"`` is exact up to rank 3 and 2000 rows.
    n_starts : int, default 500
        Random starts of a search that is not exact.
    rng : None, int or numpy.random.Generator
        For the starts.
    backend : str, optional
        As everywhere.

    Returns
    -------
    OptimizeResult
        ``fun``, the network's objective; ``lower_bound``; ``gap``, their difference over
        ``fun``, at least 0; ``gap_kind``: ``"global-exact"`` if the bound is rigorous,
        ``"heuristic"`` if psi may have been missed, so that the bound is an estimate only;
        ``psi``; ``U`` and ``sides``, directions with prices above beta, highest first, in
        which a further neuron lowers the objective.

    Raises
    ------
    ValueError
        Wrong shapes, NaN, labels other than -1 and +1, `beta` not positive, an unknown
        `loss` or `kind`.
    TypeError
        Complex numbers, or arrays of several libraries.

    Notes
    -----
    The cost is that of `price_gates`, for both signs. Slopes at a network are a poorer dual point
    than `r` of `fit_convex_relu`: of four fits gaps of 6e-5 to 4e-3 where `dual_bound` at
    `r` gives 2e-6 to 7e-4. A heuristic gap may be far too small, see `fit_convex_relu`.

    References
    ----------
    .. [1] M. Pilanci, T. Ergen, "Neural Networks are Convex Regularizers", ICML 2020,
       arXiv 2002.10553; the bound is its dual program at one point.

    Examples
    --------
    One row: the best network has one neuron, with 0.9 times the row as output.

    >>> from refopt import certify_network
    >>> res = certify_network([[1.0]], [1.0], [[0.9**0.5]], [0.9**0.5], beta=0.1)
    >>> round(res.fun, 9), round(res.lower_bound, 6), res.gap_kind
    (0.095, 0.095, 'global-exact')
    """
    _validate.choice(kind, "kind", KINDS)
    X, y, W1, w2 = network_arrays(X, y, W1, w2, loss, backend)
    beta = _validate.positive(beta, "beta")
    if y.ndim != 1:
        raise ValueError(f"y must be 1-dimensional, got {y.ndim} dimensions")
    xp, kernels = resolve(X, backend=backend, small=X.size < SMALL_PRICED)
    pricer = Pricer(X, kind, _validate.count(n_starts, "n_starts"), kernels)
    rng, f = _rng.generator(rng), LOSSES[loss]()
    fun = balanced_objective(X, y, W1, w2, beta, f)
    r = f.gradient(predictions(X, W1, w2), y)
    U, values = zip(*(pricer(-sign * r, W1, rng) for sign in (1.0, -1.0)), strict=True)
    sides = np.repeat([1, -1], [len(v) for v in values])
    prices = np.concatenate(values)
    order = np.argsort(-prices, kind="stable")
    order = order[prices[order] > beta]
    psi = float(prices.max(initial=0.0))
    bound = max(0.0, lower_bound(f, r, y, psi, beta))
    directions = xp.take(xp.concat(U, axis=0), xp.asarray(order), axis=0)
    return OptimizeResult(
        fun=fun, lower_bound=bound, gap=max(0.0, fun - bound) / fun if fun > 0 else 0.0,
        gap_kind="global-exact" if pricer.exact else "heuristic", psi=psi,
        U=xp.asarray(directions.T, copy=True), sides=sides[order], backend=kernels.name,
    )  # fmt: skip


def dual_bound(X, y, r, *, beta, loss="squared", kind="auto", n_starts=500, rng=None,
               backend=None):  # fmt: skip
    r"""Bound the objective of all two-layer ReLU networks from below, by slopes of the loss.

    With the highest price ``psi = max ||u|| <= 1 of |r'(X u)_+|`` it is

    .. math:: \max_{0 \le t \le \beta/\psi} -f^*(t r) \;\le\; \min_{m, W_1, w_2}
        f(z) + \beta \sum_j \|u_j\| |\alpha_j|,

    for any r: the slopes at the predictions of any network, or the `r` of a result.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Rows, with a column of ones if there are biases.
    y : array_like, shape (n,)
        Targets; -1 and +1 for ``"logistic"`` and ``"hinge"``.
    r : array_like, shape (n,)
        Slopes; for labels ``-y r`` is between 0 and 1.
    beta : float
        Weight decay, positive, for a loss that is a sum over rows.
    loss : {"squared", "logistic", "hinge"}
        As in `relu_network_objective`.
    kind : {"auto", "exact", "dca", "arc", "pivot"}
        How psi is searched, see `price_gates`. Up to rank 3 and 2000 rows ``"auto"`` is exact,
        and the bound rigorous; otherwise psi may be missed, and the bound is an estimate.
    n_starts : int, default 500
        Random starts of a search that is not exact.
    rng : None, int or numpy.random.Generator
        For the starts.
    backend : str, optional
        As everywhere.

    Returns
    -------
    float
        The bound, 0 at least.

    Raises
    ------
    ValueError
        Wrong shapes, NaN, labels other than -1 and +1, `r` outside the domain of f*, `beta` not
        positive, an unknown `loss` or `kind`.
    TypeError
        Complex numbers, or arrays of several libraries.

    See Also
    --------
    certify_network : The same for the slopes at a network's predictions.

    Notes
    -----
    The cost is that of `price_gates`, for both signs.

    References
    ----------
    .. [1] M. Pilanci, T. Ergen, "Neural Networks are Convex Regularizers", ICML 2020,
       arXiv 2002.10553.

    Examples
    --------
    >>> from refopt import dual_bound
    >>> round(dual_bound([[1.0]], [1.0], [-0.1], beta=0.1), 6)
    0.095
    """
    _validate.choice(kind, "kind", KINDS)
    arrays = [_validate.as_array(a, name) for a, name in ((X, "X"), (y, "y"), (r, "r"))]
    small = getattr(arrays[0], "size", 0) < SMALL_PRICED
    xp, kernels = resolve(*arrays, backend=backend, small=small, names=("X", "y", "r"))
    _validate.choice(loss, "loss", tuple(LOSSES))
    X, y = take_in(xp, arrays[0], arrays[1], loss, False, 1)
    r = _validate.moderate(xp, _validate.real_array(xp, arrays[2], "r", 1), "r")
    if r.shape[0] != X.shape[0]:
        raise ValueError(f"r must have one entry per row of X, {X.shape[0]}, got {r.shape[0]}")
    r = xp.astype(r, xp.float64, copy=False)
    if loss != "squared":
        t = -y * r
        if float(xp.min(t)) < -_ROUNDING or float(xp.max(t)) > 1 + _ROUNDING:
            raise ValueError("r must have -y r between 0 and 1, got other slopes")
        r = -y * xp.clip(t, 0.0, 1.0)
    beta = _validate.positive(beta, "beta")
    pricer = Pricer(X, kind, _validate.count(n_starts, "n_starts"), kernels)
    rng = _rng.generator(rng)
    values = [pricer(-sign * r, None, rng)[1] for sign in (1.0, -1.0)]
    psi = max((float(v[0]) for v in values if len(v)), default=0.0)
    return max(0.0, lower_bound(LOSSES[loss](), r, y, psi, beta))
