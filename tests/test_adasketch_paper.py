"""AdaSketch-Newton against the runs that its authors published."""

import numpy as np
import pytest

from refopt.augmented_lagrangian import adasketch_newton, minimize_equality
from refopt.problems import elliptic_control, textbook_equality

# Iterations with Kaczmarz rows, and those with exact solutions and their Jacobians.
PUBLISHED = {
    "HS6": (9, 9, 27), "HS7": (10, 10, 23), "HS28": (1, 1, 2), "HS40": (3, 3, 4),
    "HS42": (4, 4, 5), "HS47": (15, 14, 17), "HS48": (1, 1, 2), "HS50": (8, 8, 9),
    "HS51": (1, 1, 2), "HS52": (1, 1, 2), "HS56": (5, 5, 6), "HS77": (8, 8, 10),
    "HS78": (4, 4, 5), "HS79": (4, 4, 5), "HS100LNP": (8, 8, 14), "GENHS28": (1, 1, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_iterations_are_those_of_the_paper(name):
    problem = textbook_equality(name)
    res = adasketch_newton(**problem.arguments(), rng=0)
    assert res.success and abs(res.nit - PUBLISHED[name][0]) <= 1
    r = np.concatenate(
        [problem.grad(res.x) + problem.jac(res.x).T @ res.multipliers, res.constr[0]]
    )
    assert np.linalg.norm(r) <= 1e-4


@pytest.mark.parametrize("name", PUBLISHED)
def test_exact_solutions_take_as_many_iterations_and_jacobians_as_published(name):
    res = adasketch_newton(**textbook_equality(name).arguments(), lin_solver="direct")
    assert (res.nit, res.njev) == PUBLISHED[name][1:]


def test_the_elliptic_problem_of_the_paper_takes_three_iterations():
    problem = elliptic_control(3, gamma=0.1, cubic=0.0, target="paper")
    res = adasketch_newton(**problem.arguments(), multipliers0=np.ones(9), rng=0)
    assert res.success and res.nit == 3
    assert abs(res.fun - problem.f_opt) < 1e-6
    # three inner solves, each ended by the limit of steps
    assert res.inner_nit == 300_000


@pytest.mark.parametrize("name", ["HS61", "BYRDSPHR"])
def test_singular_jacobians_at_the_start_end_the_run(name):
    res = adasketch_newton(**textbook_equality(name).arguments())
    assert not res.success and res.status == 8
    assert "singular" in res.message


def test_the_checked_accuracy_takes_fewer_row_steps():
    names = ("HS7", "HS77", "HS100LNP", "HS50")
    steps = {}
    for accuracy in ("paper", "checked"):
        runs = [
            adasketch_newton(**textbook_equality(n).arguments(), accuracy=accuracy, rng=0)
            for n in names
        ]
        assert all(res.success for res in runs)
        steps[accuracy] = sum(res.inner_nit for res in runs)
    assert steps["checked"] < 0.1 * steps["paper"]


def test_the_preset_is_the_method_and_keywords_win_over_it():
    problem = textbook_equality("HS40")
    one = adasketch_newton(**problem.arguments(), rng=3)
    two = minimize_equality(**problem.arguments(), preset="paper", rng=3)
    np.testing.assert_array_equal(one.x, two.x)
    exact = minimize_equality(**problem.arguments(), preset="paper", lin_solver="direct", tol=1e-10)
    assert exact.inner_nit == 0 and exact.history["kkt"][-1] <= 1e-10


@pytest.mark.parametrize("kind", ["gaussian", "block", "block_gaussian", "countsketch", "greedy"])
def test_every_sketch_solves_the_newton_systems(kind):
    res = adasketch_newton(
        **textbook_equality("HS40").arguments(), lin_solver=kind, accuracy="checked", rng=0
    )
    assert res.success and abs(res.fun + 0.25) < 1e-4


def test_a_falling_theta_makes_the_convergence_superlinear():
    options = {"accuracy": "checked", "tol": 1e-11, "lin_solver": "greedy", "rng": 0}
    problem = textbook_equality("HS100LNP")
    fast = adasketch_newton(**problem.arguments(), theta="superlinear", **options)
    kkt = fast.history["kkt"]
    assert fast.success and kkt[-1] / kkt[-2] < 1e-3


def test_penalties_leave_a_direction_of_descent():
    # the slope of the merit function along each step is at most -(eta2/2) |r|^2
    res = adasketch_newton(**textbook_equality("HS7").arguments(), rng=0)
    assert (np.diff(res.history["eta1"]) >= 0).all()
    assert (np.diff(res.history["eta2"]) <= 0).all()
    assert (res.history["alpha"] > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"theta": 0.0}, "theta must be in"),
        ({"theta": "fast"}, "theta must be one of"),
        ({"nu": 1.0}, "nu must be between 1 and"),
        ({"beta": 0.5}, "beta must be between 0 and 0.5"),
        ({"delta": 1.0}, "delta must be between 0 and 1"),
        ({"eta1": 0.0}, "eta1 must be positive"),
        ({"lin_solver": "lu"}, "lin_solver must be one of"),
        ({"sampling": "cyclic"}, "sampling must be one of"),
        ({"accuracy": "low"}, "accuracy must be one of"),
        ({"multipliers0": [1.0]}, "multipliers0 must have 3 entries"),
        ({"multipliers0": "ones"}, "multipliers0 must be one of"),
    ],
)
def test_bad_options_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        adasketch_newton(**textbook_equality("HS40").arguments(), **options)
