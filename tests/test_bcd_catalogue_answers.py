"""What minimize_bcd returns: known answers, certificates, active sets, limits, backends."""

import functools

import numpy as np
import pytest
import scipy.sparse as sp

from catalogue import GRAM, LABELS, WEIGHTS, A, B, K, N, P, Y, composite, everything, graph, smooth
from refopt import identify_active_set, minimize_bcd
from refopt.block_coordinate import LeastSquares, Logistic, Quadratic, Softmax, SVMDual

COMPOSITE = composite()


def solve(problem, **options):
    """To the end of what rounding allows."""
    defaults = {"block_size": min(6, problem.model.size), "tol": 1e-12, "maxiter": 3000}
    return minimize_bcd(problem, **(defaults | options))


# -- known answers ----------------------------------------------------------------


def test_orthonormal_columns_soft_threshold():
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((20, 8)))[0]
    b = np.arange(20.0) - 9
    res = solve(LeastSquares(Q, b, l1=3.0))
    c = Q.T @ b
    np.testing.assert_allclose(res.x, np.sign(c) * np.maximum(np.abs(c) - 3, 0), atol=1e-12)
    assert res.success
    assert (res.active == (np.abs(c) <= 3)).all()


def test_one_variable():
    a, b = np.array([[2.0], [1.0]]), np.array([3.0, 1.0])
    assert solve(LeastSquares(a, b, l1=2.0)).x[0] == pytest.approx((7 - 2) / 5)
    assert solve(LeastSquares(a, b, l1=8.0)).x[0] == 0.0
    assert solve(LeastSquares(a, b, l2=2.0)).x[0] == pytest.approx(7 / 7)
    assert solve(LeastSquares(a, b, bounds=(None, 0.5))).x[0] == 0.5


@pytest.mark.parametrize("factor", [1 + 1e-9, 1 - 1e-3])
def test_the_boundary_of_the_penalty(factor):
    for problem, lam in (
        (LeastSquares, np.abs(A.T @ B).max()),
        (Logistic, np.abs(A.T @ Y).max() / 2),
    ):
        res = minimize_bcd(problem(A, B if problem is LeastSquares else Y, l1=lam * factor))
        assert res.success
        assert (res.x != 0).sum() == (0 if factor > 1 else 1)
        if factor > 1:
            assert res.nit == 0 and res.gap <= 1e-15


def test_a_path_interpolates_linearly():
    n = 15
    L = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    b = np.zeros(n)
    b[0], b[-1] = 1.0, 5.0
    for partition in ("tree", "greedy-tree", "random-tree"):
        res = minimize_bcd(Quadratic(sp.csc_array(L), b), partition=partition, rng=0)
        np.testing.assert_allclose(res.x, np.linspace(1, 5, n + 2)[1:-1], atol=1e-10)
        assert res.success and res.nit == 1


def test_columns_of_zeros():
    X = A.copy()
    X[:, 3] = 0.0
    for problem in (LeastSquares(X, B, l1=1.0), LeastSquares(X, B, l2=0.1), Logistic(X, Y, l1=1.0)):
        for partition in ("variable", "sort"):
            res = solve(problem, x0=np.ones(P), partition=partition)
            assert res.success and res.x[3] == pytest.approx(0.0, abs=1e-8)
    Z = A.copy()
    Z[4] = 0.0  # a sample without features is always on the wrong side
    res = solve(SVMDual(Z, Y, 0.7))
    assert res.x[4] == 0.7 and res.success
    res = minimize_bcd(LeastSquares(np.zeros((3, 2)), np.ones(3), l1=1.0), np.ones(2))
    assert res.success and not res.x.any()


def test_unbounded_along_a_coordinate():
    res = minimize_bcd(Quadratic(np.diag([1.0, 0.0]), np.ones(2)))
    assert res.status == 5 and not res.success and np.isfinite(res.x).all()
    assert minimize_bcd(Quadratic(np.diag([1.0, 0.0]), [1, -1], bounds=(0, None))).success


def test_separable_data_without_a_penalty():
    y = np.sign(A @ np.arange(1.0, P + 1))
    for problem in (Logistic(A, y), Softmax(A, y), Logistic(A[:, :1], np.sign(A[:, 0]))):
        for update in ("newton", "cubic", "gradient"):
            res = minimize_bcd(problem, update=update, maxiter=400, tol=1e-12)
            assert np.isfinite(res.x).all() and np.isfinite(res.fun)
            assert not res.success
            assert res.status in (1, 5)
    assert res.status == 5 and "separable" in res.message
    assert minimize_bcd(Logistic(A, y, bounds=(-1, 1)), maxiter=5000).success


