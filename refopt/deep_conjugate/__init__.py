"""Conjugate directions that a model proposes, for large sparse positive definite systems."""

from refopt.deep_conjugate._dcdm_net import DCDMNet
from refopt.deep_conjugate._deflated import deflated_cg
from refopt.deep_conjugate._direction import deep_conjugate_direction
from refopt.deep_conjugate._lanczos import lanczos, ritz_dataset
from refopt.deep_conjugate._load_model import load_model
from refopt.deep_conjugate._multilevel import MultilevelNet
from refopt.deep_conjugate._poisson_grid import PoissonGrid
from refopt.deep_conjugate._projection import poisson_rhs, project
from refopt.deep_conjugate._train import train_direction_network

__all__ = [
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
]
