"""The iteration is what theory says: conjugate gradients, conjugate directions, exact answers."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator, cg

import pressure_systems
from refopt import deep_conjugate_direction

PUBLISHED = {"smoke": 217, "porous": 264, "box": 94}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_plain_iteration_takes_the_published_number_of_steps(kind):
    A, stored, b = pressure_systems.system(kind, 32)
    for matrix in (A, stored):
        res = deep_conjugate_direction(matrix, b, rtol=1e-6, full_output=True)[1]
        assert res.success and abs(res.nit - PUBLISHED[kind]) <= 1


def iterates_of_scipy(A, b, M=None, steps=20):
    found = []
    cg(A, b, M=M, rtol=0, maxiter=steps, callback=lambda x: found.append(x.copy()))
    return found


def iterates(A, b, model=None, steps=20, **options):
    found = []
    deep_conjugate_direction(
        A, b, model, rtol=0, maxiter=steps, callback=found.append, **options
    )  # fmt: skip
    return found


def assert_alike(ours, theirs):
    assert len(ours) == len(theirs)
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-10 * abs(y).max())


@pytest.mark.parametrize("n_orth", [1, 2, 5])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_without_a_model_the_iterates_are_scipys(n_orth, backend):
    A, stored, b = pressure_systems.system("smoke", 14)
    expected = iterates_of_scipy(stored, b)
    for matrix in (A, stored, stored.toarray(), aslinearoperator(stored)):
        assert_alike(iterates(matrix, b, n_orth=n_orth, backend=backend), expected)


@pytest.mark.parametrize("form", ["matrix", "operator", "callable"])
def test_with_a_linear_model_the_iterates_are_scipys(form):
    stored, b = pressure_systems.system("smoke", 14)[1:]
    M = sparse.diags_array(1 + np.arange(b.size) % 5.0) / 3
    model = {"matrix": M, "operator": aslinearoperator(M), "callable": lambda r: M @ r}[form]
    guard = False if form == "callable" else "auto"
    assert_alike(iterates(stored, b, model, safeguard=guard), iterates_of_scipy(stored, b, M))


def test_the_identity_as_a_callable_gives_scipys_iterates():
    stored, b = pressure_systems.system("smoke", 14)[1:]
    expected = iterates_of_scipy(stored, b)
    for n_orth in (1, 2):
        for safeguard in (True, False):
            got = iterates(stored, b, lambda r: r, n_orth=n_orth, safeguard=safeguard)
            assert_alike(got, expected)


@pytest.mark.parametrize("model", [None, lambda r: r])
def test_without_conjugation_it_is_steepest_descent(model):
    A, b = pressure_systems.spd()
    x, expected = np.zeros(50), []
    for _ in range(10):
        r = b - A @ x
        x = x + (r @ r) / (r @ (A @ r)) * r
        expected.append(x)
    assert_alike(iterates(A, b, model, steps=10, n_orth=0, safeguard=False), expected)


@pytest.mark.parametrize("scale", [1.0, -3.0, 1e-200, -1e200])
@pytest.mark.parametrize("options", [{}, {"safeguard": False}, {"n_orth": 0}], ids=str)
def test_the_inverse_up_to_any_factor_takes_one_step(scale, options):
    A, stored, b = pressure_systems.system("smoke", 14)
    solve = pressure_systems.inverse(stored)
    x, res = deep_conjugate_direction(
        A, b, lambda r: scale * solve(r), rtol=1e-10, full_output=True, **options
    )
    assert res.nit == 1 and res.n_model == 1 and res.success
    np.testing.assert_allclose(x, solve(b), rtol=0, atol=1e-9 * abs(x).max())


def test_the_diagonal_of_a_diagonal_matrix_takes_one_step():
    d = np.geomspace(1, 1e6, 40)
    res = deep_conjugate_direction(
        np.diag(d), np.ones(40), lambda r: r / d, rtol=1e-12, full_output=True
    )[1]
    assert res.nit == 1


@pytest.mark.parametrize("n_orth", [1, 2, 4])
def test_directions_are_conjugate_to_the_last_ones(n_orth):
    A, b = pressure_systems.spd(condition=50)
    rng = np.random.default_rng(0)
    found = [np.zeros(50), *iterates(
        A, b, lambda r: r + 0.3 * rng.standard_normal(50) / 7, steps=15, n_orth=n_orth,
        safeguard=False,
    )]  # fmt: skip
    steps = np.diff(found, axis=0)
    gram = steps @ A @ steps.T
    scale = np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    for k in range(15):
        for i in range(max(0, k - n_orth), k):
            assert abs(gram[k, i]) <= 1e-10 * scale[k, i]


def test_all_directions_kept_end_within_the_dimension():
    A, b = pressure_systems.spd(condition=1e2)
    rng = np.random.default_rng(0)
    res = deep_conjugate_direction(
        A, b, lambda r: rng.standard_normal(50), n_orth=50, safeguard=False, rtol=1e-8,
        full_output=True,
    )[1]  # fmt: skip
    assert res.success and 40 <= res.nit <= 50


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_the_size_of_b_does_not_matter(scale):
    A, _, b = pressure_systems.system("smoke", 14)
    x, res = deep_conjugate_direction(A, b, full_output=True)
    y, other = deep_conjugate_direction(A, b * scale, full_output=True)
    assert other.nit == res.nit and other.success
    np.testing.assert_allclose(y / scale, x, rtol=0, atol=1e-9 * abs(x).max())
    np.testing.assert_allclose(other.residual / scale, res.residual, rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_in_single_precision_does_not_limit_the_accuracy(dtype):
    A, stored, b = pressure_systems.system("smoke", 14)
    solve = pressure_systems.inverse(stored)
    x, res = deep_conjugate_direction(
        A, b, lambda r: (solve(r) * (1 + 1e-4 * np.sin(r))).astype(dtype), rtol=1e-12,
        full_output=True,
    )  # fmt: skip
    assert res.success and res.nit <= 6
    assert np.linalg.norm(b - stored @ x) <= 1.01e-12 * np.linalg.norm(b)


GENERAL = {  # iterations of conjugate gradients, and preconditioned by SA and by RS
    "elasticity": (59, 13, 12),
    "anisotropic": (218, 17, 7),
    "poisson": (197, 5, 4),
}


@pytest.mark.parametrize("name", GENERAL)
def test_algebraic_multigrid_as_the_model_takes_scipys_number_of_steps(name):
    pyamg = pytest.importorskip("pyamg")
    import warnings

    rng = np.random.default_rng(0)
    options = {}
    if name == "elasticity":
        A, B = pyamg.gallery.linear_elasticity((30, 40))
        options = {"B": B}
    elif name == "anisotropic":
        stencil = pyamg.gallery.diffusion_stencil_2d(type="FD", epsilon=0.01, theta=np.pi / 6)
        A = pyamg.gallery.stencil_grid(stencil, (100, 100), format="csr")
    else:
        A = pyamg.gallery.poisson((120, 90), format="csr")
    b = A @ rng.standard_normal(A.shape[0])
    with warnings.catch_warnings(action="ignore"):
        sa = pyamg.smoothed_aggregation_solver(A.tocsr(), **options).aspreconditioner()
        rs = pyamg.ruge_stuben_solver(A.tocsr()).aspreconditioner()
    for model, published in zip((None, sa, rs), GENERAL[name], strict=True):
        count = []
        cg(A, b, M=model, rtol=1e-6, callback=count.append)
        res = deep_conjugate_direction(A, b, model, rtol=1e-6, full_output=True)[1]
        assert res.success and abs(res.nit - len(count)) <= 1
        if name != "elasticity":  # whose smoothed aggregation draws a start at random
            assert abs(res.nit - published) <= max(2, 0.05 * published)
