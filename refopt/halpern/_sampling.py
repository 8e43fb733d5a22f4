"""Which components: two streams drawn on the host, one of coins and one of indices."""

from typing import Any

import numpy as np

from refopt import _rng, _validate

_DENSE = 3.0  # expected pairs of equal indices in a batch from which rejection wastes draws


def streams(rng: Any) -> tuple[np.random.Generator, np.random.Generator]:
    """The generators of coins and of indices that `rng` stands for."""
    seeds = _rng.generator(rng).integers(2**63, size=(2, 2))
    coins, indices = (np.random.default_rng(seed) for seed in seeds)
    return coins, indices


class Indices:
    """Draws of components with the factors that make their mean unbiased.

    Parameters
    ----------
    generator : numpy.random.Generator
    laws : list of (int, ndarray or None)
        Of each index: how many there are, and their probabilities, None for
        uniform ones. Batches of uniform indices have none twice.
    xp : module
        Where the indices go.
    dtype : dtype
        Of the factors.
    """

    def __init__(self, generator, laws, xp, dtype):
        self.generator, self.xp, self.dtype = generator, xp, dtype
        self.sizes = [size for size, _ in laws]
        self.laws = [None if q is None else _Law(q) for _, q in laws]
        self.uniform = all(law is None for law in self.laws)

    def one_by_one(self, count):
        """Indices, (count,) or (count, 2), and their factors or None."""
        index, factors = self.draw(count, 1)
        return index[:, 0, ...], None if factors is None else factors[:, 0, ...]

    def draw(self, count, batch):
        """Indices, (count, batch) or (count, batch, 2), and their factors or None."""
        columns, factors = [], []
        for size, law in zip(self.sizes, self.laws, strict=True):
            if law is None:
                columns.append(_without_replacement(self.generator, size, count, batch))
                factors.append(np.ones((count, batch)))
            else:
                index = law(self.generator.random(count * batch)).reshape(count, batch)
                columns.append(index)
                factors.append(law.factors[index])
        index, factor = (np.stack(c, -1) if len(c) > 1 else c[0] for c in (columns, factors))
        index = self.xp.asarray(index.astype(np.int64))
        return index, None if self.uniform else self.xp.asarray(factor, dtype=self.dtype)


class _Law:
    """Indices with given probabilities from uniform numbers.

    The first edge of the cumulative sum above a number is sought from a table of
    starts, a step or two away: a few times as fast as by bisection.
    """

    def __init__(self, q):
        q = np.asarray(q, dtype=float)
        q = q / q.sum()
        drawn = np.flatnonzero(q)
        self.edges = np.cumsum(q)
        self.edges[drawn[-1] :] = 2.0  # rounding of the last edge
        self.starts = np.searchsorted(self.edges, np.arange(q.size) / q.size, "right")
        self.factors = np.divide(1.0 / q.size, q, out=np.zeros_like(q), where=q > 0)

    def __call__(self, numbers):
        index = self.starts[(numbers * self.starts.size).astype(np.int64)]
        late = np.flatnonzero(self.edges[index] <= numbers)
        while late.size:
            index[late] += 1
            late = late[self.edges[index[late]] <= numbers[late]]
        return index


def _without_replacement(generator, size, count, batch):
    """(count, batch) indices, none twice in a row."""
    if batch == 1:
        return generator.integers(size, size=(count, 1))
    if batch == size:
        return np.tile(np.arange(size), (count, 1))
    if batch * batch > 2 * _DENSE * size:
        rows = [generator.choice(size, batch, replace=False) for _ in range(count)]
        return np.array(rows, dtype=np.int64).reshape(count, batch)
    found = np.empty((0, batch), dtype=np.int64)
    while found.shape[0] < count:
        rows = generator.integers(size, size=(2 * (count - found.shape[0]) + 8, batch))
        ordered = np.sort(rows, axis=1)
        found = np.concatenate([found, rows[np.all(ordered[:, 1:] > ordered[:, :-1], axis=1)]])
    return found[:count]


def sampling_law(sampling: Any, n: int) -> Any:
    """The argument `sampling`: a name, or probabilities that sum to one."""
    if isinstance(sampling, str):
        return _validate.choice(sampling, "sampling", ("importance", "uniform"))
    q = np.asarray(_validate.as_array(sampling, "sampling"), dtype=float)
    if q.shape != (n,):
        raise ValueError(f"sampling must be a name or have {n} entries, got shape {q.shape}")
    if not (np.isfinite(q).all() and q.min() >= 0 and q.sum() > 0):
        raise ValueError(
            "sampling must hold finite probabilities, not negative and not all zero, got "
            f"a least entry of {q.min():g} and a sum of {q.sum():g}"
        )
    return q / q.sum()
