"""No kernel races or leaves its arrays; and the sanitizers would say so if one did."""

from importlib import import_module

import numpy as np
import pytest

from cuda_on_cpu import compiler, harness, sanitizers

BLOCKS = 8  # of a launch that is repeated: under a sanitizer each takes milliseconds


@pytest.fixture(scope="module")
def launches(compiled):
    """Per file, the last two small launches of each kernel by its family: one may find no work."""
    with harness.stand_in(compiled) as cupy:
        from refopt_backends import resolve

        _, kernels = resolve(cupy.zeros(1))
        chosen = {}
        for family in harness.families():
            cases = import_module(f"refopt_backends.cases.{family}").cases
            with sanitizers.recording(cupy) as made:
                for case in cases(cupy, np.random.default_rng(0)):
                    getattr(kernels, case.kernel)(*case.build(kernels))
                    if case.kernel == "vcycle":  # and levels that one block would take
                        hierarchy, r = case.build(kernels)
                        hierarchy.bottom = len(hierarchy.levels), None
                        kernels.vcycle(hierarchy, r)
            made = [one for one in made if one.defines == ("-DREAL=double",)]
            small = {}
            for one in made:
                if np.prod(one.sizes[:3]) <= BLOCKS:
                    small[one.kernel] = [*small.get(one.kernel, [])[-1:], one]
            for file in harness.files(family):
                code = harness.source(file)
                chosen[file] = [one for two in small.values() for one in two if one.code == code]
    return chosen


def report(*args):
    try:
        return sanitizers.repeat(*args)
    except sanitizers.Unsupported as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("sanitizer", ["thread", "address"])
@pytest.mark.parametrize("file", harness.files())
def test_every_kernel_is_clean(launches, file, sanitizer, compiled):
    names = compiler.kernel_names(harness.source(file))
    assert {one.kernel for one in launches[file]} == set(names)
    assert report(launches[file], sanitizer, compiled) == ""


BARRIER = "    __syncthreads();"
PLANTED = {  # file, sanitizer, right text, wrong text
    "the sum over warps reads what other warps have not written": (
        "transport.cu",
        "thread",
        BARRIER + "\n    if (threadIdx.x == 0) {\n        for",
        "    if (threadIdx.x == 0) {\n        for",
    ),
    "a tile is overwritten while other threads still read it": (
        "transport.cu",
        "thread",
        BARRIER + "\n    for (int k = threadIdx",
        "    for (int k = threadIdx",
    ),
    "a sum is overwritten while other threads still read it": (
        "transport_sparse.cu",
        "thread",
        BARRIER + "  // scratch may still be read",
        "    // scratch may still be read",
    ),
    "steps are applied while the first warp still makes them": (
        "l1_quadratic.cu",
        "thread",
        "        " + BARRIER + "\n            apply_steps",
        "            apply_steps",
    ),
    "sets are united without atomics": (
        "poisson.cu",
        "thread",
        "before = atomicMin(parent + high, low);",
        "before = parent[high] == high ? parent[high] = low, high : parent[high];",
    ),
    "the coarsest levels are relaxed before the correction is there": (
        "vcycle.cu",
        "thread",
        "factor = numbers[3 * k + 2];\n            __syncthreads();",
        "factor = numbers[3 * k + 2];",
    ),
    "the last block stores beyond the end of an array": (
        "transport.cu",
        "address",
        "    if (j >= m) return;\n    double sum = 0;\n    for (int p",
        "    double sum = 0;\n    for (int p",
    ),
    "a warp stores beyond the shared memory": (
        "transport.cu",
        "address",
        "pairs[threadIdx.x / 32 * 2] =",
        "pairs[threadIdx.x / 32 * 2 + 2] =",
    ),
}
FINDING = {"thread": "data race", "address": "heap-buffer-overflow"}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_reported(launches, mistake, compiled):
    file, sanitizer, right, wrong = PLANTED[mistake]

    def plant(code):
        assert code.count(right) == 1, "the kernel has changed; plant the mistake elsewhere"
        return code.replace(right, wrong)

    # The thread sanitizer remembers four accesses to a word: one run in ten misses
    # a race among many readers.
    runs = 10 * launches[file]
    assert FINDING[sanitizer] in report(runs, sanitizer, compiled, plant)
