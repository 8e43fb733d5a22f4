"""Two-layer ReLU networks trained through convex programs, with certificates.

.. autosummary::

    fit_convex_relu
    convex_relu_path
    relu_patterns
    all_relu_patterns
    sampled_gates_bound
"""

from refopt.convex_relu._fit import fit_convex_relu
from refopt.convex_relu._gates import all_relu_patterns, relu_patterns, sampled_gates_bound
from refopt.convex_relu._path import convex_relu_path

__all__ = [
    "all_relu_patterns",
    "convex_relu_path",
    "fit_convex_relu",
    "relu_patterns",
    "sampled_gates_bound",
]
