r"""
A network that small perturbations cannot turn
==============================================

Training against every perturbation :math:`\lVert\delta\rVert_\infty\le\epsilon` of every sample
is a min-max problem. In the convex program over activation patterns the inner maximum has a
closed form: neurons must keep their gates within the squares around the samples, and the network is
linear there.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

import refopt

# %%
# Nominal and robust
# ------------------
# Two half circles with noise. Both networks are fitted to the same random patterns, with the
# hinge loss. The bias is a column of ones that :func:`refopt.adversarial_loss` leaves alone.

rng = np.random.default_rng(3)
angles = np.pi * rng.random(60)
points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
points[30:] = [1.0, 0.35] - points[30:]
points += 0.07 * rng.standard_normal(points.shape)
y = np.repeat([1.0, -1.0], 30)
X = np.hstack([points, np.ones((60, 1))])
radius, beta = 0.08, 0.05
common = {"beta": beta, "loss": "hinge", "n_gates": 400, "refine": 0, "rng": 0, "tol": 1e-6}
fits = {
    "nominal": refopt.fit_convex_relu(points, y, bias=True, **common),
    "robust": refopt.fit_convex_relu(points, y, bias=True, epsilon=radius, **common),
}


def worst_loss(fit, epsilon):
    """The sum of hinge losses at the worst corners of the squares."""
    attack = {"epsilon": epsilon, "loss": "hinge", "attack": "corners"}
    return refopt.adversarial_loss(X, y, fit.W1, fit.w2, **attack)


for name, fit in fits.items():
    nominal, worst = worst_loss(fit, 0.0), worst_loss(fit, radius)
    print(f"{name:8} loss {nominal:.3f}, at the worst corners {worst:.3f}")
fit = fits["robust"]
decay = 0.5 * beta * (np.sum(fit.W1**2) + np.sum(fit.w2**2))
print(f"robust program {fit.fun:.6f}, attack {worst_loss(fit, radius) + decay:.6f}")

# %%
# The attack by all corners finds what the program promised, to the last digit: its value is the
# worst objective of the network that it returns. A square that the boundary crosses is a sample
# whose class a perturbation changes.

side = np.linspace(-1.5, 2.5, 400), np.linspace(-1.1, 1.5, 260)
plane = np.stack([*(c.ravel() for c in np.meshgrid(*side)), np.ones(400 * 260)], axis=1)
figure, axes = plt.subplots(1, 2, figsize=(11, 3.9), layout="constrained", sharey=True)
for ax, (name, fit) in zip(axes, fits.items(), strict=True):
    z = (np.maximum(plane @ fit.W1, 0) @ fit.w2).reshape(260, 400)
    ax.contourf(*side, z, levels=[-99, 0, 99], colors=["tab:red", "tab:blue"], alpha=0.2)
    ax.contour(*side, z, levels=[-1, 0, 1], colors="k", linewidths=[0.5, 1.3, 0.5])
    for x, label in zip(points, y, strict=True):
        colour = "tab:blue" if label > 0 else "tab:red"
        ax.add_patch(Rectangle(x - radius, 2 * radius, 2 * radius, fill=False, color=colour))
        ax.plot(*x, ".", color=colour, ms=4)
    ax.set(title=f"{name}: worst loss {worst_loss(fit, radius):.2f}", aspect="equal")
plt.show()

# %%
# How far it holds
# ----------------
# The robust network pays with a larger weight decay. Beyond the radius it was trained for,
# nothing is promised. For a larger radius few patterns have room for the perturbations, and
# the program, an upper bound of what robust networks can reach, becomes a poor one: the network
# that it gives for 0.12 is worse there than the one for 0.08.

radii = np.linspace(0, 0.16, 33)
fits["robust, 0.12"] = refopt.fit_convex_relu(points, y, bias=True, epsilon=0.12, **common)
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for name, fit in fits.items():
    ax.plot(radii, [worst_loss(fit, r) for r in radii], label=name)
ax.axvline(radius, color="0.6", lw=0.8, ls=":")
ax.set(xlabel="radius of the attack", ylabel="loss at the worst corners", ylim=(0, 22))
ax.legend()
plt.show()
