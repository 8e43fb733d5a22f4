r"""
Moving one digit into another
=============================

Two images are two distributions of ink on the pixels of a grid. Entropic
transport says where each grain of ink goes; on its way there it draws the
images in between. The images are real: handwritten digits of the UCI
collection, enlarged to :math:`28\times28` pixels.
"""

import matplotlib.pyplot as plt
import numpy as np

import refopt
import refopt.plot
from refopt.problems import digits, load_digits

# %%
# The problem
# -----------
# Cost is the squared distance between pixels, divided by its maximum. Empty
# pixels stay empty (``background=False``): zero masses need no cure. ``reg`` is
# 1/4000 of the largest cost. Entropy blurs the plan over distances of
# :math:`\sqrt{\mathrm{reg}}`, which is below one pixel then.

problem = digits("l2", 20, 45, background=False, eta=4000)
labels = load_digits()[1]
print(f"{problem.name}: a {labels[20]} becomes a {labels[45]}, {problem.C.shape[0]} pixels")

res = refopt.sinkhorn_newton(problem.C, problem.a, problem.b, reg=problem.reg)
print(res.message)
print(f"{res.nnewton} Newton steps, {res.nsinkhorn} Sinkhorn iterations")
print(f"transport cost {res.cost:.8f}, duality gap {res.gap:.1e}")

# %%
# The images in between
# ---------------------
# The plan sends the ink :math:`P_{ij}` from pixel :math:`x_i` to pixel :math:`y_j`. At the
# time :math:`t` it is at :math:`(1-t)\,x_i+t\,y_j`, where it is shared between the
# four pixels around that point. White tears open where neighbouring grains part:
# the best map is not continuous there.

figure, ax = plt.subplots(figsize=(9, 1.9), layout="constrained")
refopt.plot.interpolation(res, (28, 28), ax=ax)
ax.set_xlabel("t")
plt.show()

# %%
# Where the ink goes
# ------------------
# On the average the ink of pixel :math:`x_i` goes to the *barycentric projection*
#
# .. math:: T(x_i) = \frac{1}{a_i}\sum_j P_{ij}\, y_j .
#
# :func:`refopt.plan_matvec` multiplies with the plan without forming it. The arrows lead
# from every second pixel of the first digit to :math:`T(x_i)`.

inked = (problem.a > 0) & (problem.X.sum(axis=1) % 2 == 0)
x, ink = problem.X[inked], problem.a[inked]
way = refopt.plan_matvec(res, problem.Y)[inked] / ink[:, None] - x

figure, ax = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
ax.imshow(problem.b.reshape(28, 28), cmap="Oranges", alpha=0.7)
arrows = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.004}
arrows |= {"cmap": "Greys", "clim": (-0.6, 1)}
ax.quiver(x[:, 1], x[:, 0], way[:, 1], way[:, 0], ink / ink.max(), **arrows)
ax.set_title(f"from the {labels[20]} to the {labels[45]}")
ax.set_xticks([])
ax.set_yticks([])
plt.show()

# %%
# Convergence
# -----------
# The marginal error after every iteration, beside that of plain Sinkhorn
# iterations on the same problem. Circles mark the beginning of a stage of
# regularisation: each ends as soon as it is good enough to start the next.
# In the last stage every step takes off more digits than the one before.

data = problem.C, problem.a, problem.b
plain = refopt.sinkhorn(*data, reg=problem.reg, eps_scaling=None, maxiter=3000)
print(f"plain Sinkhorn: error {plain.marginal_error:.1e} after {plain.nit} iterations")

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
refopt.plot.convergence(res, ax=ax, label="sparse Newton")
refopt.plot.convergence(plain, ax=ax, label="plain Sinkhorn")
ax.axhline(1e-9, color="0.4", lw=0.8, ls=":")
ax.set_xscale("symlog", linthresh=10)
ax.set_xlim(left=0)
ax.legend()
plt.show()

# %%
# How sparse the Hessian is
# -------------------------
# Every Newton step records how many entries of the plan its matrix kept and how
# much mass it dropped. The first number falls with the regularisation; the
# second follows the error, since the threshold does.

newton = res.history["kind"] == 2
print(" reg       error     entries  density  dropped  CG")
for k in np.flatnonzero(newton):
    h = {key: column[k] for key, column in res.history.items()}
    print(
        f" {h['reg']:.2e}  {h['marginal_error']:.1e}  {h['nnz']:7.0f}"
        f"  {h['nnz'] / problem.C.size:7.4f}  {h['dropped']:.1e}  {h['ncg']:3.0f}"
    )
