"""Two synthetic photographs, and the colour-transfer problem between their palettes."""

import numpy as np

from .transport import TransportProblem, _short

__all__ = ["colour_images", "colour_transfer"]


def colour_images(height=96, width=128, seed=1):
    """Paint a sunset over the sea and a forest in morning light.

    Parameters
    ----------
    height, width : int
        Size of both images in pixels.
    seed : int, default 1
        Seed of `numpy.random.default_rng`.

    Returns
    -------
    sunset : ndarray, shape (height, width, 3)
        RGB values in [0, 1].
    forest : ndarray, shape (height, width, 3)
        RGB values in [0, 1].
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return _sunset(x, y, rng), _forest(x, y, rng)


def colour_transfer(n=1000, m=1000, rel=1e-3, seed=1):
    """Transport the colours of a sunset onto those of a forest.

    Parameters
    ----------
    n, m : int
        Number of pixels drawn from the sunset and from the forest.
    rel : float, default 1e-3
        Regularisation relative to the largest cost.
    seed : int, default 1
        Seed of `numpy.random.default_rng`, for the images and the pixels.

    Returns
    -------
    TransportProblem
        ``X`` and ``Y`` are points of the RGB cube, the cost is their squared
        Euclidean distance, the masses are uniform.
    """
    rng = np.random.default_rng(seed)
    X, Y = (
        image.reshape(-1, 3)[rng.integers(image.size // 3, size=count)]
        for image, count in zip(colour_images(seed=seed), (n, m), strict=True)
    )
    C = ((X[:, None, :] - Y[None, :, :]) ** 2).sum(-1)
    name = f"colours-{n}-{m}-{_short(rel)}"
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    return TransportProblem(name, C, a, b, rel * C.max(), X, Y, "sqeuclidean")


def _sunset(x, y, rng):
    """Sky from violet to orange, a sun, its glitter on dark water."""
    stops = [0.0, 0.3, 0.5, 0.62]
    sky = _gradient(
        y, stops, [(0.16, 0.12, 0.35), (0.62, 0.25, 0.42), (0.95, 0.48, 0.25), (1.0, 0.78, 0.42)]
    )
    sun = np.exp(-(((x - 0.62) ** 2 + 0.6 * (y - 0.52) ** 2) / 0.006))
    water = _gradient(y, [0.62, 1.0], [(0.72, 0.38, 0.30), (0.08, 0.09, 0.22)])
    glitter = np.exp(-((x - 0.62) ** 2) / 0.01) * (rng.random(x.shape) < 0.35)
    image = np.where((y < 0.62)[..., None], sky, water)
    light = np.where(y < 0.62, sun, 0.5 * glitter)[..., None]
    return _finish(image + light * (np.array([1.0, 0.93, 0.7]) - image), rng)


def _forest(x, y, rng):
    """Canopy, undergrowth and trunks, lit from the upper left."""
    image = _gradient(
        y,
        [0.0, 0.45, 0.8, 1.0],
        [(0.55, 0.72, 0.38), (0.20, 0.42, 0.14), (0.12, 0.24, 0.09), (0.30, 0.22, 0.12)],
    )
    leaves = sum(
        np.sin(k * (x * c + y * s)) for k, c, s in rng.uniform(-1, 1, (12, 3)) * (60, 1, 1)
    )
    image = image * (1 + 0.08 * leaves[..., None])
    shade = np.clip((y - 0.1) / 0.2, 0, 1)[..., None]  # the trunks vanish into the canopy
    centres = (np.arange(7) + rng.random(7)) / 7
    for centre, width in zip(centres, rng.uniform(0.008, 0.025, 7), strict=True):
        bark = np.exp(-(((x - centre) / width) ** 4))[..., None] * shade
        image = image + bark * (np.array([0.26, 0.17, 0.10]) - image)
    beam = np.exp(-((x - 0.2 - 0.5 * y) ** 2) / 0.01)[..., None]
    return _finish(image + 0.35 * beam * (np.array([0.95, 0.95, 0.70]) - image), rng)


def _gradient(y, stops, colours):
    """Interpolate linearly between colours at the given heights."""
    return np.stack([np.interp(y, stops, channel) for channel in zip(*colours, strict=True)], -1)


def _finish(image, rng):
    """Add film grain and keep the values in [0, 1]."""
    return np.clip(image + 0.02 * rng.standard_normal(image.shape), 0, 1)
