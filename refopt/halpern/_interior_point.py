"""A primal-dual interior point method for matrix games.

The game of A = B + 1c' + r1' is the pair of linear programs

    min c'x + t,  s = t 1 - r - B x >= 0,  x in the simplex
    max r'y + v,  z = B'y + c - v 1 >= 0,  y in the simplex

whose values differ by x'z + y's. Strategies without zeros and a t and v far enough out
are feasible, so that every iterate is, and its gap is a certificate.
"""

import math
from collections.abc import Generator
from itertools import islice
from typing import Any, NamedTuple

from refopt import _status
from refopt._driver import Iterate
from refopt.halpern._game import Game, middle
from refopt.halpern._regret_matching import regret_matching
from refopt.halpern._support_polish import polish
from refopt_backends import host_numbers

_POLISH_BELOW = 3e-2  # gap, relative to the entries, from which supports are worth a try
_CORRECTORS = 5  # for one factorisation; each costs two products and a back substitution
_CORRECT_BELOW = 0.9  # steps longer than this need no further corrector
_BAND = 0.1, 10.0  # products of complementary variables, relative to their target
_FEW_STEPS, _ROWS_PER_STEP, _MOST_STEPS = 30, 25, 200  # of regret matching, at the start
_NEAR, _MOST_ROUNDS = 6.0, 4  # times the tolerance, from where regret matching may end the run
_MU, _ROOM = 0.3, (0.5, 0.3)  # of the start, relative to the gap found there
_LIFTS = 0.0, 1e-14, 1e-12, 1e-10, 1e-8  # of the diagonal, relative, until it has a factor
_PROGRESS, _PATIENCE = 0.8, 6  # a smaller gap, and how long to wait for it


class _Point(NamedTuple):
    """Strategies, bounds of the value and payoffs, or a direction of these."""

    x: Any
    y: Any
    t: Any
    v: Any
    s: Any  # (m,)
    z: Any  # (n,)


def interior_point(
    game: Game, x: Any, y: Any, *, use_polish: bool, tol: float = 0.0
) -> Generator[Iterate, None, Any]:
    """Mehrotra's predictor-corrector method with Gondzio's further correctors.

    Parameters
    ----------
    game : Game
    x, y : array
        Strategies to start near to, or to improve by regret matching first.
    use_polish : bool
        Whether to solve for the strategies on the supports that show.
    tol : float
        Gap at which the run will be ended: regret matching goes on if it is near.

    Yields
    ------
    Iterate
        x is the pair (x, y), fun the value, error the gap.
    """
    if game.size[0] > game.size[1]:  # the smaller side is factorised
        run = interior_point(game.swapped(), y, x, use_polish=use_polish, tol=tol)
        return (yield from _swap(run))
    xp = game.xp
    (x, y), gap = yield from _good_strategies(game, x, y, tol)
    point = _start(game, x, y, gap)
    least, since = float("inf"), 0
    while True:
        x, y, t, v, s, z = point
        pair = x, y
        most, lowest = game.bounds(x, y, t - s, v + z)
        gap = most - lowest
        if use_polish and gap <= _POLISH_BELOW * game.scale:
            exact = polish(game, xp.nonzero(y > s)[0], xp.nonzero(x > z)[0])
            if exact is not None:
                bounds = game.bounds(*exact)
                if bounds[0] - bounds[1] < gap:
                    pair, (most, lowest) = exact, bounds
                    gap = most - lowest
        yield Iterate(x=pair, fun=middle(most, lowest), error=gap)
        least, since = (gap, 0) if gap < _PROGRESS * least else (least, since + 1)
        direction = None if since >= _PATIENCE else _direction(game, point)
        if direction is None:
            return _status.STALLED, ""
        point = _move(game, point, *direction)


def _swap(run):
    """A run of the game of -A', told in terms of A."""
    while True:
        try:
            it = next(run)
        except StopIteration as end:
            return end.value
        yield Iterate(x=it.x[::-1], fun=-it.fun, error=it.error, record=it.record)


