"""Roots of c: where |c| has saddles, curved valleys and local minima, and where there is none."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import NonlinearConstraint

from refopt.augmented_lagrangian._gauss_newton import GaussNewton
from refopt.augmented_lagrangian._homotopy import follow
from refopt.augmented_lagrangian._intake import take_problem
from refopt.augmented_lagrangian._point import evaluate
from refopt.augmented_lagrangian._restoration import Crawl, first, restore
from refopt.augmented_lagrangian._root import descend


def at_start(c, jac, x0, hess=None):
    """The problem of finding a root, and its start."""
    if hess is None:
        constraint = NonlinearConstraint(c, 0.0, 0.0, jac=jac)
    else:
        constraint = NonlinearConstraint(c, 0.0, 0.0, jac=jac, hess=hess)
    x0 = np.asarray(x0, dtype=float)
    n = x0.size
    problem, _ = take_problem(
        lambda x: 0.0, x0, jac=lambda x: np.zeros(n), hess=lambda x: np.zeros((n, n)),
        constraints=constraint,
    )  # fmt: skip
    return problem, evaluate(problem, problem.x0, np.zeros(problem.m))


def ended(generator, start):
    """What a generator of points returned, and the last point."""
    while True:
        try:
            start = next(generator)
        except StopIteration as end:
            return end.value, start


def rosenbrock(x):
    return np.array([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]])


def rosenbrock_jacobian(x):
    return np.array([[-20.0 * x[0], 10.0], [-1.0, 0.0]])


def test_root_of_a_curved_valley_takes_few_jacobians():
    problem, start = at_start(rosenbrock, rosenbrock_jacobian, [-1.2, 1.0])
    reached, point = ended(descend(problem, start, 1e-10), start)
    assert reached
    np.testing.assert_allclose(point.x, [1.0, 1.0], atol=1e-9)
    assert problem.ncjev <= 10


def test_steps_decrease_the_residual_at_every_point():
    problem, start = at_start(rosenbrock, rosenbrock_jacobian, [-3.0, 4.0])
    sizes = [start.cc] + [point.cc for point in descend(problem, start, 1e-10)]
    assert (np.diff(sizes) < 0).all()


def test_root_beyond_a_saddle_of_the_residual():
    # at x1 = 0, |c| is stationary along x2's axis: the Jacobian is singular, the gradient zero
    problem, start = at_start(
        lambda x: np.array([x[0] ** 2 - 1.0, x[1]]),
        lambda x: np.array([[2.0 * x[0], 0.0], [0.0, 1.0]]),
        [0.0, 2.0],
        lambda x, v: np.diag([2.0 * v[0], 0.0]),
    )
    reached, point = ended(restore(problem, start, 1e-9, fall=0.0), start)
    assert reached
    np.testing.assert_allclose(abs(point.x), [1.0, 0.0], atol=1e-9)


def cubic(x):
    return x**3 - 2.0 * x + 2.0  # one root, -1.7693; |c| has a local minimum at 0.8165


def test_root_beyond_a_local_minimum_of_the_residual():
    problem, start = at_start(cubic, lambda x: np.array([[3.0 * x[0] ** 2 - 2.0]]), [1.0])
    reached, stuck = ended(descend(problem, start, 1e-10), start)
    assert not reached and stuck.x[0] == pytest.approx(np.sqrt(2 / 3), abs=1e-6)
    reached, point = ended(restore(problem, start, 1e-9, fall=0.0), start)
    assert reached
    assert point.x[0] == pytest.approx(-1.7692923542386314, abs=1e-8)


def test_homotopy_turns_where_the_jacobian_is_singular():
    problem, start = at_start(cubic, lambda x: np.array([[3.0 * x[0] ** 2 - 2.0]]), [1.0])
    points = []
    _, end = ended((points.append(point) or point for point in follow(problem, start)), start)
    xs = np.array([point.x[0] for point in points])
    assert xs.max() <= 1.0 and xs.min() < -1.7  # down from 1 past +-0.8165
    assert abs(cubic(end.x)[0]) < 1e-2


def test_no_root_is_a_stationary_point():
    problem, start = at_start(lambda x: x**2 + 1.0, lambda x: np.array([[2.0 * x[0]]]), [2.0])
    reached, point = ended(restore(problem, start, 1e-9, fall=0.0), start)
    assert reached is None
    assert point.cc >= 1.0


def test_a_share_of_the_violation_is_enough():
    # at a double root every step takes off three quarters
    problem, start = at_start(lambda x: x**2, lambda x: np.array([[2.0 * x[0]]]), [8.0])
    reached, point = ended(restore(problem, start, 1e-9), start)
    assert reached
    assert point.x[0] == pytest.approx(2.0)


@pytest.mark.parametrize("radius", [1e-3, 1.0, 1e3])
def test_step_is_the_smallest_residual_within_the_radius(radius):
    rng = np.random.default_rng(0)
    G, c = rng.standard_normal((5, 8)), rng.standard_normal(5)
    problem, _ = at_start(lambda x: G @ x + c, lambda x: G, np.zeros(8))
    dx, lam = GaussNewton(problem, G).within(c, radius)
    assert np.linalg.norm(dx) <= 1.1 * radius
    np.testing.assert_allclose(dx, -G.T @ np.linalg.solve(G @ G.T + lam * np.eye(5), c), atol=1e-12)
    assert (lam == 0.0) == (np.linalg.norm(np.linalg.pinv(G) @ c) <= radius)


def test_sparse_steps_are_the_dense_ones():
    rng = np.random.default_rng(1)
    G, c = rng.standard_normal((5, 8)), rng.standard_normal(5)
    problem, _ = at_start(lambda x: G @ x + c, lambda x: G, np.zeros(8))

    def solve(system, rhs, tol, state):
        H, G = np.eye(8), system.G.toarray()
        K = np.block([[H, G.T], [G, -system.dc * np.eye(5)]])
        return np.linalg.solve(K, rhs), None

    for radius in (0.1, 100.0):
        dense = GaussNewton(problem, G).within(c, radius)
        thin = GaussNewton(problem, sparse.csr_array(G), solve).within(c, radius)
        np.testing.assert_allclose(thin[0], dense[0], rtol=1e-10, atol=1e-12)
        assert thin[1] == pytest.approx(dense[1])


def test_crawl_is_told_after_steps_that_do_not_halve_the_violation():
    crawl = Crawl()
    assert not any(crawl.goes_on(0.6**k, 0.0) for k in range(40))  # falls, if slowly
    told = [crawl.goes_on(1e-3 * 0.999**k, 0.0) for k in range(12)]
    assert any(told)
    assert not any(Crawl().goes_on(1e-3, 1e-2) for _ in range(40))  # other things are worse


def test_constant_objective_is_not_one_that_is_stationary_at_the_start():
    x0 = np.zeros(2)
    for curvature, expected in ((0.0, True), (1.0, False)):
        problem, _ = take_problem(
            lambda x, k=curvature: 0.5 * k * float(x @ x), x0, jac=lambda x, k=curvature: k * x,
            hess=lambda x, k=curvature: k * np.eye(2),
            constraints=NonlinearConstraint(
                lambda x: x[:1] - 1.0, 0.0, 0.0, jac=lambda x: np.eye(1, 2),
                hess=lambda x, v: np.zeros((2, 2)),
            ),
        )  # fmt: skip
        assert first(problem, evaluate(problem, x0, np.zeros(1))) == expected
