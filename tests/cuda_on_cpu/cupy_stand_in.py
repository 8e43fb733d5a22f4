"""The few parts of CuPy that refopt uses, over NumPy and g++.

Imported under the name ``cupy`` (see ``harness.py``), so that dispatch takes
its arrays for CuPy's. It is stricter than CuPy where CuPy is silent: a kernel
argument of another type than the kernel's parameter, an array that is not
C-contiguous: errors here, wrong numbers on a GPU. What CuPy 14 does not have is
not here either, as ``__array_namespace__`` of an array or ``clip(x, min=0)``.
"""

import sys
import typing
from collections import Counter as _Counter

import numpy as _np

from cuda_on_cpu import compiler as _compiler

__version__ = "14.2.0"

# Set by harness.py: where compiled kernels live, and who records the launches.
_folder = None
_recorder = None

# What a run costs beside its arithmetic: "waits" of the host for numbers or sizes, "kernels"
# that refopt launches, and "operations" of CuPy on whole arrays, each of them one launch or more.
counts = _Counter()

_BORROWED = """
inf nan pi e newaxis finfo iinfo dtype issubdtype promote_types can_cast broadcast_shapes
bool_ int8 uint8 int32 int64 uint32 uint64 float32 float64 complex64 complex128
"""
_FUNCTIONS = """
abs absolute add all amax amin any argmax argmin argpartition argsort array_equal asinh atleast_1d
bincount broadcast_arrays broadcast_to ceil column_stack concat concatenate copysign count_nonzero
cumsum diag diagonal diff divide dot einsum equal exp expand_dims expm1 flip floor greater
greater_equal hypot isfinite isinf isnan less less_equal log log1p logaddexp logical_and
logical_not logical_or matmul max maximum mean min minimum moveaxis multiply negative nonzero
imag not_equal outer partition permute_dims power prod ravel real reciprocal repeat reshape
roll searchsorted sign sort sqrt square squeeze stack std subtract sum swapaxes take take_along_axis
tanh tensordot tile trace transpose tril triu unique var vdot where
arange eye full full_like linspace ones ones_like zeros zeros_like
"""
# No work for a device; and work whose result has a size that the host has to ask for.
_VIEWS = {"broadcast_arrays", "broadcast_to", "diagonal", "expand_dims", "moveaxis", "permute_dims"}
_VIEWS |= {
    "ravel",
    "reshape",
    "squeeze",
    "swapaxes",
    "transpose",
    "view",
    "atleast_1d",
    "real",
    "imag",
}
_SIZED = {"bincount", "nonzero", "unique"}
# What these functions take in NumPy and not in CuPy.
_NUMPY_ONLY = {"where", "initial", "stable", "device", "like", "min", "max", "correction", "mode"}
_METHODS = """
all any argmax argmin argsort astype clip copy cumsum diagonal dot fill flatten max mean min
nonzero prod ravel repeat reshape sort squeeze std sum swapaxes take trace transpose var view
"""


