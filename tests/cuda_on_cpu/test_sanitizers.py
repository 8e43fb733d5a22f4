"""No kernel races or leaves its arrays; and the sanitizers would say so if one did."""

from importlib import import_module

import numpy as np
import pytest

from cuda_on_cpu import compiler, harness, sanitizers

BLOCKS = 8  # of a launch that is repeated: under a sanitizer each takes milliseconds


@pytest.fixture(scope="module")
def launches(compiled):
    """Per family, the last small launch of each kernel by the examples of its family."""
    with harness.stand_in(compiled) as cupy:
        from refopt_backends import resolve

        _, kernels = resolve(cupy.zeros(1))
        chosen = {}
        for family in harness.families():
            cases = import_module(f"refopt_backends.cases.{family}").cases
            with sanitizers.recording(cupy) as made:
                for case in cases(cupy, np.random.default_rng(0)):
                    getattr(kernels, case.kernel)(*case.build(kernels))
            made = [one for one in made if one.defines == ("-DREAL=double",)]
            small = {one.kernel: one for one in made if np.prod(one.sizes[:3]) <= BLOCKS}
            chosen[family] = list(small.values())
    return chosen


def report(*args):
    try:
        return sanitizers.repeat(*args)
    except sanitizers.Unsupported as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("sanitizer", ["thread", "address"])
@pytest.mark.parametrize("family", harness.families())
def test_every_kernel_is_clean(launches, family, sanitizer, compiled):
    names = compiler.kernel_names((harness.KERNELS / f"{family}.cu").read_text())
    assert {one.kernel for one in launches[family]} == set(names)
    assert report(launches[family], sanitizer, compiled) == ""


BARRIER = "    __syncthreads();"
PLANTED = {  # sanitizer, right text, wrong text
    "the sum over warps reads what other warps have not written": (
        "thread",
        BARRIER + "\n    if (threadIdx.x == 0) {\n        for",
        "    if (threadIdx.x == 0) {\n        for",
    ),
    "a tile is overwritten while other threads still read it": (
        "thread",
        BARRIER + "\n    for (int k = threadIdx",
        "    for (int k = threadIdx",
    ),
    "a sum is overwritten while other threads still read it": (
        "thread",
        BARRIER + "  // scratch may still be read",
        "    // scratch may still be read",
    ),
    "the last block stores beyond the end of an array": (
        "address",
        "    if (j >= m) return;\n    double sum = 0;\n    for (int p",
        "    double sum = 0;\n    for (int p",
    ),
    "a warp stores beyond the shared memory": (
        "address",
        "pairs[threadIdx.x / 32 * 2] =",
        "pairs[threadIdx.x / 32 * 2 + 2] =",
    ),
}
FINDING = {"thread": "data race", "address": "heap-buffer-overflow"}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_reported(launches, mistake, compiled):
    sanitizer, right, wrong = PLANTED[mistake]

    def plant(code):
        assert code.count(right) == 1, "the kernel has changed; plant the mistake elsewhere"
        return code.replace(right, wrong)

    # The thread sanitizer remembers four accesses to a word: one run in ten misses
    # a race among many readers.
    runs = 10 * launches["transport"]
    assert FINDING[sanitizer] in report(runs, sanitizer, compiled, plant)
