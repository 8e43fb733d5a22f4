"""From arrays to kernels: `resolve`, `use_backend`, tables, backends of others."""

import asyncio
import copy
import pickle
import sys
import textwrap
import threading
from types import MappingProxyType, ModuleType, SimpleNamespace

import array_api_strict
import numpy as np
import pytest

import fresh_python
from refopt_backends import (
    _home,
    _select,
    _spec,
    available_backends,
    register_backend,
    resolve,
    testing,
    use_backend,
)
from refopt_backends._spec import KERNELS, Kernel

x = np.ones(3)


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    """Whatever a test registers is gone after it."""
    for module, name in ((_home, "_homes"), (_select, "_tables"), (_select, "_registered")):
        monkeypatch.setattr(module, name, dict(getattr(module, name)))


@pytest.fixture
def demo(monkeypatch):
    """A family of three kernels: Numba has one of them, and one hands on an object."""

    def row_sums(A):
        return A.__array_namespace__().sum(A, axis=1)

    def keep(A, threshold):
        xp, kept = A.__array_namespace__(), A > threshold
        count = int(xp.sum(xp.astype(kept, xp.int64)))
        return SimpleNamespace(nnz=count, dense=xp.where(kept, A, xp.zeros_like(A)))

    def to_dense(kept):
        return kept.dense

    def fast_row_sums(A):
        return A @ np.ones(A.shape[1])

    def cases(xp, rng):
        A = xp.asarray(rng.random((5, 4)))
        yield testing.Case("row_sums", lambda kernels: (A,))
        yield testing.Case("keep", lambda kernels: (A, 0.5), lambda kernels, r: (r.nnz,))
        yield testing.Case("to_dense", lambda kernels: (kernels.keep(A, 0.5),))

    names = ("row_sums", "keep", "to_dense")
    table = MappingProxyType({n: Kernel(n, "demo", "", "") for n in names})
    for module in (_select, testing):
        monkeypatch.setattr(module, "KERNELS", table)
    _select._tables.clear()
    modules = {
        "reference": {"row_sums": row_sums, "keep": keep, "to_dense": to_dense},
        "numba_cpu": {"row_sums": fast_row_sums},
        "cases": {"cases": cases},
    }
    for folder, functions in modules.items():
        module = ModuleType(f"refopt_backends.{folder}.demo")
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return SimpleNamespace(row_sums=row_sums, keep=keep, fast_row_sums=fast_row_sums)


@pytest.fixture
def cupy(monkeypatch):
    """A library of the name cupy with an array type and nothing else."""
    library = ModuleType("cupy")
    library.ndarray = type("ndarray", (), {"__module__": "cupy"})
    monkeypatch.setitem(sys.modules, "cupy", library)
    _select._tables.pop("cupy", None)
    return library


# The choice


def test_numpy_arrays_run_on_numba_and_small_ones_on_the_reference():
    assert resolve(x, x)[0] is np
    assert resolve(x, x)[1].name == "numba"
    assert resolve(x, small=True)[1].name == "numpy"


def test_size_decides_nothing_once_a_backend_is_named():
    assert resolve(x, backend="numba", small=True)[1].name == "numba"
    with use_backend("numba"):
        assert resolve(x, small=True)[1].name == "numba"


def test_any_other_array_library_runs_on_the_reference():
    xp, kernels = resolve(array_api_strict.asarray([1.0]), None)
    assert xp is array_api_strict
    assert kernels.name == "reference"


def test_cupy_arrays_run_on_cupy_without_array_api_compat(cupy, monkeypatch):
    monkeypatch.setitem(sys.modules, "array_api_compat", None)
    xp, kernels = resolve(cupy.ndarray(), None, cupy.ndarray(), small=True)
    assert xp is cupy
    assert kernels.name == "cupy"


@pytest.mark.parametrize("value", [1, 2.5, True, [1.0, 2.0], (1,), np.float32(2), None])
def test_numbers_and_lists_count_as_numpy(value):
    assert resolve(value, x)[0] is np
    assert resolve(value)[1].name == "numba"


