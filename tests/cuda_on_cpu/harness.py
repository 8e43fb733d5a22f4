"""``import cupy`` without CuPy: the stand-in takes its place inside a ``with``."""

import importlib.util
import re
import sys
from contextlib import contextmanager
from pathlib import Path

import refopt_backends
from cuda_on_cpu import compiler
from refopt_backends._spec import KERNELS

HERE = Path(__file__).parent
FOLDER = Path(refopt_backends.__file__).parent / "cupy_gpu"


def families():
    """The families that have CUDA kernels."""
    return sorted(f for f in {k.family for k in KERNELS.values()} if files(f))


def files(family=None):
    """Names of the ``.cu`` files of a family, `family` itself and `family`_something; of all."""
    names = sorted(file.name for file in FOLDER.glob("*.cu"))
    return [n for n in names if family is None or re.match(rf"{family}[._]", n)]


def source(file):
    """The text of a ``.cu`` file as it is compiled."""
    from refopt_backends.cupy_gpu._launch import source

    return source(FOLDER / file)


def unavailable():
    """Why the harness cannot run on this machine, or an empty text."""
    return "" if compiler.GXX else "no g++ on this machine"


@contextmanager
def stand_in(folder):
    """Put the stand-in in CuPy's place; compiled kernels live in `folder`.

    The CUDA backend is imported afresh inside and forgotten afterwards, so that
    neither a real CuPy nor the stand-in is seen on the wrong side.
    """
    cupy, cupyx = _load("cupy"), _load("cupyx")
    cupy._folder = Path(folder)
    before = _forget()
    sys.modules |= {"cupy": cupy}
    parts = ("", ".scipy", ".scipy.fft", ".scipy.linalg", ".scipy.sparse", ".scipy.sparse.linalg")
    sys.modules |= dict.fromkeys((f"cupyx{part}" for part in parts), cupyx)
    try:
        yield cupy
    finally:
        _forget()
        sys.modules.update(before)


def _load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}_stand_in.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _forget():
    """Take CuPy, and whatever holds a reference to it, out of sight."""
    from refopt_backends import _select

    _select._tables.pop("cupy", None)
    held = ("cupy", "cupyx", "refopt_backends.cupy_gpu")
    names = [n for n in sys.modules if n in held or n.startswith(tuple(h + "." for h in held))]
    return {name: sys.modules.pop(name) for name in names}
