"""The L1 problems of the comparison: public files, bundled data, and generators.

Public files lie in one folder and are not part of the repository. A sparse one
holds ``data``, ``indices``, ``indptr``, ``shape`` of a CSC matrix and ``y``; a
dense one holds ``X`` and ``y``, and its columns are standardised here.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse

from refopt import problems

PUBLIC = ("agaricus", "basehock", "leukemia_disc", "prostate_ge", "rcv1_small", "w8a")


@dataclass(frozen=True, eq=False)
class Instance:
    """``min loss(X w, y) + lam ||w||_1`` with lam = ratio * lam_max; X in Fortran order or CSC."""

    data: str
    kind: str  # "lasso" or "logistic"
    ratio: float
    X: Any
    y: np.ndarray
    lam: float

    @property
    def name(self):
        """Data, and the ratio that lam has to the one that makes all coefficients zero."""
        return _name(self.data, self.ratio)


def _table(text):
    """Read lines of ``data ratio ratio ...``."""
    lines = [line.split() for line in text.strip().splitlines()]
    return [(data, float(ratio)) for data, *ratios in lines for ratio in ratios]


LASSO = _table("""
    agaricus .1 .01
    basehock .1 .01
    leukemia_disc .1 .01
    prostate_ge .1 .01
    rcv1_small .1 .01 .001
    rcv1_small[:500] .003 .001
    w8a .1 .01
    correlated-500-5000-0.6@27 .1 .01
    correlated-400-2000-0.9@5 .1 .01
    dataset-a-1000-10000@0 .1 .01
""")
LASSO_FRESH = _table("""
    correlated-300-3000-0.3@811 .1 .01
    correlated-800-1500-0.8@812 .1 .01
    correlated-2000-500-0.5@813 .1 .01
    correlated-200-8000-0.95@814 .1 .01
    dataset-a-500-4000@815 .1 .01
    dataset-a-2000-1000@816 .1 .01
""")
LOGISTIC = _table("""
    agaricus .1 .01 .001
    basehock .1 .01
    leukemia_disc .1 .01
    prostate_ge .1 .01
    rcv1_small .1 .01
    w8a .1 .01 .001
""")
LOGISTIC_FRESH = _table("""
    correlated-400-2000-0.5@821 .1 .01
    correlated-3000-300-0.7@822 .1 .01
    dataset-b-500-3000@823 .1 .01
    dataset-b-4000-800@824 .1 .01
""")
UNSEEN = {
    "lasso": _table("""
        correlated-400-4000-0.5@911 .1 .01
        correlated-600-1000-0.9@912 .1 .01
        correlated-3000-400-0.3@913 .1 .01
        dataset-a-800-6000@914 .1 .01
        dataset-a-3000-1500@915 .1 .01
    """),
    "logistic": _table("""
        correlated-500-3000-0.7@921 .1 .01
        correlated-2000-400-0.5@922 .1 .01
        dataset-b-800-5000@923 .1 .01
        dataset-b-5000-600@924 .1 .01
    """),
}
BUNDLED = {"lasso": "digits", "logistic": "breast-cancer"}


def instances(kind, folder=None, match="", unseen=False):
    """Yield the instances whose names have a text; no public ones where there is no folder.

    Or those that were drawn after all constants were chosen.
    """
    known, fresh = (LASSO, LASSO_FRESH) if kind == "lasso" else (LOGISTIC, LOGISTIC_FRESH)
    bundled = [(BUNDLED[kind], ratio) for ratio in (0.1, 0.01)]
    for data, ratio in UNSEEN[kind] if unseen else known + bundled + fresh:
        at_hand = folder is not None or data.partition("[")[0] not in PUBLIC
        if at_hand and match in _name(data, ratio):
            yield instance(data, kind, ratio, folder)


def _name(data, ratio):
    return f"{data}, {ratio:g}"


def instance(data, kind, ratio, folder=None):
    """Load or draw the data, and set lam."""
    X, y = _load(data, folder)
    if kind == "logistic":
        y = np.where(y > 0, 1.0, -1.0)
    lam_max = np.abs(X.T @ y).max() / (1 if kind == "lasso" else 2)
    return Instance(data, kind, ratio, X, y, float(ratio * lam_max))


@lru_cache(maxsize=2)
def _load(data, folder):
    name, _, rows = data.partition("[:")
    if name in PUBLIC:
        X, y = _public(folder, name)
        if rows:
            count = int(rows.rstrip("]"))
            X, y = sparse.csc_matrix(X.tocsr()[:count]), y[:count]
        return X, y
    if name == "digits":
        problem = problems.digit_from_others()
    elif name == "breast-cancer":
        problem = problems.breast_cancer(products=True)
    else:
        problem = _generated(name)
    if sparse.issparse(problem.X):
        return sparse.csc_matrix(problem.X), problem.y
    return np.asfortranarray(problem.X), problem.y


def _generated(name):
    name, _, seed = name.partition("@")
    *family, n, p, last = (
        name.split("-") if name.startswith("correlated") else [*name.split("-"), ""]
    )
    n, p, seed = int(n), int(p), int(seed)
    if family == ["correlated"]:
        return problems.correlated(n, p, float(last), seed)
    draw = {"a": problems.dataset_a, "b": problems.dataset_b}[family[1]]
    return draw(n, p, seed, sparse=True)


def _public(folder, name):
    with np.load(folder / f"{name}.npz") as file:
        y = file["y"].astype(float)
        if "indptr" in file:
            indices, indptr = (file[part].astype(np.int32) for part in ("indices", "indptr"))
            parts = file["data"].astype(float), indices, indptr
            return sparse.csc_matrix(parts, shape=tuple(file["shape"])), y
        X = file["X"].astype(float)
    spread = X.std(axis=0)
    X = X[:, spread > 0]
    return np.asfortranarray((X - X.mean(axis=0)) / X.std(axis=0)), y
