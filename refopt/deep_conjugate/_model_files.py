"""Files of models: parameters and what they are, in NumPy's format."""

import json
from typing import Any
from zipfile import BadZipFile

import numpy as np

VERSION = 1


def write_model(file: Any, kind: str, params: Any, facts: dict | None = None) -> None:
    """Parameters and facts that JSON can hold, to a file with the ending ``.npz``."""
    meta = json.dumps({"kind": kind, "version": VERSION} | (facts or {}))
    np.savez(file, params=params, meta=meta)


def read_model(file: Any, kind: str) -> tuple[np.ndarray, dict]:
    """Parameters and facts from a file that `write_model` wrote for a model of this kind.

    Raises
    ------
    ValueError
        The file holds something else.
    """
    error = ValueError(f"file must hold a {kind} of version {VERSION}, got {file!r}")
    try:
        held = np.load(file, allow_pickle=False)
        if not isinstance(held, np.lib.npyio.NpzFile):
            raise error
        with held:
            params, meta = held["params"], json.loads(str(held["meta"]))
    except (ValueError, KeyError, EOFError, BadZipFile) as problem:
        raise error from problem
    if not isinstance(meta, dict) or (meta.get("kind"), meta.get("version")) != (kind, VERSION):
        raise error
    return params, meta
