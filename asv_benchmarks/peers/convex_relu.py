"""Two-layer ReLU networks beside Clarabel, pyscnn, L-BFGS and Adam.

    python asv_benchmarks/peers/convex_relu.py [--tables programs wide networks unseen]
        [--pyscnn PYTHON] [--match TEXT]

``programs`` and ``wide`` (200 patterns) solve the convex program over given patterns, ``networks``
and ``unseen`` refine patterns. Objectives are recomputed here, in plain NumPy; seconds are CPU
seconds of one thread. A peer's time is that of the first of its settings, from loose to
tight, that is as accurate as asked.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import relu_instances
from harness import cpu_seconds, environment, markdown
from relu_cone_program import clarabel_solution
from scipy.optimize import minimize

import refopt
from refopt import problems

NEURONS, SEEDS = 60, range(5)
ADAM_STEPS, ADAM_RATE = 3000, 0.01


def objective(problem, W1, w2):
    """The balanced objective, in plain NumPy."""
    z = np.maximum(problem.X @ W1, 0) @ w2
    decay = problem.beta * np.sum(np.linalg.norm(W1, axis=0) * np.abs(w2))
    return loss_and_slopes(problem, z)[0] + decay


def loss_and_slopes(problem, z):
    """The loss of predictions and its gradient."""
    y = problem.y
    if problem.loss == "squared":
        return 0.5 * np.sum((z - y) ** 2), z - y
    if problem.loss == "hinge":
        return np.maximum(1 - y * z, 0).sum(), np.where(y * z < 1, -y, 0.0)
    return np.logaddexp(0, -y * z).sum(), -y * np.exp(-np.logaddexp(0, y * z))


def value_and_slopes(problem, point):
    """``f(z) + beta/2 ||(W1, w2)||^2`` and its gradient."""
    d = problem.X.shape[1]
    W1, w2 = point[: d * NEURONS].reshape(d, NEURONS), point[d * NEURONS :]
    H = problem.X @ W1
    A = np.maximum(H, 0)
    value, r = loss_and_slopes(problem, A @ w2)
    first = problem.X.T @ ((H > 0) * (r[:, None] * w2))
    slopes = np.concatenate([first.ravel(), A.T @ r]) + problem.beta * point
    return value + 0.5 * problem.beta * point @ point, slopes


def start(problem, seed):
    """Normal weights, scaled to outputs of size one."""
    rng = np.random.default_rng(seed)
    d = problem.X.shape[1]
    first = rng.standard_normal(d * NEURONS) / np.sqrt(d)
    return np.concatenate([first, rng.standard_normal(NEURONS) / np.sqrt(NEURONS)])


def layers(problem, point):
    """Weights as matrices."""
    d = problem.X.shape[1]
    return point[: d * NEURONS].reshape(d, NEURONS), point[d * NEURONS :]


def lbfgs(problem, seed):
    """SciPy's L-BFGS-B, 2000 iterations."""
    options = {"maxiter": 2000, "maxfun": 4000, "maxcor": 20, "ftol": 0.0, "gtol": 1e-9}
    fun = lambda point: value_and_slopes(problem, point)
    found = minimize(fun, start(problem, seed), jac=True, method="L-BFGS-B", options=options)
    return layers(problem, found.x)


def adam(problem, seed):
    """Full batches, a cosine schedule."""
    x = start(problem, seed)
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t in range(1, ADAM_STEPS + 1):
        g = value_and_slopes(problem, x)[1]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        rate = ADAM_RATE * 0.5 * (1 + np.cos(np.pi * t / ADAM_STEPS))
        x = x - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return layers(problem, x)


def program_value(problem, U):
    """The objective of the convex program at columns U, v above w."""
    masks = np.hstack([problem.gates, problem.gates])
    XU = problem.X @ U.T
    sigma = np.repeat([1.0, -1.0], problem.gates.shape[1])
    value = loss_and_slopes(problem, np.sum(masks * XU * sigma, axis=1))[0]
    return value + problem.beta * np.linalg.norm(U, axis=1).sum()


def certified_gap(problem, res):
    """Relative gap of a result from its x, r and multipliers alone."""
    U = np.concatenate([res.x[0].T, res.x[1].T])
    value = program_value(problem, U)
    D, S, y, r = problem.gates, np.where(problem.gates, 1.0, -1.0), problem.y, res.r
    pulled = problem.X.T @ (D * r[:, None])
    slopes = [
        s * pulled - problem.X.T @ (S * a) for s, a in zip((1, -1), res.multipliers, strict=True)
    ]
    most = problem.beta / max(np.linalg.norm(c, axis=0).max() for c in slopes)
    if problem.loss == "squared":
        t = min(max(-(r @ y) / (r @ r), 0.0), most)
        dual = -t * (r @ y) - 0.5 * t * t * (r @ r)
    else:
        t = np.clip(-y * r * min(1.0, most), 0, 1)
        dual = t.sum()
        if problem.loss == "logistic":
            inner = t[(t > 0) & (t < 1)]
            dual = -np.sum(inner * np.log(inner) + (1 - inner) * np.log1p(-inner))
    return (value - dual) / value


