"""The acceptance test of a backend: each of its kernels against the reference."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from refopt_backends._home import is_array, namespace_of
from refopt_backends._select import _table
from refopt_backends._spec import KERNELS

_TOLERANCE = {"float64": 1e-10, "complex128": 1e-10, "float32": 1e-5, "complex64": 1e-5}


class Case(NamedTuple):
    """One example call of a kernel; `cases` functions yield these.

    Attributes
    ----------
    kernel : str
        Name in ``KERNELS``.
    build : callable
        ``build(kernels)`` returns the tuple of arguments.  Plain arrays are
        closed over; an argument whose layout belongs to the backend is made
        here, with the backend's own `kernels`.
    view : callable, optional
        ``view(kernels, result)`` turns a result into something comparable:
        arrays, numbers, None, and tuples, lists or dicts of these.  For an
        opaque result it returns documented attributes or applies another
        kernel, as ``lambda kernels, r: kernels.to_dense(r)``.
    tolerance : float, optional
        Largest difference relative to the largest entry of the reference's
        array; default 1e-10 in float64, 1e-5 in float32.

    Examples
    --------
    The module ``cases/<family>.py``::

        def cases(xp, rng):
            A = xp.asarray(rng.random((5, 4)))
            yield Case("row_sums", lambda kernels: (A,))
            yield Case("keep", lambda kernels: (A, 0.5), lambda kernels, r: kernels.to_dense(r))
            yield Case("product", lambda kernels: (kernels.keep(A, 0.5), A[0, :]))
    """

    kernel: str
    build: Callable[[Any], tuple]
    view: Callable[[Any, Any], Any] | None = None
    tolerance: float | None = None


class Agreement(NamedTuple):
    """What `conformance` found for one case.

    Attributes
    ----------
    kernel : str
    case : int
        Position of the case in its family's list.
    inherited : bool
        The backend runs the reference's own kernel.
    difference : float
        Largest difference, relative to the largest entry of the reference's.
    """

    kernel: str
    case: int
    inherited: bool
    difference: float


def conformance(name, *, xp=None, families=None, seed=0):
    """Run every kernel of a backend and of the reference, and compare.

    Parameters
    ----------
    name : str
        A backend of refopt's own or a registered one.
    xp : module, optional
        Namespace that makes the backend's arrays.  By default the one the
        backend declares, NumPy if none.
    families : sequence of str, optional
        Only these families of kernels.
    seed : int, optional
        Seed of the example arguments.

    Returns
    -------
    list of Agreement
        One entry per case.

    Raises
    ------
    AssertionError
        A kernel differs in structure, shape, dtype or value, raises, writes into an argument
        that its line does not name, or has no example.  The message lists every failure.
    ValueError, ImportError
        The backend is unknown or its library is not installed.

    Examples
    --------
    >>> from refopt_backends.testing import conformance
    >>> all(r.difference == 0 for r in conformance("numpy"))
    True
    """
    kernels, reference = _table(name), _table("reference")
    if xp is None:
        xp = kernels._xp or (import_module("cupy") if name == "cupy" else np)
    asked = {k.family for k in KERNELS.values()} if families is None else set(families)
    found, failures = [], []
    for family in sorted(asked):
        cases = import_module(f"refopt_backends.cases.{family}").cases
        ours = cases(xp, np.random.default_rng(seed))
        truth = cases(np, np.random.default_rng(seed))
        missing = {k.name for k in KERNELS.values() if k.family == family}
        for number, (case, true_case) in enumerate(zip(ours, truth, strict=True)):
            missing.discard(case.kernel)
            try:
                result = _run(case, kernels)
                difference = _difference(result, _run(true_case, reference), case.tolerance)
            except Exception as error:  # every failure is reported, not the first only
                failures.append(f"{case.kernel}, case {number}: {type(error).__name__}: {error}")
                continue
            inherited = getattr(kernels, case.kernel) is getattr(reference, case.kernel)
            found.append(Agreement(case.kernel, number, inherited, difference))
        failures += [f"{kernel}: no example in cases/{family}.py" for kernel in sorted(missing)]
    if failures:
        raise AssertionError(
            f"backend {name!r} differs from the reference:\n" + "\n".join(failures)
        )
    return found


def _run(case, kernels):
    """Result of `case` as NumPy arrays in its own nesting."""
    written = KERNELS[case.kernel].written
    args = case.build(kernels)
    args = tuple(_own(a) if p in written else a for p, a in enumerate(args))
    before = [_host(a, copy=True) if is_array(a) else None for a in args]
    result = getattr(kernels, case.kernel)(*args)
    for position, (arg, copy) in enumerate(zip(args, before, strict=True)):
        if copy is None or position in written:
            continue
        if not np.array_equal(_host(arg), copy, equal_nan=True):
            raise AssertionError(f"argument {position + 1} was written to")
    if case.view is not None:
        result = case.view(kernels, result)
    if written:
        result = (result, *(args[position] for position in written))
    return _host_tree(result)


def _difference(ours, truth, tolerance, where="result"):
    """Largest relative difference; an AssertionError where it is too large."""
    if isinstance(truth, dict):
        _demand(isinstance(ours, dict), f"{where} must be a mapping")
        _demand(ours.keys() == truth.keys(), f"{where} has keys {[*ours]}, not {[*truth]}")
        parts = [(ours[k], truth[k], f"{where}[{k!r}]") for k in truth]
    elif isinstance(truth, list):
        _demand(isinstance(ours, list), f"{where} must be a sequence")
        _demand(len(ours) == len(truth), f"{where} has {len(ours)} parts, not {len(truth)}")
        parts = [(o, t, f"{where}[{i}]") for i, (o, t) in enumerate(zip(ours, truth, strict=True))]
    elif truth is None:
        _demand(ours is None, f"{where} must be None")
        return 0.0
    else:
        _demand(isinstance(ours, np.ndarray), f"{where} must be an array or a number")
        return _array_difference(ours, truth, tolerance, where)
    return max((_difference(o, t, tolerance, w) for o, t, w in parts), default=0.0)


def _array_difference(ours, truth, tolerance, where):
    _demand(ours.shape == truth.shape, f"{where} has shape {ours.shape}, not {truth.shape}")
    if truth.ndim:  # a number may be Python's here and an array of no dimension there
        _demand(ours.dtype == truth.dtype, f"{where} has dtype {ours.dtype}, not {truth.dtype}")
    if truth.dtype.kind not in "fc":
        _demand(np.array_equal(ours, truth), f"{where} differs")
        return 0.0
    finite = np.isfinite(truth)
    alike = np.isfinite(ours[finite]).all()
    alike = alike and np.array_equal(ours[~finite], truth[~finite], equal_nan=True)
    _demand(alike, f"{where} differs in NaN or infinity")
    scale = np.abs(truth[finite]).max(initial=0.0) or 1.0
    difference = float(np.abs(ours[finite] - truth[finite]).max(initial=0.0) / scale)
    limit = _TOLERANCE[truth.dtype.name] if tolerance is None else tolerance
    _demand(difference <= limit, f"{where} differs by {difference:.1e} of its scale")
    return difference


def _demand(condition, message):  # an assert statement would vanish under python -O
    if not condition:
        raise AssertionError(message)


def _own(x):
    return namespace_of(x).asarray(x, copy=True)


def _host_tree(x):
    if isinstance(x, Mapping):
        return {k: _host_tree(v) for k, v in x.items()}
    if isinstance(x, tuple | list):
        return [_host_tree(v) for v in x]
    if x is None:
        return None
    if is_array(x) or isinstance(x, bool | int | float | complex | np.generic):
        return _host(x)
    raise TypeError(f"a {type(x).__name__} cannot be compared; the case needs a view")


def _host(x, copy=False):
    x = x.get() if type(x).__module__.partition(".")[0] == "cupy" else np.asarray(x)
    return np.array(x, copy=True) if copy else x
