"""Conjugate directions that a model proposes, for large sparse positive definite systems."""

from refopt.deep_conjugate._poisson_grid import PoissonGrid

__all__ = ["PoissonGrid"]
