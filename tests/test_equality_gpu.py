"""minimize_equality on CuPy arrays: the same run as on the host's."""

import numpy as np

import refopt


def test_the_run_is_that_of_the_host(cupy):
    results = []
    for xp in (cupy, np):
        A = xp.asarray(np.diag([1.0, 2.0, 5.0, 9.0]) + 0.1)
        sphere = {"type": "eq", "fun": lambda x: x @ x - 1.0, "jac": lambda x: 2.0 * x}
        results.append(
            refopt.minimize_equality(
                lambda x, A=A: x @ A @ x,
                xp.asarray([0.9, 0.4, 0.3, 0.1]),
                jac=lambda x, A=A: 2.0 * (A @ x),
                constraints=sphere,
            )
        )
    ours, theirs = results
    assert ours.success and ours.backend == "cupy" and ours.nit == theirs.nit
    np.testing.assert_allclose(ours.x.get(), theirs.x, rtol=0, atol=1e-8)
