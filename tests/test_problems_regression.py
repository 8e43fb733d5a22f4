"""The regression generators give the published instances, and the bundled data are the sources'."""

import numpy as np
import pytest
from scipy import sparse

from refopt.problems import (
    LASSO_LAM_MAX,
    LASSO_OPTIMA,
    NONNEGATIVE_LASSO_OPTIMA,
    breast_cancer,
    correlated,
    dataset_a,
    dataset_b,
    dataset_c,
    digit_from_others,
    lars_adversarial,
    load_digits,
)

SMALL = {
    "dataset-a-60-80@5": lambda seed: dataset_a(60, 80, seed),
    "dataset-b-60-80@5": lambda seed: dataset_b(60, 80, seed),
    "dataset-c-60-80-4@5": lambda seed: dataset_c(60, 80, 4, seed),
    "correlated-40-70-0.5@5": lambda seed: correlated(40, 70, 0.5, seed),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_seed_fixes_the_instance(name):
    first, again, other = (SMALL[name](seed) for seed in (5, 5, 6))
    assert first.name == name
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.y, again.y)
    assert not np.array_equal(first.X, other.X)
    assert first.X.shape == first.shape and first.y.shape == first.shape[:1]
    assert first.w.shape[0] == first.shape[1]


@pytest.mark.parametrize("draw", [dataset_a, dataset_b, dataset_c])
def test_sparse_storage_holds_the_same_numbers(draw):
    dense, stored = draw(50, 30, seed=3), draw(50, 30, seed=3, sparse=True)
    assert sparse.issparse(stored.X) and stored.X.format == "csc"
    np.testing.assert_array_equal(stored.X.toarray(), dense.X)
    np.testing.assert_array_equal(stored.y, dense.y)
    assert stored.X.nnz == np.count_nonzero(dense.X)


def test_correlated_500_by_5000_is_the_published_one():
    problem = correlated(500, 5000, 0.6, 27)
    assert problem.lasso_lam_max == pytest.approx(1904.03609881, abs=5e-9)
    assert LASSO_LAM_MAX[problem.name] == pytest.approx(problem.lasso_lam_max, abs=5e-9)


def test_correlated_400_by_2000_is_the_published_one():
    problem = correlated(400, 2000, 0.9, 5)
    assert problem.lasso_lam_max == pytest.approx(1423.54525023, abs=5e-9)
    assert LASSO_LAM_MAX[problem.name] == pytest.approx(problem.lasso_lam_max, abs=5e-9)


@pytest.mark.slow
def test_dataset_a_of_default_size_is_the_published_one():
    problem = dataset_a(sparse=True)
    assert problem.shape == (1000, 10000)
    assert problem.lasso_lam_max == pytest.approx(268475.967276, abs=5e-7)
    assert LASSO_LAM_MAX[problem.name] == pytest.approx(problem.lasso_lam_max, abs=5e-7)
    assert (problem.X.T @ problem.y).max() == pytest.approx(233466.955392, abs=5e-7)
    assert problem.X.nnz / 1e7 == pytest.approx(10 * np.log(1000) / 1000, rel=5e-3)


def test_every_optimum_comes_with_a_check_of_the_draws():
    for name, _ in (*LASSO_OPTIMA, *NONNEGATIVE_LASSO_OPTIMA):
        assert name in LASSO_LAM_MAX


def test_lam_max_is_where_zero_stops_being_optimal():
    problem = correlated(30, 20, 0.3, 1)
    X, y = problem.X, problem.y
    j = np.abs(X.T @ y).argmax()
    step = np.zeros(20)
    step[j] = 1e-6 * np.sign(X[:, j] @ y)
    lasso = lambda w, lam: ((y - X @ w) ** 2).sum() / 2 + lam * np.abs(w).sum()
    for factor, better in ((0.99, True), (1.01, False)):
        lam = factor * problem.lasso_lam_max
        assert (lasso(step, lam) < lasso(0 * step, lam)) == better
    classes = dataset_b(60, 20, 1)
    X, y = classes.X, classes.y
    j = np.abs(X.T @ y).argmax()
    step = np.zeros(20)
    step[j] = 1e-6 * np.sign(X[:, j] @ y)
    logistic = lambda w, lam: np.logaddexp(0, -y * (X @ w)).sum() + lam * np.abs(w).sum()
    for factor, better in ((0.99, True), (1.01, False)):
        lam = factor * classes.logistic_lam_max
        assert (logistic(step, lam) < logistic(0 * step, lam)) == better


