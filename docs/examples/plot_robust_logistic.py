r"""
Logistic regression against the worst weights
=============================================

Which tumours are malignant? Ordinary logistic regression gives all 569 patients the same
weight. Here an adversary chooses the weights p, at a price for leaving :math:`1/n`:

.. math::
    \min_w\max_{p\in\Delta}\ \sum_ip_i\log(1+e^{-y_ix_i^\top w})
    +\frac\lambda2\lVert w\rVert^2-\frac{\kappa n}2\lVert p-1/n\rVert^2 .

The hard cases get more weight, the more so the smaller :math:`\kappa` is.
"""

import matplotlib.pyplot as plt
import numpy as np

import refopt
from refopt.halpern import LogisticSaddle
from refopt.problems import breast_cancer

# %%
# The problem
# -----------
# :class:`refopt.halpern.LogisticSaddle` is the operator
# :math:`(\nabla_w,-\nabla_p)`, which is monotone. It knows its projection and where to
# begin; :func:`refopt.solve_vi` finds the step by itself.

cells = breast_cancer()
n, lam = cells.shape[0], 1e-2


def solve(kappa):
    """Weights of features and of patients."""
    F = LogisticSaddle(cells.X, cells.y, lam=lam, kappa=kappa)
    res = refopt.solve_vi(
        F, F.start, prox=F.prox, method="eg", step="adaptive", tol=1e-5, maxfev=5000
    )
    print(f"kappa {kappa}: {res.message} {res.nfev:.0f} evaluations")
    return F.split(res.x)


names = ["ordinary", r"$\kappa=1$", r"$\kappa=0.1$"]
solutions = [
    (refopt.logistic(cells.X, cells.y, n * lam).x, np.full(n, 1 / n)),
    solve(1.0),
    solve(0.1),
]

# %%
# What the adversary does
# -----------------------
# Left: the weights of the patients in the order of their losses under ordinary regression.
# Right: the largest losses, each curve in its own order. Robustness trades a little on
# most patients for the worst ones.

losses = [np.logaddexp(0, -cells.y * (cells.X @ w)) for w, _ in solutions]
order = np.argsort(-losses[0])
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for name, (_, p), loss in zip(names, solutions, losses, strict=True):
    axes[0].plot(n * p[order][:150], lw=1.2, label=name)
    axes[1].plot(np.sort(loss)[::-1][:150], lw=1.2)
axes[0].set_xlabel("patients, the hardest first")
axes[0].set_ylabel("weight times n")
axes[0].legend()
axes[1].set_xlabel("rank of the loss")
axes[1].set_ylabel("loss")
axes[1].set_yscale("log")
plt.show()

for name, loss in zip(("ordinary", "kappa 1", "kappa 0.1"), losses, strict=True):
    worst = np.sort(loss)[-n // 20 :]
    print(
        f"{name:9}  mean loss {loss.mean():.3f}, worst twentieth {worst.mean():.3f}, "
        f"{np.mean(loss < np.log(2)):.1%} right"
    )
