"""The pressure matrix on a grid of solid, fluid and air cells."""

from functools import cached_property

import numpy as np

from refopt import _validate
from refopt._namespace import HoldsNamespace
from refopt_backends import linear_operator, resolve, sparse_array

SOLID, FLUID, AIR = 0, 1, 2

# Cells below which the compiler is not woken.
SMALL = 20_000


class PoissonGrid(HoldsNamespace):
    """The matrix of a pressure Poisson problem on a grid of cells, never stored.

    For a fluid cell i with its neighbours j across the faces that are not solid,

    .. math::

        (A p)_i = \\frac{1}{h^2} \\sum_j w_{ij} (p_i - p_j),
        \\qquad p_j = 0 \\text{ in air,}

    symmetric, positive semidefinite, and singular only if some connected part of the fluid
    touches no air. Unknowns are the fluid cells in C order.

    Parameters
    ----------
    cells : array of int, 1 to 3 dimensions
        0 solid, 1 fluid, 2 air.
    h : float
        Side of a cell, in units of length.
    coefficient : tuple of array, optional
        Weights w >= 0 of the faces across each axis, as 1/density; along axis a one more than
        cells. Those of closed faces are not looked at. All 1 by default.
    outside : {"solid", "air"}
        What lies beyond the array.
    dtype : dtype
        Of products and of the stored matrix: float32 or
        float64. Sums are formed in float64.

    Attributes
    ----------
    n : int
        Number of unknowns.
    shape : tuple of int
        (n, n), as of a matrix.
    cells : array of int8
        A copy of the cells.
    h, coefficient, outside, dtype
        As given.
    flat_index : array of int, shape (n,)
        Where the unknowns are in ``cells.ravel()``.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be; the message names it.

    Notes
    -----
    Memory: one byte per cell, and three doubles more with a `coefficient`.

    Fields of the solver are *padded*: three axes, missing ones of extent 1 put first, the
    smallest block of cells that holds all fluid, one more layer on every side, zero in all cells
    that are not fluid. ``types``, ``degree`` (the sum of
    a cell's weights, as uint8 where all are 1), ``dirichlet`` (its part towards air) and
    ``face_weights`` (None where all are 1, else three fields of weights between a fluid cell
    and the next fluid cell along each axis, zero elsewhere) are such fields, without 1/h^2;
    `pad` and `unpad` go from vectors to padded fields and back.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt import PoissonGrid
    >>> A = PoissonGrid([2, 1, 1, 0])
    >>> A.tocsr().toarray()
    array([[ 2., -1.],
           [-1.,  1.]])
    >>> A.matvec(np.array([3.0, 1.0]))
    array([ 5., -2.])
    """

    def __init__(self, cells, *, h=1.0, coefficient=None, outside="solid", dtype=np.float64):
        self.outside = _validate.choice(outside, "outside", ("solid", "air"))
        self.h = _validate.positive(h, "h")
        if not 1e-150 <= self.h <= 1e150:  # 1/h^2 is formed
            raise ValueError(f"h must be between 1e-150 and 1e150, got {h}")
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, got {self.dtype}")
        cells = _validate.as_array(cells, "cells")
        self.xp, kernels = resolve(cells, small=cells.size < SMALL, names=("cells",))
        self.cells = _codes(self.xp, cells)
        types = padded_types(self.xp, self.cells, outside)
        box = _fluid_box(self.xp, types)
        self.types = self.xp.asarray(types[box], order="C", copy=True)
        self.coefficient = None
        self.face_weights = None
        if coefficient is None:
            self.degree, self.dirichlet = kernels.poisson_degree(self.types)
        else:
            self.coefficient = face_arrays(
                self.xp, coefficient, "coefficient", self.cells.shape, least=0.0
            )
            self.face_weights, self.degree, self.dirichlet = _weighted(
                self.xp, types, self.coefficient, box
            )
        self.n = int(self.xp.count_nonzero(self.cells == FLUID))
        self.shape = (self.n, self.n)

    def __repr__(self):
        extents = " x ".join(map(str, self.cells.shape))
        return f"<PoissonGrid of {extents} cells, {self.n} unknowns, {self.outside} outside>"

    @property
    def scale(self):
        """The factor 1/h^2 of the matrix."""
        return self.h**-2.0

    @cached_property
    def flat_index(self):
        return self.xp.nonzero(self.xp.reshape(self.cells, (-1,)) == FLUID)[0]

    @cached_property
    def padded_index(self):
        """Where the unknowns are in a padded field, in C order."""
        return self.xp.nonzero(self.xp.reshape(self.types, (-1,)) == FLUID)[0]

    def to_grid(self, x):
        """A vector of unknowns as an array of the cells' shape.

        Parameters
        ----------
        x : array, shape (n,)
            One value per fluid cell.

        Returns
        -------
        array
            0 in cells that are not fluid.
        """
        x = self._vector(x)
        grid = self.xp.zeros(self.cells.size, dtype=x.dtype)
        grid[self.flat_index] = x
        return self.xp.reshape(grid, self.cells.shape)

    def from_grid(self, X):
        """The values of an array in the fluid cells.

        Parameters
        ----------
        X : array
            Of the cells' shape.

        Returns
        -------
        array, shape (n,)
        """
        X = _validate.as_array(X, "X")
        if tuple(X.shape) != tuple(self.cells.shape):
            raise ValueError(
                f"X must have the cells' shape {tuple(self.cells.shape)}, got {tuple(X.shape)}"
            )
        return self.xp.reshape(X, (-1,))[self.flat_index]

    def pad(self, x, dtype=None):
        """A vector of unknowns as a padded field.

        Parameters
        ----------
        x : array, shape (n,)
            One value per fluid cell.
        dtype : dtype, optional
            As of `x` by default.

        Returns
        -------
        array, three axes
            A new one.
        """
        field = self.xp.zeros(self.types.size, dtype=dtype or x.dtype)
        field[self.padded_index] = x
        return self.xp.reshape(field, self.types.shape)

    def unpad(self, field):
        """The unknowns of a padded field.

        Parameters
        ----------
        field : array, three axes
            A padded field.

        Returns
        -------
        array, shape (n,)
            A new one.
        """
        return self.xp.take(self.xp.reshape(field, (-1,)), self.padded_index)

    def matvec(self, x):
        """The product A x.

        Parameters
        ----------
        x : array, shape (n,) or (n, 1)
            One value per fluid cell.

        Returns
        -------
        array
            Of the shape of `x`, in ``dtype``.
        """
        shape = tuple(getattr(x, "shape", ()))
        flat = self._vector(x)
        _, kernels = resolve(flat, small=self.types.size < SMALL, names=("x",))
        field = kernels.poisson_apply(self.degree, self.face_weights, self.pad(flat), self.scale)
        y = self.xp.astype(self.unpad(field), self.dtype, copy=False)
        return self.xp.reshape(y, shape) if len(shape) == 2 else y

    def __matmul__(self, x):
        return self.matvec(x)

    def diagonal(self):
        """The diagonal of the matrix.

        Returns
        -------
        array, shape (n,)
        """
        return self.xp.astype(self.unpad(self.degree), self.dtype) * self.dtype.type(self.scale)

    def tocsr(self):
        """The matrix with its entries stored.

        Returns
        -------
        scipy.sparse.csr_array or cupyx.scipy.sparse.csr_matrix
        """
        xp, size = self.xp, self.types.size
        own = xp.arange(self.n, dtype=xp.int32 if 7 * self.n < 2**31 else xp.int64)
        number = xp.full(size, -1, dtype=own.dtype)
        number[self.padded_index] = own
        rows, columns = [own], [own]
        values = [xp.astype(self.unpad(self.degree), xp.float64)]
        for axis in range(3):
            stride = int(np.prod(self.types.shape[axis + 1 :]))
            across = xp.take(number, self.padded_index + stride)
            weight = xp.ones(self.n)
            if self.face_weights is not None:
                weight = self.unpad(self.face_weights[axis])
            joined = (across >= 0) & (weight > 0)
            here, there, w = own[joined], across[joined], weight[joined]
            rows += [here, there]
            columns += [there, here]
            values += [-w, -w]
        A = sparse_array(
            xp.concat(values) * self.scale, xp.concat(rows), xp.concat(columns), self.shape
        )
        return A.astype(self.dtype)

    def aslinearoperator(self):
        """The matrix for SciPy's, or CuPy's, own solvers.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator or cupyx.scipy.sparse.linalg.LinearOperator
        """
        like = self.xp.empty(0, dtype=self.dtype)
        return linear_operator(self.matvec, self.shape, like)

    def labelled(self):
        """The connected parts of the fluid as a padded field.

        Returns
        -------
        labels : array of int32, three axes
            Numbers from 1 in the order of first cells, 0 where there is no fluid.
        grounded : array of bool, one per part
            Whether it touches air. Both are computed once: not to be written to.
        """
        return self._labelled

    @cached_property
    def _labelled(self):
        _, kernels = resolve(self.types, small=self.types.size < SMALL)
        return kernels.label_components(self.types, self.face_weights, self.dirichlet)

    def components(self):
        """The connected parts of the fluid, over faces of positive weight.

        Returns
        -------
        labels : array of int, shape (n,)
            The number of each unknown's part; parts are numbered from 0 in the order of their
            first unknowns.
        grounded : array of bool, one per part
            Whether it touches air, and so has a unique solution.
        """
        labels, grounded = self._labelled
        return self.unpad(labels) - 1, self.xp.asarray(grounded, copy=True)

    def nullspace(self):
        """Orthonormal vectors that the matrix maps to zero.

        Returns
        -------
        scipy.sparse.csr_array or cupyx.scipy.sparse.csr_matrix, shape (n, k)
            One column for each part of the fluid that touches no air: constant there, zero
            elsewhere.
        """
        xp = self.xp
        labels, grounded = self.components()
        sizes = xp.bincount(labels, minlength=grounded.shape[0])
        floating = ~grounded
        column = xp.cumsum(xp.astype(floating, xp.int64)) - 1
        rows = xp.nonzero(floating[labels])[0]
        part = labels[rows]
        return sparse_array(
            1.0 / xp.sqrt(xp.astype(sizes[part], xp.float64)), rows, column[part],
            (self.n, int(xp.count_nonzero(floating))),
        )  # fmt: skip

    def _vector(self, x):
        x = _validate.as_array(x, "x")
        if tuple(x.shape) not in ((self.n,), (self.n, 1)):
            raise ValueError(
                f"x must have shape ({self.n},), one value per fluid cell, got {tuple(x.shape)}"
            )
        return _validate.real_array(self.xp, self.xp.reshape(x, (-1,)), "x", 1)


