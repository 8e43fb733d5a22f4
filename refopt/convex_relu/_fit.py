"""Two-layer ReLU networks fitted through the convex program."""

import math
from typing import Any

from scipy.optimize import OptimizeResult

from refopt import _rng, _status, _validate
from refopt.convex_relu import _gates
from refopt.convex_relu._master import Master, solve_program
from refopt.convex_relu._program import LOSSES
from refopt.convex_relu._recovery import network
from refopt.convex_relu._refined_fit import fit_refined
from refopt_backends import resolve

_SINGLE = 1e-6  # least tolerance of a relative gap of data in single precision
_KINDS = ("gaussian", "conv", "all")


def fit_convex_relu(
    X,
    y,
    *,
    beta,
    loss="squared",
    gates=None,
    n_gates=100,
    gate_kind="gaussian",
    bias=False,
    method="auto",
    splitting="consensus",
    gamma_ratio=1.0,
    refine=0,
    m_init=60,
    rho=None,
    eta=None,
    kappa=None,
    relax=1.8,
    adapt_rho=True,
    epsilon=0.0,
    p=math.inf,
    perturb_mask=None,
    tol=1e-4,
    maxiter=1000,
    time_limit=None,
    rng=None,
    callback=None,
    disp=False,
    backend=None,
):
    r"""Fit a two-layer ReLU network by a convex program, with a certificate.

    The network :math:`z = (X W_1)_+ w_2` with weight decay has the objective

    .. math::
        P_{net} = f(z) + \tfrac{\beta}{2} \left(\|W_1\|_F^2 + \|w_2\|^2\right),

    f the *sum* of the losses. Over given activation patterns :math:`D_i`, diagonal
    matrices of zeros and ones, it is the convex program

    .. math::
        \min_{v_i, w_i} \; f\Big(\sum_i D_i X (v_i - w_i)\Big)
        + \beta \sum_i (\|v_i\| + \|w_i\|), \qquad
        (2 D_i - I) X v_i \ge 0, \; (2 D_i - I) X w_i \ge 0,

    which an interior point method or alternating directions solve. It stops when

    .. math:: \mathrm{gap} = (p - q) / p \le \mathrm{tol}

    where p is the value of the program at `x`, and q the value of its dual problem at `r`
    and `multipliers`: a bound for the program with these patterns. It is a bound for all
    networks only if the patterns are all there are, ``gate_kind="all"``; with few random
    patterns the network may be far from the best one.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples by rows.
    y : array_like, shape (n,)
        Targets; labels -1 and +1 for the logistic loss and the hinge loss.
    beta : float
        Weight decay, positive. Of the same scale as sums over samples.
    loss : {"squared", "logistic", "hinge"}, optional
        :math:`\tfrac12 (z - y)^2`, :math:`\log(1 + e^{-y z})` or :math:`(1 - y z)_+`.
    gates : array_like, shape (d, P) or bool array, shape (n, P), optional
        Directions whose patterns are taken, or the patterns.
    n_gates : int, optional
        Number of directions to draw if there are no `gates`.
    gate_kind : {"gaussian", "conv", "all"}, optional
        How they are drawn, see `relu_patterns`; ``"all"`` takes all patterns.
    bias : bool, optional
        Append a feature of ones, whose weights are regularised as the others are; d then
        counts it.
    method : {"auto", "interior-point", "admm"}, optional
        ``"interior-point"`` is the default up to 4000 samples. ``"admm"``: alternating
        directions with closed forms, for many samples and low accuracy.
    splitting : {"consensus", "paper"}, optional
        For ``"admm"``: ``"paper"`` is the iteration of [2]_ with its one fixed penalty rho
        (1 by default), for the squared loss, an iteration being one step: a reference, for
        it is slow and depends on rho.
    gamma_ratio : float, optional
        For ``"paper"``: the step of the duals over rho.
    refine : int, optional
        Largest number of rounds that add patterns to the program: it begins with those of a
        network that L-BFGS trains, and with `gates` if there are any, and prices new ones as
        `price_gates` does. The bound is then one for all networks: rigorous up to rank 3 and
        2000 samples, where ``gap_kind`` is ``"global-exact"``; otherwise an estimate,
        ``"heuristic"``. Two to six rounds on most instances tried. For NumPy arrays.
    m_init : int, optional
        With `refine`: neurons of the network that is trained first.
    rho, eta, kappa : float, optional
        For ``"admm"``: the penalty at the start (beta by default), and the weights of the
        cones (30 d/||X||_F^2) and of the predictions (4 n/(P ||X||_F^2)) in it.
    relax : float, optional
        For ``"admm"``: over-relaxation, between 0 and 2.
    adapt_rho : bool, optional
        For ``"admm"``: whether rho follows the ratio of the residuals; with a fixed one
        many problems need very many steps.
    epsilon : float, optional
        Train against every perturbation of every sample with
        :math:`\|\delta\|_p \le \epsilon`. The program then asks for gates that no
        perturbation switches, (2 D_i - I) X v_i >= epsilon ||v_i||_q with 1/p + 1/q = 1,
        and has the worst losses of what is then a linear prediction: its value is the
        worst objective of the network returned, and an upper bound of the best network's.
        Alternating directions only, for up to some hundreds of samples; slow for the
        hinge loss, and where many patterns have next to no room for perturbations.
    p : {2, inf}, optional
        The norm of perturbations.
    perturb_mask : bool array_like, shape (d,), optional
        Features that may be perturbed, all by default; the bias never is.
    tol : float, optional
        As in the criterion above.
    maxiter : int, optional
        Largest number of iterations: a step of the interior point method, 20 steps of
        alternating directions.
    time_limit : float, optional
        Seconds.
    rng : None, int or Generator, optional
        Source of the directions.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, fun, dual, gap, nit. StopIteration ends
        the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    OptimizeResult
        ``x`` (2, d, P), the v_i and w_i; ``W1`` (d, m) and ``w2`` (m,), the network, one
        neuron per column that is not zero; ``patterns`` (n, P) and ``gates`` (d, P) (None
        if patterns were given); ``fun``, the network's objective; ``fun_convex``, p;
        ``dual``, q; ``gap`` and ``gap_kind``: ``"sampled"``, ``"global-exact"`` with all
        patterns, or ``"robust-sampled"`` (`fun` and the bounds are then of
        worst losses); ``lower_bound`` of every network's objective (None unless all patterns
        were taken); ``violation``, the largest of the cones' inequalities at x; ``r``
        (n,), ``multipliers`` (2, n, P), the certificate; ``success``, ``status``,
        ``message``, ``nit``, ``nfev`` (factorisations), ``history`` (time, fun, gap, dual,
        mu), ``backend``. ``status``: 0 gap reached, 1 maxiter, 2 stopped by the callback,
        3 stalled at rounding level, 4 non-finite numbers, 6 time limit.

    Raises
    ------
    ValueError
        `X` is empty, not 2-dimensional or not finite; `y` of another length, labels other
        than -1 and +1; `beta` not positive; `gates` of a wrong shape, patterns that no
        direction has in the interior of its cone; an unknown name.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    A step takes about 4 P d n_+^2 + n^3/3 operations, n_+ the number of samples that a
    pattern activates, and a dozen products with X; 15 to 30 steps are usual whatever the
    tolerance. Memory: n^2 + 25 n P numbers. A step of alternating directions takes about
    12 n d P operations and a few thousand are usual for 1e-4; memory of about 25 n P
    numbers, and n^2 up to 2000 samples. float32 input is solved in double precision
    and returned in single, with a tolerance of 1e-6 at least.

    References
    ----------
    .. [1] M. Pilanci, T. Ergen, Neural networks are convex regularizers: exact
       polynomial-time convex optimization formulations for two-layer networks, ICML 2020.
    .. [2] Y. Bai, T. Gautam, S. Sojoudi, Efficient global optimization of two-layer ReLU
       networks: quadratic-time algorithms and adversarial training, SIAM Journal on
       Mathematics of Data Science, 2023.
    .. [3] S. Mehrotra, On the implementation of a primal-dual interior point method, SIAM
       Journal on Optimization 2, 1992.

    Examples
    --------
    Exclusive or, to its global optimum:

    >>> import refopt
    >>> X = [[1, 1], [1, -1], [-1, 1], [-1, -1]]
    >>> res = refopt.fit_convex_relu(
    ...     X, [1, -1, -1, 1], beta=0.3, loss="hinge", gate_kind="all", bias=True, tol=1e-8
    ... )
    >>> round(res.fun, 5), res.gap_kind
    (0.84853, 'global-exact')
    """
    given = None if gates is None else _validate.as_array(gates, "gates")
    X, y = _validate.as_array(X, "X"), _validate.as_array(y, "y")
    names = "X", "y", "gates"
    small = X.size < _gates.SMALL
    xp, kernels = resolve(X, y, given, backend=backend, small=small, names=names)
    single = _validate.dtype_name(X) == "float32"
    loss = _validate.choice(loss, "loss", tuple(LOSSES))
    kind = _validate.choice(gate_kind, "gate_kind", _KINDS)
    X, y = _take_in(xp, X, y, loss, bool(bias))
    beta = _validate.positive(beta, "beta", "; without weight decay there is no certificate")
    n_gates = _validate.count(n_gates, "n_gates", 1)
    tol = max(_validate.nonnegative(tol, "tol"), _SINGLE if single else 0.0)
    method = _validate.choice(method, "method", ("auto", "interior-point", "admm"))
    if _validate.choice(splitting, "splitting", ("consensus", "paper")) == "paper":
        options = _paper_options(loss, method, rho, eta, kappa, gamma_ratio)
    else:
        options = _splitting(rho, eta, kappa, relax, adapt_rho)
    attack = _attack(xp, epsilon, p, perturb_mask, X.shape[1], bool(bias))
    generator = _rng.generator(rng)
    everything = given is None and kind == "all"
    rounds = _validate.count(refine, "refine")
    if rounds and (attack is not None or splitting == "paper" or method == "admm"):
        raise ValueError(
            f"refine must be 0 with epsilon > 0, the paper's splitting or 'admm', got {rounds}"
        )
    limits = {
        "time_limit": None if time_limit is None else _validate.positive(time_limit, "time_limit"),
        "callback": callback,
        "disp": _validate.display(disp),
    }
    if given is not None:
        D, G = _given_gates(xp, X, given)
    elif rounds and not everything:
        D = None
    elif everything:
        D, G = _gates.all_relu_patterns(X), None
    else:
        D, G = _gates.sample(xp, X, n_gates, kind, generator)
    if rounds:
        return fit_refined(
            X, y, D, beta=beta, loss=loss, rounds=rounds, tol=tol, rng=generator, kernels=kernels,
            m_init=_validate.count(m_init, "m_init", 1), single=single, **limits,
        )  # fmt: skip
    master = solve_program(
        X,
        y,
        D,
        beta=beta,
        loss=loss,
        strict=given is not None,
        method=method,
        splitting=options,
        attack=attack,
        tol=tol,
        maxiter=_validate.count(maxiter, "maxiter"),
        backend=kernels.name,
        **limits,
    )
    problem = X, y, beta, LOSSES[loss]()
    return _result(xp, kernels, problem, master, D, G, tol, single, _gap_kind(everything, attack))


