"""Equality-constrained optimisation: exact augmented Lagrangian, sketched linear systems.

.. autosummary::

    adasketch_newton
    minimize_equality
    exact_augmented_lagrangian
    sketch_lstsq
    sketch_project
"""

from ._merit_function import exact_augmented_lagrangian
from ._minimize import minimize_equality
from ._paper import adasketch_newton
from ._sketch_lstsq import sketch_lstsq
from ._sketch_project import sketch_project

__all__ = [
    "adasketch_newton",
    "exact_augmented_lagrangian",
    "minimize_equality",
    "sketch_lstsq",
    "sketch_project",
]
