"""How kernels are compiled for the CPU, and on how many threads they run.

A parallel kernel is two top-level functions of different names, the parallel
one and its serial twin (Numba's disk cache knows a function by its place in
the file, not by its compiler options)::

    @jit
    def row_sums_serial(A): ...

    @parallel_jit
    def row_sums_parallel(A): ...

    def row_sums(A):
        return run_parallel(A.size, row_sums_parallel, row_sums_serial, A)

The disk cache looks at the file of the compiled function only: a compiled
function that it calls should live in the same file.
"""

import os
import threading

import numba
import numpy as np

# What a kernel may ask of `fastmath` while it still tests for NaN and uses
# infinities.  "reassoc" deletes rounding tricks of the form (x + big) - big.
FAST = frozenset({"reassoc", "contract", "arcp", "nsz", "afn"})

# Below this many elements waking the threads costs more than they bring; on a
# busy machine it costs a thousand times more.
PARALLEL_FROM = 2**16

_in_forked_child = False
_one_at_a_time = threading.Lock()


def _after_fork():
    # Threads do not survive a fork, and the runtime does not notice: it would
    # wait for them for ever.
    global _in_forked_child
    _in_forked_child = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def jit(function=None, *, fastmath=False):
    """Compile a kernel at its first call, and keep the result on disk.

    The compiled function releases the GIL and divides as NumPy does (1/0 is
    infinite).  Where neither the folder of the file nor the user's cache can be
    written it is compiled anew in each process.

    Parameters
    ----------
    function : function
        A function at the top level of its module.
    fastmath : bool or set of str, optional
        Numba's option; `FAST` is what most kernels want.

    Returns
    -------
    numba.core.dispatcher.Dispatcher

    Raises
    ------
    TypeError
        `function` is nested, or was compiled before with other options: both
        would share one place in the disk cache.

    Examples
    --------
    >>> @jit(fastmath=FAST)
    ... def total(x): ...  # doctest: +SKIP
    """
    return _compiled(function, jit, fastmath, parallel=False)


def parallel_jit(function=None, *, fastmath=False):
    """As `jit`, with ``numba.prange`` loops spread over threads.

    The result must only be called through `run_parallel`.

    Parameters
    ----------
    function, fastmath
        As for `jit`.

    Returns
    -------
    numba.core.dispatcher.Dispatcher

    Raises
    ------
    TypeError
        As `jit`.
    """
    return _compiled(function, parallel_jit, fastmath, parallel=True)


def threads_for(work):
    """Number of threads for a kernel that touches `work` elements.

    Parameters
    ----------
    work : int

    Returns
    -------
    int
        1 below `PARALLEL_FROM` elements and in a forked child, else
        ``numba.get_num_threads()``, which is the user's to set.

    Examples
    --------
    >>> threads_for(100)
    1
    """
    if work < PARALLEL_FROM or _in_forked_child:
        return 1
    return numba.get_num_threads()


def run_parallel(work, parallel, serial, *args):
    """Call `parallel` where threads help and are free, else its serial twin.

    Numba's own threading layer ends the process when two threads enter it at
    once.  Whoever comes second therefore runs the serial twin, on a processor
    that would have been shared anyway.

    Parameters
    ----------
    work : int
        Number of elements touched.
    parallel, serial : callable
        Twins: the same result from the same arguments.
    *args
        Their arguments.

    Returns
    -------
    object
        What the called twin returns.
    """
    if threads_for(work) > 1 and _one_at_a_time.acquire(blocking=False):
        try:
            return parallel(*args)
        finally:
            _one_at_a_time.release()
    return serial(*args)


def run_spans(work, parallel, serial, args, first, last):
    """`run_parallel` for twins that take args and the bounds of spans of ``first ... last - 1``.

    Parameters
    ----------
    work : int
        Number of elements touched.
    parallel, serial : callable
        Twins: ``twin(args, bounds)`` with one span per thread between each two bounds.
    args : tuple
    first, last : int
    """
    spans = max(1, min(threads_for(work), last - first))
    bounds = np.linspace(first, last, spans + 1).astype(np.int64)
    run_parallel(work, parallel, serial, args, bounds)


def _compiled(function, decorator, fastmath, *, parallel):
    if function is None:
        return lambda f: decorator(f, fastmath=fastmath)
    name = f"{function.__module__}.{function.__qualname__}"
    if "<locals>" in name:
        raise TypeError(f"{name} must be a top-level function to be cached")
    if getattr(function, "_compiled_once", False):
        raise TypeError(f"{name} is compiled already; its twin needs a name of its own")
    function._compiled_once = True
    if fastmath and fastmath is not True:
        fastmath = set(fastmath)
    options = {
        "fastmath": fastmath,
        "parallel": parallel,
        "nogil": True,
        "error_model": "numpy",
    }
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError as error:  # raised by Numba when no place can be written
        if "cannot cache" not in str(error):
            raise
        return numba.njit(cache=False, **options)(function)


def unsigned(index):
    """View indices as unsigned: signed ones are tested for counting from the end.

    That test keeps loops over sparse entries from being vectorised, a factor of two to three.
    """
    return index.view(f"u{index.dtype.itemsize}")
