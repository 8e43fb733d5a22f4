"""The host waits for a device no more often than the guide says, and the counting counts."""

import re
from pathlib import Path

import numpy as np
import pytest

from cuda_on_cpu import host_waits

PAGE = Path(__file__).parents[2] / "docs/guide/backends.md"
LISTED = dict(re.findall(r"^\| (.+) \| ([\d.]+) \| [\d.]+ \| [\d.]+ \|$", PAGE.read_text(), re.M))


def test_the_guide_lists_what_is_counted():
    assert list(LISTED) == list(host_waits.RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("name", host_waits.RUNS)
def test_waits_of_an_iteration(cupy, name):
    waits, *_ = host_waits.per_iteration(cupy, name)
    assert waits <= float(LISTED[name]) + 0.05


def test_numbers_on_the_host_and_sizes_are_waited_for(cupy):
    x = cupy.asarray([3.0, 1.0, 2.0])
    cupy.counts.clear()
    for ask in (float, int, bool, lambda v: v.item(), lambda v: v.tolist(), lambda v: v.get()):
        ask(x[0])
    x[x > 1.0], cupy.nonzero(x), cupy.unique(x)
    assert cupy.counts["waits"] == 9
    y = cupy.maximum(x, 2.0) + cupy.sum(x * x)
    y.reshape(3, 1), y[1:], np.exp(x)
    assert cupy.counts["waits"] == 9
    # the comparison, three whose size is asked for, and five more; views are none
    assert cupy.counts["operations"] == 9
    assert cupy.counts["kernels"] == 0


def test_several_numbers_are_one_transfer(cupy):
    from refopt_backends import host_numbers

    x = cupy.asarray([3.0, 1.0, 2.0])
    cupy.counts.clear()
    assert host_numbers(cupy.sum(x), x[0], cupy.min(x)) == [6.0, 3.0, 1.0]
    assert cupy.counts["waits"] == 1
    assert host_numbers(np.float64(2), np.asarray(1.0)) == [2.0, 1.0]
