"""Compare `refopt.sinkhorn_newton` with the solvers a user would pick instead.

    python asv_benchmarks/peers/transport.py [--quick] [--families assign digits ...]
                                             [--pot-sinkhorn] [--large] [--peers-only] [--save FILE]

One process, one thread each, interleaved repeats, compilation excluded.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import transport_solvers as solvers
from harness import environment, geometric_mean, interleaved, markdown

from refopt.problems import transport_instance

TOL = 1e-9
LIMIT = 120  # wall-clock seconds that a peer may take on one instance

# name@seed; every family from reg = 1e-2 to 1e-5 of the largest cost
INSTANCES = {
    "assign": "assign-500-e100 assign-500 assign-800 assign-1600 assign-2000@13 assign-800-e4000 "
    "assign-350-e10000@11 assign-1000-e100000@12",
    "digits": "digits-l2-7-64-e100 digits-l2-20-45 digits-l2-100-205 digits-l2-20-45-e4000 "
    "digits-l2-33-500-e100000 digits-l2-20-45-nobg digits-l1-250-811-e100 digits-l1-20-45 "
    "digits-l1-100-205 digits-l1-7-64-e10000 digits-l1-20-45-nobg",
    "cloud2": "cloud2-350-1e-2@21 cloud2-800-1e-2 cloud2-800-1e-3 cloud2-1600-1e-3 "
    "cloud2-2000-1e-3@22 cloud2-500-1e-4@23 cloud2-800-1e-4 cloud2-800-1e-5 cloud2-5000-1e-3",
    "cloud50": "cloud50-350-1e-2@31 cloud50-800-1e-2 cloud50-800-1e-3 cloud50-1600-1e-3 "
    "cloud50-2000-1e-3@33 cloud50-800-1e-4 cloud50-500-1e-5@32",
    "rect": "rect-600-350-1e-2 rect-600-350-1e-3 rect-1000-500-1e-3@41 rect-350-2000-1e-3@42 "
    "rect-1500-800-1e-4 rect-600-350-1e-5",
    "ladder": "ladder-350-1e-4@51",
}
QUICK = (
    "assign-500 digits-l2-20-45 digits-l2-20-45-nobg digits-l1-100-205 cloud2-800-1e-3 "
    "cloud50-800-1e-3 rect-600-350-1e-3"
)
# Seeds and pairs that no constant of the solver was chosen with.
UNSEEN = (
    "assign-600@901 assign-1000@902 assign-700-e4000@903 digits-l2-301-612 "
    "digits-l2-411-733-e4000 digits-l1-301-612 digits-l1-411-733 digits-l1-411-733-nobg "
    "cloud2-600-1e-2@904 cloud2-900-1e-3@905 cloud2-700-1e-4@906 cloud2-600-1e-5@912 "
    "cloud50-600-1e-2@907 cloud50-900-1e-3@908 cloud50-700-1e-4@909 rect-700-400-1e-2@910 "
    "rect-900-500-1e-3@911"
)
EXACT = "cloud2-2000-1e-3 cloud2-3000-1e-3 cloud50-2000-1e-3 cloud50-3000-1e-3"
SCALINGS = {  # POT's method: its cap on iterations
    "sinkhorn_log": 2_000,
    "sinkhorn_stabilized": 10_000,
    "sinkhorn_epsilon_scaling": 300,
}


def main():
    """Print the tables that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few small instances")
    parser.add_argument("--unseen", action="store_true", help="only instances not used in tuning")
    parser.add_argument("--families", nargs="+", choices=INSTANCES, default=list(INSTANCES))
    parser.add_argument("--pot-sinkhorn", action="store_true", help="add POT's Sinkhorn variants")
    parser.add_argument("--large", action="store_true", help="add 50 000 points, lazily")
    parser.add_argument("--peers-only", action="store_true", help="leave refopt out")
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the raw numbers as JSON")
    options = parser.parse_args()

    raw = {"environment": environment("refopt", "numpy", "scipy", "numba", "regot", "POT")}
    print(raw["environment"], end="\n\n")
    if options.unseen:
        entropic_table(UNSEEN.split(), not options.peers_only)
        return
    names = " ".join(INSTANCES[family] for family in options.families)
    names = [name for name in names.split() if not options.quick or name in QUICK.split()]
    ours = not options.peers_only
    raw["entropic"] = entropic_table(names, ours)
    if not options.quick:
        raw["exact"] = exact_table(EXACT.split(), ours)
    if options.pot_sinkhorn:
        raw["pot"] = pot_table(["assign-500", "cloud2-800-1e-3", "cloud50-800-1e-3"])
    if ours:
        raw["kernel"] = kernel_table()
        raw["calls"] = call_table()
    if options.large and ours:
        raw["large"] = large_table(50_000)
    if options.save:
        options.save.write_text(json.dumps(raw, indent=1))


