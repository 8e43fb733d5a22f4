r"""
A digit made of other digits
============================

The Lasso composes one handwritten digit of few of 999 others. The path of solutions
over the penalty shows who is called first; a duality gap certifies each
of them.
"""

import matplotlib.pyplot as plt
import numpy as np

import refopt
from refopt.problems import digit_from_others, load_digits

# %%
# The path
# --------
# :func:`refopt.lasso_path` starts where the first coefficient leaves zero,
# :math:`\lambda_{\max}=\lVert X^\top y\rVert_\infty`, and takes each solution as the start of
# the next one.

index = 7
problem = digit_from_others(index)
images, labels = load_digits()
others = np.delete(labels, index)

path = refopt.lasso_path(problem.X, problem.y, n_lams=100, eps=1e-3, tol=1e-10)
print(path.message)
print(f"{path.lams.size} penalties, largest gap {path.gaps.max():.1e}")

# %%
# Every curve is the coefficient of one image. Orange: it shows the same digit as the
# one that is composed.

same = others == labels[index]
order = np.argsort(same)  # the orange curves on top
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", width_ratios=(2, 1))
ratio = path.lams / path.lams[0]
# A zero is drawn beside a coefficient only, so that the curves leave the axis where they should.
drawn = path.coefs != 0
drawn[:, :-1] |= drawn[:, 1:]
for j in order[np.any(drawn[order], axis=1)]:
    curve = np.where(drawn[j], path.coefs[j], np.nan)
    axes[0].plot(ratio, curve, color="C1" if same[j] else "0.6", lw=1.5 if same[j] else 0.8)
axes[0].axhline(0, color="0.3", lw=0.6)
axes[0].plot([], [], color="C1", label=f"shows a {labels[index]}")
axes[0].plot([], [], color="0.6", label="shows another digit")
axes[0].legend()
axes[0].set_xscale("log")
axes[0].invert_xaxis()
axes[0].set_xlabel(r"$\lambda/\lambda_{\max}$")
axes[0].set_ylabel("coefficient")
axes[1].plot(ratio, path.nnz, color="0.2")
axes[1].axhline(64, color="0.6", lw=0.8, ls=":")
axes[1].text(1, 64.5, "64 pixels")
axes[1].set_xscale("log")
axes[1].invert_xaxis()
axes[1].set_xlabel(r"$\lambda/\lambda_{\max}$")
axes[1].set_ylabel("images used")
plt.show()

# %%
# One solution
# ------------
# The twelve images with the largest coefficients at :math:`\lambda=\lambda_{\max}/100`.

res = refopt.lasso(problem.X, problem.y, 0.01 * path.lams[0], tol=1e-10)
print(f"{np.count_nonzero(res.x)} images, gap {res.gap:.1e} after {res.nit} passes over the data")

chosen = np.argsort(-np.abs(res.x))[:12]
shown = [problem.y, problem.X @ res.x, *problem.X[:, chosen].T]
titles = ["the digit", "composed", *(f"{res.x[j]:+.2f}" for j in chosen)]
figure, axes = plt.subplots(2, 7, figsize=(9, 3), layout="constrained")
for ax, image, title in zip(axes.ravel(), shown, titles, strict=True):
    ax.imshow(image.reshape(8, 8), cmap="Greys")
    ax.set_title(title, fontsize=10)
    ax.set_axis_off()
plt.show()

# %%
# What the zeros are worth
# ------------------------
# The coefficients outside the support are exactly zero, and the dual point
# :math:`\theta\propto y-Xw` proves the objective without any trust in the solver: no
# coefficients at all bring F below :math:`D(\theta)`.

lam, w = 0.01 * path.lams[0], res.x
r = problem.y - problem.X @ w
theta = r * min(1.0, lam / np.max(np.abs(problem.X.T @ r)))
primal = 0.5 * r @ r + lam * np.abs(w).sum()
dual = problem.y @ theta - 0.5 * theta @ theta
print(f"F(w) - D(theta) = {primal - dual:.1e}, F(w) = {primal:.6f}")
