"""Block coordinate descent: sparse regression, classification, bounds, and labels on graphs."""

import refopt
from refopt import problems

from .common import BACKENDS, Benchmark, to_backend, wait

SPARSE_BACKENDS = ["numpy", "numba"]  # SciPy's matrices
REGRESSION = {
    "digits": lambda: problems.digit_from_others(),
    "correlated-500-5000-0.6": lambda: problems.correlated(500, 5000),
    "dataset-a-500-4000": lambda: problems.dataset_a(500, 4000),
}
CLASSES = {
    "breast-cancer": lambda: problems.breast_cancer(products=True),
    "dataset-b-1000-300": lambda: problems.dataset_b(1000, 300),
}
RATIOS = [0.1, 0.01]
RULES = {
    "gsd matrix": {"selection": "gsd", "update": "matrix"},
    "gs gradient": {"selection": "gs", "update": "gradient"},
    "gsl gradient, fixed": {"partition": "sort", "selection": "gsl", "update": "gradient"},
    "random gradient": {"selection": "random", "update": "gradient", "rng": 1},
}
GRAPHS = {
    "moons2000": lambda: problems.two_moons(2000, 100),
    "lattice200": lambda: problems.lattice(200, 200, 1600),
}


class _Certified(Benchmark):
    """What is tracked of a solver that returns a duality gap."""

    def solve(self):
        raise NotImplementedError

    def time_solve(self, *params):
        self.solve()

    def peakmem_solve(self, *params):
        self.solve()

    def track_iterations(self, *params):
        return self.res.nit

    def track_gradients(self, *params):
        return self.res.njev

    track_gradients.unit = "passes over X"

    def track_factorisations(self, *params):
        return self.res.nchol

    def track_accuracy(self, *params):
        return float(self.res.gap)

    track_accuracy.unit = "relative duality gap"


class Lasso(_Certified):
    """The Lasso, dense, to a gap of 1e-10."""

    params = (list(REGRESSION), RATIOS, BACKENDS)
    param_names = ("data", "lam/lam_max", "backend")

    def setup(self, data, ratio, backend):
        super().setup(data, ratio, backend)
        problem = REGRESSION[data]()
        self.backend, self.lam = backend, ratio * problem.lasso_lam_max
        self.X, self.y = (to_backend(array, backend) for array in (problem.X, problem.y))
        self.res = self.solve()

    def solve(self):
        res = refopt.lasso(self.X, self.y, self.lam, tol=1e-10, backend=self.backend)
        wait(self.backend)
        return res


class SparseLasso(_Certified):
    """The Lasso of a sparse matrix, to a gap of 1e-10."""

    params = (RATIOS, SPARSE_BACKENDS)
    param_names = ("lam/lam_max", "backend")

    def setup(self, ratio, backend):
        super().setup(ratio, backend)
        self.backend, self.problem = backend, problems.dataset_a(500, 4000, sparse=True)
        self.lam = ratio * self.problem.lasso_lam_max
        self.res = self.solve()

    def solve(self):
        X, y = self.problem.X, self.problem.y
        return refopt.lasso(X, y, self.lam, tol=1e-10, backend=self.backend)


class LassoPath(Benchmark):
    """Thirty values of lam, warm-started, each to a gap of 1e-8."""

    params = (["digits", "correlated-500-5000-0.6"], BACKENDS)
    param_names = ("data", "backend")

    def setup(self, data, backend):
        super().setup(data, backend)
        problem = REGRESSION[data]()
        self.backend = backend
        self.X, self.y = (to_backend(array, backend) for array in (problem.X, problem.y))
        self.res = self.solve()

    def solve(self):
        res = refopt.lasso_path(self.X, self.y, n_lams=30, eps=1e-2, tol=1e-8, backend=self.backend)
        wait(self.backend)
        return res

    def time_solve(self, data, backend):
        self.solve()

    def peakmem_solve(self, data, backend):
        self.solve()

    def track_accuracy(self, data, backend):
        return float(self.res.gaps.max())

    track_accuracy.unit = "largest relative duality gap"


