"""Two-layer ReLU networks: refinement beside five L-BFGS runs and five Adam runs.

    python asv_benchmarks/peers/convex_relu.py [INSTANCE ...]

The objective of every network is recomputed here, in plain NumPy; seconds are of one thread.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import sys

import numpy as np
from harness import cpu_seconds, environment, markdown
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


def row(name):
    """One instance."""
    problem = problems.relu_instance(name)
    runs = {}
    for method in (lbfgs, adam):
        runs[method] = [cpu_seconds(lambda s=s, f=method: f(problem, s)) for s in SEEDS]
    fit = lambda: refopt.fit_convex_relu(
        problem.X, problem.y, beta=problem.beta, loss=problem.loss, refine=10, tol=1e-4, rng=0
    )
    seconds, res = cpu_seconds(fit)
    ours = objective(problem, res.W1, res.w2)
    best = {f: min(objective(problem, *net) for _, net in made) for f, made in runs.items()}
    lone = np.median([s for s, _ in runs[lbfgs]])
    least = min(best.values())
    return (
        name, f"{ours:.6f}", f"{res.lower_bound:.6f}", f"{res.gap:.1e} {res.gap_kind}",
        f"{best[lbfgs]:.6f}", f"{best[adam]:.6f}", f"{ours / least:.5f}",
        f"{seconds:.2f}", f"{lone:.2f}", f"{seconds / lone:.1f}",
    )  # fmt: skip


def main(names):
    """Print the table."""
    refopt.fit_convex_relu(np.ones((40, 2)), np.ones(40), beta=1.0, refine=1, backend="numba")
    print(environment("numpy", "scipy", "numba"), flush=True)
    header = ["instance", "refopt", "its bound", "gap", "best of 5 L-BFGS", "best of 5 Adam",
              "ratio to the best", "s", "one L-BFGS, s", "ratio"]  # fmt: skip
    rows = []
    for name in names or problems.RELU_INSTANCES:
        rows.append(row(name))
        print(rows[-1], flush=True)
    print(markdown(header, rows))


if __name__ == "__main__":
    main(sys.argv[1:])
