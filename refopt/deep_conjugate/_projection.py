"""Velocities freed of their divergence, on the faces of a grid of cells."""

from refopt.deep_conjugate._direction import deep_conjugate_direction
from refopt.deep_conjugate._poisson_grid import (
    SOLID,
    PoissonGrid,
    face_arrays,
    padded,
    padded_types,
)


def poisson_rhs(cells, velocity, *, h=1.0, outside="solid"):
    """Right-hand side of the pressure equation: minus the divergence in fluid cells.

    .. math::

        b_i = -\\frac{1}{h} \\sum_a (u_{a, \\text{far}} - u_{a, \\text{near}}),

    with u = 0 on closed faces, those with a solid cell on either side.

    Parameters
    ----------
    cells : array of int, 1 to 3 dimensions
        0 solid, 1 fluid, 2 air.
    velocity : tuple of array
        Component a on the faces across axis a, one more than cells along that axis.
    h : float
        Side of a cell.
    outside : {"solid", "air"}
        What lies beyond the array.

    Returns
    -------
    array, shape (n,)
        One value per fluid cell, in C order, float64.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be; the message names it.

    See Also
    --------
    project : Solves and subtracts the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt import poisson_rhs
    >>> poisson_rhs([2, 1, 1, 0], (np.array([0.0, 1.0, 3.0, 5.0, 0.0]),))
    array([-2.,  3.])
    """
    grid = PoissonGrid(cells, h=h, outside=outside)
    return _right_hand_side(grid, _velocity(grid, velocity))


def project(
    cells,
    velocity,
    *,
    h=1.0,
    coefficient=None,
    outside="solid",
    model=None,
    rtol=1e-5,
    full_output=False,
    **options,
):
    """Free a velocity of its divergence by the gradient of a pressure.

    .. math::

        u \\leftarrow u - w \\nabla p, \\qquad
        -\\nabla \\cdot (w \\nabla p) = -\\nabla \\cdot u \\text{ in fluid cells,}

    with p = 0 in air and no flow through closed faces, those with a solid cell on either side.

    Parameters
    ----------
    cells : array of int, 1 to 3 dimensions
        0 solid, 1 fluid, 2 air.
    velocity : tuple of array
        Component a on the faces across axis a, one more than cells along that axis.
    h : float
        Side of a cell.
    coefficient : tuple of array, optional
        Weights w >= 0 of the faces, as 1/density, of the shapes of `velocity`; all 1 by default.
    outside : {"solid", "air"}
        What lies beyond the array.
    model : optional
        As of `deep_conjugate_direction`.
    rtol : float
        Stops when the divergence in fluid cells is ``rtol`` times that of `velocity`, in the
        2-norm; of parts of the fluid that touch no air, but for its mean, which no pressure
        can change.
    full_output : bool
        Return the full result in place of `info`; its `x` is the pressure in fluid cells.
    **options
        Further options of `deep_conjugate_direction`.

    Returns
    -------
    velocity : tuple of array
        New arrays, float64; 0 on closed faces.
    info : int or OptimizeResult
        As of `deep_conjugate_direction`.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be; the message names it.

    See Also
    --------
    deep_conjugate_direction : The solver.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt import poisson_rhs, project
    >>> from refopt.problems import pressure_scene, swirl_velocity
    >>> cells, u = pressure_scene("smoke", 16), swirl_velocity(16)
    >>> v, info = project(cells, u)
    >>> before, after = (np.linalg.norm(poisson_rhs(cells, w)) for w in (u, v))
    >>> info, bool(after <= 1e-5 * before)
    (0, True)
    """
    grid = PoissonGrid(cells, h=h, coefficient=coefficient, outside=outside)
    u = _velocity(grid, velocity)
    b = _right_hand_side(grid, u)
    p, info = deep_conjugate_direction(
        grid, b, model, rtol=rtol, full_output=full_output, **options
    )
    return _without_gradient(grid, u, p), info


def _velocity(grid, velocity):
    """Copies of the components, 0 on closed faces."""
    velocity = face_arrays(grid.xp, velocity, "velocity", grid.cells.shape)
    types = padded_types(grid.xp, grid.cells, grid.outside)
    for u, (near, far) in zip(velocity, _sides(grid, types), strict=True):
        u[...] = grid.xp.where((near != SOLID) & (far != SOLID), u, 0.0)
    return velocity


def _sides(grid, field):
    """For each axis of the cells, a padded field before and behind the faces across it."""
    missing = 3 - grid.cells.ndim
    for axis in range(missing, 3):
        near = tuple(slice(0, -1) if a == axis else slice(1, -1) for a in range(3))
        far = tuple(slice(1, None) if a == axis else slice(1, -1) for a in range(3))
        shape = tuple(n + (a == axis - missing) for a, n in enumerate(grid.cells.shape))
        yield grid.xp.reshape(field[near], shape), grid.xp.reshape(field[far], shape)


def _right_hand_side(grid, velocity):
    total = 0.0
    for axis, u in enumerate(velocity):
        near = tuple(slice(0, -1) if a == axis else slice(None) for a in range(u.ndim))
        far = tuple(slice(1, None) if a == axis else slice(None) for a in range(u.ndim))
        total = total + (u[near] - u[far])
    return grid.from_grid(total) / grid.h


def _without_gradient(grid, velocity, p):
    weights = grid.coefficient or (1.0,) * len(velocity)
    types = _sides(grid, padded_types(grid.xp, grid.cells, grid.outside))
    pressure = _sides(grid, padded(grid.xp, grid.to_grid(p), 0.0, 0.0))
    for u, w, kinds, (near, far) in zip(velocity, weights, types, pressure, strict=True):
        is_open = (kinds[0] != SOLID) & (kinds[1] != SOLID)
        u -= grid.xp.where(is_open, w * (far - near) / grid.h, 0.0)
    return velocity
