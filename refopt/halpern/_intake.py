"""From the arguments of a call to a problem and its constants."""

import copy
import math
from typing import Any

import numpy as np

from refopt import _validate
from refopt.halpern._components import FiniteSumOperator, NotANumber, Whole, take_operator
from refopt.halpern._inclusion import Inclusion
from refopt.halpern._sampling import Indices, sampling_law
from refopt.halpern._step import probe
from refopt_backends import resolve

SMALL = 4096  # entries of data up to which the compiled kernels are not woken


def take_problem(fun: Any, x0: Any, prox: Any, n_components: Any, backend: Any) -> tuple[Any, Any]:
    """The problem and its start."""
    x0 = _validate.as_array(x0, "x0")
    given = fun.arrays if isinstance(fun, FiniteSumOperator) else ()
    work = sum(a.size for a in given) or x0.size
    small = work < SMALL and not hasattr(fun, "py_func")
    names = ("x0", *("fun" for _ in given))
    xp, kernels = resolve(x0, *given, backend=backend, small=small, names=names)
    u = _validate.moderate(xp, _validate.real_array(xp, x0, "x0", 1), "x0")
    if u.shape[0] == 0:
        raise ValueError("x0 must have at least one entry, got none")
    if given:
        u = xp.astype(u, given[0].dtype, copy=False)
    if isinstance(fun, FiniteSumOperator):
        fun = copy.copy(fun)
        fun.kernels = kernels
    operator = take_operator(fun, n_components, u, xp, kernels)
    return Inclusion(xp, kernels, operator, prox, u), xp.asarray(u, copy=True)


def finite_sum(problem: Any, what: str) -> None:
    """Refuse an operator without components."""
    if isinstance(problem.operator, Whole):
        raise ValueError(
            f"n_components must be given for {what}, with fun(x, index), or an operator with "
            "components as fun; got None"
        )


def constants(
    problem: Any, u: Any, L: Any, sampling: Any, cocoercive: bool = False
) -> tuple[float, bool]:
    """A Lipschitz constant, and whether it is known rather than estimated.

    Of F for ``sampling=None``, else on average of the components, for cocoercive ones
    that of this property.
    """
    if L is not None and not isinstance(L, str):
        return _validate.positive(L, "L"), True
    if isinstance(L, str):
        _validate.choice(L, "L", ("estimate",))
    law = "full" if sampling is None else sampling
    known = None if isinstance(L, str) else problem.operator.lipschitz(law)
    if known is not None and known > 0 and math.isfinite(known):
        return float(known), True
    try:
        if problem.measured is None:
            problem.measured = probe(problem, u, problem.F(u), sampling)
        whole, average, stronger = problem.measured
    except NotANumber:  # the run meets it itself, or stays where F is defined
        return 1.0, False
    if sampling is None:
        return whole, known == 0
    return (stronger if cocoercive else average), known == 0


def law_of_components(problem: Any, sampling: Any) -> Any:
    """The argument `sampling`, "uniform" where an operator has no weights."""
    law = sampling_law(sampling, problem.n)
    if isinstance(law, str) and problem.operator.weights is None:
        return "uniform"
    if not isinstance(law, str) and problem.operator.weights is not None:
        shares = problem.operator.weights
        for share in shares if isinstance(shares, tuple) else (shares,):
            if share.size != law.size:
                raise ValueError(
                    "sampling must be 'importance' or 'uniform' for components of a row and a "
                    f"column of another number, got {law.size} probabilities"
                )
            never = np.flatnonzero((share > 0) & (law == 0))
            if never.size:
                raise ValueError(
                    "sampling must be positive for all components that are not zero, got 0 at "
                    f"[{never[0]}]"
                )
    return law


def index_stream(problem: Any, law: Any, generator: Any, dtype: Any) -> Indices:
    """Draws of components by a law."""
    return Indices(generator, problem.operator.laws(law), problem.xp, dtype)


def probability(prob: Any) -> float:
    """The argument `prob`."""
    prob = _validate.positive(prob, "prob")
    if prob > 1:
        raise ValueError(f"prob must be at most 1, got {prob}")
    return prob


def batch_count(batch_size: Any, n: int) -> int:
    """The argument `batch_size`."""
    batch = _validate.count(batch_size, "batch_size", least=1)
    if batch > n:
        raise ValueError(f"batch_size must be at most n = {n}, got {batch}")
    return batch


def anchor_of(anchor: Any, default: Any) -> Any:
    """The argument `anchor`."""
    if anchor is None:
        return default
    if not callable(anchor):
        raise TypeError(f"anchor must be a function of k, got {type(anchor).__name__}")
    return anchor