class ndarray(_np.lib.mixins.NDArrayOperatorsMixin):
    """An array "on the device": a NumPy array that refuses to be taken for one."""

    __slots__ = ("_host",)
    __hash__ = None

    def __init__(self, shape, dtype=float):
        self._host = empty(shape, dtype)._host

    # -- no way to the host but .get() ------------------------------------------------
    def __array__(self, *_, **__):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        counts["operations"] += 1
        return _call(getattr(ufunc, method), *inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return _call(function, *args, **kwargs)

    def get(self):
        counts["waits"] += 1
        return self._host.copy()

    # -- what an array knows -------------------------------------------------------------
    dtype = property(lambda self: self._host.dtype)
    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    size = property(lambda self: self._host.size)
    ndim = property(lambda self: self._host.ndim)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    flags = property(lambda self: self._host.flags)
    device = property(lambda self: cuda.Device(0))
    T = property(lambda self: _wrap(self._host.T))
    mT = property(lambda self: _wrap(self._host.mT))

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __repr__(self):
        return f"cupy stand-in {self._host!r}"

    # A 0-d result becomes a host number only when asked to, which is a synchronisation.
    def _waiting(name):
        def method(self, *args):
            counts["waits"] += 1
            return getattr(self._host, name)(*args)

        return method

    __bool__, __int__, __float__, __index__, item, tolist = map(
        _waiting, ("__bool__", "__int__", "__float__", "__index__", "item", "tolist")
    )
    del _waiting

    # -- indexing ------------------------------------------------------------------------
    def __getitem__(self, key):
        for part in key if isinstance(key, tuple) else (key,):
            if isinstance(part, ndarray):
                counts["operations"] += 1
                counts["waits"] += part.dtype == bool  # how many entries there are
        return _wrap(self._host[_unwrap(key)])

    def __setitem__(self, key, value):
        counts["operations"] += 1
        self._host[_unwrap(key)] = _unwrap(value)

    # In place, the array stays the same object.
    def _in_place(name):
        def method(self, other):
            counts["operations"] += 1
            getattr(self._host, name)(_unwrap(other))
            return self

        return method

    __iadd__, __isub__ = _in_place("__iadd__"), _in_place("__isub__")
    __imul__, __itruediv__ = _in_place("__imul__"), _in_place("__itruediv__")
    del _in_place


def _forward(name):
    def method(self, *args, **kwargs):
        _count(name)
        return _call(getattr(self._host, name), *args, **kwargs)

    method.__name__ = name
    return method


for _name in _METHODS.split():
    setattr(ndarray, _name, _forward(_name))


def _wrap(value):
    """Host results become device arrays; reductions too, which CuPy leaves 0-d."""
    if isinstance(value, _np.ndarray | _np.generic):
        array = object.__new__(ndarray)
        array._host = _np.asarray(value)
        return array
    if isinstance(value, tuple | list):  # NumPy names the parts of some results, CuPy does not
        return [*map(_wrap, value)] if isinstance(value, list) else tuple(map(_wrap, value))
    return value


def _unwrap(value):
    """Device arrays become host ones; a host array among them is an error, as in CuPy."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, _np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: a host array in a device operation")
    if isinstance(value, tuple | list):
        return type(value)(_unwrap(v) for v in value)
    return value


def _count(name):
    counts["operations"] += name not in _VIEWS
    counts["waits"] += name in _SIZED


def _call(function, *args, **kwargs):
    args, kwargs = _unwrap(args), {k: _unwrap(v) for k, v in kwargs.items()}
    with _np.errstate(all="ignore"):  # a GPU does not warn
        return _wrap(function(*args, **kwargs))


def _function(name):
    numpys = getattr(_np, name)

    def function(*args, **kwargs):
        if unknown := _NUMPY_ONLY & kwargs.keys():
            raise TypeError(f"cupy.{name}() got an unexpected keyword argument {unknown}")
        _count(name)
        return _call(numpys, *args, **kwargs)

    function.__name__ = name
    return function


for _name in _FUNCTIONS.split():
    globals()[_name] = _function(_name)
for _name in _BORROWED.split():
    globals()[_name] = getattr(_np, _name)
bool = _np.bool_


# -- creation and transfer ---------------------------------------------------------------
def empty(shape, dtype=float):
    """Filled with NaN or -1: who reads before writing gets noticed."""
    dtype = _np.dtype(dtype)
    unset = _np.nan if dtype.kind in "fc" else _np.array(-1).astype(dtype)
    return _wrap(_np.full(shape, unset, dtype))


def empty_like(a, dtype=None):
    return empty(a.shape, a.dtype if dtype is None else dtype)


def asarray(a, dtype=None, order=None, *, copy=None):
    host = a._host if isinstance(a, ndarray) else _np.array(a)  # from the host: always a copy
    return _wrap(_np.array(host, dtype=dtype, order=order, copy=copy))


def array(a, dtype=None, copy=True, order="K"):
    return asarray(a, dtype, order, copy=True if copy else None)


def ascontiguousarray(a, dtype=None):
    return asarray(a, dtype, "C")


def asnumpy(a):
    return a.get() if isinstance(a, ndarray) else _np.asarray(a)


def result_type(*args):
    return _np.result_type(*(a.dtype if isinstance(a, ndarray) else a for a in args))


def clip(a, a_min, a_max, out=None):  # two positional bounds, unlike NumPy 2
    return _call(_np.clip, a, a_min, a_max, out=out)


def astype(a, dtype, /, *, copy=True):
    return a.astype(dtype, copy=copy)


class linalg:
    """``cupy.linalg``: whether a breakdown raises is up to ``cupyx.errstate``."""

    @staticmethod
    def cholesky(a):
        counts["operations"] += 1
        counts["waits"] += sys.modules["cupyx"]._linalg_errors == "raise"
        try:
            return _call(_np.linalg.cholesky, a)
        except _np.linalg.LinAlgError:
            if sys.modules["cupyx"]._linalg_errors == "raise":
                raise
            return _call(_np.tril, a)  # half a factor, finite

    @staticmethod
    def svd(a, full_matrices=True, compute_uv=True):
        counts["operations"] += 1
        return tuple(_call(_np.linalg.svd, a, full_matrices, compute_uv))

    @staticmethod
    def solve(a, b):
        counts["operations"] += 1
        try:
            return _call(_np.linalg.solve, a, b)
        except _np.linalg.LinAlgError:
            return empty_like(b)

    @staticmethod
    def qr(a, mode="reduced"):
        counts["operations"] += 1
        return tuple(_call(_np.linalg.qr, a, mode))

    def _same(name):
        def function(*args):
            counts["operations"] += 1
            return _call(getattr(_np.linalg, name), *args)

        return staticmethod(function)

    eigh, eigvalsh, inv, norm, pinv = map(_same, ["eigh", "eigvalsh", "inv", "norm", "pinv"])
    del _same


class fft:
    """``cupy.fft``."""

    def _transform(name):
        def transform(a, n=None, axis=-1, norm=None):
            return _call(getattr(_np.fft, name), a, n, axis, norm)

        return staticmethod(transform)

    fft, ifft, rfft, irfft = map(_transform, ("fft", "ifft", "rfft", "irfft"))
    del _transform


# -- kernels -----------------------------------------------------------------------------
class RawModule:
    """CUDA C++ text, compiled by g++ when the first function is asked for."""

    def __init__(self, *, code, options=()):
        if not isinstance(options, tuple):
            raise TypeError(f"Expected tuple, got {type(options).__name__}")
        self._defines = tuple(o for o in options if o.startswith("-D"))
        if unknown := {o for o in options if not o.startswith(("-D", "--std=", "-std="))}:
            raise ValueError(f"the stand-in does not know the compiler options {unknown}")
        self._code = code

    def get_function(self, name):
        library = _compiler.load(self._code, self._defines, _folder)
        signature = library.signature(name)
        if signature is None:
            raise AttributeError(f"no kernel {name!r}")

        def kernel(grid, block, args, *, shared_mem=0):
            if len(args) != len(signature):
                raise TypeError(f"{name} takes {len(signature)} arguments, got {len(args)}")
            pairs = enumerate(zip(args, signature, strict=True))
            host = [_argument(name, k, arg, letter) for k, (arg, letter) in pairs]
            counts["kernels"] += 1
            if _recorder is not None:
                _recorder(self._code, self._defines, name, grid, block, host, shared_mem)
            library.launch(name, grid, block, host, shared_mem)

        return kernel


def _argument(kernel, place, arg, letter):
    """The host side of one kernel argument; an error where a GPU would read rubbish."""
    where = f"argument {place} of {kernel}"
    if letter.startswith("*"):
        if not isinstance(arg, ndarray):
            raise TypeError(f"{where} is a pointer, got a {type(arg).__name__}")
        if not arg.flags.c_contiguous:
            raise ValueError(f"{where} is not C-contiguous")
        host, letter = arg._host, letter[1:]
    else:
        if not isinstance(arg, _np.generic):
            raise TypeError(f"{where} must be a typed scalar, got a {type(arg).__name__}")
        host = arg
    if host.dtype != _np.dtype(letter):
        raise TypeError(f"{where} must have dtype {_np.dtype(letter)}, got {host.dtype}")
    return host


class cuda:
    """``cupy.cuda``: one device, one stream, nothing to wait for."""

    class Device:
        attributes: typing.ClassVar = {"MaxThreadsPerBlock": 64}  # one OS thread each

        mem_info = (2**30, 2**30)

        def __init__(self, device=0):
            self.id = device

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def __eq__(self, other):
            return isinstance(other, cuda.Device) and self.id == other.id

        def synchronize(self):
            pass

    class runtime:
        @staticmethod
        def getDeviceCount():
            return 1

    @staticmethod
    def is_available():
        return True
