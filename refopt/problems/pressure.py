"""Scenes of fluid simulation: cells of a grid, and velocities to be freed of divergence.

Every generator is a function of its arguments only. Numbers are drawn in the order of the text.
"""

import numpy as np

__all__ = ["pressure_scene", "swirl_velocity"]

SOLID, FLUID, AIR = 0, 1, 2


def pressure_scene(kind, shape, seed=5, *, solid=0.3, cutoff=8.0, spacing=7, seal=True):
    """Draw the cells of a scene in three dimensions, the last axis pointing up.

    Parameters
    ----------
    kind : {"box", "room", "smoke", "dam", "porous", "walls"}
        ``"box"``: fluid everywhere, to be taken with air outside. ``"room"``: closed walls, an
        open top. ``"smoke"``: a room with spheres, rods and boxes in it. ``"dam"``: a column of
        water breaking over a pool, with drops in the air and pillars. ``"porous"``: a room
        filled with a random medium. ``"walls"``: a room parted by walls of one cell with a slit
        in each.
    shape : int or tuple of three int
        Numbers of cells; an int stands for a cube.
    seed : int, default 5
        Seed of `numpy.random.default_rng`. The kinds box, room and walls draw nothing.
    solid : float
        Share of solid cells in a porous medium.
    cutoff : float
        Spatial frequency above which a porous medium has little structure.
    spacing : int
        Cells from wall to wall.
    seal : bool
        Whether fluid from which no air can be reached becomes solid. A box stays as it is.

    Returns
    -------
    ndarray of int8, shape `shape`
        0 solid, 1 fluid, 2 air.

    Raises
    ------
    ValueError
        An unknown `kind`, or a `shape` that is no three positive numbers.
    """
    shape = _three(shape)
    rng = np.random.default_rng(seed)
    X = _centres(shape)
    if kind == "box":
        return np.full(shape, FLUID, np.int8)
    if kind == "room":
        cells = _closed(np.full(shape, FLUID, np.int8), AIR)
    elif kind == "smoke":
        cells = _closed(_smoke(X, shape, rng), AIR)
    elif kind == "dam":
        cells = _closed(_dam(X, shape, rng), SOLID)
    elif kind == "porous":
        cells = _closed(_porous(shape, rng, solid, cutoff), AIR)
    elif kind == "walls":
        cells = _closed(_walls(shape, spacing), AIR)
    else:
        raise ValueError(
            f"kind must be 'box', 'room', 'smoke', 'dam', 'porous' or 'walls', got {kind!r}"
        )
    return _sealed(cells) if seal else cells


def swirl_velocity(shape, seed=6):
    """Draw a velocity with vortices, an updraught and noise, on the faces of cells.

    Parameters
    ----------
    shape : int or tuple of three int
        Numbers of cells; an int stands for a cube.
    seed : int, default 6
        Seed of `numpy.random.default_rng`.

    Returns
    -------
    tuple of three ndarray
        Component a lives on the faces across axis a, one more than cells along that axis.
    """
    shape = _three(shape)
    rng = np.random.default_rng(seed)
    faces = [tuple(n + (a == axis) for a, n in enumerate(shape)) for axis in range(3)]
    u = [0.25 * rng.standard_normal(face) for face in faces]
    length = max(shape)

    def coordinates(axis):  # of the centres of the faces across an axis
        grid = np.ogrid[tuple(slice(0, n) for n in faces[axis])]
        return [(i + 0.5 * (a != axis)) / length for a, i in enumerate(grid)]

    X0, X1, X2 = coordinates(0)
    u[0] += 1.5 * np.sin(6 * X1 + 1) * np.cos(8 * X2) + 0 * X0
    X0, X1, X2 = coordinates(1)
    u[1] += np.cos(5 * X0) * np.sin(4 * X2) + 0 * X1
    X0, X1, X2 = coordinates(2)
    u[2] += 2.5 * np.exp(-((X0 - 0.5) ** 2 + (X1 - 0.5) ** 2 + (X2 - 0.25) ** 2) / 0.03)
    return tuple(u)


