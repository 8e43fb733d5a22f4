"""Training of models by the paper's loss, its successor's, and the iteration's own."""

import math
from copy import copy
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from refopt import _driver, _status, _validate
from refopt._rng import generator
from refopt.deep_conjugate._adam import Adam
from refopt.deep_conjugate._loss import Descent, dcdm_loss, residual_loss
from refopt.deep_conjugate._poisson_grid import PoissonGrid
from refopt.deep_conjugate._training_data import N_ORTH, RandomData, Replay, RitzData
from refopt_backends import euclidean_norm

_LOSSES = {"dcdm": dcdm_loss, "residual": residual_loss}
_DATA: dict[str, Any] = {"ritz": RitzData, "random": RandomData, "replay": Replay}
_VALIDATED = 20  # times in a run
_BATCHES = 5  # drawn where no sample has a loss, as in the last step of a run, before giving up
_DIFFERENCE = 1e-3  # of a parameter, where derivatives are differences


def train_direction_network(
    model: Any,
    problems: Any,
    *,
    loss: str = "dcdm",
    data: str = "ritz",
    n_samples: int = 20000,
    epochs: int = 1,
    batch_size: int = 4,
    lr: float = 1e-4,
    n_unroll: int = 6,
    validation: Any = None,
    rng: Any = None,
    callback: Any = None,
    disp: bool | int = False,
    time_limit: float | None = None,
) -> OptimizeResult:
    r"""Fit the parameters of a model of search directions to problems, without solutions.

    Minimises the mean over right-hand sides b of length 1, drawn anew for every step, of

    .. math:: L = \Big\| b - \frac{b^T f}{f^T A f} A f \Big\|^2, \qquad f = f_c(b),

    which is the same for every multiple of f, by Adam with a step length that falls linearly
    to 2 % of `lr`. Stops when ``epochs * n_samples`` samples have been used.

    Parameters
    ----------
    model : DCDMNet or other model with ``params``
        Where training starts. A model without ``backward`` has its derivatives formed by
        differences, one evaluation per parameter; those that are zero stay so, and steps that
        would cost it ``is_stable`` are shortened.
    problems : PoissonGrid or sequence of PoissonGrid
        The matrices; every sample is of one of them, drawn at random.
    loss : {"dcdm", "residual", "unrolled"}
        ``"dcdm"``: L above. ``"residual"``: :math:`\|b - Af\|`. ``"unrolled"``: the mean of
        :math:`\log_{10}(\|e_{k+1}\|_A/\|e_k\|_A)` over `n_unroll` steps of
        `deep_conjugate_direction` towards a known solution, ``n_orth=4``, the gradient of each
        step taken with the residual that it started from held fixed.
    data : {"ritz", "random", "replay"}
        ``"ritz"``: mixtures of the Ritz vectors of 400 Lanczos steps, those of the lower half
        with nine times the weight. ``"random"``: products of A with mixtures of white,
        smoothed and cumulated noise. ``"replay"``: half as for ``"ritz"``, half residuals
        that the model itself meets on its way to a solution; with ``loss="unrolled"`` runs that
        go on where the last sample of the problem ended, nineteen times of twenty.
    n_samples : int
        Samples of an epoch.
    epochs : int
        How many times `n_samples` samples are drawn.
    batch_size : int
        Samples of one step.
    lr : float
        Length of the first step, of each parameter.
    n_unroll : int
        Steps of the solver in a sample of ``loss="unrolled"``.
    validation : PoissonGrid or sequence of PoissonGrid, optional
        Problems, of any size, on which the loss of eight fixed samples of random data is
        evaluated twenty times in a run. The parameters with the least such loss are returned.
    rng : None, int or numpy.random.Generator
        For all random numbers: equal ones give equal parameters.
    callback : callable, optional
        ``callback(intermediate_result)`` after every step, with ``x``, ``fun``, ``nit`` and
        ``validation``; StopIteration ends the training.
    disp : bool or int
        Print every step, or every `disp`-th.
    time_limit : float, optional
        Seconds.

    Returns
    -------
    OptimizeResult
        ``model``, the trained one, and ``x``, its parameters: those of the last step, of the
        least loss with `validation`; ``fun``, the mean loss of the last tenth of the steps;
        ``success``, ``status``, ``message``, ``nit``, ``nfev`` (directions evaluated),
        ``history`` with the columns ``time``, ``fun`` (the mean over the batch of each step)
        and ``validation`` (NaN where it was not evaluated).

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be; the message names it.

    See Also
    --------
    deep_conjugate_direction : The solver that uses the model.

    Notes
    -----
    A sample costs about three evaluations of the network and two products with A; Ritz data
    take 400 products and 1600 n floats per problem once. The samples that the paper's
    authors use, 20 000 of one matrix, need not be stored.

    References
    ----------
    A. Kaneda, O. Akar, J. Chen, V. Kala, D. Hyde, J. Teran, "A deep conjugate direction method
    for iteratively solving linear systems", ICML 2023, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt import DCDMNet, PoissonGrid, train_direction_network
    >>> A = PoissonGrid(np.ones((4, 4, 4)), outside="air")
    >>> res = train_direction_network(
    ...     DCDMNet("64", channels=2, rng=0), A, n_samples=40, lr=1e-2, rng=0)
    >>> res.nit, res.history["fun"].size
    (10, 11)
    """
    model = _Trainee(model)
    grids = _grids(problems, "problems")
    _validate.choice(loss, "loss", (*_LOSSES, "unrolled"))
    _validate.choice(data, "data", tuple(_DATA))
    n_samples = _validate.count(n_samples, "n_samples", 1)
    epochs = _validate.count(epochs, "epochs", 0)
    batch_size = _validate.count(batch_size, "batch_size", 1)
    n_unroll = _validate.count(n_unroll, "n_unroll", 1)
    lr = _validate.positive(lr, "lr")
    if time_limit is not None:
        time_limit = _validate.nonnegative(time_limit, "time_limit")
    rng = generator(rng)
    n_steps = epochs * -(-n_samples // batch_size)
    options = loss, n_unroll
    training = _Objective(model, grids, data, options, batch_size, rng)
    held = None
    if validation is not None:
        held = _Objective(model, _grids(validation, "validation"), "random", options, 8, rng, True)
    outcome = _driver.run(
        _steps(model, training, held, Adam(model.free, lr, n_steps)),
        tol=-math.inf,
        maxiter=n_steps,
        callback=callback,
        view=lambda iterate, nit: OptimizeResult(
            x=model.whole(iterate.x),
            fun=iterate.fun,
            nit=nit,
            validation=iterate.record["validation"],
        ),
        disp=_validate.display(disp),
        time_limit=time_limit,
    )
    return _result(model, outcome, n_steps, training.nfev)


class _Trainee:
    """A model and what of its parameters is free: all but zeros, of a network all."""

    def __init__(self, model):
        for name in ("params", "setup"):
            if not hasattr(model, name):
                kind = type(model).__name__
                raise TypeError(f"model must be a DCDMNet or MultilevelNet, got {kind}")
        self.model = model
        self.by_differences = not hasattr(model, "backward")
        self.mask = (np.asarray(model.params) != 0) | (not self.by_differences)
        self.free = np.asarray(model.params, dtype=np.float64)[self.mask]

    def whole(self, free):
        """All parameters."""
        params = np.zeros(self.mask.shape)
        params[self.mask] = free
        return params.astype(self.model.params.dtype)

    def at(self, free):
        """The model with other parameters."""
        params = self.whole(free)
        return type(self.model)(params) if self.by_differences else self.model.with_params(params)

    def admitted(self, free, before):
        """The parameters, or nearer to those before where a linear model were not stable."""
        while self.by_differences and not self.at(free).is_stable():
            free = 0.5 * (free + before)
        return free


def _steps(model, training, held, adam):
    """Adam's iterates; only those that were validated, if any are, compete for the best."""
    params, every = adam.params, max(1, adam.n_steps // _VALIDATED)
    for k in range(adam.n_steps + 1):
        value, gradient = training.value_and_gradient(params)
        record, error, final = {"validation": math.nan}, 0.0, held is None or k == 0
        if held is not None and (k % every == 0 or k == adam.n_steps):
            error, final = held.value(params), True
            record = {"validation": error}
        yield _driver.Iterate(params, value, error, record, final)
        params = adam.params = model.admitted(adam.step(gradient), params)


class _Objective:
    """The mean loss over samples of some problems; of the same samples every time if `fixed`."""

    def __init__(self, model, grids, data, options, batch_size, rng, fixed=False):
        self.model, self.grids, self.rng = model, grids, rng
        (self.loss, self.n_unroll), self.batch_size = options, batch_size
        self.data = [_DATA[data](A, rng) for A in grids]
        self.bound = [model.model.setup(A) for A in grids]
        self.samples = [self._draw() for _ in range(batch_size if fixed else 0)]
        self.nfev = 0

    @np.errstate(over="ignore", invalid="ignore")
    def value(self, params, samples=None):
        """The mean loss of the fixed samples, which stay as they are, or of these."""
        model = self.model.at(params)
        bound = [model.setup(A) for A in self.grids]
        samples = samples or [(k, copy(start)) for k, start in self.samples]
        paths = [self._path(k, start, bound[k]) for k, start in samples]
        return _mean([value for path in paths for value, _ in path])

    @np.errstate(over="ignore", invalid="ignore")
    def value_and_gradient(self, params):
        """The mean loss of new samples and its derivatives, NaN where none is defined."""
        if not np.isfinite(self.model.whole(params)).all():
            return math.nan, np.zeros(params.size)
        for _ in range(_BATCHES):
            samples = [self._draw() for _ in range(self.batch_size)]
            value, gradient = self._evaluate(params, samples)
            if not math.isnan(value):
                break
        return value, gradient

    def _evaluate(self, params, samples):
        if self.model.by_differences:
            return self._differences(params, samples)
        model = self.model.at(params)
        losses, gradient = [], np.zeros(params.size)
        for k, start in samples:
            direction = self.bound[k]
            for value, by_f in self._path(k, start, lambda r, d=direction: d.with_tape(model, r)):
                losses.append(value)
                gradient += direction.pulled_back(model, by_f)
        return _mean(losses), gradient / max(len(losses), 1)

    def _differences(self, params, samples):
        lengths, values = _DIFFERENCE * np.maximum(1.0, abs(params)), []
        for j in range(params.size):
            moved = params.copy()
            moved[j] += lengths[j]
            values.append(self.value(moved, [(k, copy(start)) for k, start in samples]))
        value = self.value(params, samples)
        return value, (np.array(values) - value) / lengths

    def _draw(self):
        """A problem's number and a right-hand side of length 1, or a run of the solver."""
        k = int(self.rng.integers(len(self.grids)))
        data = self.data[k]
        if self.loss != "unrolled":
            b = data.rhs(self.rng)
            return k, b / euclidean_norm(b)
        if isinstance(data, Replay):
            return k, data.descent(self.rng)
        return k, Descent(data.A, data.solution(self.rng), N_ORTH)

    def _path(self, k, start, direction):
        """(loss, its gradient by the direction) of a sample, wherever they are defined."""
        if self.loss == "unrolled":
            for _ in range(self.n_unroll):
                pair = start.step(self._evaluated(direction, start.r))
                if pair is None:
                    return
                yield pair
            return
        f = self._evaluated(direction, start)
        if isinstance(self.data[k], Replay):
            self.data[k].told(f)
        pair = _LOSSES[self.loss](self.grids[k], start, f)
        if pair is not None:
            yield pair

    def _evaluated(self, direction, r):
        self.nfev += 1
        return np.asarray(direction(r), dtype=np.float64)


def _mean(values):
    return math.fsum(values) / len(values) if values else math.nan


def _grids(problems, name):
    """A list of grids in three dimensions."""
    grids = list(problems) if isinstance(problems, list | tuple) else [problems]
    if not grids:
        raise ValueError(f"{name} must be one PoissonGrid or several, got none")
    for A in grids:
        if not isinstance(A, PoissonGrid):
            raise TypeError(f"{name} must be one PoissonGrid or several, got {type(A).__name__}")
        if A.n < 2 or not A.diagonal().any():
            raise ValueError(
                f"{name} must have two fluid cells or more, and not all alone, got {A.n}"
            )
    return grids


def _result(model, outcome, n_steps, nfev):
    """What the user gets."""
    fun = outcome.history["fun"]
    last = float(np.mean(fun[-max(1, fun.size // 10) :]))
    status = _status.CONVERGED if outcome.nit == n_steps else outcome.status
    if status == _status.CONVERGED:
        message = f"All {n_steps} steps were taken: mean loss {last:.3g}."
    else:
        message = _status.MESSAGES[status].format(measure="mean loss", error=last, tol=-math.inf)
        message = f"Stopped after {outcome.nit} of {n_steps} steps. {message}"
    trained = model.at(outcome.best.x)
    return OptimizeResult(
        model=trained, x=np.array(trained.params), fun=last, success=status == 0, status=status,
        message=message, nit=outcome.nit, nfev=nfev,
        history={key: outcome.history[key] for key in ("time", "fun", "validation")},
    )  # fmt: skip
