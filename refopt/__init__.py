"""Numerical optimisation on NumPy and CuPy arrays.

Public names are loaded at their first use: importing refopt costs next to
nothing beside NumPy.
"""

import importlib

from refopt_backends import __version__

# Public name -> the module that holds it.
_HOMES = {
    name: home
    for home, names in {
        "refopt.augmented_lagrangian": (
            "adasketch_newton",
            "exact_augmented_lagrangian",
            "minimize_equality",
            "sketch_lstsq",
            "sketch_project",
        ),
        "refopt.block_coordinate": (
            "LeastSquares",
            "Logistic",
            "Quadratic",
            "SVMDual",
            "Softmax",
            "box_qp",
            "elastic_net",
            "forest_factor",
            "forest_partition",
            "forest_solve",
            "identify_active_set",
            "l1_logistic",
            "label_propagation",
            "lasso",
            "lasso_path",
            "logistic",
            "minimize_bcd",
            "nnls",
            "red_black_partition",
            "select_block",
            "softmax",
            "svm_dual",
        ),
        "refopt.convex_relu": (
            "adversarial_loss",
            "certify_network",
            "price_gates",
            "relu_network_objective",
            "all_relu_patterns",
            "convex_relu_path",
            "dual_bound",
            "fit_convex_relu",
            "relu_patterns",
            "sampled_gates_bound",
        ),
        "refopt.deep_conjugate": (
            "DCDMNet",
            "MultilevelNet",
            "PoissonGrid",
            "deep_conjugate_direction",
            "deflated_cg",
            "lanczos",
            "load_model",
            "poisson_rhs",
            "project",
            "ritz_dataset",
            "train_direction_network",
        ),
        "refopt.halpern": (
            "halpern_fixed_point",
            "inexact_halpern",
            "matrix_game",
            "minimax",
            "solve_vi",
            "vr_halpern",
        ),
        "refopt.transport": (
            "PointCloudCost",
            "lyapunov",
            "marginal_error",
            "ot_gradients",
            "plan_matvec",
            "round_to_polytope",
            "sinkhorn",
            "sinkhorn_divergence",
            "sinkhorn_newton",
            "transport_plan",
        ),
        "refopt._progress": ("ProgressBar",),
        "refopt._versions": ("show_versions", "warmup"),
        "refopt_backends": ("available_backends", "register_backend", "use_backend"),
    }.items()
    for name in names
}
_MODULES = (
    "augmented_lagrangian",
    "block_coordinate",
    "convex_relu",
    "deep_conjugate",
    "halpern",
    "problems",
    "proximal",
    "transport",
)

__all__ = ["__version__", *sorted(_HOMES), *_MODULES]


def __getattr__(name):
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"refopt.{name}")
    raise AttributeError(f"module 'refopt' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
