"""Compare `refopt.matrix_game` with linear programming solvers and regret matching.

    python asv_benchmarks/peers/halpern.py [--quick] [--unseen] [--limit SECONDS]

One process, one thread each, compilation excluded; every solver gets the matrix in its own
form beforehand. A time counts for a level if the gap of the strategies that came back,
clipped, scaled to sum 1 and measured here, is at most level * max|A|.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse

import numpy as np
from harness import QUICK, Run, cpu_seconds, environment, limited, markdown

import refopt
from refopt import problems

LEVELS = 1e-4, 1e-6, 1e-10
INSTANCES = {
    "policeman-burglar 500, seed 1": lambda: problems.policeman_burglar(500, 1),
    "policeman-burglar 1000, seed 51": lambda: problems.policeman_burglar(1000, 51),
    "Nemirovski-1 400": lambda: problems.nemirovski_1(400),
    "Nemirovski-2 400": lambda: problems.nemirovski_2(400),
    "Nemirovski-2 1000, exponent 1": lambda: problems.nemirovski_2(1000, 1.0),
    "Gaussian 400": lambda: problems.gaussian_game(400, 400, 201),
    "Gaussian 1000": lambda: problems.gaussian_game(1000, 1000, 202),
    "Gaussian 1500": lambda: problems.gaussian_game(1500, 1500, 203),
    "Gaussian 300 x 2000": lambda: problems.gaussian_game(300, 2000, 204),
    "uniform 1000": lambda: problems.uniform_game(1000, 1000, 205),
    "uniform 250 x 500": lambda: problems.uniform_game(250, 500, 206),
    "low rank 8 + noise 800": lambda: problems.low_rank_game(800, 800, 8, 0.1, 207),
    "low rank 3 + noise 1000 x 600": lambda: problems.low_rank_game(1000, 600, 3, 0.1, 208),
}
FEW = "policeman-burglar 500, seed 1", "Gaussian 400", "uniform 250 x 500"
UNSEEN_SEEDS = range(300, 303)


def gap(A, x, y):
    """The gap of strategies, after clipping and scaling."""
    x, y = np.maximum(x, 0.0), np.maximum(y, 0.0)
    return (A @ (x / x.sum())).max() - (A.T @ (y / y.sum())).min()


def ours(A, method="auto"):
    """level -> call."""

    def call(level):
        res = refopt.matrix_game(A, method=method, tol=0.0, rtol=level, time_limit=LIMIT)
        return res.x, res.y

    return {level: lambda level=level: call(level) for level in LEVELS}


def highs(A, solver):
    """Calls for all levels; the interior point method with and without crossover."""
    import highspy

    m, n = A.shape
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n + 1, m + 1
    lp.col_cost_ = np.append(np.zeros(n), 1.0)
    lp.col_lower_ = np.append(np.zeros(n), -np.inf)
    lp.col_upper_ = np.full(n + 1, np.inf)
    lp.row_lower_, lp.row_upper_ = np.append(np.full(m, -np.inf), 1.0), np.append(np.zeros(m), 1.0)
    matrix = np.vstack([np.hstack([A, -np.ones((m, 1))]), np.append(np.ones(n), 0.0)])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.arange(m + 2, dtype=np.int32) * (n + 1)
    lp.a_matrix_.index_ = np.tile(np.arange(n + 1, dtype=np.int32), m + 1)
    lp.a_matrix_.value_ = matrix.ravel()
    options = {
        "solver": solver, "threads": 1, "time_limit": LIMIT, "output_flag": False,
        "primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10,
    }  # fmt: skip

    def call(crossover):  # handing the matrix over included: a second run remembers the first
        model = highspy.Highs()
        for name, value in (options | {"run_crossover": crossover}).items():
            model.setOptionValue(name, value)
        model.passModel(lp)
        model.run()
        solution = model.getSolution()
        return np.array(solution.col_value)[:n], -np.array(solution.row_dual)[:m]

    ways = ("off", "on") if solver == "ipm" else ("on",)
    return {way: lambda way=way: call(way) for way in ways}


def pdlp(A):
    """level -> call, with the tolerance that usually gives such a gap."""
    import scipy.sparse as sp
    from ortools.pdlp import solvers_pb2
    from ortools.pdlp.python import pdlp as solver

    m, n = A.shape
    rows = np.vstack([np.hstack([A, -np.ones((m, 1))]), np.append(np.ones(n), 0.0)])
    program = solver.QuadraticProgram()
    program.resize_and_initialize(n + 1, m + 1)
    program.constraint_matrix = sp.csc_matrix(rows)
    program.objective_vector = np.append(np.zeros(n), 1.0)
    program.constraint_lower_bounds = np.append(np.full(m, -np.inf), 1.0)
    program.constraint_upper_bounds = np.append(np.zeros(m), 1.0)
    program.variable_lower_bounds = np.append(np.zeros(n), -np.inf)
    program.variable_upper_bounds = np.full(n + 1, np.inf)

    def call(level):
        params = solvers_pb2.PrimalDualHybridGradientParams()
        criteria = params.termination_criteria
        criteria.simple_optimality_criteria.eps_optimal_absolute = 0.3 * level * abs(A).max()
        criteria.simple_optimality_criteria.eps_optimal_relative = 0.0
        criteria.time_sec_limit = LIMIT
        found = solver.primal_dual_hybrid_gradient(program, params)
        return found.primal_solution[:n], -np.array(found.dual_solution)[:m]

    return {level: lambda level=level: call(level) for level in LEVELS[:2]}


SOLVERS = {
    "refopt": ours,
    "refopt rhpdhg": lambda A: ours(A, "rhpdhg"),
    "HiGHS simplex": lambda A: highs(A, "simplex"),
    "HiGHS IPM": lambda A: highs(A, "ipm"),
    "PDLP": pdlp,
    "regret matching+": lambda A: ours(A, "prm+"),
}
LIMIT = 60.0


def measure(A, name):
    """level -> CPU seconds: of one call under a time limit, the best of four if it is short."""
    times = {}
    for asked, call in SOLVERS[name](A).items():
        run = limited(call, 1.5 * LIMIT)
        if run.failure or run.seconds >= LIMIT:
            break
        runs = [run]
        if run.seconds < QUICK:
            runs += [Run(*cpu_seconds(call)) for _ in range(3)]
        for run in runs:
            reached = gap(A, *run.answer) / abs(A).max()
            for level in LEVELS:
                if reached <= level and (isinstance(asked, str) or asked <= level):
                    times[level] = min(times.get(level, np.inf), run.seconds)
    return times


def table(instances):
    """One line per instance and level: our time, and every other's over it."""
    others = [name for name in SOLVERS if name != "refopt"]
    rows, worst = [], {}
    for instance, make in instances.items():
        A = make()
        times = {name: measure(A, name) for name in SOLVERS}
        for level in LEVELS:
            own = times["refopt"].get(level, np.nan)
            ratios = {name: times[name].get(level, np.inf) / own for name in others}
            cells = [f"{r:.2g}" if np.isfinite(r) else "-" for r in ratios.values()]
            peers = [r for name, r in ratios.items() if not name.startswith("refopt")]
            worst[instance, level] = min(peers)
            best = f"{min(peers):.2g}" if np.isfinite(min(peers)) else "-"
            row = [instance, f"{level:.0e}", f"{own:.3f}", *cells, best]
            rows.append(row)
            print(*row, sep=" | ", flush=True)
    print()
    print(markdown(["game", "gap / max abs A", "refopt, s", *others, "best peer"], rows))
    print()
    lost = [f"{name} at {level:.0e} ({r:.2g})" for (name, level), r in worst.items() if r < 1]
    print(f"Slower than the best peer on {len(lost)} of {len(worst)}:", ", ".join(lost) or "none")


