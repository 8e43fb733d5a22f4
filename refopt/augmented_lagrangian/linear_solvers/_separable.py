r"""Fast diagonalisation of operators on grids.

A matrix of the grid's nearest neighbours is near a sum of one-dimensional ones,

    A ~ T_1 x I x ... + I x T_2 x ... + ...,    T_k = Q_k diag(t_k) Q_k',

whose eigenvectors are products, so that ``w I + s A'A`` is inverted by one multiplication with
every Q_k, a division, and one with every Q_k' (R. E. Lynch, J. R. Rice, D. H. Thomas, "Direct
solution of partial difference equations by tensor product methods", Numer. Math. 6, 1964). For
constant coefficients the eigenvectors are sines, and the multiplications fast sine transforms.
"""

import math
from itertools import pairwise
from typing import Any

import numpy as np

from refopt_backends import sine_transform

NEAR = 0.5  # deviation from the means that still makes a preconditioner, relative
_FLOAT32 = 1e-15, 1e15  # norms of vectors whose transforms neither vanish nor overflow
LONGEST = 2000  # side of a grid for which eigenvectors are stored


class Separable:
    """An approximate inverse of ``W + A' diag(s) A`` by transforms, in single precision."""

    name = "separable operator"

    def __init__(self, sides: list, weight: float, scale: float, shape: tuple[int, ...], xp: Any):
        self._shape = shape
        self._transform, waves = transforms(sides, xp)
        total = np.zeros(1)
        for values in waves:
            total = np.add.outer(total, values)
        inverse = 1.0 / (weight + scale * total.reshape(shape) ** 2)
        self._inverse = xp.asarray(inverse.astype(np.float32))

    def __call__(self, r: Any) -> Any:
        size = math.sqrt(float(r @ r)) or 1.0
        fits = _FLOAT32[0] < size < _FLOAT32[1]
        single = (r if fits else r / size).astype(np.float32)
        z = self._transform(single.reshape(self._shape), False)
        z *= self._inverse
        z = self._transform(z, True).ravel().astype(np.float64)
        return z if fits else size * z


def separable(reduced: Any) -> Separable | None:
    """The preconditioner, None where the operator is no such sum or its weights vary much."""
    W, s = reduced.hessian_diagonal, reduced.s
    weight, scale = float(W.mean()), float(s.mean())
    if not (weight > 0 and scale > 0 and float(abs(s - scale).max()) <= NEAR * scale):
        return None
    shape = grid_shape(reduced.structure.A)
    if shape is None:
        return None
    xp = reduced.structure.xp
    sides = one_dimensional(reduced.A, shape, xp)
    return None if sides is None else Separable(sides, weight, scale, shape, xp)


def grid_shape(A: Any) -> tuple[int, ...] | None:
    """Points along the sides of a grid whose nearest neighbours alone A couples, or None.

    At least two sides; the last one is that of neighbouring indices.
    """
    size = A.shape[0]
    row = int(np.argmax(np.diff(A.indptr)))
    offsets = A.indices[A.indptr[row] : A.indptr[row + 1]].astype(int) - row
    strides = [int(d) for d in offsets[offsets > 0]]
    if len(strides) < 2 or strides[0] != 1 or not np.array_equal(offsets, -offsets[::-1]):
        return None
    strides.append(size)
    if any(longer % stride for stride, longer in pairwise(strides)):
        return None
    shape = tuple(longer // stride for stride, longer in pairwise(strides))
    couplings = sum(2 * (size - size // side) for side in shape)
    return shape[::-1] if A.nnz == size + couplings and max(shape) <= LONGEST else None


def one_dimensional(A: Any, shape: tuple[int, ...], xp: Any) -> list | None:
    """Diagonals and off-diagonals of the T_k on the host, None where A is not near their sum."""
    sides, axes = [], range(len(shape))
    D = A.diagonal().reshape(shape)
    mean = float(D.mean())
    for k in axes:
        stride = math.prod(shape[k + 1 :])
        other = tuple(axis for axis in axes if axis != k)
        bands = []
        for offset in (stride, -stride):
            band = xp.zeros(A.shape[0])
            band[: A.shape[0] - stride] = A.diagonal(offset)
            bands.append(xp.moveaxis(band.reshape(shape), k, 0))
        off = (bands[0].mean(axis=tuple(axes[1:])) + bands[1].mean(axis=tuple(axes[1:]))) / 2
        near = NEAR * abs(off).reshape((-1,) + (1,) * (len(shape) - 1))
        if any((abs(band - off.reshape(near.shape)) > near).any() for band in bands):
            return None
        diagonal = D.mean(axis=other) - mean * (1.0 - 1.0 / len(shape))
        sides.append((_on_host(diagonal), _on_host(off[:-1])))
    return sides


def transforms(sides: list, xp: Any) -> tuple[Any, list]:
    """``transform(array, back)`` of a grid's array, and the eigenvalues along every side."""
    from scipy.fft import dstn, next_fast_len
    from scipy.linalg import eigh_tridiagonal

    constant = [_constant(*side) for side in sides]
    if all(constant) and all(next_fast_len(d.size + 1) == d.size + 1 for d, _ in sides):
        waves = [_sine_waves(*side) for side in sides]
        if xp is np:
            return lambda v, back: dstn(v, type=1, norm="ortho", overwrite_x=True), waves
        return lambda v, back: sine_transform(v), waves
    waves, bases, known = [], [], {}
    for side, simple in zip(sides, constant, strict=True):
        key = side[0].tobytes(), side[1].tobytes()
        if key not in known:
            values, Q = (
                (_sine_waves(*side), _sines(side[0].size)) if simple else (eigh_tridiagonal(*side))
            )
            known[key] = values, xp.asarray(Q.astype(np.float32))
        waves.append(known[key][0])
        bases.append(known[key][1])

    def transform(v, back):
        for Q in bases:  # the first axis becomes the last one
            v = xp.tensordot(v, Q.T if back else Q, axes=(0, 0))
        return v

    return transform, waves


def _on_host(v):
    return v.get() if hasattr(v, "get") else v


def _constant(diagonal, off):
    """Whether T_k is one number on the diagonal and another one beside it, nearly."""
    return all(np.ptp(part) <= 1e-3 * abs(part).max() for part in (diagonal, off))


def _sine_waves(diagonal, off):
    n = diagonal.size
    return diagonal.mean() + 2.0 * off.mean() * np.cos(np.pi / (n + 1) * np.arange(1, n + 1))


def _sines(n):
    k = np.arange(1, n + 1)
    return math.sqrt(2.0 / (n + 1)) * np.sin(np.pi / (n + 1) * np.outer(k, k))
