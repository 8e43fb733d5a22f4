"""The sine transform: SciPy's numbers on arrays of every library."""

import array_api_strict
import numpy as np
import pytest
from scipy import fft

from refopt_backends import sine_transform


def check(xp, get):
    rng = np.random.default_rng(0)
    for shape in ((1,), (7,), (4, 5), (2, 3, 6)):
        x = rng.standard_normal(shape)
        found = sine_transform(xp.asarray(x))
        np.testing.assert_allclose(get(found), fft.dstn(x, type=1, norm="ortho"), atol=1e-14)
        assert sine_transform(xp.asarray(x, dtype=xp.float32)).dtype == xp.float32


def test_on_the_host():
    check(np, np.asarray)
    check(array_api_strict, np.asarray)


def test_on_the_device(cupy):
    check(cupy, cupy.asnumpy)


def test_it_diagonalises_differences():
    n = 9
    L = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    x = np.random.default_rng(1).standard_normal(n)
    eigenvalues = 2 - 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1))
    solved = sine_transform(sine_transform(x) / eigenvalues)
    np.testing.assert_allclose(L @ solved, x, atol=1e-13)


@pytest.mark.parametrize("wrong", ["abc", object()])
def test_what_is_no_array_is_refused(wrong):
    with pytest.raises(TypeError, match="must be an array"):
        sine_transform(wrong)
