"""Selection rules: which block is updated next.

A rule scores what the change of single coordinates (or of whole fixed blocks)
promises, and the largest score wins. With variable blocks the `tau` largest
coordinates win, found in O(p). Names are the paper's.
"""

import math
from typing import Any

import numpy as np

from refopt.block_coordinate._block import replaced, solve
from refopt_backends import euclidean_norm, namespace_of

RANDOM = ("cyclic", "permuted-cyclic", "random", "lipschitz")
SMOOTH = ("gs", "gsl", "gsd", "gsq", "gsq-omp", "mi")
PROXIMAL = ("gs-q", "gs-r", "gs-s")
NAMES = (*RANDOM, *SMOOTH, *PROXIMAL)
DIAGONALS = ("lipschitz", "row-sum")

SQUARED = ("gsd", "gsq", "gsq-omp", "gs-q")  # whose scores are squares
_NOISE, _NOISE_SQUARED = 1e-8, 1e-16  # of the largest score: promises nothing

_IHT_STEPS = 10
_IHT_CHANGE = 1e-10
_RATIO_STEPS = 50  # of Dinkelbach's iteration, which needs a handful
_POWER_STEPS = 50
_POWER_MARGIN = 1.05  # the power method comes from below


# -- scores of coordinates ------------------------------------------------------


def coordinate_scores(rule: str, g: Any, L: Any, x: Any, penalty: Any, D: Any) -> Any:
    """What each coordinate promises under a rule, nonnegative.

    Parameters
    ----------
    rule : str
    g, L, x : array, shape (p,)
        Gradient, Lipschitz constants and point.
    penalty : object of `refopt.penalties`
    D : array, shape (p,)
        The diagonal of gsd.
    """
    xp = namespace_of(g)
    if rule == "gs":
        return xp.abs(g)
    if rule in ("gsd", "gsq", "gsq-omp"):
        return g * g / D
    if rule == "gs-s":  # the least subgradient
        return penalty.distance(x, g)
    new = penalty.prox(x - g / L, 1 / L)
    d = new - x
    if rule == "gs-r":
        return xp.abs(d)
    # gs-q: s_i = g_i d_i + L_i/2 d_i^2 + h_i(x_i + d_i) - h_i(x_i)
    s = (g * d + penalty.changes(x, new)) + 0.5 * L * d * d
    return xp.where(s < 0, -s, xp.zeros_like(s))


def top(xp: Any, scores: Any, tau: int) -> Any:
    """The places of the `tau` largest scores, in increasing order; of ties the first ones."""
    p = scores.shape[0]
    if tau >= p:
        return xp.arange(p)
    partition = getattr(xp, "partition", None)  # not in the standard, where a sort must do
    ranked = xp.sort(scores) if partition is None else partition(scores, p - tau)
    least = ranked[p - tau]
    sure = xp.nonzero(scores > least)[0]
    ties = xp.nonzero(scores == least)[0][: tau - sure.shape[0]]
    return xp.sort(xp.concat([sure, ties]))


def best_ratio(xp: Any, numerator: Any, denominator: Any, tau: int) -> Any:
    """The `tau` places of largest sum of numerators over sum of denominators, by Dinkelbach."""
    ratio, b = 0.0, None
    for _ in range(_RATIO_STEPS):
        b = top(xp, numerator - ratio * denominator, tau)
        new = float(xp.sum(numerator[b])) / float(xp.sum(denominator[b]))
        if new <= ratio:
            break
        ratio = new
    return b


# -- gsq with variable blocks: max g_b' H_b^-1 g_b over |b| = tau ----------------


def hard_thresholding(xp: Any, g: Any, times: Any, lmax: float, start: Any, d0: Any) -> Any:
    """Iterative hard thresholding on min g'd + 1/2 d'H d, ||d||_0 <= tau.

    Parameters
    ----------
    xp : module
    g : array, shape (p,)
    times : callable
        d -> H d.
    lmax : float
        At least the largest eigenvalue of H.
    start, d0 : array
        The places and the whole vector to start from.
    """
    tau, d, b = start.shape[0], d0, start
    for _ in range(_IHT_STEPS):
        full = d - (g + times(d)) / lmax
        b = top(xp, xp.abs(full), tau)
        new = _supported(xp, full, b)
        change = float(xp.max(xp.abs(new - d)))
        d = new
        if change < _IHT_CHANGE:
            break
    return b


