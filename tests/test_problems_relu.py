"""Instances of networks: sizes, weight decay and patterns as published."""

import numpy as np
import pytest

from refopt.problems import RELU_INSTANCES, relu_instance, relu_spirals, relu_teacher

PUBLISHED = {
    "breast-cancer": (455, 31, 9.2983),
    "breast-cancer-hinge": (455, 31, 9.2983),
    "breast-cancer-logistic": (455, 31, 4.64915),
    "diabetes": (353, 11, 10.5245),
    "digits-3-8": (285, 55, 4.97592),
    "spirals": (400, 3, 0.276045),
    "line": (30, 2, 0.470726),
}


@pytest.mark.parametrize("name", RELU_INSTANCES)
def test_instance_has_its_sizes_and_its_weight_decay(name):
    if name in ("diabetes", "digits-3-8"):
        pytest.importorskip("sklearn")
    problem = relu_instance(name)
    n, d, beta = PUBLISHED[name]
    assert problem.shape == (n, d)
    assert problem.beta == pytest.approx(beta, rel=1e-5)
    assert problem.gates.any(axis=0).all()
    assert np.unique(problem.gates, axis=1).shape == problem.gates.shape
    if name != "line":
        np.testing.assert_array_equal(problem.X[:, -1], 1.0)


def test_every_pattern_of_a_line_is_found():
    # 2 n of them in general position, the empty one included
    assert relu_instance("line").gates.shape == (30, 59)


def test_generators_repeat_themselves_and_refuse_unknown_names():
    for draw in (relu_spirals, relu_teacher):
        np.testing.assert_array_equal(draw(80).X, draw(80).X)
        assert np.abs(draw(80, seed=5).X - draw(80, seed=6).X).max() > 0.1
    np.testing.assert_array_equal(relu_spirals().X, relu_instance("spirals").X)
    with pytest.raises(ValueError, match="name must be one of"):
        relu_instance("moons")
