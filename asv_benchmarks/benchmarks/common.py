"""What every benchmark shares: the backend as its last parameter, and warm kernels."""

import numpy as np

from refopt_backends import available_backends

BACKENDS = ["numpy", "numba", "cupy"]


class Benchmark:
    """A benchmark over ``params``, the last of which is the backend.

    A family's benchmark class sets ``params`` and ``param_names`` and extends
    `setup`, which makes one call so that no kernel is compiled while it is
    measured.
    """

    timeout = 300

    def setup(self, *params):
        """Skip the parameters whose backend is not installed, or has no device."""
        backend = params[-1]
        if backend not in available_backends():
            raise NotImplementedError(f"backend {backend} is not installed")
        if backend == "cupy":
            import cupy

            if not cupy.is_available():
                raise NotImplementedError("there is no CUDA device")


def to_backend(array, backend):
    """Move a NumPy array to where a backend computes."""
    if backend != "cupy":
        return np.ascontiguousarray(array)
    import cupy

    return cupy.asarray(array)


def wait(backend):
    """Wait until the device has finished, where there is one."""
    if backend == "cupy":
        import cupy

        cupy.cuda.get_current_stream().synchronize()
