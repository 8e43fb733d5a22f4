"""Entropic optimal transport: Sinkhorn and sparse Newton iterations.

.. autosummary::

    sinkhorn
    sinkhorn_newton
    sinkhorn_divergence
    PointCloudCost
    lyapunov
    marginal_error
    transport_plan
    plan_matvec
    round_to_polytope
    ot_gradients
"""

from refopt.transport._divergence import sinkhorn_divergence
from refopt.transport._dual_function import lyapunov, marginal_error
from refopt.transport._plan import ot_gradients, plan_matvec, round_to_polytope, transport_plan
from refopt.transport._result import TransportResult
from refopt.transport._solve import sinkhorn, sinkhorn_newton
from refopt.transport.costs import PointCloudCost

__all__ = [
    "PointCloudCost",
    "TransportResult",
    "lyapunov",
    "marginal_error",
    "ot_gradients",
    "plan_matvec",
    "round_to_polytope",
    "sinkhorn",
    "sinkhorn_divergence",
    "sinkhorn_newton",
    "transport_plan",
]
