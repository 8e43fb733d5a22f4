"""Compare `refopt.lasso` and `refopt.l1_logistic` with the solvers a user would pick instead.

    python asv_benchmarks/peers/block_coordinate.py [--data DIR] [--adelie PYTHON] [--kinds ...]
        [--only NAME ...] [--match TEXT] [--unseen] [--limit SECONDS] [--save FILE]

One run, one thread each, compilation excluded. A time is that of one cold run
at the loosest tolerance with which the gap, recomputed outside, is small
enough: the best of three, in CPU seconds. Without ``--data`` only the generated
and the bundled instances run.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import sparse_regression_instances as data
import sparse_regression_solvers as solvers
from adelie_worker import save
from harness import environment, geometric_mean, markdown
from ladder import climb_in_child

LOOSE, TARGET, TIGHT = 1e-6, 1e-10, 1e-12
PEER_TARGETS, OUR_TARGETS = [LOOSE, TARGET], [LOOSE, TARGET, TIGHT]


def main():
    """Print the tables that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the public files")
    parser.add_argument("--adelie", metavar="PYTHON", help="the Python that has adelie")
    parser.add_argument(
        "--kinds", nargs="+", choices=solvers.SOLVERS, default=["lasso", "logistic"]
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help='these solvers; "peers": all')
    parser.add_argument("--match", metavar="TEXT", default="", help="instances whose name has it")
    parser.add_argument("--unseen", action="store_true", help="no constant was chosen on these")
    parser.add_argument("--limit", type=float, default=10, help="wall-clock seconds per solver")
    parser.add_argument("--peers-from", type=Path, metavar="FILE", help="peers' times saved before")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the raw numbers as JSON")
    options = parser.parse_args()

    packages = ("refopt", "numpy", "scipy", "numba", "scikit-learn", "celer", "skglm")
    print(environment(*packages), end="\n\n")
    earlier = {}
    if options.peers_from:
        earlier = {entry["name"]: entry for entry in json.loads(options.peers_from.read_text())}
    records = []
    for kind in options.kinds:
        names = [name for name in chosen_solvers(kind, options) if warm_up(name, kind)]
        entries = []
        for problem in data.instances(kind, options.data, options.match, options.unseen):
            entry = measured(problem, names, options)
            old = earlier.get(entry["name"], {})
            entry["solvers"] = old.get("solvers", {}) | entry["solvers"]
            entries.append(entry)
            print(*row(entry, kind), sep="  ", file=sys.stderr, flush=True)
            records.append(entry)
            if options.save:
                options.save.write_text(json.dumps(records, indent=1))
        table(kind, entries)
    summary(records)


def chosen_solvers(kind, options):
    """Return the solvers to run: those asked for that are here."""
    names = []
    for name in solvers.SOLVERS[kind]:
        asked = options.only or [name]
        if name not in asked and not ("peers" in asked and name != "refopt"):
            continue
        if name == "adelie" and not options.adelie:
            print("adelie left out: it needs NumPy 1; give the Python that has it as --adelie")
            continue
        names.append(name)
    return names


def warm_up(name, kind):
    """Import the library, compile what it compiles on dense and sparse data; False if absent."""
    if name == "adelie":
        return True
    family = "a" if kind == "lasso" else "b"
    for text in (f"dataset-{family}-60-40@1", "correlated-40-60-0.5@1"):
        try:
            run = solvers.solver(name, data.instance(text, kind, 0.1))
        except ImportError as error:
            print(f"{name} left out: {error}; pip install {error.name}")
            return False
        for level in (1e-3, 1e-10):
            run(level)
    return True


def measured(problem, names, options):
    """Climb every solver's ladder on one instance."""
    measure = partial(solvers.relative_gap, problem)
    results = {}
    for name in names:
        if name == "adelie":
            results[name] = climb_adelie(problem, options)
            continue
        targets = OUR_TARGETS if name == "refopt" else PEER_TARGETS
        make_run = partial(solvers.solver, name, problem)
        result = climb_in_child(make_run, measure, targets, solvers.LADDERS[name], options.limit)
        results[name] = {str(key): value for key, value in result.items()}
    name = f"{problem.kind} {problem.name}"
    return {"name": name, "shape": problem.X.shape, "lam": problem.lam, "solvers": results}


def climb_adelie(problem, options):
    """Climb adelie's ladder in a process of its own Python."""
    worker = Path(__file__).with_name("adelie_worker.py")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "instance.npz"
        save(file, problem)
        command = [options.adelie, worker, file, *map(str, PEER_TARGETS)]
        failure = {}
        try:
            child = subprocess.run(command, capture_output=True, timeout=options.limit + 5)
            out = child.stdout
            if child.returncode:
                failure = {"failure": child.stderr.decode().strip().rpartition("\n")[2]}
        except subprocess.TimeoutExpired as expired:
            out, failure = expired.stdout or b"", {"failure": "time limit"}
    result = {}
    for line in out.decode().splitlines():
        record = json.loads(line)
        result |= {str(record.pop("target")): record} if "target" in record else record
    return result | failure


