"""Fixtures of several test files: CuPy, the real one and the stand-in."""

import warnings

import pytest

from cuda_on_cpu import harness


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Where the stand-in keeps its compiled kernels."""
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(params=["stand-in", pytest.param("device", marks=pytest.mark.gpu)])
def cupy(request, compiled):
    """CuPy on a device, and its stand-in of `cuda_on_cpu`; skipped with the reason."""
    if reason := harness.unavailable() if request.param == "stand-in" else no_device():
        pytest.skip(reason)
    if request.param == "device":
        import cupy

        yield cupy
    else:
        with harness.stand_in(compiled) as cupy:
            yield cupy


def no_device():
    """Why nothing can run on a device here, or an empty text."""
    try:
        with warnings.catch_warnings(action="ignore"):  # CuPy's own, of its installation
            import cupy
    except ImportError:
        return "CuPy is not installed"
    try:
        return "" if cupy.cuda.runtime.getDeviceCount() else "no CUDA device"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no CUDA device: {error}"