def _splitting(rho: Any, eta: Any, kappa: Any, relax: Any, adapt: Any) -> dict:
    """Options of alternating directions, checked."""
    options: dict[str, Any] = {"adapt": bool(adapt), "relax": _validate.positive(relax, "relax")}
    if options["relax"] >= 2:
        raise ValueError(f"relax must be below 2, got {relax!r}")
    for name, value in (("rho", rho), ("eta", eta), ("kappa", kappa)):
        options[name] = None if value is None else _validate.positive(value, name)
    return options


def _paper_options(loss, method, rho, eta, kappa, gamma_ratio):
    """Options of the paper's preset, checked."""
    if loss != "squared":
        raise ValueError(f"splitting must be 'consensus' for the {loss} loss, got 'paper'")
    if method != "admm":
        raise ValueError("splitting must be 'consensus' unless method is 'admm', got 'paper'")
    for name, value in (("eta", eta), ("kappa", kappa)):
        if value is not None:
            raise ValueError(f"{name} must not be given with splitting 'paper', got {value!r}")
    rho = 1.0 if rho is None else _validate.positive(rho, "rho")
    return {"rho": rho, "gamma_ratio": _validate.positive(gamma_ratio, "gamma_ratio")}


def _attack(xp: Any, epsilon: Any, p: Any, mask: Any, d: int, bias: bool) -> tuple | None:
    """Perturbations, checked; None without any."""
    epsilon = _validate.nonnegative(epsilon, "epsilon")
    p = _validate.real_number(p, "p")
    if p not in (2.0, math.inf):
        raise ValueError(f"p must be 2 or infinity, got {p}")
    on = xp.ones(d)
    given = d - bias
    if mask is not None:
        mask = xp.asarray(mask)
        if tuple(mask.shape) != (given,):
            raise ValueError(f"perturb_mask must have {given} entries, got {tuple(mask.shape)}")
        on[:given] = xp.astype(xp.astype(mask, xp.bool), xp.float64)
    if bias:
        on[given:] = 0.0
    return (epsilon, p, on) if epsilon > 0 else None


