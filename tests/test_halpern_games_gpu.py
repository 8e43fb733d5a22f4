"""Matrix games on CuPy arrays: NumPy's numbers, and never a trip to the host.

Every test runs twice: on a CUDA device (``pytest -m gpu``), and on any machine
over the stand-in for CuPy of ``cuda_on_cpu``.
"""

import numpy as np
import pytest

import refopt
from refopt.problems import gaussian_game, policeman_burglar

GAMES = {
    "wide": gaussian_game(30, 45, 7),
    "tall": gaussian_game(45, 30, 8),
    "few strategies": policeman_burglar(60),
    "single": gaussian_game(20, 20, 9).astype(np.float32),
}


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("method", ["auto", "interior-point", "double-oracle", "rhpdhg", "prm+"])
def test_a_game_on_the_device_is_the_game_on_the_host(cupy, method, name):
    options = {"method": method, "maxiter": 12, "tol": 1e-9}
    host = refopt.matrix_game(GAMES[name], **options)
    device = refopt.matrix_game(cupy.asarray(GAMES[name]), **options)
    assert device.backend == "cupy" and device.status == host.status
    assert type(device.x) is cupy.ndarray and type(device.y) is cupy.ndarray
    assert device.x.dtype == host.x.dtype
    tolerance = 1e-5 if name == "single" else 1e-7
    np.testing.assert_allclose(device.value, host.value, atol=tolerance)
    if name != "few strategies":  # which are not unique
        np.testing.assert_allclose(device.x.get(), host.x, atol=tolerance)
        np.testing.assert_allclose(device.y.get(), host.y, atol=tolerance)


def test_starts_and_the_methods_for_inclusions(cupy):
    A = GAMES["wide"]
    x0, y0 = np.eye(45)[2], np.eye(30)[4]
    for method in ("auto", "eg", "eag", "vr-eg"):
        options = {"method": method, "maxiter": 20, "tol": 1e-9, "rng": 0}
        host = refopt.matrix_game(A, x0=x0, y0=y0, **options)
        given = [cupy.asarray(array) for array in (A, x0, y0)]
        device = refopt.matrix_game(given[0], x0=given[1], y0=given[2], **options)
        np.testing.assert_allclose(device.gap, host.gap, rtol=1e-6, atol=1e-9)


def test_nothing_moves_between_host_and_device_in_silence(cupy):
    A = GAMES["wide"]
    for call in (
        lambda: refopt.matrix_game(A, backend="cupy"),
        lambda: refopt.matrix_game(cupy.asarray(A), backend="numba"),
        lambda: refopt.matrix_game(cupy.asarray(A), x0=np.eye(45)[0]),
    ):
        with pytest.raises(TypeError):
            call()
