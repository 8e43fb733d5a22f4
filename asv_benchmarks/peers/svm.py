"""Compare `refopt.svm_dual`, `nnls` and `box_qp` with the solvers a user would pick instead.

    python asv_benchmarks/peers/svm.py [--data FOLDER] [--tables svm nnls box]

One process, one thread, interleaved repeats, compilation excluded. FOLDER holds
``.npz`` files of compressed columns with labels, for the first table only;
without it generated instances alone are run.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse
import warnings
from pathlib import Path

import numpy as np
import scipy.optimize
import scipy.sparse
from harness import environment, interleaved, markdown

import refopt

LIBLINEAR_TOLS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
FILES = ("agaricus", "rcv1_small", "basehock", "w8a")


def main():
    """Print the tables that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--tables", nargs="+", choices=("svm", "nnls", "box"), default=["svm", "nnls", "box"]
    )
    options = parser.parse_args()
    print(environment("refopt", "numpy", "scipy", "numba", "scikit-learn"), end="\n\n")
    warnings.simplefilter("ignore")  # peers warn where they stop early
    if "svm" in options.tables:
        svm_table(options.data)
    if "nnls" in options.tables:
        nnls_table()
    if "box" in options.tables:
        box_table()


def svm_instances(folder):
    """Names, matrices in compressed rows and labels."""
    for name in FILES if folder else ():
        file = np.load(folder / f"{name}.npz")
        parts = file["data"], file["indices"], file["indptr"]
        X = scipy.sparse.csc_matrix(parts, shape=tuple(file["shape"]))
        yield name, X.tocsr(), file["y"].astype(float)
    for name, n, p, density, seed in (
        ("dense 5000 x 50", 5000, 50, 1.0, 101),
        ("dense 800 x 400", 800, 400, 1.0, 102),
        ("sparse 20000 x 500", 20_000, 500, 0.02, 103),
        ("sparse 2000 x 10000", 2000, 10_000, 0.005, 104),
    ):
        rng = np.random.default_rng(seed)
        if density == 1.0:
            X = rng.standard_normal((n, p))
        else:
            X = scipy.sparse.random(n, p, density, format="csr", random_state=seed)
        z = X @ rng.standard_normal(p)
        noise = 0.3 * z.std() * rng.standard_normal(n)
        yield name, X, np.where(z + noise > 0, 1.0, -1.0)


def primal(X, y, w):
    """The primal objective at C = 1."""
    return 0.5 * w @ w + np.maximum(0, 1 - y * (X @ w)).sum()


def liblinear(X, y, tol):
    """A call of LIBLINEAR's dual coordinate descent."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(
        loss="hinge", dual=True, fit_intercept=False, tol=tol, max_iter=20_000, random_state=0
    )
    return lambda: model.fit(X, y).coef_[0]


def svm_table(folder):
    """Time, the primal's distance to the optimum and the certified gap, over C n."""
    rows = []
    for name, X, y in svm_instances(folder):
        n = len(y)
        optimum = -refopt.svm_dual(X, y, tol=1e-13).fun
        calls = {f"LIBLINEAR {tol:.0e}": liblinear(X, y, tol) for tol in LIBLINEAR_TOLS}
        for tol in (1e-6, 1e-8, 1e-12):
            calls[f"refopt {tol:.0e}"] = lambda tol=tol, X=X, y=y: refopt.svm_dual(X, y, tol=tol)
        for solver, run in interleaved(calls, repeats=3).items():
            gap = getattr(run.answer, "gap", None)
            w = run.answer if gap is None else run.answer.w
            above = (primal(X, y, w) - optimum) / n
            certified = "-" if gap is None else f"{gap:.1e}"
            rows.append((name, solver, f"{1e3 * run.seconds:.1f}", f"{above:.1e}", certified))
    print(markdown(["instance", "solver", "ms", "(P - P*)/(C n)", "certified gap"], rows))
    print()


