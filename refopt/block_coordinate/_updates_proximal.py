"""Updates of a block with l1 or bounds: each returns the block's new values x_b + d.

Coordinates that belong at a kink or bound are put there exactly.
"""

from typing import Any

from refopt.block_coordinate._updates_smooth import _slack
from refopt_backends import euclidean_norm

_ARMIJO = 1e-4
_HALVINGS = 60
_NEAR = 1e-3  # of max |x_b|: what may count as near a bound at most
_MODEL_STEPS = 500
_MODEL_TOL = 1e-15


def prox_gradient(point: Any) -> Any:
    """x_b <- prox of h / L_b at x_b - g_b / L_b."""
    L = point.block.lipschitz
    return point.block.penalty.prox(point.x - point.gradient / L, 1 / L)


def prox_newton(point: Any) -> Any:
    """x_b + argmin_d g_b'd + 1/2 d'H d + h_b(x_b + d), solved exactly.

    Of quadratics H = H_b and the step is the block's minimiser. Otherwise H is
    the Hessian and the step is shortened until F has decreased enough.
    """
    penalty, xp = point.block.penalty, point.problem.xp
    x, g = point.x, point.gradient
    new = minimise_model(xp, point.hessian, g, x, penalty, point.block.lipschitz, point.block.solve)
    if point.problem.quadratic:
        return new
    d = new - x
    v = point.product(d)
    promised = float(xp.sum(g * d + penalty.changes(x, new)))
    slack, alpha = _slack(point), 1.0
    for _ in range(_HALVINGS):
        trial = new if alpha == 1.0 else x + alpha * d
        if point.rise(trial, alpha * v) <= _ARMIJO * alpha * promised + slack:
            return trial
        alpha *= 0.5
    return prox_gradient(point)


def minimise_model(xp: Any, H: Any, g: Any, x: Any, penalty: Any, L: float, solve: Any) -> Any:
    """The minimiser of g'(u - x) + 1/2 (u - x)'H (u - x) + h(u), H of a few hundred rows at most.

    Two-metric projected steps with prox-gradient steps between: the first find
    the minimiser on a face in one step, the others find the face.
    """
    u, gradient = x, g
    scale = float(xp.max(xp.abs(g))) + float(xp.max(xp.abs(H))) * float(xp.max(xp.abs(x)))
    for step in range(_MODEL_STEPS):
        if float(xp.max(penalty.distance(u, gradient))) <= _MODEL_TOL * scale:
            break

        def rise(new, u=u, slope=gradient):
            d = new - u
            return float(xp.sum(slope * d + penalty.changes(u, new))) + 0.5 * float(d @ (H @ d))

        new = None
        if step % 2 or penalty.smooth:
            new = _two_metric(xp, u, gradient, penalty, H, L, solve, rise, 0.0)
        if new is None:
            new = penalty.prox(u - gradient / L, 1 / L)
        if bool(xp.all(new == u)) and step % 2:
            break
        u = new
        gradient = g + H @ (u - x)
    return u


def two_metric(point: Any) -> Any:
    """A Newton step in the free coordinates of b, a gradient step in those held at a bound.

    On the face of h around x_b (the box; of l1 the orthant), where
    G = g_b + the slope of h:

        A = {x_i at a bound or near it, and -G_i points out},   W = the others
        d_A = -G_A / L_b,   d_W = -H_WW^-1 G_W
        x_b <- projection of x_b + alpha d on the face, alpha by Armijo's rule
    """
    penalty, xp = point.block.penalty, point.problem.xp
    new = _two_metric(
        xp, point.x, point.gradient, penalty, point.hessian, point.block.lipschitz,
        point.block.solve, point.rise, _slack(point),
    )  # fmt: skip
    return prox_gradient(point) if new is None else new


def _two_metric(xp, x, g, penalty, H, L, solve, rise, slack):
    lower, upper, slope = penalty.face(x, g)
    G = g + slope
    step = x - _project(xp, x - G / L, lower, upper)
    near = min(_NEAR * float(xp.max(xp.abs(x))), euclidean_norm(step))  # Bertsekas' rule
    held = ((x <= lower + near) & (G > 0)) | ((x >= upper - near) & (G < 0))
    d = -G / L
    W = xp.nonzero(~held)[0]
    if W.shape[0]:
        HW = xp.take(xp.take(H, W, axis=0), W, axis=1)
        free = -solve(HW, G[W])
        place = xp.astype(W[:, None] == xp.arange(G.shape[0])[None, :], xp.float64)
        d = xp.where(held, d, free @ place)
    alpha = 1.0
    for _ in range(_HALVINGS):
        new = _project(xp, x + alpha * d, lower, upper)
        promised = float(G @ (new - x))
        if promised < 0 and rise(new) <= _ARMIJO * promised + slack:
            return new
        alpha *= 0.5
    return None


def _project(xp, x, lower, upper):
    return xp.minimum(xp.maximum(x, lower), upper)
