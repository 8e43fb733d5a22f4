"""Where refopt computes: kernels for NumPy, Numba, CuPy and any Array-API library.

Importing this package imports no array library but NumPy.
"""

from refopt_backends._home import cumulative_sum, is_array, namespace_of
from refopt_backends._select import (
    KernelTable,
    available_backends,
    register_backend,
    resolve,
    use_backend,
)
from refopt_backends._sparse import sparse_array
from refopt_backends._version import __version__

__all__ = [
    "KernelTable",
    "__version__",
    "available_backends",
    "cumulative_sum",
    "is_array",
    "namespace_of",
    "register_backend",
    "resolve",
    "sparse_array",
    "use_backend",
]
