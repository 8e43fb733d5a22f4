"""The list of kernels: what a backend may implement, and what each one means.

A kernel is a pure function: it returns new arrays and writes into none of its
arguments.  Its readable text is ``reference/<family>.py``; compiled forms lie
under the same family and name in the other folders.
"""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Kernel:
    """One line of the list.

    Attributes
    ----------
    name : str
        Unique over all families; an attribute of every kernel table.
    family : str
        The module that holds it in each backend's folder.
    signature : str
        Arguments and results with their shapes, as ``"C (n, m), g (m,) -> f (n,)"``.
    meaning : str
        One sentence or formula.
    """

    name: str
    family: str
    signature: str
    meaning: str


def _indexed(*kernels):
    index = {k.name: k for k in kernels}
    if len(index) < len(kernels):
        raise ValueError("kernel names must be unique over all families")
    return MappingProxyType(index)


KERNELS = _indexed()
