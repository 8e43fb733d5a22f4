r"""
Control of an elliptic equation
===============================

Find the heat source z whose temperature w comes near a given one, where the temperature
follows a nonlinear equation:

.. math:: \min\ \tfrac12\|w - w_t\|^2 + \tfrac\gamma2\|z\|^2
    \quad\text{subject to}\quad \Delta w - w^3 + z = 0,

on a square, w being 0 at its sides. On a grid of 80 x 80 points these are 12 800 variables and
6400 nonlinear equations, with sparse derivatives.
"""

import matplotlib.pyplot as plt
import numpy as np

import refopt
from refopt.problems import elliptic_control
from refopt_backends import sine_transform

problem = elliptic_control(80)
res = refopt.minimize_equality(**problem.arguments(), tol=1e-9)
print(res.message)
print(res.lin_solver)

# %%
# The target, the temperature that is reached, and the source. Each equation has a variable of its
# own, its source: these and the multipliers are eliminated, and conjugate gradients solve for
# the temperature. At the solution the multipliers are :math:`-\gamma z`.

N = problem.N
pictures = {
    "target": problem.target,
    "temperature": res.x[: problem.m],
    "source": res.x[problem.m :],
}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
for ax, (title, values) in zip(axes, pictures.items(), strict=True):
    image = ax.imshow(values.reshape(N, N).T, origin="lower", extent=(-1, 1, -1, 1))
    ax.set(title=title, xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    figure.colorbar(image, ax=ax, shrink=0.8)
plt.show()

# %%
# That the equation lives on a grid is seen in the sparsity pattern of its Jacobian. One-dimensional
# eigenvectors invert the Laplacian, and finer grids take hardly more iterations. Whoever knows
# more of the operator can say so in a preconditioner: here the same sine transforms, with the mean
# of the squared temperature in it, for 80 x 80 points.

waves = -(2 - 2 * np.cos(np.pi * np.arange(1, N + 1) / (N + 1))) * ((N + 1) / 2) ** 2
laplacian = waves[:, None] + waves


def precond(x, multipliers, system):
    w = x[: problem.m]
    diagonal = 1 + problem.gamma * (laplacian - 3 * problem.cubic * np.mean(w**2)) ** 2
    return lambda r: sine_transform(sine_transform(r.reshape(N, N)) / diagonal).ravel()


figure, ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
for side in (20, 40, 80, 160):
    run = refopt.minimize_equality(**elliptic_control(side).arguments(), tol=1e-9)
    ax.semilogy(run.history["inner_iters"], run.history["error"], "o-", label=f"{side} x {side}")
helped = refopt.minimize_equality(**problem.arguments(), tol=1e-9, precond=precond)
ax.semilogy(helped.history["inner_iters"], helped.history["error"], "k--", label="preconditioner")
ax.set(xlabel="conjugate gradient iterations", ylabel="error", xticks=range(0, 15, 2))
ax.legend()
plt.show()
