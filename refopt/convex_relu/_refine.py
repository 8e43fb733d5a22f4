"""Refinement of patterns: column generation for the program over all of them.

Each round solves the convex program over the patterns at hand, prices new ones with its
dual solution, and adds those that would lower the objective. It begins with the patterns of
a locally trained network, without which it takes many rounds.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from refopt import _driver, _status
from refopt.convex_relu._gates import on_host
from refopt.convex_relu._master import solve_program
from refopt.convex_relu._network import (
    balanced,
    balanced_objective,
    predictions,
    random_network,
    train,
)
from refopt.convex_relu._pricing import Pricer
from refopt.convex_relu._program import LOSSES, row_norms
from refopt.convex_relu._recovery import pruned
from refopt_backends import namespace_of

TRAINING = 2000  # L-BFGS iterations of the first network
POLISHING = 200  # and of the network of a round
MOST_NEW = 25  # directions per side and round
_ON_KINK = 1e-9  # |x_k'u| of such rows, relative to ||x_k|| ||u||
_ROUNDING = 1e-9  # by which an exact psi is raised
_LEAST_VIOLATION = 1e-9
_NEARLY = 3  # times tol: the gap at which prices are searched with care
_NEARLY_EXACT = 0.1  # the gap at which they are where they can be known exactly
_DISPROVED = 1e-8  # a bound this far above a network is none


@dataclass(frozen=True)
class Refined:
    """What a round of refinement has.

    Attributes
    ----------
    W1, w2 : array
        The best network so far, balanced.
    patterns : bool array, shape (n, P)
    sides : bool array, shape (2, P)
        Which patterns have a column v, which a column w.
    solved : bool array
        The patterns of the last program.
    master : Master or None
        Its solution.
    r : array, shape (n,)
        The dual point of the bound.
    net, lower_bound : float
        Objective of the network; the best bound so far.
    psi : float
        The highest price at the dual point of the bound.
    exact : bool
        Whether psi is the highest price there is, so that the bound is rigorous.
    """

    W1: Any
    w2: Any
    patterns: Any
    sides: Any
    solved: Any
    master: Any
    r: Any
    net: float
    lower_bound: float
    psi: float
    exact: bool

    @property
    def gap(self):
        """(net - lower_bound)/net, 0 at least."""
        return max(0.0, self.net - self.lower_bound) / self.net if self.net > 0 else 0.0


def lower_bound(loss: Any, r: Any, y: Any, psi: float, beta: float) -> float:
    """The largest ``-f*(t r)`` that is known over 0 <= t <= beta/psi.

    It bounds the objective of every network if psi is at least the largest price at r.
    """
    most = beta / (psi * (1 + _ROUNDING)) if psi > 0 else np.inf
    return -loss.conjugate(min(loss.dual_scale(r, y), most) * r, y)


def refine(X, y, *, beta, loss, tol, kernels, rng, m_init=60, patterns=None, network=None,
           slopes=None, n_starts=200, kind="auto"):  # fmt: skip
    """Generate rounds for the driver; `Iterate.x` is a `Refined`, its error the relative gap.

    Parameters
    ----------
    X : array, shape (n, d)
    y : array, shape (n,)
    beta : float
    loss : {"squared", "logistic", "hinge"}
    tol : float
        The gap that the driver asks for; the programs are solved to a part of it.
    kernels : KernelTable
    rng : Generator
    m_init : int
        Neurons of the network that is trained first.
    patterns : bool array, shape (n, P), optional
        Further patterns to begin with.
    network : tuple of array, optional
        (W1, w2) to begin with instead of training one.
    slopes : array, shape (n,), optional
        A dual point to begin with, if its bound is the better one.
    n_starts, kind
        Of `price_gates`.

    Yields
    ------
    Iterate
    """
    accuracy = min(1e-6, 0.03 * tol)  # where it is less, too many columns seem to be needed
    xp, f, pricer = namespace_of(X), LOSSES[loss](), Pricer(X, kind, n_starts, kernels)
    W1, w2 = network if network is not None else train(
        X, y, beta, f, *random_network(X, m_init, rng), maxiter=TRAINING)  # fmt: skip
    net = balanced_objective(X, y, W1, w2, beta, f)
    zero = xp.zeros_like(y)
    if f.value(zero, y) <= net:
        W1, w2, net = W1[:, :0], w2[:0], f.value(zero, y)
    masks, sides = _patterns_of(X, W1.T, w2)
    if patterns is not None:
        both = xp.ones((2, patterns.shape[1]), dtype=xp.bool)
        masks, sides = _joined((masks, sides), (patterns.T, both))
    search = partial(_searched, pricer, f, y, beta, tol, rng)
    points = [f.gradient(predictions(X, W1, w2), y)] + ([] if slopes is None else [slopes])
    found = [(*search(net, r, W1, 0.0), r) for r in points]
    best_bound, psi, directions, signs, r = max(found, key=lambda each: each[0])
    best_bound = 0.0 if best_bound > net * (1 + _DISPROVED) else max(0.0, best_bound)
    bound_psi, bound_r, solved, master = psi, r, None, None
    while True:
        yield _iterate(
            Refined(
                W1,
                w2,
                masks.T,
                sides,
                solved,
                master,
                bound_r,
                net,
                min(best_bound, net),
                bound_psi,
                pricer.exact,
            ),
            psi,
        )
        # The first dual point is the network's own, whose patterns are there in any case.
        if master is not None and not signs.shape[0]:
            return _status.STALLED, "No direction has a price above beta."
        new = _patterns_of(X, directions, signs)
        masks, sides = _joined((masks, sides), new)
        solved = masks.T
        master = solve_program(
            X, y, masks.T, beta=beta, loss=loss, sides=sides, tol=accuracy, backend=kernels.name
        )
        ones = xp.ones(masks.shape[0])
        outer = xp.concat([ones, -ones])
        value_of = partial(_value_of, X, y, beta, f, outer)
        most = master.value * (1 + accuracy)
        U = pruned(xp, xp.concat([master.V.T, master.W.T]), value_of, most)
        trained = balanced(U, outer)
        polished = train(X, y, beta, f, *trained, maxiter=POLISHING, kept=1e-8)
        for first, second in (trained, polished):
            value = balanced_objective(X, y, first, second, beta, f)
            if value < net:
                W1, w2, net = first, second, value
        starts = xp.concat([trained[0], directions.T], axis=1)
        bound, psi, directions, signs = search(net, master.r, starts, beta)
        if bound > best_bound:
            best_bound, bound_psi, bound_r = bound, psi, master.r
        if not pricer.exact and best_bound > net * (1 + _DISPROVED):  # a price was missed
            best_bound, bound_psi, bound_r = 0.0, psi, master.r
            if bound <= net * (1 + _DISPROVED):
                best_bound = bound
            pricer.n_starts *= 2
        used = xp.reshape(xp.any(U != 0, axis=1), (2, -1))
        alive = xp.nonzero(xp.any(used, axis=0))[0]
        masks, sides = masks[alive, :], used[:, alive]
        masks, sides = _joined((masks, sides), _patterns_of(X, W1.T, w2))


def _value_of(X, y, beta, loss, signs, U):
    """The objective of the network of columns U, rows, with these signs."""
    return balanced_objective(X, y, *balanced(U, signs), beta, loss)


def _iterate(state, psi):
    P = 0 if state.master is None else int(on_host(state.sides).sum())
    steps = 0 if state.master is None else state.master.outcome.nit
    record = {"net": state.net, "lower_bound": state.lower_bound, "psi": psi, "P": float(P),
              "steps": float(steps)}  # fmt: skip
    return _driver.Iterate(x=state, fun=state.net, error=state.gap, record=record)


def _searched(pricer, loss, y, beta, tol, rng, net, r, starts, least):
    """The bound at r, the highest price, directions with prices above `least`, their signs.

    A quick search first; one with care if its bound is near net, or it finds nothing.
    """
    found = _priced(pricer, r, starts, rng, least, True)
    bound = lower_bound(loss, r, y, found[0], beta)
    near = max(_NEARLY_EXACT, tol) if pricer.exact else _NEARLY * tol
    if net - bound > near * net and found[2].shape[0]:
        return 0.0 if pricer.exact else bound, *found
    found = _priced(pricer, r, starts, rng, least, False)
    return lower_bound(loss, r, y, found[0], beta), *found


def _priced(pricer, r, starts, rng, least, quick):
    """The highest price; directions above `least` with their signs, the best of each side."""
    xp, psi, rows, signs = pricer.xp, 0.0, [], []
    for sign in (1.0, -1.0):
        U, values = pricer(-sign * r, starts, rng, quick)
        above = int(np.sum(values > least * (1 + _LEAST_VIOLATION)))  # the highest come first
        psi = max(psi, float(values[0]) if len(values) else 0.0)
        rows.append(U[: min(above, MOST_NEW), :])
        signs.append(xp.full(rows[-1].shape[0], sign))
    return psi, xp.concat(rows), xp.concat(signs)


def _patterns_of(X, U, signs):
    """Patterns of directions, rows of U, and their sides; rows of X on a kink count as off."""
    xp = namespace_of(X)
    sizes = row_norms(xp, U)[:, None] * row_norms(xp, X)
    return U @ X.T > _ON_KINK * sizes, xp.stack([signs > 0, signs < 0])


def _joined(one, other):
    """Both sets of patterns, each pattern once with all its sides, without the empty one.

    Patterns are compared on the host.
    """
    xp = namespace_of(one[0])
    masks = np.vstack([on_host(one[0]), on_host(other[0])])
    sides = np.hstack([on_host(one[1]), on_host(other[1])])
    packed = [row.tobytes() for row in np.packbits(masks, axis=1)]
    place: dict[bytes, int] = {}
    for k, key in enumerate(packed):
        if key not in place:
            if masks[k].any():
                place[key] = k
        else:
            sides[:, place[key]] |= sides[:, k]
    kept = list(place.values())
    return xp.asarray(masks[kept]), xp.asarray(sides[:, kept])
