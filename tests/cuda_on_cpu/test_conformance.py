"""Every CUDA kernel that ships, and what CuPy's arrays get without one, against the reference."""

import pytest

from cuda_on_cpu import harness
from refopt_backends._spec import KERNELS


@pytest.mark.parametrize("family", sorted({k.family for k in KERNELS.values()}))
def test_kernels_agree_with_the_reference(cupy, family):
    from refopt_backends.testing import conformance

    agreements = conformance("cupy", families=[family])
    has_own = (harness.FOLDER / f"{family}.py").exists()
    assert all(a.inherited for a in agreements) != has_own


def test_cycles_do_not_depend_on_how_many_levels_one_block_takes(cupy, monkeypatch):
    from refopt_backends.cupy_gpu import _vcycle_levels
    from refopt_backends.testing import conformance

    for nodes in (0, 300):
        monkeypatch.setattr(_vcycle_levels, "BOTTOM", nodes)
        conformance("cupy", families=["vcycle"])


def test_agreement_does_not_depend_on_how_the_work_is_cut(cupy, monkeypatch):
    # Few blocks, so that each warp takes several rows, and blocks of the plan of
    # a row or two: what only large problems reach otherwise.
    from refopt_backends.cupy_gpu import _shapes, transport
    from refopt_backends.testing import conformance

    monkeypatch.setattr(_shapes, "BUSY", 1)
    monkeypatch.setattr(_shapes, "BLOCK_ENTRIES", 100)
    monkeypatch.setattr(transport, "STAGED_DIMENSIONS", 0)
    conformance("cupy", families=["transport"])
