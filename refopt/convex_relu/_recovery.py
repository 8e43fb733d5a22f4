"""Networks from points of the convex program."""

from collections.abc import Callable
from typing import Any

import numpy as np

from refopt.convex_relu._gates import on_host
from refopt.convex_relu._program import row_norms

_DEPENDENT = 1e-12  # singular values of normalised outputs, relative, below which they are


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


def fewest(xp: Any, X: Any, W1: Any, w2: Any) -> tuple[Any, Any]:
    """The network with neurons of linearly independent outputs only, at no higher penalty.

    Along a vector l with sum_j l_j (X u_j)_+ alpha_j = 0 sizes theta = 1 - s l change no
    prediction, and lower the penalty if sum_j l_j ||u_j|| |alpha_j| >= 0; s goes as far as a
    neuron vanishes. (Caratheodory's argument; on the host.)

    Parameters
    ----------
    X : array, shape (n, d)
    W1 : array, shape (d, m)
    w2 : array, shape (m,)
    """
    H = X @ W1
    outputs = on_host(xp.maximum(H, xp.zeros_like(H)) * w2)
    penalties = on_host(xp.sqrt(xp.sum(W1 * W1, axis=0)) * xp.abs(w2))
    m = penalties.shape[0]
    if not m:
        return W1, w2
    sizes = np.linalg.norm(outputs, axis=0)
    _, spread, turn = np.linalg.svd(outputs / np.where(sizes > 0, sizes, 1.0))
    rank = int((spread > _DEPENDENT * spread[0]).sum())
    null = turn[rank:] / np.where(sizes > 0, sizes, 1.0)
    theta = np.ones(m)
    for k in range(m - rank):
        l = null[k] if null[k] @ penalties >= 0 else -null[k]
        with np.errstate(divide="ignore", invalid="ignore"):
            rooms = np.where(l > 0, theta / l, np.inf)
        j = int(np.argmin(rooms))
        if not np.isfinite(rooms[j]):  # penalties and l of rounding only
            continue
        theta = np.maximum(theta - rooms[j] * l, 0.0)
        theta[j] = 0.0
        null[k + 1 :] -= np.outer(null[k + 1 :, j] / null[k, j], null[k])
        null[k + 1 :, j] = 0.0
    kept = np.flatnonzero(theta)
    root = xp.asarray(np.sqrt(theta[kept]))
    kept = xp.asarray(kept)
    return xp.take(W1, kept, axis=1) * root, xp.take(w2, kept) * root
