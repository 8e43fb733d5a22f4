r"""
Inside a scikit-learn pipeline
==============================

refopt has functions, not estimators. Where a pipeline or a cross-validation
wants an estimator, a dozen lines make one.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import refopt
from refopt.problems import breast_cancer


class SparseLogistic(ClassifierMixin, BaseEstimator):
    """L1 logistic regression whose penalty is a part of the largest useful one."""

    def __init__(self, part=0.1):
        self.part = part

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        signs = np.where(y == self.classes_[1], 1.0, -1.0)
        lam = self.part * np.abs(X.T @ (signs - signs.mean())).max() / 2
        self.result_ = refopt.l1_logistic(X, signs, lam, fit_intercept=True)
        return self

    def predict(self, X):
        scores = X @ self.result_.x + self.result_.intercept
        return self.classes_[(scores > 0).astype(int)]


# %%
# Products of two measures of a tumour make 495 features of 30. How many should stay?

data = breast_cancer()
parts = np.geomspace(0.5, 0.003, 8)
scores, sizes = [], []
for part in parts:
    model = make_pipeline(
        PolynomialFeatures(2, include_bias=False), StandardScaler(), SparseLogistic(part)
    )
    scores.append(cross_val_score(model, data.X, data.y, cv=5).mean())
    sizes.append(np.count_nonzero(model.fit(data.X, data.y)[-1].result_.x))

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(parts, scores, "o-")
for part, score, size in zip(parts, scores, sizes, strict=True):
    ax.annotate(f"{size} features", (part, score), (4, -12), textcoords="offset points", fontsize=8)
ax.set(xlabel="penalty, part of the largest", ylabel="accuracy, five-fold cross-validation")
ax.set_xscale("log")
ax.invert_xaxis()
best = int(np.argmax(scores))
print(f"best: {sizes[best]} of 495 features, {100 * scores[best]:.1f} % correct")
print(model[-1].result_.message)
plt.show()
