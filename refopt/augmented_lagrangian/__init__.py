"""Equality-constrained optimisation: exact augmented Lagrangian, sketched linear systems.

.. autosummary::

    minimize_equality
    sketch_lstsq
    sketch_project
"""

from ._minimize import minimize_equality
from ._sketch_lstsq import sketch_lstsq
from ._sketch_project import sketch_project

__all__ = ["minimize_equality", "sketch_lstsq", "sketch_project"]