def entropic_table(names, with_refopt):
    """Refopt against SSNS: time, iterations and recomputed error on every instance."""
    print(f"## Entropic transport to a marginal error of {TOL:g}\n")
    rows, records, ratios = [], [], {}
    for name in names:
        problem = instance(name)
        calls = {"SSNS": solvers.regot_ssns(problem, TOL)}
        if with_refopt:
            calls["refopt"] = solvers.refopt_newton(problem, TOL)
        runs = interleaved(calls, limits={"SSNS": LIMIT})
        ours, theirs = (record(runs.get(solver), problem) for solver in ("refopt", "SSNS"))
        ratio, text = compare(ours, theirs)
        if ratio:
            ratios[name] = ratio
        row = [name, *cells(ours), *cells(theirs), text]
        print(*row, sep="  ", file=sys.stderr, flush=True)
        rows.append(row)
        records.append({"instance": name, "refopt": ours, "SSNS": theirs})
    header = [
        "instance (@seed)", "refopt s", "Newton/passes/CG", "error",
        "SSNS s", "iterations", "error", "ratio",
    ]  # fmt: skip
    print(markdown(header, rows), end="\n\n")
    for solver in ("refopt", "SSNS") if with_refopt else ("SSNS",):
        solved = sum(bool(entry[solver].get("solved")) for entry in records)
        print(f"{solver} solves {solved} of {len(records)}. ", end="")
    if ratios:
        worst = min(ratios, key=ratios.get)
        print(
            f"Geometric mean of the ratio over the {len(ratios)} instances that both solve: "
            f"{geometric_mean(ratios.values()):.1f}; worst {ratios[worst]:.1f} ({worst})."
        )
    print(
        f'\nSeconds are CPU seconds, the best of several runs. "> {LIMIT} s": stopped. '
        "SSNS is asked for the Euclidean gradient norm that this error implies. "
        '"failed" with an error above the tolerance, or NaN.\n'
    )
    return records


def exact_table(names, with_refopt):
    """Refopt at reg = 1e-3 of the largest cost against exact solvers."""
    print("## Against exact transport (reg = 0), point clouds\n")
    rows, records = [], []
    for name in names:
        problem = instance(name)
        calls = {
            "emd": solvers.pot_emd(problem),
            "assignment": solvers.scipy_assignment(problem),
        }
        if with_refopt:
            calls["refopt"] = solvers.refopt_newton(problem, TOL)
        runs = interleaved(calls, repeats=3, limits={"emd": LIMIT, "assignment": LIMIT})
        entry = {solver: record(run, problem, cost=True) for solver, run in runs.items()}
        ours, emd, lsa = (entry.get(solver, {}) for solver in ("refopt", "emd", "assignment"))
        _, ratio = compare(ours, emd)
        excess = f"{ours['cost'] / emd['cost'] - 1:.1%}" if "cost" in ours and "cost" in emd else ""
        rows.append([name, *cells(ours)[::2], excess, cells(emd)[0], ratio, cells(lsa)[0]])
        records.append({"instance": name, **entry})
    header = [
        "instance", "refopt s", "error", "cost above exact",
        "ot.emd s", "ratio", "linear_sum_assignment s",
    ]  # fmt: skip
    print(markdown(header, rows), end="\n\n")
    return records


def pot_table(names):
    """POT's Sinkhorn variants, stopped by a cap on their iterations."""
    print("## POT's Sinkhorn variants, with a cap on their iterations\n")
    rows, records = [], []
    for name in names:
        problem = instance(name)
        for method, cap in SCALINGS.items():
            call = solvers.pot_sinkhorn(problem, TOL, method, cap)
            entry = record(interleaved({method: call}, 0, {method: LIMIT})[method], problem)
            rows.append([name, method, cap, *cells(entry)])
            records.append({"instance": name, "method": method, **entry})
    header = ["instance", "method", "cap", "s", "iterations", "error"]
    print(markdown(header, rows), end="\n\n")
    return records


def kernel_table():
    """Nanoseconds per matrix entry of the fused pass, at the optimal potentials."""
    print("## The fused pass\n")
    names = [
        "assign-800",
        "assign-1600",
        "cloud2-1600-1e-2",
        "cloud2-1600-1e-4",
        "cloud2-3000-1e-3",
    ]
    rows = [
        [name, *(f"{fused_pass_ns(instance(name), first):.2f}" for first in (True, False))]
        for name in names
    ]
    print(markdown(["instance", "first pass, ns per entry", "next passes"], rows), end="\n\n")
    return rows


