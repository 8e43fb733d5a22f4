"""The objective function in SciPy's calling convention."""

import copy

from scipy.optimize import HessianUpdateStrategy

from refopt.augmented_lagrangian._derivatives import SCHEMES, Both, difference
from refopt.augmented_lagrangian._operators import matrix, of_shape, symmetric_operator, vector


class Objective:
    """f, its gradient and its Hessian, from what the user gave."""

    def __init__(self, fun, jac, hess, hessp, args, xp, rel_step):
        if not callable(fun):
            raise TypeError(f"fun must be callable, got {type(fun).__name__}")
        if jac is True:
            both = Both(fun)
            fun, jac = both.value, both.derivative
        jac = None if jac is False else jac
        if not (callable(jac) or jac is None or (isinstance(jac, str) and jac in SCHEMES)):
            raise ValueError(f"jac must be callable, True, None or one of {SCHEMES}, got {jac!r}")
        if isinstance(hess, HessianUpdateStrategy):
            hess = copy.deepcopy(hess)
        elif not (callable(hess) or hess is None or (isinstance(hess, str) and hess in SCHEMES)):
            raise ValueError(
                f"hess must be callable, a HessianUpdateStrategy or one of {SCHEMES}, got {hess!r}"
            )
        if hessp is not None and not callable(hessp):
            raise TypeError(f"hessp must be callable, got {type(hessp).__name__}")
        if isinstance(hess, str) and not callable(jac):
            raise ValueError(f"hess={hess!r} needs a callable jac")
        self._fun, self._jac, self._hess, self._hessp = fun, jac, hess, hessp
        self._args, self._xp, self._rel_step = args, xp, rel_step
        self._scheme = jac if isinstance(jac, str) else "2-point"
        self.strategy = hess if isinstance(hess, HessianUpdateStrategy) else None
        self.has_hessian = callable(hess) or isinstance(hess, str) or hessp is not None
        self.differenced = not callable(jac)
        self.nfev = self.njev = self.nhev = 0

    def value(self, x):
        """f(x)."""
        self.nfev += 1
        value = self._fun(x.copy(), *self._args)
        if isinstance(value, float):
            return float(value)
        value = vector(value, self._xp, "fun")
        if value.size != 1:
            raise ValueError(f"fun must return a number, got an array of shape {value.shape}")
        return float(value.reshape(()))

    def gradient(self, x, f):
        """The gradient at x, where f = f(x)."""
        if callable(self._jac):
            self.njev += 1
            g = vector(self._jac(x.copy(), *self._args), self._xp, "jac")
            return of_shape(g.reshape(-1), x.shape, "jac")
        xp = self._xp
        return difference(
            self._values, x, xp.asarray([f]), xp, scheme=self._scheme, rel_step=self._rel_step
        )[0]

    def _values(self, z):
        self.nfev += 1
        return self._xp.reshape(self._xp.asarray(self._fun(z, *self._args)), (1,))

    def hessian(self, x):
        """The Hessian at x: an array, sparse or an operator."""
        self.nhev += 1
        xp = self._xp
        if callable(self._hess):
            return of_shape(matrix(self._hess(x.copy(), *self._args), xp), 2 * x.shape, "hess")
        if self._hessp is not None:
            n = x.shape[0]

            def product(v):
                Hv = vector(self._hessp(x.copy(), v.reshape(-1).copy(), *self._args), xp, "hessp")
                return of_shape(Hv.reshape(-1), x.shape, "hessp")

            return symmetric_operator(product, n, xp)

        def gradient(z):
            return self.gradient(z, 0.0)

        scheme = "2-point" if self._hess == "cs" else self._hess
        D = difference(gradient, x, gradient(x), self._xp, scheme=scheme)
        return (D + D.T) / 2

    def sharpen(self):
        """Central differences from now on, where forward ones were taken by default."""
        if self._rel_step is None and self._jac is None:
            self._scheme = "3-point"
