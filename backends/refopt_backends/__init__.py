"""Where refopt computes: kernels for NumPy, Numba, CuPy and any Array-API library.

Importing this package imports no array library but NumPy.
"""

from refopt_backends._array_functions import (
    cholesky,
    cumulative_sum,
    diagonal_of,
    euclidean_norm,
    host_numbers,
    unique_values,
)
from refopt_backends._home import is_array, namespace_of
from refopt_backends._select import (
    KernelTable,
    available_backends,
    register_backend,
    resolve,
    use_backend,
)
from refopt_backends._sparse import linear_operator, sparse_array
from refopt_backends._transforms import sine_transform
from refopt_backends._version import __version__

__all__ = [
    "KernelTable",
    "__version__",
    "available_backends",
    "cholesky",
    "cumulative_sum",
    "diagonal_of",
    "euclidean_norm",
    "host_numbers",
    "is_array",
    "linear_operator",
    "namespace_of",
    "register_backend",
    "resolve",
    "sine_transform",
    "sparse_array",
    "unique_values",
    "use_backend",
]
