"""Compare the methods of `refopt.solve_vi` on sums of operators, and their compiled steps.

    python asv_benchmarks/peers/finite_sums.py [--tables ...] [--quick]

One process, one thread, compilation excluded. "components": evaluations of components
until a residual, methods for sums beside deterministic ones. "ridge": seconds of the
same kind of method in scikit-learn. "steps": nanoseconds of a
compiled step beside the time to fetch its data and beside a Python callable.
"experiment": the paper's quadratic program at its authors' steps.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse
import time
import warnings

import numba
import numpy as np
from harness import environment, interleaved, markdown
from sklearn.linear_model import Ridge

import refopt
from refopt.halpern import RowLinear
from refopt.problems import ouyang_xu, row_sum
from refopt_backends import resolve

DETERMINISTIC = ("forward", "eg", "eag", "forb", "popov", "fbf")
SUMS = ("l-svrg", "vr-eg", "vr-forb", "vr-halpern", "inexact-halpern")
MARKS = (1e-2, 1e-3, 1e-4)


def main():
    """Print the tables that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tables = ("components", "ridge", "steps", "experiment")
    parser.add_argument("--tables", nargs="+", choices=tables, default=tables)
    parser.add_argument("--quick", action="store_true", help="smaller instances")
    options = parser.parse_args()
    print(environment("refopt", "numpy", "scipy", "numba", "scikit-learn"), end="\n\n")
    if "components" in options.tables:
        components(options.quick)
    if "ridge" in options.tables:
        ridge(options.quick)
    if "steps" in options.tables:
        steps(options.quick)
    if "experiment" in options.tables:
        experiment(5_000 if options.quick else 40_000)


def components(quick):
    """Print the epochs until each mark, and the best deterministic method over l-svrg."""
    size = (1000, 25) if quick else (10_000, 25)
    for decay, seed in ((1.0, 51), (1.0, 52), (2.0, 51), (2.0, 52)):
        problem = row_sum(*size, decay=decay, seed=seed)
        operator, start = problem.operator(), np.zeros(2 * size[1])
        found, rows = {}, []
        for name, call in _calls(operator, start).items():
            began = time.process_time()
            res = call()
            seconds = time.process_time() - began
            found[name] = [_epochs(res, mark) for mark in MARKS]
            marks = ["-" if e is None else f"{e:.0f}" for e in found[name]]
            rows.append([name, *marks, f"{res.residual:.1e}", f"{seconds:.2f}"])
        print(f"{problem.name}, epochs to a residual\n")
        print(markdown(["method", *(f"{m:g}" for m in MARKS), "last", "s"], rows))
        ratios = []
        for k, mark in enumerate(MARKS):
            best = min((found[m][k] for m in DETERMINISTIC if found[m][k]), default=None)
            ours = found["l-svrg"][k]
            least = "" if best else "> "
            best = best or CAP
            ratios.append(f"{mark:g}: {least}{best / ours:.0f}" if ours else f"{mark:g}: -")
        print(f"\nbest deterministic / l-svrg: {', '.join(ratios)}\n")


CAP = 5000


def _calls(operator, start):
    options = {"tol": MARKS[-1], "maxfev": CAP, "rng": 0}

    def solve(method):
        return lambda: refopt.solve_vi(operator, start, method=method, cocoercive=True, **options)

    calls = {name: solve(name) for name in (*DETERMINISTIC, *SUMS)}
    return calls | {
        "vr-halpern, paper": lambda: refopt.vr_halpern(operator, start, preset="paper", **options),
        "inexact-halpern, l-svrg inside": lambda: refopt.inexact_halpern(
            operator, start, inner="l-svrg", **options
        ),
    }


def _epochs(res, mark):
    """Component evaluations over n until the residual is below a mark, None if it never is."""
    below = np.flatnonzero(res.history["residual"] <= mark)
    return float(res.history["nfev"][below[0]]) if below.size else None


def ridge(quick):
    """Print seconds of ridge regression to a residual relative to that of zero."""
    warnings.simplefilter("ignore")  # of scikit-learn where its own tolerance is not met
    sizes = ((2_000, 20, 0, 1e-3),) if quick else (
        (10_000, 50, 0, 1e-3), (10_000, 50, 1, 1e-4), (50_000, 20, 1, 1e-4), (200_000, 20, 0, 1e-4),
    )  # fmt: skip
    rows = []
    for n, d, decay, mu in sizes:
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n, d)) * (np.arange(d) + 1.0) ** -decay
        y = X @ rng.standard_normal(d) + 0.1 * rng.standard_normal(n)
        operator = RowLinear(X, p=y, mu=mu)
        norm = np.linalg.norm(X.T @ y) / n
        for tol in (1e-3, 1e-6):
            calls = _ridge_calls(operator, X, y, mu, tol, norm)
            runs = interleaved(calls, repeats=3)
            ours, *peers = (runs[name].seconds for name in ("l-svrg", "sag", "saga"))
            rows.append([
                f"{n} x {d}, decay {decay}", f"{tol:g}", f"{1e3 * ours:.1f}",
                *(f"{1e3 * s:.1f}" for s in peers), f"{min(peers) / ours:.1f}",
            ])  # fmt: skip
    header = ["rows", "residual", "refopt l-svrg, ms", "sag, ms", "saga, ms", "best peer / refopt"]
    print("Ridge regression\n")
    print(markdown(header, rows), end="\n\n")