def orthogonal_matching(xp: Any, g: Any, times: Any, H_block: Any, D: Any, tau: int) -> Any:
    """One coordinate at a time, by what it promises after the best step in those before."""
    b = xp.asarray([], dtype=xp.int64)
    residual = g
    taken = np.zeros(g.shape[0], dtype=bool)
    for _ in range(tau):
        scores = xp.where(xp.asarray(taken), -xp.ones_like(D), residual * residual / D)
        best = int(xp.argmax(scores))
        taken[best] = True
        b = xp.asarray(np.flatnonzero(taken))
        d = solve(xp, H_block(b), -g[b])
        residual = g + times(_placed(xp, d, b, g.shape[0]))
    return b


def largest_eigenvalue(xp: Any, times: Any, p: int) -> float:
    """Of a positive semidefinite matrix, with a margin, by the power method."""
    # fixed and without symmetry: all backends start alike
    v = xp.asarray(np.random.default_rng(0).standard_normal(p))
    value = 0.0
    for _ in range(_POWER_STEPS):
        norm = euclidean_norm(v)
        if norm == 0.0:
            break
        v = v / norm
        w = times(v)
        value, v = max(value, float(v @ w)), w
    return _POWER_MARGIN * value


def _supported(xp, full, b):
    return _placed(xp, full[b], b, full.shape[0])


def _placed(xp, values, b, p):
    return replaced(xp, xp.zeros(p), b, values)


# -- one rule on one partition ---------------------------------------------------


