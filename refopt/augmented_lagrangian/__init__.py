"""Equality-constrained optimisation: exact augmented Lagrangian, sketched linear systems.

.. autosummary::

    minimize_equality
"""

from ._minimize import minimize_equality

__all__ = ["minimize_equality"]
