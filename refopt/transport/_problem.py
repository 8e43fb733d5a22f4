"""An entropic transport problem, checked and brought to the form that the solvers take."""

import math

import numpy as np

from refopt import _validate
from refopt._namespace import HoldsNamespace
from refopt.transport.costs import MatrixCost, PointCloudCost, as_cost
from refopt_backends import cumulative_sum, resolve

# Up to this many pairs the automatic choice for NumPy arrays is the reference:
# waking a compiler would cost more than the whole solution.
SMALL = 64 * 64

# A share of the mass that counts as none: its products would be subnormal.
_NO_MASS = 1e-310

_MOST_MASS = 1e300

# Largest relative difference between the masses of a and b, by the coarser dtype.
_MASS_RTOL = {"float64": 1e-8, "float32": 1e-5}


class TransportProblem(HoldsNamespace):
    """min <P, C> - reg H(P) with P1 = a, P'1 = b, as solved: masses 1, none zero.

    The solvers work on `cost`, `a`, `b`, where rows and columns without mass
    are dropped, the masses sum to 1, and the sides are exchanged if that puts
    the smaller one in g or the contiguous index second. `restore` leads back.

    Attributes
    ----------
    xp, kernels
        The array namespace and the backend.
    cost : MatrixCost or LazyCost
    a, b : array, shape (n,) and (m,)
    reg : float
    mass : float
        What the user's masses sum to.
    shape : tuple of int
        As the user sees it.
    """

    def __init__(self, C, a, b, reg, *, prior=None, backend=None):
        self.reg = _validate.positive(
            reg, "reg", "; for unregularised transport see scipy.optimize.linear_sum_assignment"
        )
        lazy = isinstance(C, PointCloudCost)
        C = C if lazy else _validate.as_array(C, "C")
        a, b, prior = (
            None if x is None else _validate.as_array(x, name)
            for x, name in ((a, "a"), (b, "b"), (prior, "prior"))
        )
        if not lazy and getattr(C, "ndim", 0) == 1:
            as_cost(np, C)  # says that the cost comes first
        size = math.prod(C.shape) if len(C.shape) == 2 else 0
        first = C.X if lazy else C
        self.xp, self.kernels = resolve(
            first, a, b, prior, backend=backend, small=size <= SMALL, names=("C", "a", "b", "prior")
        )
        cost = as_cost(self.xp, C)
        self.user_cost, self.shape = cost, cost.shape
        self.single = not lazy and _validate.dtype_name(C) == "float32"
        self._weigh(a, b)
        if prior is not None:
            cost = self._with_prior(cost, prior)
        self._reduce(cost)

    def _weigh(self, a, b):
        """The masses as float64 histograms, and their common sum."""
        n, m = self.shape
        singles = [_validate.dtype_name(x) == "float32" for x in (a, b)]
        self.user_a = self._histogram(a, "a", n)
        self.user_b = self._histogram(b, "b", m)
        sum_a, sum_b = (float(self.xp.sum(x)) for x in (self.user_a, self.user_b))
        if a is None:  # uniform, of the other side's mass
            self.user_a, sum_a = self.user_a * (sum_b / sum_a), sum_b
        elif b is None:
            self.user_b, sum_b = self.user_b * (sum_a / sum_b), sum_a
        rtol = _MASS_RTOL["float32" if any(singles) else "float64"]
        if abs(sum_a - sum_b) > rtol * max(sum_a, sum_b):
            raise ValueError(
                f"a and b must have equal sums, got sum(a) = {sum_a:.17g} and "
                f"sum(b) = {sum_b:.17g}; divide each by its sum if proportions are meant"
            )
        self.user_b = self.user_b * (sum_a / sum_b)
        self.mass = sum_a

    def _histogram(self, x, name, size):
        xp = self.xp
        if x is None:
            return xp.ones(size, dtype=xp.float64) / size
        x = _validate.real_array(xp, x, name, 1)
        if x.shape[0] != size:
            raise ValueError(
                f"{name} must have {size} entries, as many as C has "
                f"{'rows' if name == 'a' else 'columns'}, got {x.shape[0]}"
            )
        x = xp.astype(_validate.all_finite(xp, x, name), xp.float64)
        if float(xp.min(x)) < 0:
            place = _validate.first_place(xp, x, x < 0)
            raise ValueError(f"{name} must be nonnegative, got {place}")
        if not float(xp.max(x)) > 0:
            raise ValueError(f"{name} must have a positive sum, got 0")
        if float(xp.max(x)) > _MOST_MASS / size:
            raise ValueError(f"{name} must have a sum below 1e300, got {float(xp.max(x))} in it")
        return x

    def _with_prior(self, cost, prior):
        """KL(P | prior) instead of the entropy: the cost C - reg log(prior)."""
        xp = self.xp
        prior = _validate.real_array(xp, prior, "prior", 2)
        if tuple(prior.shape) != self.shape:
            raise ValueError(f"prior must have shape {self.shape}, got {tuple(prior.shape)}")
        prior = xp.astype(_validate.all_finite(xp, prior, "prior"), xp.float64)
        if float(xp.min(prior)) < 0:
            place = _validate.first_place(xp, prior, prior < 0)
            raise ValueError(f"prior must be nonnegative, got {place}")
        present = prior > 0
        self._demand_partners(present, "prior", "a positive entry")
        C = cost.C if isinstance(cost, MatrixCost) else cost.points.toarray()
        log_prior = xp.log(xp.where(present, prior, 1.0))
        return as_cost(xp, xp.where(present, C - self.reg * log_prior, math.inf))

    def _demand_partners(self, allowed, name, what):
        """Every row and column with mass must keep an allowed pair with one that has mass."""
        xp = self.xp
        has_a, has_b = self.user_a > 0, self.user_b > 0
        for axis, mass, word in ((1, has_a, "row"), (0, has_b, "column")):
            partner = has_b[None, :] if axis == 1 else has_a[:, None]
            alone = ~xp.any(allowed & partner, axis=axis) & mass
            if bool(xp.any(alone)):
                k = int(xp.nonzero(alone)[0][0])
                raise ValueError(
                    f"{name} must have {what} in {word} {k}, with a partner that has mass"
                )

    def _reduce(self, cost):
        """Drop what has no mass, scale to mass 1, put the better side in g."""
        xp = self.xp
        if cost.allowed is not None:
            self._demand_partners(cost.allowed, "C", "a finite entry")
        a, b = self.user_a / self.mass, self.user_b / self.mass
        self._rows = None if bool(xp.all(a > _NO_MASS)) else xp.nonzero(a > _NO_MASS)[0]
        self._columns = None if bool(xp.all(b > _NO_MASS)) else xp.nonzero(b > _NO_MASS)[0]
        cost = cost.take(self._rows, self._columns)
        a = a if self._rows is None else a[self._rows]
        b = b if self._columns is None else b[self._columns]
        n, m = cost.shape
        flags = getattr(cost.C, "flags", None) if isinstance(cost, MatrixCost) else None
        # A transposed copy costs a few passes, half the unknowns save more.
        self.swapped = m > 2 * n or (
            2 * m >= n and flags is not None and flags.f_contiguous and not flags.c_contiguous
        )
        if self.swapped:
            cost, a, b = cost.T, b, a
        self.cost, self.a, self.b = cost.by_rows(), a, b

    def start(self, x0):
        """g, in the solved form, from the user's `x0`, or None.

        Raises
        ------
        ValueError
            Wrong length, or entries that are not finite where there is mass.
        """
        if x0 is None:
            return None
        xp = self.xp
        x0 = _validate.as_array(x0, "x0")
        resolve(self.user_a, x0, names=("C", "x0"), backend="reference")
        x0 = _validate.real_array(xp, x0, "x0", 1)
        n, m = self.shape
        if x0.shape[0] != n + m:
            raise ValueError(f"x0 must have {n + m} entries, f and then g, got {x0.shape[0]}")
        x0 = xp.astype(x0, xp.float64)
        f, g = self.reduce(x0[:n], x0[n:])
        _validate.all_finite(xp, f, "x0")
        return _validate.all_finite(xp, g, "x0")

    def reduce(self, f, g):
        """The user's potentials where there is mass, sides as solved."""
        f = f if self._rows is None else self.xp.take(f, self._rows)
        g = g if self._columns is None else self.xp.take(g, self._columns)
        return (g, f) if self.swapped else (f, g)

    def restore(self, f, g, reg=None):
        """The user's potentials: sides and masses as they were, sum_j b_j g_j = 0.

        `reg` is that of the plan exp((f + g - C)/reg), if it is still on its way.
        """
        xp = self.xp
        if self.swapped:
            f, g = g, f
        b = self.user_b if self._columns is None else self.user_b[self._columns]
        shift = float(xp.sum(b * g)) / self.mass
        reg = self.reg if reg is None else reg
        f, g = f + (shift + reg * math.log(self.mass)), g - shift
        return self._spread(f, self.user_a, self._rows), self._spread(g, self.user_b, self._columns)

    def original_indices(self, index, side):
        """Indices of the user's "rows" or "columns" from those of the solved form."""
        kept = self._rows if side == "rows" else self._columns
        return index if kept is None else self.xp.take(kept, index)

    def _spread(self, potential, mass, kept):
        """-inf where there is no mass."""
        if kept is None:
            return potential
        xp = self.xp
        present = mass / self.mass > _NO_MASS
        position = cumulative_sum(xp.astype(present, xp.int64)) - 1
        return xp.where(present, xp.take(potential, xp.maximum(position, 0)), -math.inf)
