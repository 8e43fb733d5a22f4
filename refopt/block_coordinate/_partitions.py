"""Partitions of the coordinates: fixed blocks, and sets that are chosen anew every time."""

from typing import Any

import numpy as np

from refopt import _validate
from refopt.block_coordinate._block import Block
from refopt.block_coordinate._forests import (
    first_forest,
    forest_partition,
    red_black_partition,
    symmetric_graph,
)
from refopt.block_coordinate._models import QuadraticModel

FIXED = ("order", "sort", "average", "sort-h", "average-h")
GRAPH = ("red-black", "tree", "greedy-tree", "random-tree")
NAMES = (*FIXED, "variable", *GRAPH)


class FixedBlocks:
    """Disjoint blocks that stay. Coordinates in which f is linear belong to none.

    Attributes
    ----------
    blocks : list of Block
    groups : list of (block numbers, matrix of indices)
        Blocks of equal size together, so that scores are sums along rows.
    forest : bool
        Whether the graph of every block is a forest.
    """

    variable = False

    def __init__(self, problem, index_sets, forest=False):
        xp = problem.xp
        self.forest = forest
        self.blocks = [Block(problem, xp.asarray(b), forest) for b in index_sets]
        by_size: dict[int, list[int]] = {}
        for k, b in enumerate(index_sets):
            by_size.setdefault(len(b), []).append(k)
        self.groups = [
            (numbers, xp.asarray(np.stack([index_sets[k] for k in numbers])))
            for numbers in by_size.values()
        ]

    def sums(self, xp: Any, values: Any) -> Any:
        """The sums of a vector over the blocks, one number for each."""
        parts, numbers = [], []
        for group, index in self.groups:
            taken = xp.reshape(xp.take(values, xp.reshape(index, (-1,))), index.shape)
            parts.append(xp.sum(taken, axis=1))
            numbers.extend(group)
        place = xp.asarray(np.argsort(np.array(numbers)))
        return xp.take(xp.concat(parts), place)


class VariableBlocks:
    """Any `size` of the coordinates that are alive, i.e. in which f is not linear."""

    variable, forest = True, False

    def __init__(self, problem, size, alive):
        self.problem, self.alive = problem, alive
        self.size = min(size, alive.shape[0])

    def block(self, index: Any) -> Block:
        """The block of some coordinates."""
        return Block(self.problem, index)


class TreeBlocks:
    """The first forest that a visit of the graph's nodes gives, in an order chosen anew."""

    variable, forest = True, True

    def __init__(self, problem, alive, random):
        self.problem, self.alive, self.random = problem, alive, random
        self.size = alive.shape[0]
        _, self.kernels, self.graph = symmetric_graph(
            problem.design.matrix, "A", problem.kernels.name
        )
        self.dead = np.setdiff1d(np.arange(problem.size), alive)

    def block(self, order: Any) -> Block:
        """The forest of the living nodes, visited in this order."""
        visits = np.concatenate([order, self.dead]).astype(np.int64)
        mask = first_forest(self.graph, self.kernels, visits)
        mask[self.dead] = False
        return Block(self.problem, np.flatnonzero(mask), forest=True)


def make_partition(problem: Any, partition: Any, block_size: Any) -> Any:
    """The partition that was asked for.

    Parameters
    ----------
    problem : Problem
    partition : str, array of int or list of arrays
        A name, a label for each coordinate, or the blocks themselves.
    block_size : int or None
        None is 5.

    Raises
    ------
    ValueError
        Unknown names, sizes below 1 or above the number of coordinates, blocks
        that are not disjoint or not complete, a graph partition of a problem
        without a graph.
    """
    p = problem.size
    tau = min(5, p) if block_size is None else _validate.count(block_size, "block_size", least=1)
    if tau > max(p, 1):
        raise ValueError(f"block_size must be at most the number of coordinates {p}, got {tau}")
    alive = np.asarray(_host(problem.coordinate_lipschitz) > 0)
    if not isinstance(partition, str):
        return FixedBlocks(problem, _living(_given(partition, p), alive))
    _validate.choice(partition, "partition", NAMES)
    if partition == "variable":
        return VariableBlocks(problem, tau, problem.xp.asarray(np.flatnonzero(alive)))
    if partition in GRAPH:
        return _graph_blocks(problem, partition, alive)
    order = _ordered(problem, partition)
    chunks = [np.sort(order[k : k + tau]) for k in range(0, p, tau)]
    return FixedBlocks(problem, _living(chunks, alive))


