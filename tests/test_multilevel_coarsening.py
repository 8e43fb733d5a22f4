"""Coarse levels of the multilevel network: thin walls separate, and every geometry has them."""

import numpy as np
import pytest
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

from refopt import MultilevelNet, PoissonGrid, deep_conjugate_direction, poisson_rhs
from refopt.problems import pressure_scene, swirl_velocity
from refopt_backends.numba_cpu import vcycle as compiled
from refopt_backends.reference import vcycle as readable
from refopt_backends.reference.connected_grids import coarser_graph, graph_of


def system(kind, shape, seed=5, **options):
    cells = pressure_scene(kind, shape, seed, **options)
    outside = "air" if kind == "box" else "solid"
    b = poisson_rhs(cells, swirl_velocity(cells.shape, 6), outside=outside)
    return PoissonGrid(cells, outside=outside), b


def room(n, solid, gap):
    """Closed but for the lid; solid where told, but for one layer of height."""
    cells = np.ones((n, n, n), int)
    cells[solid] = 0
    cells[:, :, gap] = 1
    for rim in (np.s_[[0, -1]], np.s_[:, [0, -1]], np.s_[:, :, 0]):
        cells[rim] = 0
    cells[:, :, -1] = 2
    A = PoissonGrid(cells)
    return A, A.matvec(np.random.default_rng(0).standard_normal(A.n))


