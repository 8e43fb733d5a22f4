"""Solve one large point cloud lazily and print time, error and peak memory as JSON.

python asv_benchmarks/peers/transport_large.py N
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import json
import resource
import sys

import numpy as np
from harness import cpu_seconds

import refopt
from refopt.problems import cloud2


def main(n):
    """Solve, read the peak memory, and only then recompute the error."""
    solve(cloud2(2_000, 1e-3, dense=False))  # compiles
    problem = cloud2(n, 1e-3, dense=False)
    seconds, res = cpu_seconds(lambda: solve(problem))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures = {
        "seconds": seconds,
        "iterations": f"{res.nnewton}/{res.nfev}/{res.ncg}",
        "error": lazy_marginal_error(res.f, res.g, problem),
        "peak_bytes": peak,
    }
    print(json.dumps(figures))


def solve(problem):
    """Run the default solver on points."""
    cost = refopt.PointCloudCost(problem.X, problem.Y)
    return refopt.sinkhorn_newton(cost, problem.a, problem.b, reg=problem.reg, tol=1e-9)


def lazy_marginal_error(f, g, problem):
    """Return ``||P 1 - a||_1 + ||P' 1 - b||_1`` by blocks of rows, in plain NumPy."""
    row_sums, column_sums = np.zeros(f.size), np.zeros(g.size)
    for start in range(0, f.size, 256):
        rows = slice(start, start + 256)
        C = ((problem.X[rows, None, :] - problem.Y[None, :, :]) ** 2).sum(-1)
        P = np.exp((f[rows, None] + g[None, :] - C) / problem.reg)
        row_sums[rows] = P.sum(1)
        column_sums += P.sum(0)
    return float(np.abs(row_sums - problem.a).sum() + np.abs(column_sums - problem.b).sum())


if __name__ == "__main__":
    main(int(sys.argv[1]))
