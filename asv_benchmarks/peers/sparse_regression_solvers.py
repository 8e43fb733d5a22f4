"""One wrapper per solver of the Lasso and of L1 logistic regression, and the one outside measure.

A wrapper is made from an `Instance`: it prepares its library's best data layout
then, so that only the solver's own work is timed. It is called with a level
between 0 and 1 that it turns into its library's tolerance, and returns the
coefficients and a count of iterations. `LADDERS` says which levels are worth
trying. Libraries are imported when a wrapper is made.
"""

import warnings
from contextlib import contextmanager
from functools import partial

import numpy as np
from scipy import sparse
from scipy.special import xlogy

LADDERS = {
    "refopt": None,  # its tolerance is the measure itself
    "scikit-learn": (2, 15),
    "celer": (2, 15),
    "skglm": (1, 13),
    "skglm-fp": (1, 13),
    "adelie": (2, 15),
    "LIBLINEAR": (1, 12),
}
SOLVERS = {
    "lasso": ("refopt", "scikit-learn", "celer", "skglm", "skglm-fp", "adelie"),
    "logistic": ("refopt", "LIBLINEAR", "celer", "skglm", "adelie"),
}


def relative_gap(problem, w):
    """Return ``(F(w) - D) / F(0)`` with a dual value D made from w, in plain NumPy and SciPy."""
    w = np.asarray(w, dtype=float).ravel()
    if not np.isfinite(w).all():
        return float("inf")
    X, y, lam = problem.X, problem.y, problem.lam
    if problem.kind == "lasso":
        r = y - X @ w
        top = np.abs(X.T @ r).max()
        scale = np.clip(y @ r / (r @ r), -lam / top, lam / top)
        primal = r @ r / 2 + lam * np.abs(w).sum()
        dual = scale * (y @ r) - scale**2 * (r @ r) / 2
        at_zero = y @ y / 2
    else:
        z = y * (X @ w)
        probability = np.exp(-np.logaddexp(0, z))
        q = probability / max(1.0, np.abs(X.T @ (y * probability)).max() / lam)
        primal = np.logaddexp(0, -z).sum() + lam * np.abs(w).sum()
        dual = -(xlogy(q, q) + xlogy(1 - q, 1 - q)).sum()
        at_zero = y.size * np.log(2)
    return max(0.0, float((primal - dual) / at_zero))


def solver(name, problem):
    """Return the wrapper of one solver for one instance."""
    makers = {
        ("refopt", "lasso"): refopt_solver,
        ("refopt", "logistic"): refopt_solver,
        ("scikit-learn", "lasso"): sklearn_lasso,
        ("celer", "lasso"): celer_lasso,
        ("celer", "logistic"): celer_logistic,
        ("skglm", "lasso"): skglm_lasso,
        ("skglm-fp", "lasso"): partial(skglm_lasso, strategy="fixpoint"),
        ("skglm", "logistic"): skglm_logistic,
        ("LIBLINEAR", "logistic"): liblinear,
        ("adelie", "lasso"): adelie_solver,
        ("adelie", "logistic"): adelie_solver,
    }
    return makers[name, problem.kind](problem)


def refopt_solver(problem):
    """`refopt.lasso` or `refopt.l1_logistic`, wanting Fortran order or CSC."""
    import refopt

    solve = refopt.lasso if problem.kind == "lasso" else refopt.l1_logistic

    def run(level):
        res = solve(problem.X, problem.y, problem.lam, tol=level)
        return res.x, res.nit

    return run


def sklearn_lasso(problem):
    """`sklearn.linear_model.Lasso`, wanting Fortran order or CSC; stops on its own duality gap."""
    from sklearn.linear_model import Lasso

    alpha = problem.lam / problem.y.size

    def run(level):
        model = Lasso(alpha, fit_intercept=False, tol=level, max_iter=1_000_000, copy_X=False)
        with quiet():
            model.fit(problem.X, problem.y)
        return model.coef_, model.n_iter_

    return run


