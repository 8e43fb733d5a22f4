"""The semi-dual function of entropic transport, and cheap ways to evaluate it.

With f eliminated, ``F(g) = <a, f(g)> + <b, g>`` is concave and finite for every
g, its gradient is ``b - c`` with c the column sums of the plan, and
``-Hess F = S/eps`` with ``S = diag(c) - P' diag(1/a) P``.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refopt.transport._sparsify import entry_bounds, entry_count, largest_entries
from refopt_backends import host_numbers

# The kept entries of a plan are used for passes up to this share of all pairs;
# beyond it a pass over all is as cheap.
_DENSITY = 0.2
_WANTED_DENSITY = 0.05
_SLACK = 4.0  # margin, in units of eps, for the way g will go
_MAX_ENTRIES = 12_000_000  # of a lazy cost, whose user counts on little memory
_SAMPLED_ROWS = 12
_UNDERFLOW = 1e-280

# While the error is large, passes over a stored cost are made in single
# precision, if eps is not too small beside the cost and the copy not too large.
_SINGLE_EPS = 2e-4
_SINGLE_ENTRIES = 100_000_000
_ROUGH_ERROR = 1e-3


@dataclass(frozen=True)
class Point:
    """The semi-dual at g: P1 = a, so that err = ||c - b||_1 is the whole marginal error."""

    g: Any
    f: Any
    c: Any
    eps: float
    fun: float
    err: float
    entries: Any  # of the plan, where the pass went over them only; else None


@dataclass(frozen=True)
class _Kept:
    """Entries that hold all of the plan but a known remainder, near `g`."""

    entries: Any
    g: Any
    eps: float
    radius: float  # P_ij < min(a_i, b_j) exp(-radius/eps) for the others


class SemiDual:
    """F, its gradient and its Hessian, on all pairs or on the kept entries."""

    def __init__(self, problem):
        self.xp, self.kernels = problem.xp, problem.kernels
        self.cost, self.a, self.b = problem.cost.arguments, problem.a, problem.b
        self.allowed = problem.cost.allowed
        self.mass = problem.mass
        self.n, self.m = problem.cost.shape
        lazy = len(self.cost) > 1
        self.most_entries = min(self.n * self.m, _MAX_ENTRIES) if lazy else self.n * self.m
        self.log_b = self.xp.log(self.b)
        size = math.inf if lazy else problem.cost.magnitude
        fits = 1e-30 < size < 1e30  # beyond, single precision over- or underflows
        self.estimate_from = _SINGLE_EPS * size if fits else math.inf
        self._single_cost = None
        self.npasses = 0  # over all pairs
        self._kept = None
        rows = np.unique(np.linspace(0, self.n - 1, min(self.n, _SAMPLED_ROWS)).astype(int))
        self._sample = self.xp.asarray(rows)
        self._sampled_cost = problem.cost.rows(self._sample)
        # log of the mass below which an entry is negligible beside its row and column
        self._log_floor = self.xp.minimum(
            self.xp.log(self.a)[self._sample][:, None], self.log_b[None, :]
        )

    def at(self, g, eps, target, f_guess=None, rough=False):
        """Evaluate at g.

        Parameters
        ----------
        g : array, shape (m,)
        eps : float
        target : float
            The marginal error that this stage is to reach; what a pass over
            the kept entries leaves out is at most a hundredth of it.
        f_guess : array, shape (n,), optional
            Near f(g).
        rough : bool
            A large error is expected, so that single precision may do.

        Returns
        -------
        Point
        """
        kept = self._kept if f_guess is not None else None
        if kept is not None and self._margin(kept, g, eps) >= self._depth(target):
            f, c, entries = self.kernels.entries_pass(kept.entries, g, self.a, eps, f_guess)
            if float(self.xp.min(c)) > 0:
                return self._point(g, f, c, eps, entries)
        self._kept = None
        if rough and f_guess is not None and eps >= self.estimate_from and self.single_cost:
            f, c = self.kernels.semidual_estimate(self.single_cost, g, self.a, eps, f_guess)
            self.npasses += 1
            point = self._point(g, f, c, eps, None)
            if point.err > _ROUGH_ERROR:
                return point
            f_guess = f
        f, c = self.kernels.semidual_pass(self.cost, g, self.a, eps, f_guess)
        self.npasses += 1
        return self._point(g, f, c, eps, None)

    @property
    def single_cost(self):
        """The cost as kernels take it, in float32; None for a very large one."""
        if self._single_cost is None and self.n * self.m <= _SINGLE_ENTRIES:
            self._single_cost = (self.xp.astype(self.cost[0], self.xp.float32),)
        return self._single_cost

    def _point(self, g, f, c, eps, entries):
        xp = self.xp
        value = xp.sum(self.a * f) + xp.sum(self.b * g)
        fun, err = host_numbers(value, xp.sum(xp.abs(c - self.b)))
        return Point(g, f, c, eps, fun, err, entries)

    def value(self, point):
        """The dual function D at a point, of the user's masses."""
        return self.mass * (point.fun + point.eps * (math.log(self.mass) - 1.0))

    def _depth(self, target):
        """exp(-depth) m <= target/100."""
        return math.log(self.m / (0.01 * max(target, 1e-14)))

    def _margin(self, kept, g, eps):
        """The entries left out are below exp(-margin) of their row.

        Along a change of g by dg no ratio P_ij/a_i grows by more than
        exp(osc(dg)/eps); a smaller eps first widens a row whose mass was spread.
        """
        dg = g - kept.g
        oscillation = float(self.xp.max(dg)) - float(self.xp.min(dg))
        return (kept.radius - oscillation) / eps - (kept.eps / eps - 1.0) * math.log(self.m)

    def sinkhorn_step(self, point):
        """g + eps (log b - log c), the next point of Sinkhorn's iteration."""
        if float(self.xp.min(point.c)) > _UNDERFLOW:
            return point.g + point.eps * (self.log_b - self.xp.log(point.c))
        return self.kernels.column_potential(self.cost, point.f, self.b, point.eps)

    def newton_matrix(self, point, threshold, shift, target):
        """-eps Hess F at a point, of the entries with P_ij > threshold min(a_i, b_j).

        Parameters
        ----------
        point : Point
        threshold : float
        shift : array, shape (m,)
            Added to the diagonal.
        target : float
            As for `at`.

        Returns
        -------
        The backend's Newton matrix.
        """
        entries = point.entries
        if entries is None:
            entries = self._keep(point, threshold, target)
        return self.kernels.newton_matrix(entries, self.a, self.b, point.c, threshold, shift)

    def newton_matrix_of_largest(self, point, density, shift):
        """The same of the ``density * n * m`` largest entries of the plan."""
        count = entry_count(self.n, self.m, density)
        args = self.kernels, self.cost, point.f, point.g, point.eps, count
        entries = largest_entries(self.xp, *args)
        return self.kernels.newton_matrix(entries, self.a, self.b, point.c, 0.0, shift)

    def _keep(self, point, threshold, target):
        """Entries for the Newton matrix; if they are few, for the next passes too."""
        eps = point.eps
        gaps = self._gaps(point)
        needed = eps * (self._depth(target) + _SLACK)
        density = float(self.xp.mean(self.xp.astype(gaps <= needed, self.xp.float64)))
        if density <= _DENSITY and 1.3 * density * self.n * self.m <= self.most_entries:
            radius = max(needed, min(self._quantile(gaps, _WANTED_DENSITY), 4 * needed))
            entries = self.select(point, radius / eps, self.most_entries)
            if entries is not None:
                self._kept = _Kept(entries, point.g, eps, radius)
                return entries
        cut = -math.log(threshold) if threshold > 0 else 600.0
        density = float(self.xp.mean(self.xp.astype(gaps <= eps * cut, self.xp.float64)))
        entries = None
        if density * self.n * self.m <= self.most_entries:
            entries = self.select(point, cut, self.most_entries)
        if entries is None:
            # Too many for the memory. Dropping the small ones would damp the
            # smooth directions; a random thinning of all keeps them.
            per_row = max(self.most_entries // self.n, 2)
            args = point.f, point.g, eps, self.a, per_row
            entries = self.kernels.sample_entries(self.cost, *args)
        return entries

    def select(self, point, cut, limit):
        """The entries with P_ij >= min(a_i, b_j) exp(-cut), None if over the limit."""
        share = math.exp(-min(cut, 600.0))
        args = point.eps, *entry_bounds(self.xp, share, self.a, self.b), limit
        return self.kernels.select_entries(self.cost, point.f, point.g, *args)

    def _gaps(self, point):
        """eps log(min(a_i, b_j)/P_ij) on a few rows."""
        f = point.f[self._sample][:, None]
        return point.eps * self._log_floor - (f + point.g[None, :] - self._sampled_cost)

    def _quantile(self, values, share):
        values = self.xp.sort(self.xp.reshape(values, (-1,)))
        return float(values[int(share * (values.shape[0] - 1))])