def fused_pass_ns(problem, first):
    """Return the nanoseconds that one pass spends on one entry of C.

    Passes after the first know f nearby, and need no row maximum.
    """
    import refopt
    from refopt_backends import resolve

    C, a, reg = problem.C, problem.a, problem.reg
    res = refopt.sinkhorn_newton(C, a, problem.b, reg=reg)
    known = () if first else (res.f,)
    _, kernels = resolve(C, backend="numba")
    call = partial(kernels.semidual_pass, (C,), res.g, a, reg, *known)
    run = interleaved({"pass": call}, repeats=30)["pass"]
    return run.seconds / C.size * 1e9


def call_table():
    """What a call costs at 10 x 10, and the iterations of the paper's preset."""
    import refopt

    print("## Calls and presets\n")
    rows = [
        [f"sinkhorn_newton, 10 x 10{text}", f"{call_ms(**options):.3f} ms"]
        for text, options in {
            ", maxiter=0": {"maxiter": 0},
            "": {},
            ", backend numba": {"backend": "numba"},
        }.items()
    ]
    problem = instance("assign-500")
    C, reg = problem.C, problem.reg
    for text, res in {
        'preset="paper"': refopt.sinkhorn_newton(C, reg=reg, tol=TOL, preset="paper"),
        "plain sinkhorn": refopt.sinkhorn(C, reg=reg, tol=TOL, maxiter=10_000, eps_scaling=None),
    }.items():
        figure = f"{res.nit} iterations, error {res.marginal_error:.1e}"
        rows.append([f"assign-500, {text}", figure])
    print(markdown(["call", "figure"], rows), end="\n\n")
    return rows


def call_ms(calls=50, **options):
    """Return the milliseconds of one public call on a 10 x 10 problem."""
    import refopt

    C = np.random.default_rng(1).random((10, 10))

    def repeat():
        for _ in range(calls):
            refopt.sinkhorn_newton(C, reg=0.05, **options)

    return interleaved({"call": repeat}, repeats=10)["call"].seconds / calls * 1e3


def large_table(n):
    """A cloud whose matrix would not fit, in a child process that reports its peak memory."""
    print("## Points without a matrix\n")
    child = Path(__file__).with_name("transport_large.py")
    out = subprocess.run([sys.executable, str(child), str(n)], check=True, capture_output=True)
    entry = json.loads(out.stdout)
    header = ["points", "reg", "s", "Newton/passes/CG", "error", "peak memory"]
    row = [
        f"{n} x {n} in 2-D", "1e-3 max C", f"{entry['seconds']:.1f}", entry["iterations"],
        f"{entry['error']:.1e}", f"{entry['peak_bytes'] / 2**30:.2f} GiB",
    ]  # fmt: skip
    print(markdown(header, [row]), end="\n\n")
    return entry


def instance(name):
    """Build ``name@seed``; the seed is 1 unless given."""
    name, _, seed = name.partition("@")
    return transport_instance(name, seed=int(seed or 1))


def record(run, problem, cost=False):
    """Judge a run by the outside measure."""
    if run is None:
        return {}
    if run.failure:
        return {"failure": run.failure}
    error = solvers.marginal_error(run.answer, problem)
    entry = {
        "seconds": run.seconds,
        "iterations": run.answer.iterations,
        "error": error,
        "note": run.answer.note,
        "solved": error <= TOL,
    }
    return entry | ({"cost": solvers.transport_cost(run.answer, problem)} if cost else {})


def cells(entry):
    """Time, iterations and error of a record, as table cells."""
    if not entry:
        return ["", "", ""]
    if "failure" in entry:
        return [entry["failure"], "", ""]
    verdict = "" if entry["solved"] else " failed"
    note = f" ({entry['note']})" if entry["note"] else ""
    return [
        f"{entry['seconds']:.3f}",
        f"{entry['iterations']}{note}",
        f"{entry['error']:.1e}{verdict}",
    ]


def compare(ours, theirs):
    """Return how many times longer they took, and the table's cell for it."""
    if not ours or not ours.get("solved"):
        return None, "-"
    if theirs.get("failure", "").startswith(">"):
        return None, f"> {LIMIT / ours['seconds']:.0f}"
    if not theirs.get("solved"):
        return None, "they fail"
    ratio = theirs["seconds"] / ours["seconds"]
    return ratio, f"{ratio:.1f}"


if __name__ == "__main__":
    main()