def _gap_kind(everything: bool, attack: tuple | None) -> str:
    if attack:
        return "robust-sampled"
    return "global-exact" if everything else "sampled"


def _take_in(xp: Any, X: Any, y: Any, loss: str, bias: bool) -> tuple[Any, Any]:
    """X, with a column of ones if asked, and y, in double precision."""
    X = _validate.all_finite(xp, _validate.real_array(xp, X, "X", 2), "X")
    y = _validate.all_finite(xp, _validate.real_array(xp, y, "y", 1), "y")
    if X.size == 0:
        raise ValueError(f"X must have a row and a column, got shape {tuple(X.shape)}")
    n = X.shape[0]
    if y.shape[0] != n:
        raise ValueError(f"y must have one entry per row of X, {n}, got {y.shape[0]}")
    if loss != "squared" and not bool(xp.all(xp.abs(y) == 1)):
        wrong = _validate.first_place(xp, y, xp.abs(y) != 1)
        raise ValueError(f"y must hold labels -1 and +1 for the {loss} loss, got {wrong}")
    X, y = xp.astype(X, xp.float64, copy=False), xp.astype(y, xp.float64, copy=False)
    return (xp.concat([X, xp.ones((n, 1))], axis=1) if bias else X), y


def _given_gates(xp: Any, X: Any, gates: Any) -> tuple[Any, Any]:
    """Patterns and their directions, each pattern once."""
    n, d = X.shape
    if _validate.dtype_name(gates).startswith("bool"):
        if gates.ndim != 2 or gates.shape[0] != n:
            raise ValueError(
                f"gates must be patterns of shape ({n}, P) if boolean, got {tuple(gates.shape)}"
            )
        D, G = gates, None
    else:
        G = _validate.all_finite(xp, _validate.real_array(xp, gates, "gates", 2), "gates")
        if G.shape[0] != d:
            raise ValueError(f"gates must have shape ({d}, P), got {tuple(G.shape)}")
        G = xp.astype(G, xp.float64, copy=False)
        D = X @ G >= 0
    kept = xp.asarray(_gates.distinct(xp, D))
    return xp.take(D, kept, axis=1), None if G is None else xp.take(G, kept, axis=1)


