"""Objects that hold an array namespace."""

from importlib import import_module
from typing import Any


class HoldsNamespace:
    """An object with an array namespace ``xp``: a module, which is pickled by name."""

    xp: Any

    def __getstate__(self):
        return self.__dict__ | {"xp": self.xp.__name__}

    def __setstate__(self, state):
        self.__dict__.update(state, xp=import_module(state["xp"]))
