r"""
Alternating directions and the interior point
=============================================

The paper trains its convex program by alternating directions with one fixed penalty
:math:`\rho`. Here that iteration runs beside the library's splitting, which adapts its penalty, and
beside the interior point method, the default. The data are 455 tumours with 30 features, the
loss is squared, the patterns are those of 50 random directions.
"""

import matplotlib.pyplot as plt
import numpy as np

import refopt
from refopt.problems import relu_instance

cells = relu_instance("breast-cancer")
X, y = cells.X, cells.y
program = {"beta": cells.beta, "gates": cells.gates}


class Accuracy:
    """A callback that keeps the share of new tumours that a network gets right."""

    def __init__(self):
        self.right = []

    def __call__(self, intermediate_result):
        V, W = intermediate_result.x
        U, sign = np.hstack([V, W]), np.repeat([1.0, -1.0], V.shape[1])
        z = np.maximum(cells.X_test @ U, 0) @ sign
        self.right.append(np.mean(np.sign(z) == cells.y_test))


for method in ("admm", "auto"):  # kernels are compiled at their first call
    refopt.fit_convex_relu(X, y, method=method, maxiter=1, **program)
runs, shares = {}, {}
for rho in (0.1, 1.0, 10.0):
    name = f"paper, rho {rho:g}"
    shares[name] = Accuracy()
    runs[name] = refopt.fit_convex_relu(
        X, y, method="admm", splitting="paper", rho=rho, tol=1e-6, maxiter=1000,
        callback=shares[name], **program,
    )  # fmt: skip
for name, method, maxiter in (("adaptive splitting", "admm", 150), ("interior point", "auto", 50)):
    shares[name] = Accuracy()
    runs[name] = refopt.fit_convex_relu(
        X, y, method=method, tol=1e-6, maxiter=maxiter, callback=shares[name], **program
    )

# %%
# The gap
# -------
# The gap is the distance from the value of a feasible point to a dual bound, both the best so
# far, relative to the value. The paper's iteration depends on its penalty; a splitting has 20 steps
# per check of its gap, a step of the interior point method factorises a matrix.

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", sharey=True)
for name, run in runs.items():
    steps = np.arange(run.nit + 1) * (20 if name == "adaptive splitting" else 1)
    seconds, gap = run.history["time"], np.maximum(run.history["gap"], 1e-12)
    axes[0].loglog(1 + steps, gap, label=name)
    axes[1].loglog(np.maximum(seconds, 1e-3), gap)
    print(f"{name:20} {run.nit:5} iterations, gap {run.gap:.1e}, value {run.fun_convex:.4f}")
axes[0].set(xlabel="steps", ylabel="relative gap", ylim=(1e-7, 2))
axes[1].set(xlabel="seconds", xlim=(5e-3, None))
axes[0].legend(loc="lower left")
plt.show()

# %%
# Accuracy on new data
# --------------------
# A few iterations classify as well as the optimum does: a small gap is a statement about the
# objective.

figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for name, share in shares.items():
    step = 20 if name == "adaptive splitting" else 1
    ax.semilogx(1 + step * np.arange(len(share.right)), share.right, ".-", ms=4, lw=1, label=name)
ax.set(xlabel="steps", ylabel="right, of 114 new tumours", ylim=(0.85, 1.0))
ax.legend()
plt.show()