def test_softmax_of_two_classes_is_logistic():
    two = solve(Softmax(A, Y, l2=0.5), tol=1e-13)
    one = solve(Logistic(A, Y, l2=0.25), tol=1e-13)  # of the difference of two halves
    np.testing.assert_allclose(two.x[:, 1] - two.x[:, 0], one.x, atol=1e-6)
    assert two.fun == pytest.approx(one.fun, rel=1e-9)


def test_the_dual_of_a_support_vector_machine_certifies_its_primal():
    C = 0.7
    res = solve(SVMDual(A, Y, C), tol=1e-11)
    w = A.T @ (Y * res.x)
    primal = 0.5 * w @ w + C * np.maximum(0, 1 - Y * (A @ w)).sum()
    assert res.success
    assert primal + res.fun == pytest.approx(res.gap * C * N, abs=1e-10 * primal)
    assert primal == pytest.approx(-res.fun, rel=1e-9)


# -- certificates -------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPOSITE | smooth())
def test_the_gap_is_a_bound_for_every_iterate(name):
    problem = everything()[name]
    best = solve(problem, tol=1e-12).fun
    xs = []
    minimize_bcd(
        problem, maxiter=30, tol=0, block_size=2,
        callback=lambda intermediate_result: xs.append(intermediate_result),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    points = [v.x for v in xs[::5]]
    points += [
        problem.model.penalty.prox(rng.standard_normal(problem.model.size), 0.1) for _ in range(5)
    ]
    for x in points:
        gap = problem.dual_gap(x)
        assert (gap is None) == (not problem.model.has_dual)
        if gap is not None:
            assert gap >= problem.fun(x) - best - 1e-10 * abs(best)
    for v in xs:
        assert (v.gap is None) == (not problem.model.has_dual)
        if v.gap is not None:
            assert v.gap * problem.model.gap_scale() >= v.fun - best - 1e-10 * abs(best)


@pytest.mark.parametrize("name", COMPOSITE | smooth())
def test_what_is_reported_is_what_is_returned(name):
    problem = everything()[name]
    res = solve(problem, tol=1e-9)
    assert res.success and res.status == 0
    assert res.x.shape == problem.shape == res.active.shape
    assert res.fun == pytest.approx(problem.fun(res.x), rel=1e-12)
    x = res.x.ravel()
    kkt = problem.model.penalty.distance(x, problem.grad(x).ravel()).max()
    assert res.kkt == pytest.approx(kkt, rel=1e-6, abs=1e-12)
    if problem.model.has_dual:
        assert res.gap <= 1e-9
        assert problem.dual_gap(x) <= 1e-7 * problem.model.gap_scale()
    else:
        assert res.gap is None
        start = problem.model.start()
        assert (
            kkt <= 1e-9 * problem.model.penalty.distance(start, problem.grad(start).ravel()).max()
        )
    lengths = {len(column) for column in res.history.values()}
    assert lengths == {res.nit + 1}
    measure = "gap" if problem.model.has_dual else "kkt"
    assert {"time", "fun", measure, "nnz", "block_size"} <= set(res.history)
    assert res.nbev == res.nit and res.njev >= 1


# -- active sets --------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPOSITE)
def test_updates_agree_and_active_coordinates_are_exact(name):
    problem = COMPOSITE[name]
    found = [
        solve(problem, update=update, tol=1e-12, maxiter=20000)
        for update in ("prox-gradient", "prox-newton", "two-metric")
    ]
    active = identify_active_set(found[1].x, problem.grad(found[1].x), problem)
    for res in found:
        assert res.fun == pytest.approx(found[0].fun, rel=1e-11)
        np.testing.assert_array_equal(res.active, active)
        assert 0 < res.nit_active <= res.nit
        pinned = res.x[res.active]
        if problem.model.penalty.__class__.__name__ == "L1":
            assert (pinned == 0.0).all()
        else:
            lower = np.broadcast_to(problem.model.penalty.lower, P if "svm" not in name else N)
            upper = np.broadcast_to(problem.model.penalty.upper, lower.shape)
            assert ((res.x == lower) | (res.x == upper))[res.active].all()


def test_the_active_set_is_identified_near_the_solution():
    problem = COMPOSITE["lasso"]
    res = solve(problem, tol=1e-15)
    inside = 2.0 - np.abs(problem.grad(res.x))[res.active]
    delta = inside.min()
    assert delta > 0
    rng = np.random.default_rng(0)
    for _ in range(20):
        e = rng.standard_normal(P)
        x = res.x + e * delta / (4 * np.linalg.norm(GRAM, 2) * np.linalg.norm(e))
        # zeros of the solution that the point does not have
        predicted = identify_active_set(x, problem.grad(x), problem)
        np.testing.assert_array_equal(predicted, res.active)


@pytest.mark.parametrize("update", ["prox-newton", "two-metric"])
@pytest.mark.parametrize("name", ["lasso", "lasso, x >= 0", "nnls", "box qp", "svm dual"])
def test_finite_termination_on_quadratics(name, update):
    problem = COMPOSITE[name]
    res = solve(problem, update=update, block_size=problem.model.size, tol=1e-14, maxiter=40)
    assert res.success, res.message
    assert res.nit <= 25


def test_superlinear_convergence_on_logistic_losses():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((80, 30))
    y = np.sign(X[:, :4].sum(axis=1) + rng.standard_normal(80))
    res = minimize_bcd(
        Logistic(X, y, l1=4.0), update="prox-newton", block_size=30, tol=1e-15, maxiter=30
    )
    gap = res.history["gap"]
    last = int(np.argmax(gap <= 1e-14))
    assert 0 < last <= 10
    assert gap[last] <= 1e-3 * gap[last - 1]


# -- options and limits ---------------------------------------------------------------


def test_maxiter_zero_callback_and_time_limit():
    problem = COMPOSITE["lasso"]
    res = minimize_bcd(problem, maxiter=0)
    assert res.nit == 0 and res.status == 1 and not res.x.any()

    def stop(intermediate_result):
        assert intermediate_result.gap > 0
        intermediate_result.x[:] = np.nan  # its own copy
        if intermediate_result.nit == 3:
            raise StopIteration

    res = minimize_bcd(problem, callback=stop, tol=0)
    assert res.nit == 3 and res.status == 2 and np.isfinite(res.x).all()
    assert minimize_bcd(problem, time_limit=0, tol=0).status == 6
    assert minimize_bcd(problem, history=False).history == {}


def test_a_start_at_the_solution_and_one_out_of_bounds():
    for name, problem in COMPOSITE.items():
        res = solve(problem, tol=1e-11)
        assert solve(problem, x0=res.x, tol=1e-10).nit <= 1, name
    box = COMPOSITE["box qp"]
    res = minimize_bcd(box, x0=np.full(P, 7.0), maxiter=0)
    assert (res.x == 0.2).all()
    res = solve(COMPOSITE["lasso"], x0=np.full(P, 1e200))  # whose objective would overflow
    assert res.success


def test_a_run_that_cannot_go_on_says_so():
    problem = COMPOSITE["nnls"]
    res = minimize_bcd(problem, tol=0, maxiter=10000, block_size=P)
    assert res.status in (0, 3)
    assert res.nit < 10000


def test_random_rules_are_repeatable_and_leave_input_alone():
    X, b = A.copy(), B.copy()
    X.flags.writeable = b.flags.writeable = False
    problem = LeastSquares(X, b, l1=1.0)
    one = minimize_bcd(problem, selection="random", rng=3, maxiter=40)
    two = minimize_bcd(problem, selection="random", rng=3, maxiter=40)
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_array_equal(X, A)


@pytest.mark.parametrize("rule", ["cyclic", "permuted-cyclic", "random", "lipschitz"])
@pytest.mark.parametrize("partition", ["variable", "order"])
def test_rules_without_gradient_converge_too(rule, partition):
    res = solve(COMPOSITE["lasso"], selection=rule, partition=partition, rng=0, tol=1e-9)
    assert res.success and res.njev < res.nit / 2 + 3


# -- invariances and other arrays -----------------------------------------------------


def test_scaling_and_permutation():
    res = solve(LeastSquares(A, B, l1=2.0))
    scaled = solve(LeastSquares(4 * A, B, l1=8.0))
    np.testing.assert_allclose(scaled.x * 4, res.x, atol=1e-9)
    order = np.random.default_rng(1).permutation(P)
    mixed = solve(LeastSquares(A[::-1][:, order], B[::-1], l1=2.0))
    np.testing.assert_allclose(mixed.x, res.x[order], atol=1e-7)


@pytest.mark.parametrize("kind", [sp.csc_array, sp.csr_array, sp.coo_matrix, np.asfortranarray])
def test_layouts_give_the_same(kind):
    for one, two in zip(_in_layout(np.ascontiguousarray), _in_layout(kind), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-10 * np.abs(one).max())


@functools.cache
def _in_layout(kind):
    problems = (
        LeastSquares(kind(A), B, l1=2.0),
        Logistic(kind(A), Y, l2=0.1),
        Softmax(kind(A), LABELS, l1=1.0),
        SVMDual(kind(A), Y),
        Quadratic(kind(GRAM), B[:P]),
    )
    return [minimize_bcd(problem, maxiter=20).x for problem in problems]


def _history(problem, **options):
    return minimize_bcd(problem, maxiter=8, tol=0, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"selection": "gs-q"},
        {"selection": "gs-r", "update": "prox-gradient"},
        {"selection": "gs-s", "partition": "sort", "update": "two-metric"},
        {"selection": "cyclic", "partition": "average"},
    ],
)
def test_backends_make_the_same_iterates(options):
    xp = pytest.importorskip("array_api_strict")

    for make in (
        lambda f, **b: LeastSquares(f(A), f(B), l1=2.0, **b),
        lambda f, **b: LeastSquares(f(A), f(B), l1=2.0, bounds=(0.0, None), **b),
        lambda f, **b: Logistic(f(A), f(Y), l1=1.0, weights=f(WEIGHTS), **b),
        lambda f, **b: Softmax(f(A), f(LABELS), l1=1.0, l2=0.1, **b),
        lambda f, **b: SVMDual(f(A), f(Y), 0.7, **b),
        lambda f, **b: Quadratic(f(GRAM), f(B[:P]), bounds=(-0.1, 0.2), **b),
    ):
        numpy = _history(make(np.asarray, backend="numpy"), **options)
        numba = _history(make(np.asarray, backend="numba"), **options)
        strict = _history(make(xp.asarray), **options)
        assert (numpy.backend, numba.backend) == ("numpy", "numba")
        np.testing.assert_array_equal(numpy.x, numba.x)
        np.testing.assert_allclose(np.asarray(strict.x), numpy.x, rtol=0, atol=1e-10)
        np.testing.assert_allclose(strict.history["fun"], numpy.history["fun"], rtol=1e-10)


