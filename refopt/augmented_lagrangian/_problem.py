"""min f(x) subject to c(x) = 0 as the algorithms see it; every evaluation is counted here."""

from typing import Any

from refopt.augmented_lagrangian._constraints import Nonlinear
from refopt.augmented_lagrangian._derivatives import RankOneOrBFGS, Strategy
from refopt.augmented_lagrangian._operators import (
    is_operator,
    is_sparse,
    restrict,
    stack,
    total,
)

LARGE_ROW = 1e4  # of the Jacobian at the start: the largest entry that is taken as it is
SMALL = 200  # up to so many variables and constraints, sparse derivatives become dense


class EqualityProblem:
    r"""Objective, constraints and derivatives in the free variables.

    Attributes
    ----------
    n, m : int
        Number of free variables, number of constraints.
    xp : module
        The array namespace.
    x0 : array, shape (n,)
    constraints : list
        The constraint objects, see `_constraints`.
    nfev, njev, nhev, ncev, ncjev : int
        Evaluations of f, its gradient, second derivatives, c, its Jacobian.
    units : array or None
        What rows of c are divided by, where the user's are far too large; l is multiplied.
    """

    def __init__(self, objective, constraints, x, at_x, xp, free=None, dtype=None):
        self._objective, self.constraints = objective, constraints
        self.xp, self._free, self._template = xp, free, x
        self.x0 = x if free is None else x[free]
        self.n = self.x0.shape[0]
        self.m = sum(piece.size for piece in constraints)
        self.small = self.n + self.m <= SMALL
        self.njev = self.nhev = self.ncjev = 0
        self._at_x0 = at_x
        self.units: Any = None
        self._dtype = xp.float64 if dtype is None else dtype
        self.single = self._dtype == xp.float32
        lacking = [piece for piece in constraints if not piece.has_hessian]
        self._quasi: Any = None
        if lacking or not objective.has_hessian:
            asked = [objective.strategy, *(piece.strategy for piece in lacking)]
            chosen = next((strategy for strategy in asked if strategy is not None), None)
            if chosen:
                self._quasi = Strategy(self.n, chosen)
            else:
                curved = any(isinstance(p, Nonlinear) and p.has_hessian for p in constraints)
                self._quasi = RankOneOrBFGS(self.n, xp, objective.has_hessian or curved)

    @property
    def nfev(self):
        """Evaluations of f, those for differences included."""
        return self._objective.nfev

    @property
    def ncev(self):
        """Evaluations of the nonlinear constraint that was evaluated most often."""
        return max((piece.nfev for piece in self.constraints), default=0)

    def full(self, x):
        """A point of all variables, an array of its own."""
        return x.copy() if self._free is None else self._spread(x)

    def _spread(self, x):
        """A point of all variables, which functions get a copy of."""
        if self._free is None:
            return x
        point = self._template.copy()
        point[self._free] = x
        return point

    def returned(self, x):
        """A point of all variables in the precision that the user gave."""
        return self.xp.astype(self.full(x), self._dtype, copy=False)

    def rounded(self, x):
        """A point as the user will see it."""
        return self.xp.astype(self.xp.astype(x, self._dtype), self.xp.float64)

    def padded(self, v):
        """A vector of the free variables with zeros for the fixed ones, an array of its own."""
        if self._free is None:
            return v.copy()
        whole = self.xp.zeros(self._template.shape[0])
        whole[self._free] = v
        return whole

    def values(self, x):
        """f(x) and c(x), of which NaN is allowed."""
        point = self._spread(x)
        f = self._objective.value(point)
        if not self.m:
            return f, self.xp.zeros(0)
        if x is self.x0:
            parts = self._at_x0
        else:
            parts = [piece.value(point) for piece in self.constraints]
        c = parts[0] if len(parts) == 1 else self.xp.concatenate(parts)
        return f, c if self.units is None else c / self.units

    def measure_rows(self, G):
        """Set the units by a dense Jacobian at the start; whether there are any."""
        if self.m and not (is_sparse(G) or is_operator(G)):
            size = abs(G)
            if float(size.max()) > LARGE_ROW:
                largest = self.xp.max(size, axis=1)
                self.units = self.xp.where(largest > LARGE_ROW, largest, 1.0)
        return self.units is not None

    def derivatives(self, x, f, c):
        """The gradient of f and the Jacobian of c at x, where their values are known."""
        point = self._spread(x)
        self.njev += 1
        g = self._objective.gradient(point, f)
        if self._free is not None:
            g = g[self._free]
        return g, self._jacobian(point, c)

    def _jacobian(self, point, c):
        if not self.m:
            return self.xp.zeros((0, self.n))
        self.ncjev += 1
        if self.units is not None:
            c = c * self.units  # differences start from it
        parts, first = [], 0
        for piece in self.constraints:
            parts.append(piece.jacobian(point, c[first : first + piece.size]))
            first += piece.size
        if self.small:
            parts = [G.toarray() if is_sparse(G) else G for G in parts]
        G = stack(parts, self.xp)
        if self.units is not None:
            G = G / self.units[:, None]
        return G if self._free is None else restrict(G, None, self._free)

    def hessian(self, x, l):
        """The matrix of second derivatives of L(x, l) in x: an array, sparse or an operator."""
        point = self._spread(x)
        self.nhev += 1
        l = l if self.units is None else l / self.units
        parts = []
        if self._objective.has_hessian:
            parts.append(self._objective.hessian(point))
        first = 0
        for piece in self.constraints:
            if piece.has_hessian:
                part = piece.hessian(point, l[first : first + piece.size])
                if part is not None:
                    parts.append(part)
            first += piece.size
        if self.small:
            parts = [H.toarray() if is_sparse(H) else H for H in parts]
        H = total(parts, self.xp)
        if H is not None and self._free is not None:
            H = restrict(H, self._free, self._free)
        if self._quasi is not None:
            H = total([self._quasi.matrix] if H is None else [H, self._quasi.matrix], self.xp)
        return self.xp.zeros((self.n, self.n)) if H is None else H

    def own_multipliers(self, l):
        """Those of the user's c, an array of its own."""
        return l.copy() if self.units is None else l / self.units

    def split(self, v):
        """A vector of all rows as one array per constraint object, zero in rows it dropped."""
        parts, first = [], 0
        for piece in self.constraints:
            part = v[first : first + piece.size]
            if piece.rows is not None:
                whole = self.xp.zeros(piece.whole)
                whole[piece.rows] = part
                part = whole
            parts.append(part)
            first += piece.size
        return parts

    # Quasi-Newton: one matrix for all functions without second derivatives.

    @property
    def quasi_newton(self):
        """Whether second derivatives are approximated from gradients."""
        return self._quasi is not None

    @property
    def definite(self):
        """A positive definite matrix to be used in place of an indefinite H, or None."""
        return getattr(self._quasi, "definite", None)

    def doubt(self):
        """No step was found: whether another matrix is to be tried."""
        return self.definite is not None and self._quasi.doubt()

    def begin(self, point):
        """Tell the quasi-Newton matrix where the iteration starts."""
        if self._quasi is not None:
            self._quasi.begin(point.x, point.gL)

    def update(self, old, new, l):
        """Tell the quasi-Newton matrix of a step between two points, at multipliers l."""
        if self._quasi is None:
            return
        y = self.xp.zeros(self.n)
        if not self._objective.has_hessian:
            y = y + (new.g - old.g)
        first = 0
        for piece in self.constraints:
            if not piece.has_hessian:
                part = self.xp.zeros(self.m)
                part[first : first + piece.size] = l[first : first + piece.size]
                y = y + (new.G.T @ part - old.G.T @ part)
            first += piece.size
        whole = new.gL - (old.g + old.G.T @ l)
        self._quasi.update(new.x - old.x, y, whole)

    # Differences

    @property
    def differenced(self):
        """Whether some first derivative comes from differences of functions."""
        return self._objective.differenced or any(p.differenced for p in self.constraints)

    def sharpen(self):
        """Central differences from now on, where forward ones were taken."""
        for piece in (self._objective, *self.constraints):
            piece.sharpen()
