"""From arrays to their namespace and the kernels that work on them.

Nothing here imports an array library beyond NumPy: the library of an array is
already imported when the array arrives, and a kernel's module is imported when
the kernel is first used.
"""

import sys
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from refopt_backends._home import NUMPY, Home, home_of, libraries, root_of
from refopt_backends._spec import KERNELS

# Backend -> folder.  "reference" and "numpy" are the same kernels: the first
# takes any Array-API arrays, the second insists on NumPy's.
_FOLDERS = {
    "numpy": "reference",
    "numba": "numba_cpu",
    "cupy": "cupy_gpu",
    "reference": "reference",
}
_LIBRARY = {"numpy": "numpy", "numba": "numpy", "cupy": "cupy", "reference": None}
_ENTRY_POINTS = "refopt.backends"

_registered: dict[str, Any] = {}  # name -> factory
_tables: dict[str, "KernelTable"] = {}
_lock = threading.RLock()
_innermost: ContextVar[str | None] = ContextVar("refopt_backend", default=None)


class KernelTable:
    """The kernels of one backend, one attribute each.

    A kernel that the backend lacks is the reference's.  Immutable; pickled by
    name.  Tables come from `resolve`, one object per backend.

    Attributes
    ----------
    name : str
        The backend's name.
    """

    name: str

    def __init__(self, name, owned, library, xp=None):
        # `owned(kernel)` is the backend's own function or None; `library` the
        # root package of the arrays it takes, None for any.
        self.__dict__.update(name=name, _owned=owned, _library=library, _xp=xp)

    def __getattr__(self, kernel):
        if kernel not in KERNELS:
            raise AttributeError(f"no kernel is called {kernel!r}")
        function = self._owned(kernel) or _from_folder("reference", kernel)
        if function is None:
            raise AttributeError(f"kernel {kernel!r} is listed, but the reference lacks it")
        self.__dict__[kernel] = function  # next time without __getattr__
        return function

    def __setattr__(self, name, value):
        raise AttributeError("a kernel table cannot be changed; register_backend makes a new one")

    def __delattr__(self, name):
        raise AttributeError("a kernel table cannot be changed")

    def __dir__(self):
        return [*super().__dir__(), *KERNELS]

    def __reduce__(self):
        return _table, (self.name,)

    def __repr__(self):
        return f"<KernelTable {self.name!r}: {', '.join(KERNELS) or 'no kernels'}>"


def resolve(*arrays, backend=None, small=False, names=None):
    """Array namespace and kernels for a computation on `arrays`.

    Parameters
    ----------
    *arrays : array or None
        All arrays of the computation; ``None`` is skipped.  Python numbers and
        lists count as NumPy.
    backend : str, optional
        ``"numpy"``, ``"numba"``, ``"cupy"``, ``"reference"`` or a registered
        name.  By default the innermost `use_backend`, else what the arrays
        ask for: NumPy -> numba, CuPy -> cupy, any other Array-API library ->
        the reference kernels.
    small : bool, optional
        The work is too small to wake a compiler for: the automatic choice for
        NumPy arrays is the reference.
    names : sequence of str, optional
        Names of `arrays` for error messages.

    Returns
    -------
    xp : module
        The arrays' namespace.
    kernels : KernelTable
        The backend's kernels; ``kernels.name`` is the backend's name.

    Raises
    ------
    TypeError
        Arrays of different libraries, arrays that the backend does not take,
        or something that is no array.  Nothing is copied between host and
        device in silence.
    ValueError
        `backend` is not a known name.
    ImportError
        The backend's library is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt_backends import resolve
    >>> xp, kernels = resolve(np.ones(3), backend="numpy")
    >>> xp is np, kernels.name
    (True, 'numpy')
    """
    home = None
    for position, array in enumerate(arrays):
        if array is not None:
            other = home_of(array, position, names)
            if home is None:
                home = other
            elif other.xp is not home.xp:
                raise TypeError(_mixed(arrays, names))
    name = backend if backend is not None else _innermost.get()
    if name is None:
        name = _automatic(home or NUMPY, small)
    table = _table(name)
    library = table._library
    if home is None:
        home = Home("cupy", import_module("cupy")) if library == "cupy" else NUMPY
    elif library is not None and library != home.library:
        raise TypeError(_misplaced(arrays, names, home.library, table))
    return table._xp or home.xp, table


@contextmanager
def use_backend(name):
    """Choose the backend of all calls inside a ``with`` block.

    Holds for the current thread and asynchronous task only.  The innermost
    block wins; an explicit ``backend=`` wins over every block.

    Parameters
    ----------
    name : str
        As `backend` of `resolve`.

    Yields
    ------
    KernelTable
        The kernels of that backend.

    Raises
    ------
    ValueError, ImportError
        As `resolve`.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt_backends import resolve, use_backend
    >>> with use_backend("numpy"):
    ...     resolve(np.ones(3))[1].name
    'numpy'
    """
    table = _table(name)
    token = _innermost.set(name)
    try:
        yield table
    finally:
        _innermost.reset(token)


