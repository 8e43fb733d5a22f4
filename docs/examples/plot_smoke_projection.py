"""
Smoke in a room with obstacles
==============================

A step of an incompressible flow leaves a velocity with divergence, and a pressure takes it out:
a linear system with one unknown per cell, and a new matrix whenever something moves. Solid balls,
rods and boxes stand in the room, which is open at its top.
"""

import matplotlib.pyplot as plt
import numpy as np

import refopt
from refopt import problems

N = 48
cells = problems.pressure_scene("smoke", N)
velocity = problems.swirl_velocity(N)
projected, res = refopt.project(
    cells, velocity, model=refopt.MultilevelNet(), rtol=1e-8, full_output=True
)
print(res.message)

# %%
# A vertical slice: what stands in the room, the divergence before and after, on scales of their
# own, and the pressure that made the difference.

A = refopt.PoissonGrid(cells)
SLICE = N // 2


def picture(values):
    """A vector of fluid cells on the slice, obstacles left white."""
    return np.where(cells == 1, A.to_grid(values), np.nan)[:, SLICE].T


pictures = {
    "cells": (cells[:, SLICE].T, "Greys_r"),
    "divergence before": (picture(-refopt.poisson_rhs(cells, velocity)), "RdBu"),
    "divergence after": (picture(-refopt.poisson_rhs(cells, projected)), "RdBu"),
    "pressure": (picture(res.x), "viridis"),
}
figure, axes = plt.subplots(1, 4, figsize=(12, 3), layout="constrained")
for ax, (title, (values, colours)) in zip(axes, pictures.items(), strict=True):
    most = np.nanmax(np.abs(values))
    limits = {"vmin": -most, "vmax": most} if colours == "RdBu" else {}
    image = ax.imshow(values, origin="lower", cmap=colours, **limits)
    ax.set(title=title, xticks=[], yticks=[])
    if title != "cells":
        figure.colorbar(image, ax=ax, shrink=0.8)
plt.show()

# %%
# The same system by other directions: conjugate gradients, those with approximate eigenvectors
# deflated, algebraic multigrid where PyAMG is installed, and the paper's network, trained on a few
# scenes of a smaller size, and not on this one. Steps are no times: a step of the paper's network
# costs more than a hundred of conjugate gradients on a processor, one of the multilevel network
# about five.

b = refopt.poisson_rhs(cells, velocity)
options = {"rtol": 1e-6, "full_output": True}
runs = {
    "conjugate gradients": refopt.deep_conjugate_direction(A, b, **options),
    "deflated": refopt.deflated_cg(A, b, **options),
    "the paper's network": refopt.deep_conjugate_direction(
        A, b, refopt.load_model("dcdm-cnn-8ch"), n_orth=4, **options
    ),
    "multilevel network": refopt.deep_conjugate_direction(A, b, refopt.MultilevelNet(), **options),
}
try:
    import pyamg
except ImportError:
    print("PyAMG is not installed")
else:
    from scipy.sparse import csr_matrix

    stored = csr_matrix(A.tocsr())
    multigrid = pyamg.smoothed_aggregation_solver(stored).aspreconditioner()
    runs["PyAMG"] = refopt.deep_conjugate_direction(A, b, multigrid, **options)

figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
for name, (_, run) in runs.items():
    ax.loglog(np.arange(run.nit + 1) + 1, run.history["residual"] / np.linalg.norm(b), label=name)
    print(f"{name:<20} {run.nit:>4} steps")
ax.axhline(options["rtol"], color="0.5", lw=0.8, ls=":")
ax.set(xlabel="steps, and one", ylabel="residual over right-hand side")
ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
plt.show()