def celer_lasso(problem):
    """`celer.Lasso`, wanting Fortran order or CSC."""
    from celer import Lasso

    alpha = problem.lam / problem.y.size

    def run(level):
        model = Lasso(alpha, fit_intercept=False, tol=level, max_iter=100)
        with quiet():
            model.fit(problem.X, problem.y)
        return model.coef_, model.n_iter_

    return run


def celer_logistic(problem):
    """`celer.LogisticRegression`, wanting Fortran order or CSC."""
    from celer import LogisticRegression

    def run(level):
        model = LogisticRegression(C=1 / problem.lam, fit_intercept=False, tol=level, max_iter=100)
        with quiet():
            model.fit(problem.X, problem.y)
        return model.coef_.ravel(), "-"

    return run


def skglm_lasso(problem, strategy="subdiff"):
    """`skglm` with Anderson-accelerated coordinate descent, wanting Fortran order or CSC.

    Its two measures of violation for the working set differ in speed and in the
    accuracy that can be reached.
    """
    from skglm.datafits import Quadratic
    from skglm.penalties import L1
    from skglm.solvers import AndersonCD

    options = {"max_iter": 200, "max_epochs": 50_000, "ws_strategy": strategy}
    method = lambda tol: AndersonCD(tol=tol, fit_intercept=False, **options)
    return _skglm(problem, Quadratic, L1, method)


def skglm_logistic(problem):
    """`skglm` with its proximal Newton method, wanting Fortran order or CSC."""
    from skglm.datafits import Logistic
    from skglm.penalties import L1
    from skglm.solvers import ProxNewton

    method = lambda tol: ProxNewton(max_iter=100, tol=tol, fit_intercept=False)
    return _skglm(problem, Logistic, L1, method)


def _skglm(problem, Datafit, Penalty, method):
    """Its tolerance is the largest violation, here relative to the one at w = 0."""
    n = problem.y.size
    top = problem.lam / problem.ratio / n

    def run(level):
        with quiet():
            w, objectives, _ = method(level * top).solve(
                problem.X, problem.y, Datafit(), Penalty(problem.lam / n)
            )
        return w, len(objectives)

    return run


def liblinear(problem):
    """LIBLINEAR's coordinate descent through scikit-learn, wanting CSR or C order."""
    from sklearn.linear_model import LogisticRegression

    X = problem.X
    X = sparse.csr_matrix(X) if sparse.issparse(X) else np.ascontiguousarray(X)

    newer = LogisticRegression().get_params()["penalty"] == "deprecated"
    penalty = {"l1_ratio": 1} if newer else {"penalty": "l1"}

    def run(level):
        model = LogisticRegression(
            **penalty, C=1 / problem.lam, solver="liblinear", fit_intercept=False,
            tol=level, max_iter=100_000, random_state=0,
        )  # fmt: skip
        with quiet():
            model.fit(X, problem.y)
        return model.coef_.ravel(), int(model.n_iter_[0])

    return run


def adelie_solver(problem):
    """`adelie.grpnet` at one lam, wanting Fortran order or CSC; its tolerance is a squared step."""
    import adelie

    if sparse.issparse(problem.X):
        X = adelie.matrix.sparse(problem.X, method="naive", n_threads=1)
    else:
        X = adelie.matrix.dense(problem.X, method="naive", n_threads=1)
    lasso = problem.kind == "lasso"
    glm = adelie.glm.gaussian(problem.y) if lasso else adelie.glm.binomial((problem.y + 1) / 2)
    path = np.array([problem.lam / problem.y.size])

    def run(level):
        tolerances = {"tol": level**2} if lasso else {"tol": level**2, "irls_tol": level}
        with quiet():
            state = adelie.grpnet(
                X, glm, lmda_path=path, intercept=False, early_exit=False, adev_tol=1.0,
                progress_bar=False, **tolerances,
            )  # fmt: skip
        return state.betas.toarray().ravel(), "-"

    return run


@contextmanager
def quiet():
    """Silence what a peer says about deprecations and its own convergence."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
