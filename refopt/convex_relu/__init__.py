"""Two-layer ReLU networks trained through convex programs, with certificates.

.. autosummary::

    fit_convex_relu
    convex_relu_path
    relu_patterns
    all_relu_patterns
    sampled_gates_bound
    price_gates
    certify_network
    dual_bound
    relu_network_objective
    adversarial_loss
"""

from refopt.convex_relu._attack import adversarial_loss
from refopt.convex_relu._certify import certify_network, dual_bound
from refopt.convex_relu._fit import fit_convex_relu
from refopt.convex_relu._gates import all_relu_patterns, relu_patterns, sampled_gates_bound
from refopt.convex_relu._network import relu_network_objective
from refopt.convex_relu._path import convex_relu_path
from refopt.convex_relu._pricing import price_gates

__all__ = [
    "adversarial_loss",
    "all_relu_patterns",
    "certify_network",
    "convex_relu_path",
    "dual_bound",
    "fit_convex_relu",
    "price_gates",
    "relu_network_objective",
    "relu_patterns",
    "sampled_gates_bound",
]
