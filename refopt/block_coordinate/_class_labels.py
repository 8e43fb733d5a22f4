"""Class labels of a classification problem, as users write them."""

from typing import Any

import numpy as np

from refopt import _validate
from refopt_backends import unique_values

_SHOWN = 8
_PAIRS = ((-1, 1), (0, 1))


def signs(xp: Any, y: Any, n: int, name: str = "y") -> tuple[Any, Any]:
    """Labels {0, 1}, {-1, 1} or booleans as -1.0 and 1.0.

    Returns
    -------
    y : array of float64, shape (n,)
    classes : array
        The labels that -1 and 1 stand for; of one class only that one.

    Raises
    ------
    TypeError, ValueError
        Not n numbers, or other classes, which the message lists.
    """
    y = _validate.as_array(y, name)
    if isinstance(y, np.ndarray) and y.dtype.kind == "O" and y.ndim == 1:
        y = _same_kind(y)
    kind = _validate.dtype_name(y)
    if isinstance(y, np.ndarray) and y.dtype.kind in "USO":
        found = _listed(np.unique(y.astype(str)))
        raise ValueError(f"{name} must hold 0 and 1, or -1 and 1, or booleans, got {found}")
    labels = _validate.all_finite(xp, _validate.real_array(xp, y, name, 1), name)
    if labels.shape[0] != n:
        raise ValueError(f"{name} must have one label per row of X, {n}, got {labels.shape[0]}")
    classes = xp.sort(unique_values(labels))
    found = tuple(float(c) for c in classes[: min(3, classes.shape[0])])
    if not any(set(found) <= set(pair) for pair in _PAIRS):
        raise ValueError(
            f"{name} must hold 0 and 1, or -1 and 1, or booleans, got {_listed(classes)}"
        )
    positive = labels > 0
    values = xp.where(positive, xp.ones(n), -xp.ones(n))
    return values, classes > 0 if kind == "bool" else xp.astype(classes, y.dtype)


def codes(xp: Any, labels: Any, n: int, name: str = "labels") -> tuple[Any, Any]:
    """Labels of any kind as numbers 0..K-1 of the sorted classes.

    Returns
    -------
    codes : array of int64, shape (n,)
    classes : array, shape (K,)
        A NumPy array where the labels are strings.

    Raises
    ------
    TypeError, ValueError
        Not one label per row, NaN among them.
    """
    labels = _validate.as_array(labels, name)
    if labels.ndim != 1 or labels.shape[0] != n:
        shape = tuple(labels.shape)
        raise ValueError(f"{name} must have one label per row of X, {n}, got shape {shape}")
    if isinstance(labels, np.ndarray):
        if labels.dtype.kind == "c":
            raise TypeError(f"{name} must be real, got dtype {labels.dtype}")
        if labels.dtype.kind not in "iubfUSO":
            raise TypeError(f"{name} must hold numbers or strings, got dtype {labels.dtype}")
        if labels.dtype.kind == "O":
            labels = labels.astype(str)
        if labels.dtype.kind == "f":
            _validate.all_finite(np, labels, name)
        classes, number = np.unique(labels, return_inverse=True)
        return xp.asarray(number.reshape(-1).astype(np.int64)), classes
    _validate.all_finite(xp, _validate.real_array(xp, labels, name, 1), name)
    classes = xp.sort(unique_values(labels))
    return xp.astype(xp.searchsorted(classes, labels), xp.int64), classes


def row_weights(xp: Any, weights: Any, n: int, name: str = "sample_weight") -> Any:
    """Nonnegative weights of the rows in float64, ones by default."""
    if weights is None:
        return xp.ones(n)
    weights = _validate.real_array(xp, _validate.as_array(weights, name), name, 1)
    weights = xp.astype(_validate.all_finite(xp, weights, name), xp.float64, copy=False)
    if weights.shape[0] != n:
        raise ValueError(f"{name} must have one weight per row of X, {n}, got {weights.shape[0]}")
    if bool(xp.any(weights < 0)):
        where = _validate.first_place(xp, weights, weights < 0)
        raise ValueError(f"{name} must be nonnegative, got {where}")
    if not bool(xp.any(weights > 0)):
        raise ValueError(f"{name} must have a positive entry, got zeros only")
    return weights


def _same_kind(y):
    """Python's numbers or booleans, as tables hold them in columns of objects, as an array."""
    kinds = {type(v) for v in y}
    return np.asarray(y.tolist()) if (kinds and kinds <= {bool}) or kinds <= {int, float} else y


def _listed(classes):
    shown = ", ".join(str(c) for c in classes[:_SHOWN])
    more = f", ... ({len(classes)} in all)" if len(classes) > _SHOWN else ""
    return f"the classes {shown}{more}"