class L1Logistic(_Certified):
    """Sparse logistic regression, to a gap of 1e-10."""

    params = (list(CLASSES), RATIOS, BACKENDS)
    param_names = ("data", "lam/lam_max", "backend")

    def setup(self, data, ratio, backend):
        super().setup(data, ratio, backend)
        problem = CLASSES[data]()
        self.backend, self.lam = backend, ratio * problem.logistic_lam_max
        self.X, self.y = (to_backend(array, backend) for array in (problem.X, problem.y))
        self.res = self.solve()

    def solve(self):
        res = refopt.l1_logistic(self.X, self.y, self.lam, tol=1e-10, backend=self.backend)
        wait(self.backend)
        return res


class DualSVM(_Certified):
    """The dual of a linear support vector machine, to a gap of 1e-8."""

    params = (list(CLASSES), BACKENDS)
    param_names = ("data", "backend")

    def setup(self, data, backend):
        super().setup(data, backend)
        problem = CLASSES[data]()
        self.backend = backend
        self.X, self.y = (to_backend(array, backend) for array in (problem.X, problem.y))
        self.res = self.solve()

    def solve(self):
        res = refopt.svm_dual(self.X, self.y, C=1.0, tol=1e-8, backend=self.backend)
        wait(self.backend)
        return res


class NonNegative(Benchmark):
    """Non-negative least squares, with more rows than columns and with fewer."""

    params = (["correlated-600-200-0.5", "correlated-200-600-0.5"], BACKENDS)
    param_names = ("data", "backend")

    def setup(self, data, backend):
        super().setup(data, backend)
        n, p = (int(part) for part in data.split("-")[1:3])
        problem = problems.correlated(n, p, 0.5)
        self.backend = backend
        self.A, self.b = (to_backend(array, backend) for array in (problem.X, problem.y))
        self.res = self.solve()

    def solve(self):
        res = refopt.nnls(self.A, self.b, tol=1e-10, backend=self.backend)
        wait(self.backend)
        return res

    def time_solve(self, data, backend):
        self.solve()

    def track_iterations(self, data, backend):
        return self.res.nit

    def track_accuracy(self, data, backend):
        return float(self.res.kkt)

    track_accuracy.unit = "violation of the optimality conditions"


class Rules(Benchmark):
    """Two hundred iterations of one rule and update of the catalogue, on least squares."""

    params = (list(RULES), BACKENDS)
    param_names = ("rules", "backend")

    def setup(self, rules, backend):
        super().setup(rules, backend)
        problem = problems.dataset_a(200, 1000, seed=11)
        self.backend, self.options = backend, RULES[rules]
        X, y = (to_backend(array, backend) for array in (problem.X, problem.y))
        self.problem = refopt.LeastSquares(X, y)
        self.res = self.solve()

    def solve(self):
        res = refopt.minimize_bcd(
            self.problem, block_size=5, maxiter=200, tol=0, backend=self.backend, **self.options
        )
        wait(self.backend)
        return res

    def time_iterations(self, rules, backend):
        self.solve()

    def track_accuracy(self, rules, backend):
        return float(self.res.fun)

    track_accuracy.unit = "objective after 200 iterations"


class LabelPropagation(Benchmark):
    """Labels on a lattice and on two moons, to a relative residual of 1e-10."""

    params = (list(GRAPHS), SPARSE_BACKENDS)
    param_names = ("graph", "backend")

    def setup(self, graph, backend):
        super().setup(graph, backend)
        self.graph, self.backend = GRAPHS[graph](), backend
        self.res = self.solve()

    def solve(self):
        graph = self.graph
        return refopt.label_propagation(
            graph.W, graph.labels, graph.mask, tol=1e-10, backend=self.backend
        )

    def time_solve(self, graph, backend):
        self.solve()

    def peakmem_solve(self, graph, backend):
        self.solve()

    def track_iterations(self, graph, backend):
        return self.res.nit