@pytest.mark.parametrize("update", ["gradient", "backtracking", "matrix", "newton", "cubic"])
@pytest.mark.parametrize("selection", ["gs", "gsl", "gsd", "gsq", "gsq-omp"])
def test_backends_make_the_same_smooth_iterates(selection, update):
    xp = pytest.importorskip("array_api_strict")
    for partition in ("variable", "sort"):
        if partition == "sort" and selection == "gsq-omp":
            continue
        options = {"selection": selection, "update": update, "partition": partition}
        numpy = _history(Logistic(A, Y, l2=0.1), **options)
        strict = _history(Logistic(xp.asarray(A), xp.asarray(Y), l2=0.1), **options)
        np.testing.assert_allclose(np.asarray(strict.x), numpy.x, rtol=0, atol=1e-10)


def test_single_precision():
    problem = LeastSquares(A.astype(np.float32), B.astype(np.float32), l1=2.0)
    res = minimize_bcd(problem, tol=1e-12)
    assert res.x.dtype == np.float32
    assert res.success and res.gap <= 1e-6 and "Single precision" in res.message
    np.testing.assert_allclose(res.x, solve(COMPOSITE["lasso"]).x, atol=1e-3)


def test_empty_and_tiny_problems():
    res = minimize_bcd(LeastSquares(np.zeros((3, 0)), np.ones(3), l1=1.0))
    assert res.x.shape == (0,) and res.fun == 1.5
    res = minimize_bcd(LeastSquares([[2.0]], [4.0], l1=1.0))
    assert res.x[0] == pytest.approx(1.75)
    res = minimize_bcd(LeastSquares(A, np.zeros(N), l1=1.0))
    assert res.success and res.nit == 0 and not res.x.any() and res.gap == 0


def test_classes_are_named():
    problem = Softmax(A, np.array(["x", "y", "z"])[LABELS], l2=0.1)
    assert problem.shape == (P, K) and problem.classes.tolist() == ["x", "y", "z"]
    np.testing.assert_allclose(
        minimize_bcd(problem, maxiter=20).x,
        minimize_bcd(Softmax(A, LABELS, l2=0.1), maxiter=20).x,
    )


def test_a_graph_gives_the_same_by_every_partition():
    matrix, b = graph(20, 0.12), np.linspace(-1, 1, 20)
    x = np.linalg.solve(matrix.toarray(), b)
    for partition in ("red-black", "tree", "greedy-tree", "random-tree", "variable", "sort"):
        res = minimize_bcd(
            Quadratic(matrix, b), partition=partition, tol=1e-11, maxiter=5000, rng=0
        )
        assert res.success, partition
        np.testing.assert_allclose(res.x, x, atol=1e-8)
