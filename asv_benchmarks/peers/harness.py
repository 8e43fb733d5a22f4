"""Time solvers side by side and print Markdown: shared by the peer comparisons of all families.

Figures are CPU seconds of one thread, which a busy machine disturbs less than
wall-clock seconds.
"""

import importlib.metadata
import multiprocessing
import os
import platform
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

QUICK = 3.0  # seconds below which a call is repeated


@dataclass(frozen=True)
class Run:
    """One solver on one instance: its best time and what it returned, or why there is nothing."""

    seconds: float = float("nan")
    answer: Any = None
    failure: str = ""


def cpu_seconds(call):
    """Return ``(seconds, answer)`` of one call."""
    start = time.process_time()
    answer = call()
    return time.process_time() - start, answer


def limited(call, limit):
    """Run a call in a forked child that is stopped after ``limit`` wall-clock seconds.

    Compiled code of other libraries cannot be interrupted from within, and may
    end the process.
    """
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=_send, args=(call, sender))
    child.start()
    sender.close()
    try:
        run = receiver.recv() if receiver.poll(limit) else Run(failure=f"> {limit:.0f} s")
    except EOFError:
        run = Run(failure="process died")
    if child.is_alive() and run.failure.startswith(">"):
        child.kill()
    child.join()
    return run


def _send(call, sender):
    try:
        sender.send(Run(*cpu_seconds(call)))
    except Exception as error:
        sender.send(Run(failure=f"{type(error).__name__}: {error}"))


def interleaved(calls, repeats=5, limits=None):
    """Time several solvers in turn and keep the fastest run of each.

    Parameters
    ----------
    calls : dict of callables
        One per solver.
    repeats : int
        Rounds over all solvers; a call that takes longer than ``QUICK``
        seconds is made once.
    limits : dict, optional
        Wall-clock limits in seconds. A solver with a limit makes its first
        call in a forked child.

    Returns
    -------
    dict of Run
    """
    limits = limits or {}
    runs = {}
    for name, call in calls.items():
        if name in limits:
            runs[name] = limited(call, limits[name])
            continue
        try:
            call()  # compiles, and fills the caches
            runs[name] = Run(*cpu_seconds(call))
        except Exception as error:
            runs[name] = Run(failure=f"{type(error).__name__}: {error}")
    for _ in range(repeats):
        for name, run in runs.items():
            if not run.failure and run.seconds < QUICK:
                again = Run(*cpu_seconds(calls[name]))
                runs[name] = min(run, again, key=lambda r: r.seconds)
    return runs


def markdown(header, rows):
    """Return a Markdown table whose first column is text and the others are right-aligned."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def geometric_mean(values):
    """Return the geometric mean, NaN for no values."""
    values = np.asarray(list(values), dtype=float)
    return float(np.exp(np.log(values).mean())) if values.size else float("nan")


def environment(*packages):
    """Return one line with versions, processor, number of processors and threads."""
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:  # on the path, not installed
            module = sys.modules.get(package)
            versions.append(f"{package} {getattr(module, '__version__', 'absent')}")
    return (
        f"Python {platform.python_version()}, {', '.join(versions)}; "
        f"{_processor()}, {os.cpu_count()} CPUs, one thread per solver"
    )


def _processor():
    try:
        with open("/proc/cpuinfo") as lines:
            return (
                next(line for line in lines if line.startswith("model name")).split(":")[1].strip()
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