def unseen():
    """Games of seeds that nothing was tuned on, in sizes that differ."""
    games = {}
    for seed in UNSEEN_SEEDS:
        m, n = np.random.default_rng(seed).integers(200, 900, 2)
        games |= {
            f"Gaussian {m} x {n}": lambda s=seed, m=m, n=n: problems.gaussian_game(m, n, s),
            f"uniform {m} x {n}": lambda s=seed, m=m, n=n: problems.uniform_game(m, n, s),
            f"low rank 5 + noise {m} x {n}": lambda s=seed, m=m, n=n: problems.low_rank_game(
                m, n, 5, 0.05, s
            ),
            f"policeman-burglar {n}": lambda s=seed, n=n: problems.policeman_burglar(n, s),
            f"integers {m} x {n}": lambda s=seed, m=m, n=n: (
                1.0 * np.random.default_rng(s).integers(-9, 10, (m, n))
            ),
            f"sparse {m} x {n}": lambda s=seed, m=m, n=n: (
                problems.gaussian_game(m, n, s) * (np.random.default_rng(s).random((m, n)) < 0.05)
            ),
        }
    return games


def main():
    """Print the table that the command line asks for."""
    global LIMIT
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few small instances")
    parser.add_argument("--unseen", action="store_true", help="games not used in tuning")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for each call")
    options = parser.parse_args()
    LIMIT = options.limit
    print(environment("refopt", "numpy", "scipy", "numba", "highspy", "ortools"), end="\n\n")
    for method in ("auto", "rhpdhg", "prm+"):
        ours(problems.gaussian_game(60, 50), method)[1e-4]()  # compiles
    instances = unseen() if options.unseen else INSTANCES
    table({k: v for k, v in instances.items() if k in FEW or not options.quick})


if __name__ == "__main__":
    main()
