r"""
The rules of block coordinate descent side by side
==================================================

Figures 4 to 7 of J. Nutini, I. Laradji and M. Schmidt, *Let's make block coordinate
descent converge faster*, redrawn from runs of :func:`refopt.minimize_bcd`. The data are
drawn anew by the same recipes, so that orders of magnitude and orders of curves
can be compared with the paper's, digits cannot.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.linalg import spsolve

import refopt
from refopt.block_coordinate import LeastSquares, Quadratic
from refopt.problems import dataset_a, lattice, two_moons


def descend(problem, iterations, **rules):
    """The objective after every iteration."""
    run = refopt.minimize_bcd(problem, maxiter=iterations, tol=0, rng=0, **rules)
    return run.history["fun"]


def draw(ax, curves, least, floor):
    """f - f* of some runs, on a logarithmic scale."""
    for k, (name, values) in enumerate(curves.items()):
        style = ("-", "--", ":", "-.")[k % 4]
        ax.plot(np.maximum(values - least, floor / 3), style, label=name, lw=1.5)
    ax.set_yscale("log")
    ax.set_ylim(bottom=floor)
    ax.set_xlabel("iteration")
    ax.set_ylabel(r"$f - f^*$")
    ax.legend(fontsize=8)


# %%
# Figure 4: gradient updates
# --------------------------
# Experiment A, least squares with badly scaled columns: 300 x 3000, where the paper has
# 1000 x 10000, to keep the building of this page short. Every update is
# :math:`-g_b/L_b` on five coordinates; only the choice of the five differs. FB: fixed
# blocks, of sorted :math:`L_i`. VB: any five coordinates.

data = dataset_a(300, 3000, seed=1)
A = LeastSquares(data.X, data.y)
variable, fixed = {"partition": "variable"}, {"partition": "sort"}
rules = {
    "cyclic": fixed | {"selection": "cyclic"},
    "random": fixed | {"selection": "random"},
    "Lipschitz": fixed | {"selection": "lipschitz"},
    "GS, FB": fixed | {"selection": "gs"},
    "GSL, FB": fixed | {"selection": "gsl"},
    "GS, VB": variable | {"selection": "gs"},
    "GSD, VB": variable | {"selection": "gsd"},
}
gradient = {name: descend(A, 400, update="gradient", **rule) for name, rule in rules.items()}

# %%
# Figure 5: matrix updates
# ------------------------
# The same with :math:`-H_b^{-1}g_b`, which is exact here. The rules that know
# :math:`L_i` gain most: a better update can only use what the rule chooses.
# (GSQ with fixed blocks scores what this update will attain. "OMP" picks the five
# one after the other, each for the best decrease beside those already chosen.)

rules |= {
    "GSQ, FB": fixed | {"selection": "gsq"},
    "GSQ by OMP, VB": variable | {"selection": "gsq-omp"},
}
del rules["Lipschitz"], rules["GSL, FB"]
matrix = {name: descend(A, 250, update="matrix", **rule) for name, rule in rules.items()}

figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
draw(axes[0], gradient, 0.0, 1e1)
axes[0].set_title("least squares, gradient updates")
draw(axes[1], matrix, 0.0, 1e-4)
axes[1].set_title("least squares, matrix updates")
plt.show()

# %%
# Figure 6: message passing
# -------------------------
# Experiments D and E, label propagation on a lattice and on two moons. A block whose
# graph is a forest is solved exactly in time proportional to its size, so that blocks of
# hundreds of nodes cost what a dense solve of :math:`n^{1/3}` nodes does. Best is
# the forest that is grown anew each time from the nodes of largest gradient, before
# the fixed forests that a greedy partition finds.

forests = {
    "general, n^(1/3)": {"selection": "gs", "update": "exact", "block_size": 13},
    "red-black": {"partition": "red-black", "selection": "gs"},
    "random tree": {"partition": "random-tree", "selection": "random"},
    "tree partition": {"partition": "tree", "selection": "gs"},
    "greedy tree": {"partition": "greedy-tree", "selection": "gs"},
}
figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for ax, graph, floor in ((axes[0], lattice(), 1e-5), (axes[1], two_moons(), 1e-6)):
    labels = Quadratic(graph.A, graph.b)
    least = -0.5 * graph.b @ spsolve(graph.A.tocsc(), graph.b)
    draw(ax, {name: descend(labels, 400, **rule) for name, rule in forests.items()}, least, floor)
    ax.set_title(f"labels on {graph.name.rpartition('-')[0]}, {graph.b.size} unknowns")
plt.show()

# %%
# Figure 7: the active set, and the end
# -------------------------------------
# The same matrix with :math:`x\ge0` and an L1 penalty. Once the active set is right
# (circles) a block that covers the support ends the run: the curves of prox-Newton (PN)
# and two-metric projection (TMP) with blocks of 50 fall straight down. Projected
# gradients (PG) know nothing of the curvature between coordinates, and fixed blocks
# never hold the whole support.

lam = 0.2 * np.max(data.X.T @ data.y)
nonnegative = LeastSquares(data.X, data.y, l1=lam, bounds=(0.0, np.inf))
figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", sharey=True)
exact = refopt.lasso(data.X, data.y, lam, positive=True, tol=1e-14)
for ax, size in zip(axes, (5, 50), strict=True):
    runs = {}
    for place, partition in (("VB", "variable"), ("FB", "sort")):
        for name, update in (("PN", "prox-newton"), ("TMP", "two-metric"), ("PG", "prox-gradient")):
            runs[f"{name}, {place}"] = refopt.minimize_bcd(
                nonnegative, partition=partition, selection="gs-q", update=update,
                block_size=size, maxiter=250, tol=0, rng=0,
            )  # fmt: skip
    draw(ax, {name: run.history["fun"] for name, run in runs.items()}, exact.fun, 1e-7)
    for line, run in zip(ax.lines, runs.values(), strict=True):
        k = run.nit_active
        if k < run.nit:
            ax.plot(k, line.get_ydata()[k], "o", color=line.get_color(), mfc="white", ms=6)
    ax.set_title(f"nonnegative Lasso, blocks of {size}")
    tmp = runs["TMP, VB"]
    print(f"blocks of {size}: TMP, VB has its last active set after {tmp.nit_active} iterations")
plt.show()
print(f"support: {np.count_nonzero(exact.x)} of {exact.x.size}")

# %%
# What the figures say
# --------------------
# Greedy beats random by orders of magnitude, variable blocks beat fixed ones, and rules
# that know :math:`L_i` beat those that do not; the update decides how much of that is kept.
# This is why :func:`refopt.lasso` and its kin use greedy variable blocks that grow until
# they hold the support, and update them exactly.