class Selector:
    """A rule on a partition: ``choose(x, z, g)`` is the next block."""

    def __init__(self, problem, partition, rule, diag, rng):
        self.problem, self.partition, self.rule, self.rng = problem, partition, rule, rng
        self.xp = problem.xp
        self.needs_gradient = rule not in RANDOM
        # without anything drawn a step of nothing would be repeated for ever
        self.greedy = self.needs_gradient and not getattr(partition, "random", False)
        self.turn = 0
        self.order: Any = None
        self.alive = None  # all of them
        if partition.variable and partition.alive.shape[0] < problem.size:
            self.alive = partition.alive
        self.count = (
            max(1, math.ceil(partition.alive.shape[0] / max(1, partition.size)))
            if partition.variable
            else len(partition.blocks)
        )
        L = problem.coordinate_lipschitz
        self.L = without_zeros(self.xp, L)
        self.row_sums = diag == "row-sum" and rule in ("gsd", "gsq", "gsq-omp")
        self.D = without_zeros(self.xp, problem.row_sums()) if self.row_sums else self.L
        self.memory: dict[str, Any] = {}

    def choose(self, x: Any, z: Any, g: Any) -> Any:
        """The next block.

        Parameters
        ----------
        x, z : array
            Point and state.
        g : array or None
            Gradient; a greedy rule needs it.
        """
        if not self.partition.variable:
            return self.partition.blocks[self._fixed(x, z, g)]
        if self.partition.forest:
            return self.partition.block(self._visits(x, g))
        return self.partition.block(self._subset(x, g))

    # fixed blocks: the largest score

    def _fixed(self, x, z, g):
        n, rule, xp = self.count, self.rule, self.xp
        if rule == "random":
            return int(self.rng.integers(n))
        if rule == "lipschitz":
            L = self._once("L_b", lambda: np.array([b.lipschitz for b in self.partition.blocks]))
            return int(self.rng.choice(n, p=L / L.sum()))
        if rule in ("cyclic", "permuted-cyclic"):
            place = self._next_place()
            return place if self.order is None else int(self.order[place])
        if rule == "mi":
            return int(np.argmax(self._decreases(x, z, g)))
        return int(xp.argmax(self._block_scores(x, g)))

    def _block_scores(self, x, g):
        xp, rule, sums = self.xp, self.rule, self.partition.sums
        blocks = self.partition.blocks
        if rule in ("gs", "gsl"):
            squares = sums(xp, g * g)
            if rule == "gs":
                return squares
            return squares / self._once(
                "L_b", lambda: xp.asarray([b.lipschitz for b in self.partition.blocks])
            )
        if rule == "gsd":  # D_i = |b| L_i, or the row sums
            scores = sums(xp, g * g / self.D)
            if self.row_sums:
                return scores
            sizes = [float(b.index.shape[0]) for b in blocks]
            return scores / self._once("sizes", lambda: xp.asarray(sizes))
        if rule == "gsq":
            return self._quadratic_scores(g)
        penalty = self.problem.penalty
        return sums(xp, coordinate_scores(rule, g, self.L, x, penalty, self.D))

    def _quadratic_scores(self, g):
        """g_b' H_b^-1 g_b, the inverses kept."""
        xp = self.xp
        scores = np.empty(self.count)
        for number, (group, index) in enumerate(self.partition.groups):
            size = index.shape[1]
            if self.partition.forest or size > 128:
                for k in group:
                    block = self.partition.blocks[k]
                    gb = g[block.index]
                    scores[k] = float(gb @ block.solve_bound(gb))
                continue
            inverses = self._once(
                f"inverses {number}",
                lambda group=group: xp.linalg.pinv(
                    xp.stack([self.partition.blocks[k].bound for k in group])
                ),
            )
            G = xp.reshape(xp.take(g, xp.reshape(index, (-1,))), index.shape)
            steps = xp.matmul(inverses, G[:, :, None])[:, :, 0]
            values = xp.sum(G * steps, axis=1)
            scores[np.array(group)] = _to_host(values)
        return xp.asarray(scores)

    def _decreases(self, x, z, g):
        """mi: f(x) - min_d f(x + U_b d), by Newton's method on every block."""
        from refopt.block_coordinate._updates_smooth import minimise_block

        if self.problem.quadratic:
            return _to_host(self._quadratic_scores(g))
        return np.array([minimise_block(b, x, z, g) for b in self.partition.blocks])

    # variable blocks: the tau best coordinates

    def _subset(self, x, g):
        xp, rule, tau = self.xp, self.rule, self.partition.size
        alive = self.partition.alive
        p = alive.shape[0]
        if rule in ("cyclic", "permuted-cyclic"):
            chunk = self._next_place() * tau
            order = np.arange(p) if self.order is None else self.order
            return alive[xp.asarray(np.sort(order[chunk : chunk + tau]))]
        if rule == "random":
            return alive[xp.asarray(np.sort(self.rng.choice(p, tau, replace=False)))]
        if rule == "lipschitz":
            L = self._once("L", lambda: _to_host(self.L[alive]))
            chosen = self.rng.choice(p, tau, replace=False, p=L / L.sum())
            return alive[xp.asarray(np.sort(chosen))]
        if rule == "gsl":
            return alive[best_ratio(xp, (g * g)[alive], self.L[alive], tau)]
        b = self._best(coordinate_scores(rule, g, self.L, x, self.problem.penalty, self.D), tau, x)
        return b if rule not in ("gsq", "gsq-omp") else self._quadratic_subset(g, b)

    def _best(self, scores, tau, x):
        if scores.shape[0]:
            # Rounding must not decide between coordinates that promise nothing: those off
            # their kinks come first, for a block with all of them makes a Newton step.
            noise = _NOISE_SQUARED if self.rule in SQUARED else _NOISE
            least = noise * float(self.xp.max(scores))
            off = self.xp.astype(~self.problem.penalty.active(x), scores.dtype)
            scores = self.xp.where(scores > least, scores, 0.5 * least * off)
        if self.alive is None:
            return top(self.xp, scores, tau)
        return self.alive[top(self.xp, scores[self.alive], tau)]

    def _quadratic_subset(self, g, start):
        """The block of gsq, never worse than that of gsd, from which it starts."""
        xp, problem = self.xp, self.problem
        p, tau = problem.size, start.shape[0]
        if self.rule == "gsq-omp":
            D = xp.where(problem.coordinate_lipschitz > 0, self.L, xp.full_like(self.L, math.inf))
            found = orthogonal_matching(
                xp, g, problem.bound_times, lambda b: problem.bound(b, problem.columns(b)), D, tau
            )
        else:
            lmax = self._once("lmax", lambda: largest_eigenvalue(xp, problem.bound_times, p))
            d0 = _placed(xp, -(g[start] / self.D[start]) / tau, start, p)
            found = hard_thresholding(xp, g, problem.bound_times, lmax, start, d0)
        promise = [
            float(g[b] @ solve(xp, problem.bound(b, problem.columns(b)), g[b]))
            for b in (found, start)
        ]
        return found if promise[0] >= promise[1] else start

    # trees: the order in which nodes are visited

    def _visits(self, x, g):
        alive = self.partition.alive
        if self.partition.random:
            return alive[self.rng.permutation(alive.shape[0])]
        scores = coordinate_scores(self.rule, g, self.L, x, self.problem.penalty, self.D)
        return alive[np.argsort(-scores[alive], kind="stable")]

    def _next_place(self):
        """0, 1, ..., count - 1 and again; permuted-cyclic draws a new order at 0."""
        place = self.turn % self.count
        if self.rule == "permuted-cyclic" and place == 0:
            variable = self.partition.variable
            n = self.partition.alive.shape[0] if variable else self.count
            self.order = self.rng.permutation(n)
        self.turn += 1
        return place

    def _once(self, key, make):
        if key not in self.memory:
            self.memory[key] = make()
        return self.memory[key]


def without_zeros(xp: Any, L: Any) -> Any:
    """L with 1 for 0: nothing is divided by the constant of a linear coordinate."""
    return xp.where(L > 0, L, xp.ones_like(L))


def _to_host(values):
    return values.get() if hasattr(values, "get") else np.asarray(values)
