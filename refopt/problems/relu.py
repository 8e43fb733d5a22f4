"""Two-layer ReLU networks to be trained: real data with a split, spirals, a teacher.

Columns are standardised and a constant one is appended, whose weights are
regularised like the others.
"""

from dataclasses import dataclass

import numpy as np

from .breast_cancer import _load as _tumours

__all__ = ["RELU_INSTANCES", "ReLUProblem", "relu_instance", "relu_spirals", "relu_teacher"]

# name -> data, loss, seed of the split, seed of the gates, number of gates, ratio of beta
_RECIPES = {
    "breast-cancer": ("tumours", "squared", 0, 1, 50, 0.01),
    "breast-cancer-hinge": ("tumours", "hinge", 0, 1, 50, 0.01),
    "breast-cancer-logistic": ("tumours", "logistic", 0, 1, 50, 0.01),
    "diabetes": ("diabetes", "squared", 1, 1, 50, 0.03),
    "digits-3-8": ("threes", "squared", 0, 1, 50, 0.01),
    "spirals": ("spirals", "squared", 1, 1, 200, 0.003),
    "line": ("line", "squared", 1, None, 0, 0.02),
}
RELU_INSTANCES = tuple(_RECIPES)


@dataclass(frozen=True, eq=False)
class ReLUProblem:
    """Rows, targets, and what a network is to be trained with.

    Parameters
    ----------
    name : str
        Generator and, where there is one, the seed.
    X : ndarray, shape (n, d)
        Rows, the constant column last.
    y : ndarray, shape (n,)
        Targets; -1 and +1 for the losses of classes.
    loss : {"squared", "logistic", "hinge"}
        Which sum over rows.
    beta : float
        Weight decay.
    gates : ndarray of bool, shape (n, P)
        Activation patterns of random directions, none twice and none empty; every
        pattern for ``"line"``.
    X_test, y_test : ndarray
        The other part of the data, empty where all of it is trained on.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    loss: str
    beta: float
    gates: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    @property
    def shape(self):
        """Number of rows and columns of X."""
        return self.X.shape


def relu_instance(name):
    """Return one of the instances that networks are trained on in tests and benchmarks.

    ``beta`` is a share of ``max_i ||X' D_i g||``, with g the slopes of the loss
    at zero and D_i the patterns: at that value or above, the convex program over
    these patterns has the solution zero.

    Parameters
    ----------
    name : str
        ``"breast-cancer"``, ``"breast-cancer-hinge"``, ``"breast-cancer-logistic"``
        (455 of the 569 tumours), ``"spirals"`` (two of them, 400 points in the
        plane), ``"line"`` (30 points on a line); ``"diabetes"`` and ``"digits-3-8"``
        (threes and eights), whose data are scikit-learn's.

    Returns
    -------
    ReLUProblem
        The training part holds four fifths of the rows.

    Raises
    ------
    ValueError
        Unknown name.
    ImportError
        The data are scikit-learn's and it is not installed.

    Examples
    --------
    >>> from refopt.problems import relu_instance
    >>> problem = relu_instance("spirals")
    >>> problem.shape, round(problem.beta, 6)
    ((400, 3), 0.276045)
    """
    if name not in _RECIPES:
        raise ValueError(f"name must be one of {', '.join(RELU_INSTANCES)}, got {name!r}")
    data, loss, split, seed, count, ratio = _RECIPES[name]
    X, y, train, test = _DATA[data](split)
    rows, gates = X[train], None
    if seed is None:
        gates = _every_pattern_of_a_line(rows)
    else:
        directions = np.random.default_rng(seed).standard_normal((X.shape[1], count))
        gates = _distinct(rows @ directions >= 0)
    slope = -y[train] / (2 if loss == "logistic" else 1)
    beta = ratio * float(np.linalg.norm(rows.T @ (gates * slope[:, None]), axis=0).max())
    return ReLUProblem(name, rows, y[train], loss, beta, gates, X[test], y[test])


def relu_spirals(n=400, seed=1, beta=None):
    """Draw two spirals in the plane, one per class.

    Parameters
    ----------
    n : int, default 400
        Points to train on; a fourth of that is for testing.
    seed : int, default 1
        Of the generator; 1 with n = 400 is the instance ``"spirals"``.
    beta : float, optional
        Weight decay; by default that of ``"spirals"`` times n/400.

    Returns
    -------
    ReLUProblem
        X of shape (n, 3), squared loss, no gates.

    Examples
    --------
    >>> from refopt.problems import relu_spirals
    >>> relu_spirals(60).shape
    (60, 3)
    """
    X, y, train, test = _spirals(seed, n)
    beta = 0.276045 * n / 400 if beta is None else beta
    gates = np.zeros((len(train), 0), bool)
    return ReLUProblem(f"spirals-{n}@{seed}", X[train], y[train], "squared", beta, gates,
                       X[test], y[test])  # fmt: skip


def relu_teacher(n=500, d=10, neurons=6, noise=0.1, ratio=0.01, seed=0):
    """Draw normal rows and the outputs of a random network, with noise.

    Parameters
    ----------
    n, d : int
        Rows and columns, the constant one included.
    neurons : int, default 6
        Of the network that teaches.
    noise : float, default 0.1
        Standard deviation of the noise over that of the outputs.
    ratio : float, default 0.01
        Weight decay over ``max_i ||X' D_i y||`` of 50 random patterns.
    seed : int, default 0
        Of the generator.

    Returns
    -------
    ReLUProblem
        Squared loss, targets with standard deviation 1, 50 random patterns.

    Examples
    --------
    >>> from refopt.problems import relu_teacher
    >>> relu_teacher(200, 5).shape
    (200, 5)
    """
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.standard_normal((n, d - 1)), np.ones((n, 1))])
    signs = np.where(np.arange(neurons) % 2 == 0, 1.0, -1.0)
    z = np.maximum(X @ rng.standard_normal((d, neurons)), 0) @ signs
    y = z + noise * z.std() * rng.standard_normal(n)
    y = y / y.std()
    gates = _distinct(X @ rng.standard_normal((d, 50)) >= 0)
    beta = ratio * float(np.linalg.norm(X.T @ (gates * y[:, None]), axis=0).max())
    name = f"teacher-{neurons}-{n}x{d}@{seed}"
    return ReLUProblem(name, X, y, "squared", beta, gates, X[:0], y[:0])


def _standardised(features):
    spread = features.std(axis=0)
    kept = spread > 1e-9
    scaled = (features[:, kept] - features[:, kept].mean(axis=0)) / spread[kept]
    return np.hstack([scaled, np.ones((len(features), 1))])


def _split(features, y, seed):
    order = np.random.default_rng(seed).permutation(len(y))
    train = int(0.8 * len(y))
    return _standardised(features), y, order[:train], order[train:]


def _breast_cancer(seed):
    features, malignant = _tumours()
    return _split(features, np.where(malignant, -1.0, 1.0), seed)


def _diabetes(seed):
    from sklearn.datasets import load_diabetes

    features, y = load_diabetes(return_X_y=True)
    return _split(features, (y - y.mean()) / y.std(), seed)


def _threes(seed):
    from sklearn.datasets import load_digits

    features, digit = load_digits(return_X_y=True)
    kept = (digit == 3) | (digit == 8)
    return _split(features[kept], np.where(digit[kept] == 3, 1.0, -1.0), seed)


def _spirals(seed, n=400):
    rng = np.random.default_rng(seed)
    half = -(-5 * n // 8)
    t = np.sqrt(rng.random(half)) * 3 * np.pi
    q = np.column_stack([t * np.cos(t), t * np.sin(t)]) / 9
    X = np.vstack([q, -q]) + 0.02 * rng.standard_normal((2 * half, 2))
    X = np.hstack([X, np.ones((2 * half, 1))])
    y = np.repeat([1.0, -1.0], half)
    order = rng.permutation(2 * half)
    return X, y, order[:n], order[n:]


def _line(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((30, 1))
    X = np.hstack([x, 1 + 1e-3 * rng.standard_normal((30, 1))])
    x = x[:, 0]
    y = np.maximum(x - 0.3, 0) - 1.5 * np.maximum(-x - 0.2, 0) + 0.1 * rng.standard_normal(30)
    return X, y, np.arange(30), np.arange(0)


def _every_pattern_of_a_line(X):
    """Patterns of directions between any two lines on which a row changes sides."""
    angles = np.sort(np.mod(np.arctan2(X[:, 1], X[:, 0]) + np.pi / 2, np.pi))
    angles = np.concatenate([angles, angles + np.pi])
    between = (angles + np.append(angles[1:], angles[0] + 2 * np.pi)) / 2
    return _distinct(X @ np.vstack([np.cos(between), np.sin(between)]) >= 0)


def _distinct(patterns):
    """Patterns in their order, without copies and without the empty one."""
    _, first = np.unique(patterns, axis=1, return_index=True)
    patterns = patterns[:, np.sort(first)]
    return patterns[:, patterns.any(axis=0)]


_DATA = {
    "tumours": _breast_cancer,
    "diabetes": _diabetes,
    "threes": _threes,
    "spirals": _spirals,
    "line": _line,
}