def nnls_table():
    """Time and the objective's excess over the best, relative to |b|^2/2."""
    rows = []
    for name, n, p, density, positive, seed in (
        ("tall, 10000 x 100", 10_000, 100, 1.0, False, 201),
        ("tall, nonnegative, 4000 x 500", 4000, 500, 1.0, True, 202),
        ("square, 1000 x 1000", 1000, 1000, 1.0, False, 203),
        ("square, nonnegative, 1500 x 1500", 1500, 1500, 1.0, True, 204),
        ("wide, nonnegative, 300 x 3000", 300, 3000, 1.0, True, 205),
        ("sparse, 5000 x 2000, 1 %", 5000, 2000, 0.01, True, 206),
    ):
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((n, p)) if density == 1.0 else None
        if A is None:
            A = scipy.sparse.random(n, p, density, format="csc", random_state=seed)
        A = np.asfortranarray(np.abs(A) if positive else A) if density == 1.0 else A
        b = A @ np.maximum(rng.standard_normal(p), 0) + 0.1 * np.sqrt(p) * rng.standard_normal(n)
        dense = A if density == 1.0 else A.toarray()
        calls = {
            "refopt": lambda A=A, b=b: refopt.nnls(A, b, tol=1e-10).x,
            "scipy nnls": lambda A=dense, b=b: scipy.optimize.nnls(A, b)[0],
            "scipy lsq_linear": lambda A=A, b=b: (
                scipy.optimize.lsq_linear(A, b, (0, np.inf), tol=1e-10).x
            ),
        }
        limits = {"scipy nnls": 60, "scipy lsq_linear": 60}
        value = lambda x, A=A, b=b: 0.5 * np.sum((A @ x - b) ** 2)
        rows += _compared(name, interleaved(calls, 2, limits), value, 0.5 * b @ b)
    print(markdown(["nonnegative least squares", "solver", "ms", "excess"], rows))
    print()


def box_table():
    """Time and the objective's excess over the best, relative to it."""
    rows = []
    for name, p, rank, seed in (
        ("dense 300, definite", 300, 600, 301),
        ("dense 1000, definite", 1000, 1500, 302),
        ("dense 1000, singular", 1000, 700, 303),
        ("lattice 100 x 100", 100, 0, 304),
    ):
        rng = np.random.default_rng(seed)
        if rank:
            A = rng.standard_normal((rank, p))
            Q, c, bound = A.T @ A, 5 * rng.standard_normal(p), 4.0 / p
        else:
            line = scipy.sparse.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(p, p))
            eye = scipy.sparse.eye(p)
            Q = (scipy.sparse.kron(eye, line) + scipy.sparse.kron(line, eye)).tocsc()
            c, bound, A = rng.standard_normal(p * p), 0.5, None
        objective = lambda x, Q=Q, c=c: (0.5 * x @ (Q @ x) + c @ x, Q @ x + c)
        calls = {
            "refopt": lambda Q=Q, c=c, u=bound: refopt.box_qp(Q, c, (-u, u), tol=1e-10).x,
            "scipy L-BFGS-B": lambda f=objective, c=c, u=bound: (
                scipy.optimize.minimize(
                    f, np.zeros(c.size), jac=True, bounds=[(-u, u)] * c.size, method="L-BFGS-B",
                    options={"ftol": 1e-16, "gtol": 1e-10, "maxiter": 10**5, "maxfun": 10**6},
                ).x
            ),
        }  # fmt: skip
        if rank and rank >= p:  # as least squares, by the Cholesky factor
            R = np.linalg.cholesky(Q).T
            target = -np.linalg.solve(R.T, c)
            calls["scipy lsq_linear"] = lambda R=R, t=target, u=bound: (
                scipy.optimize.lsq_linear(R, t, (-u, u), tol=1e-10).x
            )
        limits = {name: 60 for name in calls if name != "refopt"}
        value = lambda x, f=objective: f(x)[0]
        rows += _compared(name, interleaved(calls, 2, limits), value, None)
    print(markdown(["box QP", "solver", "ms", "excess"], rows))


def _compared(name, runs, value, scale):
    values = {solver: value(run.answer) for solver, run in runs.items() if not run.failure}
    best = min(values.values())
    for solver, run in runs.items():
        if run.failure:
            yield name, solver, run.failure, "-"
        else:
            excess = (values[solver] - best) / (scale or abs(best))
            yield name, solver, f"{1e3 * run.seconds:.1f}", f"{excess:.1e}"


if __name__ == "__main__":
    main()
