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
from refopt.problems import digits, load_digits

# %%
# The problem
# -----------
# Cost is the squared distance between pixels, divided by its maximum. One
# hundredth of the ink could be spread over the background to avoid zero
# masses; that is not needed here, and ``background=False`` leaves the empty
# pixels empty. ``reg`` is a few ten-thousandths of the largest cost: the blur
# that entropy causes, :math:`\sqrt{\mathrm{reg}}`, is then below one pixel.

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
# The plan sends the ink of pixel :math:`x_i` to many pixels; the *barycentric
# projection* sends it to their mean,
#
# .. math:: T(x_i) = \frac{1}{a_i}\sum_j P_{ij}\, y_j .
#
# :func:`refopt.plan_matvec` multiplies with the plan without forming it. At the
# time :math:`t` the ink is at :math:`(1-t)\,x_i+t\,T(x_i)`, from where each grain is
# shared between the four pixels around it.

inked = problem.a > 0
x, ink = problem.X[inked], problem.a[inked]
T = refopt.plan_matvec(res, problem.Y)[inked] / ink[:, None]


def draw(points, ink, size=28):
    """Sum up grains of ink on a grid, bilinearly."""
    corner = np.clip(np.floor(points).astype(int), 0, size - 2)
    u, v = (points - corner).T
    image = np.zeros((size, size))
    for di, dj, share in [(0, 0, (1 - u) * (1 - v)), (0, 1, (1 - u) * v),
                          (1, 0, u * (1 - v)), (1, 1, u * v)]:  # fmt: skip
        np.add.at(image, (corner[:, 0] + di, corner[:, 1] + dj), share * ink)
    return image


times = np.linspace(0, 1, 6)
figure, axes = plt.subplots(1, len(times) + 1, figsize=(11, 1.9), layout="constrained")
frames = [draw((1 - t) * x + t * T, ink) for t in times]
for ax, t, frame in zip(axes, times, frames, strict=False):
    ax.imshow(frame, cmap="Greys", vmin=0, vmax=0.9 * problem.b.max())
    ax.set_title(f"t = {t:.1f}")
axes[-1].imshow(problem.b.reshape(28, 28), cmap="Greys", vmin=0, vmax=0.9 * problem.b.max())
axes[-1].set_title("target")
for ax in axes:
    ax.set_xticks([])
    ax.set_yticks([])
plt.show()

# %%
# Where the ink goes
# ------------------
# The arrows lead from a pixel of the first digit to :math:`T(x_i)`.

figure, ax = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
ax.imshow(problem.b.reshape(28, 28), cmap="Oranges", alpha=0.7)
way = T - x
ax.quiver(
    x[:, 1], x[:, 0], way[:, 1], way[:, 0], ink / ink.max(),
    angles="xy", scale_units="xy", scale=1, width=0.004, cmap="Greys", clim=(-0.6, 1),
)  # fmt: skip
ax.set_title(f"from the {labels[20]} to the {labels[45]}")
ax.set_xticks([])
ax.set_yticks([])
plt.show()

# %%
# Convergence
# -----------
# The marginal error after every iteration, beside that of plain Sinkhorn
# iterations on the same problem. The saw teeth are the stages of
# regularisation: each ends as soon as it is good enough to start the next.
# In the last stage the error is squared from step to step.

plain = refopt.sinkhorn(
    problem.C, problem.a, problem.b, reg=problem.reg, eps_scaling=None, maxiter=3000
)
print("plain Sinkhorn:", plain.message)

error = res.history["marginal_error"]
last = res.history["reg"] == problem.reg
number = np.arange(error.size)

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.loglog(1 + np.arange(plain.nit + 1), plain.history["marginal_error"], color="0.6")
ax.loglog(1 + number, error, color="tab:blue", alpha=0.5)
ax.loglog(1 + number[last], error[last], "o-", color="tab:blue", ms=4)
ax.axhline(1e-9, color="0.4", lw=0.8, ls=":")
ax.set_xlabel("iteration + 1")
ax.set_ylabel(r"$\|P1-a\|_1+\|P^T1-b\|_1$")
ax.legend(["plain Sinkhorn", "sparse Newton, larger reg", "sparse Newton, reg as asked"])
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
