r"""
Two spirals, to the global optimum
==================================

A network with one hidden layer separates two spirals. Its training objective

.. math:: \tfrac12\lVert z-y\rVert^2+\tfrac\beta2\bigl(\lVert W_1\rVert^2+\lVert w_2\rVert^2\bigr),
    \qquad z=(XW_1)_+w_2,

has a convex form over the activation patterns of the neurons. Three ways to train are compared:
local training by L-BFGS, the convex program over random patterns, and
:func:`refopt.fit_convex_relu` with refinement, which finds the patterns that matter and a bound
that no network of any width falls below.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import refopt
from refopt.problems import relu_spirals

spirals = relu_spirals(240)
X, y, beta = spirals.X, spirals.y, spirals.beta
d, m = X.shape[1], 60

# %%
# Three networks
# --------------
# L-BFGS moves all weights at once from random ones, and ends in one of many local minima.


def value_and_slopes(weights):
    """The objective of m neurons and its gradient."""
    W1, w2 = weights[: d * m].reshape(d, m), weights[d * m :]
    hidden = np.maximum(X @ W1, 0)
    r = hidden @ w2 - y
    slopes = np.append(X.T @ ((hidden > 0) * np.outer(r, w2)), hidden.T @ r)
    return 0.5 * r @ r + 0.5 * beta * weights @ weights, slopes + beta * weights


def train(seed):
    """Layers of one run."""
    start = np.random.default_rng(seed).standard_normal((d + 1) * m)
    found = minimize(
        value_and_slopes, start, jac=True, options={"maxiter": 2000}, method="L-BFGS-B"
    )
    return found.x[: d * m].reshape(d, m), found.x[d * m :]


local = min((train(seed) for seed in range(5)), key=lambda W: value_and_slopes(np.append(*W))[0])
sampled = refopt.fit_convex_relu(X, y, beta=beta, n_gates=100, refine=0, tol=1e-6, rng=0)
refined = refopt.fit_convex_relu(X, y, beta=beta, refine=10, tol=1e-4, rng=0)
networks = {
    "100 random patterns": (sampled.W1, sampled.w2),
    "best of 5 L-BFGS runs": local,
    "refined": (refined.W1, refined.w2),
}
for name, (W1, w2) in networks.items():
    fun = refopt.relu_network_objective(X, y, W1, w2, beta=beta)
    right = np.mean(np.sign(np.maximum(spirals.X_test @ W1, 0) @ w2) == spirals.y_test)
    print(f"{name:22} objective {fun:8.4f}   {right:.0%} of new points right")
print(f"no network is below    objective {refined.lower_bound:8.4f}   ({refined.gap_kind})")

# %%
# What they say of the plane
# --------------------------
# The program over random patterns is solved to its optimum, and is a poor network nevertheless:
# a hundred patterns of the tens of thousands are not enough, and its certificate speaks of
# these patterns only. Where columns are three, prices can be searched in all cells, and the
# bound of the refined network is rigorous.

side = np.linspace(-1.25, 1.25, 300)
plane = np.stack([*(c.ravel() for c in np.meshgrid(side, side)), np.ones(side.size**2)], axis=1)
figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), layout="constrained", sharey=True)
for ax, (name, (W1, w2)) in zip(axes, networks.items(), strict=True):
    z = (np.maximum(plane @ W1, 0) @ w2).reshape(side.size, -1)
    ax.imshow(z, extent=(-1.25, 1.25) * 2, origin="lower", cmap="RdBu", vmin=-1.5, vmax=1.5)
    ax.contour(side, side, z, levels=[0], colors="k", linewidths=1)
    for label, colour in ((1, "navy"), (-1, "darkred")):
        ax.scatter(*X[y == label, :2].T, s=7, color=colour)
    fun = refopt.relu_network_objective(X, y, W1, w2, beta=beta)
    ax.set(title=f"{name}\nobjective {fun:.4f}", xticks=[], yticks=[])
figure.suptitle(f"No network has an objective below {refined.lower_bound:.4f}\n", fontsize=13)
plt.show()
