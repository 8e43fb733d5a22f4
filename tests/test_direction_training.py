"""Training of search directions: gradients of losses, progress, determinism, limits, refusals."""

from copy import copy

import numpy as np
import pytest

import refopt
from refopt import DCDMNet, PoissonGrid, train_direction_network
from refopt.deep_conjugate._loss import Descent, dcdm_loss, residual_loss
from refopt.problems import pressure_scene


@pytest.fixture(scope="module")
def room():
    return PoissonGrid(pressure_scene("room", 16))


@pytest.fixture(scope="module")
def cavity():
    return PoissonGrid(pressure_scene("smoke", 8))


@pytest.fixture(autouse=True)
def _compiled_kernels():
    with refopt.use_backend("numba"):  # grids are small enough for the reference, nets are not
        yield


def toy():
    return DCDMNet("64", channels=4, rng=0)


def assert_gradient(value, gradient, at):
    along = np.random.default_rng(1).standard_normal(at.size)
    h = 1e-6 * np.linalg.norm(at) / np.linalg.norm(along)
    difference = (value(at + h * along) - value(at - h * along)) / (2 * h)
    assert gradient @ along == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize("loss", [dcdm_loss, residual_loss])
def test_gradients_of_the_losses(loss, cavity):
    b, f = np.random.default_rng(0).standard_normal((2, cavity.n))
    f = f + 0.3 * b  # so that the line search is not along nothing
    assert_gradient(lambda f: loss(cavity, b, f)[0], loss(cavity, b, f)[1], f)


def test_the_papers_loss_is_what_a_line_search_leaves_whatever_the_scale(cavity):
    b, f = np.random.default_rng(0).standard_normal((2, cavity.n))
    g = cavity.matvec(f)
    left = b - (b @ f) / (f @ g) * g
    for scale in (1.0, -3.0, 1e6):
        assert dcdm_loss(cavity, b, scale * f)[0] == pytest.approx(left @ left, rel=1e-12)


def test_an_unrolled_step_is_worth_its_share_of_the_energy(cavity):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(cavity.n)
    energies, directions = [x @ cavity.matvec(x)], []
    run, found = Descent(cavity, x, 2), np.zeros(cavity.n)
    for _ in range(4):
        f = run.r + 0.3 * rng.standard_normal(cavity.n)
        value, gradient = copy(run).step(f)
        assert_gradient(lambda f: copy(run).step(f)[0], gradient, f)
        assert run.step(f)[0] == value
        d, g, c = run.window[-1]
        for kept in directions[-2:]:  # A-orthogonal to the last two
            assert abs(kept @ g) < 1e-10 * np.sqrt((kept @ cavity.matvec(kept)) * c)
        found = found + (d @ cavity.matvec(x - found)) / c * d
        directions.append(d)
        e = x - found
        energies.append(e @ cavity.matvec(e))
        assert value == pytest.approx(0.5 * np.log10(energies[-1] / energies[-2]), rel=1e-9)
        np.testing.assert_allclose(run.r, cavity.matvec(e), atol=1e-10)


def test_the_loss_of_a_toy_falls_by_two(room):
    res = train_direction_network(toy(), room, n_samples=200, lr=5e-3, rng=0)
    first, last = res.history["fun"][:5].mean(), res.history["fun"][-5:].mean()
    assert last < first / 2
    assert res.success and res.status == 0 and res.nit == 50
    assert res.nfev == 4 * 51
    np.testing.assert_array_equal(res.x, res.model.params)


@pytest.mark.parametrize("loss", ["dcdm", "residual", "unrolled"])
@pytest.mark.parametrize("data", ["ritz", "random", "replay"])
def test_every_loss_falls_on_every_kind_of_data(loss, data, cavity):
    res = train_direction_network(
        toy(), [cavity, cavity], loss=loss, data=data, n_samples=160, n_unroll=2, lr=5e-3, rng=0
    )
    fun = res.history["fun"]
    assert np.isfinite(fun).all()
    assert fun[-10:].mean() < fun[:10].mean()


