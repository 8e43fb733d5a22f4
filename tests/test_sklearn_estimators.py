"""Estimators keep to scikit-learn's contract."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from refopt.sklearn import ConvexReLUClassifier, ConvexReLURegressor


@pytest.mark.parametrize("loss", ["squared", "logistic", "hinge"])
def test_classifier_keeps_labels_and_certificates(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    names = np.array(["inner", "outer"])[(np.hypot(*X.T) > 1.1).astype(int)]
    model = ConvexReLUClassifier(beta=0.05, loss=loss).fit(X, names)
    assert (model.predict(X) == names).mean() > 0.9
    assert model.results_[0].gap_kind == "global-exact"
    np.testing.assert_array_equal(model.predict(X) == "outer", model.decision_function(X) > 0)


def test_many_classes_are_one_against_the_rest():
    rng = np.random.default_rng(1)
    label = np.arange(60) % 3
    X = np.array([[2.0, 0], [-2, 1], [0, -3]])[label] + 0.3 * rng.standard_normal((60, 2))
    model = ConvexReLUClassifier(m_init=10, refine=1).fit(X, label)
    assert model.decision_function(X).shape == (60, 3) and model.score(X, label) == 1.0
    with pytest.raises(ValueError, match="1 class"):
        ConvexReLUClassifier().fit(X, np.zeros(60))


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [ConvexReLUClassifier, ConvexReLURegressor])
def test_scikit_learn_finds_nothing_to_object(estimator):
    from sklearn.utils.estimator_checks import check_estimator

    check_estimator(estimator(m_init=10, refine=1), on_skip=None)
