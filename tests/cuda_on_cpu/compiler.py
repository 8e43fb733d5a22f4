"""From a ``.cu`` file to something that runs here: a library or a program, by g++."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
GXX = shutil.which("g++")
FIBERS = ("-DFIBERS", "-U_FORTIFY_SOURCE")
KINDS = {
    "library": ("as_library.h", ("-O2", "-shared", "-fPIC", "-Wl,-Bsymbolic", *FIBERS)),
    "thread": ("as_program.h", ("-O1", "-g1", "-fsanitize=thread")),
    "address": ("as_program.h", ("-O1", "-g1", "-fsanitize=address")),
}


class CompileError(Exception):
    """g++ refused the code; the message is its own."""


def kernel_names(code):
    """Names of the kernels that CUDA C++ text defines."""
    return re.findall(r'extern "C" __global__ void (\w+)', code)


def build(code, defines, kind, folder):
    """Compile CUDA C++ text with g++ and return the file made.

    Parameters
    ----------
    code : str
        The text of a ``.cu`` file.
    defines : tuple of str
        Options ``-DNAME=value``.
    kind : {"library", "thread", "address"}
        A shared library, or a program that repeats recorded launches under the
        thread or the address sanitizer.
    folder : Path
        Where compiled files live; one with the same content is used again.
    """
    entry, flags = KINDS[kind]
    text = (
        f'#line 1 "kernel.cu"\n{code}\n'
        f"KERNELS({', '.join(f'KERNEL({name})' for name in kernel_names(code))})\n"
        f'#include "{entry}"\n'
    )
    command = (GXX, "-std=c++20", "-pthread", *flags, *defines, f"-I{HERE}", "-include")
    command += ("cuda_on_cpu.h", "-x", "c++", "-")
    headers = "".join(file.read_text() for file in sorted(HERE.glob("*.h")))
    key = hashlib.sha256("\0".join((*command, headers, text)).encode()).hexdigest()[:24]
    target = folder / f"{kind}-{key}"
    if not target.exists():
        fresh = folder / f"{target.name}.{os.getpid()}"  # another process may build the same
        done = subprocess.run([*command, "-o", fresh], input=text, capture_output=True, text=True)
        if done.returncode:
            raise CompileError(done.stderr)
        fresh.replace(target)
    return target


class Library:
    """A ``.cu`` file as a shared library whose kernels are launched by name."""

    def __init__(self, path):
        self._library = ctypes.CDLL(str(path))
        self._library.kernel_signature.restype = ctypes.c_char_p
        self._library.kernel_launch.restype = ctypes.c_char_p

    def signature(self, name):
        """Type letters of the parameters (NumPy's, ``*`` marks a pointer), or None."""
        letters = self._library.kernel_signature(name.encode())
        return None if letters is None else letters.decode().split()

    def launch(self, name, grid, block, args, shared_mem):
        """Run a kernel; `args` are NumPy scalars and contiguous NumPy arrays."""
        cells = [  # what the kernel's parameters are read from
            np.array(arg.ctypes.data if isinstance(arg, np.ndarray) else arg) for arg in args
        ]
        sizes = np.array([*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3], shared_mem], np.int64)
        failure = self._library.kernel_launch(
            name.encode(),
            ctypes.c_void_p(sizes.ctypes.data),
            (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells)),
        )
        if failure:
            raise RuntimeError(f"{name}: {failure.decode()}")


@cache
def load(code, defines, folder):
    """The library of a ``.cu`` text: built at most once, loaded once per process."""
    return Library(build(code, defines, "library", folder))
