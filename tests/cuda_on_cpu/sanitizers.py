"""Kernel launches recorded in Python and repeated under a sanitizer."""

import os
import struct
import subprocess
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from cuda_on_cpu import compiler


class Unsupported(Exception):
    """g++'s sanitizer and the machine's address space layout do not go together."""


class Launch(NamedTuple):
    """One kernel launch, its arguments as they were before it."""

    code: str
    defines: tuple
    kernel: str
    sizes: tuple  # grid x, y, z, block x, y, z, bytes of shared memory
    args: list  # (address of an array or None, bytes)


@contextmanager
def recording(cupy):
    """The launches made through the stand-in `cupy` inside the ``with``, as a list."""
    launches = []

    def record(code, defines, kernel, grid, block, args, shared_mem):
        sizes = (*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3], shared_mem)
        held = [(a.ctypes.data if isinstance(a, np.ndarray) else None, a.tobytes()) for a in args]
        launches.append(Launch(code, defines, kernel, sizes, held))

    cupy._recorder = record
    try:
        yield launches
    finally:
        cupy._recorder = None


def repeat(launches, sanitizer, folder, edit=lambda code: code):
    """Run launches of one ``.cu`` file under a sanitizer; return its report.

    Raises `Unsupported` where the sanitizer itself does not start.

    Parameters
    ----------
    launches : list of Launch
        All of one file and one set of defines.
    sanitizer : {"thread", "address"}
    folder : Path
        For the program and the recorded arguments.
    edit : callable, optional
        Changes the text of the ``.cu`` file before it is compiled: how a test
        plants a mistake.

    Returns
    -------
    str
        What the program wrote to stderr; empty if nothing was found.
    """
    ((code, defines),) = {(launch.code, launch.defines) for launch in launches}
    program = compiler.build(edit(code), defines, sanitizer, folder)
    recorded = folder / f"launches-{os.getpid()}"
    recorded.write_bytes(b"".join(map(_packed, launches)))
    settings = {"TSAN_OPTIONS": "halt_on_error=1"}  # the first race is enough
    done = subprocess.run(
        [program, recorded], capture_output=True, text=True, timeout=300, env=os.environ | settings
    )
    if "unexpected memory mapping" in done.stderr:
        raise Unsupported(f"the sanitizer does not start on this machine: {done.stderr}")
    if done.returncode and not done.stderr:
        return f"exit code {done.returncode}"
    return done.stderr


def _packed(launch):
    """The layout that as_program.h reads."""
    whole = struct.Struct("<q").pack
    name = launch.kernel.encode()
    parts = [whole(len(name)), name, *map(whole, launch.sizes), whole(len(launch.args))]
    buffers = {}  # arrays at one address share their memory, as they did here
    for address, content in launch.args:
        buffer = -1 if address is None else buffers.setdefault(address, len(buffers))
        parts += [whole(buffer), whole(len(content)), content]
    return b"".join(parts)
