"""Rules of sketch-and-project: what one step looks at.

A step with the sketch S moves x to the nearest point of S'A x = S'b, times omega:

    x <- x - omega (S'A)^+ S'(A x - b)

Every rule has ``advance(x, previous, steps) -> x, previous`` and ``rows``, the number of rows
of A that one step looks at; ``size`` is the number of columns of S.
"""

from typing import Any

import numpy as np

SAMPLINGS = ("shuffle", "uniform", "rownorm")


class Draws:
    """Numbers of rows (or blocks), on the host, in the order of their use."""

    def __init__(self, rng, sampling, squares):
        self._rng, self._sampling = rng, sampling
        self._choices = np.flatnonzero(squares > 0)  # zero rows say nothing
        self._law = squares[self._choices] / squares.sum() if self._choices.size else None
        self._left = self._choices[:0]

    def take(self, count: int) -> np.ndarray:
        """The next `count` numbers; none if there is nothing to choose."""
        if not self._choices.size:
            return self._choices
        if self._sampling == "uniform":
            return self._choices[self._rng.integers(self._choices.size, size=count)]
        if self._sampling == "rownorm":
            return self._rng.choice(self._choices, size=count, p=self._law)
        parts = [self._left]
        size = self._left.size
        while size < count:  # a new random order for every sweep
            parts.append(self._rng.permutation(self._choices))
            size += self._choices.size
        drawn = np.concatenate(parts)
        self._left = drawn[count:]
        return drawn[:count]


def host(x: Any) -> np.ndarray:
    """A copy on the host."""
    return x.get() if hasattr(x, "get") else np.asarray(x)


def _weights(xp, squares, omega):
    safe = xp.where(squares > 0, squares, xp.ones_like(squares))
    return xp.where(squares > 0, omega / safe, xp.zeros_like(squares))


class Kaczmarz:
    """S = e_i."""

    rows = size = 1

    def __init__(self, system, rng, *, sampling, omega, momentum):
        self.system, self.momentum = system, momentum
        squares = system.row_squares()
        self.draws = Draws(rng, sampling, host(squares))
        self.weights = _weights(system.xp, squares, omega)

    def advance(self, x, previous, steps):
        index = self.draws.take(steps)
        x, previous, _ = self.system.sweep(self.weights, x, previous, index, self.momentum)
        return x, previous


class Coordinate:
    """Coordinate descent on |A x - b|^2, which is Kaczmarz on A'r = 0 for the residual r."""

    rows = size = 1

    def __init__(self, system, rng, *, sampling, omega, momentum):
        self.system = system
        xp = system.xp
        self.columns = system.transposed(xp.zeros(system.shape[1], dtype=xp.float64))
        self.inner = Kaczmarz(self.columns, rng, sampling=sampling, omega=omega, momentum=0.0)

    def advance(self, x, previous, steps):
        r = self.system.residual(x)
        index = self.inner.draws.take(steps)
        _, _, moves = self.columns.sweep(self.inner.weights, r, r, index, 0.0)
        return x - moves, x


class Greedy:
    """S = e_i with the largest |A_i x - b_i| / |A_i|, known from the Gram matrix A A'."""

    rows = size = 1

    def __init__(self, system, rng, *, sampling, omega, momentum):
        self.system, self.gram = system, system.gram()
        self.weights = _weights(system.xp, system.row_squares(), omega)

    def advance(self, x, previous, steps):
        r = self.system.residual(x)
        _, moves = self.system.kernels.greedy_sweep(self.gram, r, self.weights, steps)
        return x - self.system.transposed_times(moves), x


class _Steps:
    """Steps made one by one, with momentum."""

    def __init__(self, system, rng, *, size, sampling, omega, momentum):
        self.system, self.rng, self.size = system, rng, size
        self.omega, self.momentum = omega, momentum
        self.rows = system.shape[0]

    def advance(self, x, previous, steps):
        for _ in range(steps):
            new = x - self.omega * self.step(x)
            x, previous = (new + self.momentum * (x - previous) if self.momentum else new), x
        return x, previous

    def step(self, x: Any) -> Any:
        """(S'A)^+ S'(A x - b)."""
        raise NotImplementedError


class Gaussian(_Steps):
    """S of one column, normal."""

    def __init__(self, system, rng, *, size, **options):
        super().__init__(system, rng, size=1, **options)

    def step(self, x):
        xp, system = self.system.xp, self.system
        s = xp.asarray(self.rng.standard_normal(self.rows))
        row = system.transposed_times(s)
        square = float(row @ row)
        return (float(s @ system.residual(x)) / square) * row if square > 0 else 0.0 * x


class BlockGaussian(_Steps):
    """S of several columns, normal."""

    def step(self, x):
        xp, system = self.system.xp, self.system
        S = xp.asarray(self.rng.standard_normal((self.rows, self.size)))
        return xp.linalg.pinv(system.transposed_times(S).T) @ (S.T @ system.residual(x))


class CountSketch(_Steps):
    """S'A adds every row to a random one of a few, with a random sign."""

    def step(self, x):
        xp, system = self.system.xp, self.system
        buckets = self.rng.integers(self.size, size=(self.rows, 1)).astype(np.int32)
        signs = self.rng.choice(np.array([-1.0, 1.0]), size=(self.rows, 1))
        rows = system.count_sketch(buckets, signs, self.size)
        r = xp.reshape(system.residual(x), (-1, 1))
        right = system.kernels.count_sketch(r, xp.asarray(buckets), xp.asarray(signs), self.size)
        return xp.linalg.pinv(rows) @ right[:, 0]


class Subsample(_Steps):
    """S of random columns of the identity, drawn anew each time."""

    def __init__(self, system, rng, **options):
        super().__init__(system, rng, **options)
        self.choices = np.flatnonzero(host(system.row_squares()) > 0)
        self.size = self.rows = min(self.size, self.choices.size)

    def step(self, x):
        xp, system = self.system.xp, self.system
        index = xp.asarray(self.rng.choice(self.choices, self.size, replace=False))
        rows = system.some_rows(index)
        return xp.linalg.pinv(rows) @ (rows @ x - xp.take(system.b, index))


class Block(_Steps):
    """S of columns of the identity, from a partition that is factorised once."""

    def __init__(self, system, rng, *, sampling, **options):
        super().__init__(system, rng, sampling=sampling, **options)
        xp, size = system.xp, self.size
        squares = host(system.row_squares())
        order = rng.permutation(np.flatnonzero(squares > 0))
        parts = [order[first : first + size] for first in range(0, order.size, size)]
        self.blocks = [self._factor(xp.asarray(part)) for part in parts]
        self.draws = Draws(rng, sampling, np.array([squares[part].sum() for part in parts]))
        self.rows = min(size, max(order.size, 1))

    def _factor(self, index):
        rows = self.system.some_rows(index)
        return rows, self.system.xp.linalg.pinv(rows), self.system.xp.take(self.system.b, index)

    def step(self, x):
        for number in self.draws.take(1):
            rows, inverse, b = self.blocks[number]
            return inverse @ (rows @ x - b)
        return 0.0 * x


SINGLE = {"kaczmarz": Kaczmarz, "coordinate": Coordinate, "greedy": Greedy}
BLOCKS = {
    "gaussian": Gaussian,
    "block": Block,
    "block_gaussian": BlockGaussian,
    "subsample": Subsample,
    "countsketch": CountSketch,
}
