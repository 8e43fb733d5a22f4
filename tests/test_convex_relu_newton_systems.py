"""Newton steps of the convex program: systems of samples and of patterns, one solution."""

import numpy as np
import pytest

import refopt
from refopt.convex_relu import _interior_point
from refopt.convex_relu._newton_systems import PatternSystem, SampleSystem
from refopt.convex_relu._program import LOSSES, Program, columns, weighted_grams
from refopt_backends import resolve

RNG = np.random.default_rng(8)
N, FEATURES = 40, 3
X = RNG.standard_normal((N, FEATURES))
MASKS = RNG.random((6, N)) < 0.5
SIDES = {
    "both": np.ones((2, 6), bool),
    "some": np.array([[1, 1, 0, 0, 1, 0], [1, 0, 1, 0, 1, 0]], bool),
    "one side": np.array([[1, 1, 0, 1, 0, 0], [0, 0, 1, 0, 1, 0]], bool),
}


def program(sides, loss="logistic"):
    xp, kernels = resolve(X, backend="numpy")
    of, sign = columns(np, sides)
    return Program(xp, kernels, X, np.sign(X[:, 0]), 0.3, LOSSES[loss](), MASKS, of, sign)


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("system", [SampleSystem, PatternSystem])
def test_both_systems_solve_the_dense_one(system, sides):
    p = program(SIDES[sides])
    C = p.of.size
    H = weighted_grams(np, X, RNG.random((C, N))) + np.eye(FEATURES)
    h = 0.1 + RNG.random(N)
    b, e = RNG.standard_normal((C, FEATURES)), RNG.standard_normal(N)
    solver = system(p)
    assert solver.factorise(H, h)
    du, dr = solver.solve(b, e)
    F = np.hstack([s * MASKS[i][:, None] * X for i, s in zip(p.of, p.sign, strict=True)])
    dense = np.block([[np.zeros((C * FEATURES, C * FEATURES)), F.T], [-F, np.diag(h)]])
    for j in range(C):
        part = slice(j * FEATURES, (j + 1) * FEATURES)
        dense[part, part] = H[j]
    found = np.linalg.solve(dense, np.concatenate([b.ravel(), e]))
    np.testing.assert_allclose(np.concatenate([du.ravel(), dr]), found, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("system", [SampleSystem, PatternSystem])
def test_a_matrix_that_is_not_positive_definite_is_noticed(system):
    p = program(SIDES["both"])
    H = -np.broadcast_to(np.eye(FEATURES), (p.of.size, FEATURES, FEATURES))
    assert not system(p).factorise(H, np.ones(N))


@pytest.mark.parametrize("loss", ["squared", "logistic", "hinge"])
def test_interior_points_follow_one_path_by_either_system(loss, monkeypatch):
    y = np.sign(X[:, 0] * X[:, 1])
    runs = []
    for system in (SampleSystem, PatternSystem):
        monkeypatch.setattr(_interior_point, "smaller_system", system)
        options = {"beta": 0.5, "loss": loss, "n_gates": 9, "refine": 0, "rng": 0, "tol": 1e-9}
        runs.append(refopt.fit_convex_relu(X, y, **options))
    assert all(run.success for run in runs) and runs[0].nit == runs[1].nit
    assert runs[0].fun_convex == pytest.approx(runs[1].fun_convex, rel=1e-9)


def test_many_samples_take_the_system_of_patterns():
    wide = program(SIDES["both"])
    assert isinstance(_interior_point.smaller_system(wide), PatternSystem)  # 18 < 40
    rows = slice(0, 10)
    tall = Program(
        wide.xp, wide.kernels, X[rows], wide.y[rows], 0.3, wide.loss, MASKS[:, rows], wide.of,
        wide.sign,
    )  # fmt: skip
    assert isinstance(_interior_point.smaller_system(tall), SampleSystem)