def seconds(entry, name, target):
    """Return a solver's time to a target or a tighter one, or None."""
    found = entry["solvers"].get(name, {})
    tighter = [found.get(str(other), {}) for other in OUR_TARGETS if other <= target]
    return min((record["seconds"] for record in tighter if record), default=None)


def best_peer(entry, target):
    """Return the fastest peer's name and time, or None where none got there."""
    times = {name: seconds(entry, name, target) for name in entry["solvers"] if name != "refopt"}
    times = {name: time for name, time in times.items() if time is not None}
    return min(times.items(), key=lambda item: item[1], default=None)


def ratio(entry, target):
    """Return our time over the best peer's, or None."""
    ours, peer = seconds(entry, "refopt", target), best_peer(entry, target)
    return ours / peer[1] if ours and peer else None


def row(entry, kind):
    """Return the cells of one instance."""
    ours = entry["solvers"].get("refopt", {})
    found = [result.get(str(TARGET), {}) for result in entry["solvers"].values()]
    nonzeros = next((record["nonzeros"] for record in found if record), "-")
    iterations = ours.get(str(TARGET), {}).get("iterations", "-")
    cells = [entry["name"].partition(" ")[2], nonzeros, cell(entry, "refopt", TARGET), iterations]
    cells += [cell(entry, name, TARGET) for name in solvers.SOLVERS[kind] if name != "refopt"]
    for target in (LOOSE, TARGET):
        peer = best_peer(entry, target)
        value = ratio(entry, target)
        cells.append("-" if value is None else f"{value:.2f}")
        cells.append(f"{1e3 * peer[1]:.1f} {peer[0]}" if peer else "-")
    return cells


def cell(entry, name, target):
    """Milliseconds, or the best gap that was reached."""
    result = entry["solvers"].get(name)
    if result is None:
        return ""
    time = seconds(entry, name, target)
    if time is not None:
        return f"{1e3 * time:.1f}"
    if "best" in result:
        return f"({result['best']:.1e})"
    return result.get("failure", "-")


def table(kind, entries):
    """Print one kind's table."""
    title = {"lasso": "Lasso", "logistic": "L1 logistic regression"}[kind]
    print(f"## {title}, gap {TARGET:g}, milliseconds\n")
    peers = [name for name in solvers.SOLVERS[kind] if name != "refopt"]
    header = ["data, lam/lam_max", "nonzeros", "refopt", "iterations", *peers]
    for target in (LOOSE, TARGET):
        header += [f"ratio at {target:g}", f"best peer at {target:g}"]
    print(markdown(header, [row(entry, kind) for entry in entries]), end="\n\n")
    print("In brackets: the best gap reached within the time limit, at any tolerance.\n")


def summary(records):
    """Print the figures over all instances."""
    for target in (LOOSE, TARGET):
        ratios = {entry["name"]: ratio(entry, target) for entry in records}
        ratios = {name: value for name, value in ratios.items() if value is not None}
        if ratios:
            worst = max(ratios, key=ratios.get)
            print(
                f"Our time over the best peer's at gap {target:g}, {len(ratios)} instances: "
                f"geometric mean {geometric_mean(ratios.values()):.3f}, "
                f"worst {ratios[worst]:.2f} ({worst})."
            )
        print(*(group_mean(records, kind, target) for kind in solvers.SOLVERS), sep=" ")
        alone = [entry["name"] for entry in records if best_peer(entry, target) is None]
        if alone:
            print(f"No peer reaches {target:g} on {', '.join(alone)}.")
        ran = [entry for entry in records if "refopt" in entry["solvers"]]
        failed = [entry["name"] for entry in ran if seconds(entry, "refopt", target) is None]
        if failed:
            print(f"refopt does not reach {target:g} on {', '.join(failed)}.")
    pairs = [
        (seconds(entry, "refopt", TIGHT), seconds(entry, "refopt", LOOSE)) for entry in records
    ]
    costs = {
        entry["name"]: tight / loose
        for entry, (tight, loose) in zip(records, pairs, strict=True)
        if tight and loose
    }
    if costs:
        worst = max(costs, key=costs.get)
        print(
            f"Our time at gap {TIGHT:g} over that at {LOOSE:g}, {len(costs)} instances: "
            f"geometric mean {geometric_mean(costs.values()):.2f}, "
            f"worst {costs[worst]:.2f} ({worst})."
        )


def group_mean(records, kind, target):
    """Say one kind's geometric mean, or nothing."""
    ratios = [ratio(entry, target) for entry in records if entry["name"].startswith(kind)]
    ratios = [value for value in ratios if value is not None]
    return f"{kind}: {geometric_mean(ratios):.3f}." if ratios else ""


if __name__ == "__main__":
    main()