def forests_given(problem: Any, partition: FixedBlocks) -> Any:
    """A user's blocks, for message passing.

    Raises
    ------
    ValueError
        The problem has no sparse matrix, or the graph of a block has a cycle.
    """
    if not (isinstance(problem, QuadraticModel) and problem.sparse):
        raise ValueError('update "message-passing" needs a Quadratic with a sparse matrix')
    forests = FixedBlocks(problem, [_host(b.index) for b in partition.blocks], forest=True)
    for k, block in enumerate(forests.blocks):
        try:
            block.factor  # noqa: B018
        except np.linalg.LinAlgError:
            raise
        except ValueError as error:
            raise ValueError(
                f'update "message-passing" needs forests, block {k} is none: {error} '
                "(counted within the block)"
            ) from error
    return forests


def _ordered(problem, partition):
    """The coordinates in the order from which chunks are cut."""
    p = problem.size
    if partition == "order":
        return np.arange(p)
    by_rows = partition.endswith("-h")
    key = problem.row_sums() if by_rows else problem.coordinate_lipschitz
    s = np.argsort(_host(key), kind="stable")
    if partition.startswith("sort"):
        return s
    order = np.empty_like(s)  # the smallest beside the largest
    order[0::2] = s[: (p + 1) // 2]
    order[1::2] = s[::-1][: p // 2]
    return order


def _graph_blocks(problem, partition, alive):
    if not (isinstance(problem, QuadraticModel) and problem.sparse):
        raise ValueError(
            f'partition "{partition}" needs the graph of a Quadratic with a sparse matrix'
        )
    if partition in ("greedy-tree", "random-tree"):
        return TreeBlocks(problem, np.flatnonzero(alive), partition == "random-tree")
    split = red_black_partition if partition == "red-black" else forest_partition
    labels = split(problem.design.matrix, backend=problem.kernels.name)
    return FixedBlocks(problem, _living(_given(labels, problem.size), alive), forest=True)


def _given(partition, p):
    """Labels or lists of indices as a list of index arrays."""
    if getattr(partition, "ndim", 0) == 1 or _flat_list(partition):
        labels = _host(_validate.as_array(partition, "partition"))
        if labels.dtype.kind not in "iu" and p:
            raise TypeError(f"partition must hold integer labels, got dtype {labels.dtype}")
        if labels.shape != (p,):
            raise ValueError(
                f"partition must have one label per coordinate, {p}, got {labels.shape[0]}"
            )
        return [np.flatnonzero(labels == name) for name in np.unique(labels)]
    blocks = [_host(_validate.as_array(b, f"partition[{k}]")) for k, b in enumerate(partition)]
    for k, b in enumerate(blocks):
        if b.ndim != 1 or (b.size and b.dtype.kind not in "iu"):
            raise TypeError(f"partition[{k}] must be a vector of integers, got dtype {b.dtype}")
    together = np.concatenate([*blocks, np.empty(0, dtype=np.int64)]).astype(np.int64)
    if together.size and not 0 <= together.min() <= together.max() < p:
        raise ValueError(f"partition must hold indices 0..{p - 1}, got others")
    times = np.bincount(together, minlength=p)
    if (times > 1).any():
        raise ValueError(
            f"partition must be disjoint, got coordinate {int(np.argmax(times > 1))} twice"
        )
    if (times < 1).any():
        raise ValueError(
            f"partition must be complete, coordinate {int(np.argmin(times))} is in no block"
        )
    return [np.sort(b).astype(np.int64) for b in blocks]


def _flat_list(partition):
    return isinstance(partition, list | tuple) and all(np.ndim(entry) == 0 for entry in partition)


def _living(index_sets, alive):
    """Blocks without the coordinates in which f is linear; no empty ones."""
    kept = (b[alive[b]] for b in index_sets)
    return [b for b in kept if b.size]


def _host(value):
    """A NumPy array: partitions are made on the host, once."""
    return value.get() if hasattr(value, "get") else np.asarray(value)
