"""Estimators in scikit-learn's manner, thin around `refopt.fit_convex_relu`.

Needs scikit-learn, the extra ``sklearn``, and its own ``import refopt.sklearn``.
"""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from refopt.convex_relu import fit_convex_relu

__all__ = ["ConvexReLUClassifier", "ConvexReLURegressor"]


class _ConvexReLU(BaseEstimator):
    """Parameters, and one network per output."""

    def _fit_outputs(self, X, Y, loss):
        """Fit a network to each column of Y."""
        res = fit_convex_relu(
            X, Y, beta=self.beta, loss=loss, bias=self.bias, refine=self.refine,
            n_gates=self.n_gates, m_init=self.m_init, tol=self.tol, rng=self.random_state,
        )  # fmt: skip
        self.results_ = res.outputs
        self.n_iter_ = max(1, *(output.nit for output in res.outputs))
        return self

    def _outputs(self, X):
        """Predictions, a column per network."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        if self.bias:
            X = np.hstack([X, np.ones((len(X), 1))])
        return np.stack([np.maximum(X @ r.W1, 0) @ r.w2 for r in self.results_], axis=1)


class ConvexReLURegressor(RegressorMixin, _ConvexReLU):
    """Regression by a two-layer ReLU network, fitted with a bound on its objective.

    ``1/2 ||z - y||^2 + beta/2 (||W1||^2 + ||w2||^2)`` with ``z = (X W1)_+ w2``.

    Parameters
    ----------
    beta : float, default 1.0
        Weight decay, on the scale of a sum over samples.
    bias : bool, default True
        Append a column of ones.
    refine : int or "auto", default 5
        Rounds of pattern refinement; 0 for `n_gates` random patterns only.
    n_gates : int, default 100
        Random patterns, if `refine` is 0.
    m_init : int, default 60
        Neurons of the network that refinement begins with.
    tol : float, default 1e-4
        Relative gap.
    random_state : None, int or numpy.random.Generator, default 0
        Of the first network or the patterns.

    Attributes
    ----------
    results_ : list of OptimizeResult
        What `refopt.fit_convex_relu` returned, with weights, bound and gap.
    n_iter_ : int
        Most rounds or iterations of a fit.
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt.sklearn import ConvexReLURegressor
    >>> x = np.linspace(-1, 1, 30)[:, None]
    >>> model = ConvexReLURegressor(beta=0.01).fit(x, np.abs(x[:, 0]))
    >>> model.score(x, np.abs(x[:, 0])) > 0.99
    True
    """

    def __init__(self, beta=1.0, *, bias=True, refine=5, n_gates=100, m_init=60, tol=1e-4,
                 random_state=0):  # fmt: skip
        self.beta = beta
        self.bias = bias
        self.refine = refine
        self.n_gates = n_gates
        self.m_init = m_init
        self.tol = tol
        self.random_state = random_state

    def fit(self, X, y):
        """Fit the network.

        Parameters
        ----------
        X : array_like, shape (n, d)
        y : array_like, shape (n,)

        Returns
        -------
        self
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        y = column_or_1d(y, warn=True).astype(np.float64)
        return self._fit_outputs(X, y[:, None], "squared")

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : array_like, shape (n, d)

        Returns
        -------
        ndarray, shape (n,)
        """
        return self._outputs(X)[:, 0]


class ConvexReLUClassifier(ClassifierMixin, _ConvexReLU):
    """Classification by two-layer ReLU networks, one against the rest where classes are many.

    ``f(z) + beta/2 (||W1||^2 + ||w2||^2)`` with ``z = (X W1)_+ w2`` and labels -1, +1.

    Parameters
    ----------
    beta : float, default 0.1
        Weight decay, on the scale of a sum over samples.
    loss : {"logistic", "hinge", "squared"}, default "logistic"
        Of the margin.
    bias : bool, default True
        Append a column of ones.
    refine : int or "auto", default 5
        Rounds of pattern refinement; 0 for `n_gates` random patterns only.
    n_gates : int, default 100
        Random patterns, if `refine` is 0.
    m_init : int, default 60
        Neurons of the network that refinement begins with.
    tol : float, default 1e-4
        Relative gap.
    random_state : None, int or numpy.random.Generator, default 0
        Of the first network or the patterns.

    Attributes
    ----------
    classes_ : ndarray
        Labels.
    results_ : list of OptimizeResult
        What `refopt.fit_convex_relu` returned, per class or for the second of two.
    n_iter_ : int
        Most rounds or iterations of a fit.
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> from refopt.sklearn import ConvexReLUClassifier
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["even", "odd", "odd", "even"]
    >>> ConvexReLUClassifier(beta=0.01).fit(X, y).predict(X).tolist()
    ['even', 'odd', 'odd', 'even']
    """

    def __init__(self, beta=0.1, *, loss="logistic", bias=True, refine=5, n_gates=100, m_init=60,
                 tol=1e-4, random_state=0):  # fmt: skip
        self.beta = beta
        self.loss = loss
        self.bias = bias
        self.refine = refine
        self.n_gates = n_gates
        self.m_init = m_init
        self.tol = tol
        self.random_state = random_state

    def fit(self, X, y):
        """Fit the networks.

        Parameters
        ----------
        X : array_like, shape (n, d)
        y : array_like, shape (n,)
            Labels of two classes or more.

        Returns
        -------
        self
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        binarizer = LabelBinarizer(neg_label=-1, pos_label=1)
        Y = binarizer.fit_transform(y).astype(np.float64)
        self.classes_ = binarizer.classes_
        if len(self.classes_) < 2:
            raise ValueError(f"y must have two classes at least, got 1 class: {self.classes_}")
        return self._fit_outputs(X, Y, self.loss)

    def decision_function(self, X):
        """Predict scores.

        Parameters
        ----------
        X : array_like, shape (n, d)

        Returns
        -------
        ndarray, shape (n,) or (n, n_classes)
            Positive for the second class where there are two.
        """
        Z = self._outputs(X)
        return Z[:, 0] if Z.shape[1] == 1 else Z

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array_like, shape (n, d)

        Returns
        -------
        ndarray, shape (n,)
        """
        Z = self._outputs(X)
        index = (Z[:, 0] > 0).astype(int) if Z.shape[1] == 1 else np.argmax(Z, axis=1)
        return self.classes_[index]
