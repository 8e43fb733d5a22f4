"""Instances of two-layer ReLU networks beyond those of `refopt.problems`.

No constant of the library was chosen on the ones called unseen.
"""

import numpy as np

from refopt import problems


def wider(name, count=200, seed=1):
    """An instance with more random patterns."""
    problem = problems.relu_instance(name)
    return _instance(f"{name}, P = {count}", problem.X, problem.y, problem.loss, 0.01, count, seed)


def unseen():
    """Other splits, seeds, pairs of digits, and data."""
    from sklearn.datasets import load_breast_cancer, load_wine

    tumours, wine = load_breast_cancer(return_X_y=True), load_wine(return_X_y=True)
    yield _of_data("breast-cancer, split 5", tumours[0], 2.0 * tumours[1] - 1, 5)
    yield _of_data("breast-cancer-logistic, split 6", tumours[0], 2.0 * tumours[1] - 1, 6,
                   loss="logistic")  # fmt: skip
    yield _of_data("wine, split 3", wine[0], np.where(wine[1] == 0, 1.0, -1.0), 3)
    yield _digits(1, 7)
    yield _digits(4, 9)
    yield problems.relu_spirals(300, seed=4)
    yield problems.relu_teacher(500, 10, seed=3)


def _digits(one, other):
    from sklearn.datasets import load_digits

    features, digit = load_digits(return_X_y=True)
    kept = (digit == one) | (digit == other)
    y = np.where(digit[kept] == one, 1.0, -1.0)
    return _of_data(f"digits {one}-{other}", features[kept], y, 7)


def _of_data(name, features, y, split, loss="squared"):
    spread = features.std(axis=0)
    kept = spread > 1e-9
    scaled = (features[:, kept] - features[:, kept].mean(axis=0)) / spread[kept]
    X = np.hstack([scaled, np.ones((len(features), 1))])
    rows = np.random.default_rng(split).permutation(len(y))[: int(0.8 * len(y))]
    return _instance(name, X[rows], y[rows], loss, 0.01, 50, split)


def _instance(name, X, y, loss, ratio, count, seed):
    masks = X @ np.random.default_rng(seed).standard_normal((X.shape[1], count)) >= 0
    gates = np.unique(masks[:, masks.any(axis=0)], axis=1)
    slope = -y / (2 if loss == "logistic" else 1)
    beta = ratio * float(np.linalg.norm(X.T @ (gates * slope[:, None]), axis=0).max())
    return problems.ReLUProblem(name, X, y, loss, beta, gates, X[:0], y[:0])
