r"""
Labels on two moons
===================

A hundred of two thousand points have a label. Each of the others takes the weighted mean
of its neighbours' values, which is a sparse linear system: :func:`refopt.label_propagation`
solves it, by default by preconditioned conjugate gradients, on request by the
paper's block coordinate descent with message passing on trees.
"""

import matplotlib.pyplot as plt
import numpy as np

import refopt
import refopt.plot
from refopt.problems import two_moons

# %%
# Labels
# ------
# The graph joins every point to its five nearest. Points in a component
# without any label cannot have a value; here there are none.

problem = two_moons(n=2000, nlab=100, noise=0.15)
res = refopt.label_propagation(problem.W, problem.labels, problem.mask)
print(res.message)
print(f"{np.mean(np.abs(res.x - 1.5) > 0.25):.0%} of the points have a clear label")

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", sharey=True)
x, y = problem.points.T
axes[0].scatter(x, y, s=4, color="0.8")
known = problem.mask
axes[0].scatter(x[known], y[known], s=22, c=problem.labels[known], cmap="coolwarm", ec="k", lw=0.4)
axes[0].set_title("what is known")
dots = axes[1].scatter(x, y, s=6, c=res.x, cmap="coolwarm", vmin=1, vmax=2)
axes[1].set_title("propagated")
figure.colorbar(dots, ax=axes[1], label="value", shrink=0.7)
for ax in axes:
    ax.set_aspect("equal")
plt.show()

# %%
# Trees
# -----
# A block of nodes whose graph is a forest is solved exactly by message passing: once from
# the leaves to the roots, once back. :func:`refopt.forest_partition` covers the graph with few
# of them. Here they are for a smaller graph, each with the edges that it keeps.

small = two_moons(n=250, nlab=12, k=4, noise=0.12)
forests = refopt.forest_partition(small.A)
rows, columns = small.A.nonzero()
ends = small.points[small.nodes]
figure, axes = plt.subplots(
    1, forests.max() + 1, figsize=(12, 2.8), layout="constrained", sharey=True
)
for k, ax in enumerate(axes):
    kept = (rows < columns) & (forests[rows] == k) & (forests[columns] == k)
    ax.scatter(*ends.T, s=5, color="0.85")
    ax.plot(*np.stack([ends[rows[kept]], ends[columns[kept]]], axis=1).T, color="C0", lw=1.2)
    ax.scatter(*ends[forests == k].T, s=8, color="k", zorder=3)
    ax.set_aspect("equal")
    ax.set_title(f"forest {k}: {np.sum(forests == k)} nodes, {kept.sum()} edges", fontsize=10)
plt.show()

# %%
# Convergence
# -----------
# The paper's method updates all forests in turn (``tree``) or grows a forest anew each
# time from the nodes with the largest gradients (``greedy-tree``). As preconditioner of
# conjugate gradients (``tree-cg``) the same sweeps need few iterations. The default,
# conjugate gradients with the diagonal alone, needs more of them than that (an iteration
# here is ten) but each is far cheaper.

figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", sharey=True)
for method in ("tree", "greedy-tree", "red-black", "tree-cg", "auto"):
    run = refopt.label_propagation(
        problem.W, problem.labels, problem.mask, method=method, maxiter=400
    )
    refopt.plot.convergence(run, ax=axes[0], label=method)
    refopt.plot.convergence(run, ax=axes[1], label=method, against="time")
axes[0].legend()
axes[1].set_ylabel("")
axes[1].set_xscale("log")
plt.show()
