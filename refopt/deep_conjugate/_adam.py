"""Adam, the stochastic gradient method that networks are trained with."""

import numpy as np


class Adam:
    r"""Steps scaled by running means of the gradient and of its square, in float64.

    With g the gradient at step k,

    .. math:: m = b_1 m + (1 - b_1) g, \quad s = b_2 s + (1 - b_2) g^2, \quad
              p = p - \eta_k \frac{m/(1 - b_1^k)}{\sqrt{s/(1 - b_2^k)} + 10^{-8}}

    and a step length that falls linearly from `lr` to 2 % of it over `n_steps`.
    """

    def __init__(self, params, lr, n_steps, b1=0.9, b2=0.999):
        self.params = np.array(params, dtype=np.float64)
        self.lr, self.n_steps, self.b1, self.b2 = lr, n_steps, b1, b2
        self.m, self.s, self.k = np.zeros_like(self.params), np.zeros_like(self.params), 0

    def step(self, gradient):
        """The parameters after one more step, a new array."""
        lr = self.lr * (1 - 0.98 * min(self.k / self.n_steps, 1))
        self.k += 1
        self.m += (1 - self.b1) * (gradient - self.m)
        self.s += (1 - self.b2) * (gradient * gradient - self.s)
        m, s = self.m / (1 - self.b1**self.k), self.s / (1 - self.b2**self.k)
        self.params = self.params - lr * m / (np.sqrt(s) + 1e-8)
        return self.params
