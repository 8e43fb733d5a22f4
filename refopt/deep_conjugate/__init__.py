"""Conjugate directions that a model proposes, for large sparse positive definite systems."""

from refopt.deep_conjugate._deflated import deflated_cg
from refopt.deep_conjugate._direction import deep_conjugate_direction
from refopt.deep_conjugate._lanczos import lanczos, ritz_dataset
from refopt.deep_conjugate._load_model import load_model
from refopt.deep_conjugate._multilevel import MultilevelNet
from refopt.deep_conjugate._poisson_grid import PoissonGrid
from refopt.deep_conjugate._projection import poisson_rhs, project

__all__ = [
    "MultilevelNet",
    "PoissonGrid",
    "deep_conjugate_direction",
    "deflated_cg",
    "lanczos",
    "load_model",
    "poisson_rhs",
    "project",
    "ritz_dataset",
]