def _good_strategies(game, x, y, tol):
    """Those given or, if they are better, what some steps of regret matching lead to.

    The steps take about the time of one factorisation and spare several.
    """
    m, _ = game.size
    most, least = game.bounds(x, y)
    steps = min(max(m // _ROWS_PER_STEP, min(m // 2, _FEW_STEPS)), _MOST_STEPS)
    flat = game.uniform()
    run = regret_matching(game, flat[0], flat[1], max(steps, 1))
    for better in islice(run, _MOST_ROUNDS):
        yield better
        if not tol < better.error <= _NEAR * tol:
            break
    return (better.x, better.error) if better.error < most - least else ((x, y), most - least)


def _start(game, x, y, gap):
    """A point near strategies of that gap whose products x_j z_j and y_i s_i are alike.

    Weights are lifted to mu/z_j and mu/s_i, for mu a fraction of the gap.
    """
    xp, (m, n) = game.xp, game.size
    gap = max(gap, 1e-12 * game.scale)  # of an exact start
    s, z, _, _ = _slacks(xp, game.row_payoffs(x), game.column_payoffs(y), _ROOM[0] * gap)
    mu = _MU * gap / (m + n)
    x, y = xp.where(x * z < mu, mu / z, x), xp.where(y * s < mu, mu / s, y)
    x, y = x / xp.sum(x), y / xp.sum(y)
    s, z, t, v = _slacks(xp, game.row_payoffs(x), game.column_payoffs(y), _ROOM[1] * gap)
    return _Point(x, y, t, v, s, z)


def _slacks(xp, rows, columns, room):
    """s and z that are at least `room`, with their t and v."""
    t, v = float(xp.max(rows)) + room, float(xp.min(columns)) - room
    return t - rows, columns - v, t, v


def _direction(game, point):
    """The direction with its primal and dual step; None if rounding forbids one."""
    xp, (x, y, _, _, s, z) = game.xp, point
    newton = _newton_system(game, point)
    if newton is None:
        return None
    predictor = newton(-x * z, -y * s)
    ahead = _after(point, predictor, *_steps(xp, point, predictor))
    mu, mu_ahead = _mean_product(point), _mean_product(ahead)
    target = min(max(mu_ahead / mu, 0.0), 1.0) ** 3 * mu
    rx = target - x * z - predictor.x * predictor.z
    ry = target - y * s - predictor.y * predictor.s
    direction = newton(rx, ry)
    primal, dual = _steps(xp, point, direction)
    for _ in range(_CORRECTORS):
        if min(primal, dual) >= _CORRECT_BELOW:
            break
        bolder = (min(1.0, 1.5 * step + 0.1) for step in (primal, dual))
        there = _after(point, direction, *bolder)
        qx = rx + _into_band(xp, there.x * there.z, target)
        qy = ry + _into_band(xp, there.y * there.s, target)
        other = newton(qx, qy)
        steps = _steps(xp, point, other)
        if not sum(steps) >= 1.02 * (primal + dual):
            break
        rx, ry, direction, (primal, dual) = qx, qy, other, steps
    sums = host_numbers(xp.sum(direction.x), xp.sum(direction.y))
    return (direction, primal, dual) if all(map(math.isfinite, sums)) else None


def _newton_system(game, point):
    """The map from changes of the products x z and y s to the direction that makes them.

    With D = x/z and E = y/s it solves (E^-1 + B D B') dy - B D 1 dv + 1 dt = ...,
    1'dx = 0, 1'dy = 0; the matrix is factorised once.
    """
    xp, kernels = game.xp, game.kernels
    x, y, _, _, s, z = point
    D = x / z
    factor, lift = _factor(game, game.weighted_gram(D), s / y)
    if factor is None:
        return None

    def inverse(rhs):
        w = kernels.spd_apply(factor, rhs)
        if lift:  # one step of refinement
            missing = rhs - (s / y) * w - game.times(D * game.transposed_times(w))
            w = w + kernels.spd_apply(factor, missing)
        return w

    a, ones = game.times(D), xp.ones_like(y)
    by_value, by_bound = inverse(a), inverse(ones)
    sums = (xp.sum(D), a @ by_value, a @ by_bound, xp.sum(by_value), xp.sum(by_bound))
    total, k11, k12, k21, k22 = host_numbers(*sums)
    k11, k12, k22 = k11 - total, -k12, -k22
    determinant = k11 * k22 - k12 * k21

    def solve(rx, ry):
        q = rx / z
        w = inverse(ry / y + game.times(q))
        sum_q, product, sum_w = host_numbers(xp.sum(q), a @ w, xp.sum(w))
        b1, b2 = sum_q - product, -sum_w
        dv = (b1 * k22 - k12 * b2) / determinant
        dt = (k11 * b2 - k21 * b1) / determinant
        dy = w + dv * by_value - dt * by_bound
        dz = game.transposed_times(dy) - dv
        dx = (rx - x * dz) / z
        return _Point(dx, dy, dt, dv, dt - game.times(dx), dz)

    return solve if determinant != 0 else None


def _factor(game, gram, diagonal):
    """The Cholesky factor of gram + diag(diagonal), whose diagonal may have to be lifted."""
    places = game.xp.arange(game.size[0])
    gram[places, places] += diagonal
    whole = gram[places, places]
    for lift in _LIFTS:
        gram[places, places] = whole * (1.0 + lift)
        game.effort.factorisations += 1
        factor = game.kernels.spd_factor(gram)
        if factor is not None:
            return factor, lift
    return None, 0.0


def _into_band(xp, product, target):
    """What brings products that left the band back to its edge, within reason."""
    low, high = _BAND[0] * target, _BAND[1] * target
    zero = xp.zeros_like(product)
    change = xp.where(product < low, low - product, zero)
    change = xp.where(product > high, high - product, change)
    return xp.where(change < -high, zero - high, change)


def _mean_product(point):
    x, y, _, _, s, z = point
    return sum(host_numbers(x @ z, y @ s)) / (x.shape[0] + y.shape[0])


def _steps(xp, point, d):
    """The longest primal and dual steps that keep all variables positive, at most 1."""
    pairs = [(d.x, point.x), (d.y, point.y), (d.s, point.s), (d.z, point.z)]
    longest = host_numbers(*(xp.max(-part / whole) for part, whole in pairs))
    x, y, s, z = (1.0 / max(fraction, 1.0) for fraction in longest)
    return min(x, s), min(y, z)


def _after(point, d, primal, dual):
    x, y, t, v, s, z = point
    return _Point(
        x + primal * d.x, y + dual * d.y, t + primal * d.t, v + dual * d.v,
        s + primal * d.s, z + dual * d.z,
    )  # fmt: skip


def _move(game, point, d, primal, dual):
    """The next point: short of the boundary, its slacks computed afresh."""
    xp = game.xp
    short = 1.0 - min(0.1, max(1e-3, 0.1 * (1.0 - min(primal, dual))))
    mu = _mean_product(point)
    x, y, t, v, _, _ = _after(point, d, short * primal, short * dual)
    x, y = x / xp.sum(x), y / xp.sum(y)
    Ax, Ay = game.row_payoffs(x), game.column_payoffs(y)
    most, least = float(xp.max(Ax)), float(xp.min(Ay))
    t = t if t > most else most + 1e-3 * mu + 1e-16 * game.scale
    v = v if v < least else least - 1e-3 * mu - 1e-16 * game.scale
    return _Point(x, y, t, v, t - Ax, Ay - v)
