"""The problem 0 in F(u) + G(u) as the methods see it, and the count of what it cost."""

from typing import Any, NamedTuple

from refopt import _proximal_maps
from refopt._proximal_maps import norm


class Point(NamedTuple):
    """A point, F there, its residual, and how many steps and restarts led to it."""

    u: Any
    g: Any
    residual: float
    nstep: int = 0
    nrestart: int = 0


def one_item(x):
    """A point as results hold it."""
    return {"x": x}


class Inclusion:
    """An operator with a resolvent; every evaluation passes here.

    Attributes
    ----------
    ncomp : int
        Evaluations of components so far.
    constrained : bool
        Whether there is a G.
    measured : tuple or None
        What `probe` found at the start, once.
    separable : tuple or None
        The resolvent as compiled loops take it; ``()`` without G.
    items : callable
        From a point to the items of a result that hold it.
    """

    def __init__(self, xp, kernels, operator, prox, like):
        self.xp, self.kernels, self.operator = xp, kernels, operator
        self.n, self.ncomp = operator.n, 0
        self.measured: Any = None
        self.items = getattr(getattr(operator, "fun", None), "items", one_item)
        self.constrained = prox is not None
        self.J = _proximal_maps.resolvent(prox, xp, kernels)
        self.separable = _proximal_maps.separable(prox, xp, like) if self.constrained else ()
        simplices = _proximal_maps.simplices(prox, like.shape[0]) if self.constrained else None
        self.has_gap = simplices is not None and len(simplices) == 2
        self.compiled = operator.form is not None and self.separable is not None

    def F(self, u):
        """F(u), n component evaluations."""
        self.ncomp += self.n
        return self.operator.full(u)

    def difference(self, u, v, index, weights):
        """The mean of ``weights (F_i(u) - F_i(v))``, two evaluations for each index."""
        self.ncomp += 2 * int(index.shape[0])
        return self.operator.batch_diff(u, v, index, weights)

    def residual(self, u, g):
        """|F(u)|, with G |u - J_G(u - F(u))|."""
        if not self.constrained:
            return norm(self.xp, g)
        return norm(self.xp, u - self.J(u - g, 1.0))

    def point(self, u, g, nstep=0, nrestart=0):
        """A point where F is known."""
        return Point(u, g, self.residual(u, g), nstep, nrestart)

    def gap(self, u, g):
        """The duality gap of a game on two simplices where F is g, None of other problems."""
        return self.operator.gap(u, g) if self.has_gap else None

    def anchored(self, anchor, u, g, lam, eta):
        """J(lam anchor + (1 - lam) u - eta g)."""
        if self.separable is None:
            return self.J(lam * anchor + (1.0 - lam) * u - eta * g, eta)
        return self.kernels.anchored_prox_step(anchor, u, g, lam, eta, self.separable)
