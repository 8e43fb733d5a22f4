"""No kernel races or leaves its arrays; and the sanitizers would say so if one did."""

import re
from pathlib import Path

import numpy as np
import pytest

import refopt_backends
from cuda_on_cpu import sanitizers

FOLDER = Path(refopt_backends.__file__).parent / "cupy_gpu"


@pytest.fixture
def launches(cupy):
    """What one small call of every transport kernel launches."""
    from refopt_backends.cupy_gpu import transport

    rng = np.random.default_rng(0)
    n, m = 5, 130
    a, g = cupy.asarray(np.full(n, 1 / n)), cupy.asarray(rng.random(m))
    X, Y = cupy.asarray(rng.random((n, 2))), cupy.asarray(rng.random((m, 2)))
    C = cupy.asarray(rng.random((n, m)))
    with sanitizers.recording(cupy) as made:
        transport.semidual_pass((C,), g, a, 0.1)
        transport.semidual_pass((X, Y, 0, 1.0), g, a, 0.1)
    return made


def report(*args):
    try:
        return sanitizers.repeat(*args)
    except sanitizers.Unsupported as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("sanitizer", ["thread", "address"])
def test_every_kernel_is_clean(launches, sanitizer, compiled):
    declared = re.findall(r"__global__ void (\w+)", (FOLDER / "transport.cu").read_text())
    assert {launch.kernel for launch in launches} == set(declared)
    assert report(launches, sanitizer, compiled) == ""


BARRIER = "    __syncthreads();\n"
PLANTED = {
    "the sum over warps reads what other warps have not written": (
        ("thread", "data race"),
        (BARRIER + "    if (threadIdx.x == 0)", "    if (threadIdx.x == 0)"),
    ),
    "a tile is overwritten while other threads still read it": (
        ("thread", "data race"),
        (BARRIER + "    for (int k = threadIdx", "    for (int k = threadIdx"),
    ),
    "the last block stores beyond the end of an array": (
        ("address", "heap-buffer-overflow"),
        ("    if (j >= m) return;\n    const int first", "    const int first"),
    ),
    "a warp stores beyond the shared memory": (
        ("address", "heap-buffer-overflow"),
        ("pairs[threadIdx.x / 32 * 2]", "pairs[threadIdx.x / 32 * 2 + 2]"),
    ),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_reported(launches, mistake, compiled):
    (sanitizer, finding), (right, wrong) = PLANTED[mistake]

    def plant(code):
        assert code.count(right) == 1, "the kernel has changed; plant the mistake elsewhere"
        return code.replace(right, wrong)

    assert finding in report(launches, sanitizer, compiled, plant)
