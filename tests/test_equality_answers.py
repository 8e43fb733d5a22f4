"""minimize_equality: the textbook problems and closed forms."""

import pytest

from refopt.augmented_lagrangian import minimize_equality
from refopt.problems import TEXTBOOK_EQUALITY, textbook_equality


@pytest.mark.parametrize("name", TEXTBOOK_EQUALITY)
def test_textbook_problems_are_solved(name):
    problem = textbook_equality(name)
    res = minimize_equality(tol=1e-9, **problem.arguments())
    assert res.success and res.status == 0
    assert problem.error(res.x) <= 1e-8