def _codes(xp, cells):
    """The cells as int8 of their own memory."""
    kind = _validate.dtype_name(cells)
    if kind.startswith("complex"):
        raise TypeError(f"cells must be real, got dtype {kind}")
    if not kind.startswith(("int", "uint", "bool", "float")):
        raise TypeError(f"cells must hold integers, got dtype {kind}")
    if cells.ndim not in (1, 2, 3) or cells.size == 0:
        raise ValueError(
            f"cells must have 1 to 3 dimensions and not be empty, got shape {tuple(cells.shape)}"
        )
    if kind == "int8" and int(xp.min(cells)) >= 0 and int(xp.max(cells)) <= 2:
        return xp.asarray(cells, copy=True)
    small = xp.astype(xp.where((cells >= 0) & (cells <= 2), cells, -1), xp.int8)
    wrong = (small != cells) | (small < 0)
    if bool(xp.any(wrong)):
        where = _validate.first_place(xp, cells, wrong)
        raise ValueError(f"cells must be 0 (solid), 1 (fluid) or 2 (air), got {where}")
    return small


def padded(xp, field, inside, beyond):
    """A field of cells in three axes, with a layer on every side.

    Missing axes are put first; `beyond` them lies `inside`, as nothing is there.
    """
    missing = 3 - field.ndim
    shape = (1,) * missing + tuple(field.shape)
    out = xp.full(tuple(n + 2 for n in shape), inside, dtype=field.dtype)
    out[(slice(1, -1),) * missing] = beyond
    out[1:-1, 1:-1, 1:-1] = xp.reshape(field, shape)
    return out