def test_explicit_goes_before_with_and_with_before_the_arrays():
    with use_backend("numpy"):
        assert resolve(x)[1].name == "numpy"
        with use_backend("reference"):
            assert resolve(x)[1].name == "reference"
            assert resolve(x, backend="numba")[1].name == "numba"
        assert resolve(x)[1].name == "numpy"
    assert resolve(x)[1].name == "numba"


def test_the_former_choice_returns_after_an_error():
    with pytest.raises(ZeroDivisionError), use_backend("numpy"):
        1 / 0  # noqa: B018
    assert resolve(x)[1].name == "numba"


def test_a_choice_holds_for_its_own_thread():
    seen = {}

    def look(name):
        seen[name] = resolve(x)[1].name

    def work():
        look("before")
        with use_backend("reference"):
            look("inside")

    with use_backend("numpy"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        look("here")
    assert seen == {"before": "numba", "inside": "reference", "here": "numpy"}


def test_a_choice_holds_for_its_own_task():
    async def task(name):
        with use_backend(name):
            await asyncio.sleep(0)  # the other task runs here, inside its own block
            return resolve(x)[1].name

    async def both():
        return await asyncio.gather(task("numpy"), task("reference"))

    assert asyncio.run(both()) == ["numpy", "reference"]


# What is refused


@pytest.mark.parametrize("name", ["nope", "", 3, ["numpy"]])
def test_an_unknown_backend_is_a_value_error(name):
    with pytest.raises(ValueError, match="backend must be"):
        resolve(x, backend=name)
    with pytest.raises(ValueError, match="backend must be"), use_backend(name):
        pass


def test_the_message_lists_the_known_backends():
    register_backend("mine", dict)
    with pytest.raises(ValueError, match=r"'numpy', 'numba', 'cupy', 'reference', 'mine'.*'nope'"):
        resolve(backend="nope")


def test_cupy_that_is_not_installed_is_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    _select._tables.pop("cupy", None)
    with pytest.raises(ImportError, match=r"pip install 'refopt\[cuda12\]'"):
        resolve(x, backend="cupy")
    assert "cupy" not in available_backends()


def test_host_arrays_on_the_device_backend_name_the_argument_and_the_call(cupy):
    with pytest.raises(TypeError, match=r"got C \(numpy\), b \(numpy\); .*cupy\.asarray\(x\)"):
        resolve(x, None, x, backend="cupy", names=("C", "a", "b"))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_device_arrays_on_a_host_backend_name_the_call(cupy, backend):
    with pytest.raises(TypeError, match=r"argument 1 \(cupy\); .*cupy\.asnumpy\(x\)"):
        resolve(cupy.ndarray(), backend=backend)


def test_the_reference_takes_any_library(cupy):
    assert resolve(cupy.ndarray(), backend="reference")[0] is cupy


def test_arrays_of_two_libraries_are_refused(cupy):
    match = r"C \(cupy\), a \(numpy\).*cupy\.asarray"
    with pytest.raises(TypeError, match=match):
        resolve(cupy.ndarray(), x, names=("C", "a"))
    with pytest.raises(TypeError, match=r"argument 1 \(numpy\), argument 3 \(array_api_strict\)"):
        resolve(x, None, array_api_strict.asarray([1.0]), backend="reference")


def test_masked_entries_are_refused_and_a_trivial_mask_is_not():
    assert resolve(np.ma.array([1.0, 2.0]))[0] is np
    for _ in range(2):  # the type seen before does not let the next one through
        with pytest.raises(TypeError, match="argument 1 is a masked array"):
            resolve(np.ma.array([1.0, 2.0], mask=[True, False]))


def test_a_subclass_of_the_numpy_array_is_no_numpy_array():
    class Metres(np.ndarray):
        pass

    with pytest.raises(TypeError, match=r"Metres, a subclass .* numpy\.asarray"):
        resolve(x.view(Metres))


def test_numpys_own_subclasses_are_numpy(tmp_path):
    stored = np.memmap(tmp_path / "data", dtype=float, mode="w+", shape=(3,))
    assert resolve(stored)[0] is np


@pytest.mark.parametrize("value", ["text", {"a": 1}, object()])
def test_what_is_no_array_is_named(value):
    with pytest.raises(TypeError, match=rf"cost must be an array.*{type(value).__name__}"):
        resolve(value, names=("cost",))


# Tables


def test_kernels_come_from_the_backend_and_else_from_the_reference(demo):
    numba = resolve(backend="numba")[1]
    assert numba.row_sums is demo.fast_row_sums
    assert numba.keep is demo.keep
    assert resolve(backend="numpy")[1].row_sums is demo.row_sums


def test_a_backend_may_lack_a_whole_family(demo, cupy):
    assert resolve(backend="cupy")[1].keep is demo.keep


def test_an_import_error_inside_a_backends_module_is_not_hidden(demo, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "refopt_backends.numba_cpu.demo")
    import refopt_backends.numba_cpu

    (tmp_path / "demo.py").write_text("import no_such_library_anywhere")
    monkeypatch.setattr(refopt_backends.numba_cpu, "__path__", [str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="no_such_library_anywhere"):
        _ = resolve(backend="numba")[1].row_sums


def test_a_table_cannot_be_changed(demo):
    table = resolve(backend="numpy")[1]
    with pytest.raises(AttributeError, match="cannot be changed"):
        table.row_sums = None
    with pytest.raises(AttributeError, match="cannot be changed"):
        del table.name


def test_an_unknown_kernel_is_an_attribute_error(demo):
    table = resolve(backend="numpy")[1]
    with pytest.raises(AttributeError, match="no kernel is called 'row_sum'"):
        _ = table.row_sum
    assert not hasattr(table, "__array_namespace__")


@pytest.mark.parametrize("name", ["numpy", "numba", "reference"])
def test_there_is_one_table_per_backend_and_pickling_keeps_it(name):
    table = resolve(backend=name)[1]
    assert resolve(backend=name)[1] is table
    assert pickle.loads(pickle.dumps(table)) is table
    assert copy.deepcopy(table) is table


def test_a_table_shows_its_name_and_lists_its_kernels(demo):
    table = resolve(backend="numpy")[1]
    assert repr(table) == "<KernelTable 'numpy': row_sums, keep, to_dense>"
    assert {"name", "row_sums", "keep", "to_dense"} <= set(dir(table))


def test_every_listed_kernel_is_in_the_reference_under_its_own_name():
    table = resolve(backend="reference")[1]
    for name, kernel in KERNELS.items():
        assert kernel.name == name
        assert getattr(table, name).__module__.endswith(f"reference.{kernel.family}")
        assert kernel.signature
        assert kernel.meaning


def test_two_kernels_of_one_name_are_refused():
    one = Kernel("k", "f", "", "")
    with pytest.raises(ValueError, match="unique"):
        _spec._indexed(one, Kernel("k", "g", "", ""))


# Backends of others


class Mine:
    """A backend as an object, with one kernel of its own."""

    @staticmethod
    def row_sums(A):
        return A.sum(axis=1) + 0.0


@pytest.mark.parametrize("source", [Mine, Mine(), {"row_sums": Mine.row_sums}])
def test_a_registered_backend_may_be_any_object_or_a_mapping(demo, source):
    calls = []
    register_backend("mine", lambda: calls.append(1) or source)
    assert calls == []  # only at the first use
    xp, kernels = resolve(x, backend="mine")
    assert xp is np
    assert kernels.name == "mine"
    assert kernels.row_sums is Mine.row_sums
    assert kernels.keep is demo.keep
    with use_backend("mine"):
        assert resolve(x)[1] is kernels
    assert calls == [1]
    assert "mine" in available_backends()


def test_a_backend_that_declares_its_namespace_takes_no_other_arrays():
    register_backend("strict", lambda: SimpleNamespace(xp=array_api_strict))
    assert resolve(array_api_strict.asarray([1.0]), backend="strict")[0] is array_api_strict
    with pytest.raises(TypeError, match=r"argument 1 \(numpy\); convert .* array_api_strict"):
        resolve(x, backend="strict")


def test_registering_again_replaces_the_factory():
    register_backend("mine", lambda: SimpleNamespace(xp=np))
    first = resolve(backend="mine")[1]
    register_backend("mine", dict)
    assert resolve(backend="mine")[1] is not first


@pytest.mark.parametrize("name", ["numpy", "cupy", "reference", "", None])
def test_names_of_our_own_cannot_be_taken(name):
    with pytest.raises(ValueError, match="name must be"):
        register_backend(name, dict)


def test_a_factory_must_be_callable():
    with pytest.raises(TypeError, match="factory must be callable"):
        register_backend("mine", {"row_sums": Mine.row_sums})


def test_a_backend_is_found_through_its_entry_point(demo, tmp_path, monkeypatch):
    (tmp_path / "installed_backend.py").write_text(
        textwrap.dedent("""
        import types

        def factory():
            return types.SimpleNamespace(row_sums=row_sums)

        def row_sums(A):
            return A.sum(axis=1)
        """)
    )
    info = tmp_path / "installed_backend-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-backend\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[refopt.backends]\ninstalled = installed_backend:factory\nnumpy = installed_backend:none\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "installed_backend", raising=False)

    assert "installed" in available_backends()
    assert "installed_backend" not in sys.modules  # looking is not loading
    kernels = resolve(x, backend="installed")[1]
    assert kernels.row_sums is sys.modules["installed_backend"].row_sums
    assert kernels.keep is demo.keep
    assert resolve(backend="numpy")[1].row_sums is demo.row_sums  # ours are not overridden
    assert len(testing.conformance("installed")) == 3
    monkeypatch.delitem(sys.modules, "installed_backend")


# Conformance


def test_conformance_reports_every_case(demo):
    found = testing.conformance("numba")
    assert [r.kernel for r in found] == ["row_sums", "keep", "to_dense"]
    assert [r.inherited for r in found] == [False, True, True]
    assert all(r.difference <= 1e-10 for r in found)


def test_conformance_runs_on_another_namespace(demo):
    found = testing.conformance("reference", xp=array_api_strict)
    assert len(found) == 3


def _rows_off(A):
    return A.sum(axis=1) * (1 + 1e-9)


def _rows_float32(A):
    return A.sum(axis=1).astype("f4")


def _rows_as_column(A):
    return A.sum(axis=1)[:, None]


def _rows_nan(A):
    return A.sum(axis=1) * np.nan


def _rows_in_place(A):
    sums = A.sum(axis=1)
    A[0, 0] = 0
    return sums


def _rows_raise(A):
    raise RuntimeError("out of luck")


def _rows_nothing(A):
    return None


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (_rows_off, "result differs by 1.0e-09"),
        (_rows_float32, "dtype float32, not float64"),
        (_rows_as_column, r"shape \(5, 1\), not \(5,\)"),
        (_rows_nan, "differs in NaN"),
        (_rows_in_place, "argument 1 was written to"),
        (_rows_raise, "RuntimeError: out of luck"),
        (_rows_nothing, "must be an array"),
    ],
)
def test_conformance_names_what_is_wrong(demo, kernel, message):
    register_backend("wrong", lambda: {"row_sums": kernel})
    with pytest.raises(AssertionError, match=rf"(?s)row_sums, case 0: .*{message}"):
        testing.conformance("wrong")


def test_conformance_compares_opaque_results_through_their_view(demo):
    def keep(A, threshold):
        return SimpleNamespace(nnz=0, dense=A * (threshold < A))

    register_backend("wrong", lambda: {"keep": keep})
    with pytest.raises(AssertionError, match=r"keep, case 1: .*result\[0\] differs"):
        testing.conformance("wrong")


def test_conformance_asks_for_an_example_of_every_kernel(demo, monkeypatch):
    more = dict(_select.KERNELS) | {"new": Kernel("new", "demo", "", "")}
    monkeypatch.setattr(testing, "KERNELS", more)
    with pytest.raises(AssertionError, match=r"new: no example in cases/demo\.py"):
        testing.conformance("numpy")


# Lightness


def test_importing_and_choosing_loads_no_array_library():
    out = fresh_python.run(
        """
        import sys, refopt_backends as rb, numpy as np
        rb.resolve(np.ones(3)), rb.resolve(np.ones(3), backend="numba"), rb.available_backends()
        print([m for m in ("numba", "cupy", "scipy", "array_api_compat") if m in sys.modules])
        """.replace("\n        ", "\n")
    )
    assert out.strip() == "[]"
