"""Pressure systems of several test files, and models good and bad."""

from functools import cache

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from refopt import PoissonGrid, poisson_rhs
from refopt.problems import pressure_scene, swirl_velocity


@cache
def system(kind, shape, **options):
    """The grid, the stored matrix and the right-hand side of a scene."""
    cells = pressure_scene(kind, shape, **options)
    outside = "air" if kind == "box" else "solid"
    A = PoissonGrid(cells, outside=outside)
    return A, A.tocsr(), poisson_rhs(cells, swirl_velocity(shape), outside=outside)


def spd(n=50, seed=0, condition=1e3):
    """A dense symmetric positive definite matrix and a right-hand side."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return (Q * np.geomspace(1, condition, n)) @ Q.T, rng.standard_normal(n)


def inverse(A):
    return splu(sparse.csc_array(A)).solve


def models(A):
    """The models of the safeguard's promise, by name; "good" in the name says what they are."""
    rng = np.random.default_rng(0)
    n = A.shape[0]
    fixed, smooth = rng.standard_normal(n), np.sin(np.arange(n) / n)
    diagonal = A.diagonal()
    good = inverse(A + 0.2 * sparse.eye_array(n))  # eigenvalues of M A from 0.2 to 1
    calls = iter(range(10**9))

    def orthogonal(r):
        d = rng.standard_normal(n)
        return d - (d @ r) / (r @ r) * r

    return {
        "identity": lambda r: r,
        "negated": lambda r: -r,
        "random": lambda r: rng.standard_normal(n),
        "constant": lambda r: np.ones(n),
        "fixed random": lambda r: fixed,
        "fixed smooth": lambda r: smooth,
        "nan": lambda r: np.full(n, np.nan),
        "zero": lambda r: np.zeros(n),
        "orthogonal": orthogonal,
        "A r": lambda r: A @ r,
        "sign": np.sign,
        "modulus": np.abs,
        "noisy": lambda r: r + rng.standard_normal(n) / np.sqrt(n),
        "jacobi": lambda r: r / diagonal,
        "good": good,
        "good negated": lambda r: -good(r),
        "good of either sign": lambda r: rng.choice((-1.0, 1.0)) * good(r),
        "good and noise": lambda r: good(r) * (1 + 0.3 * rng.standard_normal(n)),
        "good every second time": lambda r: good(r) if next(calls) % 2 else rng.standard_normal(n),
        "good but clipped": lambda r: np.maximum(good(r), 0.0),
        "shifted": lambda r: np.roll(r, 1),
    }