def padded_types(xp, cells, outside):
    """All cells, and what lies beyond them, as a padded field."""
    return padded(xp, cells, SOLID, AIR if outside == "air" else SOLID)


def _fluid_box(xp, types):
    """The part of a padded field that holds all fluid, and a layer on every side."""
    fluid = types == FLUID
    plane = xp.any(fluid, axis=0)
    along = (xp.any(xp.reshape(fluid, (fluid.shape[0], -1)), axis=1),)
    along += (xp.any(plane, axis=1), xp.any(plane, axis=0))
    box = []
    for there in along:
        places = xp.nonzero(there)[0]
        first, last = (int(places[0]), int(places[-1])) if places.shape[0] else (1, 1)
        box.append(slice(first - 1, last + 2))
    return tuple(box)


def face_arrays(xp, arrays, name, shape, least=None):
    """One finite float64 array per axis, of the shape of the faces across it."""
    shapes = [tuple(n + (a == axis) for a, n in enumerate(shape)) for axis in range(len(shape))]
    if not isinstance(arrays, tuple | list) or len(arrays) != len(shape):
        got = f"{len(arrays)}" if isinstance(arrays, tuple | list) else type(arrays).__name__
        raise ValueError(
            f"{name} must be a tuple of {len(shape)} arrays of faces, one per axis, of shapes "
            f"{', '.join(map(str, shapes))}, got {got}"
        )
    checked = []
    for axis, array in enumerate(arrays):
        own = f"{name}[{axis}]"
        array = _validate.as_array(array, own)
        resolve(array, xp.zeros(1), names=(own, "cells"))
        if tuple(array.shape) != shapes[axis]:
            raise ValueError(f"{own} must have shape {shapes[axis]}, got {tuple(array.shape)}")
        array = _validate.real_array(xp, array, own, len(shape))
        _validate.all_finite(xp, array, own)
        if least is not None and float(xp.min(array)) < least:
            where = _validate.first_place(xp, array, array < least)
            raise ValueError(f"{own} must be at least {least}, got {where}")
        checked.append(xp.asarray(array, dtype=xp.float64, copy=True))
    return tuple(checked)


