"""The exponential of the compiled kernels, which is the library's own."""

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from refopt_backends.numba_cpu._machine import exp  # noqa: E402


@numba.njit
def exponentials(t):
    out = np.empty_like(t)
    for i in range(t.size):
        out[i] = exp(t[i])
    return out


def relative_error(t):
    exact = np.exp(t.astype(np.longdouble))
    return float(np.max(np.abs(exponentials(t) - exact) / exact))


def test_relative_error_on_the_whole_range():
    rng = np.random.default_rng(0)
    assert relative_error(np.linspace(-700, 0, 200_001)) <= 2e-14
    assert relative_error(rng.uniform(-700, 0, 200_000)) <= 2e-14
    assert relative_error(rng.uniform(0, 700, 50_000)) <= 2e-14


def test_relative_error_near_zero_and_near_multiples_of_log_two():
    rng = np.random.default_rng(1)
    assert relative_error(-(10.0 ** rng.uniform(-320, 0, 50_000))) <= 2e-14
    edges = (np.arange(-1009, 1) + 0.5) * np.log(2)
    for shift in (-1e-12, 0.0, 1e-12):  # where the power of two changes
        assert relative_error(edges + shift) <= 2e-14


def test_it_is_one_at_zero_exactly():
    assert exponentials(np.array([0.0, -0.0])).tolist() == [1.0, 1.0]


def test_it_neither_overflows_nor_turns_negative_beyond_its_range():
    t = np.array([-700.0, -701.0, -745.0, -800.0, -1e5, -1e300, -np.inf])
    values = exponentials(t)
    assert ((values >= 0) & (values <= 1.1 * np.exp(-700.0))).all()
    t = np.array([700.0, 701.0, 800.0, 1e5, 1e300, np.inf])
    assert np.isfinite(exponentials(t)).all()


def test_it_is_monotone():
    t = np.sort(np.random.default_rng(2).uniform(-50, 5, 100_000))
    assert (np.diff(exponentials(t)) >= -2e-14 * exponentials(t)[1:]).all()
    assert (exponentials(np.linspace(-50, -1e-6, 10_001)) < 1).all()
