"""Updates of a block without penalty: each returns the block's new values x_b + d.

Names are the paper's. The decrease that each guarantees:

    gradient, backtracking    ||g_b||^2 / (2 L_b)
    matrix, exact             1/2 g_b' H_b^-1 g_b
    newton                    sufficient decrease of a line search
    cubic                     minus the minimum of the cubic model
"""

import math
from typing import Any

from refopt.block_coordinate._block import replaced
from refopt_backends import euclidean_norm

_SUFFICIENT = 1e-10  # share of the slope that a Newton step must achieve
_TRIALS = 60
_DOUBLINGS = 200
_ROUNDING = 4e-16  # of F: what two evaluations at one point may differ by
_BISECTIONS = 200
_NEWTON_STEPS = 100


def gradient(point: Any) -> Any:
    """d = -g_b / L_b."""
    return point.x - point.gradient / point.block.lipschitz


def matrix(point: Any) -> Any:
    """d = -H_b^-1 g_b with the fixed bound H_b; by message passing where b is a forest."""
    return point.x - point.block.solve_bound(point.gradient)


class Backtracking:
    """d = -g_b / Lhat, where Lhat is doubled until the decrease is ||g_b||^2 / (2 Lhat).

    Every coordinate remembers the Lhat of its last block, beginning with 1.
    """

    def __init__(self, problem):
        self.xp = problem.xp
        self.estimates = self.xp.ones(problem.size)

    def __call__(self, point: Any) -> Any:
        b, g = point.block.index, point.gradient
        square = float(g @ g)
        if square == 0.0:
            return point.x
        L = float(self.xp.max(self.estimates[b]))
        slack = _slack(point)
        for _ in range(_DOUBLINGS):
            if point.change(-g / L) <= -square / (2 * L) + slack:
                break
            L *= 2
        self.estimates = replaced(self.xp, self.estimates, b, self.xp.full(b.shape, L))
        return point.x - g / L


def newton(point: Any) -> Any:
    """d = -(hess_bb f)^-1 g_b, shortened by interpolation until f has decreased enough."""
    g = point.gradient
    d = -point.block.solve(point.hessian, g)
    slope = float(g @ d)
    if not slope < 0:
        return gradient(point)
    if point.problem.quadratic:
        return point.x + d
    v = point.product(d)
    alpha = line_search(lambda t: point.change(t * d, t * v), slope, _slack(point))
    return gradient(point) if alpha == 0 else point.x + alpha * d


def line_search(change: Any, slope: float, slack: float = 0.0) -> float:
    """A step length from 1 downwards with ``change(t) <= 1e-10 t slope``; 0 if there is none.

    The minimum of a parabola through the first trial, of a cubic through the
    last two, kept between a tenth and a half of the last one.
    """
    old, old_rise, alpha = 0.0, 0.0, 1.0
    for _ in range(_TRIALS):
        rise = change(alpha)
        if rise <= _SUFFICIENT * alpha * slope + slack:
            return alpha
        if not math.isfinite(rise):
            new = 0.5 * alpha
        elif old == 0.0:
            new = -slope * alpha * alpha / (2 * (rise - slope * alpha))
        else:
            new = _cubic_minimum(slope, alpha, rise, old, old_rise)
        old, old_rise = alpha, rise
        alpha = min(max(new, 0.1 * alpha), 0.5 * alpha)
    return 0.0


def _cubic_minimum(slope, t, rise, s, old_rise):
    """Of the cubic with value 0 and this slope at 0 through (t, rise) and (s, old_rise)."""
    if not math.isfinite(old_rise) or t == s:
        return 0.5 * t
    u, w = rise - slope * t, old_rise - slope * s
    a = (u / t**2 - w / s**2) / (t - s)
    b = (-s * u / t**2 + t * w / s**2) / (t - s)
    root = b * b - 3 * a * slope
    if a == 0 or root < 0:
        return -slope / (2 * b) if b > 0 else 0.5 * t
    return (-b + math.sqrt(root)) / (3 * a)


def cubic(point: Any) -> Any:
    """d = argmin g'd + 1/2 d'H d + M_b/6 ||d||^3 with the Hessian H: no line search."""
    M = point.block.third
    if M == 0:
        return matrix(point)
    return point.x + cubic_step(point.problem.xp, point.gradient, point.hessian, M)


def cubic_step(xp: Any, g: Any, H: Any, M: float) -> Any:
    """The minimiser of g'd + 1/2 d'H d + M/6 ||d||^3, M > 0 and H positive semidefinite.

    d = -(H + (M r/2) I)^-1 g where r = ||d||: in the eigenvectors of H that is
    one decreasing equation in r, solved by Newton's method within a bracket.
    """
    values, vectors = xp.linalg.eigh(H)
    values = xp.where(values > 0, values, 0 * values)
    c = vectors.T @ g
    norm = euclidean_norm(c)
    if norm == 0.0:
        return 0 * g
    low, high = 0.0, math.sqrt(2 * norm / M)  # the root for H = 0, above that for any H
    r = high
    for _ in range(_BISECTIONS):
        shifted = values + 0.5 * M * r
        step = c / shifted
        size = euclidean_norm(step)
        low, high = (r, high) if size > r else (low, r)
        # Newton's step for size(r) - r
        bend = -float(xp.sum((0.5 * M / shifted) * step * (step / size))) - 1
        new = r - (size - r) / bend
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - r) <= 1e-16 * r or new in (low, high):
            break
        r = new
    return -(vectors @ (c / (values + 0.5 * M * r)))


def minimise_block(block: Any, x: Any, z: Any, g: Any) -> float:
    """f(x) - min_d f(x + U_b d), by Newton's method."""
    decrease, problem = 0.0, block.problem
    point = block.at(x, z, g)
    for _ in range(_NEWTON_STEPS):
        d = newton(point) - point.x
        v = point.product(d)
        gained = -point.change(d, v)
        if not gained > 1e-12 * max(decrease, abs(gained)):
            break
        decrease += gained
        x = replaced(problem.xp, x, block.index, point.x + d)
        point = block.at(x, point.z + v)
    return decrease


def _slack(point):
    """Rounding of differences of f; those of quadratics are exact."""
    if point.problem.quadratic:
        return 0.0
    return _ROUNDING * abs(point.problem.smooth(point._x, point.z))
