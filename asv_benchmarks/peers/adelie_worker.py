"""Climb adelie's ladder in the Python that has it: it does not run beside NumPy 2.

Started by ``block_coordinate.py --adelie PYTHON`` as ``adelie_worker.py FILE TARGET ...``;
prints one record per line as JSON.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import json
import sys
from types import SimpleNamespace

import numpy as np
from ladder import climb
from scipy import sparse
from sparse_regression_solvers import LADDERS, adelie_solver, relative_gap


def main(path, *targets):
    """Climb the ladder of one instance; the parent stops this process when its time is over."""
    problem = load(path)
    share = lambda record: print(json.dumps(record), flush=True)
    measure = lambda w: relative_gap(problem, w)
    climb(adelie_solver(problem), measure, [float(t) for t in targets], LADDERS["adelie"], share)


def save(path, problem):
    """Write an instance for the worker: its Python may lack what the instance was made with."""
    parts = {"y": problem.y, "lam": problem.lam, "kind": problem.kind}
    if sparse.issparse(problem.X):
        parts |= {name: getattr(problem.X, name) for name in ("data", "indices", "indptr", "shape")}
    else:
        parts["X"] = problem.X
    np.savez(path, **parts)


def load(path):
    """Read an instance that `save` wrote."""
    with np.load(path) as file:
        parts = dict(file)
    if "X" in parts:
        X = np.asfortranarray(parts["X"])
    else:
        arrays = parts["data"], parts["indices"], parts["indptr"]
        X = sparse.csc_matrix(arrays, shape=tuple(parts["shape"]))
    return SimpleNamespace(X=X, y=parts["y"], lam=float(parts["lam"]), kind=str(parts["kind"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
