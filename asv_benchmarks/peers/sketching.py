"""Compare `refopt.sketch_lstsq` and `refopt.sketch_project` with LAPACK and SciPy.

    python asv_benchmarks/peers/sketching.py [--rows N] [--columns N]

Least squares with condition numbers of 1e2 and 1e6: CPU seconds of one thread, the fastest of
three rounds, and the relative distance to the solution that `scipy.linalg.lstsq` finds. Row
steps: sweeps over a dense consistent system by Numba and by the reference.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse
from functools import partial

import numpy as np
from harness import cpu_seconds, environment, markdown
from scipy.linalg import lstsq
from scipy.sparse.linalg import lsqr

import refopt


def least_squares(N, n, condition, rng):
    """A with singular values from 1 down to 1/condition, and b with noise."""
    A = rng.standard_normal((N, n))
    _, R = np.linalg.qr(A)
    V, _ = np.linalg.qr(rng.standard_normal((n, n)))
    A = (A @ np.linalg.inv(R)) * np.geomspace(1.0, 1.0 / condition, n) @ V
    return A, A @ rng.standard_normal(n) + 0.01 * rng.standard_normal(N)


def fastest(call, rounds=3):
    """``(seconds, answer)`` of the fastest round."""
    return min((cpu_seconds(call) for _ in range(rounds)), key=lambda result: result[0])


def least_squares_table(N, n):
    """All solvers at two condition numbers."""
    rows = []
    for condition in (1e2, 1e6):
        A, b = least_squares(N, n, condition, np.random.default_rng(7))
        solvers = {f"refopt, {sketch}": partial(refopt.sketch_lstsq, A, b, sketch=sketch, rng=0)
                   for sketch in ("countsketch", "srht", "gaussian")}  # fmt: skip
        solvers |= {
            "LAPACK gelsd": partial(lstsq, A, b, lapack_driver="gelsd"),
            "LAPACK gelsy": partial(lstsq, A, b, lapack_driver="gelsy"),
            "scipy lsqr": partial(lsqr, A, b, atol=1e-12, btol=1e-12, iter_lim=2000),
        }
        exact = lstsq(A, b)[0]
        for name, call in solvers.items():
            seconds, answer = fastest(call)
            distance = np.linalg.norm(answer[0] - exact) / np.linalg.norm(exact)
            steps = answer[1]["nit"] if name.startswith("refopt") else ""
            steps = answer[2] if name == "scipy lsqr" else steps
            rows.append([f"{condition:.0e}", name, f"{seconds:.3f}", steps, f"{distance:.0e}"])
    return markdown(["condition", "solver", "s", "iterations", "distance"], rows)


def rows_table(sizes=(70, 300, 1300), sweeps=20):
    """Microseconds per row step of Kaczmarz's method."""
    rows = []
    for n in sizes:
        rng = np.random.default_rng(n)
        A = rng.standard_normal((n, n)) + n * np.eye(n) / 4
        b = A @ rng.standard_normal(n)
        each = []
        for backend in ("numba", "numpy"):
            call = partial(refopt.sketch_project, A, b, rtol=1e-300, maxiter=sweeps * n, rng=0,
                           backend=backend)  # fmt: skip
            call()  # compiled
            seconds, (_, info) = fastest(call)
            each.append(1e6 * seconds / info["row_actions"])
        rows.append([n, *(f"{micro:.2f}" for micro in each), f"{each[1] / each[0]:.1f}"])
    return markdown(["rows", "Numba, us a row", "reference", "ratio"], rows)


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=100)
    options = parser.parse_args()
    print(environment("refopt", "numpy", "scipy", "numba"), end="\n\n")
    print(least_squares_table(options.rows, options.columns), end="\n\n")
    print(rows_table())


if __name__ == "__main__":
    main()