def register_backend(name, factory):
    """Make a backend known under a name, in this process.

    A package that brings a backend declares `factory` as an entry point of the
    group ``refopt.backends`` instead and need not be imported first.

    Parameters
    ----------
    name : str
        A new name.  Registering a name again replaces the former factory.
    factory : callable
        ``factory()`` is called at the first use and returns a module, any
        object or a mapping with kernels as attributes or items, and optionally
        ``xp``, the namespace whose arrays it takes.  Kernels that it lacks are
        the reference's.

    Raises
    ------
    ValueError
        `name` is that of a backend of refopt's own.
    TypeError
        `factory` cannot be called.

    Examples
    --------
    >>> import types
    >>> from refopt_backends import register_backend, resolve
    >>> register_backend("mine", lambda: types.SimpleNamespace())
    >>> resolve(backend="mine")[1].name
    'mine'
    """
    if not isinstance(name, str) or not name or name in _FOLDERS:
        raise ValueError(f"name must be a new, non-empty string, got {name!r}")
    if not callable(factory):
        raise TypeError(f"factory must be callable, got {type(factory).__name__}")
    with _lock:
        _registered[name] = factory
        _tables.pop(name, None)


def available_backends():
    """Names of the backends whose libraries are installed here.

    Nothing is imported to find out: ``"cupy"`` says that CuPy is installed,
    not that a device answers.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from refopt_backends import available_backends
    >>> "numpy" in available_backends()
    True
    """
    own = [n for n in _FOLDERS if n not in ("numba", "cupy") or _installed(n)]
    return own + [n for n in _third_party() if n not in own]


def _automatic(home, small):
    if home.library == "numpy":
        return "numpy" if small else "numba"
    return "cupy" if home.library == "cupy" else "reference"


def _table(name):
    """The one table of backend `name`, made at its first use."""
    if not isinstance(name, str):
        raise ValueError(f"backend must be a string, got {name!r}")
    table = _tables.get(name)
    if table is None:
        with _lock:
            table = _tables.get(name) or _new_table(name)
            _tables[name] = table
    return table


def _new_table(name):
    if name not in _FOLDERS:
        others = _third_party()
        if name not in others:
            known = ", ".join(map(repr, (*_FOLDERS, *others)))
            raise ValueError(f"backend must be one of {known}, got {name!r}")
        return _foreign_table(name, others[name]())
    if name in ("numba", "cupy") and not _installed(name):
        hint = "; pip install 'refopt[cuda12]' or 'refopt[cuda13]'" if name == "cupy" else ""
        raise ImportError(f"backend {name!r} needs {name}, which is not installed{hint}")
    folder = _FOLDERS[name]
    return KernelTable(name, lambda k: _from_folder(folder, k), _LIBRARY[name])


def _foreign_table(name, source):
    get = source.get if isinstance(source, Mapping) else lambda k: getattr(source, k, None)
    xp = get("xp")
    return KernelTable(name, get, None if xp is None else root_of(xp), xp)


def _third_party():
    """Name -> factory; what was registered by hand goes before entry points."""
    from importlib.metadata import entry_points  # slow to import, seldom needed

    def loader(point):
        return lambda: point.load()()

    found = {p.name: loader(p) for p in entry_points(group=_ENTRY_POINTS)}
    return {n: f for n, f in (found | _registered).items() if n not in _FOLDERS}


def _from_folder(folder, kernel):
    """The function `kernel` of a folder of this package, None if it has none."""
    module = f"refopt_backends.{folder}.{KERNELS[kernel].family}"
    try:
        return getattr(import_module(module), kernel, None)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None


def _installed(library):
    if library in sys.modules:
        return sys.modules[library] is not None
    return find_spec(library) is not None


def _mixed(arrays, names):
    given = libraries(arrays, names)
    how = ", with cupy.asarray(x) to the device or cupy.asnumpy(x) to the host"
    return f"arrays of different libraries: {given}; bring them to one{how * ('(cupy)' in given)}"


def _misplaced(arrays, names, library, table):
    copy = {
        ("numpy", "cupy"): "copy the arrays with cupy.asarray(x)",
        ("cupy", "numpy"): "copy the arrays with cupy.asnumpy(x)",
    }.get((library, table._library), f"convert the arrays to {table._library}")
    given = libraries(arrays, names)
    return (
        f"backend={table.name!r} works on {table._library} arrays, got {given}; "
        f"{copy} or leave the backend to be chosen"
    )
