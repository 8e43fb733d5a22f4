"""Diagnoses of breast tumours from cell nuclei: the Wisconsin data, bundled with the library.

Source and licence: ``refopt/problems/data/README.md``.
"""

from functools import cache
from importlib.resources import files

import numpy as np

from .regression import RegressionProblem

__all__ = ["breast_cancer"]


def breast_cancer(products=False):
    """Return the 569 tumours: features of cell nuclei, and +1 for a malignant one.

    Ten measures of a nucleus (radius, texture, ..., fractal dimension), each by
    its mean, its standard error and its largest value over the nuclei of one
    image. Columns are standardised: mean 0, standard deviation 1.

    Parameters
    ----------
    products : bool, default False
        Whether to append the 465 products of two (not necessarily different)
        standardised features, standardised again.

    Returns
    -------
    RegressionProblem
        X of shape (569, 30) or (569, 495) in Fortran order, y of -1 and +1.

    References
    ----------
    .. [1] W. Wolberg, O. Mangasarian, N. Street, W. Street, "Breast Cancer Wisconsin
       (Diagnostic)", UCI Machine Learning Repository, 1993, :doi:`10.24432/C5DW2B`, CC BY 4.0.

    Examples
    --------
    >>> from refopt.problems import breast_cancer
    >>> problem = breast_cancer(products=True)
    >>> problem.shape, int((problem.y > 0).sum())
    ((569, 495), 212)
    """
    features, malignant = _load()
    X = _standardised(features)
    if products:
        first, second = np.triu_indices(X.shape[1])
        X = np.hstack((X, _standardised(X[:, first] * X[:, second])))
    name = "breast-cancer-products" if products else "breast-cancer"
    return RegressionProblem(name, np.asfortranarray(X), np.where(malignant, 1.0, -1.0))


@cache
def _load():
    path = files(__package__) / "data" / "breast_cancer.npz"
    with path.open("rb") as stream, np.load(stream) as data:
        return data["features"], data["malignant"]


def _standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)