def diagonal_walls(n):
    i = np.arange(n)
    return room(n, (i[:, None] - i[None, :]) % 9 == 4, n // 3)


def iterations(A, b, rtol=1e-6):
    _, res = deep_conjugate_direction(A, b, MultilevelNet(), rtol=rtol, full_output=True)
    assert res.success
    assert res.n_fallback == 0
    return res.nit


@pytest.mark.parametrize("shape", [32, 64, (61, 45, 39)])
def test_walls_with_gaps_of_one_cell_do_not_leak(shape):
    assert iterations(*system("walls", shape, spacing=7)) <= 12


def test_nor_do_walls_along_a_diagonal():
    assert iterations(*diagonal_walls(48)) <= 12


def finest(name):
    """A system and its cells as a graph."""
    A, _ = system("porous", 20) if name == "weights" else GRAPHS[name]()
    links = [(A.types == 1) & np.roll(A.types == 1, -1, axis) for axis in range(3)]
    if name == "weights":
        rng = np.random.default_rng(0)
        faces = ((21, 20, 20), (20, 21, 20), (20, 20, 21))
        A = PoissonGrid(A.cells, coefficient=tuple((rng.random(s) < 0.6) * 1.0 for s in faces))
        links = A.face_weights
    args = (A.degree, [1.0 * w for w in links], 1.0 * A.dirichlet, 1.0 * (A.types == 1))
    return A, graph_of(*args)[0]


GRAPHS = {
    "walls": lambda: system("walls", 24, spacing=7),
    "diagonal": lambda: diagonal_walls(20),
    "porous": lambda: system("porous", 24),
    "weights": None,
}


def adjacency(graph, side, n):
    own = graph.side == side
    return sparse.csr_array((graph.weight[own], (graph.start[own], graph.end[own])), shape=(n, n))


@pytest.mark.parametrize("name", GRAPHS)
def test_no_node_spans_cells_that_nothing_connects_within_it(name):
    _, graph = finest(name)
    n = graph.ground.shape[0]
    links = sum(adjacency(graph, side, n) for side in range(6)).tocoo()
    node = np.arange(n)
    blocks = 0
    while graph.start.size:
        graph, part, members = coarser_graph(graph, 0.7)
        node = part[node]
        np.testing.assert_array_equal(np.sort(members[members < part.size]), np.arange(part.size))
        inside = node[links.row] == node[links.col]
        pairs = (np.ones(inside.sum()), (links.row[inside], links.col[inside]))
        count, _ = sparse.csgraph.connected_components(sparse.csr_array(pairs, shape=(n, n)))
        assert count == graph.ground.size
        blocks += len(np.unique(np.stack(graph.place), axis=1).T)
    assert count == sparse.csgraph.connected_components(links)[0]
    assert blocks


@pytest.mark.parametrize("name", GRAPHS)
def test_coarse_links_are_conductances_in_series(name):
    """Against sparse products and a loop over pairs."""
    _, fine = finest(name)
    for _ in range(3):
        coarse, part, _ = coarser_graph(fine, 0.7)
        n, m = fine.ground.size, coarse.ground.size
        P = sparse.csr_array((np.ones(n), (np.arange(n), part)), shape=(n, m))
        np.testing.assert_allclose(coarse.ground, 0.7 * (P.T @ fine.ground))
        volume = P.T @ fine.volume
        np.testing.assert_allclose(coarse.volume, volume)
        for axis in range(3):
            sums = (P.T @ adjacency(fine, 2 * axis + 1, n) @ P).tocoo()
            within = np.zeros(m)
            within[sums.row[sums.row == sums.col]] = sums.data[sums.row == sums.col]
            odd = fine.place[axis] % 2 == 1
            low, high = P.T @ (fine.volume * odd), P.T @ (fine.volume * ~odd)
            across = [(i, j, w) for i, j, w in zip(*sums.coords, sums.data, strict=True) if i != j]
            ahead, behind = np.zeros(m), np.zeros(m)
            for i, j, w in across:
                ahead[i] += w
                behind[j] += w
            got = adjacency(coarse, 2 * axis + 1, m)
            assert got.nnz == len(across)
            assert abs(got - adjacency(coarse, 2 * axis, m).T).max() <= 1e-12
            for i, j, w in across:
                r = 1.0
                if within[i]:
                    r += ahead[i] * low[i] / volume[i] / within[i]
                if within[j]:
                    r += behind[j] * high[j] / volume[j] / within[j]
                np.testing.assert_allclose(got[i, j], w / r, rtol=1e-12)
        fine = coarse


@pytest.mark.parametrize("kind", ["box", "smoke"])
def test_without_a_split_nodes_are_the_blocks(kind):
    A, _ = system(kind, 16)
    args = (A.types, A.degree, A.dirichlet, None, MultilevelNet().params)
    levels = readable.vcycle_setup(*args)
    assert levels.steps[:2] == [None, None]
    level = levels.levels[0]
    graph, _ = graph_of(level.degree, level.weights, level.ground, level.volume)
    for number, next_level in enumerate(levels.levels[1:3]):
        graph, *_ = coarser_graph(graph, MultilevelNet().params[number, 3])
        degree = next_level.degree
        got = np.zeros(degree.shape)
        got[graph.place] = graph.rows()[0]
        np.testing.assert_allclose(got, degree, rtol=1e-5)


@pytest.mark.parametrize("name", ["walls", "diagonal", "porous", "weights"])
def test_both_backends_split_the_same_levels(name):
    A, _ = finest(name)
    args = (A.types, A.degree, A.dirichlet, A.face_weights, MultilevelNet().params)
    assert compiled.vcycle_setup(*args).sizes == readable.vcycle_setup(*args).sizes


@pytest.mark.parametrize("grid", ["walls", "diagonal"])
def test_split_levels_keep_it_symmetric_and_positive(grid):
    A, _ = GRAPHS[grid]()
    M = MultilevelNet().setup(A)
    rng = np.random.default_rng(0)
    for _ in range(20):
        u, v = rng.standard_normal((2, A.n))
        Mu, Mv = M(u), M(v)
        assert u @ Mu > 0 < v @ Mv
        assert abs(u @ Mv - v @ Mu) <= 1e-5 * np.sqrt((u @ Mu) * (v @ Mv))


@pytest.mark.parametrize(
    ("kind", "n", "largest"), [("box", 32, 2.5), ("smoke", 32, 8), ("walls", 48, 12)]
)
def test_the_spectrum_is_narrow(kind, n, largest):
    """Eigenvalues of the tridiagonal matrix that conjugate gradients imply."""
    A, _ = system(kind, n)
    M = MultilevelNet().setup(A)
    r = np.random.default_rng(0).standard_normal(A.n)
    steps, p, rho = [], 0.0, None
    for _ in range(14):
        z = M(r)
        rho, before = r @ z, rho
        beta = rho / before if before else 0.0
        p = z + beta * p
        q = A.matvec(p)
        alpha = rho / (p @ q)
        r = r - alpha * q
        steps.append((alpha, beta))
    alpha, beta = np.array(steps).T
    diagonal = 1 / alpha
    diagonal[1:] += beta[1:] / alpha[:-1]
    T = np.diag(diagonal)
    T += np.diag(np.sqrt(beta[1:]) / alpha[:-1], 1) + np.diag(np.sqrt(beta[1:]) / alpha[:-1], -1)
    values = np.linalg.eigvalsh(T)
    assert values[0] > 0
    assert values[-1] < largest * values[0]


ODD = {
    "smoke": ((33, 33, 33), 5),
    "longer smoke": ((70, 90, 54), 7),
    "dam": ((59, 53, 67), 8),
    "porous": ((47, 61, 53), 9),
    "thin dam": ((9, 31, 22), 8),
}


@pytest.mark.parametrize("scene", ODD)
def test_odd_sizes_cost_nothing(scene):
    kind = scene.split()[-1]
    assert iterations(*system(kind, *ODD[scene])) <= 10


def obstructed(shape):
    """Random columns of solid cells, air beyond the first one."""
    cells = np.ones(shape, int)
    cells[np.random.default_rng(0).random(shape) < 0.2] = 0
    cells[0] = 2
    labels, _ = ndimage.label(cells != 0)
    cells[(cells == 1) & (labels != labels.flat[0])] = 0
    return PoissonGrid(cells)


@pytest.mark.parametrize("shape", [(300,), (61, 90), (128, 128), (1, 40, 37)])
def test_it_serves_fewer_dimensions(shape):
    A = obstructed(shape) if len(shape) > 1 else PoissonGrid(np.r_[2, np.ones(300, int)])
    assert iterations(A, A.matvec(np.random.default_rng(1).standard_normal(A.n))) <= 14


@pytest.mark.parametrize("kind", ["walls", "porous", "smoke"])
def test_scipy_takes_as_many_iterations(kind):
    A, b = system(kind, 32)
    count = []
    M = MultilevelNet().setup(A).aspreconditioner()
    _, info = cg(A.aslinearoperator(), b, rtol=1e-6, M=M, callback=count.append)
    assert info == 0
    assert abs(len(count) - iterations(A, b)) <= 1


def sealed_pockets():
    cells = pressure_scene("smoke", 32)
    cells[8:14, 8:14, 8:14] = 0
    cells[9, 9, 9] = cells[11:13, 11:13, 11:13] = 1
    return PoissonGrid(cells)


FLOATING = {
    "room": lambda: PoissonGrid(np.pad(np.ones((30, 26, 22), int), 1)),
    "room with obstacles": lambda: PoissonGrid(np.minimum(pressure_scene("smoke", 40, 15), 1)),
    "two rooms": lambda: PoissonGrid(np.pad(np.ones((2, 14, 14, 14), int), 1).reshape(64, 16, 16)),
    "sealed pockets": sealed_pockets,
    "walls": lambda: PoissonGrid(np.minimum(pressure_scene("walls", 32), 1)),
}


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("kind", FLOATING)
def test_fluid_without_air_takes_no_more(kind, backend):
    A = FLOATING[kind]()
    b = np.random.default_rng(0).standard_normal(A.n)
    N = A.nullspace()
    assert N.shape[1]
    x, res = deep_conjugate_direction(
        A, b, MultilevelNet(), rtol=1e-6, full_output=True, backend=backend
    )
    assert res.success
    assert res.nit <= 12
    b = b - N @ (N.T @ b)
    assert np.linalg.norm(b - A.matvec(x)) <= 1.01e-6 * np.linalg.norm(b)
    assert abs(N.T @ x).max() <= 1e-8 * np.linalg.norm(x)


@pytest.mark.parametrize("jump", [1.0, 10.0, 1000.0])
@pytest.mark.parametrize(("place", "most"), [(17, 14), (16, 18)])  # between blocks, within them
def test_weights_and_their_jumps(jump, place, most):
    """Two fluids of different density, and faces that are shut."""
    n = 32
    rng = np.random.default_rng(0)
    faces = []
    for axis in range(3):
        w = np.ones(tuple(n + (a == axis) for a in range(3)))
        w[:, :, :place] = jump
        faces.append(w * (0.5 + rng.random(w.shape)) * (rng.random(w.shape) > 0.02))
    A = PoissonGrid(pressure_scene("smoke", n), coefficient=tuple(faces))
    assert iterations(A, A.matvec(rng.standard_normal(A.n))) <= most


def test_a_matrix_that_is_indefinite_is_told():
    A, b = system("smoke", 16)
    M = MultilevelNet().setup(A).aspreconditioner()
    shift = 0.2 * sparse.eye_array(A.n)
    x, res = deep_conjugate_direction(A.tocsr() - shift, b, model=M, full_output=True)
    assert res.status == 5
    assert np.isfinite(x).all()
