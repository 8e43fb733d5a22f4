"""Kernels compiled for the CPU with Numba."""
