r"""The exact augmented Lagrangian.

.. math::
    M(x, l) = f + l'c + \frac{\eta_1}{2}|c|^2 + \frac{\eta_2}{2}|g_L|^2, \qquad
    \nabla_x M = g_L + \eta_2 H g_L + \eta_1 G'c, \quad \nabla_l M = c + \eta_2 G g_L

with H the Hessian of the Lagrangian, not of f.
"""

from typing import Any

from refopt.augmented_lagrangian._point import Point


def merit(point: Point, eta1: float, eta2: float) -> float:
    """M at a point."""
    lagrangian = point.f + float(point.l.dot(point.c))
    return lagrangian + 0.5 * eta1 * point.cc + 0.5 * eta2 * point.gg


def merit_gradient(point: Point, H: Any, eta1: float, eta2: float) -> tuple[Any, Any]:
    """The gradients of M in x and in l."""
    gL, G, c = point.gL, point.G, point.c
    return gL + eta2 * (H @ gL) + eta1 * (G.T @ c), c + eta2 * (G @ gL)


class Direction:
    """A step d = (dx, dl) and what M does along it, for all penalties at once.

    With ``u = H dx + G'dl`` the slope is ``gL'dx + c'dl + eta1 c'G dx + eta2 gL'u``, and to first
    order gL becomes ``gL + alpha u``.
    """

    __slots__ = ("_gg", "_parts", "_uu", "dl", "dx", "kkt2")

    def __init__(self, point: Point, H: Any, dx: Any, dl: Any, known: Any = None):
        self.dx, self.dl = dx, dl
        u, Gdx = (H @ dx + point.G.T @ dl, point.G @ dx) if known is None else known
        gL, c = point.gL, point.c
        self._parts = (float(gL.dot(dx)) + float(c.dot(dl)), float(c.dot(Gdx)), float(gL.dot(u)))
        self._uu, self._gg = float(u.dot(u)), point.gg
        self.kkt2 = point.cc + point.gg

    def slope(self, eta1: float, eta2: float) -> float:
        """The derivative of M along d."""
        plain, first, second = self._parts
        return plain + eta1 * first + eta2 * second

    def foreseen(self, alpha: float) -> float:
        """``|gL + alpha u|^2``."""
        return max(0.0, self._gg + alpha * (2.0 * self._parts[2] + alpha * self._uu))