def _three(shape):
    sizes = (shape,) * 3 if np.ndim(shape) == 0 else tuple(shape)
    if len(sizes) != 3 or any(int(n) != n or n < 1 for n in sizes):
        raise ValueError(f"shape must be a positive integer or three of them, got {shape!r}")
    return tuple(int(n) for n in sizes)


def _centres(shape):
    """Coordinates of the cells' centres, the longest axis from 0 to 1."""
    return [(i + 0.5) / max(shape) for i in np.ogrid[tuple(slice(0, n) for n in shape)]]


def _within(X, centre, radius):
    return sum((x - c) ** 2 for x, c in zip(X, centre, strict=True)) < radius**2


def _closed(cells, top):
    for axis in (0, 1):
        side = np.moveaxis(cells, axis, 0)
        side[0] = side[-1] = SOLID
    cells[:, :, 0] = SOLID
    cells[:, :, -1] = top
    return cells


def _smoke(X, shape, rng):
    cells = np.full(shape, FLUID, np.int8)
    for _ in range(5):
        centre = rng.uniform(0.2, 0.8, 3)
        cells[_within(X, centre, rng.uniform(0.06, 0.15))] = SOLID
    for _ in range(3):  # rods along the first axis
        centre = rng.uniform(0.15, 0.85, 2)
        rod = _within(X[1:], centre, rng.uniform(0.02, 0.05))
        cells[np.broadcast_to(rod, shape)] = SOLID
    for _ in range(3):
        low = rng.uniform(0.1, 0.7, 3)
        high = low + rng.uniform(0.04, 0.2, 3)
        inside = [(lo <= x) & (x < hi) for x, lo, hi in zip(X, low, high, strict=True)]
        cells[inside[0] & inside[1] & inside[2]] = SOLID
    return cells


def _dam(X, shape, rng):
    cells = np.full(shape, AIR, np.int8)
    phase = rng.uniform(0, 2 * np.pi, 2)
    surface = 0.18 + 0.05 * np.sin(9 * X[0] + phase[0]) * np.cos(7 * X[1] + phase[1])
    cells[X[2] < surface] = FLUID
    cells[np.broadcast_to((X[0] < 0.4) & (X[2] < 0.7), shape)] = FLUID
    for _ in range(15):
        centre = rng.uniform((0.1, 0.1, 0.3), (0.9, 0.9, 0.9))
        cells[_within(X, centre, rng.uniform(0.012, 0.05))] = FLUID
    for _ in range(3):
        centre = rng.uniform(0.2, 0.8, 2)
        pillar = (abs(X[0] - centre[0]) < 0.035) & (abs(X[1] - centre[1]) < 0.035)
        cells[np.broadcast_to(pillar, shape)] = SOLID
    return cells


def _porous(shape, rng, solid, cutoff):
    k = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij", sparse=True)
    decay = np.exp(-sum(q**2 for q in k) / (2 * cutoff**2))
    field = np.fft.ifftn(np.fft.fftn(rng.standard_normal(shape)) * decay).real
    return np.where(field > np.quantile(field, 1 - solid), SOLID, FLUID).astype(np.int8)


def _walls(shape, spacing):
    cells = np.full(shape, FLUID, np.int8)
    for i in range(spacing - 1, shape[0] - 1, spacing):
        cells[i] = SOLID
        cells[i, :, 2 + (5 * i) % max(1, shape[2] - 4)] = FLUID
    return cells


def _sealed(cells):
    """Fluid from which no air can be reached becomes solid."""
    from scipy import ndimage

    labels, count = ndimage.label(cells != SOLID)
    airy = np.zeros(count + 1, bool)
    airy[labels[cells == AIR]] = True
    return np.where((cells == FLUID) & ~airy[labels], np.int8(SOLID), cells)
