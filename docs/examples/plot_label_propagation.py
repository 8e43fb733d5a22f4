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
figure.colorbar(dots, ax=axes[1], label="value")
for ax in axes:
    ax.set_aspect("equal")
plt.show()

# %%
# Trees
# -----
# A block of nodes whose graph is a forest is solved exactly by message passing: once from
# the leaves to the roots, once back. :func:`refopt.forest_partition` covers the graph with few
# of them. Here are the edges inside the largest one.

forests = refopt.forest_partition(problem.A)
sizes = np.bincount(forests)
print(f"{sizes.size} forests, with {sizes.tolist()} nodes")

inside = forests == np.argmax(sizes)
rows, columns = problem.A.nonzero()
edges = (rows < columns) & inside[rows] & inside[columns]
ends = problem.points[problem.nodes]
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.plot(*np.stack([ends[rows[edges]], ends[columns[edges]]], axis=1).T, color="C0", lw=0.7)
ax.scatter(*ends.T, s=2, color=np.where(inside[:, None], [[0, 0, 0]], [[0.8, 0.8, 0.8]]))
ax.set_aspect("equal")
ax.set_title(f"{edges.sum()} edges between {inside.sum()} nodes, without a cycle")
plt.show()

# %%
# Convergence
# -----------
# What is the paper's method on the left of the legend is a sweep over all forests in turn, or a
# new forest each time, grown from the nodes with the largest gradients. As preconditioner
# of conjugate gradients (``tree-cg``) the same sweeps need a tenth of the iterations; plain
# conjugate gradients need more iterations but cheaper ones, and are the default.

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