def _weighted(xp, types, coefficient, box):
    """Weights between fluid cells, degree and its part towards air, in a part of all cells."""
    missing = 3 - len(coefficient)
    fluid, air = types == FLUID, types == AIR
    dirichlet = xp.zeros(types.shape)
    degree = xp.zeros(types.shape)
    weights = []
    for axis in range(3):
        weight = xp.zeros(types.shape)
        if axis >= missing:
            inner = tuple(slice(0, -1) if a == axis else slice(1, -1) for a in range(3))
            outer = tuple(slice(1, None) if a == axis else slice(1, -1) for a in range(3))
            faces = coefficient[axis - missing]
            faces = xp.reshape(faces, weight[inner].shape)
            weight[inner] = xp.where(fluid[inner] & fluid[outer], faces, 0.0)
            dirichlet[inner] += xp.where(fluid[inner] & air[outer], faces, 0.0)
            dirichlet[outer] += xp.where(fluid[outer] & air[inner], faces, 0.0)
            degree[inner] += weight[inner]
            degree[outer] += weight[inner]
        weights.append(weight)
    fields = (*weights, degree + dirichlet, dirichlet)
    w0, w1, w2, *rest = (xp.asarray(field[box], order="C", copy=True) for field in fields)
    return (w0, w1, w2), *rest
