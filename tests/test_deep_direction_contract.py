"""What a call returns, null spaces, failures that are reported, input that is refused."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

import pressure_systems
from refopt import MultilevelNet, PoissonGrid, deep_conjugate_direction, poisson_rhs, project
from refopt.problems import pressure_scene, swirl_velocity

FULL = {"full_output": True}


def room(shape=(9, 8, 7)):
    A = PoissonGrid(np.ones(shape, int))
    return A, np.random.default_rng(0).standard_normal(A.n)


@pytest.mark.parametrize("nullspace", ["auto", "constant", "array"])
@pytest.mark.parametrize("model", [None, np.sign])
def test_a_closed_room_is_solved_up_to_a_constant(nullspace, model):
    A, b = room()
    known = A.nullspace() if nullspace == "array" else nullspace
    x, res = deep_conjugate_direction(A, b, model, nullspace=known, rtol=1e-8, **FULL)
    assert res.success and abs(x.mean()) < 1e-14
    r = b - b.mean() - A.matvec(x)
    assert np.linalg.norm(r) <= 1.001e-8 * np.linalg.norm(b - b.mean())
    assert res.b_removed == pytest.approx(abs(b.mean()) * np.sqrt(A.n))
    assert "null space" in res.message


def test_sealed_pockets_are_solved_on_their_own():
    cells = pressure_scene("room", 12)
    cells[2:8, 2:8, 2:8] = 0
    cells[3:5, 3:5, 3:5] = 1  # eight cells
    cells[6, 6, 6] = 1  # one
    A = PoissonGrid(cells)
    b = np.random.default_rng(0).standard_normal(A.n)
    x, res = deep_conjugate_direction(A, b, **FULL)
    assert res.success
    labels, grounded = A.components()
    for part in np.flatnonzero(~grounded):
        assert abs(x[labels == part].mean()) < 1e-14
    assert (~grounded).sum() == 2


@pytest.mark.parametrize("model", [None, np.sign])
def test_an_inconsistent_system_is_reported(model):
    A, b = room()
    x, res = deep_conjugate_direction(A.tocsr(), b, model, **FULL)
    assert res.status == 5 and not res.success and np.isfinite(x).all()
    assert "singular" in res.message and "nullspace=" in res.message
    assert deep_conjugate_direction(A.tocsr(), b, model)[1] == -5


@pytest.mark.parametrize("model", [None, np.sign, np.eye(3)])
def test_an_indefinite_matrix_is_reported(model):
    x, res = deep_conjugate_direction(np.diag([1.0, 2.0, -1.0]), np.ones(3), model, **FULL)
    assert res.status == 5 and "not positive definite" in res.message and np.isfinite(x).all()


def test_products_that_are_not_finite_are_reported():
    A = LinearOperator((3, 3), matvec=lambda v: v * np.nan, dtype=float)
    x, res = deep_conjugate_direction(A, np.ones(3), **FULL)
    assert res.status == 4 and np.array_equal(x, np.zeros(3))


def test_limits_have_scipys_codes():
    A, _, b = pressure_systems.system("smoke", 12)
    for maxiter in (0, 5):
        _, res = deep_conjugate_direction(A, b, maxiter=maxiter, **FULL)
        assert res.status == 1 and res.nit == maxiter and not res.success
        assert deep_conjugate_direction(A, b, maxiter=maxiter)[1] == max(maxiter, 1)
    assert deep_conjugate_direction(A, b, time_limit=1e-9, **FULL)[1].status == 6
    res = deep_conjugate_direction(A, b, rtol=0, **FULL)[1]
    assert res.status == 3 and res.residual < 1e-11 * np.linalg.norm(b)

    def stop(xk):
        raise StopIteration

    res = deep_conjugate_direction(A, b, callback=stop, **FULL)[1]
    assert res.status == 2 and res.nit == 1


def test_nothing_to_do_is_done_at_once():
    A, _, b = pressure_systems.system("smoke", 12)
    x, res = deep_conjugate_direction(A, 0 * b, x0=b, **FULL)
    assert res.nit == 0 and res.success and not x.any()
    solved = deep_conjugate_direction(A, b, rtol=1e-8)[0]
    x, res = deep_conjugate_direction(A, b, x0=solved, **FULL)
    assert res.nit == 0 and res.success and np.array_equal(x, solved)
    x, info = deep_conjugate_direction(PoissonGrid([0, 2]), np.empty(0))
    assert x.shape == (0,) and info == 0


def test_the_result_is_recomputed():
    A, stored, b = pressure_systems.system("smoke", 12)
    x, res = deep_conjugate_direction(A, b[:, None], **FULL)
    assert x.shape == (A.n, 1) and res.x is x
    x = x.ravel()
    assert res.residual == pytest.approx(np.linalg.norm(b - stored @ x), rel=1e-9)
    assert res.fun == pytest.approx(x @ (stored @ x) / 2 - b @ x)
    assert {"residual", "energy_drop", "accepted", "time", "fun"} <= res.history.keys()
    assert {column.size for column in res.history.values()} == {res.nit + 1}
    single = deep_conjugate_direction(A, b.astype(np.float32), **FULL)
    assert single[0].dtype == np.float32 and "float32" in single[1].message


def test_callbacks_get_the_iterate_or_the_result():
    A, _, b = pressure_systems.system("smoke", 12)
    seen, results = [], []

    def watch(intermediate_result):
        results.append(intermediate_result)
        intermediate_result.x[:] = np.nan

    one = deep_conjugate_direction(A, b, callback=seen.append)[0]
    two, res = deep_conjugate_direction(A, b, callback=watch, **FULL)
    assert np.array_equal(one, two) and len(seen) == len(results) == res.nit
    assert np.array_equal(seen[-1], one) and results[-1].residual <= res.residual * 1.0001


def test_models_may_keep_and_change_what_they_get():
    A, _, b = pressure_systems.system("smoke", 12)

    def rude(r):
        r *= 2.0
        return r

    assert deep_conjugate_direction(A, b, rude, **FULL)[1].success
    assert deep_conjugate_direction(A, b, LinearOperator(A.shape, rude, dtype=float))[1] == 0


BAD = [
    ({"A": np.ones((2, 3))}, ValueError, r"^A must be a square matrix, got shape \(2, 3\)"),
    ({"A": np.eye(4)}, ValueError, r"^b must have shape \(4,\) or \(4, 1\).*got \(3,\)"),
    ({"A": sparse.eye_array(3) * np.nan}, ValueError, "^stored values of A must be finite"),
    ({"A": sparse.eye_array(3) * 1j}, TypeError, "^A must be real, got dtype complex128"),
    ({"A": np.triu(np.ones((3, 3))), "check": True}, ValueError, "^A must be symmetric"),
    ({"x0": np.ones(2)}, ValueError, r"^x0 must have shape \(3,\)"),
    ({"x0": np.full(3, np.inf)}, ValueError, "^x0 must be finite"),
    ({"rtol": -1}, ValueError, "^rtol must be nonnegative"),
    ({"atol": -1}, ValueError, "^atol must be nonnegative"),
    ({"maxiter": -1}, ValueError, "^maxiter must be at least 0"),
    ({"n_orth": -1}, ValueError, "^n_orth must be at least 0"),
    ({"n_orth": 1.5}, TypeError, "^n_orth must be an integer"),
    ({"safeguard": "yes"}, ValueError, "^safeguard must be one of 'auto', True, False"),
    ({"normalize": "no"}, ValueError, "^normalize must be one of 'auto', True, False"),
    ({"nullspace": "zero"}, ValueError, "^nullspace must be one of 'auto', 'constant', None"),
    ({"nullspace": np.ones((2, 1))}, ValueError, "^nullspace must have 3 rows"),
    ({"nullspace": np.ones((3, 2))}, ValueError, "^nullspace must have linearly independent"),
    ({"model": "net"}, TypeError, r"^model must be an object.*load_model\('net'\)"),
    ({"model": np.eye(2)}, ValueError, r"^model must have the shape of A, \(3, 3\)"),
    ({"model": lambda r: r[:2]}, ValueError, r"^model must return an array of shape \(3,\)"),
    ({"model": lambda r: None}, TypeError, r"^model must return an array of shape \(3,\)"),
    ({"model": lambda r: r * 1j}, TypeError, "^model must return real numbers"),
    ({"callback": 3}, TypeError, "^callback must be callable"),
]


@pytest.mark.parametrize(("changed", "error", "message"), BAD, ids=lambda v: str(v)[:30])
def test_what_is_wrong_is_refused_by_name(changed, error, message):
    arguments = {"A": np.diag([1.0, 2.0, 3.0]), "b": np.ones(3)} | changed
    with pytest.raises(error, match=message):
        deep_conjugate_direction(**arguments)


def test_models_of_grids_ask_for_a_grid_and_errors_in_models_are_the_callers():
    class OfGrids:
        def setup(self, A):
            raise RuntimeError("mine")

    with pytest.raises(ValueError, match=r"A must be a PoissonGrid, got ndarray.*aspreconditioner"):
        deep_conjugate_direction(np.eye(3), np.ones(3), OfGrids())
    with pytest.raises(RuntimeError, match="mine"):
        deep_conjugate_direction(PoissonGrid([2, 1, 1]), np.ones(2), OfGrids())


def test_a_network_bound_to_another_grid_is_a_preconditioner_only():
    A, _, b = pressure_systems.system("smoke", 12)
    other = PoissonGrid(np.ones((5, 5, 5), int), outside="air")
    assert other.n != A.n
    same = PoissonGrid(A.cells, outside=A.outside)
    whole, res = deep_conjugate_direction(A, b, MultilevelNet(), rtol=1e-10, **FULL)
    x, generic = deep_conjugate_direction(A, b, MultilevelNet().setup(same), rtol=1e-10, **FULL)
    assert res.success and generic.success and abs(res.nit - generic.nit) <= 1
    assert np.linalg.norm(x - whole) <= 1e-8 * np.linalg.norm(x)
    with pytest.raises(ValueError, match="shape"):
        deep_conjugate_direction(A, b, MultilevelNet().setup(other))


@pytest.mark.parametrize("kind", ["smoke", "dam", "box"])
@pytest.mark.parametrize("weighted", [False, True])
def test_projected_velocities_have_no_divergence(kind, weighted):
    shape, h = (13, 11, 12), 0.25
    cells, u = pressure_scene(kind, shape), swirl_velocity(shape)
    outside = "air" if kind == "box" else "solid"
    rng = np.random.default_rng(0)
    weights = tuple(0.5 + rng.random(a.shape) for a in u) if weighted else None
    options = {"h": h, "outside": outside}
    before = np.linalg.norm(poisson_rhs(cells, u, **options))
    kept = [a.copy() for a in u]
    v, info = project(cells, u, coefficient=weights, rtol=1e-8, **options)
    assert info == 0 and all(np.array_equal(a, b) for a, b in zip(u, kept, strict=True))
    assert np.linalg.norm(poisson_rhs(cells, v, **options)) <= 1.01e-8 * before
    again = project(cells, v, coefficient=weights, rtol=1e-8, **options)[0]
    for one, two in zip(v, again, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


def test_the_gradient_of_a_linear_pressure_is_taken_out_whole():
    # air at both ends, closed sides: p = 3 z - 2 in units of h drives a flow of constant 3
    cells = np.ones((1, 6), int)
    cells[0, [0, -1]] = 2
    v, res = project(cells, (np.zeros((2, 6)), np.arange(7.0)[None, :]), rtol=1e-12, **FULL)
    np.testing.assert_allclose(v[1][0, 1:-1], np.mean(np.arange(7.0)[1:-1]), atol=1e-12)
    np.testing.assert_allclose(np.diff(res.x), 1.0 * np.arange(2, 5) - 3.0, atol=1e-12)


@pytest.mark.parametrize("model", [None, np.sign])
def test_what_grew_in_a_singular_system_is_not_returned(model):
    A = PoissonGrid(np.ones((8, 8, 8), int))
    b = np.random.default_rng(1).standard_normal(A.n)
    x, res = deep_conjugate_direction(A, b, model, nullspace=None, full_output=True)
    assert res.status == 5 and not res.success
    assert res.residual == pytest.approx(np.linalg.norm(b - A @ x)) and np.abs(x).max() < 1e3
    assert res.residual <= np.linalg.norm(b)


def test_overflow_in_a_step_returns_the_start():
    A, x0 = np.diag([1e-310, 2e-310]), np.ones(2)
    x, res = deep_conjugate_direction(A, np.ones(2), x0=x0, full_output=True)
    assert not res.success and np.isfinite(x).all() and np.isfinite(res.residual)


def test_networks_know_the_grid_that_they_were_set_up_for():
    A, other = (PoissonGrid(np.ones(shape, int), outside="air") for shape in ((4, 5), (3, 3)))
    bound, b = MultilevelNet().setup(A), np.arange(A.n)
    assert deep_conjugate_direction(A.tocsr(), b, bound)[1] == 0
    with pytest.raises(ValueError, match=r"r must have shape \(20,\).*another grid"):
        deep_conjugate_direction(other, np.ones(9), bound)
    with pytest.raises(TypeError, match=r"model must be an object.*MultilevelNet\(\)"):
        deep_conjugate_direction(A, b, MultilevelNet)
    with pytest.raises(ValueError, match="h must be between"):
        PoissonGrid(np.ones(3, int), h=1e-160)
