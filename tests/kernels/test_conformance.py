"""Every kernel of every backend against the readable reference, ours and a third party's."""

import importlib.util
import sys
import textwrap

import array_api_strict
import numpy as np
import pytest

import entropic
from refopt import available_backends, sinkhorn, sinkhorn_newton, use_backend
from refopt_backends import _select, testing
from refopt_backends._spec import KERNELS


def device_missing():
    """Why the CuPy kernels cannot run here, or nothing."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    import cupy

    try:
        return "" if cupy.cuda.runtime.getDeviceCount() else "no CUDA device"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no CUDA device: {error}"


def test_every_kernel_has_a_case():
    assert {a.kernel for a in testing.conformance("numpy")} == set(KERNELS)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_numba(seed):
    found = testing.conformance("numba", seed=seed)
    own = {a.kernel for a in found if not a.inherited}
    assert {"semidual_pass", "plan_marginals", "select_entries", "newton_cg"} <= own


def test_numba_with_its_parallel_kernels(monkeypatch):
    # The examples are small: alone they would run the serial twins only.
    from refopt_backends.numba_cpu import _jit

    numba = pytest.importorskip("numba")
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("Numba was started with one thread")
    before = numba.get_num_threads()
    parallel = []
    run = _jit.run_parallel

    monkeypatch.setattr(_jit, "PARALLEL_FROM", 1)
    for name in ("transport", "_transport_rows", "_transport_sparse", "convolution"):
        module = sys.modules[f"refopt_backends.numba_cpu.{name}"]
        if hasattr(module, "run_parallel"):
            monkeypatch.setattr(
                module,
                "run_parallel",
                lambda work, first, *rest: parallel.append(first) or run(work, first, *rest),
            )
    numba.set_num_threads(2)
    try:
        testing.conformance("numba")
    finally:
        numba.set_num_threads(before)
    assert len(set(parallel)) >= 4


@pytest.mark.parametrize("xp", [np, array_api_strict], ids=["numpy", "strict"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_reference_keeps_to_the_array_api_standard(xp, seed):
    found = testing.conformance("reference", xp=xp, seed=seed)
    assert all(a.inherited for a in found)
    # The multilevel network is float32 throughout, and held to its cases' own tolerance.
    double = [a.difference for a in found if not a.kernel.startswith("vcycle")]
    assert max(double) <= 1e-10


@pytest.mark.gpu
@pytest.mark.skipif(bool(device_missing()), reason=device_missing() or "there is one")
def test_cupy():
    found = testing.conformance("cupy")
    assert not all(a.inherited for a in found)


# A third party's backend


PACKAGE = textwrap.dedent("""
    '''A backend of about twenty lines: two passes by scipy.special, the rest inherited.'''

    import types

    import numpy as np
    from scipy.special import logsumexp

    calls = []


    def factory():
        return types.SimpleNamespace(
            xp=np, semidual_pass=semidual_pass, column_potential=column_potential
        )


    def matrix(cost):
        if len(cost) == 1:
            return cost[0].astype(float)
        X, Y, metric, scale = cost
        D = X[:, None, :] - Y[None, :, :]
        D = abs(D).sum(-1) if metric == 2 else (D * D).sum(-1)
        return scale * (np.sqrt(D) if metric == 1 else D)


    def semidual_pass(cost, g, a, reg, f_guess=None):
        calls.append("semidual_pass")
        Z = (g - matrix(cost)) / reg
        lse = logsumexp(Z, axis=1)
        return reg * (np.log(a) - lse), a @ np.exp(Z - lse[:, None])


    def column_potential(cost, f, b, reg):
        return reg * (np.log(b) - logsumexp((f[:, None] - matrix(cost)) / reg, axis=0))
""")


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """A distribution on the path that declares the backend "scipy" as its entry point."""
    (tmp_path / "scipy_backend.py").write_text(PACKAGE)
    info = tmp_path / "scipy_backend-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scipy-backend\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[refopt.backends]\nscipy = scipy_backend:factory\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_select, "_tables", dict(_select._tables))
    yield
    sys.modules.pop("scipy_backend", None)


def test_a_third_partys_backend_passes_conformance(third_party):
    found = testing.conformance("scipy")
    own = {a.kernel for a in found if not a.inherited}
    assert own == {"semidual_pass", "column_potential"}


def test_a_third_partys_backend_solves(third_party):
    assert "scipy" in available_backends()
    assert "scipy_backend" not in sys.modules  # loaded at its first use
    rng = np.random.default_rng(0)
    C, a, b = rng.random((90, 80)), rng.dirichlet(np.ones(90)), rng.dirichlet(np.ones(80))
    for solver in (sinkhorn, sinkhorn_newton):
        res = solver(C, a, b, reg=0.05, backend="scipy")
        assert res.backend == "scipy"
        entropic.assert_solved(res, C, a, b, 0.05)
        expected = solver(C, a, b, reg=0.05, backend="numpy")
        np.testing.assert_allclose(res.f, expected.f, rtol=0, atol=1e-8)
    passes = sys.modules["scipy_backend"].calls
    assert len(passes) >= 10
    with use_backend("scipy"):
        assert sinkhorn(C, reg=0.05).backend == "scipy"
    assert sinkhorn(C, reg=0.05).backend == "numba"
