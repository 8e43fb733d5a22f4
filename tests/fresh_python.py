"""Run a script in a new Python process, on the very packages under test."""

import os
import subprocess
import sys
from pathlib import Path

import refopt
import refopt_backends


def run(code, *, cwd=None, timeout=300, **environment):
    """Standard output of `code`; a variable set to None is removed."""
    roots = [str(Path(p.__file__).resolve().parents[1]) for p in (refopt, refopt_backends)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(roots)} | environment
    env = {k: str(v) for k, v in env.items() if v is not None}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=env,
        timeout=timeout,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
