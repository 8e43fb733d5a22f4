"""Compare `refopt.logistic` and `refopt.softmax` with scikit-learn's solvers of the same problems.

    python asv_benchmarks/peers/smooth_logistic.py [--data DIR] [--match TEXT] [--repeats N]

One process, one thread, compilation excluded. Each solver runs at the loosest
tolerance of a ladder with which the relative duality gap, recomputed outside,
is at most 1e-10; the time is the best of several cold runs in CPU seconds, the
solvers taking turns. Without ``--data`` only generated instances run.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from harness import cpu_seconds, environment, geometric_mean, interleaved, markdown
from scipy.special import expit, log_softmax

import refopt

TARGET = 1e-10
LADDER = [10.0**-k for k in range(3, 13)]
FILES = ("agaricus", "rcv1_small", "basehock", "w8a")
LARGEST_CHOLESKY = 2500  # coefficients up to which newton-cholesky is tried
SLOWEST = 60.0  # seconds of one run after which a solver is given up


@dataclass(frozen=True, eq=False)
class Instance:
    """A problem with penalty l2/2 ||W||^2; y holds the classes 0, 1, ..."""

    name: str
    X: object
    y: np.ndarray
    l2: float = 1.0

    @property
    def classes(self):
        """Number of classes."""
        return int(self.y.max()) + 1


def normal(n, p, rho, seed, classes=2):
    """Draw neighbouring columns of correlation rho, and classes of a linear model with noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    W = 2 * rng.standard_normal((p, classes)) / np.sqrt(p)
    y = np.argmax(X @ W + rng.gumbel(size=(n, classes)), axis=1)
    return Instance(f"normal-{n}-{p}-{rho}, K={classes}", X, y)


def thin(n, p, per_row, seed, classes=2):
    """Draw sparse rows whose columns are chosen with probabilities that fall like 1/j."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, p + 1)
    columns = rng.choice(p, size=(n, per_row), p=share / share.sum())
    values = rng.exponential(size=columns.shape)
    X = sp.csr_array((values.ravel(), (np.repeat(np.arange(n), per_row), columns.ravel())), (n, p))
    X.sum_duplicates()
    W = rng.standard_normal((p, classes))
    y = np.argmax(X @ W + rng.gumbel(size=(n, classes)), axis=1)
    return Instance(f"thin-{n}-{p}-{per_row}, K={classes}", X, y)


def instances(folder, match):
    """Yield the instances whose name has the text."""
    files = FILES if folder else ()
    made = [lambda f=f: stored(folder, f) for f in files]
    for size in ((50_000, 100, 0.6), (20_000, 500, 0.9), (500, 20_000, 0.0), (300, 5_000, 0.6)):
        made.append(lambda s=size: normal(*s, seed=11))
    made.append(lambda: normal(2_000, 2_000, 0.6, seed=12))
    for size in ((50_000, 300, 12), (5_000, 20_000, 60)):
        made.append(lambda s=size: thin(*s, seed=13))
    made.append(lambda: normal(10_000, 100, 0.6, seed=14, classes=5))
    made.append(lambda: normal(300, 2_000, 0.6, seed=15, classes=4))
    made.append(lambda: thin(10_000, 1_000, 20, seed=16, classes=5))
    for make in made:
        instance = make()
        if match in instance.name:
            yield instance


def stored(folder, name):
    """Read a public file: a sparse matrix and classes -1 and 1."""
    file = np.load(Path(folder) / f"{name}.npz")
    parts = file["data"].astype(float), file["indices"], file["indptr"]
    X = sp.csr_array(sp.csc_array(parts, shape=tuple(file["shape"])))
    return Instance(name, X, (file["y"] > 0).astype(int))


def relative_gap(instance, W):
    """Return ||grad F||^2 / (2 l2) / F(0): F less the dual value at the slopes of the losses."""
    X, y, l2 = instance.X, instance.y, instance.l2
    if W.ndim == 1:
        sign = 2.0 * y - 1
        R = -sign * expit(-sign * (X @ W))
    else:
        R = np.exp(log_softmax(X @ W, axis=1))
        R[np.arange(y.size), y] -= 1
    g = X.T @ R + l2 * W
    return float(np.sum(g * g)) / (2 * l2) / (y.size * np.log(instance.classes))


def ours(instance):
    """A function of the tolerance, in the best layout: compressed or contiguous columns."""
    X = sp.csc_array(instance.X) if sp.issparse(instance.X) else np.asfortranarray(instance.X)
    solve = refopt.logistic if instance.classes == 2 else refopt.softmax
    return lambda tol: solve(X, instance.y, instance.l2, tol=tol).x


def theirs(instance, solver):
    """The same of a scikit-learn solver: compressed or contiguous rows."""
    from sklearn.linear_model import LogisticRegression

    X = sp.csr_matrix(instance.X) if sp.issparse(instance.X) else np.ascontiguousarray(instance.X)
    options = {"C": 1 / instance.l2, "solver": solver, "fit_intercept": False, "max_iter": 10_000}

    def solve(tol):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(tol=tol, **options).fit(X, instance.y)
        return model.coef_[0] if instance.classes == 2 else model.coef_.T

    return solve


def climb(instance, solve):
    """Return the loosest tolerance of the ladder that reaches the target, and the gap there."""
    best = np.inf
    for tol in LADDER:
        seconds, W = cpu_seconds(lambda tol=tol: solve(tol))
        gap = relative_gap(instance, W)
        best = min(best, gap)
        if gap <= TARGET:
            return tol, gap
        if seconds > SLOWEST:
            break
    return None, best


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the public files")
    parser.add_argument("--match", metavar="TEXT", default="", help="instances whose name has it")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(environment("refopt", "numpy", "scipy", "numba", "scikit-learn"), end="\n\n")
    peers = ("lbfgs", "newton-cg", "newton-cholesky")
    rows, ratios = [], []
    for instance in instances(options.data, options.match):
        solvers = {"refopt": ours(instance)}
        for name in peers:
            size = instance.X.shape[1] * (1 if instance.classes == 2 else instance.classes)
            if name != "newton-cholesky" or size <= LARGEST_CHOLESKY:
                solvers[name] = theirs(instance, name)
        found = {name: climb(instance, solve) for name, solve in solvers.items()}
        calls = {
            name: lambda solve=solve, tol=found[name][0]: solve(tol)
            for name, solve in solvers.items()
            if found[name][0]
        }
        runs = interleaved(calls, repeats=options.repeats)
        mine = runs["refopt"].seconds
        row = [instance.name, f"{1e3 * mine:.1f} ms"]
        for name in peers:
            if name in runs:
                row.append(f"{runs[name].seconds / mine:.2f}")
            else:
                row.append(f"- ({found[name][1]:.0e})" if name in found else "-")
        best = min((runs[name].seconds for name in peers if name in runs), default=np.nan)
        row.append(f"{mine / best:.2f}")
        ratios.append(mine / best)
        rows.append(row)
        print(f"{row}", flush=True)
    header = ["instance", "refopt", *(f"{name} / refopt" for name in peers), "refopt / best"]
    print("\n" + markdown(header, rows))
    print(f"\nGeometric mean of refopt / best: {geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
