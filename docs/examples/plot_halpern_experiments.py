r"""
Two experiments on variance-reduced Halpern iteration
=====================================================

The paper's two problems, a game between a policeman and a burglar and the Lagrangian of
a quadratic program on which methods of first order are slow, both smaller than there. Axes
count evaluations of components over their number: one *epoch* is one evaluation of the
whole operator.
"""

import matplotlib.pyplot as plt
import numpy as np

import refopt
from refopt.halpern import BilinearGame
from refopt.problems import ouyang_xu, policeman_burglar
from refopt.proximal import Product, project_simplex

# %%
# Policeman and burglar
# ---------------------
# A burglar robs one of 100 houses and a policeman guards one; near it the burglar is caught.
# Payments :math:`y^\top Ax` are what x wants small and y large, each in its simplex. Steps are
# those of the authors' scripts: five times as long as any theorem allows.

n = 100
A = policeman_burglar(n)
game = BilinearGame(A)
prox = Product([(slice(0, n), project_simplex), (slice(n, 2 * n), project_simplex)])
start = np.full(2 * n, 1 / n)
size, spread = np.linalg.norm(A, 2), np.linalg.norm(A)
p = 1 / n

shared = {"prox": prox, "tol": 1e-5, "maxfev": 1000, "rng": 0, "sampling": "uniform"}
runs = {
    "extragradient": refopt.solve_vi(game, start, method="eg", step=5 / size, **shared),
    "anchored extragradient": refopt.solve_vi(
        game, start, method="eag", step=5 / size, restart=None, **shared
    ),
    "Algorithm 1": refopt.vr_halpern(game, start, step=5 / spread, restart=None, **shared),
    "Algorithm 2": refopt.inexact_halpern(
        game,
        start,
        L=spread,
        eta=n**0.5 / spread,
        step=5,
        inner_maxiter=0.05,
        restart=None,
        **shared,
    ),
}


def draw(ax, runs, title):
    """Residuals against epochs."""
    for name, res in runs.items():
        ax.plot(res.history["nfev"], res.history["residual"], label=name, lw=1.3)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("epochs")
    ax.set_ylabel("residual")
    ax.set_title(title)
    ax.legend(fontsize=8)


# %%
# The simplex does not feel a number that is added to all entries of F. Without the means of
# rows and columns the same game has a matrix B of much smaller norm, and every method may take
# the longer step that goes with it: no hand is needed to tune it.

c = A.mean(axis=0)
r = (A - c).mean(axis=1)
B = A - c - r[:, None]
print(f"|A| = {size:.1f}, |B| = {np.linalg.norm(B, 2):.2f}")

centred = BilinearGame(B, c, r)
shared["sampling"] = "importance"
better = {
    name: refopt.solve_vi(centred, start, method=method, **shared)
    for name, method in (
        ("extragradient", "eg"),
        ("anchored, restarted", "eag"),
        ("VR-EG", "vr-eg"),
        ("Algorithm 1, restarted", "vr-halpern"),
    )
}
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", sharey=True)
draw(axes[0], runs, "steps of the paper's scripts")
draw(axes[1], better, "centred, steps of the theory")
plt.show()

# %%
# The duality gap proves how good the strategies are; :func:`refopt.solve_vi` reports it for
# games on two simplices.

best = better["VR-EG"]
x, y = best.x[:n], best.x[n:]
print(best.message)
print(f"value {y @ A @ x:.5f}, gap {(A @ x).max() - (A.T @ y).min():.1e}")

# %%
# A quadratic program
# -------------------
# :math:`\min\frac12x^\top Hx-h^\top x` subject to :math:`Ax=b`, with
# :math:`F(x,y)=(Hx-h-A^\top y,\,Ax-b)` and no constraint on u = (x, y). The anchored methods
# are far below extragradient, and Algorithm 1 does not oscillate. Restarts, which the paper
# does not use, are worth more than either in the long run.

problem = ouyang_xu(50)
F = problem.operator()
shared = {"tol": 1e-10, "maxfev": 20_000, "rng": 0}
whole = {"fun": problem.fun, "x0": problem.start, **shared}
gamma = 0.001 * 51 / np.sqrt(1 / 50 * (1 - 1 / 50))
runs = {
    "extragradient": refopt.solve_vi(**whole, method="eg", step=0.5),
    "anchored extragradient": refopt.solve_vi(**whole, method="eag", step=0.3, restart=None),
    "the same, restarted, longest step": refopt.solve_vi(
        **whole, method="eag", L=np.linalg.norm(F.M, 2)
    ),
    "Algorithm 1": refopt.vr_halpern(
        F, problem.start, step=0.3, restart=None, sampling="uniform", **shared
    ),
    "Algorithm 2": refopt.inexact_halpern(
        F, problem.start, eta=50**0.5, L=50**0.5, step=gamma, inner_maxiter=0.05, restart=None,
        sampling="uniform", **shared,
    ),
}  # fmt: skip
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
draw(ax, runs, "worst-case quadratic program")
plt.show()
