"""Numerical optimisation on NumPy and CuPy arrays."""

from refopt_backends import __version__

__all__ = ["__version__"]
