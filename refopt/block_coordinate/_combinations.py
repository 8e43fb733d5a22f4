"""Which partitions, selection rules and updates go together, and why others do not."""

from typing import Any

from refopt import _validate
from refopt.block_coordinate import _partitions, _selection
from refopt.penalties import Zero

SMOOTH_UPDATES = ("gradient", "backtracking", "matrix", "newton", "cubic", "exact")
UPDATES = (
    "auto",
    *SMOOTH_UPDATES,
    "prox-gradient",
    "prox-newton",
    "two-metric",
    "message-passing",
)


def check_names(selection: Any, update: Any, diag: Any) -> None:
    """Refuse names that do not exist."""
    _validate.choice(selection, "selection", _selection.NAMES)
    _validate.choice(update, "update", UPDATES)
    _validate.choice(diag, "diag", _selection.DIAGONALS)


def resolve_update(problem: Any, partition: Any, update: str) -> str:
    """The update that "auto" stands for."""
    if update != "auto":
        return update
    if not problem.penalty.smooth:
        return "prox-newton" if problem.penalty.__class__.__name__ == "L1" else "two-metric"
    if partition.forest:
        return "message-passing"
    return "exact" if problem.quadratic else "newton"


def check_combination(problem: Any, partition: Any, name: Any, selection: str, update: str) -> None:
    """Refuse what does not combine.

    Parameters
    ----------
    problem : Problem
    partition : FixedBlocks, VariableBlocks or TreeBlocks
    name : Any
        What the user called the partition.
    selection, update : str

    Raises
    ------
    ValueError
        With the reason.
    """
    smooth = isinstance(problem.penalty, Zero)
    random_tree = isinstance(partition, _partitions.TreeBlocks) and partition.random
    greedy_tree = isinstance(partition, _partitions.TreeBlocks) and not partition.random
    needs = (
        (
            selection in _selection.SMOOTH and not smooth,
            f'selection "{selection}" is for smooth problems; with l1 or bounds use "gs-q", '
            '"gs-r" or "gs-s"',
        ),
        (
            update in (*SMOOTH_UPDATES, "message-passing") and not smooth,
            f'update "{update}" is for smooth problems; with l1 or bounds use "prox-gradient", '
            '"prox-newton" or "two-metric"',
        ),
        (
            update == "exact" and not problem.quadratic,
            'update "exact" needs a quadratic f; use "newton" or "cubic"',
        ),
        (update == "two-metric" and smooth, 'update "two-metric" needs bounds or l1'),
        (
            update == "message-passing" and not partition.forest,
            'update "message-passing" needs blocks whose graph is a forest: partition '
            '"red-black", "tree", "greedy-tree" or "random-tree", or labels of '
            f"`forest_partition`, got {_called(name)}",
        ),
        (
            selection == "mi" and partition.variable,
            'selection "mi" needs fixed blocks: among all subsets the best one is a '
            'combinatorial problem; use "gsq"',
        ),
        (
            selection == "gsq-omp" and not partition.variable,
            'selection "gsq-omp" finds variable blocks; for fixed ones "gsq" is exact',
        ),
        (
            random_tree and selection not in ("random", "gs-q"),
            'partition "random-tree" chooses at random: selection must be "random"',
        ),
        (
            greedy_tree and selection not in ("gs", "gsd", "gs-q", "gs-r", "gs-s"),
            'partition "greedy-tree" visits nodes by the score of single ones: selection must be '
            '"gs", "gsd", "gs-q", "gs-r" or "gs-s"',
        ),
    )
    for wrong, reason in needs:
        if wrong:
            raise ValueError(reason)


def _called(name):
    return f'"{name}"' if isinstance(name, str) else "blocks with a cycle"
