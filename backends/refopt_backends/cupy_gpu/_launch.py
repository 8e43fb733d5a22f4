"""The one way from Python to a CUDA kernel.

A ``.cu`` file writes ``REAL`` for the floating type and declares
``extern "C" __global__ void name(...)``; a file of this folder that it includes
is pasted in, because CuPy does not notice when an included file changes.  That
declaration is the kernel's signature: it is read here, so that a Python float
never reaches a four-byte parameter nor a host array a pointer.

Of CuPy only ``ndarray``, ``RawModule(code=, options=)``, ``get_function`` and
the call of that function are used, and of an array its ``dtype``, ``size``,
``flags.c_contiguous`` and ``device`` (with an ``id``, usable in ``with``).
"""

import operator
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

_FOLDER = Path(__file__).parent
_C_NAME = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
_C_TYPES = (
    {"float": "f4", "double": "f8", "int": "i4", "long long": "i8", "bool": "?"}
    | {"unsigned int": "u4", "unsigned long long": "u8"}
    | {"signed char": "i1", "unsigned char": "u1"}
)


class _Parameter(NamedTuple):
    name: str
    type: str  # as in C, "REAL" included
    pointer: bool
    written: bool


def launch(file, name, grid, block, args, *, real, shared_mem=0):
    """Launch one CUDA kernel on the current stream of its arrays' device.

    Parameters
    ----------
    file : str or path
        The ``.cu`` file; a relative path starts in this folder.
    name : str
        The kernel.  Its parameters are ``REAL``, ``float``, ``double``,
        ``int``, ``long long``, their ``unsigned`` forms, ``signed char``,
        ``unsigned char``, ``bool``, and pointers to these; a pointer to
        ``const`` is only read.
    grid, block : int or tuple of int
        Number of blocks, threads in a block.
    args : tuple
        One entry per parameter: for a pointer a C-contiguous CuPy array of
        exactly the declared type; for a value a Python or NumPy number, which
        is cast (an integer parameter takes integers only).
    real : dtype
        What ``REAL`` stands for, ``float32`` or ``float64``.
    shared_mem : int, optional
        Dynamic shared memory of a block, in bytes.

    Raises
    ------
    TypeError, ValueError
        An argument is not what the declaration says (the message names it),
        or the arrays live on different devices.

    Notes
    -----
    Nothing is launched when `grid` has a zero or all written arrays are empty.
    An empty array that is only read does not stop the launch: the result of
    an empty sparse matrix still has to be set to zero.

    Examples
    --------
    For ``extern "C" __global__ void scale(REAL* x, REAL t, int n)``::

        launch("demo.cu", "scale", -(-n // 128), 128, (x, 0.5, n), real=x.dtype)
    """
    import cupy

    path, real = _FOLDER / file, np.dtype(real)
    if real not in _C_NAME:
        raise TypeError(f"real must be float32 or float64, got {real}")
    parameters = _declarations(path).get(name)
    if parameters is None:
        raise ValueError(f"{path.name} declares no kernel {name!r}")
    if len(args) != len(parameters):
        raise TypeError(f"{name} takes {len(parameters)} arguments, got {len(args)}")
    pairs = list(zip(parameters, args, strict=True))
    args = tuple(_checked(cupy.ndarray, name, p, arg, real) for p, arg in pairs)
    devices = {p.name: arg.device for p, arg in pairs if p.pointer}
    if len({d.id for d in devices.values()}) != 1:
        raise ValueError(f"arrays of {name} must be on one device, got {devices}")
    grid, block = (x if isinstance(x, tuple) else (operator.index(x),) for x in (grid, block))
    if 0 in grid or not any(arg.size for p, arg in pairs if p.written):
        return
    device = next(iter(devices.values()))
    with device:
        function = _module(cupy, path, real, device.id).get_function(name)
        function(grid, block, args, shared_mem=shared_mem)


@cache
def _module(cupy, path, real, device):  # one per device, and per CuPy or its stand-in
    return cupy.RawModule(code=source(path), options=(f"-DREAL={_C_NAME[real]}",))


def source(path):
    """The text of a ``.cu`` file, with what it includes pasted in."""
    include = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)
    return include.sub(lambda match: (path.parent / match[1]).read_text(), path.read_text())


def _checked(ndarray, kernel, p, arg, real):
    """`arg` as it is passed on, or an error that names it."""
    where = f"argument {p.name!r} of {kernel}"
    dtype = real if p.type == "REAL" else np.dtype(_C_TYPES[p.type])
    if p.pointer:
        if not isinstance(arg, ndarray):
            raise TypeError(f"{where} must be a CuPy array, got {type(arg).__name__}")
        if arg.dtype != dtype:
            raise TypeError(f"{where} must have dtype {dtype}, got {arg.dtype}")
        if not arg.flags.c_contiguous:
            raise ValueError(f"{where} must be C-contiguous")
        return arg
    if not isinstance(arg, int | float | np.integer | np.floating | np.bool_):
        raise TypeError(f"{where} must be a host number, got {type(arg).__name__}")
    if dtype.kind in "iu" and not isinstance(arg, int | np.integer):
        raise TypeError(f"{where} must be an integer, got {arg!r}")
    return dtype.type(int(arg) if dtype.kind in "iu" else arg)  # int: overflow is an error


@cache
def _declarations(path):
    """Kernel name -> parameters, as the file at `path` declares them."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", path.read_text(), flags=re.DOTALL)
    heads = re.findall(r"__global__\b[^;{}]*?(\w+)\s*\(([^()]*)\)\s*\{", text)
    return {name: [_parameter(p) for p in params.split(",")] for name, params in heads}


def _parameter(text):
    *words, name = re.sub(r"\*|\b__restrict__\b", " ", text).split()
    ctype = " ".join(w for w in words if w != "const")
    if ctype != "REAL" and ctype not in _C_TYPES:
        raise TypeError(f"parameter {name!r} has type {ctype!r}, which launch does not know")
    return _Parameter(name, ctype, "*" in text, "*" in text and "const" not in words)
