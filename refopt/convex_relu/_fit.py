"""Two-layer ReLU networks fitted through the convex program."""

import math

from refopt import _rng, _validate
from refopt.convex_relu import _gates, _intake, _outputs
from refopt.convex_relu._gated import solve_gated
from refopt.convex_relu._master import solve_program
from refopt.convex_relu._program import LOSSES
from refopt.convex_relu._refined_fit import fit_refined
from refopt.convex_relu._result import gap_kind, rescaled, result
from refopt.convex_relu._scp import solve_features
from refopt_backends import resolve

_SINGLE = 1e-6  # least tolerance of a relative gap of data in single precision
_KINDS = ("gaussian", "conv", "all")
_METHODS = ("auto", "interior-point", "admm", "scp", "gated")


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
    u_solver="auto",
    gamma_ratio=1.0,
    refine="auto",
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
    x0=None,
    prune=False,
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
    y : array_like, shape (n,) or (n, C)
        Targets; labels -1 and +1 for the logistic loss and the hinge loss. C outputs are C
        programs over the same samples and, without refinement, patterns, each with its own
        penalties; with labels, one against the rest.
    beta : float
        Weight decay, positive. Of the same scale as sums over samples.
    loss : {"squared", "logistic", "hinge"}, optional
        :math:`\tfrac12 (z - y)^2`, :math:`\log(1 + e^{-y z})` or :math:`(1 - y z)_+`.
    gates : array_like, shape (d, P) or bool array, shape (n, P), optional
        Directions whose patterns are taken, or the patterns.
    n_gates : int, optional
        Number of directions to draw if there are neither `gates` nor refinement.
    gate_kind : {"gaussian", "conv", "all"}, optional
        How they are drawn, see `relu_patterns`; ``"all"`` takes all patterns.
    bias : bool, optional
        Append a feature of ones, whose weights are regularised as the others are; d then
        counts it.
    method : {"auto", "interior-point", "admm", "scp", "gated"}, optional
        ``"interior-point"`` is the default up to 6000 samples, or 6000 patterns times
        features with any number of samples. ``"admm"``: alternating directions with closed
        forms, for more of both and low accuracy. ``"scp"``: neurons
        with the directions of `gates` and no others, a lasso for their output weights; fast,
        and never below the program with their patterns. ``"gated"``: the program without its
        inequalities, and the ReLU network of the same predictions, v_i - w_i = u_i; never
        above it, but the network is, often far.
    splitting : {"consensus", "paper"}, optional
        For ``"admm"``, which ``"paper"`` makes the default method: the iteration of [2]_ with its
        one fixed penalty rho (1 by default), for the squared and the logistic loss, an iteration
        being one step: a reference, for it is slow and depends on rho.
    u_solver : str, optional
        For ``"admm"``: how its linear system is solved. ``"woodbury"``: an inverse of n x n
        numbers; ``"pcg"``: conjugate gradients on that system through masks; ``"cholesky"``:
        a factor of P d x P d numbers; ``"sylvester"``: copies of n x d numbers and
        eigenvectors of d x d and P x P. ``"auto"`` is ``"woodbury"`` up to 2000 samples,
        if not more than columns, else ``"sylvester"``. For ``"paper"`` also ``"rbcd"``, random
        block coordinate descent to an accuracy that rises by 6 % from step to step; the
        logistic loss has that and ``"pcg"``, Newton's method with conjugate gradients.
    gamma_ratio : float, optional
        For ``"paper"``: the step of the duals over rho.
    refine : "auto" or int, optional
        Largest number of rounds that add patterns to the program: it begins with those of a
        network that L-BFGS trains, and with `gates` if there are any, and prices new ones as
        `price_gates` does. The bound is then one for all networks: rigorous up to rank 3 and
        2000 samples, where ``gap_kind`` is ``"global-exact"``; otherwise an estimate,
        ``"heuristic"``, see Notes. Two to six rounds on most instances tried. ``"auto"``: 10
        rounds if neither `gates` nor all patterns are asked for and the method is an interior
        point one; otherwise 0, the program over the patterns alone.
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
        An interior point method of its own, for up to about a thousand samples; patterns
        without room for the perturbations are left out, and zero in `x`.
    p : {1, 2, inf}, optional
        The norm of perturbations.
    perturb_mask : bool array_like, shape (d,), optional
        Features that may be perturbed, all by default; the bias never is.
    tol : float, optional
        As in the criterion above.
    maxiter : int, optional
        Largest number of iterations: a step of the interior point method, 20 steps of
        alternating directions, a round of refinement.
    time_limit : float, optional
        Seconds.
    x0 : array, shape (2, d, P) or OptimizeResult, optional
        Where to begin: V and W over the patterns of this fit, or an earlier result, whose
        patterns are taken if there are no `gates`, with its dual point. At a solution the run
        ends at the first check. Refinement begins with its network instead of training one;
        alternating directions take over all, rho included; an interior point method cannot use a
        point at the boundary, and keeps its bounds only; with `epsilon` only patterns are
        taken. For C outputs an array
        (C, 2, d, P) or the result of as many.
    prune : bool, optional
        Join neurons whose outputs at the samples are linearly dependent, by which no
        prediction there changes and the penalty does not grow: n neurons at most. `x` stays as
        it is. Neurons of norm zero are never returned.
    rng : None, int or Generator, optional
        Source of the directions.
    callback : callable, optional
        ``callback(intermediate_result)``, with x, fun, dual, gap, nit; lower_bound, psi, W1, w2
        in place of dual with refinement; output, its number, if there are several.
        StopIteration ends the run.
    disp : bool or int, optional
        Print every iteration, or every `disp`-th.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    OptimizeResult
        ``x`` (2, d, P), the v_i and w_i; ``W1`` (d, m) and ``w2`` (m,), the network, one
        neuron per column that is not zero; ``patterns`` (n, P) and ``gates`` (d, P) (None
        if there are patterns only); ``fun``, the network's objective; ``fun_convex``, p;
        ``dual``, q; ``gap`` and ``gap_kind``: ``"sampled"``, ``"global-exact"`` with all
        patterns, ``"gated"`` (of the program without inequalities), or ``"robust-sampled"``
        (`fun` and the bounds are then of worst losses); after refinement see there, the gap
        being that of `fun` and ``lower_bound``, which bounds every network's objective
        (None without refinement, unless all patterns were taken); ``psi``, the
        highest price found at the bound's dual point (None without refinement);
        ``violation``, the largest of the cones' inequalities at x;
        ``r`` (n,), ``multipliers`` (2, n, P), the certificate (r
        alone for ``"scp"``, ``"gated"`` and refinement); ``rho``, the last penalty;
        ``success``, ``status``, ``message``, ``nit``, ``nfev`` (steps of the methods),
        ``n_rounds`` and ``rounds``, a dict per round (P, net, lower_bound, psi);
        ``history`` (time, fun, gap and, without refinement, dual, mu, for ``"admm"`` also
        net, the objective of the iterate as a network, primal_residual and dual_residual;
        with refinement those of rounds), ``backend``. ``status``: 0 gap reached, 1 maxiter
        or rounds, 2 stopped by the callback, 3 stalled at rounding level, 4 non-finite
        numbers, 6 time limit.

        For C outputs ``outputs`` has the result of each, ``gaps`` their gaps, and the rest is
        side by side: ``x`` (C, 2, d, P), ``w2`` (m, C) with one entry per neuron, ``r`` (n, C),
        ``multipliers`` (C, 2, n, P); values, bounds and numbers of steps are sums, ``gap`` that
        of the sums; ``rounds`` has a list per output, `history` is one after the other.

    Raises
    ------
    ValueError
        `X` is empty, not 2-dimensional or not finite; `y` of another length, labels other
        than -1 and +1; `beta` not positive; `gates` of a wrong shape, patterns that no
        direction has in the interior of its cone; `x0` of another shape; an unknown name.
    TypeError
        Complex or non-numeric input, arrays of different libraries.

    Notes
    -----
    For ``"scp"`` a step of the interior point method takes n P min(n, P) operations, for
    ``"gated"`` 2 n^2 P + n^3/3 or those of the smaller system, in memory of n P d numbers at
    most. Otherwise a step takes about 4 P d n_+^2 + n^3/3 operations, n_+ the number of
    samples that a pattern activates, and a dozen products with X; with n > P d it takes
    (P d)^3/3 and, unless the loss is squared, n (P d)^2/2. 15 to 40 steps are usual whatever
    the tolerance. Memory: min(n, P d)^2 + 25 n P numbers. A step of alternating directions takes
    about 12 n d P operations and a few thousand are usual for 1e-4; memory of about 25 n P
    numbers, and n^2 up to 2000 samples. X is divided by the power of four next to its root
    mean square, and beta with it (not for the paper's splitting), so that the features'
    unit does not matter; defaults of rho, eta and kappa are in these units. float32 input is
    solved in double precision and returned in single, with a tolerance of 1e-6 at least.

    A heuristic gap is no certificate, `success` included: local searches may miss the highest
    price, and the bound is then too high. On 455 samples of 31 features a gap of 3.7e-5 was
    reported where longer searches at the same dual point left one of 6.6e-4, and one of
    2.8e-8 where they found a price 2.4e-4 above beta.
    ``dual_bound(X, y, res.r, beta=beta, n_starts=2000)``, with the column of ones if there is a
    bias and one output at a time, searches again.

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
    priced = given is None and refine != 0
    small = X.size < (_gates.SMALL_PRICED if priced else _gates.SMALL)
    xp, kernels = resolve(X, y, given, backend=backend, small=small, names=names)
    single = _validate.dtype_name(X) == "float32"
    loss = _validate.choice(loss, "loss", tuple(LOSSES))
    kind = _validate.choice(gate_kind, "gate_kind", _KINDS)
    X, y = _intake.take_in(xp, X, y, loss, bool(bias))
    beta = _validate.positive(beta, "beta", "; without weight decay there is no certificate")
    n_gates = _validate.count(n_gates, "n_gates", 1)
    tol = max(_validate.nonnegative(tol, "tol"), _SINGLE if single else 0.0)
    maxiter = _validate.count(maxiter, "maxiter")
    method = _validate.choice(method, "method", _METHODS)
    paper = _validate.choice(splitting, "splitting", ("consensus", "paper")) == "paper"
    method = "admm" if paper and method == "auto" else method
    scale = 1.0 if paper else _intake.feature_scale(xp, X)
    if paper:
        options = _intake.paper_options(loss, method, u_solver, rho, eta, kappa, gamma_ratio)
    else:
        weights = rho, eta, kappa
        options = _intake.splitting_options(u_solver, weights, relax, adapt_rho, scale)
    attack = _intake.attack_options(xp, epsilon, p, perturb_mask, X.shape[1], bool(bias), scale)
    if attack and method in ("admm", "scp", "gated"):
        raise ValueError(f"epsilon must be 0 with method {method!r}, got {epsilon}")
    possible = attack is None and not paper and method in ("auto", "interior-point")
    rounds = _intake.rounds_of(refine, possible, given is None and kind != "all")
    generator = _rng.generator(rng)
    if options["u_solver"] == "rbcd":
        options["rng"] = generator
    driver = {
        "time_limit": None if time_limit is None else _validate.positive(time_limit, "time_limit"),
        "callback": _outputs.rescaling(callback, scale),
        "disp": _validate.display(disp),
        "tol": tol,
    }
    X, beta = X / scale, beta / scale
    starts = _outputs.starts(xp, x0, X.shape, y.shape[1:], scale)
    everything = given is None and kind == "all"
    known = starts[0] if starts and given is None and kind != "all" else None
    if known is not None and known.patterns is not None and not rounds:
        D, G = known.patterns, known.gates
        if method == "scp":
            G = _intake.of_length_one(xp, G)
    elif method == "scp":
        D, G = _intake.directions(xp, X, given, n_gates, kind, generator)
    elif given is not None:
        D, G = _intake.given_gates(xp, X, given)
    elif everything:
        D, G = _gates.all_relu_patterns(X), None
    elif rounds:
        D = G = None
    else:
        D, G = _gates.sample(xp, X, n_gates, kind, generator)
    m_init = _validate.count(m_init, "m_init", 1)
    about = gap_kind(method, everything, attack)

    def fit(y, start, driver):
        common = {"beta": beta, "loss": loss, **driver}
        if rounds:
            return fit_refined(
                X, y, D, rounds=min(rounds, maxiter), rng=generator, kernels=kernels,
                m_init=m_init, single=single, prune=bool(prune), start=start, **common,
            )  # fmt: skip
        start = None if start is None or attack else start.on(xp, D)
        common |= {"maxiter": maxiter, "start": start}
        if method == "scp":
            master = solve_features(X, y, G, xp=xp, kernels=kernels, **common)
        elif method == "gated":
            master = solve_gated(
                X, y, D, strict=given is not None, xp=xp, kernels=kernels, **common
            )
        else:
            master = solve_program(
                X, y, D, strict=given is not None, method=method, splitting=options,
                attack=attack, backend=kernels.name, **common,
            )  # fmt: skip
        problem = X, y, beta, LOSSES[loss]()
        history = master.outcome.history
        last = float(history["mu"][-1]) if "primal_residual" in history else None
        return result(xp, kernels, problem, master, D, G, tol, single, about, last, bool(prune))

    if y.ndim == 2:
        return _outputs.fit_outputs(fit, y, starts, driver, scale)
    return rescaled(fit(y, starts[0] if starts else None, driver), scale)