def program_rows(problem, tols, pyscnn):
    """The convex program over the patterns of an instance, one row per tolerance."""
    fit = lambda tol: refopt.fit_convex_relu(
        problem.X, problem.y, beta=problem.beta, loss=problem.loss, gates=problem.gates,
        refine=0, tol=tol, backend="numba",
    )  # fmt: skip
    optimum = fit(1e-9).fun_convex
    rows = []
    for tol in tols:
        seconds, res = min((cpu_seconds(lambda t=tol: fit(t)) for _ in range(3)),
                           key=lambda pair: pair[0])  # fmt: skip
        gap = certified_gap(problem, res)
        for finer in (1.0, 0.1, 0.01):
            peer, (U, _) = cpu_seconds(lambda t=tol * finer: clarabel_solution(problem, t))
            value = program_value(problem, U)
            off = abs(value - optimum) / optimum
            if off <= tol:
                break
        theirs = ["", ""]
        if pyscnn and tol == 1e-4 and problem.loss == "squared":
            net = objective(problem, res.W1, res.w2) * (1 + tol)
            found = first_of_pyscnn(problem, net, pyscnn)
            if found:
                theirs = [f"{found[0]:.2f} ({found[1]})", f"{found[0] / seconds:.1f}"]
            else:
                theirs = ["not reached", ""]
        name = f"{problem.name} ({problem.X.shape[0]} x {problem.X.shape[1]}), {tol:.0e}"
        rows.append([
            name, f"{res.fun_convex:.6f}", f"{gap:.1e}", f"{seconds:.3f}", f"{off:.0e}",
            f"{peer:.2f}", f"{peer / seconds:.1f}", *theirs,
        ])  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def first_of_pyscnn(problem, net, python, limit=60):
    """Seconds, setting and objective of the first run whose network is as good as `net`."""
    from refopt.convex_relu._cones import central_directions

    G = central_directions(np, problem.X, problem.gates.T)[0].T
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        np.savez(path, X=problem.X, y=problem.y, G=G, beta=problem.beta)
        command = [python, str(Path(__file__).with_name("pyscnn_worker.py")), str(path)]
        start = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as child:  # fmt: skip
            for line in child.stdout:
                record = json.loads(line)
                reached = objective(problem, np.array(record["W1"]), np.array(record["w2"]))
                if reached <= net or time.monotonic() - start > limit:
                    break
            child.kill()
    return (record["seconds"], record["setting"], reached) if reached <= net else None


def network_row(problem):
    """Refinement beside local training."""
    runs = {}
    for method in (lbfgs, adam):
        runs[method] = [cpu_seconds(lambda s=s, f=method: f(problem, s)) for s in SEEDS]
    best = {f: min(objective(problem, *net) for _, net in made) for f, made in runs.items()}
    least = min(best.values())
    reached = []
    start = time.process_time()

    def watch(intermediate_result):
        if intermediate_result.fun <= 1.0001 * least:
            reached.append(time.process_time() - start)

    fit = lambda: refopt.fit_convex_relu(
        problem.X, problem.y, beta=problem.beta, loss=problem.loss, refine=15, tol=1e-4, rng=0,
        callback=watch, time_limit=40,
    )  # fmt: skip
    seconds, res = cpu_seconds(fit)
    ours = objective(problem, res.W1, res.w2)
    lone = np.median([s for s, _ in runs[lbfgs]])
    first = reached[0] if reached else float("nan")
    return [
        problem.name, f"{ours:.6f}", f"{res.lower_bound:.6f}",
        f"{res.gap:.1e} {res.gap_kind.removeprefix('global-')}",
        f"{best[lbfgs]:.6f}", f"{best[adam]:.6f}", f"{ours / least:.5f}", f"{lone:.2f}",
        f"{first:.2f}", f"{first / lone:.1f}", f"{seconds:.2f}", f"{seconds / lone:.1f}",
    ]  # fmt: skip


PROGRAM_HEADER = [
    "program, gap asked", "value", "gap, recomputed", "refopt, s", "Clarabel off by",
    "Clarabel, s", "ratio", "pyscnn, s (its setting)", "ratio",
]  # fmt: skip
NETWORK_HEADER = [
    "instance", "refopt", "its bound", "gap", "best of 5 L-BFGS", "best of 5 Adam",
    "ratio to the best", "one L-BFGS, s", "s to 1.0001 of the best", "over one L-BFGS",
    "s to the bound", "over one L-BFGS",
]  # fmt: skip
TABLES = ("programs", "wide", "networks", "unseen")


def instances(table):
    """The problems of a table."""
    if table == "wide":
        return [relu_instances.wider(name) for name in ("breast-cancer", "diabetes")]
    if table == "unseen":
        return list(relu_instances.unseen())
    return [problems.relu_instance(name) for name in problems.RELU_INSTANCES]


def main():
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--pyscnn", metavar="PYTHON", help="the Python that has pyscnn (scnn)")
    parser.add_argument("--match", metavar="TEXT", default="", help="instances whose name has it")
    options = parser.parse_args()
    refopt.fit_convex_relu(np.ones((40, 2)), np.ones(40), beta=1.0, refine=1, backend="numba")
    print(environment("numpy", "scipy", "numba", "clarabel"), flush=True)
    for table in options.tables:
        rows = []
        for problem in instances(table):
            if options.match not in problem.name:
                continue
            if table in ("programs", "wide"):
                tols = (1e-4, 1e-6) if table == "programs" else (1e-4,)
                rows += program_rows(problem, tols, options.pyscnn)
            else:
                rows.append(network_row(problem))
                print(rows[-1], flush=True)
        header = PROGRAM_HEADER if table in ("programs", "wide") else NETWORK_HEADER
        print(f"\n{table}\n\n{markdown(header, rows)}\n", flush=True)


if __name__ == "__main__":
    main()
