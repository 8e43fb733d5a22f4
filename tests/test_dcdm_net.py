"""The paper's network: its layers, its derivatives, its files, what it refuses."""

import itertools
import json

import numpy as np
import pytest

from refopt import (
    DCDMNet,
    MultilevelNet,
    PoissonGrid,
    deep_conjugate_direction,
    load_model,
    poisson_rhs,
)
from refopt.deep_conjugate import train_models
from refopt.deep_conjugate._multilevel import HAND
from refopt.problems import pressure_scene, swirl_velocity
from refopt_backends import resolve

BACKENDS = ["numpy", "numba"]


def relu(x):
    return np.maximum(x, 0.0)


def loops(x, W, c):
    """W * x + c, cell by cell."""
    y = np.zeros((W.shape[0], *x.shape[1:]))
    extents = [range(n) for n in x.shape[1:]]
    for o, *v in itertools.product(range(W.shape[0]), *extents):
        y[o, *v] = c[o]
        for s in itertools.product(range(3), repeat=3):
            w = [a + b - 1 for a, b in zip(v, s, strict=True)]
            if all(0 <= a < n for a, n in zip(w, x.shape[1:], strict=True)):
                y[o, *v] += W[o, :, *s] @ x[:, *w]
    return y


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_convolution_is_the_sum_over_27_neighbours(backend, rng):
    x, W, c = (rng.standard_normal(s) for s in ((3, 4, 3, 5), (2, 3, 3, 3, 3), 2))
    _, kernels = resolve(x, backend=backend)
    expected = loops(x, W, c)
    y = kernels.conv3d_forward(x, W, c, False, None)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    y = kernels.conv3d_forward(x, W, c, True, expected)
    np.testing.assert_allclose(y, relu(expected) + expected, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("grid", [(1, 1, 1), (5, 2, 7), (6, 12, 60)])
def test_backward_convolutions_are_the_adjoints(backend, grid, rng):
    x, y, W = (rng.standard_normal(s) for s in ((3, *grid), (6, *grid), (6, 3, 3, 3, 3)))
    _, kernels = resolve(x, backend=backend)
    product = np.vdot(y, kernels.conv3d_forward(x, W, np.zeros(6), False, None))
    assert np.vdot(kernels.conv3d_backward_data(y, W), x) == pytest.approx(product, rel=1e-11)
    assert np.vdot(kernels.conv3d_backward_weights(x, y), W) == pytest.approx(product, rel=1e-11)
    fine = rng.standard_normal((3, *(2 * n for n in grid)))
    up = kernels.upsample2_add(x, np.zeros_like(fine))
    assert np.vdot(up, fine) == pytest.approx(8 * np.vdot(x, kernels.pool2(fine)), rel=1e-11)


@pytest.mark.parametrize("backend", BACKENDS)
def test_single_precision_convolution_loses_little(backend, rng):
    # Winograd's algorithm multiplies by numbers up to 8: less exact than the plain sum.
    x, W = rng.standard_normal((16, 8, 8, 8)), rng.standard_normal((16, 16, 3, 3, 3))
    _, kernels = resolve(x, backend=backend)
    exact = kernels.conv3d_forward(x, W, np.zeros(16), False, None)
    single = (a.astype(np.float32) for a in (x, W, np.zeros(16)))
    y = kernels.conv3d_forward(*single, False, None)
    assert y.dtype == np.float32
    assert np.abs(y - exact).max() < 3e-6 * np.abs(exact).max()


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_passes_through_a_convolution(backend):
    x = np.full((1, 3, 3, 3), np.nan)
    _, kernels = resolve(x, backend=backend)
    assert np.isnan(
        kernels.conv3d_forward(x, np.ones((2, 1, 3, 3, 3)), np.ones(2), True, None)
    ).all()


def layers(net):
    """The convolutions of a network in the order of use, and its last layer, from Box 5."""
    params, parts, at, ch = net.params, [], 0, net.channels
    inner = {"64": 14, "128": 20}[net.variant]
    for c in [1] + [ch] * inner:
        W = params[at : at + 27 * ch * c].reshape(ch, c, 3, 3, 3)
        at += W.size + ch
        parts.append((W, params[at - ch : at]))
    return parts, params[at:-1], params[-1]


@pytest.mark.parametrize("variant", ["64", "128"])
def test_forward_is_the_published_network(variant, rng):
    net = DCDMNet(variant, 2, rng=1)
    net = net.with_params(net.params.astype(float) + 0.05 * rng.standard_normal(net.n_params))
    convolutions, w, c = layers(net)
    queue = iter(convolutions)
    conv = lambda x: loops(x, *next(queue))
    r = rng.standard_normal((4, 2, 6))
    la = relu(conv(conv(r[None])))
    lb = relu(conv(la))
    for _ in range(1 if variant == "64" else 2):
        la = relu(conv(lb)) + la
        lb = relu(conv(la))
    p = lb.reshape(2, 2, 2, 1, 2, 3, 2).mean(axis=(2, 4, 6))
    for _ in range(3 if variant == "64" else 5):
        q = relu(conv(p))
        p = relu(conv(q)) + p
    v = p.repeat(2, axis=1).repeat(2, axis=2).repeat(2, axis=3) + lb
    for _ in range(2):
        q = relu(conv(v))
        v = relu(conv(q)) + v
    assert next(queue, None) is None
    np.testing.assert_allclose(net.forward(r), np.tensordot(w, v, 1) + c, atol=1e-12)


@pytest.mark.parametrize("variant", ["64", "128"])
def test_every_derivative_agrees_with_differences(variant, rng):
    net = DCDMNet(variant, 2, rng=1)
    params = net.params.astype(float) + 0.05 * rng.standard_normal(net.n_params)
    r, grad = rng.standard_normal((2, 4, 2, 4))
    value = lambda p: np.vdot(net.with_params(p).forward(r), grad)
    at = net.with_params(params)
    at.forward(r)
    derivatives = at.backward(grad)
    h = 1e-6
    # of every layer a weight and a bias, at random
    bounds = np.cumsum([0] + [W.size + b.size for W, b in layers(net)[0]] + [3])
    for first, last in itertools.pairwise(bounds):
        for j in (int(rng.integers(first, last)), last - 1):
            e = np.zeros(net.n_params)
            e[j] = h
            difference = (value(params + e) - value(params - e)) / (2 * h)
            assert derivatives[j] == pytest.approx(difference, rel=1e-6, abs=1e-8)
    along = rng.standard_normal(net.n_params)
    difference = (value(params + h * along) - value(params - h * along)) / (2 * h)
    assert derivatives @ along == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize(
    ("variant", "channels", "number"), [("64", 16, 97457), ("128", 16, 139025), ("64", 8, 24537)]
)
def test_numbers_of_parameters_are_the_published_ones(variant, channels, number):
    net = DCDMNet(variant, channels, rng=0)
    assert net.n_params == number == net.params.size
    assert net.params.dtype == np.float32


def test_files_keep_every_bit(tmp_path):
    net = DCDMNet("128", 4, rng=3)
    net.meta["problem"] = "a room"
    net.save(tmp_path / "net.npz")
    loaded = DCDMNet.load(tmp_path / "net.npz")
    assert loaded.params.tobytes() == net.params.tobytes()
    assert (loaded.variant, loaded.channels, loaded.meta) == ("128", 4, {"problem": "a room"})


def test_files_that_hold_something_else_are_refused(tmp_path):
    short = {"kind": "DCDMNet", "version": 1, "variant": "64", "channels": 2}
    files = {
        "x.npz": {"x": 1},
        "json.npz": {"params": np.ones(3), "meta": "{"},
        "list.npz": {"params": np.ones(3), "meta": "[1]"},
        "objects.npz": {"params": np.array([None]), "meta": "{}"},
        "later.npz": {"params": np.ones(3), "meta": json.dumps(short | {"version": 2})},
    }
    for name, held in files.items():
        np.savez(tmp_path / name, **held)
    MultilevelNet().save(tmp_path / "linear.npz")
    np.save(tmp_path / "array.npy", np.ones(3))
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("params")
    for path in tmp_path.iterdir():
        with pytest.raises(ValueError, match="file must hold a DCDMNet of version 1, got"):
            DCDMNet.load(path)
    with pytest.raises(FileNotFoundError):
        DCDMNet.load(tmp_path / "absent.npz")
    np.savez(tmp_path / "short.npz", params=np.ones(3), meta=json.dumps(short))
    with pytest.raises(ValueError, match="params must have 1599 entries, got 3"):
        DCDMNet.load(tmp_path / "short.npz")
    DCDMNet(channels=2, rng=0).save(tmp_path / "network.npz")
    with pytest.raises(ValueError, match="file must hold a MultilevelNet of"):
        MultilevelNet.load(tmp_path / "network.npz")


def test_one_seed_one_network():
    one, two, other = (DCDMNet(channels=2, rng=s).params for s in (1, np.random.default_rng(1), 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("shape", [(6, 4, 8), (5, 7, 3)])
def test_on_a_grid_the_direction_does_not_depend_on_the_residuals_length(shape, rng):
    A = PoissonGrid(np.ones(shape, int), outside="air")
    net = DCDMNet("64", 2, rng=0)
    f, r = net.setup(A), rng.standard_normal(A.n)
    d = f(r)
    assert d.shape == (A.n,)
    np.testing.assert_allclose(f(1e-30 * r), d, rtol=1e-4, atol=1e-5 * np.abs(d).max())
    even = np.zeros([n + n % 2 for n in shape])
    even[tuple(map(slice, shape))] = A.to_grid(r * np.sqrt(A.n) / np.linalg.norm(r))
    expected = net.forward(even)[tuple(map(slice, shape))].ravel()
    np.testing.assert_allclose(d, expected, atol=1e-6)
    np.testing.assert_array_equal(f(np.zeros(A.n)), f(np.zeros(A.n)))


def test_bad_arguments_are_named():
    cases = [
        (ValueError, "variant must be", {"variant": "256"}),
        (ValueError, "channels must be even, got 3", {"channels": 3}),
        (ValueError, "channels must be at least", {"channels": 0}),
        (TypeError, "channels must be an integer", {"channels": 2.5}),
        (ValueError, "params must have 1599 entries, got 3", {"channels": 2, "params": np.ones(3)}),
        (ValueError, "params must be finite", {"channels": 2, "params": np.full(1599, np.nan)}),
        (TypeError, "rng must be", {"rng": "seed"}),
    ]
    for error, message, options in cases:
        with pytest.raises(error, match=message):
            DCDMNet(**options)
    net = DCDMNet(channels=2, rng=0)
    with pytest.raises(ValueError, match=r"r must have even extents, got shape \(3, 4, 4\)"):
        net.forward(np.ones((3, 4, 4)))
    with pytest.raises(ValueError, match="r must be 3-dimensional"):
        net.forward(np.ones((4, 4)))
    with pytest.raises(ValueError, match="r must be finite"):
        net.forward(np.full((2, 2, 2), np.nan))
    with pytest.raises(ValueError, match="r must be 3-dimensional"):
        net.forward([1.0, 2.0])
    with pytest.raises(RuntimeError, match="backward must be called after forward"):
        net.backward(np.ones((4, 4, 4)))
    net.forward(np.ones((4, 4, 4)))
    with pytest.raises(ValueError, match=r"grad must have shape \(4, 4, 4\), got \(2, 2, 2\)"):
        net.backward(np.ones((2, 2, 2)))
    net.forward(np.ones((4, 4, 4)))
    with pytest.raises(TypeError, match="grad must be real"):
        net.backward(np.ones((4, 4, 4), complex))
    with pytest.raises(TypeError, match="A must be a PoissonGrid"):
        net.setup(np.eye(3))
    with pytest.raises(ValueError, match="A must have 3 dimensions"):
        net.setup(PoissonGrid(np.ones((4, 4), int)))


def test_the_direction_is_the_same_on_every_backend(rng):
    from refopt import use_backend

    A = PoissonGrid(pressure_scene("smoke", 12))
    net, r = DCDMNet(channels=4, rng=0), rng.standard_normal(A.n)
    found = []
    for backend in BACKENDS:
        with use_backend(backend):
            found.append(net.setup(A)(r))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5 * np.abs(found[0]).max())


@pytest.mark.parametrize(("kind", "share"), [("room", 1 / 3), ("smoke", 1 / 2)])
def test_the_trained_network_saves_iterations_on_its_own_matrix_and_on_unseen_obstacles(
    kind, share
):
    cells = pressure_scene(kind, 32, seed=5)  # of smoke it saw seeds from 100 on
    A, b = PoissonGrid(cells), poisson_rhs(cells, swirl_velocity(32, seed=6))
    options = {"rtol": 1e-4, "full_output": True}
    plain = deep_conjugate_direction(A, b, **options)[1]
    net = load_model("dcdm-cnn-8ch")
    learned = deep_conjugate_direction(A, b, model=net, n_orth=4, **options)[1]
    assert plain.success and learned.success
    assert learned.nit <= share * plain.nit
    assert "room" in net.meta["problems"][0]


def test_the_script_that_trains_the_models_writes_both_twice_the_same(tmp_path, capsys):
    for run in ("one", "two"):
        train_models.main(
            ["--out", str(tmp_path / run), "--steps", "2", "--extent", "12", "--evaluations", "12"]
        )
    for name, load in (("dcdm-cnn-8ch", DCDMNet.load), ("poisson-multilevel", MultilevelNet.load)):
        one, two = (load(tmp_path / run / f"{name}.npz").params for run in ("one", "two"))
        assert one.tobytes() == two.tobytes()
        assert one.size == load_model(name).params.size
    assert not np.array_equal(one, np.round(HAND, 4))


def useless(net):
    """Networks that are wrong in every way that a file could be, and one that is not trained."""
    params = net.params
    return {
        "untrained": DCDMNet(channels=8, rng=4),
        "sign flipped": net.with_params(np.concatenate([params[:-9], -params[-9:]])),
        "all signs flipped": net.with_params(-params),
        "zero": net.with_params(0 * params),
        "constant": net.with_params(np.concatenate([0 * params[:-1], [1.0]])),
        "shuffled": net.with_params(np.random.default_rng(0).permutation(params)),
        "overflowing": net.with_params(1e30 * params.astype(float)),
        "nan": lambda r: np.full(r.size, np.nan),
    }


@pytest.mark.parametrize("name", useless(load_model("dcdm-cnn-8ch")))
@pytest.mark.parametrize("kind", ["smoke", "porous"])
def test_no_network_costs_iterations(name, kind):
    cells = pressure_scene(kind, 16, seed=5)
    A, b = PoissonGrid(cells), poisson_rhs(cells, swirl_velocity(16, seed=6))
    options = {"rtol": 1e-6, "full_output": True}
    plain = deep_conjugate_direction(A, b, **options)[1].nit
    model = useless(load_model("dcdm-cnn-8ch"))[name]
    for n_orth in (2, 4):
        x, res = deep_conjugate_direction(A, b, model, n_orth=n_orth, **options)
        assert res.success and np.linalg.norm(b - A.matvec(x)) <= 1e-6 * np.linalg.norm(b)
        assert res.nit <= plain + 10
        if name == "sign flipped":  # the line search does not mind
            assert res.nit < plain / 2
