"""Pressure systems beside algebraic multigrid and the fast sine transform.

Run as ``python asv_benchmarks/peers/deep_conjugate.py``, which prints a table for one thread and
one for two; ``--instances smoke-64 dam-59x53x67`` picks rows. Seconds are wall-clock, from a new
geometry to a solution: setup and solve, compilation excluded. The residual is recomputed in float64
by one function for all. PyAMG runs on one thread, as it does. ``smoke-256`` and the like are solved
without peers.
"""

import argparse
import os
import subprocess
import sys
import time

SCENES = ("box", "smoke", "dam", "porous", "walls")
INSTANCES = (
    *(f"{kind}-{size}" for size in (64, 128) for kind in SCENES),
    *("smoke-63", "porous-61x67x71", "smoke-70x90x54", "dam-59x53x67", "box-127", "smoke-127"),
)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", nargs="+", default=INSTANCES)
    options.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    options.add_argument("--peers-to", type=int, default=128, help="largest extent for the peers")
    options.add_argument("--seed", type=int, default=5)
    asked = options.parse_args()
    if len(asked.threads) > 1:  # the number is settled when the libraries are loaded
        for threads in asked.threads:
            own = ["--instances", *asked.instances, "--threads", str(threads)]
            own += ["--peers-to", str(asked.peers_to), "--seed", str(asked.seed)]
            subprocess.run([sys.executable, __file__, *own], check=True)
        return
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(asked.threads[0])
    for size in (12, 96):  # compiles, for one thread and for all
        for kind in SCENES:
            solve(kind, (size,) * 3, asked, peers=False)
    print(f"\n{asked.threads[0]} threads\n")
    print(
        "| instance | unknowns | refopt: iterations, s | SA: iterations, setup + solve, s ", end=""
    )
    print("| RS: the same | sine transform, s | best of SA, RS / refopt | RS solve / refopt |")
    print("|---|---|---|---|---|---|---|---|")
    for instance in asked.instances:
        kind, extents = instance.split("-")
        shape = tuple(map(int, extents.split("x")))
        shape *= 3 if len(shape) == 1 else 1
        row = solve(kind, shape, asked, peers=max(shape) <= asked.peers_to)
        print("| " + " | ".join([f"{kind} {extents}", *row]) + " |", flush=True)


def solve(kind, shape, asked, peers):
    """A row of the table."""
    import numpy as np

    import refopt
    from refopt.problems import pressure_scene, swirl_velocity

    cells = pressure_scene(kind, shape, asked.seed)
    outside = "air" if kind == "box" else "solid"
    velocity = swirl_velocity(cells.shape, asked.seed + 1)
    b = refopt.poisson_rhs(cells, velocity, outside=outside)

    def ours():
        A = refopt.PoissonGrid(cells, outside=outside)
        net = refopt.MultilevelNet()
        return A, *refopt.deep_conjugate_direction(A, b, net, rtol=1e-6, full_output=True)

    seconds, (A, x, res) = best(ours, 5)
    check(A, x, b)
    row = [str(A.n), f"{res.nit}, {seconds:.3f}"]
    if not peers:
        return [*row, "", "", "", "", ""]
    matrix, totals, solves = A.tocsr(), [], []
    for name in ("smoothed_aggregation_solver", "ruge_stuben_solver"):
        nit, setup, run = algebraic(name, matrix, b, lambda x: check(A, x, b))
        row.append(f"{nit}, {setup:.2f} + {run:.2f}")
        totals.append(setup + run)
        solves.append(run)
    row.append("")
    if kind == "box":
        direct, y = best(lambda: sine_transform(b.reshape(shape), asked.threads[0]), 5)
        check(A, np.reshape(y, (-1,)), b)
        row[-1] = f"{direct:.3f}"
    return [*row, f"{min(totals) / seconds:.0f}", f"{solves[1] / seconds:.1f}"]


def best(call, repeats):
    """The fastest of some calls, and what it returned."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        answer = call()
        times.append(time.perf_counter() - start)
    return min(times), answer


def check(A, x, b):
    import numpy as np

    error = np.linalg.norm(b - A.matvec(x)) / np.linalg.norm(b)
    if error > 1.01e-6:
        raise AssertionError(f"relative residual {error:.2e}")


def algebraic(name, matrix, b, accept):
    """Iterations, seconds of setup and of the solution by one of PyAMG's solvers with CG."""
    import pyamg
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(matrix)
    matrix.indices, matrix.indptr = matrix.indices.astype("int32"), matrix.indptr.astype("int32")
    setup, solver = best(lambda: getattr(pyamg, name)(matrix), 1)
    norms: list[float] = []
    run, x = best(lambda: solver.solve(b, tol=1e-6, accel="cg", residuals=norms, maxiter=100), 1)
    accept(x)
    return len(norms) - 1, setup, run


def sine_transform(b, workers):
    """The direct solution of a box with air around it."""
    import numpy as np
    from scipy.fft import dstn, idstn

    values = [2 - 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1)) for n in b.shape]
    spectrum = dstn(b, type=1, workers=workers)
    spectrum /= values[0][:, None, None] + values[1][:, None] + values[2]
    return idstn(spectrum, type=1, workers=workers, overwrite_x=True)


if __name__ == "__main__":
    main()