def _ridge_calls(operator, X, y, mu, tol, norm):
    n, d = X.shape

    def error(w):
        return np.linalg.norm(X.T @ (X @ w - y) / n + mu * w) / norm

    def ours():
        return refopt.solve_vi(operator, np.zeros(d), method="l-svrg", tol=tol * norm, rng=0).x

    assert error(ours()) <= tol
    calls = {"l-svrg": ours}
    for solver in ("sag", "saga"):
        for its in 10.0 ** -np.arange(1, 12):  # the largest tolerance of its own that suffices
            model = Ridge(n * mu, solver=solver, fit_intercept=False, tol=its, random_state=0)
            model.max_iter = 5000
            if error(model.fit(X, y).coef_) <= tol:
                break
        calls[solver] = lambda model=model: model.fit(X, y)
    return calls


@numba.njit(fastmath=True)
def _fetch(rows, index):
    """Read the rows once, in the order of a run."""
    total = 0.0
    for i in index:
        row = rows[i]
        for j in range(row.size):
            total += row[j]
    return total


def steps(quick):
    """Print nanoseconds per step."""
    count = 20_000 if quick else 200_000
    sizes = ((10_000, 25), (10_000, 50), (100_000, 25), (200, 25))
    header = ["rows", "fetch", "l-svrg", "vr-eg", "l-svrg / fetch", "Python callable", "ratio"]
    print("Nanoseconds per step with one component\n")
    print(markdown(header, [_step_row(n, d, count) for n, d in sizes]), end="\n\n")


def _step_row(n, d, count):
    problem = row_sum(n, d, decay=1.0)
    operator = problem.operator()
    _, kernels = resolve(operator.rows, backend="numba")
    index = np.random.default_rng(0).integers(n, size=count)
    w, g = np.zeros(2 * d), problem.batch(np.zeros(2 * d))
    arguments = (operator.form, 0.0, w, g, w, 0.125, 1.0, (), index, None)
    calls = {
        "fetch": lambda: _fetch(operator.rows, index),
        "l-svrg": lambda: kernels.svrg_rows_steps(*arguments),
        "vr-eg": lambda: kernels.vr_eg_rows_steps(*arguments),
    }
    fetch, svrg, vr_eg = (seconds / count * 1e9 for seconds in _best(calls).values())
    python = _python_steps(problem, w, g, index[: count // 20])
    return [
        f"{n} x {2 * d}", f"{fetch:.0f}", f"{svrg:.0f}", f"{vr_eg:.0f}", f"{svrg / fetch:.1f}",
        f"{python:.0f}", f"{python / svrg:.0f}",
    ]  # fmt: skip


def _best(calls, repeats=7):
    times = {}
    for name, call in calls.items():
        call()
        times[name] = float("inf")
    for _ in range(repeats):
        for name, call in calls.items():
            began = time.process_time()
            call()
            times[name] = min(times[name], time.process_time() - began)
    return times


def _python_steps(problem, w, g, index):
    """Nanoseconds of the loop as a user writes it, by the function of one component."""
    best = float("inf")
    for _ in range(3):
        u = w
        began = time.process_time()
        for i in index:
            one = np.array([i])
            u = u - 0.125 * (g + problem.batch(u, one) - problem.batch(w, one))
        best = min(best, time.process_time() - began)
    return best / index.size * 1e9


def experiment(epochs):
    """Print residuals of the paper's quadratic program."""
    problem = ouyang_xu(200)
    operator, n = problem.operator(), 200
    options = {"tol": 1e-14, "maxfev": epochs + 10, "rng": 0}
    shared = {"restart": None, "sampling": "uniform"} | options
    gamma = 0.001 * (n + 1.0) / np.sqrt((1 / n) * (1 - 1 / n))

    def whole(method, step, **more):
        return lambda: refopt.solve_vi(
            problem.fun, problem.start, method=method, step=step, **options, **more
        )

    calls = {
        "eg, 0.5": whole("eg", 0.5),
        "eag, 0.3": whole("eag", 0.3, restart=None),
        "eag, 0.9/L": whole("eag", 0.9 / 0.80898, restart=None),
        "eag, 0.95/L, restarted": whole("eag", 0.95 / 0.80898),
        "Algorithm 1, 0.3": lambda: refopt.vr_halpern(operator, problem.start, step=0.3, **shared),
        "Algorithm 2": lambda: refopt.inexact_halpern(
            operator, problem.start, eta=n**0.5, L=n**0.5, step=gamma, inner_maxiter=0.05, **shared
        ),
        "vr-halpern, restarted": lambda: refopt.vr_halpern(
            operator, problem.start, step=0.3, **shared | {"restart": "adaptive"}
        ),
        "inexact-halpern": lambda: refopt.inexact_halpern(
            operator, problem.start, **options, sampling="uniform"
        ),
        "vr-eg, 0.01": lambda: refopt.solve_vi(
            operator, problem.start, method="vr-eg", step=0.01, sampling="uniform", **options
        ),
    }
    marks = [m for m in (1_000, 5_000, 20_000, 40_000) if m <= epochs]
    rows = []
    for name, call in calls.items():
        began = time.process_time()
        history = call().history
        seconds = time.process_time() - began
        last = history["nfev"].size - 1
        at = [min(np.searchsorted(history["nfev"], m), last) for m in marks]
        rows.append([name, *(f"{history['residual'][k]:.1e}" for k in at), f"{seconds:.1f}"])
    print(f"{problem.name}, |F| after epochs\n")
    print(markdown(["method", *marks, "s"], rows))


if __name__ == "__main__":
    main()