def test_correlated_columns_have_their_correlation_and_signal():
    problem = correlated(4000, 50, 0.8, 1)
    gram = np.corrcoef(problem.X, rowvar=False)
    assert np.diagonal(gram, 1).mean() == pytest.approx(0.8, abs=0.01)
    assert np.diagonal(gram, 2).mean() == pytest.approx(0.64, abs=0.02)
    assert np.count_nonzero(problem.w) == 10
    signal = problem.X @ problem.w
    assert np.linalg.norm(problem.y - signal) == pytest.approx(np.linalg.norm(signal) / 3)
    assert problem.X.flags.f_contiguous


@pytest.mark.parametrize("rho", [-1, 1, 1.5, float("nan")])
def test_a_correlation_out_of_range_is_refused(rho):
    with pytest.raises(ValueError, match="rho"):
        correlated(5, 5, rho)


def test_classes_follow_their_coefficients_but_for_a_tenth():
    problem = dataset_b(2000, 100, 2)
    right = np.where(problem.X @ problem.w >= 0, 1.0, -1.0)
    assert (right != problem.y).mean() == pytest.approx(0.1, abs=0.03)
    classes = dataset_c(500, 40, 5, 2)
    assert set(classes.y) == set(range(5))
    assert (np.argmax(classes.X @ classes.w, axis=1) == classes.y).mean() > 0.9


def test_adversarial_columns_fall_over_five_decades():
    problem = lars_adversarial(100)
    assert problem.X.diagonal()[0] == pytest.approx(1e-5)
    assert problem.X.diagonal()[-1] == pytest.approx(1e-10)
    assert problem.X[3, 7] == 2 * problem.X[7, 7] and problem.X[7, 3] == 0
    np.testing.assert_array_equal(problem.y, 1)


def test_breast_cancer_is_scikit_learns_and_standardised():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_breast_cancer()
    problem = breast_cancer()
    spread, centre = theirs.data.std(axis=0), theirs.data.mean(axis=0)
    np.testing.assert_allclose(problem.X * spread + centre, theirs.data, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(problem.y > 0, theirs.target == 0)  # they call benign 1


def test_products_of_features_are_appended():
    plain, problem = breast_cancer(), breast_cancer(products=True)
    assert problem.shape == (569, 30 + 30 * 31 // 2)
    np.testing.assert_array_equal(problem.X[:, :30], plain.X)
    np.testing.assert_allclose(problem.X.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(problem.X.std(axis=0), 1, rtol=1e-13)
    product = plain.X[:, 0] * plain.X[:, 1]
    assert np.corrcoef(product, problem.X[:, 31])[0, 1] == pytest.approx(1)


def test_a_caller_cannot_spoil_the_bundled_data():
    breast_cancer().X[:] = 0
    assert breast_cancer().X.std() == pytest.approx(1)


def test_digit_from_others_leaves_out_the_digit_itself():
    images, _ = load_digits()
    problem = digit_from_others(7)
    assert problem.shape == (64, 999)
    np.testing.assert_allclose(np.linalg.norm(problem.X, axis=0), 1)
    np.testing.assert_allclose(
        problem.y * np.linalg.norm(images[7].astype(float)), images[7].ravel()
    )
    neighbour = images[8].ravel() / np.linalg.norm(images[8].astype(float))
    np.testing.assert_allclose(problem.X[:, 7], neighbour)  # image 8 took the place of 7
    assert problem.lasso_lam_max < 1 - 1e-3
    with pytest.raises(ValueError, match="index"):
        digit_from_others(1000)
