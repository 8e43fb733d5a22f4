"""What the header promises about CUDA's execution model."""

from pathlib import Path

import numpy as np
import pytest

CODE = Path(__file__).with_name("emulation.cu").read_text()


@pytest.fixture
def run(cupy):
    """Launch a kernel of emulation.cu over the stand-in."""
    module = cupy.RawModule(code=CODE, options=("-DREAL=double",))

    def run(name, *args, grid=(1,), block=(64,), shared_mem=0):
        module.get_function(name)(grid, block, args, shared_mem=shared_mem)

    return run


def test_every_thread_of_a_grid_runs_once(cupy, run):
    seen = cupy.zeros(2 * 3 * 4 * 64, np.int32)
    run("count_threads", seen, grid=(2, 3, 4), block=(16, 4))
    np.testing.assert_array_equal(seen.get(), np.tile(np.arange(1, 65), 24))


def test_a_barrier_shows_what_all_threads_wrote(cupy, run):
    y = cupy.empty((3, 64))
    run("reverse", y, shared_mem=64 * 8)
    expected = 100 * np.arange(3)[:, None] + np.arange(64)[::-1]
    np.testing.assert_array_equal(y.get(), expected)


def test_shuffles_stay_within_a_warp(cupy, run):
    down, mixed = cupy.empty(64), cupy.empty(64, np.int32)
    run("shuffle", down, mixed)
    thread = np.arange(64)
    np.testing.assert_array_equal(down.get(), np.where(thread % 32 < 28, thread + 4, thread))
    np.testing.assert_array_equal(mixed.get(), thread ^ 5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_atomic_add_loses_nothing_and_returns_the_old_value(cupy, run, dtype):
    total, before = cupy.zeros(1, dtype), cupy.zeros(192, dtype)
    run(f"count_{dtype}", total, before, grid=(3,))
    assert total.get() == 192
    np.testing.assert_array_equal(np.sort(before.get()), np.arange(192))


def test_atomic_min_keeps_the_least_and_returns_the_old_value(cupy, run):
    values = np.random.default_rng(0).permutation(192).astype(np.int32) - 50
    least, seen = cupy.full(1, 100, dtype=np.int32), cupy.zeros(192, np.int32)
    run("least_int32", cupy.asarray(values), least, seen, grid=(3,))
    assert least.get() == -50
    assert seen.get().all()


def test_kernels_may_be_called_as_functions_of_the_c_library(cupy, run):
    done = cupy.zeros(1, np.int32)
    run("step", done)
    assert done.get() == 1


def test_shared_memory_starts_as_nan_in_every_block(cupy, run):
    y = cupy.zeros(128)
    run("read_too_early", y, grid=(2,), shared_mem=64 * 8)
    assert np.isnan(y.get()).all()


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("barrier_for_some", "__syncthreads was not reached by all"),
        ("barrier_after_return", "__syncthreads was not reached by all"),
        ("warp_barrier_for_some", "a warp operation was not reached by all"),
        ("different_barriers", "was not reached by all"),
    ],
)
def test_a_barrier_that_some_threads_miss_is_an_error(run, kernel, message):
    with pytest.raises(RuntimeError, match=message):
        run(kernel)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"block": (2048,)}, "more than 1024 threads"),
        ({"block": (48,)}, "not a multiple of 32"),
        ({"grid": (1, 70_000)}, "larger than a GPU's"),
        ({"shared_mem": 49 * 1024}, "more than 48 KiB"),
    ],
)
def test_launches_that_a_gpu_would_refuse_are_refused(run, sizes, message):
    with pytest.raises(RuntimeError, match=message):
        run("warp_barrier_for_some", **sizes)
