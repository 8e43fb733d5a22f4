"""Small instances of every problem of the block coordinate catalogue."""

import numpy as np
import scipy.sparse as sp

from refopt.block_coordinate import LeastSquares, Logistic, Quadratic, Softmax, SVMDual

N, P, K = 24, 14, 3
_rng = np.random.default_rng(5)
A = _rng.standard_normal((N, P)) * (0.3 + 2 * _rng.random(P))
B = A @ (_rng.standard_normal(P) * (_rng.random(P) < 0.4)) + 0.3 * _rng.standard_normal(N)
Y = np.sign(A @ _rng.standard_normal(P) + 2 * _rng.standard_normal(N))
LABELS = _rng.integers(0, K, N)
GRAM = A.T @ A
WEIGHTS = np.linspace(0.5, 2.0, P)


def graph(n=P, density=0.2, seed=1):
    """A diagonally dominant Laplacian of a random graph with cycles."""
    rng = np.random.default_rng(seed)
    upper = sp.random_array((n, n), density=density, rng=rng)
    W = abs(upper + upper.T).tolil()
    W.setdiag(0)
    W = sp.csr_array(W)
    W.eliminate_zeros()
    return sp.csc_array(sp.diags_array(W.sum(axis=0) + 0.1) - W)


def smooth():
    """Name -> problem without l1 and bounds."""
    return {
        "least squares": LeastSquares(A, B),
        "sparse least squares, l2": LeastSquares(sp.csc_array(A), B, l2=0.3),
        "logistic": Logistic(A, Y, l2=0.1),
        "softmax": Softmax(A, LABELS, l2=0.1),
        "quadratic": Quadratic(GRAM, A.T @ B),
        "graph": Quadratic(graph(), B[:P]),
    }


def composite():
    """Name -> problem with l1 or bounds."""
    return {
        "lasso": LeastSquares(A, B, l1=2.0),
        "elastic net, weights": LeastSquares(A, B, l1=2.0, l2=0.3, weights=WEIGHTS),
        "lasso, x >= 0": LeastSquares(A, B, l1=1.0, bounds=(0, None)),
        "nnls": LeastSquares(A, B, bounds=(0, None)),
        "l1 logistic": Logistic(A, Y, l1=1.0),
        "logistic in a box": Logistic(A, Y, bounds=(-0.1, WEIGHTS)),
        "l1 softmax": Softmax(A, LABELS, l1=1.0),
        "box qp": Quadratic(GRAM, A.T @ B, bounds=(-0.1, 0.2)),
        "graph, bounds": Quadratic(graph(), B[:P], bounds=(0, 1)),
        "graph, l1": Quadratic(graph(), B[:P], l1=0.1),
        "svm dual": SVMDual(A, Y, 0.7),
    }


def everything():
    """All of them."""
    return smooth() | composite()
