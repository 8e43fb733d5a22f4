"""Fixtures of the CUDA-on-CPU tests."""

import pytest

from cuda_on_cpu import harness


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The folder in which all tests of a session share what g++ makes."""
    if reason := harness.unavailable():
        pytest.skip(reason)
    return tmp_path_factory.mktemp("cuda_on_cpu")


@pytest.fixture
def cupy(compiled):
    """The stand-in, in CuPy's place for the length of a test."""
    with harness.stand_in(compiled) as module:
        yield module