def test_equal_seeds_give_equal_parameters(cavity):
    options = {"loss": "unrolled", "data": "replay", "n_samples": 12, "lr": 1e-2}
    one, two, other = (
        train_direction_network(toy(), cavity, rng=seed, **options).x for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_the_model_that_came_in_stays_as_it_was(cavity):
    net = toy()
    before = net.params.copy()
    res = train_direction_network(net, cavity, n_samples=8, lr=1e-2, rng=0)
    np.testing.assert_array_equal(net.params, before)
    assert not np.array_equal(res.x, before)


def test_validation_on_a_larger_grid_picks_the_parameters(cavity, room):
    seen = []
    res = train_direction_network(
        toy(), cavity, validation=room, n_samples=80, lr=5e-3, rng=0,
        callback=lambda intermediate_result: seen.append(intermediate_result),
    )  # fmt: skip
    validation = res.history["validation"]
    known = np.flatnonzero(~np.isnan(validation))
    assert known.size == 21 and known[0] == 0 and known[-1] == res.nit
    best = int(np.nanargmin(validation))
    np.testing.assert_array_equal(res.x, seen[best - 1].x if best else toy().params)
    assert validation[best] < validation[0]


def test_callback_and_clock_end_the_training(cavity):
    def stop(intermediate_result):
        if intermediate_result.nit == 3:
            raise StopIteration

    res = train_direction_network(toy(), cavity, n_samples=100, rng=0, callback=stop)
    assert (res.status, res.nit, res.success) == (2, 3, False)
    assert res.message.startswith("Stopped after 3 of 25 steps")
    res = train_direction_network(toy(), cavity, n_samples=10**6, rng=0, time_limit=0.0)
    assert res.status == 6 and res.nit <= 1
    res = train_direction_network(toy(), cavity, epochs=0, rng=0)
    assert res.nit == 0
    np.testing.assert_array_equal(res.x, toy().params)


def test_progress_is_printed_when_asked_for(cavity, capfd):
    train_direction_network(toy(), cavity, n_samples=8, rng=0)
    assert capfd.readouterr().out == ""
    train_direction_network(toy(), cavity, n_samples=8, rng=0, disp=True)
    assert len(capfd.readouterr().out.splitlines()) == 3


def test_a_multilevel_net_is_trained_by_differences_and_stays_stable(cavity):
    start = refopt.MultilevelNet(0.8 * refopt.MultilevelNet().params)
    res = train_direction_network(
        start, cavity, loss="unrolled", data="random", n_samples=20, n_unroll=3, lr=3e-2, rng=0
    )
    assert isinstance(res.model, refopt.MultilevelNet) and res.model.is_stable()
    assert res.x.shape == start.params.shape
    assert (res.x[start.params == 0] == 0).all()
    worth = res.history["fun"]
    assert worth[-2:].mean() < worth[:2].mean()


def test_bad_arguments_are_named(cavity):
    cases = [
        (TypeError, "model must be a DCDMNet or MultilevelNet", {"model": np.eye(3)}),
        (TypeError, "problems must be one PoissonGrid or several", {"problems": np.eye(3)}),
        (ValueError, "problems must be one PoissonGrid or several, got none", {"problems": []}),
        (TypeError, "validation must be one PoissonGrid", {"validation": [np.eye(3)]}),
        (ValueError, "loss must be one of", {"loss": "mse"}),
        (ValueError, "data must be one of", {"data": "images"}),
        (ValueError, "n_samples must be at least 1", {"n_samples": 0}),
        (ValueError, "batch_size must be at least 1", {"batch_size": 0}),
        (ValueError, "n_unroll must be at least 1", {"n_unroll": 0}),
        (ValueError, "lr must be positive", {"lr": -1.0}),
        (ValueError, "lr must be positive", {"lr": np.nan}),
        (ValueError, "time_limit must be nonnegative", {"time_limit": -1}),
        (TypeError, "rng must be", {"rng": "seed"}),
        (TypeError, "callback must be callable", {"callback": 3}),
    ]
    for error, message, options in cases:
        arguments = {"model": toy(), "problems": cavity, "n_samples": 4} | options
        with pytest.raises(error, match=message):
            train_direction_network(**arguments)
    alone = np.zeros((4, 4, 4), int)
    alone[0, 0, 0] = alone[2, 2, 2] = 1
    for cells, n in ((0 * alone, 0), (alone, 2)):
        with pytest.raises(ValueError, match=f"problems must have two fluid cells .* got {n}"):
            train_direction_network(toy(), PoissonGrid(cells))


@pytest.mark.parametrize("data", ["ritz", "random", "replay"])
@pytest.mark.parametrize("loss", ["dcdm", "unrolled"])
def test_cells_alone_and_parts_without_air_do_no_harm(loss, data):
    cells = pressure_scene("room", 8)
    cells[2:5, :, :] = 0
    cells[:, :, -1] = 0
    cells[3, 3, 3] = 1
    A = PoissonGrid(cells)
    assert (A.diagonal() == 0).sum() == 1
    res = train_direction_network(toy(), A, loss=loss, data=data, n_samples=40, lr=5e-3, rng=0)
    assert res.success and np.isfinite(res.history["fun"]).all()


def test_samples_without_a_loss_are_drawn_anew(cavity):
    # Runs of the solver end; of a batch of one nothing is left then.
    res = train_direction_network(
        toy(), cavity, loss="unrolled", data="replay", batch_size=1, n_unroll=20, n_samples=60,
        lr=5e-3, rng=0,
    )  # fmt: skip
    assert res.success and np.isfinite(res.history["fun"]).all()


@pytest.mark.parametrize("lr", [1e30, 1e300])
def test_training_that_diverges_says_so_and_keeps_finite_parameters(lr, cavity):
    res = train_direction_network(toy(), cavity, n_samples=40, lr=lr, rng=0)
    assert res.status == 4 and not res.success and res.nit < 10
    assert np.isfinite(res.x).all()
