"""CUDA kernels for CuPy arrays: launch wrappers in Python beside their ``.cu`` files."""
