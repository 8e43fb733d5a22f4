"""Whatever a model returns, the solver needs no more iterations than conjugate gradients."""

import numpy as np
import pytest

import pressure_systems
from refopt import deep_conjugate_direction

NAMES = list(pressure_systems.models(np.eye(3)))
SCENES = [("smoke", 14), ("porous", 16), ("box", 16)]
OPTIONS = {"rtol": 1e-6, "full_output": True}


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s[0])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_orth", [1, 2, 4])
def test_no_model_costs_iterations(name, scene, n_orth):
    A, stored, b = pressure_systems.system(*scene)
    model = pressure_systems.models(stored)[name]
    cg = deep_conjugate_direction(A, b, **OPTIONS)[1].nit
    x, res = deep_conjugate_direction(A, b, model, n_orth=n_orth, **OPTIONS)
    assert res.success and np.linalg.norm(b - stored @ x) <= 1e-6 * np.linalg.norm(b)
    assert res.nit <= cg + 2
    if name.startswith("good") and name not in ("good and noise", "good but clipped"):
        assert res.nit < (0.3 if n_orth > 1 else 0.8) * cg
    elif not name.startswith("good"):
        assert res.n_model <= 10
    assert res.n_fallback == (~res.history["accepted"][1:]).sum()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("safeguard", [True, False])
def test_the_error_falls_in_every_step(name, safeguard):
    A, stored, b = pressure_systems.system("smoke", 12)
    exact = pressure_systems.inverse(stored)(b)
    iterates = []
    res = deep_conjugate_direction(
        A, b, pressure_systems.models(stored)[name], safeguard=safeguard, maxiter=60,
        callback=iterates.append, **OPTIONS,
    )[1]  # fmt: skip
    errors = [e @ (stored @ e) for e in (x - exact for x in [np.zeros(A.n), *iterates])]
    drops = res.history["energy_drop"][1:]
    floor = 1e-12 * errors[0]
    assert (np.diff(errors) <= floor).all()
    np.testing.assert_allclose(-np.diff(errors), drops, rtol=1e-6, atol=floor)
    if safeguard:  # a step that is not the model's drops at least r'r / |A|
        fallback = ~res.history["accepted"][1:]
        least = res.history["residual"][:-1] ** 2 / 12
        assert (drops[fallback] >= least[fallback] * (1 - 1e-9)).all()


def test_a_model_that_comes_to_its_senses_is_followed_again():
    A, stored, b = pressure_systems.system("smoke", 14)
    solve, calls = pressure_systems.inverse(stored), []

    def late(r):
        calls.append(0)
        return solve(r) if len(calls) > 2 else np.zeros(r.size)

    res = deep_conjugate_direction(A, b, late, **OPTIONS)[1]
    assert res.success and res.n_fallback == 2
    assert res.history["accepted"][-1] and res.n_model == res.nit == 3


def test_a_linear_model_that_is_indefinite_is_reported():
    A, b = pressure_systems.spd()
    M = np.diag(np.where(np.arange(50) % 5, 1.0, -1.0))
    res = deep_conjugate_direction(A, b, M, **OPTIONS)[1]
    assert res.n_fallback > 0
    assert f"{res.n_fallback} steps were not along the model's direction" in res.message
    assert "steps were not" not in deep_conjugate_direction(A, b, np.eye(50), **OPTIONS)[1].message


def test_models_that_are_declared_linear_are_believed_unless_told_otherwise():
    A, b = pressure_systems.spd()

    called_with = []

    class Wrong:
        is_linear_spd = True

        def __call__(self, r):
            called_with.append(np.linalg.norm(r))
            return np.sign(r)

    believed = deep_conjugate_direction(A, b, Wrong(), n_orth=2, maxiter=5, **OPTIONS)[1]
    assert believed.n_fallback == 0
    assert called_with[0] == pytest.approx(np.linalg.norm(b), rel=1e-12)  # as it is
    doubted = deep_conjugate_direction(A, b, Wrong(), safeguard=True, **OPTIONS)[1]
    assert doubted.n_fallback > 0
