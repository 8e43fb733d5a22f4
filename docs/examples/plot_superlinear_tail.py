r"""
How exactly Newton systems are solved
=====================================

Newton's method solves :math:`K d = -r` for the KKT residual r. With sketches, which cost the more
the more is asked of them, one stops at :math:`\|K d + r\| \le \theta \|r\|`. A constant θ gives
linear convergence; with :math:`\theta = \min(0.5, \|r\|)` it is quadratic, as with exact steps. The
default, about :math:`\min(0.1, \sqrt{\|r\|})`, lies between, and asks for no more than `tol` needs.

:func:`refopt.adasketch_newton` (``preset="paper"``) starts from multipliers of zero and
asks for residuals near rounding in each iteration.
"""

import matplotlib.pyplot as plt

import refopt
from refopt.problems import textbook_equality

sketch = {"lin_solver": "kaczmarz", "rng": 0}
options = {
    "θ = 0.5": sketch | {"theta": 0.5},
    "θ = min(0.5, |r|)": sketch | {"theta": "superlinear"},
    "default θ": sketch,
    "exact": {"lin_solver": "direct"},
    "paper": {"preset": "paper", "rng": 0},
}
names = "HS77", "HS100LNP"
runs = {
    (name, label): refopt.minimize_equality(
        **textbook_equality(name).arguments(), tol=1e-10, maxiter=30, **given
    )
    for name in names
    for label, given in options.items()
}
for (name, label), res in runs.items():
    print(f"{name:9} {label:17} {res.nit:2} iterations, {res.inner_nit:6} sketches")

# %%
# With θ = 0.5 the curves end as straight lines, a fixed factor per iteration; all others bend
# downwards, and the number of right digits about doubles in the last iterations. On HS100LNP
# inexact first steps go far astray, and exact ones need half the iterations.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, name in zip(axes, names, strict=True):
    for label in options:
        residuals = runs[name, label].history["kkt"]
        ax.semilogy(residuals, ".-", label=label)
    ax.set(title=name, xlabel="Newton iterations", xticks=range(0, 21, 5))
axes[0].set(ylabel="KKT residual |r|")
axes[0].legend(loc="upper right")
plt.show()
