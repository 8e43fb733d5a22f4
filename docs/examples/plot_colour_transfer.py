r"""
The colours of one picture in another
=====================================

Two pictures are two clouds of points in the RGB cube. A transport plan between
them recolours both at once: pixels of the first get colours of the second along
the rows of the plan, and the other way round along its columns. There are
fifteen million pairs of pixels here. They are never stored: the cost is a
:class:`refopt.PointCloudCost`, evaluated where it is needed.
"""

import matplotlib.pyplot as plt
import numpy as np

import refopt
from refopt.problems import colour_images

# %%
# Two painted pictures
# --------------------
# Every pixel has the same mass, so the plan hands out colours in the
# proportions in which the other picture has them.

sunset, forest = colour_images(height=54, width=72)
X, Y = sunset.reshape(-1, 3), forest.reshape(-1, 3)
C = refopt.PointCloudCost(X, Y)
print(C)

res = refopt.sinkhorn_newton(C, reg=1e-3)
print(res.message)
print(f"{res.nnewton} Newton steps, {res.nsinkhorn} Sinkhorn iterations")
print(f"{res.nfev} passes over {X.shape[0] * Y.shape[0]:,} pairs")

# %%
# Barycentric projection, both ways
# ---------------------------------
# Each pixel takes the mean of the colours that the plan gives it. Two products
# with the plan do it, again without storing it.

n, m = C.shape
sunset_in_forest = n * refopt.plan_matvec(res, Y)
forest_in_sunset = m * refopt.plan_matvec(res, X, transpose=True)

pictures = {
    "sunset": sunset,
    "forest": forest,
    "sunset, forest colours": sunset_in_forest.reshape(sunset.shape),
    "forest, sunset colours": forest_in_sunset.reshape(forest.shape),
}
figure, axes = plt.subplots(2, 2, figsize=(8, 6.4), layout="constrained")
for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=True):
    ax.imshow(np.clip(picture, 0, 1))
    ax.set_title(title)
    ax.axis("off")
plt.show()

# %%
# What regularisation does to colours
# -----------------------------------
# The larger ``reg``, the more pairs share the mass, and the closer is every mean
# to the mean of all: the palette shrinks to one colour. Each solution starts from the
# one before: ``x0`` takes the ``x`` of an earlier result, also of another ``reg``.

figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
start = None
for ax, reg in zip(axes, [1.0, 1e-1, 1e-2, 1e-3], strict=True):
    res = refopt.sinkhorn_newton(C, reg=reg, tol=1e-6, x0=start)
    start = res.x
    colours = np.clip(n * refopt.plan_matvec(res, Y), 0, 1)
    ax.imshow(colours.reshape(sunset.shape))
    ax.set_title(f"reg = {reg:g}")
    ax.set_xlabel(f"cost {res.cost:.4f}\n{res.nfev} passes")
    ax.set_xticks([])
    ax.set_yticks([])
    print(f"reg {reg:5g}: cost {res.cost:.6f}, deviation of colours {colours.std(0).mean():.3f}")
plt.show()
