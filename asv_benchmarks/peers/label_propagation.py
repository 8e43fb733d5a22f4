"""Label propagation and forest systems beside SciPy and PyAMG; prints Markdown.

    python asv_benchmarks/peers/label_propagation.py [--quick]

Set-up is included everywhere: ours starts from the weights W and the labels,
the peers from the finished system A x = b, which flatters them.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse

import numpy as np
from harness import environment, interleaved, markdown
from scipy import sparse
from scipy.sparse.linalg import cg, spsolve

import refopt
from refopt.problems import lattice, two_moons

RTOL = 1e-10
DIRECT_UP_TO = 300_000  # unknowns
INSTANCES = {
    "lattice 200, 1600 labels": lambda: lattice(200, 200, 1600),
    "lattice 200, 16 labels": lambda: lattice(200, 200, 16, 1.0),
    "lattice 500, 2500 labels": lambda: lattice(500, 500, 2500, 1.0),
    "lattice 1000, 10000 labels": lambda: lattice(1000, 1000, 10_000, 1.0),
    "moons 2000, 100 labels": lambda: two_moons(),
    "moons 50000, 2500 labels": lambda: two_moons(50_000, 2500),
    "moons 50000, 100 labels": lambda: two_moons(50_000, 100),
}


def solvers(problem):
    """Return callables that give the values of the unlabelled nodes."""
    A, b = problem.A, problem.b

    def ours(method):
        def solve():
            res = refopt.label_propagation(
                problem.W, problem.labels, problem.mask, method=method, tol=RTOL
            )
            return res.x[problem.nodes]

        return solve

    def jacobi():
        M = sparse.diags_array(1.0 / A.diagonal())
        return cg(A, b, rtol=RTOL, maxiter=20_000, M=M)[0]

    calls = {
        "refopt": ours("auto"),
        "refopt multilevel": ours("multilevel"),
        "refopt tree-cg": ours("tree-cg"),
        "cg": lambda: cg(A, b, rtol=RTOL, maxiter=20_000)[0],
        "cg, Jacobi": jacobi,
    }
    if A.shape[0] <= DIRECT_UP_TO:
        columns = A.tocsc()
        calls["spsolve"] = lambda: spsolve(columns, b)
    try:
        import pyamg
    except ImportError:
        return calls

    def algebraic():
        levels = pyamg.smoothed_aggregation_solver(sparse.csr_matrix(A))
        return levels.solve(b, tol=0.5 * RTOL, accel="cg", maxiter=200)

    return calls | {"pyamg": algebraic}


def label_table(names, repeats):
    """Time of each solver in milliseconds, and its true relative residual."""
    columns = ["refopt", "refopt multilevel", "refopt tree-cg", "cg", "cg, Jacobi", "spsolve"]
    rows, runs_of = [], {}
    for name in names:
        problem = INSTANCES[name]()
        runs = interleaved(solvers(problem), repeats)
        runs_of[name] = runs
        cells = [f"{name} ({problem.nodes.size})"]
        for solver in [*columns, "pyamg"]:
            cells.append(_cell(runs.get(solver), problem))
        best = runs["refopt"].seconds
        cells += [
            f"{runs[peer].seconds / best:.2f}" if peer in runs else "-"
            for peer in ("cg", "spsolve", "pyamg")
        ]
        rows.append(cells)
    header = ["instance (unknowns)", *columns, "pyamg", "cg / refopt"]
    return markdown([*header, "spsolve / refopt", "pyamg / refopt"], rows)


def _cell(run, problem):
    if run is None:
        return "-"
    if run.failure:
        return run.failure
    r = problem.b - problem.A @ run.answer
    return f"{1e3 * run.seconds:.1f} ({np.linalg.norm(r) / np.linalg.norm(problem.b):.0e})"


def tree_matrix(parents, number, rng):
    """A positive definite matrix on a tree, node i being called number[i]."""
    n = parents.size + 1
    i, j = number[1:], number[parents]
    W = sparse.coo_array((rng.random(n - 1) + 0.1, (i, j)), shape=(n, n)).tocsr()
    W = W + W.T
    A = (sparse.diags_array(W.sum(axis=1) + 0.01) - W).tocsr()
    return sparse.csr_array((A.data, A.indices.astype(np.int32), A.indptr), shape=A.shape)


def forest_table(n, repeats):
    """Set-up and solve in units of one sparse matrix-vector product."""
    rng = np.random.default_rng(1)
    child = np.arange(1, n)
    shapes = {
        "path": child - 1,
        "random tree": (rng.random(n - 1) * child).astype(int),
        "comb": np.where(child % 1000 == 0, child - 1000, child - 1),
    }
    rows = []
    for shape, parents in shapes.items():
        for numbering in ("natural", "random"):
            number = rng.permutation(n) if numbering == "random" else np.arange(n)
            A, b = tree_matrix(parents, number, rng), rng.standard_normal(n)
            factor = refopt.forest_factor(A)
            runs = interleaved(
                {
                    "product": lambda A=A, b=b: A @ b,
                    "set-up": lambda A=A: refopt.forest_factor(A),
                    "solve": lambda factor=factor, b=b: factor.solve(b),
                },
                repeats,
            )
            unit, setup, solve = (runs[k].seconds for k in ("product", "set-up", "solve"))
            error = np.linalg.norm(A @ runs["solve"].answer - b) / np.linalg.norm(b)
            rows.append(
                [
                    f"{shape}, {numbering} numbering",
                    f"{1e3 * unit:.1f}",
                    f"{solve / unit:.2f}",
                    f"{setup / unit:.1f}",
                    f"{(setup + solve) / unit:.1f}",
                    f"{error:.0e}",
                ]
            )
    header = ["tree", "product, ms", "solve", "set-up", "both", "residual"]
    return markdown(header, rows)


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small instances only")
    quick = parser.parse_args().quick
    names = [n for n in INSTANCES if not quick or "2000" in n or n.startswith("lattice 200")]
    print(environment("refopt", "numpy", "scipy", "numba", "pyamg"))
    print(f"\nMilliseconds (true relative residual), rtol {RTOL:g}, set-up included\n")
    print(label_table(names, 2 if quick else 5), flush=True)
    n = 10_000 if quick else 1_000_000
    print(f"\nForest systems with {n} nodes, in sparse matrix-vector products\n")
    print(forest_table(n, 5))


if __name__ == "__main__":
    main()
