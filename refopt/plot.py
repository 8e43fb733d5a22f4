"""Pictures of convergence and of solutions. Needs matplotlib, the extra ``plot``.

Every function draws into the Axes that it is given, or the current ones, and
returns them. None shows a figure or changes a setting.

.. autosummary::

    convergence
    plan
    interpolation
"""

import numpy as np

from refopt.transport import transport_plan

__all__ = ["convergence", "interpolation", "plan"]


def convergence(result, ax=None, label=None, against="iteration"):
    """Draw the stopping measure of a run on a logarithmic scale.

    A circle marks the first iterate of each value of ``reg``: where a solver
    comes down from a larger regularisation, the error rises there.

    Parameters
    ----------
    result : OptimizeResult
        Of any solver of this library, with its ``history``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the current Axes.
    label : str, optional
        Name for the legend.
    against : {"iteration", "time"}, optional
        The horizontal axis: iterations, or seconds.

    Returns
    -------
    matplotlib.axes.Axes
        Those drawn into.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError
        `against` is unknown.

    Examples
    --------
    >>> import refopt.plot
    >>> res = refopt.sinkhorn_newton([[0.0, 1.0], [1.0, 0.0]], reg=0.01)
    >>> ax = refopt.plot.convergence(res)  # doctest: +SKIP
    """
    if against not in ("iteration", "time"):
        raise ValueError(f'against must be "iteration" or "time", got {against!r}')
    ax = _axes(ax)
    history = result.history
    measure = next(key for key in history if key not in ("time", "fun"))
    error = np.where(history[measure] > 0, history[measure], np.nan)  # no logarithm of 0
    where = history["time"] if against == "time" else np.arange(error.size)
    (line,) = ax.plot(where, error, label=label, lw=1.3)
    if "reg" in history:
        first = np.flatnonzero(np.diff(history["reg"], prepend=np.nan) != 0)
        if first.size > 1:
            ax.plot(where[first], error[first], "o", ms=4, mfc="white", color=line.get_color())
    ax.set_yscale("log")
    ax.set_xlabel("seconds" if against == "time" else "iteration")
    ax.set_ylabel(measure.replace("_", " "))
    return ax


def plan(result, X, Y, ax=None, most=None):
    """Draw two point clouds and the strongest couplings between them.

    Parameters
    ----------
    result : TransportResult
        Of `refopt.sinkhorn` or `refopt.sinkhorn_newton`.
    X : array_like, shape (n, d)
        Points of the rows, d >= 2. The first two coordinates are drawn.
    Y : array_like, shape (m, d)
        Points of the columns.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the current Axes.
    most : int, optional
        Number of couplings, the largest entries of the plan; by default three
        for each point of the rows.

    Returns
    -------
    matplotlib.axes.Axes
        Those drawn into.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError
        The points do not belong to the result.

    Examples
    --------
    >>> import numpy as np
    >>> import refopt.plot
    >>> X, Y = np.random.default_rng(0).random((2, 50, 2))
    >>> res = refopt.sinkhorn_newton(refopt.PointCloudCost(X, Y), reg=0.01)
    >>> ax = refopt.plot.plan(res, X, Y)  # doctest: +SKIP
    """
    X, Y = _points(X, "X", result.f), _points(Y, "Y", result.g)
    ax = _axes(ax)
    from matplotlib.collections import LineCollection

    rows, columns, mass = _couplings(result)
    most = 3 * len(X) if most is None else most
    if most < mass.size:
        largest = np.argsort(mass)[mass.size - most :]
        rows, columns, mass = rows[largest], columns[largest], mass[largest]
    lines = np.stack([X[rows], Y[columns]], axis=1)
    shades = np.zeros((mass.size, 4))
    shades[:, 3] = 0.4 * mass / mass.max(initial=1e-300)
    ax.add_collection(LineCollection([*lines], colors=[*shades], linewidths=0.5, zorder=1))
    for points, colour in ((X, "tab:blue"), (Y, "tab:orange")):
        ax.scatter(*points.T, s=3000 / (200 + len(points)), color=colour, lw=0, zorder=2)
    ax.set_aspect("equal")
    return ax


def interpolation(result, shape, times=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), ax=None):
    """Draw an image on its way into another, as a row of frames.

    At the time t the mass of the coupling (i, j) is at the point
    ``(1 - t) x_i + t y_j``, shared between the four pixels around it: the
    first image at 0, the second at 1.

    Parameters
    ----------
    result : TransportResult
        A plan between two images, pixels in row-major order.
    shape : (int, int)
        Height and width of both images.
    times : sequence of float, optional
        Between 0 and 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the current Axes.

    Returns
    -------
    matplotlib.axes.Axes
        Those drawn into.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError
        `shape` does not belong to the result, or a time is outside [0, 1].

    Examples
    --------
    >>> import refopt.plot
    >>> from refopt.problems import digits
    >>> problem = digits("l2", 20, 45)
    >>> res = refopt.sinkhorn_newton(problem.C, problem.a, problem.b, reg=0.01)
    >>> ax = refopt.plot.interpolation(res, (28, 28))  # doctest: +SKIP
    """
    height, width = shape
    if not result.f.shape[0] == result.g.shape[0] == height * width:
        raise ValueError(
            f"shape must have {result.f.shape[0]} and {result.g.shape[0]} pixels, got {shape}"
        )
    if not all(0 <= t <= 1 for t in times):
        raise ValueError(f"times must lie between 0 and 1, got {times}")
    ax = _axes(ax)
    rows, columns, mass = _couplings(result)
    pixels = np.indices(shape).reshape(2, -1).T.astype(float)
    x, y = pixels[rows], pixels[columns]
    frames = [_rasterised((1 - t) * x + t * y, mass, shape) for t in times]
    brightest = np.max(frames)
    ax.imshow(np.hstack(frames), cmap="Greys", vmin=0, vmax=brightest)
    for k in range(1, len(frames)):
        ax.axvline(k * width - 0.5, color="0.7", lw=0.8)
    ax.set_xticks([(k + 0.5) * width - 0.5 for k in range(len(frames))], [f"{t:g}" for t in times])
    ax.set_yticks([])
    return ax


def _rasterised(points, mass, shape):
    """Sum up masses on the pixel grid, bilinearly."""
    corner = np.minimum(points.astype(int), np.array(shape) - 2).clip(0)
    u, v = (points - corner).T
    image = np.zeros(np.array(shape) + 1)  # room for the neighbours of a single row or column
    for di, dj, share in (
        (0, 0, (1 - u) * (1 - v)),
        (0, 1, (1 - u) * v),
        (1, 0, u * (1 - v)),
        (1, 1, u * v),
    ):
        np.add.at(image, (corner[:, 0] + di, corner[:, 1] + dj), share * mass)
    return image[:-1, :-1]


def _couplings(result):
    """Rows, columns and masses of the plan, without what no eye can see."""
    entries = transport_plan(result, sparse=True, drop=1e-6).tocoo()
    return _host(entries.row), _host(entries.col), _host(entries.data)


def _points(points, name, potential):
    points = _host(points).astype(float)
    if points.ndim != 2 or points.shape[0] != potential.shape[0] or points.shape[1] < 2:
        raise ValueError(
            f"{name} must have shape ({potential.shape[0]}, 2) or wider, got {points.shape}"
        )
    return points[:, :2]


def _host(array):
    """A NumPy array; a picture is made on the host, wherever its data are."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


def _axes(ax):
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "refopt.plot needs matplotlib, which is not installed; pip install 'refopt[plot]'"
        ) from error
    return plt.gca()
