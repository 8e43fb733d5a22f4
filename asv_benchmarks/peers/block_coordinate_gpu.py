"""A dense Lasso path on the GPU beside the same path on the CPU, as a Markdown table.

    python asv_benchmarks/peers/block_coordinate_gpu.py --rows 20000 --columns 100000

The default is 16 GB in double precision; the device needs about 5% more, and where the host is
to run too (without --no-cpu) it needs the same again. X is drawn in slabs, each column correlated
with its neighbour. Times are wall-clock seconds, the transfer of X apart.
"""

import argparse
import math
import sys
import time

import numpy as np

import refopt


def main(arguments):
    """Run the path on both, print the table, and return the exit code."""
    options = _parser().parse_args(arguments)
    if reason := no_device():
        print(f"no GPU to measure: {reason}")
        return 1
    import cupy

    needed, (free, _) = 1.05 * 8 * options.rows * options.columns, cupy.cuda.Device().mem_info
    if free < needed:
        print(f"{needed / 1e9:.1f} GB of device memory are needed, {free / 1e9:.1f} are free")
        return 1
    X, y = instance(cupy, options.rows, options.columns, options.rho, options.seed)
    largest = float(cupy.max(cupy.abs(X.T @ y)))
    lams = largest * np.geomspace(1.0, options.eps, options.penalties)
    rows = [("GPU", *measure(cupy, X, y, lams, options))]
    if not options.no_cpu:
        start = time.perf_counter()
        host = X.T.get().T, y.get()  # in Fortran order
        print(f"X to the host: {time.perf_counter() - start:.1f} s\n")
        rows.append(("CPU", *measure(np, *host, lams, options)))
    print(table(options, rows))
    return 0


def no_device():
    """Why there is nothing to measure, or an empty text."""
    try:
        import cupy

        return "" if cupy.cuda.runtime.getDeviceCount() else "CuPy finds no device"
    except ImportError:
        return "CuPy is not installed"
    except Exception as error:  # CuPy's own class, from a library that is not there
        return f"{type(error).__name__}: {error}"


def instance(xp, n, p, rho, seed):
    """``y = X w + noise`` with one nonzero in a hundred; X (n, p) in Fortran order."""
    rng = np.random.default_rng(seed)
    columns = xp.empty((p, n))
    step = max(1, 2**24 // n)
    last = xp.asarray(rng.standard_normal(n))
    for first in range(0, p, step):
        new = xp.asarray(rng.standard_normal((min(step, p - first), n)))
        for k in range(new.shape[0]):
            last = rho * last + math.sqrt(1 - rho * rho) * new[k]
            columns[first + k] = last
    X = columns.T
    support = rng.choice(p, max(1, p // 100), replace=False)
    w = np.zeros(p)
    w[support] = rng.standard_normal(support.size)
    y = X @ xp.asarray(w)
    noise = xp.asarray(rng.standard_normal(n))
    return X, y + noise * (xp.linalg.norm(y) / xp.linalg.norm(noise) / 3)


def measure(xp, X, y, lams, options):
    """Best seconds of a few runs, the worst gap, found outside the solver, and the last result."""
    refopt.lasso_path(X[:, :50], y, lams[:2], tol=options.tol)  # compiles
    seconds = math.inf
    for _ in range(options.repeats):
        start = time.perf_counter()
        path = refopt.lasso_path(X, y, lams, tol=options.tol, history=False)
        float(xp.sum(path.x))  # the device has finished
        seconds = min(seconds, time.perf_counter() - start)
    gaps = [gap(xp, X, y, lam, path.coefs[:, k]) for k, lam in enumerate(path.lams)]
    return seconds, max(gaps), path


def gap(xp, X, y, lam, w):
    """(F(w) - D(s r)) / F(0) with the residual r scaled to be feasible."""
    r = y - X @ w
    bound = float(xp.max(xp.abs(X.T @ r)))
    square, along = float(r @ r), float(y @ r)
    s = min(max(along / square, -lam / bound), lam / bound)
    fun = 0.5 * square + lam * float(xp.sum(xp.abs(w)))
    return (fun - s * along + 0.5 * s * s * square) / (0.5 * float(y @ y))


def table(options, rows):
    """What was measured, as Markdown."""
    title = (
        f"Lasso path, {options.rows} x {options.columns}, {options.penalties} penalties down to "
        f"{options.eps:g} lam_max, tol {options.tol:g}\n"
    )
    lines = [title, "| on | seconds | certified gap | nonzeros at the end | passes | ratio |"]
    lines.append("|---|---|---|---|---|---|")
    for name, seconds, worst, path in rows:
        ratio = f"{seconds / rows[0][1]:.2f}"
        lines.append(
            f"| {name} | {seconds:.2f} | {worst:.1e} | {int(path.nnz[-1])} | {path.nit} | {ratio} |"
        )
    return "\n".join(lines)


def _parser():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=100_000)
    parser.add_argument("--penalties", type=int, default=20)
    parser.add_argument("--eps", type=float, default=0.05, help="least penalty over lam_max")
    parser.add_argument("--rho", type=float, default=0.5, help="correlation of neighbours")
    parser.add_argument("--tol", type=float, default=1e-8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--no-cpu", action="store_true", help="leave the host's run out")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