def _result(
    xp: Any, kernels: Any, problem: tuple, master: Master, D: Any, G: Any, tol: float,
    single: bool, kind: str,
) -> OptimizeResult:  # fmt: skip
    """The result, everything recomputed from the arrays that are returned."""
    X, y, beta, loss = problem
    W1, w2 = network(xp, master.V.T, master.W.T)
    x = xp.stack([master.V, master.W])
    if single:
        x, W1, w2 = (xp.astype(a, xp.float32) for a in (x, W1, w2))
    hidden = X @ xp.astype(W1, xp.float64)
    active = xp.maximum(hidden, xp.zeros_like(hidden))
    decay = float(xp.sum(W1 * W1)) + float(xp.sum(w2 * w2))
    fun = loss.value(active @ xp.astype(w2, xp.float64), y) + 0.5 * beta * decay
    if kind == "robust-sampled":
        fun = master.value
    violation = 0.0
    if D.shape[1]:
        S = 2 * xp.astype(D, xp.float64) - 1
        violation = max(0.0, *(-float(xp.min(S * (X @ U))) for U in (master.V, master.W)))
    outcome, gap, status = master.outcome, master.gap, master.outcome.status
    if gap <= tol and status in (_status.MAXITER, _status.STALLED, _status.TIME_LIMIT):
        status = _status.CONVERGED
    elif status == _status.CONVERGED and gap > tol:
        status = _status.STALLED
    detail = outcome.detail
    if D.shape[1] == 0:
        detail = "No pattern has an active sample: the network is zero."
    return OptimizeResult(
        x=x,
        W1=W1,
        w2=w2,
        fun=fun,
        fun_convex=master.value,
        dual=master.dual,
        gap=gap,
        gap_kind=kind,
        lower_bound=master.dual if kind == "global-exact" else None,
        violation=violation,
        patterns=D,
        gates=G,
        r=master.r,
        multipliers=master.multipliers,
        success=status == _status.CONVERGED,
        status=status,
        message=_status.message(
            status, measure=f"relative gap ({kind})", error=gap, tol=tol, detail=detail
        ),
        nit=outcome.nit,
        nfev=outcome.nit,
        history=outcome.history,
        backend=kernels.name,
    )
