"""Networks from points of the convex program."""

from collections.abc import Callable
from typing import Any

from refopt.convex_relu._program import row_norms


def network(xp: Any, V: Any, W: Any) -> tuple[Any, Any]:
    """One neuron per column that is not zero: (v/sqrt||v||, sqrt||v||), (w/sqrt||w||, -sqrt||w||).

    Parameters
    ----------
    xp : module
    V, W : array, shape (P, d)

    Returns
    -------
    W1 : array, shape (d, m)
    w2 : array, shape (m,)
    """
    U = xp.concat([V, W])
    sign = xp.concat([xp.ones(V.shape[0]), -xp.ones(W.shape[0])])
    norms = row_norms(xp, U)
    kept = xp.nonzero(norms > 0)[0]
    root = xp.sqrt(norms[kept])
    return (U[kept, :] / root[:, None]).T, sign[kept] * root


def pruned(xp: Any, U: Any, value: Callable[[Any], float], most: float | None = None) -> Any:
    """U without the small rows whose removal leaves the objective at `most`, as it is by default.

    Rows that only cost go in any case.
    """
    if not U.size:
        return U
    norms = row_norms(xp, U)
    largest = float(xp.max(norms))
    most = value(U) if most is None else most
    for share in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8):
        fewer = xp.where((norms > share * largest)[:, None], U, xp.zeros_like(U))
        if value(fewer) <= most:
            return fewer
    return U
