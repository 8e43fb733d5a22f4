"""The first 1000 handwritten digits of the UCI collection, bundled with the library.

Source and licence: ``refopt/problems/data/README.md``.
"""

from functools import cache
from importlib.resources import files

import numpy as np

from .regression import RegressionProblem

__all__ = ["digit_from_others", "digit_image", "load_digits"]


@cache
def load_digits():
    """Return the bundled images of handwritten digits and their labels.

    Returns
    -------
    images : ndarray of uint8, shape (1000, 8, 8)
        Grey levels 0 (paper) to 16 (ink), read-only. ``images[i]`` is
        ``sklearn.datasets.load_digits().images[i]``.
    labels : ndarray of uint8, shape (1000,)
        The digit that each image shows, read-only.

    References
    ----------
    .. [1] E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits",
       UCI Machine Learning Repository, 1998, :doi:`10.24432/C50P49`, CC BY 4.0.

    Examples
    --------
    >>> from refopt.problems import load_digits
    >>> images, labels = load_digits()
    >>> images.shape, labels[:10]
    ((1000, 8, 8), array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], dtype=uint8))
    """
    with (files(__package__) / "data" / "digits.npz").open("rb") as stream, np.load(stream) as data:
        images, labels = data["images"], data["labels"]
    images.flags.writeable = labels.flags.writeable = False  # one cached copy for every caller
    return images, labels


def digit_image(index, zoom=3.5):
    """Return one digit, enlarged by linear interpolation.

    Parameters
    ----------
    index : int
        Which image, 0 to 999.
    zoom : float, default 3.5
        Enlargement of the 8 x 8 image. The default gives 28 x 28 pixels.

    Returns
    -------
    ndarray of float64
        Non-negative grey levels.
    """
    from scipy.ndimage import zoom as enlarge

    images, _ = load_digits()
    if not 0 <= index < len(images):
        raise ValueError(f"index must be in 0..{len(images) - 1}, the bundled images; got {index}")
    image = images[index].astype(float)
    return np.clip(enlarge(image, zoom, order=1), 0, None)


def digit_from_others(index=0):
    """Return the task of composing one handwritten digit of few of the other 999.

    Its Lasso picks images that resemble the one asked for; most of them show the
    same digit.

    Parameters
    ----------
    index : int, default 0
        Which image is to be composed, 0 to 999.

    Returns
    -------
    RegressionProblem
        X of shape (64, 999), one image of norm 1 per column, in their order
        without the chosen one; y of norm 1.

    Examples
    --------
    >>> from refopt.problems import digit_from_others
    >>> digit_from_others(7).shape
    (64, 999)
    """
    images, _ = load_digits()
    if not 0 <= index < len(images):
        raise ValueError(f"index must be in 0..{len(images) - 1}, the bundled images; got {index}")
    columns = images.reshape(len(images), -1).T.astype(float)
    columns /= np.linalg.norm(columns, axis=0)
    X = np.asfortranarray(np.delete(columns, index, axis=1))
    return RegressionProblem(f"digit-from-others-{index}", X, columns[:, index].copy())
